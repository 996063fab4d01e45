//! The step of a passkey that WhatsApp asks for while a session is linked.

use axum::extract::State;
use axum::response::{IntoResponse, Redirect, Response};
use maud::{Markup, html};
use serde_json::{Value, json};

use super::sessions::session_address;
use crate::http::Gateway;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::form::{PageForm, form_token};
use crate::http::dashboard::login::forms::{FormFields, json_fields};
use crate::http::dashboard::texts;
use crate::http::error::Problem;
use crate::http::request::extract::{JsonFields, OptionalJson, SessionPath};
use crate::http::v1;
use crate::model::access::Scope;
use crate::model::session_name::SessionName;
use crate::sessions::{PasskeyState, PasskeyStep};

/// Draws the step that is due, with the seconds that are left for it. An answer links the session,
/// so that the step is for admins.
pub fn draw_passkey(
    context: &PageContext,
    name: &SessionName,
    passkey: &PasskeyState,
    left: i64,
) -> Markup {
    let address = format!("{}/passkey", session_address(name.as_str()));
    let form = PageForm::new(context, &address);
    let seconds = html! {
        p { (context.text(texts::SECONDS_LEFT_OF_STEP)) " " span data-seconds=(left) { (left) } }
    };
    html! {
        section.card {
            h2 { (context.text(texts::PASSKEY_STEP)) }
            @if !context.has_scope(Scope::Admin) {
                p { (context.text(texts::PASSKEY_ADMINS_ONLY)) }
            } @else {
                @match passkey.step {
                    PasskeyStep::Assertion => {
                        @let request = passkey.options.json.to_string();
                        p { (context.text(texts::PASSKEY)) }
                        p { (context.text(texts::PASSKEY_REQUEST)) }
                        pre id="passkey-request" { (request) }
                        button.plain type="button" data-copy=(request) { (context.text(texts::COPY)) }
                        form.stack method="post" action=(address) {
                            (form_token(context))
                            (form.field("assertion", texts::PASSKEY_ANSWER).long().required())
                            button type="submit" { (context.text(texts::SEND)) }
                        }
                        (seconds)
                    }
                    PasskeyStep::Checking => { p { (context.text(texts::PASSKEY_CHECKED)) } }
                    PasskeyStep::Confirmation => {
                        p { (context.text(texts::PASSKEY_COMPARE)) }
                        p.code id="passkey-code" { (passkey.code.as_deref().unwrap_or_default()) }
                        form method="post" action={ (address) "/confirm" } {
                            (form_token(context))
                            button type="submit" { (context.text(texts::PASSKEY_SAME)) }
                        }
                        (seconds)
                    }
                    PasskeyStep::Linking => { p { (context.text(texts::PASSKEY_LINKING)) } }
                }
            }
        }
    }
}

/// `POST …/passkey`: sends the answer of a passkey that was pasted.
pub async fn answer_passkey(
    gateway: State<Gateway>,
    SessionPath(name): SessionPath,
    mut fields: FormFields,
) -> Result<Response, Problem> {
    let body = read_pasted_assertion(&fields.require("assertion")?)?;
    let path = SessionPath(name.clone());
    let answered = v1::sessions::passkey::answer_passkey(gateway, path, body).await;
    answered.map(drop)?;
    Ok(Redirect::to(&session_address(name.as_str())).into_response())
}

/// `POST …/passkey/confirm`: says that the phone shows the same code.
pub async fn confirm_passkey(
    gateway: State<Gateway>,
    SessionPath(name): SessionPath,
    _: FormFields,
) -> Result<Response, Problem> {
    let path = SessionPath(name.clone());
    let body = OptionalJson(json_fields(Value::Null));
    let confirmed = v1::sessions::passkey::confirm_passkey(gateway, path, body).await;
    confirmed.map(drop)?;
    Ok(Redirect::to(&session_address(name.as_str())).into_response())
}

/// Reads an answer that a person has pasted into the body that a program would send: with the braces
/// of that body, or without them.
fn read_pasted_assertion(text: &str) -> Result<JsonFields, Problem> {
    let unreadable = || Problem::invalid_field("assertion", "is not the text that was copied");
    let pasted: Value = serde_json::from_str(text.trim()).map_err(|_| unreadable())?;
    if !pasted.is_object() {
        return Err(unreadable());
    }
    Ok(json_fields(match pasted.get("assertion") {
        Some(_) => pasted,
        None => json!({"assertion": pasted}),
    }))
}
