//! Messages read on the account's phone or on another of its devices become read here, too.

use std::sync::Arc;

use super::{Session, SessionDeps};
use crate::model::event::{ChatChange, ChatUpdated, EventData, Person};
use crate::whatsapp::ChatEvent;

/// Emits `chat.updated` for the chats in which these messages were unread. Needs the history, which
/// alone knows the chat of each message.
pub(super) async fn emit_read_elsewhere(
    session: Arc<Session>,
    deps: SessionDeps,
    ids: Vec<String>,
) {
    let Ok(kept) = deps.history.current().await else {
        return;
    };
    match kept.find_unread_chats(&session.life(), &ids).await {
        Ok(chats) => chats.into_iter().for_each(|(chat, newest)| {
            session.emit_chat_event(chat_read_event(&session, chat, Some(newest)))
        }),
        Err(error) => {
            tracing::warn!(session = %session.name, %error, "failed to look up messages that were read on another \
             device");
        }
    }
}

/// Builds the event of a chat that was read completely or up to a message.
pub(super) fn chat_read_event(session: &Session, chat: Person, up_to: Option<String>) -> ChatEvent {
    let change = ChatChange {
        unread: Some(false),
        read_up_to: up_to,
        ..ChatChange::default()
    };
    let id = chat.id.clone();
    let data = ChatUpdated {
        session: session.name.as_str().to_owned(),
        chat,
        change,
    };
    ChatEvent {
        chat: id,
        id: None,
        data: EventData::ChatUpdated(Box::new(data)),
    }
}
