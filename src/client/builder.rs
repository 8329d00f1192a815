//! The builder of a client, and the validation of its settings.

use std::fmt;
use std::net::IpAddr;
use std::sync::Arc;
use std::time::Duration;

use reqwest::{Url, redirect};
use uuid::Uuid;

use super::env::{self, Lookup};
use super::resolver::Resolver;
use super::transport::{HttpFactory, HttpTransport};
use super::{Client, Credentials, IdSource, Pod, http_error, tls};
use crate::delivery::{Deliverer, Retry, RetryObserver, RetryPolicy};
use crate::error::Error;
use crate::generated::types::Batch;
use crate::seal::BeforeSend;
use crate::when_some::when_some;

const DEFAULT_TIMEOUT: Duration = Duration::from_secs(30);
const DEFAULT_CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// A builder for a [`Client`]; see [`Client::builder`].
pub struct ClientBuilder {
    credentials: Credentials,
    pod: Pod,
    base_url: Option<String>,
    allow_plain_http: bool,
    timeout: Duration,
    connect_timeout: Duration,
    retry_policy: RetryPolicy,
    http_client: Option<HttpFactory>,
    id_source: Option<IdSource>,
    before_send: Option<BeforeSend>,
    disabled: bool,
    observer: RetryObserver,
}

impl Client {
    /// Creates a builder for a client with these credentials.
    ///
    /// ```
    /// use std::time::Duration;
    /// use mparticle::{Client, Credentials, Pod};
    ///
    /// let client = Client::builder(Credentials::new("key", "secret"))
    ///     .pod(Pod::Eu1)
    ///     .timeout(Duration::from_secs(5))
    ///     .build()?;
    /// # Ok::<(), mparticle::Error>(())
    /// ```
    #[must_use]
    pub fn builder(credentials: Credentials) -> ClientBuilder {
        ClientBuilder::new(credentials)
    }

    /// Creates a client that sends nothing, for local runs; see [`ClientBuilder::disabled`].
    ///
    /// ```
    /// use mparticle::{Batch, Client, Environment};
    ///
    /// # async fn run() -> Result<(), mparticle::Error> {
    /// let client = Client::disabled()?;
    /// let accepted = client.upload(Batch::new(Environment::Development)).await?;
    /// assert_eq!(accepted.status(), 202);
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(run()).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`ClientBuilder::build`].
    pub fn disabled() -> Result<Self, Error> {
        ClientBuilder::new(Credentials::new("", "")).disabled(true).build()
    }

    /// Creates a client for this mock server, with its base URL and the credentials [`mock::KEY`](crate::mock::KEY) and
    /// [`mock::SECRET`](crate::mock::SECRET), which it accepts unless it was built with others.
    ///
    /// ```
    /// use mparticle::mock::MockServer;
    /// use mparticle::{Batch, Client, Environment};
    ///
    /// # async fn run() -> Result<(), mparticle::Error> {
    /// let server = MockServer::start().await;
    /// let client = Client::for_mock(&server)?;
    /// client.upload(Batch::new(Environment::Development)).await?;
    /// assert_eq!(server.batches().len(), 1);
    /// # Ok(())
    /// # }
    /// # tokio::runtime::Runtime::new().unwrap().block_on(run()).unwrap();
    /// ```
    ///
    /// # Errors
    /// As [`ClientBuilder::build`].
    #[cfg(feature = "mock")]
    pub fn for_mock(server: &crate::mock::MockServer) -> Result<Self, Error> {
        ClientBuilder::for_mock(server).build()
    }

    /// Creates a client with the settings of the environment; see [`ClientBuilder::from_env`].
    ///
    /// # Errors
    /// As [`ClientBuilder::from_env`] and [`ClientBuilder::build`].
    pub fn from_env() -> Result<Self, Error> {
        ClientBuilder::from_env()?.build()
    }
}

impl ClientBuilder {
    fn new(credentials: Credentials) -> Self {
        Self {
            credentials,
            pod: Pod::default(),
            base_url: None,
            allow_plain_http: false,
            timeout: DEFAULT_TIMEOUT,
            connect_timeout: DEFAULT_CONNECT_TIMEOUT,
            retry_policy: RetryPolicy::new(),
            http_client: None,
            id_source: None,
            before_send: None,
            disabled: false,
            observer: RetryObserver::default(),
        }
    }

    /// Creates a builder for a client of this mock server; see [`Client::for_mock`].
    #[cfg(feature = "mock")]
    #[must_use]
    pub fn for_mock(server: &crate::mock::MockServer) -> Self {
        use crate::mock::{KEY, SECRET};
        Self::new(Credentials::new(KEY, SECRET)).base_url(server.url())
    }

