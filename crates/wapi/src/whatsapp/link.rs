//! One linked device's connection to WhatsApp, from dialling to its end. A link that ended is replaced, never revived.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use whatsapp_rust::pair_code::PairCodeOptions;
use whatsapp_rust::store::commands::DeviceCommand;
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::types::events::{EventHandler, Subscription};
use whatsapp_rust::types::message::{MessageInfo, MessageSource};
use whatsapp_rust::wacore::download::MediaType;
use whatsapp_rust::wacore::iq::devices::RemoveCompanionDeviceSpec;
use whatsapp_rust::wacore::iq::keepalive::KeepaliveSpec;
use whatsapp_rust::{Client, SendError, SendOptions, UploadOptions, waproto::whatsapp as wa};

use super::acks::Acks;
use super::heard::Heard;
use super::outgoing;
use super::signals::{Farewell, Reports, Signal};
use crate::clock::Clock;
use crate::event::Account;
use crate::lifecycle::Lifecycle;
use crate::message::{ChatId, Outgoing};

/// How long the engine may take to say goodbye. It can hang in a write to a dead socket.
const GOODBYE: Duration = Duration::from_secs(10);
/// How long its tasks may take to notice. Some wait for the client to be dropped and would never; by then everything is on disk.
const TASKS_END: Duration = Duration::from_millis(200);

/// A handle on the engine's client for one session.
pub struct Link {
    client: Arc<Client>,
    saved: Arc<PersistenceManager>,
    tasks: Lifecycle,
    reports: Reports,
    heard: Arc<Heard>,
    acks: Arc<Acks>,
    clock: Clock,
    _subscriptions: [Subscription; 2],
}

/// A message WhatsApp has taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sent {
    /// WhatsApp's id of the message.
    pub id: String,
    /// When WhatsApp took it.
    pub timestamp: Timestamp,
}

/// Why a message was not sent, or is not known to be.
#[derive(Debug, thiserror::Error)]
pub enum SendFailure {
    #[error("the session is not connected to WhatsApp")]
    Offline,
    /// WhatsApp's own code, e.g. 463: too many new contacts for now.
    #[error("WhatsApp refused the message with code {code}")]
    Refused { code: String },
    /// It may still arrive: the message left, and nothing came back.
    #[error("WhatsApp did not confirm the message within {within:?}")]
    Unconfirmed { within: Duration },
    #[error("the media could not be uploaded: {0}")]
    Upload(String),
    #[error("the message could not be sent: {0}")]
    Failed(String),
}

/// The round trip of a connection check did not come back.
#[derive(Debug, thiserror::Error)]
pub enum NoAnswer {
    #[error("it is not connected")]
    NotConnected,
    #[error("WhatsApp did not answer within {0:?}")]
    Silence(Duration),
}

/// There is no pairing code.
#[derive(Debug, thiserror::Error)]
pub enum NoCode {
    #[error("WhatsApp gave no code: {0}")]
    Refused(String),
    #[error("WhatsApp did not answer within {0:?}")]
    Silence(Duration),
}

impl Link {
    pub(super) fn new(
        client: Arc<Client>,
        saved: Arc<PersistenceManager>,
        tasks: Lifecycle,
        reports: Reports,
        heard: Arc<Heard>,
        clock: Clock,
    ) -> Self {
        let acks = Arc::new(Acks::default());
        let handlers: [Arc<dyn EventHandler>; 2] = [Arc::new(reports.clone()), Arc::clone(&acks) as _];
        let subscriptions = handlers.map(|handler| client.subscribe_handler(handler));
        Self { client, saved, tasks, reports, heard, acks, clock, _subscriptions: subscriptions }
    }

    /// Dials, logs in or asks to be paired, and reconnects, until the link is over.
    pub fn start(&self) {
        let (client, farewell) = (Arc::clone(&self.client), Farewell(self.reports.clone()));
        self.tasks.spawn(async move {
            let _farewell = farewell;
            client.run().await;
        });
    }

