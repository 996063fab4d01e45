//! One group: its settings, members, requests to join, and invite link.

use axum::extract::State;
use axum::response::Response;
use maud::{Markup, PreEscaped, html};
use serde_json::Value;

use super::groups::group_address;
use super::members::{MemberChoice, add_names, draw_members};
use super::texts;
use crate::http::Gateway;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{
    flag_at, list_at, name_of, no_query, optional_text, read_document, text_at,
};
use crate::http::dashboard::form::{PageForm, form_token};
use crate::http::dashboard::layout::{asking_button, render_page, render_time};
use crate::http::dashboard::pages::chat::chat_address;
use crate::http::dashboard::pages::sessions::session_address;
use crate::http::dashboard::texts::PageText;
use crate::http::error::Problem;
use crate::http::request::query::QueryParameters;
use crate::http::v1;
use crate::http::v1::groups::GroupPath;
use crate::media::qr_image::QrImage;
use crate::model::access::Scope;
use crate::model::message::ChatId;

/// Requests to join that are shown: the first to be decided. The others follow as these are.
const MOST_REQUESTS: usize = 50;
/// Settings that the page changes, by their names in the API.
pub const SETTINGS: [(&str, PageText); 3] = [
    ("announcement", texts::ANNOUNCEMENT),
    ("locked", texts::LOCKED),
    ("approval", texts::APPROVAL),
];

/// Returns the address of the group's page.
pub fn address_of(path: &GroupPath) -> String {
    group_address(
        &path.session,
        &ChatId::Group(path.group.clone()).to_string(),
    )
}

/// `GET …/groups/{group}?find=&after=`: a group, as WhatsApp shows it now, and a page of its members.
pub async fn show_group(
    State(gateway): State<Gateway>,
    path: GroupPath,
    context: PageContext,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let choice = MemberChoice::read(&mut query);
    query.finish()?;
    let answer = v1::groups::show_group(State(gateway.clone()), path.clone(), no_query()).await;
    let mut group = read_document(answer)?;
    add_names(&gateway, &path.session, &mut group).await;
    let can_manage = context.has_scope(Scope::Manage);
    // Only admins of a group are told of requests.
    let requests = if flag_at(&group, "approval") {
        let answer = v1::groups::invites::list_requests(State(gateway), path.clone(), no_query());
        read_document(answer.await).unwrap_or_default()
    } else {
        Value::Null
    };
    let address = address_of(&path);
    let title = text_at(&group, "subject").to_owned();
    let content = html! {
        h1 { bdi { (title) } }
        p {
            a href={ (session_address(path.session.as_str())) "/groups" } {
                (context.text(texts::GROUPS)) " · " (path.session.as_str())
            }
            " " code { (text_at(&group, "id")) } " "
            a href={ (chat_address(&path.session, text_at(&group, "id"))) "#end" } { (context.text(texts::OPEN_CHAT)) }
        }
        @if flag_at(&group, "suspended") { p.warning { (context.text(texts::SUSPENDED)) } }
        (draw_facts(&context, &group))
        (draw_members(&context, &address, &group, &choice, can_manage))
        (draw_requests(&context, &address, list_at(&requests, "requests"), can_manage))
        @if can_manage { (draw_changes(&context, &address, &group)) }
    };
    Ok(render_page(&context, &title, content))
}

fn draw_facts(context: &PageContext, group: &Value) -> Markup {
    let founder = &group["created_by"];
    html! {
        section.card {
            dl {
                @if let Some(description) = optional_text(group, "description") {
                    div { dt { (context.text(texts::DESCRIPTION)) } dd { (description) } }
                }
                @if let Some(at) = optional_text(group, "created_at") {
                    div {
                        dt { (context.text(texts::CREATED)) }
                        dd { (render_time(at)) @if !founder.is_null() { " · " bdi { (name_of(founder)) } } }
                    }
                }
                @for (name, text) in SETTINGS {
                    div {
                        dt { (context.text(text)) }
                        dd { (context.text(if flag_at(group, name) { texts::YES } else { texts::NO })) }
                    }
                }
            }
        }
    }
}

