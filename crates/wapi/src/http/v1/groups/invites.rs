//! Invite links of groups, joining them, and the people that want to.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use serde::Serialize;

use super::failures::{explain_refusal, invite_problem};
use super::members::{MemberResults, read_people};
use super::{GroupDocument, GroupPath, store_problem};
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::{JsonFields, NOT_TEXT, SessionPath};
use crate::http::request::query::QueryParameters;
use crate::model::event::Group;
use crate::model::group_change::{JoinRequest, JoinStatus, MemberResult, ReceivedInvite};
use crate::model::message::{ChatId, MessageContent};
use crate::model::session_name::SessionName;
use crate::whatsapp::RequestError;

/// The beginning of invite links.
const LINK: &str = "https://chat.whatsapp.com/";

/// A group's invite link.
#[derive(Debug, Serialize)]
pub(in crate::http) struct InviteLink {
    code: String,
    link: String,
}

/// A group that the account has joined, or wants to.
#[derive(Debug, Serialize)]
pub(in crate::http) struct JoinedGroup {
    pub group: String,
    pub status: JoinStatus,
}

#[derive(Debug, Serialize)]
pub(in crate::http) struct JoinRequestList {
    requests: Vec<JoinRequest>,
}

/// `GET …/groups/{group}/invite`: shows the invite link.
pub(in crate::http) async fn show_invite(
    State(gateway): State<Gateway>,
    path: GroupPath,
    query: QueryParameters,
) -> Result<Json<InviteLink>, Problem> {
    query.finish()?;
    let online = gateway.sessions.online(&path.session)?;
    match online.fetch_invite_code(&path.group).await {
        Ok(code) => Ok(Json(InviteLink::new(code))),
        Err(error) => Err(explain_refusal(&gateway, &path, error).await),
    }
}

/// `DELETE …/groups/{group}/invite`: revokes the invite link, and shows the new one.
pub(in crate::http) async fn revoke_invite(
    State(gateway): State<Gateway>,
    path: GroupPath,
    query: QueryParameters,
) -> Result<Json<InviteLink>, Problem> {
    query.finish()?;
    let online = gateway.sessions.online(&path.session)?;
    match online.revoke_invite_code(&path.group).await {
        Ok(code) => Ok(Json(InviteLink::new(code))),
        Err(error) => Err(explain_refusal(&gateway, &path, error).await),
    }
}

/// `GET …/groups/invites/{code}`: shows the group behind an invite link, without joining it.
pub(in crate::http) async fn show_invited_group(
    State(gateway): State<Gateway>,
    InvitePath { session, code }: InvitePath,
    query: QueryParameters,
) -> Result<Json<GroupDocument>, Problem> {
    query.finish()?;
    let online = gateway.sessions.online(&session)?;
    let found = online.fetch_invited_group(&code).await;
    show_invited(&gateway, &session, found).await
}

/// `GET …/groups/invites?message_id=&chat=`: shows the group that an invite in a message is for,
/// without joining it.
pub(in crate::http) async fn show_group_of_invite(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    mut query: QueryParameters,
) -> Result<Json<GroupDocument>, Problem> {
    let missing = |name| move || Problem::invalid_field(name, "is missing");
    let (id, chat) = (
        query.optional_text("message_id"),
        query.optional_text("chat"),
    );
    query.finish()?;
    let id = id.ok_or_else(missing("message_id"))?;
    let chat = ChatId::parse(&chat.ok_or_else(missing("chat"))?)
        .map_err(|error| Problem::invalid_field("chat", error.to_string()))?;
    let online = gateway.sessions.online(&session)?;
    let invite = find_invite(&gateway, &session, &id, &chat).await?;
    let found = online.fetch_group_of_invite(&invite).await;
    show_invited(&gateway, &session, found).await
}

async fn show_invited(
    gateway: &Gateway,
    session: &SessionName,
    found: Result<(String, Group), RequestError>,
) -> Result<Json<GroupDocument>, Problem> {
    let (id, mut group) = found.map_err(|error| invite_problem(&error))?;
    let people = group.people_mut().collect::<Vec<_>>();
    let resolved = gateway.sessions.resolve_people(session, people).await;
    resolved.map_err(store_problem)?;
    Ok(Json(GroupDocument { id, group }))
}

