//! The key pair of an input, which nothing here prints.

use std::fmt;

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use reqwest::header::HeaderValue;

use super::env;
use crate::error::Error;

/// The API key of an input and its secret. One pair belongs to one input: an iOS input's key takes iOS data.
///
/// The `Debug` form shows neither.
#[derive(Clone)]
pub struct Credentials {
    key: String,
    secret: String,
}

impl Credentials {
    /// The key and the secret as the service's dashboard shows them. They are looked at when the client is built.
    pub fn new(key: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { key: key.into(), secret: secret.into() }
    }

    /// Reads `MPARTICLE_API_KEY` and `MPARTICLE_API_SECRET`.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if one of them is missing, empty or not UTF-8.
    pub fn from_env() -> Result<Self, Error> {
        env::credentials(&env::system)
    }

    /// The `Authorization` header, marked so that it stays out of the `Debug` form of requests.
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
            return Err(Error::config("the API key holds a colon, which basic authentication cannot say"));
        }
        let pair = BASE64_STANDARD.encode(format!("{}:{}", self.key, self.secret));
        let mut header = HeaderValue::try_from(format!("Basic {pair}"))
            .map_err(|_| Error::config("the credentials do not fit into a header"))?;
        header.set_sensitive(true);
        Ok(header)
    }
}

impl fmt::Debug for Credentials {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Credentials(not shown)")
    }
}
