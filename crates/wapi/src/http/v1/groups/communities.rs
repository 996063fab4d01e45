//! `/v1/sessions/{session}/communities`: communities of an account, and their groups.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use axum::response::{IntoResponse, Response};
use schemars::JsonSchema;
use serde::Serialize;

use super::failures::{forbidden, group_problem, is_outsider, member_problem};
use super::invites::{JoinedGroup, joined};
use super::members::MemberPath;
use super::{
    FailedPart, GroupDocument, GroupPath, LONGEST_DESCRIPTION, LONGEST_SUBJECT, make_group,
    read_new_group,
};
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::{JsonFields, NOT_TEXT, SessionPath};
use crate::http::request::query::QueryParameters;
use crate::model::event::GroupKind;
use crate::model::group_change::{JoinStatus, NewCommunity, NewGroup};
use crate::model::message::ChatId;
use crate::whatsapp::RequestError;

#[derive(Debug, Serialize)]
pub(in crate::http) struct CommunityList {
    communities: Vec<GroupDocument>,
}

/// A community with its groups.
#[derive(Debug, Serialize)]
pub(in crate::http) struct CommunityDocument {
    #[serde(flatten)]
    community: GroupDocument,
    groups: Vec<CommunityGroup>,
}

/// The result of creating a community.
#[derive(Debug, Serialize)]
pub(in crate::http) struct CreatedCommunity {
    #[serde(flatten)]
    community: CommunityDocument,
    failed: Vec<FailedPart>,
}

/// A group of a community, as all members of the community see it.
#[derive(Debug, Serialize, JsonSchema)]
pub(in crate::http) struct CommunityGroup {
    /// `…@g.us`
    id: String,
    subject: String,
    kind: GroupKind,
    /// The number of its members, where WhatsApp says it.
    size: Option<u32>,
}

/// A group that was linked to a community.
#[derive(Debug, Serialize)]
pub(in crate::http) struct NewlyLinked {
    group: String,
}

/// `GET …/communities`: lists the communities of the account.
pub(in crate::http) async fn list_communities(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    query: QueryParameters,
) -> Result<Json<CommunityList>, Problem> {
    query.finish()?;
    let groups = gateway.sessions.list_groups(&session).await?;
    let communities = groups
        .into_iter()
        .filter(|(_, group)| group.kind == GroupKind::Community)
        .map(|(id, group)| GroupDocument { id, group })
        .collect();
    Ok(Json(CommunityList { communities }))
}

/// `POST …/communities {subject, description?, approval?, members_create_groups?, general_chat?}`:
/// creates a community with its group of announcements.
pub(in crate::http) async fn create_community(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    query: QueryParameters,
    mut fields: JsonFields,
) -> Result<(StatusCode, Json<CreatedCommunity>), Problem> {
    query.finish()?;
    let subject = fields.text_up_to("subject", LONGEST_SUBJECT);
    let description = fields.optional_text_up_to("description", LONGEST_DESCRIPTION);
    let approval = fields.flag_or_false("approval");
    let members_create_groups = fields.flag_or_false("members_create_groups");
    let general_chat = fields.flag_or_false("general_chat");
    fields.refuse_unknown();
    let new = NewCommunity {
        subject: fields.finish(subject)?,
        approval,
        members_create_groups,
        general_chat,
    };
    let online = gateway.sessions.online(&session)?;
    let created = online.create_community(&new).await;
    let (id, founded) = created.map_err(|error| group_problem(&error))?;
    let Ok(ChatId::Group(group)) = ChatId::parse(&id) else {
        return Err(Problem::Internal);
    };
    let path = GroupPath { session, group };
    let mut failed = Vec::new();
    if let Some(description) = description {
        let described = online.set_group_description(&path.group, Some(&description));
        if let Err(error) = described.await {
            failed.push(FailedPart::new("description", group_problem(&error)));
        }
    }
    // The community exists: an error would make the caller create another one.
    let shown = find_community(&gateway, &path).await;
    let community = shown.unwrap_or_else(|_| CommunityDocument {
        community: GroupDocument { id, group: founded },
        groups: Vec::new(),
    });
    Ok((
        StatusCode::CREATED,
        Json(CreatedCommunity { community, failed }),
    ))
}

