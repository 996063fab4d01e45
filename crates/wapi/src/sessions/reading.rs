//! Messages read on the account's phone or on another of its devices become read here, too.

use std::sync::Arc;

use super::{Parts, Session};
use crate::event::{ChatChange, ChatUpdated, EventData, Person};
use crate::whatsapp::Happening;

/// Emits `chat.updated` for the chats in which these messages were unread. Needs the history, which
/// alone knows the chat of each message.
pub(super) async fn read_elsewhere(session: Arc<Session>, around: Parts, ids: Vec<String>) {
    let Ok(kept) = around.history.look().await else {
        return;
    };
    match kept.unread_among(&session.life(), &ids).await {
        Ok(chats) => chats
            .into_iter()
            .for_each(|(chat, newest)| session.tell_of(read(&session, chat, Some(newest)))),
        Err(error) => {
            tracing::warn!(session = %session.name, %error, "what was read elsewhere cannot be looked up");
        }
    }
}

/// Builds the event of a chat that was read completely or up to a message.
pub(super) fn read(session: &Session, chat: Person, up_to: Option<String>) -> Happening {
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
    Happening {
        chat: id,
        id: None,
        data: EventData::ChatUpdated(Box::new(data)),
    }
}
