//! The settings of a client and an uploader as data, for configuration files.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::client::env::{self, Lookup};
use crate::client::{Client, ClientBuilder, Credentials, Pod};
use crate::delivery::RetryPolicy;
use crate::error::Error;
use crate::generated::types::Environment;
use crate::uploader::{Uploader, UploaderBuilder, WhenFull};

/// The settings of a [`Client`] and an [`Uploader`], for a configuration file. They do not include credentials: use
/// [`Credentials::from_env`] or a secret store.
///
/// The keys are the names of the setters. All are optional and have the defaults of the builders. An unknown key is an error.
/// Durations are strings with a unit. In TOML:
///
/// ```toml
/// [mparticle]
/// pod = "eu1"
/// environment = "production"
/// timeout = "5s"
/// spool = "/var/lib/shop/mparticle"
/// linger = "500ms"
/// max_batches = 20_000
/// when_full = { wait = "2s" }        # or "refuse", "drop_newest", "drop_oldest", "spill"
///
/// [mparticle.retry_policy]           # of the client; an uploader uses only the waits, and retries without limit
/// initial_backoff = "100ms"
/// request_timeout = "1m"
/// ```
///
/// ```
/// use mparticle::{Credentials, Settings, Uploader};
///
/// #[derive(serde::Deserialize)]
/// struct Config {
///     #[serde(default)]
///     mparticle: Settings,
/// }
///
/// # let file = r#"{"mparticle": {"pod": "eu1", "disabled": true, "linger": "500ms"}}"#;
/// # let credentials = Credentials::new("key", "secret");
/// let config: Config = serde_json::from_str(file)?; // or toml::from_str, or the crate `config`
/// # /*
/// let credentials = Credentials::from_env()?;
/// # */
/// let settings = config.mparticle.with_env()?; // the environment overrides the file
/// let client = settings.client(credentials)?;
/// let uploader = settings.uploader(client).start()?;
/// # Ok::<(), Box<dyn std::error::Error>>(())
/// ```
///
/// Callbacks and all other settings, such as the options of the spool, are set in code, on the builders that
/// [`client_builder`](Self::client_builder) and [`uploader`](Self::uploader) return.
#[derive(Clone, Default, PartialEq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
#[non_exhaustive]
pub struct Settings {
    /// Sets [`ClientBuilder::pod`](crate::ClientBuilder::pod).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub pod: Option<Pod>,
    /// Sets [`ClientBuilder::base_url`](crate::ClientBuilder::base_url), which overrides [`pod`](Self::pod).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub base_url: Option<String>,
    /// The environment of the data, for [`Batch::new`](crate::Batch::new). The client does not need it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub environment: Option<Environment>,
    /// Sets [`ClientBuilder::timeout`](crate::ClientBuilder::timeout).
    #[serde(with = "crate::duration::option", skip_serializing_if = "Option::is_none")]
    pub timeout: Option<Duration>,
    /// Sets [`ClientBuilder::connect_timeout`](crate::ClientBuilder::connect_timeout).
    #[serde(with = "crate::duration::option", skip_serializing_if = "Option::is_none")]
    pub connect_timeout: Option<Duration>,
    /// Sets [`ClientBuilder::retry_policy`](crate::ClientBuilder::retry_policy).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub retry_policy: Option<RetryPolicy>,
    /// Sets [`ClientBuilder::disabled`](crate::ClientBuilder::disabled).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub disabled: Option<bool>,
    /// Sets [`UploaderBuilder::spool`](crate::UploaderBuilder::spool).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub spool: Option<PathBuf>,
    /// Sets [`UploaderBuilder::linger`](crate::UploaderBuilder::linger).
    #[serde(with = "crate::duration::option", skip_serializing_if = "Option::is_none")]
    pub linger: Option<Duration>,
    /// Sets [`UploaderBuilder::max_batches`](crate::UploaderBuilder::max_batches).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_batches: Option<usize>,
    /// Sets [`UploaderBuilder::max_bytes`](crate::UploaderBuilder::max_bytes).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_bytes: Option<usize>,
    /// Sets [`UploaderBuilder::when_full`](crate::UploaderBuilder::when_full).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub when_full: Option<WhenFull>,
    /// Sets [`UploaderBuilder::max_in_flight`](crate::UploaderBuilder::max_in_flight).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_in_flight: Option<usize>,
    /// Sets [`UploaderBuilder::initial_rate`](crate::UploaderBuilder::initial_rate).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub initial_rate: Option<u32>,
    /// Sets [`UploaderBuilder::max_rate`](crate::UploaderBuilder::max_rate).
    #[serde(skip_serializing_if = "Option::is_none")]
    pub max_rate: Option<u32>,
    /// Sets [`UploaderBuilder::max_probe_interval`](crate::UploaderBuilder::max_probe_interval).
    #[serde(with = "crate::duration::option", skip_serializing_if = "Option::is_none")]
    pub max_probe_interval: Option<Duration>,
    /// Sets [`UploaderBuilder::drop_timeout`](crate::UploaderBuilder::drop_timeout).
    #[serde(with = "crate::duration::option", skip_serializing_if = "Option::is_none")]
    pub drop_timeout: Option<Duration>,
}