/// `POST …/groups/join {code}` or `{message_id, chat}`: joins a group by its link, or by an invite
/// that came in a message.
pub(in crate::http) async fn join_group(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    query: QueryParameters,
    mut fields: JsonFields,
) -> Result<(StatusCode, Json<JoinedGroup>), Problem> {
    query.finish()?;
    if fields.has_value("code") == fields.has_value("message_id") {
        fields.refuse_field("code", "give one of code and message_id");
    }
    let code = fields.parse_optional("code", parse_code);
    let message_id = fields.optional_text("message_id");
    let chat = match message_id {
        Some(_) => fields.parse_required("chat", ChatId::parse),
        None => None,
    };
    fields.refuse_unknown();
    let way = code.map(Ok).or(message_id.zip(chat).map(Err));
    match fields.finish(way)? {
        Ok(code) => join_by_code(&gateway, &session, &code).await,
        Err((id, chat)) => join_by_message(&gateway, &session, &id, &chat).await,
    }
}

async fn join_by_code(
    gateway: &Gateway,
    session: &SessionName,
    code: &str,
) -> Result<(StatusCode, Json<JoinedGroup>), Problem> {
    let online = gateway.sessions.online(session)?;
    match online.join_by_code(code).await {
        Ok((group, status)) => Ok(joined(group, status)),
        Err(error) if is_member_already(&error) => {
            let found = online.fetch_invited_group(code).await;
            let (group, _) = found.map_err(|error| invite_problem(&error))?;
            Ok(joined(group, JoinStatus::Joined))
        }
        Err(error) => Err(invite_problem(&error)),
    }
}

async fn join_by_message(
    gateway: &Gateway,
    session: &SessionName,
    id: &str,
    chat: &ChatId,
) -> Result<(StatusCode, Json<JoinedGroup>), Problem> {
    let online = gateway.sessions.online(session)?;
    let invite = find_invite(gateway, session, id, chat).await?;
    match online.join_by_invite(&invite).await {
        Ok((group, status)) => Ok(joined(group, status)),
        Err(error) if is_member_already(&error) => {
            let group = ChatId::Group(invite.group).to_string();
            Ok(joined(group, JoinStatus::Joined))
        }
        Err(error) => Err(invite_problem(&error)),
    }
}

/// Finds the invite that came in a message.
async fn find_invite(
    gateway: &Gateway,
    session: &SessionName,
    id: &str,
    chat: &ChatId,
) -> Result<ReceivedInvite, Problem> {
    const NO_INVITE: &str = "is not a message of type group_invite that came in";
    let life = gateway.current_life(session)?;
    let chats = gateway.sessions.online(session)?.chat_addresses(chat).await;
    let found = gateway.store.outbox().find_quoted(&life, &chats, id).await;
    let found = found.map_err(store_problem)?.ok_or(Problem::NoMessage)?;
    let content = found.message.map(|message| message.content);
    let (Some(MessageContent::GroupInvite { group_invite }), Some(from)) = (content, found.author)
    else {
        return Err(Problem::invalid_field("message_id", NO_INVITE));
    };
    let Ok(ChatId::Group(group)) = ChatId::parse(&group_invite.group) else {
        return Err(Problem::invalid_field("message_id", NO_INVITE));
    };
    if group_invite
        .expires_at
        .is_some_and(|end| end < gateway.clock.now())
    {
        return Err(Problem::NoInvite);
    }
    Ok(ReceivedInvite {
        group,
        code: group_invite.code,
        expires_at: group_invite.expires_at,
        from,
    })
}

/// WhatsApp's codes for an account that is in the group.
const fn is_member_already(error: &RequestError) -> bool {
    matches!(error, RequestError::Refused(304 | 409))
}

pub(super) fn joined(group: String, status: JoinStatus) -> (StatusCode, Json<JoinedGroup>) {
    let code = match status {
        JoinStatus::Joined => StatusCode::OK,
        JoinStatus::Pending => StatusCode::ACCEPTED,
    };
    (code, Json(JoinedGroup { group, status }))
}

/// `GET …/groups/{group}/requests`: lists the people that want to join.
pub(in crate::http) async fn list_requests(
    State(gateway): State<Gateway>,
    path: GroupPath,
    query: QueryParameters,
) -> Result<Json<JoinRequestList>, Problem> {
    query.finish()?;
    let online = gateway.sessions.online(&path.session)?;
    let mut requests = match online.fetch_join_requests(&path.group).await {
        Ok(requests) => requests,
        Err(error) => return Err(explain_refusal(&gateway, &path, error).await),
    };
    let people = requests.iter_mut().map(|request| &mut request.person);
    let resolved = gateway.sessions.resolve_people(&path.session, people).await;
    resolved.map_err(store_problem)?;
    Ok(Json(JoinRequestList { requests }))
}

