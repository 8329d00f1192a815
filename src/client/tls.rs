//! The TLS library of the default HTTP client.
//!
//! It is rustls if one of its features is on: reqwest would prefer native-tls, even if only another crate enables that.

use reqwest::ClientBuilder;

use crate::error::Error;

/// A function that configures the TLS of an HTTP client.
type TlsSetup = Box<dyn Fn(ClientBuilder) -> ClientBuilder + Send + Sync>;

/// Returns a function that configures the TLS of an HTTP client. Without `https` it reads no certificates.
///
/// # Errors
/// [`ErrorKind::Config`](crate::ErrorKind::Config) if `https` needs a feature that is off. With `rustls-ring`, also if this machine
/// has no usable certificate store; with the other features, building the HTTP client fails then.
pub(super) fn configure(https: bool) -> Result<TlsSetup, Error> {
    if cfg!(feature = "rustls") || cfg!(all(feature = "native-tls", not(feature = "rustls-ring"))) {
        return Ok(Box::new(move |client| use_reqwest_library(client, https)));
    }
    #[cfg(feature = "rustls-ring")]
    {
        let config = ring::config(https)?;
        Ok(Box::new(move |client| client.tls_backend_preconfigured(config.clone())))
    }
    #[cfg(not(feature = "rustls-ring"))]
    if https {
        Err(Error::config("https needs the feature `rustls`, `rustls-ring` or `native-tls`, or an http_client"))
    } else {
        Ok(Box::new(|client| client))
    }
}

/// Configures a library that reqwest enables itself.
fn use_reqwest_library(client: ClientBuilder, https: bool) -> ClientBuilder {
    #[cfg(feature = "rustls")]
    let client = client.tls_backend_rustls();
    #[cfg(any(feature = "rustls", feature = "native-tls"))]
    let client = if https { client } else { client.tls_certs_only([]) };
    #[cfg(not(any(feature = "rustls", feature = "native-tls")))]
    let _ = https;
    client
}

/// rustls with the cryptography of ring, which reqwest has no feature for.
#[cfg(feature = "rustls-ring")]
mod ring {
    use std::sync::Arc;

    use rustls::crypto::{CryptoProvider, ring};
    use rustls::{ClientConfig, RootCertStore};
    use rustls_platform_verifier::BuilderVerifierExt as _;

    use crate::client::http_error;
    use crate::error::Error;

    /// Returns the configuration that reqwest would build. Without `https` it trusts no certificate.
    pub(super) fn config(https: bool) -> Result<ClientConfig, Error> {
        // reqwest too prefers the provider that the program installed. Without one, rustls would have to choose, and panics if another
        // crate enables a second provider.
        let provider = CryptoProvider::get_default().cloned().unwrap_or_else(|| Arc::new(ring::default_provider()));
        let builder = ClientConfig::builder_with_provider(provider)
            .with_safe_default_protocol_versions()
            .map_err(|error| Error::config("failed to configure TLS").with_source(error))?;
        let builder = if https {
            builder.with_platform_verifier().map_err(http_error::no_certificates)?
        } else {
            builder.with_root_certificates(RootCertStore::empty())
        };
        let mut config = builder.with_no_client_auth();
        config.alpn_protocols = vec![b"http/1.1".to_vec()];
        Ok(config)
    }
}
