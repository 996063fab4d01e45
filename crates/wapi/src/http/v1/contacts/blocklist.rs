//! `/v1/sessions/{session}/blocked`: contacts that the account has blocked.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::SessionPath;
use crate::http::request::query::QueryParameters;
use crate::http::v1::presence::ContactPath;
use crate::model::event::Person;
use crate::model::send_failure::SendFailure;
use crate::whatsapp::BlockOutcome;

#[derive(Debug, Serialize)]
pub(in crate::http) struct BlockedList {
    contacts: Vec<Person>,
}

/// `GET …/blocked`: lists blocked contacts, querying WhatsApp each time.
pub(in crate::http) async fn list_blocked(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    query: QueryParameters,
) -> Result<Json<BlockedList>, Problem> {
    query.finish()?;
    Ok(Json(BlockedList {
        contacts: gateway.sessions.list_blocked(&session).await?,
    }))
}

/// `PUT …/contacts/{contact}/block`: blocks a contact. The contact is not notified; later messages
/// from it are dropped.
pub(in crate::http) async fn block_contact(
    State(gateway): State<Gateway>,
    named: ContactPath,
) -> Result<StatusCode, Problem> {
    set_blocked(&gateway, &named, true).await
}

/// `DELETE …/contacts/{contact}/block`: lets the contact's messages in again.
pub(in crate::http) async fn unblock_contact(
    State(gateway): State<Gateway>,
    named: ContactPath,
) -> Result<StatusCode, Problem> {
    set_blocked(&gateway, &named, false).await
}

async fn set_blocked(
    gateway: &Gateway,
    named: &ContactPath,
    is_blocked: bool,
) -> Result<StatusCode, Problem> {
    const NO_NUMBER: &str =
        "is a LID whose number is not known; WhatsApp blocks people by both, so give the number";
    match gateway
        .sessions
        .online(&named.session)?
        .set_blocked(&named.contact, is_blocked)
        .await?
    {
        BlockOutcome::Done => Ok(StatusCode::NO_CONTENT),
        BlockOutcome::NotOnWhatsapp => Err(Problem::NotSent {
            failure: SendFailure::NotOnWhatsapp,
            detail: "is not on WhatsApp".to_owned(),
        }),
        BlockOutcome::NoNumber => Err(Problem::invalid_field("contact", NO_NUMBER)),
    }
}