    /// Creates a builder from the environment: `MPARTICLE_API_KEY` and `MPARTICLE_API_SECRET`, and optionally `MPARTICLE_POD`
    /// (`us1`, `us2`, `eu1` or `au1`) and `MPARTICLE_BASE_URL`, which takes precedence over the pod. An empty variable counts as
    /// absent.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the key or the secret is missing, the pod is unknown, or a
    /// variable is not UTF-8.
    pub fn from_env() -> Result<Self, Error> {
        Self::from_lookup(&env::system)
    }

    fn from_lookup(lookup: Lookup<'_>) -> Result<Self, Error> {
        let mut builder = Self::new(env::credentials(lookup)?);
        builder.pod = env::pod(lookup)?.unwrap_or_default();
        builder.base_url = env::base_url(lookup)?;
        Ok(builder)
    }

    /// Sets the data centre of the workspace. [`Pod::Us1`] by default.
    #[must_use]
    pub fn pod(mut self, pod: Pod) -> Self {
        self.pod = pod;
        self
    }

    /// Sets the base URL in place of the pod's, for a mock server or a gateway: `https://host/path`, to which the paths of the
    /// endpoints are appended. Plain `http` is accepted for loopback addresses only.
    #[must_use]
    pub fn base_url(mut self, base_url: impl Into<String>) -> Self {
        self.base_url = Some(base_url.into());
        self
    }

    /// Accepts a base URL of plain `http` for any host. Everyone on the network path can then read and modify the API secret
    /// and the users' data.
    #[must_use]
    pub fn dangerously_send_secrets_over_plain_http(mut self) -> Self {
        self.allow_plain_http = true;
        self
    }

    /// Sets the timeout of one attempt, from connecting to the end of the response. 30 seconds by default.
    #[must_use]
    pub fn timeout(mut self, timeout: Duration) -> Self {
        self.timeout = timeout;
        self
    }

    /// Sets the timeout of connecting, which is part of the attempt. 10 seconds by default. It does not apply to a custom
    /// [`http_client`](Self::http_client).
    #[must_use]
    pub fn connect_timeout(mut self, timeout: Duration) -> Self {
        self.connect_timeout = timeout;
        self
    }

    /// Sets the retry policy. [`RetryPolicy::new`] by default; [`RetryPolicy::never`] disables retries.
    #[must_use]
    pub fn retry_policy(mut self, policy: RetryPolicy) -> Self {
        self.retry_policy = policy;
        self
    }

    /// Sets a factory for the HTTP client, for example to configure a proxy, certificates or pool sizes.
    ///
    /// The factory is called once for each Tokio runtime that the client is used in: a reqwest client shared by two runtimes
    /// fails or hangs when the first one ends. The clients of the 16 most recently used runtimes are kept. This crate still
    /// sets the timeout, credentials and user agent of each request.
    ///
    /// Disable redirects, as the default client does: no endpoint of the service redirects, and a request that follows a 302
    /// loses its body. A response from any other URL than the endpoint's is an error.
    ///
    /// Its TLS is reqwest's own: with the feature `rustls-ring` alone, building a reqwest client panics unless the program installs a
    /// default provider of rustls. The feature `rustls` has one.
    ///
    /// ```no_run
    /// # fn main() -> Result<(), mparticle::Error> {
    /// use mparticle::{Client, Credentials};
    ///
    /// let client = Client::builder(Credentials::new("key", "secret"))
    ///     .http_client(|| {
    ///         let proxy = reqwest::Proxy::https("http://proxy.example:3128")?;
    ///         reqwest::Client::builder().proxy(proxy).redirect(reqwest::redirect::Policy::none()).build()
    ///     })
    ///     .build()?;
    /// # Ok(())
    /// # }
    /// ```
    #[must_use]
    pub fn http_client(
        mut self,
        factory: impl Fn() -> reqwest::Result<reqwest::Client> + Send + Sync + 'static,
    ) -> Self {
        self.http_client = Some(Box::new(factory));
        self
    }

    /// Sets the source of the ids of batches and events, for tests that compare bytes. Random UUIDs by default.
    #[must_use]
    pub fn id_source(mut self, new_id: impl Fn() -> Uuid + Send + Sync + 'static) -> Self {
        self.id_source = Some(Arc::new(new_id));
        self
    }

