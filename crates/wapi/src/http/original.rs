//! The six routes of the original wapi, kept permanently. They ignore unknown fields, as it did.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;

use super::Gateway;
use super::access::auth::require_session_access;
use super::error::Problem;
use super::request::extract::{JsonFields, SessionPath};
use super::v1::messages::content::{LONGEST_CAPTION, LONGEST_TEXT};
use crate::http::access::api_keys::Caller;
use crate::media::MediaFile;
use crate::media::link_download::FetchError;
use crate::media::link_download::FetchRequester;
use crate::model::event::{Account, ConnectionInfo as Connection};
use crate::model::message::{ChatId, MediaContent, MediaKind, Message, MessageContent};
use crate::model::original::{OriginalConnection, OriginalSession, SentOriginal};
use crate::model::send_failure::SendFailure;
use crate::model::session_name::SessionName;
use crate::sessions::{Session, SessionPhase, SessionState};
use crate::store::SendOutcome;

/// A session and its connection.
#[derive(Debug, Serialize)]
struct OriginalSessionInfo {
    session_id: SessionName,
    status: SessionPhase,
    reason: Option<String>,
    /// Whether it holds the keys of a linked device.
    paired: bool,
    connection: Connection,
    account: Option<Account>,
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    last_received_at: Option<Timestamp>,
    /// Path of the QR code while one waits to be scanned.
    #[serde(skip_serializing_if = "Option::is_none")]
    qr_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    qr_code_expires_at: Option<Timestamp>,
    #[serde(flatten)]
    original: OriginalSession,
}

impl OriginalSessionInfo {
    fn new(session: &Session, state: SessionState) -> Self {
        let original = OriginalSession::new(session.name.as_str(), state.account.as_ref());
        let qr_code = state
            .qr
            .as_ref()
            .map(|_| format!("/get-qr-code/{}/", session.name.url_segment()));
        Self {
            session_id: session.name.clone(),
            status: state.status,
            connection: Connection {
                state: state.status.connection_state(),
                since: state.connection_since,
            },
            reason: state.reason,
            paired: state.paired,
            account: state.account,
            last_received_at: session.last_received_at(),
            qr_code_expires_at: state.qr.map(|qr| qr.expires_at),
            qr_code,
            original,
        }
    }
}

/// `POST /register-session/`: 200 when the session is online, 202 when its QR code waits to be
/// scanned.
pub async fn register_session(
    State(gateway): State<Gateway>,
    caller: Caller,
    mut fields: JsonFields,
) -> Result<Response, Problem> {
    let name = fields.parse_required("session_id", SessionName::parse);
    let name = require_session_access(&caller, fields.finish(name)?)?;
    let (session, state) = gateway.sessions.register(&name).await?;
    if !caller.can_reach(name.as_str()) {
        // The key included this name and no such session existed: the session is new, and the
        // caller's.
        gateway.give_session(&caller, &name).await?;
    }
    let status = match (state.status, &state.qr) {
        (SessionPhase::Online, _) => StatusCode::OK,
        (_, Some(_)) => StatusCode::ACCEPTED,
        (SessionPhase::Stopped, _) if gateway.lifecycle.is_stopping() => {
            return Err(Problem::Stopping);
        }
        // Another caller has just stopped it.
        (status @ SessionPhase::Stopped, _) => {
            return Err(Problem::NotOnline {
                status,
                reason: state.reason,
            });
        }
        (SessionPhase::Failed, _) => {
            return Err(Problem::SessionFailed {
                reason: state.reason.unwrap_or_default(),
            });
        }
        (status, _) => {
            return Err(Problem::WhatsappTimeout {
                detail: pending_detail(status, state.reason),
            });
        }
    };
    Ok((status, Json(OriginalSessionInfo::new(&session, state))).into_response())
}

fn pending_detail(status: SessionPhase, reason: Option<String>) -> String {
    let why = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
    format!(
        "the session is still {}{why}; this continues, so try again",
        status.into_str()
    )
}

/// A message that WhatsApp has accepted, and the original's document about it.
#[derive(Debug, Serialize)]
struct OriginalSentMessage<T> {
    id: String,
    chat: String,
    session: SessionName,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    timestamp: Timestamp,
    status: &'static str,
    #[serde(flatten)]
    original: T,
}

/// `POST /send-message/`: 200 once WhatsApp has accepted the message.
pub async fn send_message(
    State(gateway): State<Gateway>,
    caller: Caller,
    mut fields: JsonFields,
) -> Result<Response, Problem> {
    let (session, chat) = (
        fields.parse_required("session_name", SessionName::parse),
        fields.parse_required("chat_id", ChatId::parse),
    );
    let read = session
        .zip(chat)
        .zip(fields.text_up_to("text", LONGEST_TEXT));
    let ((session, chat), body) = fields.finish(read)?;
    let session = require_session_access(&caller, session)?;
    let message = Message::from_text(body.clone());
    send_immediately(&gateway, session, chat, message, None, |sent| {
        sent.text(&body)
    })
    .await
}

