//! Resending of messages that WhatsApp took but a device did not receive, under their own id and
//! with a fresh session.
//!
//! A message is missing if a recipient's device has requested it again and never confirmed it, or
//! has confirmed a later message of the chat. A device that has it all the same ignores the copy,
//! and confirms it once more.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Weak};
use std::time::Duration;

use anyhow::{Context, Result};
use parking_lot::{Mutex, MutexGuard};
use whatsapp_rust::features::MessageRetransmission;
use whatsapp_rust::types::events::{Event, EventHandler, EventInterest, EventKind, Receipt};
use whatsapp_rust::types::presence::ReceiptType;
use whatsapp_rust::wacore_binary::{JidExt, NodeRef};
use whatsapp_rust::{Client, Jid};

use super::own_phone_retries::{load_sent_message, renew_session};
use crate::store::{DeviceLife, Store};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;

/// How long a message may be missing before it is sent again; the wait doubles with each try.
const FIRST_RESEND: Duration = Duration::from_secs(30);
/// Most tries. Devices count, too, and do not accept more than this.
const MAX_RESENDS: u8 = 3;
/// Messages remembered per chat, and chats.
const MESSAGES_PER_CHAT: usize = 64;
const MAX_CHATS: usize = 1_000;

/// Tracks the messages that leave over one client.
#[derive(Clone)]
pub(in crate::whatsapp) struct ResendTracker(Arc<ResendState>);

struct ResendState {
    session: DeviceLife,
    client: Weak<Client>,
    store: Store,
    clock: Clock,
    tasks: Lifecycle,
    messages: Mutex<TrackedMessages>,
}

/// A message that a device has not received.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct MissingMessage {
    id: String,
    /// The member without it, in a group: others may have it.
    member: Option<String>,
}

#[derive(Default)]
struct TrackedMessages {
    /// Unconfirmed messages of each one-to-one chat, the oldest first.
    sent: HashMap<String, VecDeque<String>>,
    chat_by_id: HashMap<String, String>,
    missing: HashMap<MissingMessage, u8>,
}

impl TrackedMessages {
    fn record_sent(&mut self, chat: &str, id: &str) {
        if self.chat_by_id.contains_key(id) {
            return;
        }
        if self.sent.len() >= MAX_CHATS && !self.sent.contains_key(chat) {
            (self.sent, self.chat_by_id) = Default::default();
        }
        let sent = self.sent.entry(chat.to_owned()).or_default();
        sent.push_back(id.to_owned());
        self.chat_by_id.insert(id.to_owned(), chat.to_owned());
        if sent.len() > MESSAGES_PER_CHAT
            && let Some(oldest) = sent.pop_front()
        {
            self.chat_by_id.remove(&oldest);
        }
    }

    /// Stops tracking a message; returns those of its chat that left before it.
    fn remove_message(&mut self, id: &str) -> Vec<String> {
        let Some(chat) = self.chat_by_id.remove(id) else {
            return Vec::new();
        };
        let Some(sent) = self.sent.get_mut(&chat) else {
            return Vec::new();
        };
        let before = sent
            .iter()
            .take_while(|before| *before != id)
            .cloned()
            .collect();
        sent.retain(|sent| sent != id);
        if sent.is_empty() {
            self.sent.remove(&chat);
        }
        before
    }

    /// Drops a message that no device can miss, since none was to receive it.
    fn record_unsent(&mut self, id: &str) {
        self.remove_message(id);
        self.missing.retain(|missing, _| missing.id != id);
    }

    /// Records that a device has the message. Returns the messages before it that are missing from
    /// now on, without those that already were.
    fn record_arrival(&mut self, id: &str, member: Option<&str>) -> Vec<MissingMessage> {
        self.missing.remove(&MissingMessage {
            id: id.to_owned(),
            member: member.map(str::to_owned),
        });
        let before = self.remove_message(id);
        before
            .into_iter()
            .map(|id| MissingMessage { id, member: None })
            .filter(|missing| self.mark_missing(missing))
            .collect()
    }

    /// Records that the message is missing; returns whether that is new.
    fn mark_missing(&mut self, missing: &MissingMessage) -> bool {
        let is_new = !self.missing.contains_key(missing);
        if is_new {
            self.missing.insert(missing.clone(), 0);
        }
        is_new
    }