    /// Sets a callback that is called with each batch before it is sealed, to remove personal data, to add common
    /// properties, or to discard the batch: it is sent if the callback returns `true`, as with [`Vec::retain_mut`].
    ///
    /// It runs in the call that takes the batch ([`upload`](Client::upload), [`upload_bulk`](Client::upload_bulk) and the like), and
    /// in those of an [`Uploader`](crate::Uploader) of this client, unless that one has
    /// [its own callback](crate::UploaderBuilder::before_send). A panic in the callback unwinds through that call. A
    /// [`SealedBatch`](crate::SealedBatch) is sent as it is.
    ///
    /// A batch that it discards is counted by [`Report::filtered`](crate::Report::filtered).
    /// [`upload`](Client::upload) returns [`ErrorKind::Filtered`](crate::ErrorKind::Filtered), with the batch in
    /// [`UploadError::unsealed`](crate::UploadError::unsealed).
    ///
    /// ```
    /// use mparticle::{Client, Credentials};
    ///
    /// let client = Client::builder(Credentials::new("key", "secret"))
    ///     .before_send(|batch| {
    ///         batch.ip = None;
    ///         !batch.events.is_empty()
    ///     })
    ///     .build()?;
    /// # Ok::<(), mparticle::Error>(())
    /// ```
    #[must_use]
    pub fn before_send(mut self, callback: impl Fn(&mut Batch) -> bool + Send + Sync + 'static) -> Self {
        self.before_send = Some(Arc::new(callback));
        self
    }

    /// Sets whether the client is disabled and sends nothing, for local runs and unrelated tests. False by default.
    ///
    /// A disabled client still validates: it seals batches, and rejects those that cannot be sealed or are too large. It
    /// discards all others and reports them as delivered with status 202, so that the program runs as it would in production.
    /// It needs no credentials and no network. Building it is logged as a warning by `tracing`, and
    /// [`Client::is_disabled`] returns true. An [`Uploader`](crate::Uploader) of it opens no spool, and leaves the batches of an
    /// earlier program there.
    ///
    /// ```
    /// use mparticle::{Client, Credentials};
    ///
    /// let client = Client::builder(Credentials::new("", "")).disabled(cfg!(debug_assertions)).build()?;
    /// assert!(client.is_disabled());
    /// # Ok::<(), mparticle::Error>(())
    /// ```
    #[must_use]
    pub fn disabled(mut self, disabled: bool) -> Self {
        self.disabled = disabled;
        self
    }

    when_some! {
        ///
        /// ```
        /// use mparticle::{Client, ClientBuilder, Credentials, Pod};
        ///
        /// let pod: Option<Pod> = None;
        /// let client = Client::builder(Credentials::new("key", "secret")).when_some(pod, ClientBuilder::pod).build()?;
        /// # Ok::<(), mparticle::Error>(())
        /// ```
    }

