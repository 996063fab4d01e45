//! `/connect/{token}`: the page with which the owner of a phone links one session. The token in its
//! path is the only key to it.

mod page;
mod texts;

use std::time::Duration;

use axum::extract::{Path, State};
use axum::http::{HeaderMap, HeaderName, StatusCode, header};
use axum::response::{Html, IntoResponse, Response};
use jiff::{SignedDuration, Timestamp};
use page::{ConnectReader, ConnectView, MAX_ROUNDS, PAGE_POLICY, render_page};
use serde_json::{Value, json};
use sha2::{Digest, Sha256};

use crate::http::Gateway;
use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::texts::PageText;
use crate::http::edge::CallerContext;
use crate::http::error::Problem;
use crate::http::monitoring::activity::record_connect_step;
use crate::http::request::extract::JsonFields;
use crate::http::request::query::QueryParameters;
use crate::http::v1::sessions::parse_phone;
use crate::http::v1::sessions::passkey::read_assertion;
use crate::media::qr_image::QrImage;
use crate::sessions::{PasskeyState, Session, SessionPhase};
use crate::store::ConnectLink;

/// How long a page waits for a QR code before it is shown without one.
const QR_WAIT: Duration = Duration::from_secs(5);
/// How long the page of a used link says that the phone is linked.
const FAREWELL: SignedDuration = SignedDuration::from_mins(10);

/// Returns the form in which a token is saved. It has 128 random bits, so one round is enough.
pub fn hash_token(token: &str) -> [u8; 32] {
    Sha256::digest(token).into()
}

/// `GET /connect/{token}`: shows the step that is due. `?by=code` is the form for a phone number;
/// `?rounds=` counts the rounds of QR codes that an open page has asked WhatsApp for.
pub async fn show_connect_page(
    State(gateway): State<Gateway>,
    token: Result<Path<String>, axum::extract::rejection::PathRejection>,
    headers: HeaderMap,
    mut query: QueryParameters,
) -> Response {
    let mut reader = read_reader(&headers);
    let token = token.ok().map(|Path(token)| token);
    let session = match open_link(&gateway, token, &mut reader).await {
        Ok(session) => session,
        Err(response) => return *response,
    };
    let view = match query.optional_text("by").as_deref() {
        Some("code") => find_number_view(&gateway, &session, ""),
        _ => {
            let rounds = query.number_or("rounds", 0, MAX_ROUNDS);
            find_view(&gateway, &session, rounds).await
        }
    };
    page_response(StatusCode::OK, &view, reader, None)
}

/// Returns the reader of a page, in the language of their browser.
fn read_reader(headers: &HeaderMap) -> ConnectReader {
    ConnectReader {
        language: PageContext::before_login(headers, String::new()).language,
        expires_at: None,
    }
}

/// `POST /connect/{token}`: takes the step whose form was sent, and shows the next one.
pub async fn submit_connect_form(
    State(gateway): State<Gateway>,
    visit: CallerContext,
    token: Result<Path<String>, axum::extract::rejection::PathRejection>,
    headers: HeaderMap,
    body: String,
) -> Response {
    let mut reader = read_reader(&headers);
    let token = token.ok().map(|Path(token)| token);
    let session = match open_link(&gateway, token, &mut reader).await {
        Ok(session) => session,
        Err(response) => return *response,
    };
    let response = match take_step(&gateway, &session, &body).await {
        Ok(Some(code)) => page_response(StatusCode::OK, &ConnectView::Code(code), reader, None),
        Ok(None) => page_response(
            StatusCode::OK,
            &find_view(&gateway, &session, 0).await,
            reader,
            None,
        ),
        Err(problem) => {
            let fault = explain_fault(&problem, &form_field(&body, "step"));
            let status = problem.into_document().status_code();
            let view = match form_field(&body, "step").as_str() {
                "code" => find_number_view(&gateway, &session, &form_field(&body, "phone")),
                _ => find_view(&gateway, &session, MAX_ROUNDS).await,
            };
            page_response(status, &view, reader, Some(fault))
        }
    };
    record_connect_step(&gateway, &visit, session.name.as_str(), &response);
    response
}

