//! Inbound messages: the engine's durability hook. WhatsApp deletes a message only after
//! [`Inbox::accept`] has reported it safe.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use anyhow::{Result, ensure};
use async_trait::async_trait;
use whatsapp_rust::types::durability_hook::InboundMessage;
use whatsapp_rust::types::message::MessageCategory;
use whatsapp_rust::wacore_binary::JidExt;
use whatsapp_rust::{Client, InboundDurabilityHook, Jid};

use super::decode::{self, MessageAddresses};
use super::edit_rights::EditRights;
use super::lid_migration;
use super::poll_votes::{self, VoteReader};
use crate::inbound::{InboundBatch, InboundEvent, Inbox};
use crate::model::event::MessageKey;
use crate::model::message::Message;
use crate::store::{DeviceLife, EventFact};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;
use crate::whatsapp::connection::liveness::LastInbound;
use crate::whatsapp::device_store::DecryptedBuffer;
use crate::whatsapp::history_sync::ChunkAnnouncer;

/// Pauses between the tries to save messages, before they are left to WhatsApp.
const SAVE_PAUSES: [Duration; 3] = [
    Duration::from_millis(100),
    Duration::from_millis(400),
    Duration::from_secs(1),
];
/// Delay before WhatsApp is asked again for messages that could not be saved.
const REOFFER_DELAY: Duration = Duration::from_secs(15);

/// Longest time a reconnect may take to begin.
const RECONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// The engine's durability hook for one session.
pub(in crate::whatsapp) struct InboundHook {
    session: DeviceLife,
    inbox: Arc<dyn Inbox>,
    decrypted: Arc<DecryptedBuffer>,
    votes: VoteReader,
    rights: EditRights,
    announcer: ChunkAnnouncer,
    last_inbound: Arc<LastInbound>,
    clock: Clock,
    tasks: Lifecycle,
    /// Whether a reconnect is planned because messages could not be saved.
    is_reconnect_planned: Arc<AtomicBool>,
}

impl InboundHook {
    pub fn new(
        session: DeviceLife,
        inbox: Arc<dyn Inbox>,
        decrypted: Arc<DecryptedBuffer>,
        votes: VoteReader,
        last_inbound: Arc<LastInbound>,
        clock: Clock,
        tasks: Lifecycle,
    ) -> Self {
        let announcer = ChunkAnnouncer::default();
        let rights = EditRights::new(session.clone(), votes.store().clone(), clock.clone());
        Self {
            session,
            inbox,
            decrypted,
            votes,
            rights,
            announcer,
            last_inbound,
            clock,
            tasks,
            is_reconnect_planned: Arc::default(),
        }
    }

    /// Sets the announcer, for a session that receives a history sync.
    pub fn with_announcer(self, announcer: ChunkAnnouncer) -> Self {
        Self { announcer, ..self }
    }

    /// Passes messages to the inbox, with a few tries: a database that is busy for a moment is not
    /// worth a reconnect.
    async fn save_batch(&self, batch: InboundBatch) -> Result<()> {
        let life = self.session.current_life();
        for pause in SAVE_PAUSES {
            match self.inbox.accept(&life, batch.clone()).await {
                Ok(()) => return Ok(()),
                Err(error) => {
                    tracing::warn!(session = self.session.name(), %error, "failed to save messages; trying again")
                }
            }
            self.clock.sleep(pause).await;
        }
        self.inbox.accept(&life, batch).await
    }

    /// Converts these messages to events and facts. Only the notifications of a history sync are
    /// saved on the way.
    async fn decode_batch(
        &self,
        client: &Client,
        messages: &[InboundMessage],
    ) -> Result<InboundBatch> {
        self.announcer.record_chunks(messages).await?;
        let mut batch = InboundBatch::default();
        for message in messages {
            batch
                .lid_pairs
                .extend(lid_migration::parse_lid_pairs(message));
            let known = find_addresses(client, message).await;
            let mut facts = Vec::new();
            if let Some((chats, timer)) =
                decode::find_timer(&message.message, &message.info, &known)
            {
                facts.push(EventFact::ChatTimer { chats, timer });
            }
            facts.extend(poll_votes::decode_poll(message));
            match self.decode_event(client, message, &known, &batch).await? {
                Some(mut event) => {
                    event.facts.append(&mut facts);
                    batch.events.push(event);
                }
                None => {
                    batch.facts.append(&mut facts);
                    let info = &message.info;
                    // Only these are asked for again: see `MissingMessages`.
                    if info.category != MessageCategory::Peer && !info.source.chat.is_newsletter() {
                        let key = decode::message_key(&message.info);
                        batch.facts.push(EventFact::Eventless(key));
                    }
                }
            }
        }
        Ok(batch)
    }

