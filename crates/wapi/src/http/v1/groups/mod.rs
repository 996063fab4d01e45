//! `/v1/sessions/{session}/groups`: the groups that an account is a member of.

pub mod communities;
mod failures;
pub mod invites;
pub mod members;

use axum::Json;
use axum::extract::{FromRequestParts, Path, Request, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode};
use axum::response::Response;
use serde::Serialize;

use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::error::Problem;
use crate::http::request::extract::{JsonFields, NOT_TEXT, SessionPath};
use crate::http::request::query::QueryParameters;
use crate::http::v1::profile::{picture, serve_picture};
use crate::model::event::{Group, MemberRight};
use crate::model::group_change::{GroupSettings, MemberResult, NewGroup};
use crate::model::message::ChatId;
use crate::model::session_name::SessionName;
use crate::sessions::SessionError;
use crate::store::StoreError;
use crate::whatsapp::RequestError;
use failures::{explain_refusal, group_problem, is_outsider};

/// Longest subject and description, in characters.
pub(in crate::http) const LONGEST_SUBJECT: usize = 100;
pub(in crate::http) const LONGEST_DESCRIPTION: usize = 2_048;

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

/// A part of a request that failed, while others succeeded.
#[derive(Debug, Serialize)]
pub(in crate::http) struct FailedPart {
    field: &'static str,
    code: &'static str,
    detail: String,
}

/// The result of creating a group.
#[derive(Debug, Serialize)]
pub(in crate::http) struct CreatedGroup {
    group: GroupDocument,
    participants: Vec<MemberResult>,
    failed: Vec<FailedPart>,
}

/// The result of changing a group.
#[derive(Debug, Serialize)]
pub(in crate::http) struct ChangedGroup {
    changed: Vec<&'static str>,
    failed: Vec<FailedPart>,
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
    path: GroupPath,
    query: QueryParameters,
) -> Result<Json<GroupDocument>, Problem> {
    query.finish()?;
    Ok(Json(find_group(&gateway, &path).await?))
}

/// Returns a group; an account outside of it learns nothing about it.
async fn find_group(gateway: &Gateway, path: &GroupPath) -> Result<GroupDocument, Problem> {
    let GroupPath { session, group } = path;
    let found = gateway.sessions.find_group(session, group).await;
    let found = found.map_err(|error| match error {
        error if is_outsider(&error) => Problem::NoGroup,
        error => error.into(),
    })?;
    Ok(GroupDocument {
        id: ChatId::Group(group.clone()).to_string(),
        group: found,
    })
}

/// `POST …/groups {subject, participants?, description?, picture?, settings?}`: creates a group.
pub(in crate::http) async fn create_group(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    caller: Caller,
    query: QueryParameters,
    mut fields: JsonFields,
) -> Result<(StatusCode, Json<CreatedGroup>), Problem> {
    query.finish()?;
    let wish = read_new_group(&mut fields);
    let picture = fields.nested_fields("picture").and_then(|mut picture| {
        let id = picture.required_text("id");
        fields.absorb_errors("picture", picture);
        id
    });
    fields.refuse_unknown();
    let (new, people) = fields.finish(wish)?;
    let jpeg = match picture {
        Some(id) => {
            Some(picture::find_avatar(&gateway, &session, &caller, &id, "picture.id").await?)
        }
        None => None,
    };
    let made = make_group(&gateway, &session, &new, &people, jpeg).await?;
    Ok((StatusCode::CREATED, Json(made)))
}

/// Creates a group, and then changes what WhatsApp takes only afterwards.
async fn make_group(
    gateway: &Gateway,
    session: &SessionName,
    new: &NewGroup,
    people: &[ChatId],
    jpeg: Option<Vec<u8>>,
) -> Result<CreatedGroup, Problem> {
    let online = gateway.sessions.online(session)?;
    let created = online.create_group(new, people).await;
    let (id, founded, mut participants) = created.map_err(|error| group_problem(&error))?;
    let Ok(ChatId::Group(group)) = ChatId::parse(&id) else {
        return Err(Problem::Internal);
    };
    let path = GroupPath {
        session: session.clone(),
        group,
    };
    let mut failed = Vec::new();
    // Those in the request to create it are set already.
    let later = GroupSettings {
        approval: None,
        member_add: None,
        member_link: None,
        ..new.settings
    };
    for (field, setting) in later.changes() {
        if let Err(error) = online.set_group_setting(&path.group, setting).await {
            failed.push(FailedPart::new(field, group_problem(&error)));
        }
    }
    if let Some(jpeg) = jpeg
        && let Err(error) = online.set_group_picture(&path.group, Some(jpeg)).await
    {
        failed.push(FailedPart::new("picture", group_problem(&error)));
    }
    let results = participants.iter_mut().map(|result| &mut result.person);
    // The group exists: an error would make the caller create another one.
    if let Err(error) = gateway.sessions.resolve_people(session, results).await {
        tracing::warn!(%error, "failed to look up the names of a new group's members");
    }
    let group = find_group(gateway, &path).await;
    Ok(CreatedGroup {
        group: group.unwrap_or(GroupDocument { id, group: founded }),
        participants,
        failed,
    })
}