    /// Sets a callback that is called before each retry with the reason and the wait, for example to log them.
    ///
    /// It runs on the task that sends, which waits for it. A panic in it is caught and logged.
    ///
    /// ```
    /// use mparticle::{Client, Credentials};
    ///
    /// let client = Client::builder(Credentials::new("key", "secret"))
    ///     .on_retry(|retry| eprintln!("{}; trying again in {:?}", retry.error(), retry.wait()))
    ///     .build()?;
    /// # Ok::<(), mparticle::Error>(())
    /// ```
    #[must_use]
    pub fn on_retry(mut self, callback: impl Fn(&Retry<'_>) + Send + Sync + 'static) -> Self {
        self.observer = RetryObserver::new(callback);
        self
    }

    /// Validates the settings and builds the client. Sends nothing.
    ///
    /// For https it reads the certificate store, unless a custom [`http_client`](Self::http_client) is set: that factory is
    /// first called by [`UploaderBuilder::start`](crate::UploaderBuilder::start) or the first upload.
    ///
    /// # Errors
    /// [`ErrorKind::Config`](crate::ErrorKind::Config) if the key or the secret is empty or cannot be sent, a timeout is zero, the
    /// base URL is invalid, or it uses plain `http` to a remote host; with rustls, also if this machine has no usable certificate
    /// store.
    pub fn build(self) -> Result<Client, Error> {
        // A disabled client has no credentials, so it cannot send by mistake.
        let authorization = if self.disabled { None } else { Some(self.credentials.authorization()?) };
        let base_url = self.base_url.as_deref().unwrap_or(self.pod.base_url());
        // `localhost:8080` would parse, with the scheme `localhost`.
        if !base_url.is_empty() && !base_url.contains("://") {
            return Err(Error::config(
                "the base URL has no scheme: write for example https://s2s.mparticle.com/v2, or http://127.0.0.1:8080 for a mock",
            ));
        }
        let url = Url::parse(base_url).map_err(|error| Error::config("invalid base URL").with_source(error))?;
        check(&url, self.allow_plain_http)?;
        if self.timeout.is_zero() || self.connect_timeout.is_zero() {
            return Err(Error::config("timeouts must be greater than zero"));
        }
        if self.disabled {
            tracing::warn!("the client is disabled: batches are validated and discarded, and nothing is sent");
        }
        let plain = url.scheme() == "http";
        let connect_timeout = self.connect_timeout;
        let (factory, unused) = if let Some(factory) = self.http_client {
            (factory, None)
        } else {
            let lookup = self.timeout.min(connect_timeout);
            let configure_tls = tls::configure(!plain && !self.disabled)?;
            let factory = move || {
                let client = reqwest::Client::builder()
                    .connect_timeout(connect_timeout)
                    .dns_resolver(Resolver::new(lookup))
                    .redirect(redirect::Policy::none())
                    .retry(reqwest::retry::never());
                // A proxy could read the requests of plain http.
                let client = if plain { client.no_proxy() } else { client };
                configure_tls(client).build()
            };
            // Detects missing certificates now, and not at the first upload.
            let unused = if self.disabled { None } else { Some(factory().map_err(http_error::convert)?) };
            (Box::new(factory) as HttpFactory, unused)
        };
        let transport = HttpTransport::new(&url, authorization, self.timeout, factory, unused);
        let deliverer =
            Deliverer::new(transport, self.retry_policy, crate::random::system()).with_observer(self.observer);
        #[cfg(feature = "metrics")]
        crate::meter::register_client();
        Ok(Client { deliverer, id_source: self.id_source, before_send: self.before_send, losses: Arc::default() })
    }
}

/// Validates the base URL. The errors do not quote it: a misplaced secret may be in it.
fn check(url: &Url, allow_plain_http: bool) -> Result<(), Error> {
    match url.scheme() {
        "https" => {}
        "http" if allow_plain_http || is_loopback(url) => {}
        "http" => {
            return Err(Error::config(
                "the base URL uses plain HTTP to a remote host, which would expose the API secret: use https",
            ));
        }
        _ => return Err(Error::config("unsupported scheme in the base URL (expected https)")),
    }
    if !url.username().is_empty() || url.password().is_some() {
        return Err(Error::config("the base URL contains credentials: pass them as Credentials instead"));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(Error::config("the base URL contains a query or a fragment"));
    }
    Ok(())
}

fn is_loopback(url: &Url) -> bool {
    let host = url.host_str().unwrap_or_default();
    let address = host.trim_start_matches('[').trim_end_matches(']');
    host == "localhost" || address.parse().is_ok_and(|address: IpAddr| address.is_loopback())
}

impl fmt::Debug for ClientBuilder {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("ClientBuilder")
            .field("credentials", &self.credentials)
            .field("pod", &self.pod)
            .field("timeout", &self.timeout)
            .field("connect_timeout", &self.connect_timeout)
            .field("retry_policy", &self.retry_policy)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn from(variables: &[(&str, &str)]) -> Result<Client, Error> {
        let find = |name: &str| variables.iter().find(|(key, _)| *key == name).map(|(_, value)| (*value).to_owned());
        ClientBuilder::from_lookup(&|name| Ok(find(name)))?.build()
    }

    #[test]
    fn from_env_reads_credentials_pod_and_base_url() {
        const KEY: (&str, &str) = ("MPARTICLE_API_KEY", "k");
        const SECRET: (&str, &str) = ("MPARTICLE_API_SECRET", "s");
        let base_url = |variables: &[_]| from(variables).map(|client| client.deliverer.transport.base_url().to_owned());

        assert_eq!(base_url(&[KEY, SECRET]).expect("the default pod"), Pod::Us1.base_url());
        assert_eq!(base_url(&[KEY, SECRET, ("MPARTICLE_POD", "EU1")]).expect("a pod"), Pod::Eu1.base_url());
        let both = [KEY, SECRET, ("MPARTICLE_POD", "eu1"), ("MPARTICLE_BASE_URL", "http://127.0.0.1:9/v2/")];
        assert_eq!(base_url(&both).expect("a base URL"), "http://127.0.0.1:9/v2");

        for (missing, variables) in [("MPARTICLE_API_KEY", &[SECRET][..]), ("MPARTICLE_API_SECRET", &[KEY][..])] {
            assert_eq!(from(variables).expect_err(missing).to_string(), format!("{missing} is not set"));
        }
        assert_eq!(
            from(&[("MPARTICLE_API_KEY", ""), SECRET]).expect_err("empty").to_string(),
            "MPARTICLE_API_KEY is not set"
        );
        let error = from(&[KEY, SECRET, ("MPARTICLE_POD", "moon")]).expect_err("no such pod");
        assert_eq!(error.to_string(), "unknown pod (expected us1, us2, eu1 or au1)");
    }
}
