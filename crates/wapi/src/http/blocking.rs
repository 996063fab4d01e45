//! `/v1/sessions/{session}/blocked`: contacts that the account has blocked.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::Gateway;
use super::error::{NOT_ON_WHATSAPP, Problem};
use super::extract::SessionPath;
use super::presence::ContactPath;
use super::query::QueryParameters;
use crate::event::{Person, SendFailure};
use crate::whatsapp::BlockOutcome;

#[derive(Debug, Serialize)]
pub(super) struct BlockedList {
    contacts: Vec<Person>,
}

/// `GET …/blocked`: lists blocked contacts, querying WhatsApp each time.
pub(super) async fn list_blocked(
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
pub(super) async fn block_contact(
    State(gateway): State<Gateway>,
    named: ContactPath,
) -> Result<StatusCode, Problem> {
    set_blocked(&gateway, &named, true).await
}

/// `DELETE …/contacts/{contact}/block`: lets the contact's messages in again.
pub(super) async fn unblock_contact(
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
        .set_blocked(&named.session, &named.contact, is_blocked)
        .await?
    {
        BlockOutcome::Done => Ok(StatusCode::NO_CONTENT),
        BlockOutcome::NotOnWhatsapp => {
            let detail = "nobody on WhatsApp has this number".to_owned();
            Err(Problem::NotSent(SendFailure {
                code: NOT_ON_WHATSAPP.to_owned(),
                detail,
            }))
        }
        BlockOutcome::NoNumber => Err(Problem::invalid_field("contact", NO_NUMBER)),
    }
}