impl Settings {
    /// Creates settings with no key set.
    #[must_use]
    pub fn new() -> Self {
        Self::default()
    }

    /// Overrides settings from the environment: [`pod`](Self::pod) by `MPARTICLE_POD`, [`base_url`](Self::base_url) by
    /// `MPARTICLE_BASE_URL`, and [`environment`](Self::environment) by `MPARTICLE_ENVIRONMENT`. A pod from the environment also
    /// replaces a base URL from the file. An empty variable counts as absent.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if a variable is not UTF-8, or names an unknown pod or environment.
    pub fn with_env(self) -> Result<Self, Error> {
        self.with_lookup(&env::system)
    }

    fn with_lookup(mut self, lookup: Lookup<'_>) -> Result<Self, Error> {
        let (pod, base_url) = (env::pod(lookup)?, env::base_url(lookup)?);
        if pod.is_some() || base_url.is_some() {
            // A base URL overrides the pod, so one from the file must not hide the pod from the environment.
            self.base_url = base_url;
        }
        self.pod = pod.or(self.pod);
        self.environment = env::environment(lookup)?.or(self.environment);
        Ok(self)
    }

    /// Creates a client with these settings.
    ///
    /// # Errors
    /// As [`ClientBuilder::build`].
    pub fn client(&self, credentials: Credentials) -> Result<Client, Error> {
        self.client_builder(credentials).build()
    }

    /// Creates a builder for a client with these settings, to add those that are set in code.
    #[must_use]
    pub fn client_builder(&self, credentials: Credentials) -> ClientBuilder {
        Client::builder(credentials)
            .when_some(self.pod, ClientBuilder::pod)
            .when_some(self.base_url.clone(), ClientBuilder::base_url)
            .when_some(self.timeout, ClientBuilder::timeout)
            .when_some(self.connect_timeout, ClientBuilder::connect_timeout)
            .when_some(self.retry_policy.clone(), ClientBuilder::retry_policy)
            .when_some(self.disabled, ClientBuilder::disabled)
    }

    /// Creates a builder for an uploader with these settings. Nothing is opened before [`UploaderBuilder::start`].
    #[must_use]
    pub fn uploader(&self, client: Client) -> UploaderBuilder {
        Uploader::builder(client)
            .when_some(self.spool.clone(), UploaderBuilder::spool)
            .when_some(self.linger, UploaderBuilder::linger)
            .when_some(self.max_batches, UploaderBuilder::max_batches)
            .when_some(self.max_bytes, UploaderBuilder::max_bytes)
            .when_some(self.when_full, UploaderBuilder::when_full)
            .when_some(self.max_in_flight, UploaderBuilder::max_in_flight)
            .when_some(self.initial_rate, UploaderBuilder::initial_rate)
            .when_some(self.max_rate, UploaderBuilder::max_rate)
            .when_some(self.max_probe_interval, UploaderBuilder::max_probe_interval)
            .when_some(self.drop_timeout, UploaderBuilder::drop_timeout)
    }
}

/// Omits the base URL, which may contain a misplaced secret.
impl fmt::Debug for Settings {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Settings")
            .field("pod", &self.pod)
            .field("environment", &self.environment)
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("retry_policy", &self.retry_policy)
            .field("disabled", &self.disabled)
            .field("spool", &self.spool)
            .field("linger", &self.linger)
            .field("max_batches", &self.max_batches)
            .field("max_bytes", &self.max_bytes)
            .field("when_full", &self.when_full)
            .field("max_in_flight", &self.max_in_flight)
            .field("initial_rate", &self.initial_rate)
            .field("max_rate", &self.max_rate)
            .field("max_probe_interval", &self.max_probe_interval)
            .field("drop_timeout", &self.drop_timeout)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &str = r#"{"pod":"eu1","base_url":"http://127.0.0.1:1","environment":"production","timeout":"5s","connect_timeout":"250ms","retry_policy":{"initial_backoff":"100ms","max_backoff":"30s","max_attempts":10,"request_timeout":"1m","call_timeout":"unlimited","retry_budget":100},"disabled":true,"spool":"/var/lib/shop","linger":"500ms","max_batches":7,"max_bytes":8,"when_full":{"wait":"2s"},"max_in_flight":3,"initial_rate":4,"max_rate":5,"max_probe_interval":"9s","drop_timeout":"0s"}"#;

