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
mod request_error;
mod send;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use tokio::sync::{Semaphore, mpsc};
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::{CacheConfig, CacheEntryConfig, Client};

use crate::config::WhatsappAddress;
use crate::inbound::Inbox;
use crate::model::ids::to_hex;
use crate::net::proxy::SessionProxies;
use crate::store::{DeviceLife, Store};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;

pub use connection::link::Link;
pub use connection::link_events::{LinkEvent, LinkEventReceiver};
pub use connection::outlet::ProxyCheck;
use device_store::write_failures::WriteFailures;
use device_store::{DecryptedBuffer, EngineStore};
pub use history_sync::{HistoryBatch, HistoryMessage, HistorySink};
pub use media::message_upload::{AttachedFile, KnownFile};
pub use notifications::observer::ChatEvent;
pub use queries::contacts::NumberRegistration;
pub use queries::groups::MemberAction;
pub use queries::limits::LimitsUpdate;
pub use queries::newsletters::admin::NewsletterFollower;
pub use queries::profile::privacy::PrivacyOutcome;
pub use queries::profile::{BlockOutcome, OwnProfile, PictureSize};
pub use request_error::RequestError;
pub use send::encode::Quote;
pub use send::handover::{HandoverError, PrepareError, PreparedMessage, SendContext};
pub use send::receipts::AckOrReceipt;

/// Number of one-time keys generated and uploaded at a time. The engine's default of 812 costs a
/// new session a second of CPU time and 100 KiB. Running out of them is harmless, since WhatsApp
/// then hands out the signed key alone.
const ONE_TIME_KEYS: usize = 100;
/// Conversions of databases of an earlier version under way.
const MAX_CONVERSIONS: usize = 2;
/// Time limit of a conversion; one that takes longer waits for a disk that hangs.
const CONVERSION_TIMEOUT: Duration = Duration::from_secs(600);
/// Longest delay before changes to a session's own row are written.
const SAVE_EVERY: Duration = Duration::from_secs(30);

/// Resources that all sessions share on their way to WhatsApp; cheap to clone.
#[derive(Clone)]
pub struct Whatsapp {
    outlets: Arc<connection::outlet::Outlets>,
    store: Store,
    clock: Clock,
    lifecycle: Lifecycle,
    answer_timeout: Duration,
    troubles: WriteFailures,
    /// Places for conversions: each of many at once would take too long.
    conversions: Arc<Semaphore>,
}

impl Whatsapp {
    /// Prepares connections to the WhatsApp at `address`; dials nothing yet. A request to WhatsApp
    /// fails after `answer_timeout`.
    pub fn new(
        address: &WhatsappAddress,
        proxies: SessionProxies,
        answer_timeout: Duration,
        store: Store,
        clock: Clock,
        lifecycle: Lifecycle,
    ) -> Result<Self> {
        let outlets = Arc::new(connection::outlet::Outlets::new(
            address,
            proxies,
            clock.clone(),
            lifecycle.clone(),
        )?);
        let troubles = WriteFailures::default();
        Ok(Self {
            outlets,
            store,
            clock,
            lifecycle,
            answer_timeout,
            troubles,
            conversions: Arc::new(Semaphore::new(MAX_CONVERSIONS)),
        })
    }

    /// Connects to WhatsApp through the session's proxy, and closes the connection. Returns `None`
    /// for a session without a proxy.
    pub async fn check_proxy(&self, session: &str) -> Result<Option<ProxyCheck>> {
        self.outlets.check_proxy(session).await
    }

    /// Describes the problem while sessions cannot save their keys.
    pub fn write_failure(&self) -> Option<String> {
        self.troubles.describe_failures()
    }

    /// Moves the content of the database that an earlier version kept for a session into the store and
    /// the session's file. Returns whether there is such a database, which is no longer needed.
    pub async fn convert_database(&self, session: DeviceLife, file: &Path) -> Result<bool> {
        let _place = self.conversions.acquire().await?;
        let converting = device_store::conversion::convert_database(&session, file, &self.store);
        let converted = self.clock.timeout(CONVERSION_TIMEOUT, converting).await;
        converted?.context("converting the database of an earlier version")
    }

