//! Which version of WhatsApp Web to call ourselves: asked once a day for the whole process.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use whatsapp_rust::http::HttpClient;
use whatsapp_rust::version::fetch_latest_app_version;

use crate::clock::Clock;
use crate::config::WhatsappAddress;

type Version = (u32, u32, u32);

/// WhatsApp turns away versions that are months old, not those of yesterday.
const FRESH_FOR: Duration = Duration::from_secs(24 * 3600);
/// A simulated WhatsApp takes any.
const SIMULATED: Version = (2, 3000, 1_026_131_876);

/// The version all sessions share.
pub(super) struct Versions {
    fixed: Option<Version>,
    http: Arc<dyn HttpClient>,
    clock: Clock,
    /// The last one that was fetched, and at what uptime.
    fetched: Mutex<Option<(Version, Duration)>>,
}

impl Versions {
    pub fn new(address: &WhatsappAddress, http: Arc<dyn HttpClient>, clock: Clock) -> Self {
        let fixed = matches!(address, WhatsappAddress::Simulated { .. }).then_some(SIMULATED);
        Self {
            fixed,
            http,
            clock,
            fetched: Mutex::new(None),
        }
    }

    /// `None` when it was never learnt; the engine then asks for itself when it dials.
    pub async fn current(&self) -> Option<Version> {
        if self.fixed.is_some() {
            return self.fixed;
        }
        // Held while fetching, so that many sessions starting at once ask once.
        let mut fetched = self.fetched.lock().await;
        match *fetched {
            Some((version, at)) if self.clock.uptime().saturating_sub(at) < FRESH_FOR => {
                Some(version)
            }
            stale => match fetch_latest_app_version(&self.http).await {
                Ok(version) => {
                    *fetched = Some((version, self.clock.uptime()));
                    Some(version)
                }
                Err(error) => {
                    tracing::warn!(
                        error = format!("{error:#}"),
                        "WhatsApp's current version cannot be fetched"
                    );
                    stale.map(|(version, _)| version)
                }
            },
        }
    }
}
