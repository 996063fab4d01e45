//! Recovery of messages that were decrypted once and not delivered again: for example, the program
//! ended before it could save them, and then the device was logged out.
//!
//! Nobody can ask WhatsApp for such a session. So an edit or a deletion counts only as its author's;
//! an admin's is dropped.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::{SignedDuration, Timestamp};
use whatsapp_rust::Jid;
use whatsapp_rust::types::message::MessageInfo;
use whatsapp_rust::wacore::chrono::DateTime;
use whatsapp_rust::wacore_binary::JidExt;
use whatsapp_rust::waproto::{self, whatsapp as wa};

use crate::inbound::{InboundEvent, Inbox};
use crate::model::event::EventData;
use crate::store::{Life, PendingMessage, PendingPlace, Store};
use crate::whatsapp::Whatsapp;
use crate::whatsapp::receive::change_claim::ChangeClaim;
use crate::whatsapp::receive::decode::{self, MessageAddresses};

/// Age at which messages are recovered. WhatsApp delivers unacknowledged messages again, and then
/// with the sender's name and the right time; so it goes first.
const RECOVERY_AGE: SignedDuration = SignedDuration::from_mins(10);
const RECOVERY_INTERVAL: Duration = Duration::from_secs(300);
/// Number of messages recovered at a time.
const BATCH_SIZE: u16 = 100;

impl Whatsapp {
    /// Recovers messages now and every few minutes, until the program ends.
    pub fn start_recovery(&self, inbox: Arc<dyn Inbox>) {
        let whatsapp = self.clone();
        self.lifecycle.spawn(async move {
            loop {
                let before = whatsapp.clock.now() - RECOVERY_AGE;
                if let Err(error) = recover_messages(&whatsapp.store, before, &*inbox).await {
                    tracing::error!(
                        error = format!("{error:#}"),
                        "failed to recover messages of an earlier run"
                    );
                }
                if whatsapp
                    .lifecycle
                    .unless_stopping(whatsapp.clock.sleep(RECOVERY_INTERVAL))
                    .await
                    .is_none()
                {
                    break;
                }
            }
        });
    }
}

/// Recovers the messages that were saved before a time.
async fn recover_messages(store: &Store, before: Timestamp, inbox: &dyn Inbox) -> Result<()> {
    let mut next = Some(PendingPlace::START);
    while let Some(place) = next {
        let page = store
            .inbound()
            .find_pending_before(before, place, BATCH_SIZE)
            .await?;
        next = page.next;
        for (life, key) in page.lost {
            // Nobody could read it, and its sender is not asked any more.
            tracing::error!(id = key.id, "a message that cannot be opened was given up");
            store.inbound().release_pending(&life, vec![key]).await?;
        }
        let mut decrypted = Vec::with_capacity(page.messages.len());
        for pending in page.messages {
            let message = match DecryptedMessage::parse(&pending) {
                Ok(message) => Some(message.with_addresses(store, &pending.session).await?),
                Err(error) => {
                    tracing::error!(session = pending.session.name(), %error, "failed to decode a message of an earlier run");
                    None
                }
            };
            decrypted.push((pending, message));
        }
        // Changes last: whether they count depends on who wrote the messages that they change.
        decrypted.sort_by_key(|(_, message)| message.as_ref().is_some_and(|it| it.is_change()));
        for (PendingMessage { session, key, .. }, message) in decrypted {
            if let Some(message) = message
                && let Some(event) = message.decode(session.name())
            {
                if message.counts(store, &session, &event.data).await? {
                    inbox.accept(&session, vec![event].into()).await?;
                } else {
                    tracing::info!(
                        session = session.name(),
                        "dropped a change of an earlier run: nothing proves the sender's right to it"
                    );
                }
            }
            store.inbound().release_pending(&session, vec![key]).await?;
        }
    }
    Ok(())
}

/// A message as it was decrypted, with what is known of it.
struct DecryptedMessage {
    message: wa::Message,
    info: MessageInfo,
    known: MessageAddresses,
}

