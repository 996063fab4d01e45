//! Readiness of a session: whether it is online, and whether its phone has shared the app-state
//! keys, which only the phone has.
//!
//! The engine calls a device connected when it has read the account's app state. WhatsApp lets the
//! device in long before, and messages come and go; and a phone that is off, or lost its network
//! while it linked the device, may share its keys in a week or never.

use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use tokio::sync::watch;
use whatsapp_rust::Client;
use whatsapp_rust::types::events::{Event, EventHandler, EventInterest, EventKind};

use super::link_events::{LinkEvent, LinkEventSender};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;

/// How long a newly linked device waits for its phone's first messages, which follow at once.
const PAIRING_GRACE: Duration = Duration::from_secs(3);
/// Time after which the engine closes a connection on which it could not read the app state, to ask
/// the phone once more.
const ENGINE_HANGUP: Duration = Duration::from_secs(180);

/// Whether an app-state key is present; cheap to clone.
#[derive(Clone)]
pub(in crate::whatsapp) struct AppStateKeys(Arc<watch::Sender<bool>>);

impl AppStateKeys {
    pub fn new(are_there: bool) -> Self {
        Self(Arc::new(watch::Sender::new(are_there)))
    }

    /// Records that the phone has shared a key.
    pub fn mark_shared(&self) {
        self.0.send_replace(true);
    }

    fn is_shared(&self) -> bool {
        *self.0.borrow()
    }

    /// Completes when a key is present.
    async fn wait_until_shared(self) {
        // This struct holds the sender, so waiting cannot fail.
        let _ = self.0.subscribe().wait_for(|are_there| *are_there).await;
    }

    /// Sleeps for the engine. The engine asks the phone once per login, and the phone finds the
    /// request when it is back. So closing the connection is useless before the key is present;
    /// after that, it makes the engine read the app state.
    pub async fn sleep(self, clock: Clock, duration: Duration) {
        clock.sleep(duration).await;
        if duration == ENGINE_HANGUP {
            self.wait_until_shared().await;
        }
    }
}

/// Reports when the session of one client is online.
pub(in crate::whatsapp) struct ReadinessHandler(Arc<ReadinessState>);

struct ReadinessState {
    client: Weak<Client>,
    keys: AppStateKeys,
    reports: LinkEventSender,
    clock: Clock,
    tasks: Lifecycle,
    /// Whether this client linked the device and its phone has not sent anything yet.
    is_new: AtomicBool,
    /// Increases with every connection that begins to work or ends.
    connection: AtomicU64,
}

impl ReadinessHandler {
    pub fn new(
        client: &Arc<Client>,
        keys: AppStateKeys,
        reports: LinkEventSender,
        clock: Clock,
        tasks: Lifecycle,
    ) -> Self {
        let (is_new, connection) = (AtomicBool::new(false), AtomicU64::new(0));
        Self(Arc::new(ReadinessState {
            client: Arc::downgrade(client),
            keys,
            reports,
            clock,
            tasks,
            is_new,
            connection,
        }))
    }
}

impl ReadinessState {
    /// WhatsApp has let the device in and delivered the waiting messages.
    fn handle_login(self: &Arc<Self>) {
        let connection = self.connection.fetch_add(1, Ordering::SeqCst) + 1;
        if !self.is_new.load(Ordering::SeqCst) {
            return self.reports.send(LinkEvent::LoggedIn);
        }
        let watch = Arc::clone(self);
        self.tasks.spawn(async move {
            watch
                .tasks
                .unless_stopping(watch.clock.sleep(PAIRING_GRACE))
                .await;
            let is_there = watch
                .client
                .upgrade()
                .is_some_and(|client| client.is_logged_in());
            if is_there && watch.connection.load(Ordering::SeqCst) == connection {
                watch.reports.send(LinkEvent::LoggedIn);
            }
        });
    }

    /// The engine has read the app state, or requests no more than it has.
    fn handle_connected(self: &Arc<Self>) {
        let connection = self.connection.fetch_add(1, Ordering::SeqCst) + 1;
        self.is_new.store(false, Ordering::SeqCst);
        if self.keys.is_shared() {
            return self.reports.send(LinkEvent::Online);
        }
        self.reports.send(LinkEvent::LoggedIn);
        let watch = Arc::clone(self);
        self.tasks.spawn(async move {
            let shared = watch
                .tasks
                .unless_stopping(watch.keys.clone().wait_until_shared())
                .await;
            if shared.is_some() && watch.connection.load(Ordering::SeqCst) == connection {
                watch.reports.send(LinkEvent::Online);
            }
        });
    }
}

impl EventHandler for ReadinessHandler {
    fn handle_event(&self, event: Arc<Event>) {
        match &*event {
            Event::PairSuccess(_) => self.0.is_new.store(true, Ordering::SeqCst),
            Event::OfflineSyncCompleted(_) => self.0.handle_login(),
            Event::Connected(_) => self.0.handle_connected(),
            Event::Disconnected(_) => drop(self.0.connection.fetch_add(1, Ordering::SeqCst)),
            _ => {}
        }
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[
            EventKind::PairSuccess,
            EventKind::OfflineSyncCompleted,
            EventKind::Connected,
            EventKind::Disconnected,
        ])
    }
}
