//! TLS over a real socket, by each library that a feature brings: a certificate that is trusted, and one that is not.
#![cfg(any(feature = "rustls", feature = "native-tls"))]

#[path = "../../support/mod.rs"]
mod support;

use std::sync::Arc;

use mparticle::ErrorKind;
use reqwest::{Certificate, ClientBuilder};
use support::{batch, builder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

/// A server that takes everything, and the certificate that it shows.
async fn server() -> (String, Vec<u8>) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let certificate = CertificateDer::from(made.cert.der().to_vec());
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(tokio_rustls::rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![certificate.clone()], key.into())
        .expect("a configuration");
    let acceptor = TlsAcceptor::from(Arc::new(config));
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a port");
    let url = format!("https://localhost:{}", listener.local_addr().expect("an address").port());
    tokio::spawn(async move {
        while let Ok((stream, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                let mut stream = acceptor.accept(stream).await?;
                let mut request = [0; 16_384];
                let _ = stream.read(&mut request).await?;
                stream.write_all(b"HTTP/1.1 202 Accepted\r\ncontent-length: 0\r\n\r\n").await?;
                stream.flush().await
            });
        }
    });
    (url, certificate.to_vec())
}

async fn uploads_only_where_the_certificate_is_trusted(with_library: fn(ClientBuilder) -> ClientBuilder) {
    let (url, certificate) = server().await;
    let trusting = builder(&url)
        .http_client(move || {
            let client = reqwest::Client::builder().tls_certs_only([Certificate::from_der(&certificate)?]);
            with_library(client).build()
        })
        .build()
        .expect("a client");
    assert_eq!(trusting.upload(batch()).await.expect("accepted").status(), 202);

    let usual = builder(&url).http_client(move || with_library(reqwest::Client::builder()).build()).build();
    let error = usual.expect("a client").upload(batch()).await.expect_err("nobody signed it");
    assert_eq!((error.kind(), error.unsent().len()), (ErrorKind::Connect, 1), "{error:?}");
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn by_rustls() {
    uploads_only_where_the_certificate_is_trusted(ClientBuilder::tls_backend_rustls).await;
}

/// Runs itself again in a child process with variables that leave the system without certificates.
#[cfg(all(feature = "rustls", target_os = "linux"))]
#[test]
fn a_machine_without_certificates_is_found_by_build_and_start() {
    const CHILD: &str = "MPARTICLE_TEST_WITHOUT_CERTIFICATES";
    if std::env::var_os(CHILD).is_some() {
        return without_certificates();
    }
    let empty = tempfile::NamedTempFile::new().expect("a file");
    let nothing = empty.path().with_extension("none");
    for (file, dir) in [(empty.path(), &*nothing), (&*nothing, &*nothing)] {
        let mut child = std::process::Command::new(std::env::current_exe().expect("this program"));
        child.args(["--exact", "a_machine_without_certificates_is_found_by_build_and_start"]);
        let output = child.env(CHILD, "1").env("SSL_CERT_FILE", file).env("SSL_CERT_DIR", dir).output();
        let output = output.expect("a child process");
        let words = String::from_utf8_lossy(&output.stdout);
        assert!(output.status.success() && words.contains("1 passed"), "{words}");
    }
}

#[cfg(all(feature = "rustls", target_os = "linux"))]
fn without_certificates() {
    use mparticle::mock::MockServer;
    use mparticle::{Client, Credentials, Error, Uploader, blocking};

    fn check(error: &Error) {
        assert_eq!((error.kind(), error.is_retryable(), error.attempts()), (ErrorKind::Config, false, 0));
        let words = error.to_string();
        for part in ["no usable certificate store", "ca-certificates", "SSL_CERT_FILE"] {
            assert!(words.contains(part), "{words}");
        }
    }

    let https = || Client::builder(Credentials::new("key", "secret"));
    check(&https().build().expect_err("https"));
    let own = https().http_client(|| reqwest::Client::builder().tls_backend_rustls().build());
    let own = own.build().expect("the factory is not called yet");
    check(&Uploader::builder(own.clone()).start().expect_err("https"));
    check(&blocking::Client::new(own).expect("a thread").upload(batch()).expect_err("https"));

    let server = MockServer::start_blocking();
    let plain = support::client(&server);
    blocking::Client::new(plain.clone()).expect("a thread").upload(batch()).expect("http needs no certificates");
    let uploader = Uploader::builder(plain).start().expect("a thread");
    uploader.try_send(batch()).expect("room");
    assert_eq!(uploader.shutdown(std::time::Duration::from_secs(60)).wait().delivered, 1);
}

#[cfg(feature = "native-tls")]
#[tokio::test]
async fn by_the_platform() {
    uploads_only_where_the_certificate_is_trusted(ClientBuilder::tls_backend_native).await;
}