impl DecryptedMessage {
    fn parse(pending: &PendingMessage) -> Result<Self> {
        let PendingMessage {
            key,
            message,
            created_at,
            ..
        } = pending;
        let message = waproto::codec::message_decode(message).context("its protobuf is broken")?;
        let address = |text: &str| text.parse::<Jid>().context("an address is broken");
        let mut info = MessageInfo {
            id: key.id.as_str().into(),
            ..MessageInfo::default()
        };
        info.source.chat = address(&key.chat)?;
        info.source.sender = address(&key.sender)?;
        info.source.is_group = info.source.chat.is_group();
        // In a direct chat, messages that the peer did not write are the account's own.
        info.source.is_from_me =
            !info.source.is_group && !info.source.chat.is_same_user_as(&info.source.sender);
        info.timestamp =
            DateTime::from_timestamp_millis(created_at.as_millisecond()).unwrap_or_default();
        info.is_offline = true;
        Ok(Self {
            message,
            info,
            known: MessageAddresses::default(),
        })
    }

    /// Adds the other address of the sender or, for the account's own message, of the recipient.
    async fn with_addresses(mut self, store: &Store, session: &Life) -> Result<Self> {
        let source = &self.info.source;
        let peer = match source.is_from_me {
            true => &source.chat,
            false => &source.sender,
        };
        let known = store
            .identities()
            .find_addresses(session, &peer.to_non_ad_string())
            .await?;
        let mut known = known.iter().filter_map(|it| it.parse::<Jid>().ok());
        self.known.other = known.find(|it| it.is_lid() != peer.is_lid());
        Ok(self)
    }

    fn is_change(&self) -> bool {
        decode::is_change(&self.message)
    }

    /// Converts the message to its event; `None` if it has none.
    fn decode(&self, session: &str) -> Option<InboundEvent> {
        decode::decode_message(session, &self.message, &self.info, &self.known)
    }

    /// Whether an edit or a deletion is its author's. Everything else counts.
    async fn counts(&self, store: &Store, session: &Life, event: &EventData) -> Result<bool> {
        let change = (&self.message, &self.info.source);
        let read = async |id| ChangeClaim::read(store, session, change, &self.known, id).await;
        Ok(match event {
            // Only a newsletter's admins write in it.
            _ if self.info.source.chat.is_newsletter() => true,
            EventData::MessageEdited(edited) => read(&edited.message_id).await?.may_edit(),
            EventData::MessageDeleted(deleted) => read(&deleted.message_id).await?.may_delete(),
            _ => true,
        })
    }
}

#[cfg(test)]
mod tests {
    use async_trait::async_trait;
    use parking_lot::Mutex;
    use whatsapp_rust::waproto::buffa::MessageField;
    use whatsapp_rust::waproto::whatsapp::message::ProtocolMessage;
    use whatsapp_rust::waproto::whatsapp::message::protocol_message::Type;

    use crate::inbound::InboundBatch;
    use crate::model::event::{Event, MessageKey};
    use crate::model::message::Message;
    use crate::store::NewEvent;
    use crate::system::clock::Clock;
    use crate::whatsapp::device_store::recovery::*;

    fn text(body: &str) -> wa::Message {
        wa::Message {
            conversation: Some(body.to_owned()),
            ..Default::default()
        }
    }

    fn message_key(chat: &str, sender: &str, id: &str) -> MessageKey {
        MessageKey {
            chat: chat.to_owned(),
            sender: sender.to_owned(),
            id: id.to_owned(),
        }
    }

    fn decode(chat: &str, sender: &str) -> InboundEvent {
        let pending = PendingMessage {
            session: Life::for_gateway("shop"),
            key: message_key(chat, sender, "3EB0"),
            message: waproto::codec::message_to_vec(&text("hi")),
            created_at: Timestamp::UNIX_EPOCH,
        };
        let message = DecryptedMessage::parse(&pending).unwrap();
        message.decode("shop").unwrap()
    }

