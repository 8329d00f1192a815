//! The address and the credentials of a command: from a profile or the environment, never from arguments.

use std::env;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};
use mparticle::{Client, ClientBuilder, Environment, Pod};
use tokio::runtime::{self, Runtime};
use uuid::Uuid;

use crate::exit::{self, CliError};
use crate::profile;
use crate::text::{path_string, printable};

const VARIABLES: [&str; 4] = ["MPARTICLE_API_KEY", "MPARTICLE_API_SECRET", "MPARTICLE_POD", "MPARTICLE_BASE_URL"];

/// The timeouts that the library uses by default.
const TIMEOUT: Duration = Duration::from_secs(30);
const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The arguments of every command that sends. Flattened last, since later arguments would appear under its heading.
#[derive(Args)]
#[command(next_help_heading = "Connection")]
pub struct Connection {
    /// Profile in the configuration file [default: the environment, or else the profile "default"]
    #[arg(long, value_name = "NAME")]
    profile: Option<String>,

    /// Data centre of the workspace
    #[arg(long, value_parser = PossibleValuesParser::new(["us1", "us2", "eu1", "au1"]).try_map(|pod| pod.parse::<Pod>()))]
    pod: Option<Pod>,

    /// Base URL to use instead of a pod, for example that of a mock
    #[arg(long, conflicts_with = "pod")]
    url: Option<String>,

    /// Accept a base URL of plain http for any host: everyone on the way can read the secret and the data
    #[arg(long)]
    dangerously_allow_plain_http: bool,
}

impl Connection {
    /// Returns a client builder with the credentials and the address.
    ///
    /// They come from the given profile alone, or else from the environment alone if any of its variables is set, or else
    /// from the profile `default`. Sources are never mixed: a key from one and an address from the other could send data to
    /// the wrong workspace.
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
            // Set as a base URL, since one from the profile or the environment would override a pod.
            builder = builder.base_url(pod.base_url());
        }
        if let Some(url) = &self.url {
            builder = builder.base_url(url);
        }
        if self.dangerously_allow_plain_http {
            builder = builder.dangerously_send_secrets_over_plain_http();
        }
        Ok((builder, key))
    }

    /// Returns the client.
    pub fn client(&self) -> exit::Result<Client> {
        build(self.client_builder()?)
    }

    /// Returns the client with its address and a hash of its key. An attempt times out before `timeout` ends, so that the
    /// reason of a failure is known by then.
    pub fn destination(&self, timeout: Duration) -> exit::Result<Destination> {
        let (mut builder, key) = self.builder_and_key()?;
        let attempt_timeout = timeout.max(Duration::from_secs(1)).mul_f64(0.9);
        if attempt_timeout < TIMEOUT {
            builder = builder.timeout(attempt_timeout).connect_timeout(attempt_timeout.min(CONNECT_TIMEOUT));
        }
        let client = build(builder)?;
        let address = client.base_url().to_owned();
        Ok(Destination { client, address, key_hash: Uuid::new_v5(&Uuid::NAMESPACE_OID, key.as_bytes()) })
    }
}

/// Builds the client. An error about plain http names the argument that allows it.
pub fn build(builder: ClientBuilder) -> exit::Result<Client> {
    builder.build().map_err(|error| {
        let is_plain_http = error.message().contains("plain HTTP");
        let error = CliError::from(error);
        if is_plain_http {
            error.with_hint("in a network that you trust, --dangerously-allow-plain-http accepts it")
        } else {
            error
        }
    })
}

/// A client, its address, and a hash of its key that does not reveal the key.
pub struct Destination {
    pub client: Client,
    pub address: String,
    pub key_hash: Uuid,
}

fn is_set(variable: &str) -> bool {
    env::var_os(variable).is_some_and(|value| !value.is_empty())
}

fn missing_credentials() -> CliError {
    let path =
        profile::config_path().map_or_else(|| "a configuration file".into(), |path| printable(&path_string(&path)));
    CliError::usage(format!(
        "MPARTICLE_API_KEY is not set: set MPARTICLE_API_KEY and MPARTICLE_API_SECRET, or add the section [profile.default] to {path}"
    ))
}

/// Creates the runtime of a command.
pub fn runtime() -> exit::Result<Runtime> {
    let runtime = runtime::Builder::new_current_thread().enable_all().build();
    runtime.map_err(|error| CliError::system("start a runtime", &error))
}

/// Waits for a result, but not for abandoned blocking tasks: a DNS lookup can block for a minute.
pub fn block_on<T>(result: impl Future<Output = T>) -> exit::Result<T> {
    let runtime = runtime()?;
    let result = runtime.block_on(result);
    runtime.shutdown_background();
    Ok(result)
}

/// Returns the parser of the argument `--environment`.
pub fn environment_parser() -> impl TypedValueParser<Value = Environment> {
    PossibleValuesParser::new(["development", "production"]).try_map(|name| name.parse::<Environment>())
}

#[cfg(test)]
mod tests {
    use std::thread;
    use std::time::Instant;

    use super::*;

    #[test]
    fn does_not_wait_for_abandoned_tasks() {
        const LOOKUP: Duration = Duration::from_secs(60);
        let started = Instant::now();
        // The resolver of the system blocks in the same way and cannot be cancelled.
        block_on(async { _ = tokio::task::spawn_blocking(|| thread::sleep(LOOKUP)) }).expect("a runtime");
        assert!(started.elapsed() < LOOKUP / 2);
    }
}
