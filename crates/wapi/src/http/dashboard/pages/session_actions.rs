//! What an admin does with a session: start, stop, link, unlink, remove.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::sessions::session_address;
use crate::http::Gateway;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{no_query, read_document, text_at};
use crate::http::dashboard::form::{PageForm, form_token};
use crate::http::dashboard::layout::{action_button, render_page, render_time};
use crate::http::dashboard::login::KeyConfirmation;
use crate::http::dashboard::login::forms::{FormFields, json_fields};
use crate::http::dashboard::texts;
use crate::http::error::Problem;
use crate::http::request::extract::{OptionalJson, SessionPath};
use crate::http::v1;
use crate::model::session_name::SessionName;

fn back_to(name: &SessionName) -> Response {
    Redirect::to(&session_address(name.as_str())).into_response()
}

/// `POST …/start`: starts the session.
pub async fn start_session(
    gateway: State<Gateway>,
    SessionPath(name): SessionPath,
    _: FormFields,
) -> Result<Response, Problem> {
    v1::sessions::start_session(gateway, SessionPath(name.clone()))
        .await
        .map(drop)?;
    Ok(back_to(&name))
}

/// `POST …/stop`: stops the session.
pub async fn stop_session(
    gateway: State<Gateway>,
    SessionPath(name): SessionPath,
    _: FormFields,
) -> Result<Response, Problem> {
    v1::sessions::stop_session(gateway, SessionPath(name.clone()))
        .await
        .map(drop)?;
    Ok(back_to(&name))
}

/// `POST …/restart`: closes the session's connection and opens a new one.
pub async fn restart_session(
    gateway: State<Gateway>,
    SessionPath(name): SessionPath,
    _: FormFields,
) -> Result<Response, Problem> {
    v1::sessions::restart_session(gateway, SessionPath(name.clone()))
        .await
        .map(drop)?;
    Ok(back_to(&name))
}

/// `POST …/unlink`: unlinks the session from its account, once its name is typed.
pub async fn unlink_session(
    gateway: State<Gateway>,
    SessionPath(name): SessionPath,
    fields: FormFields,
) -> Result<Response, Problem> {
    check_typed_name(fields, &name)?;
    v1::sessions::log_out_session(gateway, SessionPath(name.clone()))
        .await
        .map(drop)?;
    Ok(back_to(&name))
}

/// `POST …/remove`: removes the session, once its name is typed.
pub async fn remove_session(
    gateway: State<Gateway>,
    SessionPath(name): SessionPath,
    confirmation: KeyConfirmation,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    confirmation.require(&mut fields).await?;
    check_typed_name(fields, &name)?;
    v1::sessions::remove_session(gateway, SessionPath(name), no_query()).await?;
    Ok(Redirect::to("/dashboard/sessions").into_response())
}

/// `POST …/pairing-code`: shows a code to type into the phone.
pub async fn create_pairing_code(
    gateway: State<Gateway>,
    SessionPath(name): SessionPath,
    context: PageContext,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let body = json_fields(json!({"phone": fields.require("phone")?}));
    let path = SessionPath(name.clone());
    let answer = v1::sessions::create_pairing_code(gateway, path, body).await;
    let document = read_document(answer)?;
    let content = html! {
        h1 { (context.text(texts::PAIRING_CODE)) }
        section.card {
            p.code id="pairing-code" { (text_at(&document, "code")) }
            p { (context.text(texts::PAIRING_CODE_HINT)) }
            p { a href=(session_address(name.as_str())) { (context.text(texts::BACK_TO_SESSION)) } }
        }
    };
    Ok(render_page(
        &context,
        context.text(texts::PAIRING_CODE),
        content,
    ))
}

/// `POST …/connect-link`: shows a link for the phone's owner, this once.
pub async fn create_connect_link(
    gateway: State<Gateway>,
    SessionPath(name): SessionPath,
    context: PageContext,
    _: FormFields,
) -> Result<Response, Problem> {
    let body = OptionalJson(json_fields(Value::Null));
    let path = SessionPath(name.clone());
    let answer = v1::sessions::connect_links::create_connect_link(gateway, path, body).await;
    let document = read_document(answer.map(|(_, _, document)| document))?;
    let link = text_at(&document, "path");
    let content = html! {
        h1 { (context.text(texts::CONNECT_LINK)) }
        section.card {
            p { (context.text(texts::CONNECT_LINK_HINT)) }
            p {
                a id="connect-link" href=(link) { (link) } " "
                button.plain type="button" data-copy=(link) data-path { (context.text(texts::COPY)) }
            }
            p { (render_time(text_at(&document, "expires_at"))) }
            p { a href=(session_address(name.as_str())) { (context.text(texts::BACK_TO_SESSION)) } }
        }
    };
    Ok(render_page(
        &context,
        context.text(texts::CONNECT_LINK),
        content,
    ))
}

fn check_typed_name(mut fields: FormFields, name: &SessionName) -> Result<(), Problem> {
    if fields.require("typed_name")? == name.as_str() {
        Ok(())
    } else {
        Err(Problem::invalid_field(
            "typed_name",
            format!("is not the name of the session; type `{}`", name.as_str()),
        ))
    }
}

/// Draws the buttons. They are outside of the live parts, so that nothing moves under a hand.
pub fn draw_actions(context: &PageContext, name: &SessionName) -> Markup {
    let address = session_address(name.as_str());
    let confirmed = |action: &str, text, key: Markup| {
        let (id, action) = (format!("name-{action}"), format!("{address}/{action}"));
        let form = PageForm::new(context, &action);
        html! {
            form method="post" action=(action) {
                (form_token(context))
                (form.field("typed_name", texts::TYPE_NAME).id(&id).required())
                (key)
                button.danger type="submit" { (context.text(text)) }
            }
        }
    };
    let code = PageForm::new(context, &format!("{address}/pairing-code"));
    html! {
        section.card {
            h2 { (context.text(texts::ACTIONS)) }
            div.row {
                (action_button(context, &format!("{address}/start"), texts::START))
                (action_button(context, &format!("{address}/stop"), texts::STOP))
                (action_button(context, &format!("{address}/restart"), texts::RESTART))
            }
            form method="post" action={ (address) "/pairing-code" } {
                (form_token(context))
                (code.field("phone", texts::PHONE).kind("tel").required())
                button type="submit" { (context.text(texts::GET_CODE)) }
            }
            (action_button(context, &format!("{address}/connect-link"), texts::CONNECT_LINK))
            (confirmed("unlink", texts::LOG_OUT_SESSION, html! {}))
            (confirmed("remove", texts::REMOVE, KeyConfirmation::draw_field(context, "remove")))
        }
    }
}
