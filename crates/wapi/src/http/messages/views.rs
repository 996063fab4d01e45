//! `/v1/sessions/{session}/messages/{id}/view`: marking a status as viewed.

use axum::extract::State;
use axum::http::StatusCode;

use super::NamedMessage;
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::query::Query;
use crate::message::ChatId;

/// `POST …/messages/{id}/view`: sends a view receipt to the author of a status.
pub async fn view(
    State(gateway): State<Gateway>,
    message: NamedMessage,
    query: Query,
) -> Result<StatusCode, Problem> {
    query.done()?;
    let NamedMessage { session, id } = message;
    let life = gateway.life(&session)?;
    let status = gateway
        .sessions
        .quoted(&session, &life, &ChatId::Status, &id)
        .await
        .map_err(super::unreadable)?;
    let author = match status.map(|status| status.author) {
        Some(Some(author)) => author,
        Some(None) => return Err(Problem::field("id", "names a status of the account itself")),
        None => return Err(Problem::NoMessage),
    };
    gateway.sessions.view(&session, &id, &author).await?;
    Ok(StatusCode::NO_CONTENT)
}