/// Returns the text of a problem for the owner of a phone. The details of others are for the
/// operator: they may name paths, addresses, or the state of the gateway.
fn explain_fault(problem: &Problem, step: &str) -> PageText {
    match problem {
        Problem::InvalidFields(_) if step == "code" => texts::WRONG_NUMBER,
        Problem::InvalidFields(_) if step == "passkey" => texts::WRONG_ANSWER,
        Problem::AlreadyPaired => texts::LINKED_ALREADY,
        Problem::UnexpectedPasskeyStep(_) => texts::OTHER_STEP,
        Problem::PasskeyRefused { .. } => texts::PASSKEY_REFUSED,
        Problem::PairingCodeRefused { .. } => texts::NO_CODE,
        _ => texts::FAILED,
    }
}

/// Returns the session that a token links, or the page that says that it links none. The page of a
/// used link says so for a while.
async fn open_link(
    gateway: &Gateway,
    token: Option<String>,
    reader: &mut ConnectReader,
) -> Result<std::sync::Arc<Session>, Box<Response>> {
    let stranger = *reader;
    let refuse = |status| Box::new(page_response(status, &ConnectView::Invalid, stranger, None));
    let token = token.ok_or_else(|| refuse(StatusCode::NOT_FOUND))?;
    let found = gateway
        .store
        .connect_links()
        .find_connect_link(hash_token(&token))
        .await;
    let link = match found {
        Ok(Some(link)) => link,
        Ok(None) => return Err(refuse(StatusCode::NOT_FOUND)),
        Err(error) => {
            tracing::error!(%error, "failed to look up a connect link");
            let view = ConnectView::Unavailable;
            return Err(Box::new(page_response(
                StatusCode::SERVICE_UNAVAILABLE,
                &view,
                stranger,
                None,
            )));
        }
    };
    let session = crate::model::session_name::SessionName::parse(&link.session)
        .ok()
        .and_then(|name| gateway.sessions.find(&name));
    match judge_link(&link, gateway.clock.now()) {
        LinkValidity::Valid => {
            reader.expires_at = Some(link.expires_at);
            session.ok_or_else(|| refuse(StatusCode::GONE))
        }
        LinkValidity::JustUsed => Err(Box::new(page_response(
            StatusCode::OK,
            &ConnectView::Linked,
            stranger,
            None,
        ))),
        LinkValidity::Over => Err(refuse(StatusCode::GONE)),
    }
}

enum LinkValidity {
    Valid,
    JustUsed,
    Over,
}

fn judge_link(link: &ConnectLink, now: Timestamp) -> LinkValidity {
    match link.used_at {
        Some(used_at) if now.duration_since(used_at) < FAREWELL => LinkValidity::JustUsed,
        Some(_) => LinkValidity::Over,
        None if now >= link.expires_at => LinkValidity::Over,
        None => LinkValidity::Valid,
    }
}

/// Returns the view of the step that is due. A session that rests is woken, until a page that
/// nobody watches has asked for a few rounds of codes.
async fn find_view(gateway: &Gateway, session: &Session, rounds: u32) -> ConnectView {
    let state = session.state();
    if state.paired {
        return ConnectView::Linked;
    }
    let needs_round = state.is_qr_expired() || state.status == SessionPhase::LoggedOut;
    if needs_round && rounds >= MAX_ROUNDS {
        return ConnectView::Paused;
    }
    let rounds = rounds + u32::from(needs_round);
    gateway.sessions.wake_logged_out(session);
    let qr = match state.passkey {
        Some(_) => None,
        None if state.waits_for_code => return ConnectView::CodeOutstanding { rounds },
        None => gateway.sessions.next_qr_code(session, QR_WAIT).await,
    };
    let state = session.state();
    if let Some(passkey) = state.passkey {
        return passkey_view(gateway, passkey);
    }
    let svg = qr.and_then(|qr| Some((QrImage::from_text(&qr.text).ok()?.to_svg(), qr)));
    match (svg, state.status) {
        (Some((svg, qr)), _) => ConnectView::Qr {
            svg,
            number: qr.number,
            seconds: seconds_until(gateway, qr.expires_at),
            rounds,
        },
        (None, _) if state.paired => ConnectView::Linked,
        (None, SessionPhase::Stopped | SessionPhase::Failed) => ConnectView::Unavailable,
        (None, _) => ConnectView::Waiting { rounds },
    }
}