    /// `None` before pairing.
    pub fn account(&self) -> Option<Account> {
        let device = self.saved.get_device_snapshot();
        let phone = device.pn.as_ref()?.user_base().to_owned();
        let lid = device.lid.as_ref().map(|lid| lid.to_non_ad_string());
        let name = Some(device.push_name.clone()).filter(|name| !name.is_empty());
        Some(Account { phone, lid, name })
    }

    /// Writes what the link knows of itself to its file now. Called when something must not be lost: the pairing.
    pub async fn save(&self) -> anyhow::Result<()> {
        Ok(self.saved.flush().await?)
    }

    /// Makes the next login check WhatsApp's key anew. A server that came back with another key can be stuck otherwise: the engine
    /// keeps greeting it with the old one.
    pub async fn forget_server_key(&self) {
        self.saved.process_command(DeviceCommand::ClearServerCertChain).await;
    }

    /// The phone gets no notifications while a linked device says that it is looking, as the engine does at each login.
    pub fn look_away(&self) {
        let (client, clock) = (Arc::clone(&self.client), self.clock.clone());
        self.tasks.spawn(async move {
            match clock.timeout(GOODBYE, client.presence().set_unavailable()).await {
                Ok(Ok(())) => {}
                Ok(Err(error)) => tracing::debug!(%error, "presence was not set"),
                Err(error) => tracing::debug!(%error, "presence was not set"),
            }
        });
    }

    /// A round trip on the wire; the time it took.
    pub async fn ping(&self, limit: Duration) -> Result<Duration, NoAnswer> {
        if !self.client.is_logged_in() {
            return Err(NoAnswer::NotConnected);
        }
        let started = self.clock.uptime();
        match self.clock.timeout(limit, self.client.execute(KeepaliveSpec::with_timeout(limit))).await {
            Ok(Ok(())) => Ok(self.clock.uptime().saturating_sub(started)),
            Ok(Err(_)) if !self.client.is_logged_in() => Err(NoAnswer::NotConnected),
            Ok(Err(_)) | Err(_) => Err(NoAnswer::Silence(limit)),
        }
    }

    /// How long ago something last came in all the way: over the wire, opened, and taken over.
    pub fn heard_ago(&self) -> Option<Duration> {
        Some(self.clock.uptime().saturating_sub(self.heard.last()?))
    }

    /// Asks the account's phone for something, so that something comes in, and waits until it does; the time it took. It is a request
    /// that linked devices make by themselves when they could not read a message, here for one that does not exist. Nobody sees it.
    pub async fn ask_phone(&self, limit: Duration) -> Result<Duration, NoAnswer> {
        let own = self.saved.get_device_snapshot().pn.clone().filter(|_| self.client.is_logged_in());
        let own = own.ok_or(NoAnswer::NotConnected)?.to_non_ad();
        let source = MessageSource { chat: own.clone(), sender: own, is_from_me: true, ..MessageSource::default() };
        let missing = MessageInfo { source, id: self.client.generate_message_id(), ..MessageInfo::default() };
        let started = self.clock.uptime();
        let asking = async {
            self.client.send_pdo_placeholder_resend_request(&Arc::new(missing)).await?;
            self.heard.since(started).await;
            anyhow::Ok(())
        };
        match self.clock.timeout(limit, asking).await {
            Ok(Ok(())) => Ok(self.clock.uptime().saturating_sub(started)),
            Ok(Err(_)) if !self.client.is_logged_in() => Err(NoAnswer::NotConnected),
            Ok(Err(_)) | Err(_) => Err(NoAnswer::Silence(limit)),
        }
    }

    /// Ends the link from outside: it does not do what it should.
    pub fn give_up(&self, reason: &str) {
        self.reports.send(Signal::Stuck { reason: reason.to_owned() });
    }

    /// Drops a connection that may be dead and dials at once. An engine that cannot even do that is given up.
    pub async fn redial(&self) {
        // It may hang in a write to the very socket we are giving up on.
        if self.clock.timeout(GOODBYE, self.client.reconnect_immediately()).await.is_err() {
            self.give_up("the connection does not even close");
        }
    }

