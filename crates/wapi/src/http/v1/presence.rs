//! Presence: whether the account appears online, and subscriptions to contacts.

use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::{JsonFields, NOT_TEXT, SessionPath};
use crate::model::event::Presence;
use crate::model::message::ChatId;
use crate::model::session_name::SessionName;

/// `PUT /v1/sessions/{session}/presence {state}`: sets the account's presence.
pub(in crate::http) async fn set_presence(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    mut fields: JsonFields,
) -> Result<StatusCode, Problem> {
    let state = fields.parse_required("state", Presence::parse);
    fields.refuse_unknown();
    let state = fields.finish(state)?;
    gateway.sessions.set_presence(&session, state).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `PUT /v1/sessions/{session}/contacts/{contact}/presence`: subscribes to a contact's presence,
/// which is published as `presence.changed`.
pub(in crate::http) async fn watch_presence(
    State(gateway): State<Gateway>,
    named: ContactPath,
) -> Result<StatusCode, Problem> {
    gateway
        .sessions
        .online(&named.session)?
        .set_presence_watch(&named.contact, true)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// `DELETE` of the same path: ends the subscription.
pub(in crate::http) async fn unwatch_presence(
    State(gateway): State<Gateway>,
    named: ContactPath,
) -> Result<StatusCode, Problem> {
    gateway
        .sessions
        .online(&named.session)?
        .set_presence_watch(&named.contact, false)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Session and person named by a path.
pub(in crate::http) struct ContactPath {
    pub session: SessionName,
    pub contact: ChatId,
}

impl<S: Send + Sync> FromRequestParts<S> for ContactPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_text = |_| Problem::invalid_field("session", NOT_TEXT);
        let Path((session, contact)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(not_text)?;
        let session = SessionName::parse(&session)
            .map_err(|error| Problem::invalid_field("session", error.to_string()))?;
        match ChatId::parse(&contact) {
            Ok(contact) if contact.is_person() => Ok(Self { session, contact }),
            Ok(_) => Err(Problem::invalid_field(
                "contact",
                "is not a person; only people have a presence",
            )),
            Err(error) => Err(Problem::invalid_field("contact", error.to_string())),
        }
    }
}
