//! `/v1/sessions/{session}/limits`: the limits that WhatsApp sets the account.

use axum::Json;
use axum::extract::State;

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::SessionPath;
use crate::http::request::query::QueryParameters;
use crate::model::event::AccountLimits;

/// `GET …/limits`: asks WhatsApp for the limits of the account.
pub(in crate::http) async fn show_limits(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    query: QueryParameters,
) -> Result<Json<AccountLimits>, Problem> {
    query.finish()?;
    Ok(Json(gateway.sessions.fetch_limits(&session).await?))
}
