//! Whom TLS believes: the authorities that the machine knows, or, where it knows none, those that came with the program.

use std::sync::LazyLock;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use rustls::pki_types::CertificateDer;

/// Those of Mozilla, where the machine has none: a slim container, say. Whoever needs others puts them on the machine, or names their file
/// in `SSL_CERT_FILE`.
static BUNDLED: LazyLock<&[CertificateDer]> = LazyLock::new(|| {
    if !rustls_native_certs::load_native_certs().certs.is_empty() {
        return &[];
    }
    tracing::warn!(
        "this machine knows no certificate authorities, so those that came with the program are believed"
    );
    webpki_root_certs::TLS_SERVER_ROOT_CERTS
});

/// Those that are needed beside the machine's own: none where it has any.
pub fn bundled() -> &'static [CertificateDer<'static>] {
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
    bundled().iter().map(pem).collect()
}

/// A client that believes them. Without them, it could not even be built where the machine has none.
pub fn trusting(client: reqwest::ClientBuilder) -> reqwest::ClientBuilder {
    let certificate = |root: &CertificateDer| reqwest::Certificate::from_der(root).ok();
    match bundled() {
        [] => client,
        bundled => client.tls_certs_merge(bundled.iter().filter_map(certificate)),
    }
}