    /// Returns the number of the next try; `None` if the message has arrived or has used up its
    /// tries.
    fn next_try(&mut self, missing: &MissingMessage) -> Option<u8> {
        let tries = self.missing.get_mut(missing)?;
        *tries += 1;
        let tries = *tries;
        if tries > MAX_RESENDS {
            self.missing.remove(missing);
        }
        (tries <= MAX_RESENDS).then_some(tries)
    }
}

impl ResendTracker {
    pub fn new(
        session: DeviceLife,
        client: &Arc<Client>,
        store: Store,
        clock: Clock,
        tasks: Lifecycle,
    ) -> Self {
        let (client, messages) = (Arc::downgrade(client), Mutex::default());
        Self(Arc::new(ResendState {
            session,
            client,
            store,
            clock,
            tasks,
            messages,
        }))
    }

    /// Records a message that leaves for a one-to-one chat.
    pub fn record_sent(&self, chat: &str, id: &str) {
        self.0.lock_messages().record_sent(chat, id);
    }

    /// Records that a message did not leave, or that WhatsApp refused it; it is sent again as a new
    /// one, or never.
    pub fn record_unsent(&self, id: &str) {
        self.0.lock_messages().record_unsent(id);
    }

    fn handle_receipt(&self, receipt: &Receipt) {
        let source = &receipt.source;
        let is_own = self
            .0
            .client
            .upgrade()
            .is_none_or(|client| client.is_own(&source.sender));
        if is_own
            || matches!(
                receipt.r#type,
                ReceiptType::Retry | ReceiptType::EncRekeyRetry | ReceiptType::ServerError
            )
        {
            return;
        }
        let is_shared = source.chat.is_group() || source.chat.is_status_broadcast();
        for id in &receipt.message_ids {
            for member in [Some(&source.sender), source.sender_alt.as_ref()]
                .into_iter()
                .flatten()
            {
                let member = is_shared.then_some(member.user.as_str());
                let missing = self.0.lock_messages().record_arrival(id, member);
                for missing in missing {
                    self.schedule_resends(
                        missing,
                        source.sender.to_non_ad(),
                        source.sender.clone(),
                    );
                }
            }
        }
    }

    /// Tracks a message that a device requests again; the engine answers the request.
    fn handle_retry_request(&self, receipt: &NodeRef<'_>) -> Option<()> {
        if receipt.tag.as_ref() != "receipt" || receipt.get_attr("type")?.as_str() != "retry" {
            return None;
        }
        let mut attributes = receipt.attrs();
        let (from, participant) = (
            attributes.optional_jid("from")?,
            attributes.optional_jid("participant"),
        );
        let is_shared = participant.is_some();
        let device = participant.unwrap_or_else(|| from.clone());
        // Statuses go another way, and the account's owner sees on the phone the messages that its
        // other devices miss.
        if from.is_status_broadcast() || self.0.client.upgrade()?.is_own(&device) {
            return None;
        }
        let id = receipt
            .get_optional_child("retry")?
            .get_attr("id")?
            .as_str()
            .into_owned();
        let missing = MissingMessage {
            id,
            member: is_shared.then(|| device.user.to_string()),
        };
        if self.0.lock_messages().mark_missing(&missing) {
            self.schedule_resends(missing, from.to_non_ad(), device);
        }
        Some(())
    }

    fn schedule_resends(&self, missing: MissingMessage, chat: Jid, device: Jid) {
        let watch = Arc::clone(&self.0);
        self.0.tasks.spawn(async move {
            let mut patience = FIRST_RESEND;
            loop {
                watch
                    .tasks
                    .unless_stopping(watch.clock.sleep(patience))
                    .await;
                let Some(tries) = watch
                    .lock_messages()
                    .next_try(&missing)
                    .filter(|_| !watch.tasks.is_stopping())
                else {
                    return;
                };
                if let Err(error) = watch
                    .resend_message(&missing.id, &chat, &device, tries)
                    .await
                {
                    tracing::debug!(
                        session = watch.session.name(),
                        error = format!("{error:#}"),
                        "not sent again"
                    );
                }
                patience *= 2;
            }
        });
    }
}

