//! What a phone's owner posts for a day.

use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::ProtocolMessage;
use waproto::whatsapp::message::protocol_message::Type;

use crate::phone::Phone;
use crate::stanza::{phone_message, status};
use crate::world::{Chat, Number};

impl Phone {
    /// Posts a status that these people see; `kind` is the stanza's type (`text`, `media`). Returns its id.
    pub fn posts(&self, audience: &[&Self], kind: &'static str, message: &wa::Message) -> anyhow::Result<String> {
        let id = phone_message::new_id();
        let audience: Vec<Number> = audience.iter().map(|phone| phone.number.clone()).collect();
        status::send(&self.server, &self.number, &audience, &id, kind, message)?;
        Ok(id)
    }

    /// Takes a status of its own back from those who saw it; returns the id of the message that says so.
    pub fn takes_back(&self, audience: &[&Self], status_id: &str) -> anyhow::Result<String> {
        let key = wa::MessageKey {
            remote_jid: Some(Chat::Status.to_string()),
            from_me: Some(true),
            id: Some(status_id.to_owned()),
            participant: None,
        };
        let revoke = ProtocolMessage { key: MessageField::some(key), r#type: Some(Type::REVOKE), ..Default::default() };
        let message = wa::Message { protocol_message: MessageField::some(revoke), ..Default::default() };
        self.posts(audience, "text", &message)
    }
}
