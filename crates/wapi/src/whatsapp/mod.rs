//! The WhatsApp adapter: the only module that uses the engine.

mod asking;
mod attached;
mod backend;
mod calls;
mod chat_list;
mod files;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod groups;
mod heard;
mod http_client;
mod inbox;
mod incoming;
mod left_behind;
mod link;
mod migration;
mod moments;
mod newsletters;
mod notes;
mod numbers;
mod observer;
mod outgoing;
mod overdue;
mod past;
mod plain_files;
mod posts;
mod profile;
mod readiness;
mod retries;
mod rights;
mod runtime;
mod sealed_edits;
mod sending;
mod server_key;
mod shop;
mod signals;
mod status;
mod strangers;
mod transport;
mod troubles;
mod trust;
mod unread;
mod version;
mod votes;
mod wire_gate;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::mpsc;
use whatsapp_rust::http::HttpClient;
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::transport::TransportFactory;
use whatsapp_rust::{CacheConfig, CacheEntryConfig, Client};

use crate::clock::Clock;
use crate::config::WhatsappAddress;
use crate::ids::to_hex;
use crate::lifecycle::Lifecycle;
use crate::store::{DeviceLife, Store};

pub use asking::LinkRequestError;
pub use attached::{AttachedFile, KnownFile};
use backend::{DecryptedBuffer, EngineStore};
pub use files::MediaDownloadError;
pub use inbox::{InboundEvent, Inbox};
pub use link::{Link, PairingCodeError, RoundTripError};
pub use notes::AckOrReceipt;
pub use numbers::{NumberLookup, NumberRegistration};
pub use observer::ChatEvent;
pub use outgoing::Quote;
pub use past::{HistoryBatch, HistoryMessage, HistorySink};
pub use profile::{BlockOutcome, OwnProfile, PictureSize, RemotePicture};
pub use sending::{HandoverError, PrepareError, PreparedMessage, SendContext};
pub use signals::{LinkEvent, LinkEventReceiver};
use troubles::WriteFailures;

/// Number of one-time keys generated and uploaded at a time. The engine's default of 812 costs a
/// new session a second of CPU time and 100 KiB. Running out of them is harmless, since WhatsApp
/// then hands out the signed key alone.
const ONE_TIME_KEYS: usize = 100;
/// Longest delay before changes to a session's own row are written.
const SAVE_EVERY: Duration = Duration::from_secs(30);

/// Resources that all sessions share on their way to WhatsApp; cheap to clone.
#[derive(Clone)]
pub struct Whatsapp {
    dialer: Arc<dyn TransportFactory>,
    http: Arc<dyn HttpClient>,
    version: Arc<version::VersionFetcher>,
    store: Store,
    clock: Clock,
    lifecycle: Lifecycle,
    troubles: WriteFailures,
}

impl Whatsapp {
    /// Prepares connections to the WhatsApp at `address`; dials nothing yet.
    pub fn new(
        address: &WhatsappAddress,
        store: Store,
        clock: Clock,
        lifecycle: Lifecycle,
    ) -> Result<Self> {
        let dialer = transport::build_dialer(address)?;
        let http: Arc<dyn HttpClient> =
            Arc::new(http_client::SharedClient::new(address, lifecycle.clone())?);
        let version = Arc::new(version::VersionFetcher::new(
            address,
            Arc::clone(&http),
            clock.clone(),
        ));
        let troubles = WriteFailures::default();
        Ok(Self {
            dialer,
            http,
            version,
            store,
            clock,
            lifecycle,
            troubles,
        })
    }

    /// Describes the problem while sessions cannot save their keys.
    pub fn write_failure(&self) -> Option<String> {
        self.troubles.describe_failures()
    }