impl ResendState {
    async fn resend_message(&self, id: &str, chat: &Jid, device: &Jid, tries: u8) -> Result<()> {
        let client = self.client.upgrade().context("the connection ended")?;
        let message =
            load_sent_message(&client, &self.store, &self.session.current_life(), chat, id).await?;
        tracing::info!(
            session = self.session.name(),
            id,
            "sending a message again that did not arrive"
        );
        renew_session(&client, device).await?;
        let again =
            MessageRetransmission::new(chat.clone(), device.clone(), message, id.to_owned(), tries);
        Ok(client.retransmit_message(again).await?)
    }

    fn lock_messages(&self) -> MutexGuard<'_, TrackedMessages> {
        self.messages.lock()
    }
}

impl EventHandler for ResendTracker {
    fn handle_event(&self, event: Arc<Event>) {
        match &*event {
            Event::Receipt(receipt) => self.handle_receipt(receipt),
            Event::ServerAck(ack) if ack.error.is_some() => self.record_unsent(&ack.id),
            Event::RawNode(node) => drop(self.handle_retry_request(node.get())),
            _ => {}
        }
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[EventKind::Receipt, EventKind::ServerAck, EventKind::RawNode])
    }
}

/// Ownership of an address.
pub(in crate::whatsapp) trait OwnAddress {
    fn is_own(&self, jid: &Jid) -> bool;
}

impl OwnAddress for Client {
    fn is_own(&self, jid: &Jid) -> bool {
        [self.pn(), self.lid()]
            .iter()
            .flatten()
            .any(|own| own.is_same_user_as(jid))
    }
}

#[cfg(test)]
mod tests {
    use crate::whatsapp::send::resend::*;

    fn missing(id: &str) -> MissingMessage {
        MissingMessage {
            id: id.to_owned(),
            member: None,
        }
    }

    #[test]
    fn what_was_sent_before_something_that_arrived_is_missing() {
        let mut messages = TrackedMessages::default();
        for id in ["1", "2", "3"] {
            messages.record_sent("bob", id);
        }
        messages.record_sent("carol", "4");
        assert_eq!(messages.record_arrival("2", None), [missing("1")]);
        assert_eq!(
            messages.record_arrival("3", None),
            [],
            "1 is missing already"
        );
        assert_eq!(messages.record_arrival("4", None), [], "others' chats");
        assert_eq!(messages.record_arrival("1", None), []);
        assert_eq!(messages.next_try(&missing("1")), None, "it arrived");
        assert!(
            messages.sent.is_empty()
                && messages.chat_by_id.is_empty()
                && messages.missing.is_empty()
        );
    }

    #[test]
    fn what_was_refused_is_missing_nowhere() {
        let mut messages = TrackedMessages::default();
        for id in ["1", "2", "3"] {
            messages.record_sent("bob", id);
        }
        messages.record_unsent("1");
        assert_eq!(messages.record_arrival("3", None), [missing("2")]);
        messages.record_unsent("2");
        assert_eq!(
            messages.next_try(&missing("2")),
            None,
            "WhatsApp's word came after the receipt"
        );
    }

    #[test]
    fn what_is_missing_is_tried_a_few_times() {
        let mut messages = TrackedMessages::default();
        assert!(messages.mark_missing(&missing("1")) && !messages.mark_missing(&missing("1")));
        let tries: Vec<_> = std::iter::from_fn(|| messages.next_try(&missing("1"))).collect();
        assert_eq!(tries, [1, 2, 3]);
        let of = |member: &str| MissingMessage {
            id: "2".to_owned(),
            member: Some(member.to_owned()),
        };
        assert!(messages.mark_missing(&of("bob")) && messages.mark_missing(&of("carol")));
        messages.record_arrival("2", Some("bob"));
        assert_eq!(
            (
                messages.next_try(&of("bob")),
                messages.next_try(&of("carol"))
            ),
            (None, Some(1))
        );
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let mut messages = TrackedMessages::default();
        for number in 0..2 * MESSAGES_PER_CHAT {
            messages.record_sent("bob", &number.to_string());
        }
        assert_eq!(
            (messages.sent["bob"].len(), messages.chat_by_id.len()),
            (MESSAGES_PER_CHAT, MESSAGES_PER_CHAT)
        );
        for chat in 0..=MAX_CHATS {
            messages.record_sent(&format!("chat {chat}"), &format!("id {chat}"));
        }
        assert!(
            messages.sent.len() <= MAX_CHATS
                && messages.chat_by_id.len() <= MAX_CHATS + MESSAGES_PER_CHAT
        );
    }
}
