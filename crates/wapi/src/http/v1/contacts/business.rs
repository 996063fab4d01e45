//! `/v1/sessions/{session}/contacts/{contact}/business`: the profile of a business.

use axum::Json;
use axum::extract::State;

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::query::QueryParameters;
use crate::http::v1::presence::ContactPath;
use crate::model::account::business::BusinessProfile;

/// `GET …/contacts/{contact}/business`: shows the profile, querying WhatsApp each time.
pub(in crate::http) async fn show_business(
    State(gateway): State<Gateway>,
    ContactPath { session, contact }: ContactPath,
    query: QueryParameters,
) -> Result<Json<BusinessProfile>, Problem> {
    query.finish()?;
    let found = gateway
        .sessions
        .online(&session)?
        .fetch_business(&contact)
        .await?;
    found.map(Json).ok_or(Problem::NoBusiness)
}