    /// Takes this device off the account's list, and so ends the link: [`Signal::LoggedOut`] follows, even where no answer came.
    pub async fn log_out(&self, limit: Duration) -> Result<(), NoAnswer> {
        let device = self.saved.get_device_snapshot().pn.clone().filter(|_| self.client.is_logged_in());
        let request = RemoveCompanionDeviceSpec::new(&device.ok_or(NoAnswer::NotConnected)?);
        match self.clock.timeout(limit, self.client.execute(request)).await {
            Ok(Ok(())) => {
                self.reports.send(Signal::LoggedOut { reason: "a caller logged it out".to_owned() });
                Ok(())
            }
            Ok(Err(_)) | Err(_) => Err(NoAnswer::Silence(limit)),
        }
    }

    /// Asks WhatsApp for a code that the owner of `phone` (digits) types instead of scanning; it shows up on that phone, too.
    pub async fn pairing_code(&self, phone: &str, limit: Duration) -> Result<String, NoCode> {
        let options = PairCodeOptions { phone_number: phone.to_owned(), ..PairCodeOptions::default() };
        match self.clock.timeout(limit, self.client.pair_with_code(options)).await {
            Ok(Ok(code)) => Ok(code),
            Ok(Err(error)) => Err(NoCode::Refused(error.to_string())),
            Err(_) => Err(NoCode::Silence(limit)),
        }
    }

    /// Sends, and waits at most `limit` for WhatsApp to take the message.
    pub async fn send(&self, to: &ChatId, message: Outgoing, limit: Duration) -> Result<Sent, SendFailure> {
        if !self.client.is_logged_in() {
            return Err(SendFailure::Offline);
        }
        let message = self.prepared(message, limit).await?;
        let id = self.client.generate_message_id();
        let mut expected = self.acks.expect(&id);
        let options = SendOptions::default().with_message_id(&id);
        let sending = async {
            self.client.send_message_with_options(outgoing::jid(to), message, options).await.map_err(failure)?;
            expected.arrived().await.ok_or(SendFailure::Unconfirmed { within: limit })
        };
        let ack =
            self.clock.timeout(limit, sending).await.map_err(|_| SendFailure::Unconfirmed { within: limit })??;
        match ack.refused {
            Some(code) => Err(SendFailure::Refused { code }),
            None => Ok(Sent { id, timestamp: self.taken_at(ack.timestamp) }),
        }
    }

    fn taken_at(&self, server_seconds: Option<i64>) -> Timestamp {
        server_seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()).unwrap_or_else(|| self.clock.now())
    }

    async fn prepared(&self, message: Outgoing, limit: Duration) -> Result<wa::Message, SendFailure> {
        let (image, caption) = match message {
            Outgoing::Text { body } => return Ok(outgoing::text(body)),
            Outgoing::Image { image, caption } => (image, caption),
        };
        let upload = self.client.upload(image.bytes.to_vec(), MediaType::Image, UploadOptions::default());
        let uploaded = match self.clock.timeout(limit, upload).await {
            Ok(Ok(uploaded)) => uploaded,
            Ok(Err(error)) => return Err(SendFailure::Upload(format!("{error:#}"))),
            Err(timed_out) => return Err(SendFailure::Upload(timed_out.to_string())),
        };
        Ok(outgoing::image(uploaded, image.mime_type, caption))
    }

    /// Says goodbye and waits for the engine's tasks to end, or ends them. The saved state is on disk afterwards.
    pub async fn close(&self) {
        if self.clock.timeout(GOODBYE, self.client.disconnect()).await.is_err() {
            tracing::warn!("a connection did not close in time and was dropped");
        }
        self.tasks.finish(&self.clock, TASKS_END).await;
    }
}

impl Drop for Link {
    /// Whoever drops a link without closing it did not get that far. Its tasks would keep the connection up beside the next one.
    fn drop(&mut self) {
        self.tasks.abort();
    }
}

fn failure(error: SendError) -> SendFailure {
    match error {
        SendError::NotLoggedIn | SendError::Client(_) => SendFailure::Offline,
        other => SendFailure::Failed(other.to_string()),
    }
}
