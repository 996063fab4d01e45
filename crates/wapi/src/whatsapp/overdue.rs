//! Resending of messages that WhatsApp took but a device did not receive, under their own id and
//! with a fresh session.
//!
//! A message is missing if a recipient's device has requested it again and never confirmed it, or
//! has confirmed a later message of the chat. A device that has it all the same ignores the copy,
//! and confirms it once more.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, Weak};
use std::time::Duration;

use anyhow::{Context, Result};
use whatsapp_rust::features::MessageRetransmission;
use whatsapp_rust::types::events::{Event, EventHandler, EventInterest, EventKind, Receipt};
use whatsapp_rust::types::presence::ReceiptType;
use whatsapp_rust::wacore_binary::{JidExt, NodeRef};
use whatsapp_rust::{Client, Jid};

use super::retries::{as_it_left, fresh_session};
use crate::clock::Clock;
use crate::lifecycle::Lifecycle;
use crate::store::{Lifeline, Store};

/// How long a message may be missing before it is sent again; the wait doubles with each try.
const PATIENCE: Duration = Duration::from_secs(30);
/// Most tries. Devices count, too, and do not accept more than this.
const TRIES: u8 = 3;
/// Messages remembered per chat, and chats.
const OF_A_CHAT: usize = 64;
const CHATS: usize = 1_000;

/// Tracks the messages that leave over one client.
#[derive(Clone)]
pub(super) struct Overdue(Arc<Watch>);

struct Watch {
    session: Lifeline,
    client: Weak<Client>,
    store: Store,
    clock: Clock,
    tasks: Lifecycle,
    books: Mutex<Books>,
}

/// A message that a device has not received.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
struct Missing {
    id: String,
    /// The member without it, in a group: others may have it.
    member: Option<String>,
}

#[derive(Default)]
struct Books {
    /// Unconfirmed messages of each one-to-one chat, the oldest first.
    left: HashMap<String, VecDeque<String>>,
    chats: HashMap<String, String>,
    missing: HashMap<Missing, u8>,
}

impl Books {
    fn left(&mut self, chat: &str, id: &str) {
        if self.chats.contains_key(id) {
            return;
        }
        if self.left.len() >= CHATS && !self.left.contains_key(chat) {
            (self.left, self.chats) = Default::default();
        }
        let left = self.left.entry(chat.to_owned()).or_default();
        left.push_back(id.to_owned());
        self.chats.insert(id.to_owned(), chat.to_owned());
        if left.len() > OF_A_CHAT
            && let Some(oldest) = left.pop_front()
        {
            self.chats.remove(&oldest);
        }
    }

    /// Stops tracking a message; returns those of its chat that left before it.
    fn forget(&mut self, id: &str) -> Vec<String> {
        let Some(chat) = self.chats.remove(id) else {
            return Vec::new();
        };
        let Some(left) = self.left.get_mut(&chat) else {
            return Vec::new();
        };
        let before = left
            .iter()
            .take_while(|before| *before != id)
            .cloned()
            .collect();
        left.retain(|left| left != id);
        if left.is_empty() {
            self.left.remove(&chat);
        }
        before
    }

    /// Drops a message that no device can miss, since none was to receive it.
    fn stayed(&mut self, id: &str) {
        self.forget(id);
        self.missing.retain(|missing, _| missing.id != id);
    }

    /// Records that a device has the message. Returns the messages before it that are missing from
    /// now on, without those that already were.
    fn arrived(&mut self, id: &str, member: Option<&str>) -> Vec<Missing> {
        self.missing.remove(&Missing {
            id: id.to_owned(),
            member: member.map(str::to_owned),
        });
        let before = self.forget(id);
        before
            .into_iter()
            .map(|id| Missing { id, member: None })
            .filter(|missing| self.is_new(missing))
            .collect()
    }

    /// Records that the message is missing; returns whether that is new.
    fn is_new(&mut self, missing: &Missing) -> bool {
        let is_new = !self.missing.contains_key(missing);
        if is_new {
            self.missing.insert(missing.clone(), 0);
        }
        is_new
    }

    /// Returns the number of the next try; `None` if the message has arrived or has used up its
    /// tries.
    fn try_again(&mut self, missing: &Missing) -> Option<u8> {
        let tries = self.missing.get_mut(missing)?;
        *tries += 1;
        let tries = *tries;
        if tries > TRIES {
            self.missing.remove(missing);
        }
        (tries <= TRIES).then_some(tries)
    }
}

impl Overdue {
    pub fn new(
        session: Lifeline,
        client: &Arc<Client>,
        store: Store,
        clock: Clock,
        tasks: Lifecycle,
    ) -> Self {
        let (client, books) = (Arc::downgrade(client), Mutex::default());
        Self(Arc::new(Watch {
            session,
            client,
            store,
            clock,
            tasks,
            books,
        }))
    }

    /// Records a message that leaves for a one-to-one chat.
    pub fn leaves(&self, chat: &str, id: &str) {
        self.0.books().left(chat, id);
    }

    /// Records that a message did not leave, or that WhatsApp refused it; it is sent again as a new
    /// one, or never.
    pub fn stayed(&self, id: &str) {
        self.0.books().stayed(id);
    }

