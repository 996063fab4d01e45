//! TLS: its provider, and the trusted certificate authorities, which are the machine's, or the bundled
//! ones where it has none.

use std::sync::{Arc, LazyLock};

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::crypto::{CryptoProvider, verify_tls12_signature, verify_tls13_signature};
use rustls::pki_types::{CertificateDer, ServerName, UnixTime};
use rustls::{ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};

/// Mozilla's authorities, for machines without any, such as a slim container. Operators who need
/// others install them on the machine, or name their file in `SSL_CERT_FILE`.
static BUNDLED: LazyLock<&[CertificateDer]> = LazyLock::new(|| {
    if !rustls_native_certs::load_native_certs().certs.is_empty() {
        return &[];
    }
    tracing::warn!(
        "this machine has no certificate authorities; using those that come with the program"
    );
    webpki_root_certs::TLS_SERVER_ROOT_CERTS
});

/// Returns the authorities needed beside the machine's own: none where it has any.
pub fn bundled_roots() -> &'static [CertificateDer<'static>] {
    &BUNDLED
}

/// The same as PEM.
pub fn bundled_pem() -> String {
    let pem = |root: &CertificateDer| {
        format!(
            "-----BEGIN CERTIFICATE-----\n{}\n-----END CERTIFICATE-----\n",
            STANDARD.encode(root)
        )
    };
    bundled_roots().iter().map(pem).collect()
}

/// Returns a client builder that trusts them. Without them, the client could not even be built on a
/// machine without authorities.
pub fn trust_bundled_roots(client: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    let certificate = |root: &CertificateDer| reqwest::Certificate::from_der(root).ok();
    match bundled_roots() {
        [] => client,
        bundled => client.tls_certs_merge(bundled.iter().filter_map(certificate)),
    }
}

/// Returns a client configuration that all clients with a proxy share: each of their own would hold all
/// authorities once more, and there may be a proxy for each session.
pub fn shared_client_config() -> Arc<ClientConfig> {
    static SHARED: LazyLock<Arc<ClientConfig>> =
        LazyLock::new(|| Arc::new(build_client_config(Vec::new())));
    Arc::clone(&SHARED)
}

/// Builds a configuration that trusts the machine's authorities, or the bundled ones, and these.
pub fn build_client_config(others: Vec<CertificateDer<'static>>) -> ClientConfig {
    let mut roots = RootCertStore::empty();
    roots.add_parsable_certificates(rustls_native_certs::load_native_certs().certs);
    roots.add_parsable_certificates(bundled_roots().iter().cloned());
    roots.add_parsable_certificates(others);
    ClientConfig::builder()
        .with_root_certificates(roots)
        .with_no_client_auth()
}

/// Builds a configuration that trusts every certificate, for the webhook of a developer.
pub fn unverified_client_config() -> ClientConfig {
    let builder = ClientConfig::builder();
    let provider = Arc::clone(builder.crypto_provider());
    builder
        .dangerous()
        .with_custom_certificate_verifier(Arc::new(TrustingVerifier(provider)))
        .with_no_client_auth()
}

/// Trusts every certificate. A server must still have the key of the one it shows.
#[derive(Debug)]
struct TrustingVerifier(Arc<CryptoProvider>);

impl ServerCertVerifier for TrustingVerifier {
    fn verify_server_cert(
        &self,
        _: &CertificateDer<'_>,
        _: &[CertificateDer<'_>],
        _: &ServerName<'_>,
        _: &[u8],
        _: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        Ok(ServerCertVerified::assertion())
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls12_signature(message, certificate, signature, algorithms)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        certificate: &CertificateDer<'_>,
        signature: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        let algorithms = &self.0.signature_verification_algorithms;
        verify_tls13_signature(message, certificate, signature, algorithms)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}

/// Installs ring as the TLS provider of every crate. Installing it again changes nothing.
pub fn install_crypto() {
    let _ = rustls::crypto::ring::default_provider().install_default();
}
