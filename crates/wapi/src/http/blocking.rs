//! `/v1/sessions/{session}/blocked`: contacts that the account has blocked.

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde::Serialize;

use super::Gateway;
use super::error::{NOT_ON_WHATSAPP, Problem};
use super::extract::Named;
use super::presence::NamedContact;
use super::query::Query;
use crate::event::{Failure, Person};
use crate::whatsapp::Blocking;

#[derive(Debug, Serialize)]
pub(super) struct BlockedList {
    contacts: Vec<Person>,
}

/// `GET …/blocked`: lists blocked contacts, querying WhatsApp each time.
pub(super) async fn list(
    State(gateway): State<Gateway>,
    Named(session): Named,
    query: Query,
) -> Result<Json<BlockedList>, Problem> {
    query.done()?;
    Ok(Json(BlockedList {
        contacts: gateway.sessions.blocked(&session).await?,
    }))
}

/// `PUT …/contacts/{contact}/block`: blocks a contact. The contact is not notified; later messages
/// from it are dropped.
pub(super) async fn block(
    State(gateway): State<Gateway>,
    named: NamedContact,
) -> Result<StatusCode, Problem> {
    set(&gateway, &named, true).await
}

/// `DELETE …/contacts/{contact}/block`: lets the contact's messages in again.
pub(super) async fn unblock(
    State(gateway): State<Gateway>,
    named: NamedContact,
) -> Result<StatusCode, Problem> {
    set(&gateway, &named, false).await
}

async fn set(
    gateway: &Gateway,
    named: &NamedContact,
    is_blocked: bool,
) -> Result<StatusCode, Problem> {
    const NO_NUMBER: &str =
        "is a LID whose number is not known; WhatsApp blocks people by both, so give the number";
    match gateway
        .sessions
        .block(&named.session, &named.contact, is_blocked)
        .await?
    {
        Blocking::Done => Ok(StatusCode::NO_CONTENT),
        Blocking::Nobody => {
            let detail = "nobody on WhatsApp has this number".to_owned();
            Err(Problem::NotSent(Failure {
                code: NOT_ON_WHATSAPP.to_owned(),
                detail,
            }))
        }
        Blocking::NoNumber => Err(Problem::field("contact", NO_NUMBER)),
    }
}