    /// Converts a message to its event; `None` if it has none. `before`: the messages before it,
    /// which are not saved yet.
    async fn decode_event(
        &self,
        client: &Client,
        message: &InboundMessage,
        known: &MessageAddresses,
        before: &InboundBatch,
    ) -> Result<Option<InboundEvent>> {
        let vote = self.votes.read_vote(client, message, known, before).await?;
        let event = vote.or_else(|| {
            decode::decode_message(self.session.name(), &message.message, &message.info, known)
        });
        let Some(mut event) = event else {
            return Ok(None);
        };
        if !self
            .rights
            .check_change(client, message, known, &mut event.data)
            .await?
        {
            tracing::debug!(
                session = self.session.name(),
                "ignored a change of another person's message"
            );
            return Ok(None);
        }
        if let Some(message) = event.data.message_mut() {
            complete_addresses(client, message).await;
        }
        Ok(Some(event))
    }

    /// Plans a reconnect: WhatsApp offers unacknowledged messages again only to a new connection.
    fn plan_reconnect(&self, client: Arc<Client>) {
        if self.is_reconnect_planned.swap(true, Ordering::Relaxed) {
            return;
        }
        let (clock, asking_again) = (self.clock.clone(), Arc::clone(&self.is_reconnect_planned));
        self.tasks.spawn(async move {
            clock.sleep(REOFFER_DELAY).await;
            // The engine can hang in a write to a dead socket.
            let _ = clock
                .timeout(RECONNECT_TIMEOUT, client.reconnect_immediately())
                .await;
            asking_again.store(false, Ordering::Relaxed);
        });
    }
}

#[async_trait]
impl InboundDurabilityHook for InboundHook {
    async fn on_messages(&self, client: Arc<Client>, batch: &[InboundMessage]) -> Result<()> {
        let received = match self.decode_batch(&client, batch).await {
            Ok(received) => received,
            Err(error) => {
                tracing::warn!(session = self.session.name(), %error, "failed to decode a received message; trying \
                 again");
                self.plan_reconnect(client);
                return Err(error);
            }
        };
        // Only now: decoding may ask WhatsApp, and the question may stand behind a frame that waits
        // for keys. Keys are not written while messages are with the inbox.
        let handover = self
            .decrypted
            .hand_over(batch.iter().map(buffer_key).collect());
        if received.is_empty() {
            handover.confirm_saved();
            self.last_inbound.record_time(self.clock.uptime());
            return Ok(());
        }
        // Later messages must not be saved before those that could not be saved.
        ensure!(
            !self.is_reconnect_planned.load(Ordering::Relaxed),
            "messages could not be saved; requesting them from WhatsApp again"
        );
        let taken = self.save_batch(received).await;
        match taken {
            Ok(()) => {
                handover.confirm_saved();
                self.last_inbound.record_time(self.clock.uptime());
            }
            Err(_) => self.plan_reconnect(client),
        }
        taken
    }
}

/// Returns the key by which the engine stores a message.
fn buffer_key(message: &InboundMessage) -> MessageKey {
    let source = &message.info.source;
    MessageKey {
        chat: source.chat.to_string(),
        sender: source.sender.to_string(),
        id: message.info.id.to_string(),
    }
}

async fn find_addresses(client: &Client, message: &InboundMessage) -> MessageAddresses {
    let source = &message.info.source;
    let is_ours = source.is_from_me && !source.is_group;
    let (peer, chat) = match is_ours {
        true => (
            &source.chat,
            message
                .info
                .peer_recipient_pn
                .as_ref()
                .or(source.recipient_alt.as_ref()),
        ),
        false => (&source.sender, source.sender_alt.as_ref()),
    };
    let other = match chat {
        Some(chat) => Some(chat.clone()),
        None => find_other_address(client, peer).await,
    };
    MessageAddresses {
        other,
        own: [client.pn(), client.lid()].into_iter().flatten().collect(),
    }
}

/// Adds the other addresses of the people that a message names, where they are known.
async fn complete_addresses(client: &Client, message: &mut Message) {
    let context = message
        .context
        .as_mut()
        .map(|context| (&mut context.phone, &mut context.lid));
    let people = message
        .mentioned
        .iter_mut()
        .map(|person| (&mut person.phone, &mut person.lid));
    for (phone, lid) in people.chain(context) {
        let one = match (phone.as_ref(), lid.as_ref()) {
            (Some(phone), None) => Jid::pn(phone),
            (None, Some(lid)) => match lid.parse() {
                Ok(lid) => lid,
                Err(_) => continue,
            },
            _ => continue,
        };
        let own = [client.pn(), client.lid()];
        let is_own = own.iter().flatten().any(|own| own.is_same_user_as(&one));
        let other = match is_own {
            true => own
                .into_iter()
                .flatten()
                .find(|own| own.is_lid() != one.is_lid()),
            false => find_other_address(client, &one).await,
        };
        match other {
            Some(other) if other.is_lid() => *lid = Some(other.to_non_ad_string()),
            Some(other) => *phone = Some(other.user_base().to_owned()),
            None => {}
        }
    }
}

/// Returns the phone number of a LID, or the LID of a phone number, if it is known.
pub(in crate::whatsapp) async fn find_other_address(client: &Client, person: &Jid) -> Option<Jid> {
    let known = client.get_lid_pn_entry(person).await.ok()??;
    Some(if person.is_lid() {
        Jid::pn(&*known.phone_number)
    } else {
        Jid::lid(&*known.lid)
    })
}
