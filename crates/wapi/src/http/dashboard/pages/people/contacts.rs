//! Contacts of a session, and one of them.

use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde_json::Value;

use super::texts;
use crate::http::Gateway;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{
    list_at, name_of, no_query, optional_text, read_document, text_at,
};
use crate::http::dashboard::layout::{action_button, address_with, render_page};
use crate::http::dashboard::login::forms::FormFields;
use crate::http::dashboard::pages::chat::chat_address;
use crate::http::dashboard::pages::sessions::{draw_tabs, session_address};
use crate::http::error::Problem;
use crate::http::request::extract::SessionPath;
use crate::http::request::query::QueryParameters;
use crate::http::v1;
use crate::http::v1::chats::ChatPath;
use crate::http::v1::presence::ContactPath;
use crate::model::access::Scope;
use crate::model::session_name::SessionName;

const NO_PICTURE: &str = include_str!("../../assets/person.svg");

/// Returns the address of a contact's page.
fn contact_address(session: &SessionName, id: &str) -> String {
    format!("{}/contacts/{id}", session_address(session.as_str()))
}

/// `GET …/contacts?after=`: the contacts of a session.
pub async fn show_contacts(
    gateway: State<Gateway>,
    SessionPath(session): SessionPath,
    context: PageContext,
    query: QueryParameters,
) -> Result<Response, Problem> {
    let path = SessionPath(session.clone());
    let answer = v1::history::list_contacts(gateway, path, query).await;
    let page = read_document(answer)?;
    let contacts = list_at(&page, "contacts");
    let address = format!("{}/contacts", session_address(session.as_str()));
    let next = optional_text(&page, "next").map(|next| address_with(&address, &[("after", next)]));
    let title = context.text(texts::CONTACTS);
    let content = html! {
        h1 { (title) " · " (session.as_str()) }
        (draw_tabs(&context, &session))
        @if contacts.is_empty() { p { (context.text(texts::NO_CONTACTS)) } }
        ul.plain.chats {
            @for contact in contacts {
                li {
                    a href=(contact_address(&session, text_at(contact, "id"))) { bdi { (name_of(contact)) } }
                    @if let Some(phone) = optional_text(contact, "phone") { " " span.quiet { "+" (phone) } }
                }
            }
        }
        @if let Some(next) = next { p { a rel="next" href=(next) { (context.text(texts::LATER)) } } }
    };
    Ok(render_page(&context, title, content))
}

/// `GET …/contacts/{contact}`: a contact.
pub async fn show_contact(
    gateway: State<Gateway>,
    path: ChatPath,
    context: PageContext,
    mut query: QueryParameters,
) -> Result<Response, Problem> {
    let wants_picture = query.optional_text("picture").is_some();
    query.finish()?;
    let session = path.session.clone();
    let answer = v1::history::show_contact(gateway, path, no_query()).await;
    let contact = read_document(answer)?;
    let title = name_of(&contact);
    let address = contact_address(&session, text_at(&contact, "id"));
    let content = html! {
        h1 { bdi { (title) } }
        p {
            a href={ (session_address(session.as_str())) "/contacts" } {
                (context.text(texts::CONTACTS)) " · " (session.as_str())
            }
        }
        section.card {
            (draw_facts(&context, &contact))
            p { a href={ (chat_address(&session, text_at(&contact, "id"))) "#end" } { (context.text(texts::OPEN_CHAT)) } }
            @if wants_picture {
                img src={ (address) "/picture" } alt=(context.text(texts::PICTURE)) width="160" height="160";
            } @else {
                // The page itself asks WhatsApp nothing.
                p { a href={ (address) "?picture=yes" } { (context.text(texts::SHOW_PICTURE)) } }
            }
            @if context.has_scope(Scope::Send) {
                div.row {
                    (action_button(&context, &format!("{address}/block"), texts::BLOCK))
                    (action_button(&context, &format!("{address}/unblock"), texts::UNBLOCK))
                }
            }
        }
        section.card {
            h2 { "JSON" }
            pre { (serde_json::to_string_pretty(&contact).unwrap_or_default()) }
        }
    };
    Ok(render_page(&context, &title, content))
}

fn draw_facts(context: &PageContext, contact: &Value) -> Markup {
    html! {
        dl {
            @for (text, name) in [(texts::PHONE, "phone"), (texts::LID, "lid"), (texts::IDENTIFIER, "id")] {
                @if let Some(value) = optional_text(contact, name) {
                    div { dt { (context.text(text)) } dd { code { (value) } } }
                }
            }
        }
    }
}

/// `GET …/contacts/{contact}/picture`: the profile picture, as the API's route sends it; a drawing
/// in the place of one that is not there, since a picture that does not load tells nothing.
pub async fn show_picture(
    gateway: State<Gateway>,
    path: ContactPath,
    query: QueryParameters,
    headers: HeaderMap,
) -> Result<Response, Problem> {
    let drawing = ([(header::CONTENT_TYPE, "image/svg+xml")], NO_PICTURE);
    match v1::profile::show_contact_picture(gateway, path, query, headers).await {
        Err(Problem::NoPicture) => Ok(drawing.into_response()),
        shown => shown,
    }
}

/// `POST …/block`: blocks a contact.
pub async fn block_contact(
    gateway: State<Gateway>,
    path: ContactPath,
    _: FormFields,
) -> Result<Response, Problem> {
    let address = contact_address(&path.session, &path.contact.to_string());
    v1::contacts::blocklist::block_contact(gateway, path).await?;
    Ok(Redirect::to(&address).into_response())
}

/// `POST …/unblock`: lets a contact's messages in again.
pub async fn unblock_contact(
    gateway: State<Gateway>,
    path: ContactPath,
    _: FormFields,
) -> Result<Response, Problem> {
    let address = contact_address(&path.session, &path.contact.to_string());
    v1::contacts::blocklist::unblock_contact(gateway, path).await?;
    Ok(Redirect::to(&address).into_response())
}
