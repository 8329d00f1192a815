//! The service of a web shop, which sends its customers' events to mParticle: sign-up, cart and checkout over HTTP, orders from a
//! queue, and a nightly backfill.

pub mod backfill;
pub mod orders;
pub mod web;

use std::collections::HashMap;
use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use mparticle::{Batch, Environment, Settings, Uploader};
use serde::Deserialize;
use tokio::sync::mpsc;

/// The configuration file.
#[derive(Deserialize)]
pub struct Config {
    pub listen: SocketAddr,
    #[serde(default)]
    pub mparticle: Settings,
}

impl Config {
    /// Reads the file. Variables of the environment override it.
    ///
    /// # Errors
    /// If the file cannot be read, or a setting is not valid.
    pub fn read(path: impl AsRef<Path>) -> Result<Self, Box<dyn Error>> {
        let mut config: Self = toml::from_str(&std::fs::read_to_string(path)?)?;
        config.mparticle = config.mparticle.with_env()?;
        Ok(config)
    }
}

/// The state that the handlers and the consumer share.
#[derive(Clone)]
pub struct Shop {
    uploader: Uploader,
    environment: Environment,
    visits: Arc<Mutex<HashMap<String, Visit>>>,
    orders: mpsc::Sender<orders::Message>,
}

/// The visit of a customer, in the form that a store such as Redis would hold: the session is text.
struct Visit {
    session: String,
    cart: Vec<web::Line>,
}

impl Shop {
    /// Creates a shop that puts its orders into a queue.
    #[must_use]
    pub fn new(uploader: Uploader, environment: Environment, orders: mpsc::Sender<orders::Message>) -> Self {
        Self { uploader, environment, visits: Arc::default(), orders }
    }

    fn batch(&self, customer: &str) -> Batch {
        Batch::new(self.environment).customer_id(customer)
    }

    fn visits(&self) -> MutexGuard<'_, HashMap<String, Visit>> {
        self.visits.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