/// `POST /send-image/`: downloads the image and sends it; 200 once WhatsApp has accepted it.
pub async fn send_image(
    State(gateway): State<Gateway>,
    caller: Caller,
    mut fields: JsonFields,
) -> Result<Response, Problem> {
    let (session, chat) = (
        fields.parse_required("session_name", SessionName::parse),
        fields.parse_required("chat_id", ChatId::parse),
    );
    let read = session.zip(chat).zip(fields.required_text("image_url"));
    let caption = fields.optional_text_up_to("caption", LONGEST_CAPTION);
    let ((session, chat), link) = fields.finish(read)?;
    let session = require_session_access(&caller, session)?;
    gateway.sessions.check_ready(&session)?;
    let file = gateway
        .fetcher
        .fetch_file(
            FetchRequester::for_caller(session.as_str()),
            &link,
            MediaKind::Image,
            None,
        )
        .await
        .map_err(fetch_problem)?;
    let content = MessageContent::Image {
        image: MediaContent {
            caption: caption.clone(),
            ..MediaContent::from_link(link)
        },
    };
    let (message, mime_type) = (Message::new(content), file.mime_type.clone());
    send_immediately(&gateway, session, chat, message, Some(file), |sent| {
        sent.image(caption.as_deref(), &mime_type)
    })
    .await
}

fn fetch_problem(error: FetchError) -> Problem {
    match error {
        FetchError::QueueFull(limit) => Problem::TooManyLinks(limit),
        error => Problem::invalid_field("image_url", error.to_string()),
    }
}

/// Sends the message immediately or not at all, and waits for WhatsApp's acknowledgement. The answer
/// has the original's members, too.
async fn send_immediately<T: Serialize>(
    gateway: &Gateway,
    session: SessionName,
    chat: ChatId,
    message: Message,
    file: Option<MediaFile>,
    original: impl FnOnce(SentOriginal<'_>) -> T,
) -> Result<Response, Problem> {
    let (accepted, outcome) = gateway
        .sessions
        .send_now(&session, chat.clone(), message, file)
        .await?;
    // Slightly longer than the message's own limit, to distinguish a message that certainly was not
    // sent from one that may have been.
    let limit = gateway.sessions.whatsapp_timeout();
    match gateway
        .sessions
        .wait_for_outcome(outcome, limit + Duration::from_millis(500))
        .await
    {
        Some(SendOutcome::Sent { at }) => {
            // A person's chat may continue under their LID, but the answer names the number that the
            // caller gave, in WhatsApp's form.
            let chat = match &accepted.to {
                phone @ ChatId::Phone(_) => phone.to_string(),
                _ => chat.to_string(),
            };
            let account = gateway
                .sessions
                .find(&session)
                .and_then(|session| session.state().account);
            let original = original(SentOriginal {
                id: &accepted.id,
                chat: &chat,
                account: account.as_ref(),
                at,
            });
            let sent = OriginalSentMessage {
                id: accepted.id.clone(),
                chat,
                session,
                timestamp: at,
                status: "sent",
                original,
            };
            Ok(Json(sent).into_response())
        }
        Some(SendOutcome::Failed(failure)) => Err(send_problem(gateway, &session, failure)),
        Some(SendOutcome::Cancelled) => Err(Problem::NotSent {
            failure: SendFailure::NotSendable,
            detail: "the message was cancelled before it left".to_owned(),
        }),
        _ => Err(Problem::WhatsappTimeout {
            detail: format!(
                "WhatsApp did not confirm the message within {limit:?}; it may still arrive"
            ),
        }),
    }
}

fn send_problem(gateway: &Gateway, session: &SessionName, failure: SendFailure) -> Problem {
    match failure {
        SendFailure::Expired => Problem::WhatsappTimeout {
            detail: "the message could not leave in time and was not sent".to_owned(),
        },
        SendFailure::SessionNotOnline => match gateway
            .sessions
            .find(session)
            .map(|session| session.state())
        {
            Some(state) => Problem::NotOnline {
                status: state.status,
                reason: state.reason,
            },
            None => Problem::NoSession,
        },
        failure => failure.into(),
    }
}

/// `GET /get-qr-code/{session}/`: the QR code that waits to be scanned, as PNG.
pub async fn get_qr_code(
    State(gateway): State<Gateway>,
    SessionPath(name): SessionPath,
) -> Result<Response, Problem> {
    if gateway.sessions.find(&name).is_none() {
        return Err(Problem::NoSession);
    }
    let qr = gateway
        .sessions
        .qr_code(&name)
        .await
        .ok_or(Problem::NoQrCode)?;
    Ok((
        [
            (header::CONTENT_TYPE, "image/png"),
            (header::CACHE_CONTROL, "no-store"),
        ],
        qr.png,
    )
        .into_response())
}

/// `GET /get-session-info/{session}/`: the session and its connection.
pub async fn get_session_info(
    State(gateway): State<Gateway>,
    SessionPath(name): SessionPath,
) -> Result<Response, Problem> {
    let session = gateway.sessions.find(&name).ok_or(Problem::NoSession)?;
    Ok(Json(OriginalSessionInfo::new(&session, session.state())).into_response())
}

/// The live connection of a session.
#[derive(Debug, Serialize)]
struct OriginalConnectionInfo {
    session_id: SessionName,
    state: &'static str,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    since: Timestamp,
    account: Option<Account>,
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    last_received_at: Option<Timestamp>,
    #[serde(flatten)]
    original: OriginalConnection,
}

/// `GET /get-active-connection-info/{session}/`: the live connection; 404 when there is none.
pub async fn get_active_connection_info(
    State(gateway): State<Gateway>,
    SessionPath(name): SessionPath,
) -> Result<Response, Problem> {
    let session = gateway.sessions.find(&name).ok_or(Problem::NoSession)?;
    let (state, last_received_at) = (session.state(), session.last_received_at());
    if state.status != SessionPhase::Online {
        return Err(Problem::NoConnection);
    }
    let SessionState {
        connection_since: since,
        account,
        ..
    } = state;
    Ok(Json(OriginalConnectionInfo {
        original: OriginalConnection::new(name.as_str(), account.as_ref()),
        session_id: name,
        state: "online",
        since,
        account,
        last_received_at,
    })
    .into_response())
}