    #[test]
    fn a_message_that_was_left_behind_is_told_with_what_is_known_of_it() {
        for (chat, sender) in [
            ("1@lid", "1:2@lid"),
            ("375447034810@s.whatsapp.net", "375447034810@s.whatsapp.net"),
            ("12@g.us", "1:2@lid"),
        ] {
            let incoming = decode(chat, sender);
            assert_eq!(
                (incoming.chat.as_str(), incoming.key.chat.as_str()),
                (chat, chat)
            );
            let EventData::MessageReceived(message) = incoming.data else {
                panic!("another event")
            };
            assert_eq!(message.message, Message::from_text("hi".to_owned()));
            assert!(message.origin.offline);
        }
    }

    #[test]
    fn what_we_wrote_ourselves_is_told_as_ours() {
        let incoming = decode("1@lid", "2:3@lid");
        assert_eq!(
            (incoming.chat.as_str(), incoming.data.kind()),
            ("1@lid", "message.echo")
        );
    }

    const GROUP: &str = "12@g.us";
    const ANN: &str = "1:2@lid";
    const ANN_NUMBER: &str = "375440000001@s.whatsapp.net";
    const EVE: &str = "6@lid";

    /// A change of a message, which claims that its sender wrote it.
    fn change(kind: Type, id: &str) -> wa::Message {
        let key = wa::MessageKey {
            id: Some(id.to_owned()),
            from_me: Some(true),
            ..Default::default()
        };
        let edited_message = match kind {
            Type::MESSAGE_EDIT => MessageField::some(text("other words")),
            _ => MessageField::default(),
        };
        let protocol = ProtocolMessage {
            key: MessageField::some(key),
            r#type: Some(kind),
            edited_message,
            ..Default::default()
        };
        wa::Message {
            protocol_message: MessageField::some(protocol),
            ..Default::default()
        }
    }

    struct SavingInbox {
        store: Store,
        told: Mutex<Vec<(&'static str, String)>>,
    }

    #[async_trait]
    impl Inbox for SavingInbox {
        async fn accept(&self, session: &Life, batch: InboundBatch) -> Result<()> {
            for incoming in batch.events {
                let told = (incoming.data.kind(), incoming.key.id.clone());
                self.told.lock().push(told);
                let event = Event::new(incoming.data, Timestamp::UNIX_EPOCH);
                let event = NewEvent::for_message(session, &incoming.chat, incoming.key, &event);
                self.store.events().append_events(vec![event]).await?;
            }
            Ok(())
        }
    }

    #[tokio::test]
    async fn only_authors_change_their_messages() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("wapi.db");
        let store = Store::open(&path, Clock::system()).await.unwrap();
        let shop = store.lives().ensure_life("shop");
        let (number, lid) = (Some(ANN_NUMBER), Some("1@lid"));
        let known = store.identities().resolve_identity(&shop, number, lid);
        known.await.unwrap();
        let (deletes, edits) = (Type::REVOKE, Type::MESSAGE_EDIT);
        // Eve's changes would come first: the ids are in the order in which they are found.
        let saved = [
            ("0", EVE, change(deletes, "8")),
            ("1", EVE, change(edits, "8")),
            ("2", ANN, change(edits, "8")),
            ("3", ANN_NUMBER, change(deletes, "8")),
            ("4", EVE, change(deletes, "9")),
            ("8", ANN, text("hi")),
            ("9", ANN, text("ho")),
        ];
        let saved = saved.map(|(id, sender, message)| {
            let key = message_key(GROUP, sender, id);
            (key, waproto::codec::message_to_vec(&message))
        });
        let inbound = store.inbound();
        inbound.save_pending(&shop, saved.into()).await.unwrap();
        let inbox = SavingInbox {
            store: store.clone(),
            told: Mutex::default(),
        };
        recover_messages(&store, Timestamp::MAX, &inbox)
            .await
            .unwrap();
        let mut told = inbox.told.into_inner();
        told.sort_unstable();
        let told: Vec<_> = told.iter().map(|(kind, id)| (*kind, &**id)).collect();
        let expected = [
            ("message.deleted", "3"),
            ("message.edited", "2"),
            ("message.received", "8"),
            ("message.received", "9"),
        ];
        assert_eq!(told, expected);
        let left = inbound.find_pending_before(Timestamp::MAX, PendingPlace::START, 10);
        assert_eq!(left.await.unwrap().messages, []);
    }
}