    /// Opens or creates a session's saved state and prepares a link with it. Nothing is dialled
    /// before [`Link::start`].
    ///
    /// The file belongs to a session or is absent: see [`crate::store::session_file`]. Received
    /// messages go to `inbox`, acknowledgements and receipts of sent ones to `receipts`, the phone's
    /// history sync to `archive`, if requested; all else comes out of the returned signals.
    pub async fn open_link(
        &self,
        session: DeviceLife,
        file: &Path,
        inbox: Arc<dyn Inbox>,
        notes: mpsc::UnboundedSender<AckOrReceipt>,
        archive: Option<Arc<dyn HistorySink>>,
    ) -> Result<(Link, LinkEventReceiver)> {
        let is_past_skipped = archive.is_none();
        let (announcer, announced) = past::announcement_channel(archive);
        let opened = Arc::new(DecryptedBuffer::new(session.clone(), self.store.clone()));
        let backend = EngineStore::open(
            session.clone(),
            file,
            Arc::clone(&opened),
            self.store.clone(),
            self.clock.clone(),
        );
        let backend = Arc::new(backend.await.context("opening the saved session")?);
        let keys = backend.app_state_keys();
        let saved = PersistenceManager::new(Arc::clone(&backend) as _)
            .await
            .context("reading the saved session")?;
        let saved = Arc::new(saved);
        announced.request_history(&saved).await;
        let tasks = self.lifecycle.child();
        let (reports, signals) = signals::link_event_channel(session.clone());
        let heard = Arc::<heard::LastInbound>::default();
        let clock = self.clock.clone();
        let synced = Arc::clone(backend.file_sync());
        // Syncs the writes that an earlier run left unsynced, while the connection is made.
        let early = Arc::clone(&synced);
        tasks.spawn(async move {
            // The first send tries again.
            let _ = early.sync().await;
        });
        let kept = wire_gate::KeyStorage {
            decrypted: Arc::clone(&opened),
            backend: Arc::clone(&backend),
            persistence: Arc::clone(&saved),
        };
        let gate =
            wire_gate::KeyBarrier::new(kept, self.troubles.clone(), reports.clone(), clock.clone());
        let dialer = transport::ReportingDialer::new(Arc::clone(&self.dialer), reports.clone());
        let unheard = server_key::SilenceFlag::default();
        let dialer = server_key::ServerKeyDialer::new(dialer, Arc::clone(&saved), unheard.clone());
        let unread =
            unread::UndecryptableHandler::new(session.clone(), Arc::clone(&inbox), tasks.clone());
        let posted = Arc::clone(&inbox);
        let votes = votes::VoteReader::new(session.clone(), self.store.clone());
        let hook = inbox::InboundHook::new(
            session.clone(),
            inbox,
            opened,
            votes,
            Arc::clone(&heard),
            clock,
            tasks.clone(),
        );
        let hook = hook.with_announcer(announcer);
        let mut builder = Client::builder()
            .with_runtime(runtime::TrackedRuntime::new(
                tasks.clone(),
                self.clock.clone(),
                reports.clone(),
                keys.clone(),
            ))
            .with_persistence_manager(Arc::clone(&saved))
            .with_transport_factory(wire_gate::BarrierDialer::new(dialer, Arc::clone(&gate)))
            .with_http_client_arc(Arc::clone(&self.http))
            .with_cache_config(cache_config())
            .with_inbound_durability_hook(hook)
            .with_skip_history_sync(is_past_skipped)
            .with_wanted_pre_key_count(ONE_TIME_KEYS)
            .with_background_saver_interval(SAVE_EVERY);
        if let Some(version) = self.version.current_version().await {
            builder = builder.with_version_override(version);
        }
        let client = builder
            .build()
            .await
            .context("preparing the session")?
            .into_client();
        gate.set_client(&client);
        client.subscribe_handler(gate).detach();
        client.subscribe_handler(Arc::new(unread)).detach();
        client.subscribe_handler(Arc::new(unheard)).detach();
        let readiness = readiness::ReadinessHandler::new(
            &client,
            keys,
            reports.clone(),
            self.clock.clone(),
            tasks.clone(),
        );
        client.subscribe_handler(Arc::new(readiness)).detach();
        let ringing = calls::RingingCalls::default();
        let (store, clock) = (&self.store, self.clock.clone());
        let observer = observer::watch_events(
            &session,
            &client,
            ringing.clone(),
            &tasks,
            &reports,
            store,
            clock,
        );
        client.subscribe_handler(Arc::new(observer)).detach();
        let retries = retries::OwnPhoneRetries::new(
            session.clone(),
            &client,
            self.store.clone(),
            tasks.clone(),
        );
        let overdue = overdue::ResendTracker::new(
            session.clone(),
            &client,
            self.store.clone(),
            self.clock.clone(),
            tasks.clone(),
        );
        client.subscribe_handler(Arc::new(retries)).detach();
        client.subscribe_handler(Arc::new(overdue.clone())).detach();
        announced.start_reader(session.name(), &client, &tasks);
        let reading = posts::PostReader::start(
            session.clone(),
            &client,
            posted,
            store,
            self.clock.clone(),
            &tasks,
        );
        let (saved, clock) = ((saved, synced), self.clock.clone());
        let link = Link::new(
            client, saved, tasks, reports, heard, notes, clock, session, reading,
        );
        Ok((
            link.with_calls(ringing).with_resend_tracker(overdue),
            signals,
        ))
    }
}

/// Returns cache sizes below the engine's own, for many sessions in one process. The cache of
/// number ↔ LID pairs stays unbounded: the engine does not survive evictions from it.
fn cache_config() -> CacheConfig {
    let hour = Some(Duration::from_secs(3600));
    CacheConfig {
        group_cache: CacheEntryConfig::new(hour, 100),
        device_registry_cache: CacheEntryConfig::new(hour, 2_000),
        seed_msg_secrets_from_history: false,
        ..CacheConfig::default()
    }
}