/// `GET …/communities/{community}`: shows a community and its groups.
pub(in crate::http) async fn show_community(
    State(gateway): State<Gateway>,
    CommunityPath(path): CommunityPath,
    query: QueryParameters,
) -> Result<Json<CommunityDocument>, Problem> {
    query.finish()?;
    Ok(Json(find_community(&gateway, &path).await?))
}

async fn find_community(gateway: &Gateway, path: &GroupPath) -> Result<CommunityDocument, Problem> {
    let found = gateway
        .sessions
        .find_group(&path.session, &path.group)
        .await;
    let group = found.map_err(|error| match error {
        error if is_outsider(&error) => Problem::NoCommunity,
        error => error.into(),
    })?;
    if group.kind != GroupKind::Community {
        return Err(Problem::NoCommunity);
    }
    let online = gateway.sessions.online(&path.session)?;
    let linked = online.fetch_linked_groups(&path.group).await;
    let groups = linked.map_err(|error| community_problem(&error))?;
    let groups = groups.into_iter().map(|linked| CommunityGroup {
        id: linked.id,
        subject: linked.subject,
        kind: linked.kind,
        size: linked.size,
    });
    let id = ChatId::Group(path.group.clone()).to_string();
    Ok(CommunityDocument {
        community: GroupDocument { id, group },
        groups: groups.collect(),
    })
}

/// `DELETE …/communities/{community}`: dissolves a community; its groups go on without it.
pub(in crate::http) async fn dissolve_community(
    State(gateway): State<Gateway>,
    CommunityPath(path): CommunityPath,
    query: QueryParameters,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    let online = gateway.sessions.online(&path.session)?;
    match online.dissolve_community(&path.group).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(explain_community(&gateway, &path, &error).await),
    }
}

/// `POST …/communities/{community}/groups {group}` or `{subject, …}`: links a group of the account,
/// or a new one.
pub(in crate::http) async fn add_group(
    State(gateway): State<Gateway>,
    CommunityPath(path): CommunityPath,
    query: QueryParameters,
    mut fields: JsonFields,
) -> Result<Response, Problem> {
    query.finish()?;
    if fields.has_value("group") {
        let group = fields.parse_required("group", parse_group);
        fields.refuse_unknown();
        let group = fields.finish(group)?;
        let online = gateway.sessions.online(&path.session)?;
        let linked = match online.link_group(&path.group, &group).await {
            Ok(refused) => refused.map_or(Ok(()), |code| Err(link_problem(code))),
            Err(error) => Err(explain_community(&gateway, &path, &error).await),
        };
        linked?;
        let group = ChatId::Group(group).to_string();
        return Ok(Json(NewlyLinked { group }).into_response());
    }
    let wish = read_new_group(&mut fields);
    fields.refuse_unknown();
    let (new, people) = fields.finish(wish)?;
    let new = NewGroup {
        community: Some(path.group.clone()),
        ..new
    };
    let made = make_group(&gateway, &path.session, &new, &people, None).await;
    let made = made.map_err(|problem| match problem {
        Problem::NoGroup => Problem::NoCommunity,
        problem => problem,
    })?;
    Ok((StatusCode::CREATED, Json(made)).into_response())
}

/// `DELETE …/communities/{community}/groups/{group}`: takes a group out of a community.
pub(in crate::http) async fn remove_group(
    State(gateway): State<Gateway>,
    LinkedGroupPath { community, group }: LinkedGroupPath,
    query: QueryParameters,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    let online = gateway.sessions.online(&community.session)?;
    match online.unlink_group(&community.group, &group).await {
        Ok(None) => Ok(StatusCode::NO_CONTENT),
        Ok(Some(code)) => Err(link_problem(code)),
        Err(error) => Err(explain_community(&gateway, &community, &error).await),
    }
}

