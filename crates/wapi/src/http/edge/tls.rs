//! The certificate HTTPS is served with; a new one is taken up without a new start.

use std::io;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::Duration;

use anyhow::{Context, Result, bail};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use tokio::net::TcpStream;
use tokio_rustls::TlsAcceptor;
use tokio_rustls::server::TlsStream;

use crate::clock::Clock;
use crate::config::CertificateFiles;
use crate::lifecycle::{Hangups, Lifecycle};

/// How often the files are looked at.
const LOOK_EVERY: Duration = Duration::from_secs(60);

/// Shakes hands as the server; cheap to clone.
#[derive(Clone)]
pub struct Tls {
    files: CertificateFiles,
    current: Arc<RwLock<Current>>,
}

struct Current {
    config: Arc<ServerConfig>,
    /// The files it was made of.
    certificate: Vec<u8>,
    key: Vec<u8>,
}

impl Tls {
    /// Reads the files, or says what is wrong with them.
    pub async fn open(files: CertificateFiles) -> Result<Self> {
        let current = Current::read(&files).await?;
        Ok(Self { files, current: Arc::new(RwLock::new(current)) })
    }

    /// Takes up what the files hold now; whether that is something new. What is wrong with them changes nothing.
    pub async fn renew(&self) -> Result<bool> {
        let found = Current::read(&self.files).await?;
        let mut current = self.current.write().unwrap_or_else(PoisonError::into_inner);
        if (&found.certificate, &found.key) == (&current.certificate, &current.key) {
            return Ok(false);
        }
        *current = found;
        Ok(true)
    }

    /// Takes up new files now and then, and whenever somebody asks for it, until the soft stop.
    pub async fn keep_renewing(self, mut hangups: Hangups, clock: Clock, lifecycle: Lifecycle) {
        let mut complaint = String::new();
        loop {
            let woken = async {
                tokio::select! {
                    () = clock.sleep(LOOK_EVERY) => {}
                    () = hangups.next() => {}
                }
            };
            if lifecycle.unless_stopping(woken).await.is_none() {
                return;
            }
            match self.renew().await {
                Ok(is_new) => {
                    complaint.clear();
                    if is_new {
                        tracing::info!("a new certificate is served from now on");
                    }
                }
                Err(error) => {
                    // Said once, not at every look; one half of a pair may have been written already.
                    let told = format!("{error:#}");
                    if told != complaint {
                        tracing::warn!(error = told, "the certificate cannot be renewed; the former one is served on");
                        complaint = told;
                    }
                }
            }
        }
    }

    pub(super) async fn accept(&self, socket: TcpStream) -> io::Result<TlsStream<TcpStream>> {
        let config = Arc::clone(&self.current.read().unwrap_or_else(PoisonError::into_inner).config);
        TlsAcceptor::from(config).accept(socket).await
    }
}

impl Current {
    async fn read(files: &CertificateFiles) -> Result<Self> {
        let CertificateFiles { certificate, key } = files;
        let read = async |name: &str, path: &std::path::Path| {
            let read = tokio::fs::read(path).await;
            read.with_context(|| format!("{name} names {}, which cannot be read", path.display()))
        };
        let (certificate_pem, key_pem) =
            (read("WAPI_CERT_FILE_PATH", certificate).await?, read("WAPI_CERT_KEY_PATH", key).await?);
        let config = config(&certificate_pem, &key_pem).with_context(|| {
            format!(
                "WAPI_CERT_FILE_PATH ({}) and WAPI_CERT_KEY_PATH ({}) are not a PEM certificate and its key",
                certificate.display(),
                key.display()
            )
        })?;
        Ok(Self { config: Arc::new(config), certificate: certificate_pem, key: key_pem })
    }
}

fn config(certificate: &[u8], key: &[u8]) -> Result<ServerConfig> {
    let chain: Vec<_> = CertificateDer::pem_slice_iter(certificate).collect::<Result<_, _>>()?;
    if chain.is_empty() {
        bail!("there is no certificate in the first");
    }
    let key = PrivateKeyDer::from_pem_slice(key).context("there is no key in the second")?;
    let mut config = ServerConfig::builder().with_no_client_auth().with_single_cert(chain, key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(config)
}
