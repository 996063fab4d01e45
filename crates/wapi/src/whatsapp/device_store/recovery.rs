//! Recovery of messages that were decrypted once and not delivered again: for example, the program
//! ended before it could save them, and then the device was logged out.

use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::SignedDuration;
use whatsapp_rust::types::message::MessageInfo;
use whatsapp_rust::wacore::chrono::DateTime;
use whatsapp_rust::wacore_binary::JidExt;
use whatsapp_rust::{Jid, waproto};

use crate::inbound::{InboundEvent, Inbox};
use crate::store::PendingMessage;
use crate::whatsapp::Whatsapp;
use crate::whatsapp::receive::decode;

/// Age at which messages are recovered. WhatsApp delivers unacknowledged messages again, and then
/// with the sender's name and the right time; so it goes first.
const RECOVERY_AGE: SignedDuration = SignedDuration::from_mins(10);
const RECOVERY_INTERVAL: Duration = Duration::from_secs(300);
/// Number of messages recovered at a time.
const BATCH_SIZE: usize = 100;

impl Whatsapp {
    /// Recovers messages now and every few minutes, until the program ends.
    pub fn start_recovery(&self, inbox: Arc<dyn Inbox>) {
        let whatsapp = self.clone();
        self.lifecycle.spawn(async move {
            loop {
                if let Err(error) = whatsapp.recover_messages(&*inbox).await {
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

    async fn recover_messages(&self, inbox: &dyn Inbox) -> Result<()> {
        let before = self.clock.now() - RECOVERY_AGE;
        loop {
            let batch = self
                .store
                .inbound()
                .find_pending_before(before, BATCH_SIZE)
                .await?;
            for pending in &batch {
                let session = &pending.session;
                match decode_pending(pending) {
                    Ok(Some(incoming)) => inbox.accept(session, vec![incoming].into()).await?,
                    Ok(None) => {}
                    Err(error) => {
                        tracing::error!(session = session.name(), %error, "failed to decode a message of an earlier run")
                    }
                }
                self.store
                    .inbound()
                    .release_pending(session, vec![pending.key.clone()])
                    .await?;
            }
            if batch.len() < BATCH_SIZE {
                return Ok(());
            }
        }
    }
}

/// Converts a message to its event; `None` if it has none.
fn decode_pending(pending: &PendingMessage) -> Result<Option<InboundEvent>> {
    let PendingMessage {
        session,
        key,
        message,
        created_at,
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
    Ok(decode::decode_message(
        session.name(),
        &message,
        &info,
        &decode::MessageAddresses::default(),
    ))
}

#[cfg(test)]
mod tests {
    use jiff::Timestamp;

    use crate::model::event::{EventData, MessageKey};
    use crate::model::message::Message;
    use crate::store::Life;
    use crate::whatsapp::device_store::recovery::*;

    fn pending(chat: &str, sender: &str) -> PendingMessage {
        let message = waproto::whatsapp::Message {
            conversation: Some("hi".to_owned()),
            ..Default::default()
        };
        PendingMessage {
            session: Life::for_gateway("shop"),
            key: MessageKey {
                chat: chat.to_owned(),
                sender: sender.to_owned(),
                id: "3EB0".to_owned(),
            },
            message: waproto::codec::message_to_vec(&message),
            created_at: Timestamp::UNIX_EPOCH,
        }
    }

    #[test]
    fn a_message_that_was_left_behind_is_told_with_what_is_known_of_it() {
        for (chat, sender) in [
            ("1@lid", "1:2@lid"),
            ("375447034810@s.whatsapp.net", "375447034810@s.whatsapp.net"),
            ("12@g.us", "1:2@lid"),
        ] {
            let incoming = decode_pending(&pending(chat, sender)).unwrap().unwrap();
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
        let incoming = decode_pending(&pending("1@lid", "2:3@lid"))
            .unwrap()
            .unwrap();
        assert_eq!(
            (incoming.chat.as_str(), incoming.data.kind()),
            ("1@lid", "message.echo")
        );
    }
}
