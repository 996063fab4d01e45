//! `/v1/sessions/{session}/chats/{chat}`: what somebody does in a chat beside sending.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Serialize;

use super::Gateway;
use super::error::Problem;
use super::extract::{Fields, FieldsOrNothing, NOT_TEXT};
use crate::event::Typing;
use crate::message::{ChatId, ChatTimer};
use crate::sessions::SessionName;

/// `PATCH …/chats/{chat} {disappearing}`: what is set about a chat.
pub(super) async fn change(
    State(gateway): State<Gateway>,
    NamedChat { session, chat }: NamedChat,
    mut fields: Fields,
) -> Result<StatusCode, Problem> {
    let seconds = disappearing(&mut fields);
    fields.refuse_unknown();
    let seconds = fields.done(seconds)?;
    gateway.sessions.set_timer(&session, &chat, seconds).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Seconds after which messages disappear.
fn disappearing(fields: &mut Fields) -> Option<u32> {
    if !fields.has("disappearing") {
        fields.refuse("disappearing", "is missing");
    }
    let seconds = fields.optional_number("disappearing", 0..=u64::from(u32::MAX))?;
    let chosen = ChatTimer::CHOICES.into_iter().find(|choice| u64::from(*choice) == seconds);
    if chosen.is_none() {
        fields.refuse("disappearing", "must be 0 (off), 86400 (a day), 604800 (a week) or 7776000 (90 days)");
    }
    chosen
}

/// How many messages were marked.
#[derive(Debug, Serialize)]
pub(super) struct MarkedRead {
    read: usize,
}

/// `POST …/chats/{chat}/read {up_to?}`: the messages received so far, or up to one of them, that were not marked before.
pub(super) async fn read(
    State(gateway): State<Gateway>,
    NamedChat { session, chat }: NamedChat,
    FieldsOrNothing(mut fields): FieldsOrNothing,
) -> Result<Json<MarkedRead>, Problem> {
    let up_to = fields.optional_text("up_to");
    fields.refuse_unknown();
    fields.done(Some(()))?;
    let read = gateway.sessions.mark_read(&session, &chat, up_to.as_deref()).await?;
    Ok(Json(MarkedRead { read }))
}

/// `POST …/chats/{chat}/typing {state}`
pub(super) async fn typing(
    State(gateway): State<Gateway>,
    NamedChat { session, chat }: NamedChat,
    mut fields: Fields,
) -> Result<StatusCode, Problem> {
    let state = fields.parsed("state", Typing::parse);
    fields.refuse_unknown();
    let state = fields.done(state)?;
    gateway.sessions.show_typing(&session, &chat, state).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// The session and the chat a path names.
pub(super) struct NamedChat {
    pub session: SessionName,
    pub chat: ChatId,
}

impl<S: Send + Sync> FromRequestParts<S> for NamedChat {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_text = |_| Problem::field("session", NOT_TEXT);
        let Path((session, chat)) =
            Path::<(String, String)>::from_request_parts(parts, state).await.map_err(not_text)?;
        let session = SessionName::parse(&session).map_err(|error| Problem::field("session", error.to_string()))?;
        let chat = ChatId::parse(&chat).map_err(|error| Problem::field("chat", error.to_string()))?;
        Ok(Self { session, chat })
    }
}
