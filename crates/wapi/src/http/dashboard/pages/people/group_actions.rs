//! Changes of a group.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use maud::html;
use serde_json::{Map, Value, json};

use super::group::{SETTINGS, address_of};
use super::groups::people_of;
use super::texts;
use crate::http::Gateway;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{
    list_at, name_of, no_query, number_at, read_document, text_at,
};
use crate::http::dashboard::form::ask_first;
use crate::http::dashboard::layout::render_page;
use crate::http::dashboard::login::forms::{FormFields, json_fields};
use crate::http::dashboard::pages::sessions::session_address;
use crate::http::error::Problem;
use crate::http::v1;
use crate::http::v1::groups::GroupPath;
use crate::http::v1::groups::members::MemberPath;
use crate::model::message::ChatId;

fn back_to(path: &GroupPath) -> Response {
    Redirect::to(&address_of(path)).into_response()
}

/// `POST …/invite`: revokes the invite link; the page shows the new one.
pub async fn revoke_invite(
    gateway: State<Gateway>,
    path: GroupPath,
    context: PageContext,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    if let Some(question) = ask_first(&context, &mut fields, texts::REVOKE_QUESTION) {
        return Ok(question);
    }
    let address = format!("{}/invite", address_of(&path));
    let revoked = v1::groups::invites::revoke_invite(gateway, path, no_query()).await;
    revoked.map(drop)?;
    Ok(Redirect::to(&address).into_response())
}

/// `POST …/change`: changes subject and description, or a setting.
pub async fn change_group(
    gateway: State<Gateway>,
    path: GroupPath,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let mut settings = Map::new();
    for (name, _) in SETTINGS {
        if let Some(value) = fields.take(name) {
            settings.insert(name.to_owned(), json!(value == "yes"));
        }
    }
    let body = if settings.is_empty() {
        json!({
            "subject": fields.require("subject")?,
            "description": fields.take("description"),
        })
    } else {
        json!({"settings": settings})
    };
    let change = v1::groups::change_group(gateway, path.clone(), no_query(), json_fields(body));
    let document = read_document(Box::pin(change).await)?;
    match list_at(&document, "failed").first() {
        None => Ok(back_to(&path)),
        Some(failed) => Err(Problem::WhatsappRefused {
            detail: format!(
                "{}: {}",
                text_at(failed, "field"),
                text_at(failed, "detail")
            ),
        }),
    }
}

/// `POST …/members`: adds people, and shows the result of each.
pub async fn add_members(
    gateway: State<Gateway>,
    path: GroupPath,
    context: PageContext,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let body = json!({"participants": people_of(&mut fields, "participants")});
    let addition =
        v1::groups::members::add_members(gateway, path.clone(), no_query(), json_fields(body));
    let document = read_document(Box::pin(addition).await)?;
    Ok(show_results(&context, &path, &document))
}

/// Shows the result of each person.
fn show_results(context: &PageContext, path: &GroupPath, document: &Value) -> Response {
    let title = context.text(texts::RESULT);
    let content = html! {
        h1 { (title) }
        ul.plain {
            @for result in list_at(document, "participants") {
                li {
                    bdi { (name_of(result)) } ": "
                    span.status data-status=(text_at(result, "status")) { (text_at(result, "status")) }
                    @if let Some(code) = number_at(result, "code") { " " span.reason { (code) } }
                }
            }
        }
        p { a href=(address_of(path)) { (context.text(texts::BACK_TO_GROUP)) } }
    };
    render_page(context, title, content)
}

/// `POST …/member`: makes a member an admin or an admin a member, or removes a member.
pub async fn change_member(
    gateway: State<Gateway>,
    path: GroupPath,
    context: PageContext,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    if fields.has("action", "remove")
        && let Some(question) = ask_first(&context, &mut fields, texts::REMOVE_MEMBER_QUESTION)
    {
        return Ok(question);
    }
    let person = ChatId::parse(&fields.require("participant")?)
        .ok()
        .filter(ChatId::is_person);
    let person = person.ok_or_else(|| Problem::invalid_field("participant", "is not a person"))?;
    let member = MemberPath {
        group: path.clone(),
        person,
    };
    let back = context.back_to(&address_of(&path));
    let action = fields.require("action")?;
    match action.as_str() {
        "remove" => v1::groups::members::remove_member(gateway, member, no_query()).await?,
        "promote" | "demote" => {
            let role = if action == "promote" {
                "admin"
            } else {
                "member"
            };
            let body = json_fields(json!({"role": role}));
            v1::groups::members::set_role(gateway, member, no_query(), body).await?
        }
        _ => {
            return Err(Problem::invalid_field(
                "action",
                "must be `promote`, `demote`, or `remove`",
            ));
        }
    };
    Ok(Redirect::to(&back).into_response())
}

/// `POST …/requests`: approves or rejects a request to join.
pub async fn decide_request(
    gateway: State<Gateway>,
    path: GroupPath,
    context: PageContext,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    if fields.has("decision", "reject")
        && let Some(question) = ask_first(&context, &mut fields, texts::REJECT_QUESTION)
    {
        return Ok(question);
    }
    let person = fields.require("participant")?;
    let decision = match fields.require("decision")?.as_str() {
        "approve" => "approve",
        _ => "reject",
    };
    let body = json!({decision: [person]});
    let decided =
        v1::groups::invites::decide_requests(gateway, path.clone(), no_query(), json_fields(body));
    let document = read_document(Box::pin(decided).await)?;
    Ok(show_results(&context, &path, &document))
}

/// `POST …/leave`: leaves the group, once its subject is typed.
pub async fn leave_group(
    gateway: State<Gateway>,
    path: GroupPath,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let shown = v1::groups::show_group(gateway.clone(), path.clone(), no_query()).await;
    let group = read_document(shown)?;
    if fields.require("typed_subject")? != text_at(&group, "subject") {
        return Err(Problem::invalid_field(
            "typed_subject",
            "is not the subject of the group",
        ));
    }
    let address = format!("{}/groups", session_address(path.session.as_str()));
    v1::groups::members::leave_group(gateway, path, no_query()).await?;
    Ok(Redirect::to(&address).into_response())
}