fn draw_requests(
    context: &PageContext,
    address: &str,
    requests: &[Value],
    can_manage: bool,
) -> Markup {
    html! {
        @if !requests.is_empty() {
            section.card id="requests" {
                h2 { (context.text(texts::REQUESTS)) " (" (requests.len()) ")" }
                @if requests.len() > MOST_REQUESTS { p.hint { (context.text(texts::FIRST_REQUESTS)) } }
                @for request in requests.iter().take(MOST_REQUESTS) {
                    p {
                        bdi { (name_of(request)) } " " code { (text_at(request, "id")) }
                        @if let Some(at) = optional_text(request, "requested_at") { " " (render_time(at)) }
                    }
                    @if can_manage {
                        form method="post" action={ (address) "/requests" } {
                            (form_token(context))
                            input type="hidden" name="participant" value=(text_at(request, "id"));
                            button type="submit" name="decision" value="approve" { (context.text(texts::APPROVE)) }
                            button.danger type="submit" name="decision" value="reject"
                                data-question=(context.text(texts::REJECT_QUESTION)) {
                                (context.text(texts::REJECT))
                            }
                        }
                    }
                }
            }
        }
    }
}

fn draw_changes(context: &PageContext, address: &str, group: &Value) -> Markup {
    let form = |action| PageForm::new(context, &format!("{address}/{action}"));
    let (addition, change, leave) = (form("members"), form("change"), form("leave"));
    let before = |name| text_at(group, name).to_owned();
    html! {
        section.card {
            h2 { (context.text(texts::ADD_MEMBERS)) }
            form.stack method="post" action={ (address) "/members" } {
                (form_token(context))
                (addition.field("participants", texts::PEOPLE).id("people").long().required())
                button type="submit" { (context.text(texts::ADD_MEMBERS)) }
            }
            p { a href={ (address) "/invite" } { (context.text(texts::INVITE_LINK)) } }
        }
        section.card {
            h2 { (context.text(texts::SETTINGS)) }
            form.stack method="post" action={ (address) "/change" } {
                (form_token(context))
                (change.field("subject", texts::SUBJECT).value(before("subject")))
                (change.field("description", texts::DESCRIPTION).value(before("description")).long())
                button type="submit" { (context.text(texts::CHANGE)) }
            }
            @for (name, text) in SETTINGS {
                form method="post" action={ (address) "/change" } {
                    (form_token(context))
                    (context.text(text)) ": "
                    @let is_set = flag_at(group, name);
                    button.plain type="submit" name=(name) value=(if is_set { "no" } else { "yes" }) {
                        (context.text(texts::CHANGE)) ": " (context.text(if is_set { texts::NO } else { texts::YES }))
                    }
                }
            }
            form method="post" action={ (address) "/leave" } {
                (form_token(context))
                (leave.field("typed_subject", texts::TYPE_SUBJECT).id("typed").required())
                button.danger type="submit" { (context.text(texts::LEAVE)) }
            }
        }
    }
}

/// `GET …/groups/{group}/invite`: the invite link, and its QR code.
pub async fn show_invite(
    gateway: State<Gateway>,
    path: GroupPath,
    context: PageContext,
    query: QueryParameters,
) -> Result<Response, Problem> {
    query.finish()?;
    let answer = v1::groups::invites::show_invite(gateway, path.clone(), no_query()).await;
    let document = read_document(answer)?;
    let link = text_at(&document, "link");
    let qr = QrImage::from_text(link).ok().map(|qr| qr.to_svg());
    let address = address_of(&path);
    let title = context.text(texts::INVITE_LINK);
    let content = html! {
        h1 { (title) }
        p { a href=(address) { (context.text(texts::BACK_TO_GROUP)) } }
        section.card {
            p { (context.text(texts::INVITE_HINT)) }
            p {
                code id="invite-link" { (link) } " "
                button.plain type="button" data-copy=(link) { (context.text(texts::COPY)) }
            }
            @if let Some(qr) = qr {
                div.qr role="img" aria-label=(context.text(texts::INVITE_QR)) { (PreEscaped(qr)) }
            }
            (asking_button(&context, &format!("{address}/invite"), texts::REVOKE, texts::REVOKE_QUESTION))
        }
    };
    Ok(render_page(&context, title, content))
}
