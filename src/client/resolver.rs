//! Name lookups with a timeout: those of the system can take longer than the connect timeout.

use std::fmt;
use std::io;
use std::net::{SocketAddr, ToSocketAddrs};
use std::time::Duration;

use reqwest::dns::{Addrs, Name, Resolve, Resolving};
use tokio::task::spawn_blocking;
use tokio::time::timeout;

/// The system's resolver, with a timeout.
///
/// Without the timeout, a resolver that does not respond looks like any slow connection, and the error cannot name the cause.
pub(super) struct Resolver {
    timeout: Duration,
    look_up: fn(&str) -> io::Result<Vec<SocketAddr>>,
}

impl Resolver {
    /// Creates a resolver with nine tenths of the connect timeout: a lookup has to fail before the connection does.
    pub(super) fn new(connect_timeout: Duration) -> Self {
        Self { timeout: connect_timeout.mul_f64(0.9), look_up }
    }
}

fn look_up(host: &str) -> io::Result<Vec<SocketAddr>> {
    Ok((host, 0).to_socket_addrs()?.collect())
}

impl Resolve for Resolver {
    fn resolve(&self, name: Name) -> Resolving {
        let Self { timeout: limit, look_up } = *self;
        Box::pin(async move {
            let host = name.as_str().to_owned();
            let lookup = spawn_blocking(move || look_up(&host));
            let Ok(resolved) = timeout(limit, lookup).await else {
                return Err(LookupTimeoutError { host: name.as_str().to_owned(), limit }.into());
            };
            let addresses: Addrs = Box::new(resolved??.into_iter());
            Ok(addresses)
        })
    }
}

/// The error of a lookup that did not end in time.
#[derive(Debug)]
struct LookupTimeoutError {
    host: String,
    limit: Duration,
}

impl std::error::Error for LookupTimeoutError {}

impl fmt::Display for LookupTimeoutError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "the lookup of {} timed out after {:?}", self.host, self.limit)
    }
}

#[cfg(test)]
mod tests {
    use std::error::Error as _;
    use std::iter;
    use std::thread;
    use std::time::Instant;

    use super::*;
    use crate::{Batch, Client, Credentials, Environment, ErrorKind, RetryPolicy, Uploader};

    /// The duration of a lookup in these tests.
    const LOOKUP: Duration = Duration::from_secs(60);

    /// Creates a client whose lookups take a minute. The resolver can be given another connect timeout than the client.
    fn client(connect_timeout: Duration, resolver_timeout: Duration, retry: RetryPolicy) -> Client {
        let look_up = |_: &str| {
            thread::sleep(LOOKUP);
            Ok(Vec::new())
        };
        let http = move || {
            let resolver = Resolver { look_up, ..Resolver::new(resolver_timeout) };
            reqwest::Client::builder().no_proxy().connect_timeout(connect_timeout).dns_resolver(resolver).build()
        };
        let builder = Client::builder(Credentials::new("key", "secret")).base_url("http://host.invalid");
        builder
            .dangerously_send_secrets_over_plain_http()
            .http_client(http)
            .retry_policy(retry)
            .build()
            .expect("a client")
    }

    fn upload(client: &Client) -> crate::UploadError {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        let error = runtime.block_on(client.upload(Batch::new(Environment::Development))).expect_err("no address");
        runtime.shutdown_background();
        error
    }

    fn root_cause(error: &crate::UploadError) -> String {
        iter::successors(error.source(), |&cause| cause.source()).last().map(ToString::to_string).unwrap_or_default()
    }

    #[test]
    fn the_error_names_a_resolver_that_does_not_respond() {
        let started = Instant::now();
        let timeout = Duration::from_secs(3);
        let error = upload(&client(timeout, timeout, RetryPolicy::never()));
        assert_eq!((error.kind(), error.is_retryable()), (ErrorKind::Connect, true));
        assert_eq!(error.to_string(), "upload failed: failed to resolve the name of the service");
        assert_eq!(root_cause(&error), "the lookup of host.invalid timed out after 2.7s");
        assert!(started.elapsed() < LOOKUP / 2, "the lookup is not waited for");
    }

    #[test]
    fn a_deadline_during_a_retry_keeps_the_cause_of_the_last_failure() {
        let retry = RetryPolicy::new().initial_backoff(Duration::ZERO).request_timeout(Duration::from_millis(1_700));
        let error = upload(&client(LOOKUP, Duration::from_secs(1), retry));
        assert_eq!((error.kind(), error.attempts()), (ErrorKind::Timeout, 2));
        assert_eq!(root_cause(&error), "the lookup of host.invalid timed out after 900ms");
    }

    #[test]
    fn dropping_an_uploader_does_not_wait_for_a_lookup() {
        let started = Instant::now();
        let uploader = Uploader::builder(client(LOOKUP, LOOKUP, RetryPolicy::new())).linger(Duration::ZERO);
        let uploader = uploader.start().expect("an uploader");
        uploader.try_send(Batch::new(Environment::Development)).expect("room");
        thread::sleep(Duration::from_millis(500));
        let stats = uploader.shutdown(Duration::from_millis(500)).wait();
        assert_eq!(stats.pending, 1, "the lookup takes longer");
        // Joins the thread.
        drop(uploader);
        assert!(started.elapsed() < LOOKUP / 2);
    }

    #[test]
    fn look_up_returns_the_addresses_of_the_system() {
        let resolved = look_up("localhost").expect("this machine has a name");
        assert!(!resolved.is_empty() && resolved.iter().all(|address| address.ip().is_loopback()), "{resolved:?}");
        // The system refuses a label of more than 63 characters without a query.
        look_up(&format!("{}.invalid", "x".repeat(64))).expect_err("no name can be this long");
    }
}
