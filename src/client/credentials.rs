//! The API key and secret of an input. Nothing here prints them.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::HeaderValue;

use super::env;
use crate::error::Error;

/// The API key and secret of an input. Each pair belongs to one input: the key of an iOS input accepts iOS data.
///
/// `Debug` shows neither.
#[derive(Clone)]
pub struct Credentials {
    key: String,
    secret: String,
}

impl Credentials {
    /// Creates credentials from a key and a secret, as shown in the dashboard of the service.
    /// [`ClientBuilder::build`](crate::ClientBuilder::build) validates them.
    pub fn new(key: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { key: key.into(), secret: secret.into() }
    }

    /// Creates credentials from the environment variables `MPARTICLE_API_KEY` and `MPARTICLE_API_SECRET`.
    ///
    /// ```no_run
    /// use mparticle::{Client, Credentials, Pod};
    ///
    /// let client = Client::builder(Credentials::from_env()?).pod(Pod::Eu1).build()?;
    /// # Ok::<(), mparticle::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if one of them is missing, empty or not UTF-8.
    pub fn from_env() -> Result<Self, Error> {
        env::credentials(&env::system)
    }

    /// Returns the `Authorization` header, marked as sensitive so that `Debug` of a request does not show it.
    pub(super) fn authorization(&self) -> Result<HeaderValue, Error> {
        for (name, value) in [("API key", &self.key), ("API secret", &self.secret)] {
            if value.is_empty() {
                return Err(Error::config(format!("the {name} is empty")));
            }
            if value.trim() != value {
                return Err(Error::config(format!("the {name} begins or ends with white space")));
            }
        }
        if self.key.contains(':') {
            return Err(Error::config("the API key contains a colon, which basic authentication does not allow"));
        }
        let pair = BASE64_STANDARD.encode(format!("{}:{}", self.key, self.secret));
        let mut header = HeaderValue::try_from(format!("Basic {pair}"))
            .map_err(|_| Error::config("the API key or secret contains characters that a header cannot hold"))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(..)")
    }
}
