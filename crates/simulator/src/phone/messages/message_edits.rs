//! Changes to existing messages by a phone: edits, deletions, reactions, pins, keeps and timers.

use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message::protocol_message::Type;
use waproto::whatsapp::message::{
    KeepInChatMessage, PinInChatMessage, ProtocolMessage, ReactionMessage,
};

use crate::model::group::GroupChange;
use crate::model::history::Author;
use crate::phone::Phone;

impl Phone {
    /// Replaces the text of one of the phone's own messages; returns the id of the edit.
    pub fn edits_message(
        &self,
        chat: &str,
        message_id: &str,
        text: &str,
    ) -> anyhow::Result<String> {
        let edited = wa::Message {
            conversation: Some(text.to_owned()),
            ..Default::default()
        };
        let timestamp_ms = Some(crate::wire::unix_time_ms());
        let edit = ProtocolMessage {
            edited_message: MessageField::some(edited),
            timestamp_ms,
            ..Default::default()
        };
        self.amends_message(chat, message_id, Type::MESSAGE_EDIT, edit)
    }

    /// Deletes one of the phone's own messages for everyone; returns the id of the deletion.
    pub fn deletes_message(&self, chat: &str, message_id: &str) -> anyhow::Result<String> {
        self.amends_message(chat, message_id, Type::REVOKE, ProtocolMessage::default())
    }

    /// Deletes another member's message in a group, as admins do; the call does not check that the
    /// phone is an admin. Returns the id of the deletion.
    pub fn deletes_others_message(&self, group: &str, message_id: &str) -> anyhow::Result<String> {
        let key = self.message_key(group, message_id, Author::Them)?;
        let change = ProtocolMessage {
            key,
            r#type: Some(Type::REVOKE),
            ..ProtocolMessage::default()
        };
        let message = wa::Message {
            protocol_message: MessageField::some(change),
            ..Default::default()
        };
        self.sends_message(group, "text", message)
    }

    /// Reacts to a message with an emoji; an empty emoji removes the reaction. Returns the id of
    /// the reaction.
    pub fn reacts_to_message(
        &self,
        chat: &str,
        message_id: &str,
        author: Author,
        emoji: &str,
    ) -> anyhow::Result<String> {
        let reaction = ReactionMessage {
            key: self.message_key(chat, message_id, author)?,
            text: Some(emoji.to_owned()),
            sender_timestamp_ms: Some(crate::wire::unix_time() as i64 * 1000),
            ..Default::default()
        };
        let message = wa::Message {
            reaction_message: MessageField::some(reaction),
            ..Default::default()
        };
        self.sends_message(chat, "reaction", message)
    }

    /// Pins a message in the chat for a number of seconds; `None` unpins it. Returns the id of the
    /// pin message.
    pub fn pins_message(
        &self,
        chat: &str,
        message_id: &str,
        author: Author,
        seconds: Option<u32>,
    ) -> anyhow::Result<String> {
        use waproto::whatsapp::message::pin_in_chat_message::Type;
        let pin = PinInChatMessage {
            key: self.message_key(chat, message_id, author)?,
            r#type: Some(if seconds.is_some() {
                Type::PIN_FOR_ALL
            } else {
                Type::UNPIN_FOR_ALL
            }),
            sender_timestamp_ms: Some(crate::wire::unix_time() as i64 * 1000),
        };
        let around = wa::MessageContextInfo {
            message_add_on_duration_in_secs: Some(seconds.unwrap_or_default()),
            ..Default::default()
        };
        let message = wa::Message {
            pin_in_chat_message: MessageField::some(pin),
            message_context_info: MessageField::some(around),
            ..Default::default()
        };
        self.sends_message(chat, "text", message)
    }

    /// Keeps a message that would disappear, or undoes that. Returns the id of the keep message.
    pub fn keeps_message(
        &self,
        chat: &str,
        message_id: &str,
        author: Author,
        kept: bool,
    ) -> anyhow::Result<String> {
        let keep = KeepInChatMessage {
            key: self.message_key(chat, message_id, author)?,
            keep_type: Some(if kept {
                wa::KeepType::KEEP_FOR_ALL
            } else {
                wa::KeepType::UNDO_KEEP_FOR_ALL
            }),
            timestamp_ms: Some(crate::wire::unix_time() as i64 * 1000),
        };
        let message = wa::Message {
            keep_in_chat_message: MessageField::some(keep),
            ..Default::default()
        };
        self.sends_message(chat, "text", message)
    }

    /// Sets after how many seconds messages of a chat disappear; 0 turns it off.
    pub fn sets_timer(&self, chat: &str, seconds: u32) -> anyhow::Result<()> {
        if chat.ends_with("@g.us") {
            return self.changes_group(chat, &GroupChange::Timer(seconds));
        }
        let setting = ProtocolMessage {
            r#type: Some(Type::EPHEMERAL_SETTING),
            ephemeral_expiration: Some(seconds),
            ephemeral_setting_timestamp: Some(crate::wire::unix_time() as i64),
            ..Default::default()
        };
        let message = wa::Message {
            protocol_message: MessageField::some(setting),
            ..Default::default()
        };
        self.sends_message(chat, "text", message).map(drop)
    }

    fn amends_message(
        &self,
        chat: &str,
        message_id: &str,
        kind: Type,
        change: ProtocolMessage,
    ) -> anyhow::Result<String> {
        let key = self.message_key(chat, message_id, Author::Me)?;
        let change = ProtocolMessage {
            key,
            r#type: Some(kind),
            ..change
        };
        let message = wa::Message {
            protocol_message: MessageField::some(change),
            ..Default::default()
        };
        self.sends_message(chat, "text", message)
    }

    pub(crate) fn message_key(
        &self,
        chat: &str,
        message_id: &str,
        author: Author,
    ) -> anyhow::Result<MessageField<wa::MessageKey>> {
        let remote_jid = self.address_of(chat)?;
        // In a group, `Them` may be any member, so the key must name the author.
        let is_theirs = author == Author::Them && remote_jid.ends_with("@g.us");
        let participant = match is_theirs
            .then(|| self.message_author(&remote_jid, message_id))
            .flatten()
        {
            Some(author) => Some(self.member_address(&remote_jid, &author)?),
            None => None,
        };
        Ok(MessageField::some(wa::MessageKey {
            remote_jid: Some(remote_jid),
            from_me: Some(author == Author::Me),
            id: Some(message_id.to_owned()),
            participant,
        }))
    }
}
