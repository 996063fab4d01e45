//! Link: one linked device's connection to WhatsApp, from dialling to its end. An ended link is
//! replaced, never revived.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;
use tokio::sync::{OnceCell, mpsc};
use whatsapp_rust::pair_code::PairCodeOptions;
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::types::events::{EventHandler, Subscription};
use whatsapp_rust::types::message::{MessageInfo, MessageSource};
use whatsapp_rust::wacore::iq::devices::RemoveCompanionDeviceSpec;
use whatsapp_rust::wacore::iq::keepalive::KeepaliveSpec;
use whatsapp_rust::wacore::pair_code::PairCodeUtils;
use whatsapp_rust::{Client, Jid, PresenceStatus, RawNodeLease};

use super::link_events::{EndGuard, LinkEvent, LinkEventSender};
use super::liveness::LastInbound;
use crate::model::event::Account;
use crate::model::message::ChatId;
use crate::store::{DeviceLife, Life};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;
use crate::whatsapp::device_store::{DecryptedBuffer, EngineStore};
use crate::whatsapp::notifications::calls::RingingCalls;
use crate::whatsapp::notifications::labels::LabelObserver;
use crate::whatsapp::queries::newsletters::{FollowedNewsletters, NewsletterParts};
use crate::whatsapp::receive::newsletter_backfill::PostReader;
use crate::whatsapp::request_error::RequestError;
use crate::whatsapp::send::encode;
use crate::whatsapp::send::receipts::{AckOrReceipt, ReceiptHandler};
use crate::whatsapp::send::resend::ResendTracker;

/// Time for the engine to disconnect. It can hang in a write to a dead socket.
const DISCONNECT_TIMEOUT: Duration = Duration::from_secs(10);
/// Time for the engine's tasks to end. Some wait for the client to be dropped and would never.
const TASKS_TIMEOUT: Duration = Duration::from_millis(200);

/// Time for each of the steps that save what a connection leaves.
const SAVE_TIMEOUT: Duration = Duration::from_secs(5);

/// Parts of the device's saved state.
type DeviceParts = (
    Arc<PersistenceManager>,
    Arc<EngineStore>,
    Arc<DecryptedBuffer>,
);

/// A handle on the engine's client for one session.
pub struct Link {
    pub(in crate::whatsapp) client: Arc<Client>,
    pub(in crate::whatsapp) persistence: Arc<PersistenceManager>,
    backend: Arc<EngineStore>,
    decrypted: Arc<DecryptedBuffer>,
    tasks: Lifecycle,
    pub(in crate::whatsapp) reports: LinkEventSender,
    last_inbound: Arc<LastInbound>,
    pub(in crate::whatsapp) clock: Clock,
    /// Time that WhatsApp has for an answer.
    pub(in crate::whatsapp) answer_timeout: Duration,
    pub(in crate::whatsapp) session: String,
    lifeline: DeviceLife,
    pub(in crate::whatsapp) ringing: RingingCalls,
    /// Held during a request for a pairing code.
    pairing_code_lock: tokio::sync::Mutex<()>,
    /// When the last pairing code can no longer link a phone.
    pairing_code_end: Mutex<Option<Timestamp>>,
    pub(in crate::whatsapp) followed: Arc<FollowedNewsletters>,
    pub(in crate::whatsapp) posts: Arc<PostReader>,
    pub(in crate::whatsapp) labels: LabelObserver,
    pub(in crate::whatsapp) overdue: Option<ResendTracker>,
    /// Numbers that were looked up and that WhatsApp knows in another form.
    pub(in crate::whatsapp) other_numbers: Mutex<HashMap<String, String>>,
    /// Uptime of the clock until which numbers are not looked up before their messages are
    /// accepted.
    pub(in crate::whatsapp) query_paused_until: Mutex<Duration>,
    /// Set once WhatsApp has sent its feature switches.
    pub(in crate::whatsapp) switches: OnceCell<()>,
    /// Whether edits are encrypted, once that is known.
    pub(in crate::whatsapp) edits_are_sealed: OnceCell<bool>,
    /// People with Signal sessions made ahead of a message to many.
    pub(in crate::whatsapp) session_peers: Mutex<HashSet<Jid>>,
    /// Held during a change to a group: WhatsApp refuses too many at once.
    pub(in crate::whatsapp) group_changes: tokio::sync::Mutex<()>,
    /// Makes the engine forward raw stanzas: retry requests are seen nowhere else.
    _stanzas: RawNodeLease,
    _subscriptions: [Subscription; 2],
}