    fn receipt(&self, receipt: &Receipt) {
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
                let missing = self.0.books().arrived(id, member);
                for missing in missing {
                    self.watch(missing, source.sender.to_non_ad(), source.sender.clone());
                }
            }
        }
    }

    /// Tracks a message that a device requests again; the engine answers the request.
    fn asked(&self, receipt: &NodeRef<'_>) -> Option<()> {
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
        let missing = Missing {
            id,
            member: is_shared.then(|| device.user.to_string()),
        };
        if self.0.books().is_new(&missing) {
            self.watch(missing, from.to_non_ad(), device);
        }
        Some(())
    }

    fn watch(&self, missing: Missing, chat: Jid, device: Jid) {
        let watch = Arc::clone(&self.0);
        self.0.tasks.spawn(async move {
            let mut patience = PATIENCE;
            loop {
                watch
                    .tasks
                    .unless_stopping(watch.clock.sleep(patience))
                    .await;
                let Some(tries) = watch
                    .books()
                    .try_again(&missing)
                    .filter(|_| !watch.tasks.is_stopping())
                else {
                    return;
                };
                if let Err(error) = watch.send_again(&missing.id, &chat, &device, tries).await {
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

impl Watch {
    async fn send_again(&self, id: &str, chat: &Jid, device: &Jid, tries: u8) -> Result<()> {
        let client = self.client.upgrade().context("the connection ended")?;
        let message = as_it_left(&client, &self.store, &self.session.life(), chat, id).await?;
        tracing::info!(
            session = self.session.name(),
            id,
            "a message did not arrive and is sent again"
        );
        fresh_session(&client, device).await?;
        let again =
            MessageRetransmission::new(chat.clone(), device.clone(), message, id.to_owned(), tries);
        Ok(client.retransmit_message(again).await?)
    }

    fn books(&self) -> MutexGuard<'_, Books> {
        self.books.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl EventHandler for Overdue {
    fn handle_event(&self, event: Arc<Event>) {
        match &*event {
            Event::Receipt(receipt) => self.receipt(receipt),
            Event::ServerAck(ack) if ack.error.is_some() => self.stayed(&ack.id),
            Event::RawNode(node) => drop(self.asked(node.get())),
            _ => {}
        }
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[EventKind::Receipt, EventKind::ServerAck, EventKind::RawNode])
    }
}

/// Ownership of an address.
pub(super) trait Own {
    fn is_own(&self, jid: &Jid) -> bool;
}

impl Own for Client {
    fn is_own(&self, jid: &Jid) -> bool {
        [self.pn(), self.lid()]
            .iter()
            .flatten()
            .any(|own| own.is_same_user_as(jid))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn missing(id: &str) -> Missing {
        Missing {
            id: id.to_owned(),
            member: None,
        }
    }

    #[test]
    fn what_was_sent_before_something_that_arrived_is_missing() {
        let mut books = Books::default();
        for id in ["1", "2", "3"] {
            books.left("bob", id);
        }
        books.left("carol", "4");
        assert_eq!(books.arrived("2", None), [missing("1")]);
        assert_eq!(books.arrived("3", None), [], "1 is missing already");
        assert_eq!(books.arrived("4", None), [], "others' chats");
        assert_eq!(books.arrived("1", None), []);
        assert_eq!(books.try_again(&missing("1")), None, "it arrived");
        assert!(books.left.is_empty() && books.chats.is_empty() && books.missing.is_empty());
    }

    #[test]
    fn what_was_refused_is_missing_nowhere() {
        let mut books = Books::default();
        for id in ["1", "2", "3"] {
            books.left("bob", id);
        }
        books.stayed("1");
        assert_eq!(books.arrived("3", None), [missing("2")]);
        books.stayed("2");
        assert_eq!(
            books.try_again(&missing("2")),
            None,
            "WhatsApp's word came after the receipt"
        );
    }

    #[test]
    fn what_is_missing_is_tried_a_few_times() {
        let mut books = Books::default();
        assert!(books.is_new(&missing("1")) && !books.is_new(&missing("1")));
        let tries: Vec<_> = std::iter::from_fn(|| books.try_again(&missing("1"))).collect();
        assert_eq!(tries, [1, 2, 3]);
        let of = |member: &str| Missing {
            id: "2".to_owned(),
            member: Some(member.to_owned()),
        };
        assert!(books.is_new(&of("bob")) && books.is_new(&of("carol")));
        books.arrived("2", Some("bob"));
        assert_eq!(
            (books.try_again(&of("bob")), books.try_again(&of("carol"))),
            (None, Some(1))
        );
    }

    #[test]
    fn no_more_is_remembered_than_there_is_room_for() {
        let mut books = Books::default();
        for number in 0..2 * OF_A_CHAT {
            books.left("bob", &number.to_string());
        }
        assert_eq!(
            (books.left["bob"].len(), books.chats.len()),
            (OF_A_CHAT, OF_A_CHAT)
        );
        for chat in 0..=CHATS {
            books.left(&format!("chat {chat}"), &format!("id {chat}"));
        }
        assert!(books.left.len() <= CHATS && books.chats.len() <= CHATS + OF_A_CHAT);
    }
}
