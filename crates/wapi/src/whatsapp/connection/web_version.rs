//! Version of WhatsApp Web that the gateway claims, fetched once a day through each outlet.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Result, anyhow};
use tokio::sync::Mutex;
use whatsapp_rust::http::HttpClient;
use whatsapp_rust::version::fetch_latest_app_version;

use crate::config::WhatsappAddress;
use crate::system::clock::Clock;

pub(in crate::whatsapp) type WebVersion = (u32, u32, u32);

/// WhatsApp turns away versions that are months old, not those of yesterday.
const FRESH_FOR: Duration = Duration::from_secs(24 * 3600);
/// A failure is shared by the sessions that ask within this time.
const FAILED_FOR: Duration = Duration::from_secs(10);
/// A simulated WhatsApp accepts any version.
const SIMULATED: WebVersion = (2, 3000, 1_026_131_876);

/// The version that all sessions of an outlet share.
pub(in crate::whatsapp) struct VersionFetcher {
    fixed: Option<WebVersion>,
    http: Arc<dyn HttpClient>,
    clock: Clock,
    state: Mutex<FetchState>,
}

/// Results of fetching, with the uptimes at which they came.
#[derive(Default)]
struct FetchState {
    version: Option<(WebVersion, Duration)>,
    /// The last failure, if nothing was fetched since.
    failure: Option<(String, Duration)>,
}

impl VersionFetcher {
    pub fn new(address: &WhatsappAddress, http: Arc<dyn HttpClient>, clock: Clock) -> Self {
        let fixed = matches!(address, WhatsappAddress::Simulated { .. }).then_some(SIMULATED);
        Self {
            fixed,
            http,
            clock,
            state: Mutex::default(),
        }
    }

    /// Returns the version; fails if it was never fetched.
    pub async fn current_version(&self) -> Result<WebVersion> {
        if let Some(fixed) = self.fixed {
            return Ok(fixed);
        }
        // Held while fetching, so that many sessions starting at once fetch once.
        let mut state = self.state.lock().await;
        let is_young = |at: Duration, limit| self.clock.uptime().saturating_sub(at) < limit;
        match (&state.version, &state.failure) {
            (Some((version, at)), _) if is_young(*at, FRESH_FOR) => return Ok(*version),
            (stale, Some((failure, at))) if is_young(*at, FAILED_FOR) => {
                return stale
                    .map(|(version, _)| version)
                    .ok_or_else(|| anyhow!("{failure}"));
            }
            _ => {}
        }
        let fetched = fetch_latest_app_version(&self.http).await;
        let now = self.clock.uptime();
        match fetched {
            Ok(version) => {
                *state = FetchState {
                    version: Some((version, now)),
                    failure: None,
                };
                Ok(version)
            }
            Err(error) => {
                let failure = format!("{error:#}");
                tracing::warn!(
                    error = failure,
                    "failed to fetch WhatsApp's current version"
                );
                state.failure = Some((failure, now));
                state.version.map(|(version, _)| version).ok_or(error)
            }
        }
    }
}
