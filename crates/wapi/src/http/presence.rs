//! Who is there: whether a session's account shows itself, and whom it watches.

use axum::extract::State;
use axum::http::StatusCode;

use super::Gateway;
use super::chats::NamedChat;
use super::error::Problem;
use super::extract::{Fields, Named};
use crate::event::Presence;
use crate::message::ChatId;

/// `PUT /v1/sessions/{session}/presence {state}`
pub(super) async fn set(
    State(gateway): State<Gateway>,
    Named(session): Named,
    mut fields: Fields,
) -> Result<StatusCode, Problem> {
    let state = fields.parsed("state", Presence::parse);
    fields.refuse_unknown();
    let state = fields.done(state)?;
    gateway.sessions.show_presence(&session, state).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT /v1/sessions/{session}/contacts/{chat}/presence`: `presence.changed` tells of them from now on.
pub(super) async fn watch(State(gateway): State<Gateway>, named: NamedChat) -> Result<StatusCode, Problem> {
    watched(&gateway, named, true).await
}

/// `DELETE` of the same.
pub(super) async fn unwatch(State(gateway): State<Gateway>, named: NamedChat) -> Result<StatusCode, Problem> {
    watched(&gateway, named, false).await
}

/// A group's address is well-formed, and still names nobody.
async fn watched(gateway: &Gateway, named: NamedChat, watched: bool) -> Result<StatusCode, Problem> {
    let NamedChat { session, chat } = named;
    if matches!(chat, ChatId::Group(_)) {
        return Err(Problem::field("contact", "is a group; only people come and go"));
    }
    gateway.sessions.watch(&session, &chat, watched).await?;
    Ok(StatusCode::NO_CONTENT)
}
