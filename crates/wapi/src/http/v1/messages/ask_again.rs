//! `/v1/sessions/{session}/messages/{id}/ask-again`: asking once more for a message that could not
//! be read.

use axum::extract::State;
use axum::http::StatusCode;

use super::{MessagePath, message_problem};
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::JsonFields;
use crate::model::event::UnreadableReason;
use crate::model::message::ChatId;

/// `POST …/messages/{id}/ask-again {chat}`: asks the sender of an unreadable message for it. If it
/// comes, it is delivered as an event under the same id.
pub async fn ask_again(
    State(gateway): State<Gateway>,
    message: MessagePath,
    mut fields: JsonFields,
) -> Result<StatusCode, Problem> {
    let chat = fields.parse_required("chat", |text| {
        ChatId::parse(text).map_err(|error| error.to_string())
    });
    fields.refuse_unknown();
    let chat = fields.finish(chat)?;
    let MessagePath { session, id } = message;
    let life = gateway.current_life(&session)?;
    let online = gateway.sessions.online(&session)?;
    let chats = gateway.sessions.all_addresses(&session, &life, &chat);
    let chats = chats.await.map_err(message_problem)?;
    let found = gateway.store.inbound().find_unreadable(&life, &chats, &id);
    let unread = found.await.map_err(message_problem)?;
    let unread = unread.ok_or(Problem::NoUnreadable)?;
    if unread.was_read {
        return Err(Problem::MessageReadable);
    }
    if unread.reason != UnreadableReason::Undecryptable {
        return Err(Problem::OnPhoneOnly);
    }
    if online.request_again(&unread).await? {
        Ok(StatusCode::ACCEPTED)
    } else {
        Err(Problem::AskedTooOften)
    }
}
