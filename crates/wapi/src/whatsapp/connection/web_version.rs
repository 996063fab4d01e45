//! Version of WhatsApp Web that the gateway claims, fetched once a day for the whole process.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::Mutex;
use whatsapp_rust::http::HttpClient;
use whatsapp_rust::version::fetch_latest_app_version;

use crate::config::WhatsappAddress;
use crate::system::clock::Clock;

type WebVersion = (u32, u32, u32);

/// WhatsApp turns away versions that are months old, not those of yesterday.
const FRESH_FOR: Duration = Duration::from_secs(24 * 3600);
/// A simulated WhatsApp accepts any version.
const SIMULATED: WebVersion = (2, 3000, 1_026_131_876);

/// The version that all sessions share.
pub(in crate::whatsapp) struct VersionFetcher {
    fixed: Option<WebVersion>,
    http: Arc<dyn HttpClient>,
    clock: Clock,
    /// The last fetched version, and the uptime at that moment.
    fetched: Mutex<Option<(WebVersion, Duration)>>,
}

impl VersionFetcher {
    pub fn new(address: &WhatsappAddress, http: Arc<dyn HttpClient>, clock: Clock) -> Self {
        let fixed = matches!(address, WhatsappAddress::Simulated { .. }).then_some(SIMULATED);
        Self {
            fixed,
            http,
            clock,
            fetched: Mutex::new(None),
        }
    }

    /// Returns the version; `None` if it was never fetched. The engine then fetches it when it
    /// dials.
    pub async fn current_version(&self) -> Option<WebVersion> {
        if self.fixed.is_some() {
            return self.fixed;
        }
        // Held while fetching, so that many sessions starting at once fetch once.
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