/// `POST …/groups/{group}/requests {approve?, reject?}`: decides about people that want to join,
/// each with a result of their own.
pub(in crate::http) async fn decide_requests(
    State(gateway): State<Gateway>,
    path: GroupPath,
    query: QueryParameters,
    mut fields: JsonFields,
) -> Result<Json<MemberResults>, Problem> {
    const BOTH: &str = "names somebody who is in reject, too";
    query.finish()?;
    let approved = read_people(&mut fields, "approve").unwrap_or_default();
    let rejected = read_people(&mut fields, "reject").unwrap_or_default();
    if approved.iter().any(|person| rejected.contains(person)) {
        fields.refuse_field("approve", BOTH);
    }
    if approved.is_empty() && rejected.is_empty() {
        fields.refuse_field("approve", "name people in approve, in reject, or in both");
    }
    fields.refuse_unknown();
    fields.finish(Some(()))?;
    let online = gateway.sessions.online(&path.session)?;
    let mut participants = Vec::with_capacity(approved.len() + rejected.len());
    for (people, approve) in [(approved, true), (rejected, false)] {
        if people.is_empty() {
            continue;
        }
        match online.decide_requests(&path.group, &people, approve).await {
            Ok(results) => participants.extend(results),
            // What was decided before is done: its results are not lost.
            Err(error) if !participants.is_empty() => {
                let code = error.whatsapp_code();
                participants.extend(
                    people
                        .iter()
                        .map(|person| MemberResult::refused(person, code)),
                );
            }
            Err(error) => return Err(explain_refusal(&gateway, &path, error).await),
        }
    }
    let people = participants.iter_mut().map(|result| &mut result.person);
    let resolved = gateway.sessions.resolve_people(&path.session, people).await;
    resolved.map_err(store_problem)?;
    Ok(Json(MemberResults { participants }))
}

impl InviteLink {
    fn new(code: String) -> Self {
        let link = format!("{LINK}{code}");
        Self { code, link }
    }
}

/// Returns the code in an invite link, or the code itself.
fn parse_code(text: &str) -> Result<String, &'static str> {
    let text = text.trim();
    let code = text
        .strip_prefix("https://")
        .or_else(|| text.strip_prefix("http://"))
        .unwrap_or(text);
    let code = code.strip_prefix("chat.whatsapp.com/").unwrap_or(code);
    let code = code.strip_prefix("invite/").unwrap_or(code);
    let code = code.split(['?', '#', '/']).next().unwrap_or_default();
    let is_code = |sign: char| sign.is_ascii_alphanumeric() || matches!(sign, '-' | '_');
    match code.len() {
        8..=64 if code.chars().all(is_code) => Ok(code.to_owned()),
        _ => Err("is not the code of an invite link, nor such a link"),
    }
}

/// The session and the code of an invite in a path.
#[derive(Debug)]
pub(in crate::http) struct InvitePath {
    session: SessionName,
    code: String,
}

impl<S: Send + Sync> FromRequestParts<S> for InvitePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_text = |_| Problem::invalid_field("session", NOT_TEXT);
        let Path((session, code)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(not_text)?;
        let session = SessionName::parse(&session)
            .map_err(|error| Problem::invalid_field("session", error.to_string()))?;
        let code = parse_code(&code).map_err(|error| Problem::invalid_field("code", error))?;
        Ok(Self { session, code })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_code_is_taken_out_of_every_form_of_its_link() {
        let code = "AbCdEfGhIjKlMnOpQrStUv";
        for text in [
            code.to_owned(),
            format!("https://chat.whatsapp.com/{code}"),
            format!("http://chat.whatsapp.com/invite/{code}?mode=wwt"),
            format!(" chat.whatsapp.com/{code}/ "),
        ] {
            assert_eq!(parse_code(&text).as_deref(), Ok(code), "{text}");
        }
        for text in [
            "",
            "short",
            "https://example.com/abcdefghij",
            "ab cd ef gh ij",
        ] {
            parse_code(text).unwrap_err();
        }
    }
}
