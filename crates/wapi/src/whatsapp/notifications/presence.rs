//! Conversion of typing, presence and star updates into events. Pure.

use jiff::Timestamp;
use whatsapp_rust::types::events::{ChatPresenceUpdate, PresenceUpdate, StarUpdate};
use whatsapp_rust::types::presence::{ChatPresence, ChatPresenceMedia};
use whatsapp_rust::wacore_binary::JidExt;

use super::observer::{ChatEvent, KnownAddresses};
use crate::model::event::{
    ChatTyping, EventData, MessageStarred, Presence, PresenceChanged, TypingState,
};

/// Converts a typing update: composing, recording or paused.
pub(in crate::whatsapp) fn convert_typing(
    session: &str,
    update: &ChatPresenceUpdate,
    others: &KnownAddresses,
) -> ChatEvent {
    let source = &update.source;
    let from = others.build_person(&source.sender, source.sender_alt.as_ref(), None);
    let chat = if source.chat.is_group() {
        source.chat.to_non_ad_string()
    } else {
        from.id.clone()
    };
    let state = match (update.state, update.media) {
        (ChatPresence::Composing, ChatPresenceMedia::Audio) => TypingState::Recording,
        (ChatPresence::Composing, _) => TypingState::Composing,
        (ChatPresence::Paused, _) => TypingState::Paused,
    };
    let data = EventData::ChatTyping(Box::new(ChatTyping {
        session: session.to_owned(),
        chat: chat.clone(),
        from,
        state,
    }));
    ChatEvent {
        chat,
        id: None,
        data,
    }
}

/// Converts the arrival or departure of a watched person.
pub(in crate::whatsapp) fn convert_presence(
    session: &str,
    update: &PresenceUpdate,
    others: &KnownAddresses,
) -> ChatEvent {
    let from = others.build_person(&update.from, None, None);
    let state = if update.unavailable {
        Presence::Unavailable
    } else {
        Presence::Available
    };
    let last_seen_at = update
        .last_seen
        .and_then(|at| Timestamp::from_second(at.timestamp()).ok());
    let chat = from.id.clone();
    let data = PresenceChanged {
        session: session.to_owned(),
        from,
        state,
        last_seen_at,
    };
    ChatEvent {
        chat,
        id: None,
        data: EventData::PresenceChanged(Box::new(data)),
    }
}

/// Converts a star that the account set or removed on another device.
pub(in crate::whatsapp) fn convert_star(
    session: &str,
    update: &StarUpdate,
    others: &KnownAddresses,
) -> ChatEvent {
    let jid = &update.chat_jid;
    let chat = if jid.is_group() {
        jid.to_non_ad_string()
    } else {
        others.build_person(jid, None, None).id
    };
    let data = EventData::MessageStarred(Box::new(MessageStarred {
        session: session.to_owned(),
        chat: chat.clone(),
        message_id: update.message_id.clone(),
        starred: update.action.starred.unwrap_or(false),
        timestamp: Timestamp::from_millisecond(update.timestamp.timestamp_millis())
            .unwrap_or_default(),
    }));
    ChatEvent {
        chat,
        id: None,
        data,
    }
}
