//! TLS over a real socket with each TLS library, with a trusted certificate and with another one.
#![cfg(any(feature = "rustls", feature = "rustls-ring", feature = "native-tls"))]

#[path = "../../support/mod.rs"]
mod support;

use std::sync::Arc;

use mparticle::ErrorKind;
#[cfg(any(feature = "rustls", feature = "native-tls"))]
use reqwest::{Certificate, ClientBuilder};
use support::peer::ACCEPTED;
use support::{batch, builder};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::rustls::ServerConfig;
use tokio_rustls::rustls::pki_types::{CertificateDer, PrivatePkcs8KeyDer};

/// Starts a server that accepts every request. Returns its URL and its certificate.
async fn server() -> (String, Vec<u8>) {
    let generated = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let certificate = CertificateDer::from(generated.cert.der().to_vec());
    let key = PrivatePkcs8KeyDer::from(generated.signing_key.serialize_der());
    let provider = Arc::new(tokio_rustls::rustls::crypto::ring::default_provider());
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
                stream.write_all(ACCEPTED.as_bytes()).await?;
                stream.flush().await
            });
        }
    });
    (url, certificate.to_vec())
}

#[cfg(any(feature = "rustls", feature = "native-tls"))]
async fn check_trust(with_library: fn(ClientBuilder) -> ClientBuilder) {
    let (url, certificate) = server().await;
    let trusting_client = builder(&url)
        .http_client(move || {
            let client = reqwest::Client::builder().tls_certs_only([Certificate::from_der(&certificate)?]);
            with_library(client).build()
        })
        .build()
        .expect("a client");
    assert_eq!(trusting_client.upload(batch()).await.expect("accepted").status(), 202);

    let default_client = builder(&url).http_client(move || with_library(reqwest::Client::builder()).build()).build();
    let error = default_client.expect("a client").upload(batch()).await.expect_err("the certificate is self-signed");
    assert_eq!((error.kind(), error.unsent().len()), (ErrorKind::Connect, 1), "{error:?}");
}

#[cfg(feature = "rustls")]
#[tokio::test]
async fn rustls_accepts_only_a_trusted_certificate() {
    check_trust(ClientBuilder::tls_backend_rustls).await;
}

/// Runs this test again in a child process with these certificates of the system.
#[cfg(target_os = "linux")]
fn run_again(test: &str, file: &std::path::Path, dir: &std::path::Path, variables: &[(&str, &str)]) {
    let mut child = std::process::Command::new(std::env::current_exe().expect("this program"));
    child.args(["--exact", test]).envs(variables.iter().copied());
    let output = child.env("SSL_CERT_FILE", file).env("SSL_CERT_DIR", dir).output().expect("a child process");
    let stdout = String::from_utf8_lossy(&output.stdout);
    assert!(output.status.success() && stdout.contains("1 passed"), "{stdout}");
}

#[cfg(target_os = "linux")]
#[tokio::test(flavor = "multi_thread")]
async fn the_default_client_accepts_only_a_certificate_that_the_system_trusts() {
    const TEST: &str = "the_default_client_accepts_only_a_certificate_that_the_system_trusts";
    const URL: &str = "MPARTICLE_TEST_TLS_URL";
    const TRUSTED: &str = "MPARTICLE_TEST_TLS_TRUSTED";
    if let (Ok(url), Ok(trusted)) = (std::env::var(URL), std::env::var(TRUSTED)) {
        let result = builder(&url).build().expect("a client").upload(batch()).await;
        let kind = result.map(|accepted| accepted.status().as_u16()).map_err(|error| error.kind());
        assert_eq!(kind, if trusted == "yes" { Ok(202) } else { Err(ErrorKind::Connect) });
        return;
    }
    let (url, certificate) = server().await;
    let (_, other) = server().await;
    let missing = std::env::temp_dir().join("mparticle-no-such-directory");
    for (certificate, trusted) in [(certificate, "yes"), (other, "no")] {
        let file = tempfile::NamedTempFile::new().expect("a file");
        std::fs::write(&file, pem(&certificate)).expect("a certificate");
        run_again(TEST, file.path(), &missing, &[(URL, &url), (TRUSTED, trusted)]);
    }
}

#[cfg(target_os = "linux")]
fn pem(certificate: &[u8]) -> String {
    use base64::Engine as _;
    let text = base64::engine::general_purpose::STANDARD.encode(certificate);
    let lines: Vec<_> = text.as_bytes().chunks(64).map(String::from_utf8_lossy).collect();
    format!("-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n", lines.join("\n"))
}

#[cfg(all(any(feature = "rustls", feature = "rustls-ring"), target_os = "linux"))]
#[test]
fn build_and_start_fail_without_certificates() {
    const CHILD: &str = "MPARTICLE_TEST_WITHOUT_CERTIFICATES";
    if std::env::var_os(CHILD).is_some() {
        return check_without_certificates();
    }
    let empty = tempfile::NamedTempFile::new().expect("a file");
    let missing = empty.path().with_extension("none");
    for (file, dir) in [(empty.path(), &*missing), (&*missing, &*missing)] {
        run_again("build_and_start_fail_without_certificates", file, dir, &[(CHILD, "1")]);
    }
}

#[cfg(all(any(feature = "rustls", feature = "rustls-ring"), target_os = "linux"))]
fn check_without_certificates() {
    use mparticle::mock::MockServer;
    use mparticle::{Client, Credentials, Error, Uploader, blocking};

    fn check(error: &Error) {
        assert_eq!((error.kind(), error.is_retryable(), error.attempts()), (ErrorKind::Config, false, 0));
        let text = error.to_string();
        for part in ["no usable certificate store", "ca-certificates", "SSL_CERT_FILE"] {
            assert!(text.contains(part), "{text}");
        }
    }

    let https = || Client::builder(Credentials::new("key", "secret"));
    check(&https().build().expect_err("https"));
    // With `rustls-ring` alone, a reqwest client that a program builds itself has no provider.
    #[cfg(feature = "rustls")]
    {
        let own = https().http_client(|| reqwest::Client::builder().tls_backend_rustls().build());
        let own = own.build().expect("the factory is not called yet");
        check(&Uploader::builder(own.clone()).start().expect_err("https"));
        check(&blocking::Client::new(own).expect("a thread").upload(batch()).expect_err("https"));
    }

    let server = MockServer::start_blocking();
    let plain = support::client(&server);
    blocking::Client::new(plain.clone()).expect("a thread").upload(batch()).expect("plain HTTP needs no certificates");
    let uploader = Uploader::builder(plain).start().expect("a thread");
    uploader.try_send(batch()).expect("room");
    assert_eq!(uploader.shutdown(std::time::Duration::from_secs(60)).wait().delivered, 1);
}

#[cfg(feature = "native-tls")]
#[tokio::test]
async fn native_tls_accepts_only_a_trusted_certificate() {
    check_trust(ClientBuilder::tls_backend_native).await;
}