impl Link {
    #[expect(
        clippy::too_many_arguments,
        reason = "each is a part of its own that the link keeps"
    )]
    pub(in crate::whatsapp) fn new(
        client: Arc<Client>,
        (persistence, backend, decrypted): DeviceParts,
        tasks: Lifecycle,
        reports: LinkEventSender,
        last_inbound: Arc<LastInbound>,
        receipts: mpsc::UnboundedSender<AckOrReceipt>,
        clock: Clock,
        answer_timeout: Duration,
        lifeline: DeviceLife,
        (followed, posts): NewsletterParts,
        labels: LabelObserver,
    ) -> Self {
        let receipts = ReceiptHandler::new(receipts, reports.clone(), Arc::clone(&persistence));
        let handlers: [Arc<dyn EventHandler>; 2] = [Arc::new(reports.clone()), Arc::new(receipts)];
        let subscriptions = handlers.map(|handler| client.subscribe_handler(handler));
        let (session, ringing, overdue) =
            (lifeline.name().to_owned(), RingingCalls::default(), None);
        let pairing_code_lock = tokio::sync::Mutex::default();
        Self {
            _stanzas: client.acquire_raw_node_forwarding(),
            client,
            persistence,
            backend,
            decrypted,
            tasks,
            reports,
            last_inbound,
            clock,
            answer_timeout,
            session,
            lifeline,
            ringing,
            pairing_code_lock,
            pairing_code_end: Mutex::default(),
            followed,
            posts,
            labels,
            overdue,
            other_numbers: Mutex::default(),
            query_paused_until: Mutex::default(),
            switches: OnceCell::new(),
            edits_are_sealed: OnceCell::new(),
            session_peers: Mutex::default(),
            group_changes: tokio::sync::Mutex::default(),
            _subscriptions: subscriptions,
        }
    }

    /// Sets the ringing calls of the session.
    pub(in crate::whatsapp) fn with_calls(mut self, ringing: RingingCalls) -> Self {
        self.ringing = ringing;
        self
    }

    /// Sets the watch over sent messages.
    pub(in crate::whatsapp) fn with_resend_tracker(mut self, overdue: ResendTracker) -> Self {
        self.overdue = Some(overdue);
        self
    }

    /// Returns the life that the device belongs to; `None` before pairing.
    pub fn life(&self) -> Option<Life> {
        let known = self.lifeline.linked_life();
        known.or_else(|| Some(self.lifeline.link_account(&self.account()?.phone).clone()))
    }

    /// Dials, logs in or asks to be paired, and reconnects, until the link is over.
    pub fn start(&self) {
        let (client, farewell) = (Arc::clone(&self.client), EndGuard(self.reports.clone()));
        self.tasks.spawn(async move {
            let _farewell = farewell;
            client.run().await;
        });
    }

    /// Returns the linked account; `None` before pairing.
    pub fn account(&self) -> Option<Account> {
        let device = self.persistence.get_device_snapshot();
        let phone = device.pn.as_ref()?.user_base().to_owned();
        let lid = device.lid.as_ref().map(|lid| lid.to_non_ad_string());
        let name = Some(device.push_name.clone()).filter(|name| !name.is_empty());
        Some(Account { phone, lid, name })
    }

    /// Returns the LID of a number, or the number of a LID, if it is known.
    pub async fn find_other_address(&self, chat: &ChatId) -> Option<String> {
        let jid = encode::chat_jid(chat);
        let known = self.client.get_lid_pn_entry(&jid).await.ok()??;
        let other = if jid.is_lid() {
            Jid::pn(&*known.phone_number)
        } else {
            Jid::lid(&*known.lid)
        };
        Some(other.to_string())
    }

    /// Saves the link's own state now: it is on the disk on return. Called for state that must not be
    /// lost: the pairing.
    pub async fn save_state(&self) -> anyhow::Result<()> {
        self.persistence.flush().await?;
        // Another task may be saving it.
        let device = self.persistence.get_device_snapshot();
        self.backend.save_account(&device.core).await?;
        Ok(self.backend.save_keys().await?)
    }

    /// Shows the account as unavailable. The phone gets no notifications while a linked device
    /// shows as available, as the engine does at most logins.
    pub fn show_unavailable(&self) {
        self.spawn_presence(PresenceStatus::Unavailable);
    }

    /// Shows the account as available, which the engine does not do at a login that reads the
    /// account's app state.
    pub fn show_available(&self) {
        self.spawn_presence(PresenceStatus::Available);
    }

    fn spawn_presence(&self, status: PresenceStatus) {
        let (client, clock) = (Arc::clone(&self.client), self.clock.clone());
        self.tasks.spawn(async move {
            match clock
                .timeout(DISCONNECT_TIMEOUT, client.presence().set(status))
                .await
            {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "failed to set the presence"),
                Err(error) => tracing::debug!(%error, "failed to set the presence"),
            }
        });
    }

    /// Makes a round trip on the wire. Returns its duration.
    pub async fn ping(&self, limit: Duration) -> Result<Duration, RequestError> {
        if !self.client.is_logged_in() {
            return Err(RequestError::Offline);
        }
        let started = self.clock.uptime();
        match self
            .clock
            .timeout(
                limit,
                self.client.execute(KeepaliveSpec::with_timeout(limit)),
            )
            .await
        {
            Ok(Ok(())) => Ok(self.clock.uptime().saturating_sub(started)),
            Ok(Err(_)) if !self.client.is_logged_in() => Err(RequestError::Offline),
            Ok(Err(_)) | Err(_) => Err(RequestError::Timeout(limit)),
        }
    }

    /// Returns the time since a message last came in all the way: received, decrypted, and
    /// accepted.
    pub fn last_inbound_age(&self) -> Option<Duration> {
        Some(
            self.clock
                .uptime()
                .saturating_sub(self.last_inbound.last_time()?),
        )
    }

    /// Asks the account's phone for a message, waits until one comes in, and returns the time it
    /// took. Linked devices make such requests by themselves when they could not read a message;
    /// this one is for a message that does not exist. No person sees it.
    pub async fn probe_phone(&self, limit: Duration) -> Result<Duration, RequestError> {
        let own = self
            .persistence
            .get_device_snapshot()
            .pn
            .clone()
            .filter(|_| self.client.is_logged_in());
        let own = own.ok_or(RequestError::Offline)?.to_non_ad();
        let source = MessageSource {
            chat: own.clone(),
            sender: own,
            is_from_me: true,
            ..MessageSource::default()
        };
        let missing = MessageInfo {
            source,
            id: self.client.generate_message_id(),
            ..MessageInfo::default()
        };
        let started = self.clock.uptime();
        let asking = async {
            self.client
                .send_pdo_placeholder_resend_request(&Arc::new(missing))
                .await?;
            self.last_inbound.wait_since(started).await;
            anyhow::Ok(())
        };
        match self.clock.timeout(limit, asking).await {
            Ok(Ok(())) => Ok(self.clock.uptime().saturating_sub(started)),
            Ok(Err(_)) if !self.client.is_logged_in() => Err(RequestError::Offline),
            Ok(Err(_)) | Err(_) => Err(RequestError::Timeout(limit)),
        }
    }

    /// Ends the link from outside, since it does not work as it should.
    pub fn give_up(&self, reason: &str) {
        self.reports.send(LinkEvent::Stuck {
            reason: reason.to_owned(),
        });
    }

    /// Drops a connection that may be dead and dials at once. Gives up on an engine that cannot
    /// even do that.
    pub async fn redial(&self) {
        // It may hang in a write to the very socket that is given up.
        if self
            .clock
            .timeout(DISCONNECT_TIMEOUT, self.client.reconnect_immediately())
            .await
            .is_err()
        {
            self.give_up("failed to close the connection");
        }
    }

    /// Removes this device from the account's list, and so ends the link: [`LinkEvent::LoggedOut`]
    /// follows, even if the answer got lost.
    pub async fn log_out(&self, limit: Duration) -> Result<(), RequestError> {
        let device = self
            .persistence
            .get_device_snapshot()
            .pn
            .clone()
            .filter(|_| self.client.is_logged_in());
        let request = RemoveCompanionDeviceSpec::new(&device.ok_or(RequestError::Offline)?);
        match self
            .clock
            .timeout(limit, self.client.execute(request))
            .await
        {
            Ok(Ok(())) => {
                self.reports.send(LinkEvent::LoggedOut {
                    reason: "a caller logged it out".to_owned(),
                });
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(RequestError::Timeout(limit)),
        }
    }

    /// Asks WhatsApp for a code that the owner of `phone` (digits) types instead of scanning; that
    /// phone shows a prompt, too. The code replaces the previous one, which becomes invalid.
    pub async fn request_pairing_code(
        &self,
        phone: &str,
        limit: Duration,
    ) -> Result<String, RequestError> {
        let _alone = self.pairing_code_lock.lock().await;
        // The engine gives no second code while the first could still be typed.
        self.client.cancel_pair_code().await;
        let options = PairCodeOptions {
            phone_number: phone.to_owned(),
            ..PairCodeOptions::default()
        };
        match self
            .clock
            .timeout(limit, self.client.pair_with_code(options))
            .await
        {
            Ok(Ok(code)) => {
                // A phone that takes the code at its last moment still needs to finish.
                let end = PairCodeUtils::code_validity()
                    + PairCodeUtils::primary_hello_pair_success_timeout();
                *self.pairing_code_end.lock() = self.clock.now().checked_add(end).ok();
                Ok(code)
            }
            Ok(Err(error)) => Err(RequestError::Rejected(error.to_string())),
            Err(_) => Err(RequestError::Timeout(limit)),
        }
    }

    /// Returns when the last pairing code can no longer link a phone, if one was given out.
    pub fn pairing_code_end(&self) -> Option<Timestamp> {
        *self.pairing_code_end.lock()
    }

    /// Returns whether an address is this account's number.
    pub(in crate::whatsapp) fn is_own_number(&self, jid: &Jid) -> bool {
        self.persistence
            .get_device_snapshot()
            .pn
            .as_ref()
            .is_some_and(|own| own.user_base() == jid.user_base())
    }

    /// Saves the messages that were being decrypted when the connection ended: the engine gathers
    /// them for its next connection, and has written the keys that read them.
    async fn save_last_messages(&self) -> anyhow::Result<()> {
        let saving = async {
            self.client.flush_pending_signal_state().await?;
            anyhow::Ok(self.decrypted.save_messages().await?)
        };
        self.clock.timeout(SAVE_TIMEOUT, saving).await?
    }

    /// Disconnects, and waits for the engine's tasks to end or aborts them. The saved state is on
    /// the disk afterwards, or a warning is logged.
    pub async fn close(&self) {
        if self
            .clock
            .timeout(DISCONNECT_TIMEOUT, self.client.disconnect())
            .await
            .is_err()
        {
            tracing::warn!("dropped a connection that did not close in time");
        }
        self.tasks.finish(&self.clock, TASKS_TIMEOUT).await;
        if let Err(error) = self.save_last_messages().await {
            tracing::warn!(
                error = format!("{error:#}"),
                "failed to save the last messages of a connection; they are asked for again"
            );
        }
        let saved = self.clock.timeout(SAVE_TIMEOUT, self.save_state()).await;
        if !matches!(saved, Ok(Ok(()))) {
            tracing::warn!("failed to save the state at the end of a connection");
        }
        let closing = self.clock.timeout(SAVE_TIMEOUT, self.backend.close());
        if closing.await.is_err() {
            tracing::warn!("a write of a connection's keys is still waiting for the disk");
        }
    }
}

impl Drop for Link {
    /// Ends the tasks of a link that was dropped before it was closed; they would keep its
    /// connection up beside the next one.
    fn drop(&mut self) {
        self.tasks.abort();
    }
}
