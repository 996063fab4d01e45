//! `/v1/sessions/{session}/groups`: the groups that an account is a member of.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use serde::Serialize;

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::{NOT_TEXT, SessionPath};
use crate::http::request::query::QueryParameters;
use crate::model::event::Group;
use crate::model::message::ChatId;
use crate::model::session_name::SessionName;
use crate::sessions::RequestError;
use crate::whatsapp::LinkRequestError;

/// A group with its address.
#[derive(Debug, Serialize)]
pub(in crate::http) struct GroupDocument {
    id: String,
    #[serde(flatten)]
    group: Group,
}

#[derive(Debug, Serialize)]
pub(in crate::http) struct GroupList {
    groups: Vec<GroupDocument>,
}

/// `GET …/groups`: lists the groups by address, querying WhatsApp each time.
pub(in crate::http) async fn list_groups(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    query: QueryParameters,
) -> Result<Json<GroupList>, Problem> {
    query.finish()?;
    let groups = gateway.sessions.list_groups(&session).await?;
    let groups = groups
        .into_iter()
        .map(|(id, group)| GroupDocument { id, group })
        .collect();
    Ok(Json(GroupList { groups }))
}

/// `GET …/groups/{group}`: shows a group.
pub(in crate::http) async fn show_group(
    State(gateway): State<Gateway>,
    GroupPath { session, group }: GroupPath,
    query: QueryParameters,
) -> Result<Json<GroupDocument>, Problem> {
    query.finish()?;
    let found = gateway
        .sessions
        .find_group(&session, &group)
        .await
        .map_err(|error| match error {
            // An account outside the group learns nothing about it.
            RequestError::Link(LinkRequestError::Refused(400 | 401 | 403 | 404)) => {
                Problem::NoGroup
            }
            error => error.into(),
        })?;
    Ok(Json(GroupDocument {
        id: ChatId::Group(group).to_string(),
        group: found,
    }))
}

/// The session and group in a path.
pub(in crate::http) struct GroupPath {
    session: SessionName,
    /// The part of the group's address before `@g.us`.
    group: String,
}

impl<S: Send + Sync> FromRequestParts<S> for GroupPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_text = |_| Problem::invalid_field("session", NOT_TEXT);
        let Path((session, group)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(not_text)?;
        let session = SessionName::parse(&session)
            .map_err(|error| Problem::invalid_field("session", error.to_string()))?;
        match ChatId::parse(&group) {
            Ok(ChatId::Group(group)) => Ok(Self { session, group }),
            _ => Err(Problem::invalid_field(
                "group",
                "is no group's address; use …@g.us",
            )),
        }
    }
}
