//! Edits of the account's own messages, encrypted with the secret of the original message.
//!
//! WhatsApp's own clients encrypt an edit if a feature switch of the account says so, and send it
//! as an ordinary message otherwise; clients that read edits at all read both. If the secret is not
//! known, an edit cannot be encrypted.

use std::time::Duration;

use whatsapp_rust::Jid;
use whatsapp_rust::wacore::iq::abprops::web::MESSAGE_EDIT_TO_MESSAGE_SECRET_SENDER_ENABLED;
use whatsapp_rust::wacore::iq::props::PropsSpec;
use whatsapp_rust::wacore::message_edit::{MessageEditContext, encrypt_message_edit};
use whatsapp_rust::wacore_binary::JidExt;
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message::SecretEncryptedMessage;
use whatsapp_rust::waproto::whatsapp::message::secret_encrypted_message::SecretEncType;

use super::encode;
use crate::model::message::ChatId;
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::receive::hook::find_other_address;
use crate::whatsapp::receive::poll_votes::is_addressed_by_lid;

/// How long the first edit waits for WhatsApp's feature switches.
const SWITCHES_TIMEOUT: Duration = Duration::from_secs(5);
/// Lookups of a secret, and the delay between them: the engine saves secrets some time after their
/// messages have left.
const SECRET_LOOKUPS: u32 = 5;
const LOOKUP_DELAY: Duration = Duration::from_millis(100);

impl Link {
    /// Returns an edit in the form in which it leaves.
    pub(in crate::whatsapp) async fn seal_edit(
        &self,
        to: &ChatId,
        edit: wa::Message,
    ) -> wa::Message {
        // Boxed: the engine's futures are nested too deeply for the compiler.
        if !Box::pin(self.is_sealing_enabled()).await {
            return edit;
        }
        let sealed = Box::pin(self.encrypt_edit(encode::chat_jid(to), &edit)).await;
        sealed.unwrap_or(edit)
    }

    /// Returns whether edits are encrypted. Asked once: a switch that is on stays on.
    async fn is_sealing_enabled(&self) -> bool {
        let asking = self.edits_are_sealed.get_or_try_init(|| async {
            match self
                .clock
                .timeout(SWITCHES_TIMEOUT, self.client.execute(PropsSpec::new()))
                .await
            {
                Ok(Ok(switches)) => {
                    let code = MESSAGE_EDIT_TO_MESSAGE_SECRET_SENDER_ENABLED.code;
                    let mut switches = switches.experiment_props.iter();
                    Ok(switches
                        .any(|(known, value)| *known == code && matches!(&**value, "1" | "true")))
                }
                Ok(Err(error)) => Err(error.to_string()),
                Err(error) => Err(error.to_string()),
            }
        });
        let answer = asking.await.inspect_err(|error| {
            tracing::debug!(
                error,
                "failed to look up whether edits are encrypted separately"
            )
        });
        answer.copied().unwrap_or(false)
    }

    /// Encrypts an edit under the address that the message carries, like all sealed payloads;
    /// `None` if the secret is not known.
    async fn encrypt_edit(&self, to: Jid, edit: &wa::Message) -> Option<wa::Message> {
        let key = edit.protocol_message.as_option()?.key.as_option()?;
        let id = key.id.as_deref()?;
        let secret = self.find_secret(&to, id).await?;
        let own = if is_addressed_by_lid(&self.client, &to).await {
            self.client.lid()
        } else {
            self.client.pn()
        };
        let own = own.or_else(|| self.client.pn())?.to_non_ad_string();
        let about = MessageEditContext {
            original_msg_id: id,
            original_sender_jid: &own,
            editor_jid: &own,
        };
        let (payload, iv) = encrypt_message_edit(edit, &secret, &about).ok()?;
        let sealed = SecretEncryptedMessage {
            target_message_key: MessageField::some(key.clone()),
            enc_payload: Some(payload),
            enc_iv: Some(iv.to_vec()),
            secret_enc_type: Some(SecretEncType::MESSAGE_EDIT),
            ..Default::default()
        };
        Some(wa::Message {
            secret_encrypted_message: MessageField::some(sealed),
            ..Default::default()
        })
    }

    /// Looks up the secret of an own message in the engine's store, under either address of either
    /// side.
    async fn find_secret(&self, to: &Jid, id: &str) -> Option<Vec<u8>> {
        let mut chats = vec![to.to_non_ad_string()];
        if !to.is_group() {
            chats.extend(
                find_other_address(&self.client, to)
                    .await
                    .map(|other| other.to_non_ad_string()),
            );
        }
        let own = [self.client.pn(), self.client.lid()].into_iter().flatten();
        let own: Vec<String> = own.map(|own| own.to_non_ad_string()).collect();
        let backend = self.persistence.backend();
        for attempt in 0..SECRET_LOOKUPS {
            if attempt > 0 {
                self.clock.sleep(LOOKUP_DELAY).await;
            }
            for chat in &chats {
                for sender in &own {
                    if let Ok(Some(secret)) = backend.get_msg_secret(chat, sender, id).await {
                        return Some(secret);
                    }
                }
            }
        }
        None
    }
}
