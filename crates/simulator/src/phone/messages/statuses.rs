//! Statuses: 24-hour posts of a phone, and reactions and answers to them.

use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::extended_text_message::FontType;
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{ExtendedTextMessage, ProtocolMessage, ReactionMessage};

use crate::model::ids::{Chat, PhoneNumber};
use crate::phone::Phone;
use crate::server::stanza::messages::{phone_message, status};

impl Phone {
    /// Posts a status for these people; `kind` is the stanza's type (`text`, `media_type`). Returns its
    /// id.
    pub fn posts_status(
        &self,
        audience: &[&Self],
        kind: &'static str,
        message: &wa::Message,
    ) -> anyhow::Result<String> {
        let id = phone_message::new_message_id();
        let audience: Vec<PhoneNumber> =
            audience.iter().map(|phone| phone.number.clone()).collect();
        status::send_status(&self.server, &self.number, &audience, &id, kind, message)?;
        Ok(id)
    }

    /// Posts a text in handwriting on a coloured ground (alpha, red, green, blue) for these people.
    /// Returns the id of the status.
    pub fn posts_painted_text(
        &self,
        audience: &[&Self],
        text: &str,
        background: u32,
    ) -> anyhow::Result<String> {
        let text = ExtendedTextMessage {
            text: Some(text.to_owned()),
            background_argb: Some(background),
            font: Some(FontType::FB_SCRIPT),
            ..Default::default()
        };
        let message = wa::Message {
            extended_text_message: MessageField::some(text),
            ..Default::default()
        };
        self.posts_status(audience, "text", &message)
    }

    /// Reacts to a status with an emoji; an empty emoji removes the reaction. Returns the id of the
    /// reaction.
    pub fn reacts_to_status(
        &self,
        author: &Self,
        status_id: &str,
        emoji: &str,
    ) -> anyhow::Result<String> {
        let key = wa::MessageKey {
            remote_jid: Some(Chat::Status.to_string()),
            from_me: Some(false),
            id: Some(status_id.to_owned()),
            participant: Some(author.lid()),
        };
        let reaction = ReactionMessage {
            key: MessageField::some(key),
            text: Some(emoji.to_owned()),
            sender_timestamp_ms: Some(crate::wire::unix_time_ms()),
            ..Default::default()
        };
        let message = wa::Message {
            reaction_message: MessageField::some(reaction),
            ..Default::default()
        };
        let id = phone_message::new_message_id();
        phone_message::send_to_status(
            &self.server,
            &self.number,
            &author.number,
            &id,
            "reaction",
            &message,
        )?;
        Ok(id)
    }

    /// Answers a status, in the chat with its author; returns the message's id.
    pub fn answers_status(
        &self,
        author: &Self,
        status_id: &str,
        quoted: &str,
        text: &str,
    ) -> anyhow::Result<String> {
        let quoted = wa::Message {
            conversation: Some(quoted.to_owned()),
            ..Default::default()
        };
        let about = wa::ContextInfo {
            stanza_id: Some(status_id.to_owned()),
            participant: Some(self.address_of(&author.jid())?),
            remote_jid: Some(Chat::Status.to_string()),
            quoted_message: MessageField::some(quoted),
            ..Default::default()
        };
        let answer = ExtendedTextMessage {
            text: Some(text.to_owned()),
            context_info: MessageField::some(about),
            ..Default::default()
        };
        let message = wa::Message {
            extended_text_message: MessageField::some(answer),
            ..Default::default()
        };
        self.sends_message(&author.jid(), "text", message)
    }

    /// Deletes one of its own statuses for its audience; returns the id of the deletion.
    pub fn deletes_status(&self, audience: &[&Self], status_id: &str) -> anyhow::Result<String> {
        let key = wa::MessageKey {
            remote_jid: Some(Chat::Status.to_string()),
            from_me: Some(true),
            id: Some(status_id.to_owned()),
            participant: None,
        };
        let revoke = ProtocolMessage {
            key: MessageField::some(key),
            r#type: Some(Type::REVOKE),
            ..Default::default()
        };
        let message = wa::Message {
            protocol_message: MessageField::some(revoke),
            ..Default::default()
        };
        self.posts_status(audience, "text", &message)
    }
}