/// `PATCH …/groups/{group} {subject?, description?, settings?}`: changes a group, one property
/// after the other.
pub(in crate::http) async fn change_group(
    State(gateway): State<Gateway>,
    path: GroupPath,
    query: QueryParameters,
    mut fields: JsonFields,
) -> Result<Json<ChangedGroup>, Problem> {
    const NOTHING: &str =
        "nothing is changed; give at least one of subject, description, and settings";
    query.finish()?;
    let subject = match fields.has_value("subject") {
        true => fields.text_up_to("subject", LONGEST_SUBJECT),
        false => fields.optional_text("subject"),
    };
    let description = fields
        .has_field("description")
        .then(|| fields.optional_text_up_to("description", LONGEST_DESCRIPTION));
    let settings = read_settings(&mut fields).changes();
    fields.refuse_unknown();
    fields.finish(Some(()))?;
    if subject.is_none() && description.is_none() && settings.is_empty() {
        return Err(Problem::invalid_field("subject", NOTHING));
    }
    let online = gateway.sessions.online(&path.session)?;
    let (mut changed, mut problems) = (Vec::new(), Vec::new());
    let mut note = |field, result| match result {
        Ok(()) => changed.push(field),
        Err(error) => problems.push((field, error)),
    };
    if let Some(subject) = &subject {
        note(
            "subject",
            online.set_group_subject(&path.group, subject).await,
        );
    }
    if let Some(text) = &description {
        let text = text.as_deref();
        note(
            "description",
            online.set_group_description(&path.group, text).await,
        );
    }
    for (field, setting) in settings {
        note(field, online.set_group_setting(&path.group, setting).await);
    }
    let mut failed = Vec::with_capacity(problems.len());
    for (field, error) in problems {
        let problem = match error {
            RequestError::Refused(409) if field == "description" => Problem::DescriptionChanged,
            error => explain_refusal(&gateway, &path, error).await,
        };
        if changed.is_empty() && failed.is_empty() {
            return Err(problem);
        }
        failed.push(FailedPart::new(field, problem));
    }
    Ok(Json(ChangedGroup { changed, failed }))
}

/// `GET …/groups/{group}/picture`: shows the picture.
pub(in crate::http) async fn show_group_picture(
    State(gateway): State<Gateway>,
    GroupPath { session, group }: GroupPath,
    query: QueryParameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    serve_picture(&gateway, &session, &ChatId::Group(group), query, &headers).await
}

/// `PUT …/groups/{group}/picture`: sets the picture, given as for the account's own.
pub(in crate::http) async fn set_group_picture(
    State(gateway): State<Gateway>,
    path: GroupPath,
    caller: Caller,
    query: QueryParameters,
    request: Request,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    let jpeg = picture::receive_avatar(&gateway, &path.session, &caller, request).await?;
    change_picture(&gateway, &path, Some(jpeg)).await
}

/// `DELETE …/groups/{group}/picture`: removes the picture.
pub(in crate::http) async fn remove_group_picture(
    State(gateway): State<Gateway>,
    path: GroupPath,
    query: QueryParameters,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    change_picture(&gateway, &path, None).await
}

async fn change_picture(
    gateway: &Gateway,
    path: &GroupPath,
    jpeg: Option<Vec<u8>>,
) -> Result<StatusCode, Problem> {
    let online = gateway.sessions.online(&path.session)?;
    match online.set_group_picture(&path.group, jpeg).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(explain_refusal(gateway, path, error).await),
    }
}

/// Reads the fields of a group to be created.
fn read_new_group(fields: &mut JsonFields) -> Option<(NewGroup, Vec<ChatId>)> {
    let subject = fields.text_up_to("subject", LONGEST_SUBJECT);
    let description = fields.optional_text_up_to("description", LONGEST_DESCRIPTION);
    let people = members::read_people(fields, "participants").unwrap_or_default();
    let settings = read_settings(fields);
    let new = NewGroup {
        subject: subject?,
        description,
        settings,
        community: None,
    };
    Some((new, people))
}

fn read_settings(fields: &mut JsonFields) -> GroupSettings {
    let Some(mut inner) = fields.nested_fields("settings") else {
        return GroupSettings::default();
    };
    let settings = GroupSettings {
        announcement: inner.optional_flag("announcement"),
        locked: inner.optional_flag("locked"),
        approval: inner.optional_flag("approval"),
        member_add: inner.parse_optional("member_add", parse_right),
        member_link: inner.parse_optional("member_link", parse_right),
        share_history: inner.parse_optional("share_history", parse_right),
        limit_sharing: inner.optional_flag("limit_sharing"),
        limit_forwarding: inner.optional_flag("limit_forwarding"),
        admin_reports: inner.optional_flag("admin_reports"),
    };
    fields.absorb_errors("settings", inner);
    settings
}

fn parse_right(word: &str) -> Result<MemberRight, &'static str> {
    match word {
        "admins" => Ok(MemberRight::Admins),
        "all" => Ok(MemberRight::All),
        _ => Err("must be `admins` or `all`"),
    }
}

fn store_problem(error: StoreError) -> Problem {
    SessionError::from(error).into()
}

impl FailedPart {
    fn new(field: &'static str, problem: Problem) -> Self {
        let document = problem.into_document();
        Self {
            field,
            code: document.code,
            detail: document.detail,
        }
    }
}

/// The session and group in a path.
#[derive(Debug, Clone)]
pub(in crate::http) struct GroupPath {
    pub session: SessionName,
    /// The part of the group's address before `@g.us`.
    pub group: String,
}

impl GroupPath {
    fn parse(session: &str, group: &str, field: &'static str) -> Result<Self, Problem> {
        let session = SessionName::parse(session)
            .map_err(|error| Problem::invalid_field("session", error.to_string()))?;
        match ChatId::parse(group) {
            Ok(ChatId::Group(group)) => Ok(Self { session, group }),
            _ => Err(Problem::invalid_field(
                field,
                "is not the address of a group; use …@g.us",
            )),
        }
    }
}

impl<S: Send + Sync> FromRequestParts<S> for GroupPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_text = |_| Problem::invalid_field("session", NOT_TEXT);
        let Path((session, group)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(not_text)?;
        Self::parse(&session, &group, "group")
    }
}
