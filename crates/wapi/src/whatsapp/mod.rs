//! The WhatsApp adapter: the only module that uses the engine.

mod connection;
mod device_store;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod history_sync;
mod media;
mod notifications;
mod queries;
mod receive;
mod send;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::mpsc;
use whatsapp_rust::http::HttpClient;
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::transport::TransportFactory;
use whatsapp_rust::{CacheConfig, CacheEntryConfig, Client};

use crate::config::WhatsappAddress;
use crate::inbound::Inbox;
use crate::model::ids::to_hex;
use crate::store::{DeviceLife, Store};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;

pub use connection::link::{Link, PairingCodeError, RoundTripError};
pub use connection::link_events::{LinkEvent, LinkEventReceiver};
use device_store::write_failures::WriteFailures;
use device_store::{DecryptedBuffer, EngineStore};
pub use history_sync::{HistoryBatch, HistoryMessage, HistorySink};
pub use media::message_upload::{AttachedFile, KnownFile};
pub use notifications::observer::ChatEvent;
pub use queries::contacts::{NumberLookup, NumberRegistration};
pub use queries::profile::{BlockOutcome, OwnProfile, PictureSize, RemotePicture};
pub use queries::requests::LinkRequestError;
pub use send::encode::Quote;
pub use send::handover::{HandoverError, PrepareError, PreparedMessage, SendContext};
pub use send::receipts::AckOrReceipt;

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
    version: Arc<connection::web_version::VersionFetcher>,
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
        let dialer = connection::transport::build_dialer(address)?;
        let http: Arc<dyn HttpClient> = Arc::new(connection::http_client::SharedClient::new(
            address,
            lifecycle.clone(),
        )?);
        let version = Arc::new(connection::web_version::VersionFetcher::new(
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
        let (announcer, announced) = history_sync::announcement_channel(archive);
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
        let (reports, signals) = connection::link_events::link_event_channel(session.clone());
        let heard = Arc::<connection::liveness::LastInbound>::default();
        let clock = self.clock.clone();
        let synced = Arc::clone(backend.file_sync());
        // Syncs the writes that an earlier run left unsynced, while the connection is made.
        let early = Arc::clone(&synced);
        tasks.spawn(async move {
            // The first send tries again.
            let _ = early.sync().await;
        });
        let kept = device_store::key_barrier::KeyStorage {
            decrypted: Arc::clone(&opened),
            backend: Arc::clone(&backend),
            persistence: Arc::clone(&saved),
        };
        let gate = device_store::key_barrier::KeyBarrier::new(
            kept,
            self.troubles.clone(),
            reports.clone(),
            clock.clone(),
        );
        let dialer =
            connection::transport::ReportingDialer::new(Arc::clone(&self.dialer), reports.clone());
        let unheard = connection::server_key::SilenceFlag::default();
        let dialer = connection::server_key::ServerKeyDialer::new(
            dialer,
            Arc::clone(&saved),
            unheard.clone(),
        );
        let unread = receive::undecryptable::UndecryptableHandler::new(
            session.clone(),
            Arc::clone(&inbox),
            tasks.clone(),
        );
        let posted = Arc::clone(&inbox);
        let votes = receive::poll_votes::VoteReader::new(session.clone(), self.store.clone());
        let hook = receive::hook::InboundHook::new(
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
            .with_runtime(connection::runtime::TrackedRuntime::new(
                tasks.clone(),
                self.clock.clone(),
                reports.clone(),
                keys.clone(),
            ))
            .with_persistence_manager(Arc::clone(&saved))
            .with_transport_factory(device_store::key_barrier::BarrierDialer::new(
                dialer,
                Arc::clone(&gate),
            ))
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
        let readiness = connection::readiness::ReadinessHandler::new(
            &client,
            keys,
            reports.clone(),
            self.clock.clone(),
            tasks.clone(),
        );
        client.subscribe_handler(Arc::new(readiness)).detach();
        let ringing = notifications::calls::RingingCalls::default();
        let (store, clock) = (&self.store, self.clock.clone());
        let observer = notifications::observer::watch_events(
            &session,
            &client,
            ringing.clone(),
            &tasks,
            &reports,
            store,
            clock,
        );
        client.subscribe_handler(Arc::new(observer)).detach();
        let retries = send::own_phone_retries::OwnPhoneRetries::new(
            session.clone(),
            &client,
            self.store.clone(),
            tasks.clone(),
        );
        let overdue = send::resend::ResendTracker::new(
            session.clone(),
            &client,
            self.store.clone(),
            self.clock.clone(),
            tasks.clone(),
        );
        client.subscribe_handler(Arc::new(retries)).detach();
        client.subscribe_handler(Arc::new(overdue.clone())).detach();
        announced.start_reader(session.name(), &client, &tasks);
        let reading = receive::newsletter_backfill::PostReader::start(
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
