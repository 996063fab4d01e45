//! TLS certificate for HTTPS, renewed without a restart.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use parking_lot::RwLock;
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::config::CertificateFiles;
use crate::system::clock::Clock;
use crate::system::lifecycle::{HangupSignals, Lifecycle};

/// Interval between checks of the files.
const CHECK_INTERVAL: Duration = Duration::from_secs(60);

/// Accepts TLS connections; cheap to clone.
#[derive(Clone)]
pub struct TlsServer {
    files: CertificateFiles,
    current: Arc<RwLock<LoadedCertificate>>,
}

struct LoadedCertificate {
    config: Arc<ServerConfig>,
    /// Contents of the files it was made from.
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl TlsServer {
    /// Reads the files, or returns an error that names their fault.
    pub async fn open(files: CertificateFiles) -> Result<Self> {
        let current = LoadedCertificate::read(&files).await?;
        Ok(Self {
            files,
            current: Arc::new(RwLock::new(current)),
        })
    }

    /// Loads the current contents of the files. Returns whether they changed; on an error the
    /// former certificate stays.
    pub async fn renew_certificate(&self) -> Result<bool> {
        let found = LoadedCertificate::read(&self.files).await?;
        let mut current = self.current.write();
        if (&found.certificate, &found.key) == (&current.certificate, &current.key) {
            return Ok(false);
        }
        *current = found;
        Ok(true)
    }

    /// Renews the certificate periodically and at every SIGHUP, until the soft stop.
    pub async fn keep_renewing(
        self,
        mut hangups: HangupSignals,
        clock: Clock,
        lifecycle: Lifecycle,
    ) {
        let mut complaint = String::new();
        loop {
            let woken = async {
                tokio::select! {
                    () = clock.sleep(CHECK_INTERVAL) => {}
                    () = hangups.next() => {}
                }
            };
            if lifecycle.unless_stopping(woken).await.is_none() {
                return;
            }
            match self.renew_certificate().await {
                Ok(is_new) => {
                    complaint.clear();
                    if is_new {
                        tracing::info!("serving a new certificate");
                    }
                }
                Err(error) => {
                    // Logged once, not at every check; one file of the pair may have been replaced
                    // before the other.
                    let problem = format!("{error:#}");
                    if problem != complaint {
                        tracing::warn!(
                            error = problem,
                            "failed to load the new certificate; still serving the previous one"
                        );
                        complaint = problem;
                    }
                }
            }
        }
    }

    pub(super) async fn accept(&self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.current.read().config);
        TlsAcceptor::from(config).accept(socket).await
    }
}

impl LoadedCertificate {
    async fn read(files: &CertificateFiles) -> Result<Self> {
        let CertificateFiles { certificate, key } = files;
        let read = async |name: &str, path: &std::path::Path| {
            let read = tokio::fs::read(path).await;
            read.with_context(|| format!("{name} names {}, which cannot be read", path.display()))
        };
        let (certificate_pem, key_pem) = (
            read("WAPI_CERT_FILE_PATH", certificate).await?,
            read("WAPI_CERT_KEY_PATH", key).await?,
        );
        let config = server_config(&certificate_pem, &key_pem).with_context(|| {
            format!(
                "WAPI_CERT_FILE_PATH ({}) and WAPI_CERT_KEY_PATH ({}) are not a PEM certificate and its key",
                certificate.display(),
                key.display()
            )
        })?;
        Ok(Self {
            config: Arc::new(config),
            certificate: certificate_pem,
            key: key_pem,
        })
    }
}

fn server_config(certificate: &[u8], key: &[u8]) -> Result<ServerConfig> {
    let (certificate, key) = (
        check_pem(certificate, "the first")?,
        check_pem(key, "the second")?,
    );
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>()?;
    if chain.is_empty() {
        bail!("there is no certificate in the first");
    }
    let key = PrivateKeyDer::from_pem_slice(key).context("there is no key in the second")?;
    let mut config = ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}

/// Returns the PEM text without a byte order mark, or an error that names the actual format and how
/// to convert it.
fn check_pem<'a>(bytes: &'a [u8], which: &str) -> Result<&'a [u8]> {
    let bytes = bytes.strip_prefix("\u{feff}".as_bytes()).unwrap_or(bytes);
    let has = |words: &str| {
        bytes
            .windows(words.len())
            .any(|window| window == words.as_bytes())
    };
    // Tag of an ASN.1 sequence with a two-byte length.
    if bytes.starts_with(&[0x30, 0x82]) {
        bail!(
            "{which} is DER; convert it to PEM with `openssl x509 -inform der`, or `openssl pkey -inform der` for a key"
        );
    }
    if bytes.starts_with(&[0xff, 0xfe]) || bytes.starts_with(&[0xfe, 0xff]) {
        bail!("{which} is UTF-16; save it as UTF-8");
    }
    if has("-----BEGIN ENCRYPTED PRIVATE KEY-----") || has("Proc-Type: 4,ENCRYPTED") {
        bail!("{which} is encrypted; decrypt it with `openssl pkey`");
    }
    if !has("-----BEGIN ") {
        bail!("{which} is not PEM, which has a line `-----BEGIN …-----`");
    }
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_pem_is_told_what_it_is() {
        let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).unwrap();
        let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
        crate::net::tls::install_crypto();
        server_config(certificate.as_bytes(), key.as_bytes()).unwrap();
        server_config(
            format!("\u{feff}{certificate}").as_bytes(),
            format!("\u{feff}{key}").as_bytes(),
        )
        .unwrap();
        let utf16: Vec<u8> = "\u{feff}-----BEGIN"
            .encode_utf16()
            .flat_map(u16::to_le_bytes)
            .collect();
        let old = "-----BEGIN RSA PRIVATE KEY-----\nProc-Type: 4,ENCRYPTED\n";
        for (certificate, key, words) in [
            (made.cert.der().as_ref(), key.as_bytes(), "the first is DER"),
            (
                certificate.as_bytes(),
                b"-----BEGIN ENCRYPTED PRIVATE KEY-----\n".as_slice(),
                "the second is encrypted",
            ),
            (
                certificate.as_bytes(),
                old.as_bytes(),
                "the second is encrypted",
            ),
            (utf16.as_slice(), key.as_bytes(), "the first is UTF-16"),
            (b"".as_slice(), key.as_bytes(), "the first is not PEM"),
            (
                key.as_bytes(),
                key.as_bytes(),
                "no certificate in the first",
            ),
            (
                certificate.as_bytes(),
                certificate.as_bytes(),
                "no key in the second",
            ),
        ] {
            let problem = format!(
                "{:#}",
                server_config(certificate, key).map(drop).unwrap_err()
            );
            assert!(problem.contains(words), "{words}: {problem}");
        }
    }
}
