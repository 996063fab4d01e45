//! `/v1/sessions/{session}/groups/{group}/participants`: the members of a group.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::failures::{explain_refusal, member_problem};
use super::{GroupPath, find_group, store_problem};
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::{JsonFields, NOT_TEXT};
use crate::http::request::query::QueryParameters;
use crate::model::event::{GroupMember, GroupRole};
use crate::model::group_change::MemberResult;
use crate::model::message::ChatId;
use crate::whatsapp::MemberAction;

/// The most members of a group, and people in one request.
pub(in crate::http) const MEMBER_LIMIT: usize = 1_024;

#[derive(Debug, Serialize)]
pub(in crate::http) struct MemberList {
    participants: Vec<GroupMember>,
}

#[derive(Debug, Serialize)]
pub(in crate::http) struct MemberResults {
    pub participants: Vec<MemberResult>,
}

/// `GET …/participants`: lists the members as JSON, or as CSV where the caller accepts `text/csv`.
pub(in crate::http) async fn list_members(
    State(gateway): State<Gateway>,
    path: GroupPath,
    query: QueryParameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    query.finish()?;
    let participants = find_group(&gateway, &path).await?.group.participants;
    let accepted = headers
        .get(header::ACCEPT)
        .and_then(|kinds| kinds.to_str().ok());
    if accepted.is_some_and(|kinds| kinds.contains("text/csv")) {
        let kind = [(header::CONTENT_TYPE, "text/csv; charset=utf-8")];
        return Ok((kind, write_csv(&participants)).into_response());
    }
    Ok(Json(MemberList { participants }).into_response())
}

/// Writes members as CSV. Spreadsheets take texts that begin with some signs for formulas, so a
/// name never begins with one.
fn write_csv(members: &[GroupMember]) -> String {
    let mut csv = "id,phone,lid,name,role\r\n".to_owned();
    for GroupMember { person, role } in members {
        let name = person.name.as_deref().unwrap_or_default();
        let guard = if name.starts_with(['=', '+', '-', '@', '\t', '\r']) {
            "'"
        } else {
            ""
        };
        let role = match role {
            GroupRole::Member => "member",
            GroupRole::Admin => "admin",
            GroupRole::SuperAdmin => "superadmin",
        };
        let cells = [
            person.id.clone(),
            person.phone.clone().unwrap_or_default(),
            person.lid.clone().unwrap_or_default(),
            format!("\"{guard}{}\"", name.replace('"', "\"\"")),
            role.to_owned(),
        ];
        csv += &cells.join(",");
        csv += "\r\n";
    }
    csv
}

/// `POST …/participants {participants}`: adds people, each with a result of their own.
pub(in crate::http) async fn add_members(
    State(gateway): State<Gateway>,
    path: GroupPath,
    query: QueryParameters,
    mut fields: JsonFields,
) -> Result<Json<MemberResults>, Problem> {
    query.finish()?;
    let people = read_people(&mut fields, "participants");
    let people = people.filter(|people| !people.is_empty());
    if people.is_none() {
        fields.refuse_field("participants", "must name at least one person");
    }
    fields.refuse_unknown();
    let people = fields.finish(people)?;
    let online = gateway.sessions.online(&path.session)?;
    let mut participants = match online.add_members(&path.group, &people).await {
        Ok(results) => results,
        Err(error) => return Err(explain_refusal(&gateway, &path, error).await),
    };
    let results = participants.iter_mut().map(|result| &mut result.person);
    let resolved = gateway
        .sessions
        .resolve_people(&path.session, results)
        .await;
    resolved.map_err(store_problem)?;
    Ok(Json(MemberResults { participants }))
}

/// `DELETE …/participants/{participant}`: removes a member.
pub(in crate::http) async fn remove_member(
    State(gateway): State<Gateway>,
    MemberPath { group, person }: MemberPath,
    query: QueryParameters,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    change_member(&gateway, &group, &person, MemberAction::Remove).await
}

/// `PUT …/participants/{participant}/role {role}`: makes a member an admin, or an admin a member.
pub(in crate::http) async fn set_role(
    State(gateway): State<Gateway>,
    MemberPath { group, person }: MemberPath,
    query: QueryParameters,
    mut fields: JsonFields,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    let action = fields.parse_required("role", |role| match role {
        "admin" => Ok(MemberAction::Promote),
        "member" => Ok(MemberAction::Demote),
        _ => Err("must be `admin` or `member`"),
    });
    fields.refuse_unknown();
    let action = fields.finish(action)?;
    change_member(&gateway, &group, &person, action).await
}

async fn change_member(
    gateway: &Gateway,
    path: &GroupPath,
    person: &ChatId,
    action: MemberAction,
) -> Result<StatusCode, Problem> {
    let online = gateway.sessions.online(&path.session)?;
    match online.change_member(&path.group, person, action).await {
        Ok(None) => Ok(StatusCode::NO_CONTENT),
        Ok(Some(code)) => Err(member_problem(code)),
        Err(error) => Err(explain_refusal(gateway, path, error).await),
    }
}

/// `DELETE …/groups/{group}/membership`: leaves a group.
pub(in crate::http) async fn leave_group(
    State(gateway): State<Gateway>,
    path: GroupPath,
    query: QueryParameters,
) -> Result<StatusCode, Problem> {
    query.finish()?;
    // WhatsApp accepts the departure from groups that the account is not in.
    find_group(&gateway, &path).await?;
    let online = gateway.sessions.online(&path.session)?;
    match online.leave_group(&path.group).await {
        Ok(()) => Ok(StatusCode::NO_CONTENT),
        Err(error) => Err(explain_refusal(&gateway, &path, error).await),
    }
}

/// Reads a list of people that may be left out.
pub(in crate::http) fn read_people(
    fields: &mut JsonFields,
    field: &'static str,
) -> Option<Vec<ChatId>> {
    let texts = fields.optional_texts(field)?;
    if texts.len() > MEMBER_LIMIT {
        fields.refuse_field(field, format!("has more than {MEMBER_LIMIT} people"));
        return None;
    }
    let one = |text: &String| match ChatId::parse(text) {
        Ok(person) if person.is_person() => Ok(person),
        Ok(_) => Err("must name people, by number or LID".to_owned()),
        Err(error) => Err(error.to_string()),
    };
    let people = texts.iter().map(one).collect();
    fields.ok_or_record(field, people)
}

/// The session, group or community, and person in a path.
#[derive(Debug)]
pub(in crate::http) struct MemberPath {
    pub group: GroupPath,
    pub person: ChatId,
}

impl<S: Send + Sync> FromRequestParts<S> for MemberPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_text = |_| Problem::invalid_field("session", NOT_TEXT);
        let Path((session, group, person)) =
            Path::<(String, String, String)>::from_request_parts(parts, state)
                .await
                .map_err(not_text)?;
        let group = GroupPath::parse(&session, &group, "group")?;
        match ChatId::parse(&person) {
            Ok(person) if person.is_person() => Ok(Self { group, person }),
            Ok(_) => Err(Problem::invalid_field("participant", "is not a person")),
            Err(error) => Err(Problem::invalid_field("participant", error.to_string())),
        }
    }
}