    #[test]
    fn serde_round_trips_every_key() {
        let settings: Settings = serde_json::from_str(ALL).expect("settings");
        assert_eq!(serde_json::to_string(&settings).unwrap(), ALL);
        let keys: serde_json::Map<String, serde_json::Value> = serde_json::from_str(ALL).unwrap();
        let shown = format!("{settings:?}");
        for key in keys.keys().filter(|key| *key != "base_url") {
            assert!(shown.contains(&format!("{key}: Some(")), "{key} in {shown}");
        }
        assert!(!shown.contains("127.0.0.1"), "{shown}");
    }

    #[test]
    fn every_key_is_optional_and_an_unknown_one_is_an_error() {
        let settings: Settings = serde_json::from_str("{}").expect("settings");
        assert_eq!((settings.clone(), serde_json::to_string(&settings).unwrap()), (Settings::new(), "{}".to_owned()));
        for (json, reason) in [
            (r#"{"pods": "eu1"}"#, "unknown field `pods`"),
            (r#"{"timeout": 5}"#, "invalid type: integer `5`, expected a duration such as"),
            (r#"{"timeout": "5"}"#, "invalid duration (expected a whole number and a unit"),
            (r#"{"pod": "moon"}"#, "unknown pod"),
            (r#"{"environment": "prod"}"#, "unknown variant `prod`, expected `production` or `development`"),
            (r#"{"when_full": "drop"}"#, "unknown variant `drop`"),
        ] {
            let error = serde_json::from_str::<Settings>(json).expect_err(json).to_string();
            assert!(error.starts_with(reason), "{error}");
        }
    }

    #[test]
    fn the_settings_reach_both_builders() {
        let settings: Settings = serde_json::from_str(ALL).expect("settings");
        let client = settings.client(Credentials::new("", "")).expect("a disabled client needs no credentials");
        assert_eq!((client.base_url(), client.is_disabled()), ("http://127.0.0.1:1", true));
        assert_eq!(Some(&client.deliverer.policy), settings.retry_policy.as_ref());
        let shown = format!("{:?}", settings.client_builder(Credentials::new("", "")));
        for setting in ["pod: Eu1", "timeout: 5s", "connect_timeout: 250ms"] {
            assert!(shown.contains(setting), "{setting} in {shown}");
        }
        let shown = format!("{:?}", settings.uploader(client));
        for setting in [
            "linger: 500ms",
            "max_batches: 7",
            "max_bytes: 8",
            "when_full: Wait(2s)",
            "max_in_flight: 3",
            "initial: 4.0",
            "max: 5.0",
            "max_probe_interval: 9s",
            "drop_timeout: 0ns",
            "spool: Some(\"/var/lib/shop\")",
        ] {
            assert!(shown.contains(setting), "{setting} in {shown}");
        }
    }

    #[test]
    fn the_environment_overrides_the_file() {
        let file = Settings {
            pod: Some(Pod::Us2),
            base_url: Some("http://127.0.0.1:1".into()),
            environment: Some(Environment::Production),
            linger: Some(Duration::ZERO),
            ..Settings::new()
        };
        let with = |variables: &'static [(&str, &str)]| {
            let find =
                move |name: &str| Ok(variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).into()));
            file.clone().with_lookup(&find)
        };
        assert_eq!(with(&[("MPARTICLE_POD", "")]).expect("nothing is set"), file);
        let settings = with(&[("MPARTICLE_POD", "eu1"), ("MPARTICLE_ENVIRONMENT", "development")]).expect("settings");
        let expected = Settings {
            pod: Some(Pod::Eu1),
            base_url: None,
            environment: Some(Environment::Development),
            ..file.clone()
        };
        assert_eq!(settings, expected);
        let settings = with(&[("MPARTICLE_BASE_URL", "http://127.0.0.1:2")]).expect("settings");
        assert_eq!(settings, Settings { base_url: Some("http://127.0.0.1:2".into()), ..file.clone() });
        assert_eq!(with(&[("MPARTICLE_POD", "moon")]).expect_err("no pod").kind(), crate::ErrorKind::Config);
    }
}
