//! `/v1/sessions/{session}/chats/{chat}/history`: older messages of a chat, from the phone.

use axum::extract::State;
use axum::http::StatusCode;

use super::{ChatPath, refuse_newsletter};
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::OptionalJson;

/// Default and maximum number of messages that are asked for.
pub(in crate::http) const MESSAGE_COUNT: (u64, u64) = (50, 500);

/// `POST …/chats/{chat}/history {count?}`: asks the phone for messages before the oldest that is
/// stored. They are imported when they come, as in a history sync.
pub(in crate::http) async fn request_older_messages(
    State(gateway): State<Gateway>,
    ChatPath { session, chat }: ChatPath,
    OptionalJson(mut fields): OptionalJson,
) -> Result<StatusCode, Problem> {
    let (usual, most) = MESSAGE_COUNT;
    let count = fields.optional_number("count", 1..=most).unwrap_or(usual);
    fields.refuse_unknown();
    fields.finish(Some(()))?;
    refuse_newsletter(&chat)?;
    let life = gateway.current_life(&session)?;
    let db = gateway.history.current().await?;
    if !gateway.sessions.receives_history(&session)? {
        return Err(Problem::HistoryNotRequested);
    }
    let id = gateway.sessions.resolve_id(&session, &life, &chat).await?;
    let oldest = db.find_oldest_message(&life, &id).await;
    let oldest = oldest.map_err(|error| Problem::NotReady {
        detail: error.to_string(),
    })?;
    let oldest = oldest.ok_or(Problem::NoChat)?;
    gateway
        .sessions
        .online(&session)?
        .request_older_messages(&chat, &oldest, u32::try_from(count).unwrap_or(u32::MAX))
        .await?;
    Ok(StatusCode::ACCEPTED)
}
