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
use crate::ids::hex;
use crate::lifecycle::Lifecycle;
use crate::store::{Lifeline, Store};

pub use asking::NotAnswered;
pub use attached::{Attached, Known};
use backend::{Backend, Opened};
pub use files::NotFetched;
pub use inbox::{Inbox, Incoming};
pub use link::{Link, NoAnswer, NoCode};
pub use notes::Note;
pub use numbers::{Number, Registered};
pub use observer::Happening;
pub use outgoing::Quote;
pub use past::{Archive, PastMessage, Told};
pub use profile::{Blocking, OwnProfile, Picture, PictureSize};
pub use sending::{Beside, NotHandedOver, NotPrepared, Prepared};
pub use signals::{Signal, Signals};
use troubles::Troubles;

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
    version: Arc<version::Versions>,
    store: Store,
    clock: Clock,
    lifecycle: Lifecycle,
    troubles: Troubles,
}

impl Whatsapp {
    /// Prepares connections to the WhatsApp at `address`; dials nothing yet.
    pub fn new(
        address: &WhatsappAddress,
        store: Store,
        clock: Clock,
        lifecycle: Lifecycle,
    ) -> Result<Self> {
        let dialer = transport::dialer(address)?;
        let http: Arc<dyn HttpClient> =
            Arc::new(http_client::SharedClient::new(address, lifecycle.clone())?);
        let version = Arc::new(version::Versions::new(
            address,
            Arc::clone(&http),
            clock.clone(),
        ));
        let troubles = Troubles::default();
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
    pub fn trouble(&self) -> Option<String> {
        self.troubles.worst()
    }

    /// Opens or creates a session's saved state and prepares a link with it. Nothing is dialled
    /// before [`Link::start`].
    ///
    /// The file belongs to a session or is absent: see [`crate::store::session_file`]. Received
    /// messages go to `inbox`, acknowledgements and receipts of sent ones to `notes`, the phone's
    /// history sync to `archive`, if requested; all else comes out of the returned signals.
    pub async fn link(
        &self,
        session: Lifeline,
        file: &Path,
        inbox: Arc<dyn Inbox>,
        notes: mpsc::UnboundedSender<Note>,
        archive: Option<Arc<dyn Archive>>,
    ) -> Result<(Link, Signals)> {
        let is_past_skipped = archive.is_none();
        let (announcer, announced) = past::channel(archive);
        let opened = Arc::new(Opened::new(session.clone(), self.store.clone()));
        let backend = Backend::open(
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
        announced.ask(&saved).await;
        let tasks = self.lifecycle.child();
        let (reports, signals) = signals::channel(session.clone());
        let heard = Arc::<heard::Heard>::default();
        let clock = self.clock.clone();
        let synced = Arc::clone(backend.synced());
        // Syncs the writes that an earlier run left unsynced, while the connection is made.
        let early = Arc::clone(&synced);
        tasks.spawn(async move {
            // The first send tries again.
            let _ = early.sync().await;
        });
        let kept = wire_gate::Kept {
            opened: Arc::clone(&opened),
            backend: Arc::clone(&backend),
            saved: Arc::clone(&saved),
        };
        let gate =
            wire_gate::Gate::new(kept, self.troubles.clone(), reports.clone(), clock.clone());
        let dialer = transport::ReportingDialer::new(Arc::clone(&self.dialer), reports.clone());
        let unheard = server_key::Unheard::default();
        let dialer = server_key::Introducer::new(dialer, Arc::clone(&saved), unheard.clone());
        let unread = unread::UnreadTeller::new(session.clone(), Arc::clone(&inbox), tasks.clone());
        let posted = Arc::clone(&inbox);
        let votes = votes::Votes::new(session.clone(), self.store.clone());
        let hook = inbox::Hook::new(
            session.clone(),
            inbox,
            opened,
            votes,
            Arc::clone(&heard),
            clock,
            tasks.clone(),
        );
        let hook = hook.announcing(announcer);
        let mut builder = Client::builder()
            .with_runtime(runtime::TrackedRuntime::new(
                tasks.clone(),
                self.clock.clone(),
                reports.clone(),
                keys.clone(),
            ))
            .with_persistence_manager(Arc::clone(&saved))
            .with_transport_factory(wire_gate::GatedDialer::new(dialer, Arc::clone(&gate)))
            .with_http_client_arc(Arc::clone(&self.http))
            .with_cache_config(caches())
            .with_inbound_durability_hook(hook)
            .with_skip_history_sync(is_past_skipped)
            .with_wanted_pre_key_count(ONE_TIME_KEYS)
            .with_background_saver_interval(SAVE_EVERY);
        if let Some(version) = self.version.current().await {
            builder = builder.with_version_override(version);
        }
        let client = builder
            .build()
            .await
            .context("preparing the session")?
            .into_client();
        gate.belongs_to(&client);
        client.subscribe_handler(gate).detach();
        client.subscribe_handler(Arc::new(unread)).detach();
        client.subscribe_handler(Arc::new(unheard)).detach();
        let readiness = readiness::Readiness::new(
            &client,
            keys,
            reports.clone(),
            self.clock.clone(),
            tasks.clone(),
        );
        client.subscribe_handler(Arc::new(readiness)).detach();
        let ringing = calls::Ringing::default();
        let (store, clock) = (&self.store, self.clock.clone());
        let observer = observer::watch(
            &session,
            &client,
            ringing.clone(),
            &tasks,
            &reports,
            store,
            clock,
        );
        client.subscribe_handler(Arc::new(observer)).detach();
        let retries =
            retries::Retries::new(session.clone(), &client, self.store.clone(), tasks.clone());
        let overdue = overdue::Overdue::new(
            session.clone(),
            &client,
            self.store.clone(),
            self.clock.clone(),
            tasks.clone(),
        );
        client.subscribe_handler(Arc::new(retries)).detach();
        client.subscribe_handler(Arc::new(overdue.clone())).detach();
        announced.read(session.name(), &client, &tasks);
        let reading = posts::Posts::start(
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
        Ok((link.with_calls(ringing).watching(overdue), signals))
    }
}

/// Returns cache sizes below the engine's own, for many sessions in one process. The cache of
/// number ↔ LID pairs stays unbounded: the engine does not survive evictions from it.
fn caches() -> CacheConfig {
    let hour = Some(Duration::from_secs(3600));
    CacheConfig {
        group_cache: CacheEntryConfig::new(hour, 100),
        device_registry_cache: CacheEntryConfig::new(hour, 2_000),
        seed_msg_secrets_from_history: false,
        ..CacheConfig::default()
    }
}