/// `POST …/communities/{community}/groups/{group}/join`: joins a group of a community that the
/// account is in.
pub(in crate::http) async fn join_group(
    State(gateway): State<Gateway>,
    LinkedGroupPath { community, group }: LinkedGroupPath,
    query: QueryParameters,
) -> Result<(StatusCode, Json<JoinedGroup>), Problem> {
    query.finish()?;
    let online = gateway.sessions.online(&community.session)?;
    let id = ChatId::Group(group.clone()).to_string();
    match online.join_linked_group(&community.group, &group).await {
        Ok(status) => Ok(joined(id, status)),
        Err(RequestError::Refused(304 | 409)) => Ok(joined(id, JoinStatus::Joined)),
        Err(RequestError::Refused(405)) => {
            Err(forbidden("an admin has removed the account from the group"))
        }
        Err(error) => Err(explain_community(&gateway, &community, &error).await),
    }
}

/// `DELETE …/communities/{community}/participants/{participant}`: removes a person from a community
/// and all of its groups.
pub(in crate::http) async fn remove_member(
    State(gateway): State<Gateway>,
    MemberPath { group, person }: MemberPath,
    query: QueryParameters,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    let online = gateway.sessions.online(&group.session)?;
    match online.remove_everywhere(&group.group, &person).await {
        Ok(None) => Ok(StatusCode::NO_CONTENT),
        Ok(Some(code)) => Err(member_problem(code)),
        Err(error) => Err(explain_community(&gateway, &group, &error).await),
    }
}

/// Returns the problem of a refused request about a community.
fn community_problem(error: &RequestError) -> Problem {
    match error {
        RequestError::Refused(404) => Problem::NoCommunity,
        error => group_problem(error),
    }
}

/// As [`community_problem`], and tells people outside of the community from its members.
async fn explain_community(gateway: &Gateway, path: &GroupPath, error: &RequestError) -> Problem {
    if let RequestError::Refused(401 | 403) = error
        && let Err(found) = find_community(gateway, path).await
    {
        return found;
    }
    community_problem(error)
}

fn link_problem(code: u32) -> Problem {
    match code {
        404 => Problem::NoGroup,
        409 => Problem::GroupLinked,
        406 | 412 | 419 => Problem::GroupFull,
        code => group_problem(&RequestError::Refused(u16::try_from(code).unwrap_or(500))),
    }
}

fn parse_group(text: &str) -> Result<String, &'static str> {
    match ChatId::parse(text) {
        Ok(ChatId::Group(group)) => Ok(group),
        _ => Err("is not the address of a group; use …@g.us"),
    }
}

/// The session and community in a path.
#[derive(Debug)]
pub(in crate::http) struct CommunityPath(GroupPath);

impl<S: Send + Sync> FromRequestParts<S> for CommunityPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_text = |_| Problem::invalid_field("session", NOT_TEXT);
        let Path((session, community)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(not_text)?;
        GroupPath::parse(&session, &community, "community").map(Self)
    }
}

/// The session, community, and group in a path.
#[derive(Debug)]
pub(in crate::http) struct LinkedGroupPath {
    community: GroupPath,
    /// The part of the group's address before `@g.us`.
    group: String,
}

impl<S: Send + Sync> FromRequestParts<S> for LinkedGroupPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_text = |_| Problem::invalid_field("session", NOT_TEXT);
        let Path((session, community, group)) =
            Path::<(String, String, String)>::from_request_parts(parts, state)
                .await
                .map_err(not_text)?;
        let community = GroupPath::parse(&session, &community, "community")?;
        let group = parse_group(&group).map_err(|error| Problem::invalid_field("group", error))?;
        Ok(Self { community, group })
    }
}