fn passkey_view(gateway: &Gateway, passkey: PasskeyState) -> ConnectView {
    ConnectView::Passkey {
        seconds: seconds_until(gateway, passkey.expires_at),
        passkey,
    }
}

fn seconds_until(gateway: &Gateway, end: Timestamp) -> i64 {
    end.duration_since(gateway.clock.now()).as_secs().max(0)
}

/// Returns the view in which a phone number is typed, unless linking is past that.
fn find_number_view(gateway: &Gateway, session: &Session, typed: &str) -> ConnectView {
    let state = session.state();
    match state.passkey {
        _ if state.paired => ConnectView::Linked,
        Some(passkey) => passkey_view(gateway, passkey),
        None => ConnectView::Number(typed.to_owned()),
    }
}

fn form_field(form: &str, wanted: &str) -> String {
    url::form_urlencoded::parse(form.as_bytes())
        .find(|(field, _)| field == wanted)
        .map_or_else(String::new, |(_, value)| value.into_owned())
}

/// Takes the step of a form. Returns the pairing code, if one was requested.
async fn take_step(
    gateway: &Gateway,
    session: &Session,
    form: &str,
) -> Result<Option<String>, Problem> {
    let name = &session.name;
    let field = |wanted: &str| form_field(form, wanted);
    if session.state().paired {
        return Err(Problem::AlreadyPaired);
    }
    match field("step").as_str() {
        "code" => {
            let phone = parse_phone(&field("phone"))
                .map_err(|detail| Problem::invalid_field("phone", detail))?;
            let code = gateway.sessions.request_pairing_code(name, &phone).await?;
            Ok(Some(code))
        }
        // The button of a page that has stopped asking; the view asks again.
        "qr" => Ok(None),
        "passkey" => {
            let assertion = parse_pasted_assertion(&field("assertion"))?;
            gateway.sessions.answer_passkey(name, assertion).await?;
            Ok(None)
        }
        "confirm" => {
            gateway.sessions.confirm_passkey(name).await?;
            Ok(None)
        }
        _ => Err(Problem::invalid_field(
            "step",
            "must be `qr`, `code`, `passkey` or `confirm`",
        )),
    }
}

/// Reads an assertion that a person has pasted, with the braces of the API's body or without them.
fn parse_pasted_assertion(
    text: &str,
) -> Result<crate::model::account::webauthn::PasskeyAssertion, Problem> {
    let unreadable = || Problem::invalid_field("assertion", "is not the text that was copied");
    let pasted: Value = serde_json::from_str(text.trim()).map_err(|_| unreadable())?;
    let pasted = match pasted.get("assertion") {
        Some(_) => pasted,
        None => json!({"assertion": pasted}),
    };
    let mut fields = JsonFields::from_value(pasted).ok_or_else(unreadable)?;
    let assertion = read_assertion(&mut fields);
    fields.refuse_unknown();
    fields.finish(assertion)
}

fn page_response(
    status: StatusCode,
    view: &ConnectView,
    reader: ConnectReader,
    fault: Option<PageText>,
) -> Response {
    let head: [(HeaderName, &str); 6] = [
        // Else a cache could show it in another reader's language.
        (header::VARY, "accept-language"),
        (header::CONTENT_SECURITY_POLICY, &PAGE_POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::CACHE_CONTROL, "no-store"),
        (header::X_CONTENT_TYPE_OPTIONS, "nosniff"),
        (HeaderName::from_static("x-robots-tag"), "noindex"),
    ];
    (status, head, Html(render_page(view, reader, fault))).into_response()
}
