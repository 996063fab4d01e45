//! The groups of a session, new ones, and those to join.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde_json::json;

use super::texts;
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{
    list_at, name_of, no_query, page_after, read_document, text_at,
};
use crate::http::dashboard::form::{PageForm, form_token};
use crate::http::dashboard::layout::render_page;
use crate::http::dashboard::login::forms::{FormFields, json_fields};
use crate::http::dashboard::pages::sessions::{draw_tabs, session_address};
use crate::http::error::Problem;
use crate::http::request::extract::SessionPath;
use crate::http::request::query::QueryParameters;
use crate::http::v1;
use crate::model::access::Scope;
use crate::model::session_name::SessionName;

/// Groups on a page; all of them are listed in one answer of WhatsApp.
const PAGE_SIZE: usize = 100;

/// Returns the address of a group's page.
pub fn group_address(session: &SessionName, group: &str) -> String {
    format!("{}/groups/{group}", session_address(session.as_str()))
}

/// Returns the people in a field with one number a line.
pub fn people_of(fields: &mut FormFields, name: &str) -> Vec<String> {
    let text = fields.take(name).unwrap_or_default();
    let lines = text.lines().map(str::trim);
    lines
        .filter(|line| !line.is_empty())
        .map(str::to_owned)
        .collect()
}

/// `GET …/groups?after=`: the groups that the account is in, as WhatsApp lists them now.
pub async fn show_groups(
    gateway: State<Gateway>,
    SessionPath(session): SessionPath,
    context: PageContext,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let after = query.optional_text("after").unwrap_or_default();
    query.finish()?;
    let path = SessionPath(session.clone());
    let answer = v1::groups::list_groups(gateway, path, no_query()).await;
    let document = read_document(answer)?;
    let (groups, next) = page_after(list_at(&document, "groups"), "id", &after, PAGE_SIZE);
    let address = format!("{}/groups", session_address(session.as_str()));
    let title = context.text(texts::GROUPS);
    let headings = [texts::SUBJECT, texts::MEMBER_COUNT, texts::IDENTIFIER];
    let content = html! {
        h1 { (title) " · " (session.as_str()) }
        (draw_tabs(&context, &session))
        @if groups.is_empty() { p { (context.text(texts::NO_GROUPS)) } }
        @else {
            table {
                thead { tr { @for text in headings { th scope="col" { (context.text(text)) } } } }
                tbody {
                    @for group in &groups {
                        tr {
                            td data-label=(context.text(texts::SUBJECT)) {
                                a href=(group_address(&session, text_at(group, "id"))) {
                                    bdi { (name_of(&json!({"name": group["subject"], "id": group["id"]}))) }
                                }
                            }
                            td data-label=(context.text(texts::MEMBER_COUNT)) {
                                (list_at(group, "participants").len())
                            }
                            td data-label=(context.text(texts::IDENTIFIER)) { code { (text_at(group, "id")) } }
                        }
                    }
                }
            }
        }
        @if let Some(next) = next {
            p { a rel="next" href={ (address) "?after=" (next) } { (context.text(texts::LATER)) } }
        }
        @if context.has_scope(Scope::Manage) { (draw_forms(&context, &address)) }
    };
    Ok(render_page(&context, title, content))
}

fn draw_forms(context: &PageContext, address: &str) -> Markup {
    let new = PageForm::new(context, address);
    let join = PageForm::new(context, &format!("{address}/join"));
    html! {
        section.card {
            h2 { (context.text(texts::NEW_GROUP)) }
            form.stack method="post" action=(address) {
                (form_token(context))
                (new.field("subject", texts::SUBJECT).required())
                (new.field("description", texts::DESCRIPTION))
                (new.field("participants", texts::PEOPLE).id("people").long())
                button type="submit" { (context.text(texts::CREATE)) }
            }
        }
        section.card {
            h2 { (context.text(texts::JOIN_GROUP)) }
            form method="post" action={ (address) "/join" } {
                (form_token(context))
                (join.field("code", texts::LINK_OR_CODE).required())
                button type="submit" { (context.text(texts::JOIN)) }
            }
        }
    }
}

/// `POST …/groups`: creates a group, and leads to it.
pub async fn create_group(
    gateway: State<Gateway>,
    SessionPath(session): SessionPath,
    caller: Caller,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let mut body = json!({
        "subject": fields.require("subject")?,
        "participants": people_of(&mut fields, "participants"),
    });
    if let Some(description) = fields.take("description") {
        body["description"] = json!(description);
    }
    let path = SessionPath(session.clone());
    let created = v1::groups::create_group(gateway, path, caller, no_query(), json_fields(body));
    let document = read_document(Box::pin(created).await.map(|(_, document)| document))?;
    let address = group_address(&session, text_at(&document["group"], "id"));
    Ok(Redirect::to(&address).into_response())
}

/// `POST …/groups/join`: joins a group by its link.
pub async fn join_group(
    gateway: State<Gateway>,
    SessionPath(session): SessionPath,
    context: PageContext,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let body = json!({"code": fields.require("code")?});
    let path = SessionPath(session.clone());
    let joined = v1::groups::invites::join_group(gateway, path, no_query(), json_fields(body));
    let document = read_document(Box::pin(joined).await.map(|(_, document)| document))?;
    if text_at(&document, "status") == "joined" {
        let address = group_address(&session, text_at(&document, "group"));
        return Ok(Redirect::to(&address).into_response());
    }
    let title = context.text(texts::JOIN_GROUP);
    let content = html! {
        h1 { (title) }
        section.card {
            p { (context.text(texts::JOIN_PENDING)) }
            p { a href={ (session_address(session.as_str())) "/groups" } { (context.text(texts::GROUPS)) } }
        }
    };
    Ok(render_page(&context, title, content))
}
