//! `/v1/sessions/{session}/messages/{id}/view`: marking a status as viewed.

use axum::extract::State;
use axum::http::StatusCode;

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::query::QueryParameters;
use crate::http::v1::messages::{MessagePath, message_problem};
use crate::model::message::ChatId;

/// `POST …/messages/{id}/view`: sends a view receipt to the author of a status.
pub async fn view_status(
    State(gateway): State<Gateway>,
    message: MessagePath,
    query: QueryParameters,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    let MessagePath { session, id } = message;
    let life = gateway.current_life(&session)?;
    let status = gateway
        .sessions
        .find_quoted(&session, &life, &ChatId::Status, &id)
        .await
        .map_err(message_problem)?;
    let author = match status.map(|status| status.author) {
        Some(Some(author)) => author,
        Some(None) => {
            return Err(Problem::invalid_field(
                "id",
                "names a status of the account itself",
            ));
        }
        None => return Err(Problem::NoMessage),
    };
    gateway
        .sessions
        .online(&session)?
        .view_status(&id, &author)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