    /// Opens a session's saved state, or begins a new device, and prepares a link with it. Nothing is
    /// dialled before [`Link::start`].
    ///
    /// The file belongs to a session or is absent: see [`crate::store::session_file`]. Received
    /// messages go to `inbox`, acknowledgements and receipts of sent ones to `receipts`, the phone's
    /// history sync to `archive`, if requested; all else comes out of the returned signals.
    pub async fn open_link(
        &self,
        session: DeviceLife,
        file: &Path,
        inbox: Arc<dyn Inbox>,
        receipts: mpsc::UnboundedSender<AckOrReceipt>,
        archive: Option<Arc<dyn HistorySink>>,
    ) -> Result<(Link, LinkEventReceiver)> {
        let outlet = self.outlets.find(session.name())?;
        let is_past_skipped = archive.is_none();
        let (announcer, announced) = history_sync::announcement_channel(archive);
        let tasks = self.lifecycle.child();
        let opened = Arc::new(DecryptedBuffer::new(session.clone(), self.store.clone()));
        let backend = EngineStore::open(
            session.clone(),
            file,
            Arc::clone(&opened),
            self.store.clone(),
            self.clock.clone(),
            &tasks,
        );
        let backend = Arc::new(backend.await.context("opening the saved session")?);
        connection::own_proxy::check_own_proxy(session.name(), &outlet, &self.store, &backend)
            .await?;
        let keys = backend.app_state_keys();
        let saved = PersistenceManager::new(Arc::clone(&backend) as _)
            .await
            .context("reading the saved session")?;
        let saved = Arc::new(saved);
        let account = saved.get_device_snapshot().pn.clone();
        let has_unsaved_labels = notifications::labels::forget_unread_collection(
            &session,
            account.as_ref(),
            &self.store,
            &*backend,
        )
        .await
        .context("preparing the saved session for labels")?;
        announced.request_history(&saved).await;
        let (reports, signals) = connection::link_events::link_event_channel(session.clone());
        let last_inbound = Arc::<connection::liveness::LastInbound>::default();
        let clock = self.clock.clone();
        let kept = device_store::key_barrier::KeyStorage {
            decrypted: Arc::clone(&opened),
            backend: Arc::clone(&backend),
            persistence: Arc::clone(&saved),
        };
        let key_barrier = device_store::key_barrier::KeyBarrier::new(
            kept,
            self.troubles.clone(),
            reports.clone(),
            clock.clone(),
        );
        let dialer =
            connection::transport::ReportingDialer::new(outlet.dialer.clone(), reports.clone());
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
            Arc::clone(&opened),
            votes,
            Arc::clone(&last_inbound),
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
                Arc::clone(&key_barrier),
            ))
            .with_http_client_arc(Arc::clone(&outlet.http))
            .with_cache_config(cache_config())
            .with_inbound_durability_hook(hook)
            .with_skip_history_sync(is_past_skipped)
            .with_wanted_pre_key_count(ONE_TIME_KEYS)
            .with_background_saver_interval(SAVE_EVERY);
        if let Some(version) = outlet.find_version().await? {
            builder = builder.with_version_override(version);
        }
        let client = builder
            .build()
            .await
            .context("preparing the session")?
            .into_client();
        key_barrier.set_client(&client);
        client.subscribe_handler(key_barrier).detach();
        let unread = Arc::new(unread);
        client.subscribe_handler(Arc::clone(&unread) as _).detach();
        let missing = Arc::new(device_store::missing_messages::MissingMessages::new(
            session.clone(),
            &client,
            &saved,
            self.store.clone(),
            unread,
            tasks.clone(),
        ));
        backend.set_missing_messages(Arc::clone(&missing));
        client.subscribe_handler(missing).detach();
        client.subscribe_handler(Arc::new(unheard)).detach();
        let readiness = connection::readiness::ReadinessHandler::new(
            &client,
            keys,
            reports.clone(),
            self.clock.clone(),
            tasks.clone(),
        );
        client.subscribe_handler(Arc::new(readiness)).detach();
        let skipped = connection::skipped_syncs::SkippedSyncs::new(&client, tasks.clone());
        client.subscribe_handler(Arc::new(skipped)).detach();
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
        let labels = notifications::labels::watch_labels(
            &session,
            has_unsaved_labels,
            &client,
            &tasks,
            &reports,
            store,
            self.clock.clone(),
        );
        client.subscribe_handler(Arc::new(labels.clone())).detach();
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
        let (saved, clock) = ((saved, backend, opened), self.clock.clone());
        let link = Link::new(
            client,
            saved,
            tasks,
            reports,
            last_inbound,
            receipts,
            clock,
            self.answer_timeout,
            session,
            reading,
            labels,
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
