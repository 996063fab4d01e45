//! `/v1/sessions/{session}/groups`: the groups that an account is a member of.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use serde::Serialize;

use super::Gateway;
use super::error::Problem;
use super::extract::{NOT_TEXT, Named};
use super::query::Query;
use crate::event::Group;
use crate::message::ChatId;
use crate::sessions::{AskError, SessionName};
use crate::whatsapp::NotAnswered;

/// A group with its address.
#[derive(Debug, Serialize)]
pub(super) struct GroupDocument {
    id: String,
    #[serde(flatten)]
    group: Group,
}

#[derive(Debug, Serialize)]
pub(super) struct GroupList {
    groups: Vec<GroupDocument>,
}

/// `GET …/groups`: lists the groups by address, querying WhatsApp each time.
pub(super) async fn list(
    State(gateway): State<Gateway>,
    Named(session): Named,
    query: Query,
) -> Result<Json<GroupList>, Problem> {
    query.done()?;
    let groups = gateway.sessions.groups(&session).await?;
    let groups = groups
        .into_iter()
        .map(|(id, group)| GroupDocument { id, group })
        .collect();
    Ok(Json(GroupList { groups }))
}

/// `GET …/groups/{group}`: shows a group.
pub(super) async fn read(
    State(gateway): State<Gateway>,
    NamedGroup { session, group }: NamedGroup,
    query: Query,
) -> Result<Json<GroupDocument>, Problem> {
    query.done()?;
    let found = gateway
        .sessions
        .group(&session, &group)
        .await
        .map_err(|error| match error {
            // An account outside the group learns nothing about it.
            AskError::NotAnswered(NotAnswered::Refused(400 | 401 | 403 | 404)) => Problem::NoGroup,
            error => error.into(),
        })?;
    Ok(Json(GroupDocument {
        id: ChatId::Group(group).to_string(),
        group: found,
    }))
}

/// The session and group in a path.
pub(super) struct NamedGroup {
    session: SessionName,
    /// The part of the group's address before `@g.us`.
    group: String,
}

impl<S: Send + Sync> FromRequestParts<S> for NamedGroup {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_text = |_| Problem::field("session", NOT_TEXT);
        let Path((session, group)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(not_text)?;
        let session = SessionName::parse(&session)
            .map_err(|error| Problem::field("session", error.to_string()))?;
        match ChatId::parse(&group) {
            Ok(ChatId::Group(group)) => Ok(Self { session, group }),
            _ => Err(Problem::field("group", "is no group's address; use …@g.us")),
        }
    }
}
