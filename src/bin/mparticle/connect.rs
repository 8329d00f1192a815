//! Where a command sends to, and with whose key: from a profile or from the environment, never from arguments.

use std::env;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use mparticle::{Client, ClientBuilder, Environment, Pod};
use tokio::runtime::{self, Runtime};
use uuid::Uuid;

use crate::exit::{self, CliError};
use crate::profile;

const VARIABLES: [&str; 4] = ["MPARTICLE_API_KEY", "MPARTICLE_API_SECRET", "MPARTICLE_POD", "MPARTICLE_BASE_URL"];

/// The defaults of the library.
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The arguments of every command that sends. They are flattened in as the last: what follows would stand under their
/// heading.
#[derive(Args)]
#[command(next_help_heading = "Where to send")]
pub struct Connection {
    /// Profile of the configuration file [default: the environment, or else the profile "default"]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,

    /// Data centre of the workspace
    #[arg(long, value_parser = PossibleValuesParser::new(["us1", "us2", "eu1", "au1"]).try_map(|pod| pod.parse::<Pod>()))]
    pod: Option<Pod>,

    /// Another place than a pod, as a mock
    #[arg(long, conflicts_with = "pod")]
    url: Option<String>,
}

impl Connection {
    /// The settings of a client for this key and place.
    ///
    /// A profile that is asked for is taken, and nothing of the environment is mixed into it. Without one, the environment
    /// is taken as soon as one of its variables is set: a key from one and an address from the other would send somewhere
    /// that nobody meant.
    pub fn client_builder(&self) -> exit::Result<ClientBuilder> {
        Ok(self.builder_and_key()?.0)
    }

    fn builder_and_key(&self) -> exit::Result<(ClientBuilder, String)> {
        let profile = match &self.profile {
            Some(name) => Some(profile::load(name)?),
            None if VARIABLES.into_iter().any(is_set) => None,
            None => Some(profile::load_default()?.ok_or_else(missing_credentials)?),
        };
        let (mut builder, key) = match profile {
            Some(profile) => {
                let key = profile.key().to_owned();
                (profile.client_builder(), key)
            }
            None => (ClientBuilder::from_env()?, env::var(VARIABLES[0]).unwrap_or_default()),
        };
        if let Some(pod) = self.pod {
            // Not as the pod alone: a base URL of the profile or the environment would win over it.
            builder = builder.base_url(pod.base_url());
        }
        if let Some(url) = &self.url {
            builder = builder.base_url(url);
        }
        Ok((builder, key))
    }

    /// The client itself.
    pub fn client(&self) -> exit::Result<Client> {
        Ok(self.client_builder()?.build()?)
    }

    /// The client, and what tells its destination from others. An attempt ends before `timeout` does, so that the reason of a
    /// failure is known by then.
    pub fn destination(&self, timeout: Duration) -> exit::Result<Destination> {
        let (mut builder, key) = self.builder_and_key()?;
        let attempt_timeout = timeout.max(Duration::from_secs(1)).mul_f64(0.9);
        if attempt_timeout < TIMEOUT {
            builder = builder.timeout(attempt_timeout).connect_timeout(attempt_timeout.min(CONNECT_TIMEOUT));
        }
        let client = builder.build()?;
        let address = client.base_url().to_owned();
        Ok(Destination { client, address, key: Uuid::new_v5(&Uuid::NAMESPACE_OID, key.as_bytes()) })
    }
}

/// A client, where it sends to, and of its key a hash, from which the key cannot be found out.
pub struct Destination {
    pub client: Client,
    pub address: String,
    pub key: Uuid,
}

fn is_set(variable: &str) -> bool {
    env::var_os(variable).is_some_and(|value| !value.is_empty())
}

fn missing_credentials() -> CliError {
    let position =
        profile::config_path().map_or_else(|| "a configuration file".into(), |path| path.display().to_string());
    CliError::usage(format!(
        "MPARTICLE_API_KEY is not set: set MPARTICLE_API_KEY and MPARTICLE_API_SECRET, or write the section [profile.default] into {position}"
    ))
}

/// The runtime that a command waits on.
pub fn runtime() -> exit::Result<Runtime> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| CliError::system("start a runtime", &error))
}

/// Waits for a result, and for nothing that is left behind: a name lookup that was given up can take a minute.
pub fn block_on<T>(result: impl Future<Output = T>) -> exit::Result<T> {
    let runtime = runtime()?;
    let result = runtime.block_on(result);
    runtime.shutdown_background();
    Ok(result)
}

/// The argument of every command that takes an environment.
pub fn environment_parser() -> impl TypedValueParser<Value = Environment> {
    PossibleValuesParser::new(["development", "production"]).try_map(|name| name.parse::<Environment>())
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use super::*;

    #[test]
    fn nothing_that_is_left_behind_is_waited_for() {
        const LOOKUP: Duration = Duration::from_secs(60);
        let started = Instant::now();
        // As the resolver of the system does it, which cannot be broken off.
        block_on(async { _ = tokio::task::spawn_blocking(|| thread::sleep(LOOKUP)) }).expect("a runtime");
        assert!(started.elapsed() < LOOKUP / 2);
    }
}
