//! Settings from environment variables. An empty variable counts as absent.

use std::env::{self, VarError};

use super::{Credentials, Pod};
use crate::error::Error;
use crate::generated::types::Environment;

/// Looks up a variable, in the environment of the process or in that of a test.
pub(crate) type Lookup<'a> = &'a dyn Fn(&str) -> Result<Option<String>, Error>;

/// Looks up a variable in the environment of the process.
pub(crate) fn system(name: &str) -> Result<Option<String>, Error> {
    match env::var(name) {
        Ok(value) => Ok(Some(value)),
        Err(VarError::NotPresent) => Ok(None),
        Err(VarError::NotUnicode(_)) => Err(Error::config(format!("{name} is not UTF-8"))),
    }
}

fn find(lookup: Lookup<'_>, name: &str) -> Result<Option<String>, Error> {
    Ok(lookup(name)?.filter(|value| !value.is_empty()))
}

fn require(lookup: Lookup<'_>, name: &str) -> Result<String, Error> {
    find(lookup, name)?.ok_or_else(|| Error::config(format!("{name} is not set")))
}

pub(super) fn credentials(lookup: Lookup<'_>) -> Result<Credentials, Error> {
    Ok(Credentials::new(require(lookup, "MPARTICLE_API_KEY")?, require(lookup, "MPARTICLE_API_SECRET")?))
}

pub(crate) fn pod(lookup: Lookup<'_>) -> Result<Option<Pod>, Error> {
    find(lookup, "MPARTICLE_POD")?.map(|pod| pod.parse()).transpose()
}

pub(crate) fn base_url(lookup: Lookup<'_>) -> Result<Option<String>, Error> {
    find(lookup, "MPARTICLE_BASE_URL")
}

pub(crate) fn environment(lookup: Lookup<'_>) -> Result<Option<Environment>, Error> {
    let Some(text) = find(lookup, "MPARTICLE_ENVIRONMENT")? else { return Ok(None) };
    text.to_ascii_lowercase()
        .parse()
        .map(Some)
        .map_err(|_| Error::config("unknown environment in MPARTICLE_ENVIRONMENT (expected production or development)"))
}

impl Environment {
    /// Returns the value of `MPARTICLE_ENVIRONMENT`: `production` or `development`, ignoring case. There is no default, since
    /// the service keeps the data of the two apart.
    ///
    /// ```no_run
    /// use mparticle::{Batch, Environment};
    ///
    /// let batch = Batch::new(Environment::from_env()?);
    /// let batch = Batch::new("production".parse()?); // from any other text
    /// # Ok::<(), mparticle::Error>(())
    /// ```
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the variable is missing, empty or neither of the two.
    pub fn from_env() -> Result<Self, Error> {
        environment(&system)?.ok_or_else(|| Error::config("MPARTICLE_ENVIRONMENT is not set"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_the_environment_ignoring_case() {
        let of = |value: Option<&str>| environment(&|_| Ok(value.map(str::to_owned)));
        assert_eq!(of(Some("production")).expect("known"), Some(Environment::Production));
        assert_eq!(of(Some("Development")).expect("known"), Some(Environment::Development));
        assert_eq!((of(None).expect("absent"), of(Some("")).expect("empty")), (None, None));
        assert_eq!(
            of(Some("prod")).expect_err("unknown").to_string(),
            "unknown environment in MPARTICLE_ENVIRONMENT (expected production or development)"
        );
    }
}
