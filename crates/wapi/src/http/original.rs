//! The six routes of the original wapi, kept permanently. They ignore unknown fields, as it did.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use jiff::Timestamp;
use serde::Serialize;

use super::Gateway;
use super::auth::reached;
use super::error::Problem;
use super::extract::{Fields, Named};
use super::messages::content::{LONGEST_CAPTION, LONGEST_TEXT};
use crate::event::{Account, ConnectionInfo as Connection, Failure};
use crate::fetch::Whose;
use crate::keys::Caller;
use crate::media::File;
use crate::message::{ChatId, Content, Media, MediaKind, Message};
use crate::sessions::{Session, SessionName, SessionState, Status};
use crate::store::Verdict;

/// A session and its connection.
#[derive(Debug, Serialize)]
struct SessionInfo {
    session_id: SessionName,
    status: Status,
    reason: Option<String>,
    /// Whether it holds the keys of a linked device.
    paired: bool,
    connection: Connection,
    account: Option<Account>,
    #[serde(serialize_with = "crate::stamp::optional")]
    last_received_at: Option<Timestamp>,
    /// Path of the QR code while one waits to be scanned.
    #[serde(skip_serializing_if = "Option::is_none")]
    qr_code: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "crate::stamp::optional")]
    qr_code_expires_at: Option<Timestamp>,
}

impl SessionInfo {
    fn new(session: &Session, state: SessionState) -> Self {
        let qr_code = state
            .qr
            .as_ref()
            .map(|_| format!("/get-qr-code/{}/", session.name.url_segment()));
        Self {
            session_id: session.name.clone(),
            status: state.status,
            connection: Connection {
                state: state.status.connection().word(),
                since: state.connection_since,
            },
            reason: state.reason,
            paired: state.paired,
            account: state.account,
            last_received_at: session.last_received_at(),
            qr_code_expires_at: state.qr.map(|qr| qr.expires_at),
            qr_code,
        }
    }
}

/// `POST /register-session/`: 200 when the session is online, 202 when its QR code waits to be
/// scanned.
pub async fn register_session(
    State(gateway): State<Gateway>,
    caller: Caller,
    mut fields: Fields,
) -> Result<Response, Problem> {
    let name = fields.parsed("session_id", SessionName::parse);
    let name = reached(&caller, fields.done(name)?)?;
    let (session, state) = gateway.sessions.register(&name).await?;
    if !caller.reaches(name.as_str()) {
        // The key included this name and no such session existed: the session is new, and the
        // caller's.
        gateway.give(&caller, &name).await?;
    }
    let status = match (state.status, &state.qr) {
        (Status::Online, _) => StatusCode::OK,
        (_, Some(_)) => StatusCode::ACCEPTED,
        (Status::Stopped, _) if gateway.lifecycle.is_stopping() => return Err(Problem::Stopping),
        // Another caller has just stopped it.
        (status @ Status::Stopped, _) => {
            return Err(Problem::NotOnline {
                status,
                reason: state.reason,
            });
        }
        (Status::Failed, _) => {
            return Err(Problem::SessionFailed {
                reason: state.reason.unwrap_or_default(),
            });
        }
        (status, _) => {
            return Err(Problem::NoAnswer {
                detail: not_yet(status, state.reason),
            });
        }
    };
    Ok((status, Json(SessionInfo::new(&session, state))).into_response())
}

fn not_yet(status: Status, reason: Option<String>) -> String {
    let why = reason.map_or_else(String::new, |reason| format!(" ({reason})"));
    format!(
        "the session is still {}{why}; it goes on, so ask again",
        status.word()
    )
}

/// A message that WhatsApp has accepted.
#[derive(Debug, Serialize)]
struct SentMessage {
    id: String,
    chat: String,
    session: SessionName,
    #[serde(serialize_with = "crate::stamp::serialize")]
    timestamp: Timestamp,
    status: &'static str,
}

/// `POST /send-message/`: 200 once WhatsApp has accepted the message.
pub async fn send_message(
    State(gateway): State<Gateway>,
    caller: Caller,
    mut fields: Fields,
) -> Result<Response, Problem> {
    let (session, chat) = (
        fields.parsed("session_name", SessionName::parse),
        fields.parsed("chat_id", ChatId::parse),
    );
    let read = session
        .zip(chat)
        .zip(fields.text_up_to("text", LONGEST_TEXT));
    let ((session, chat), body) = fields.done(read)?;
    let session = reached(&caller, session)?;
    send(&gateway, session, chat, Message::text(body), None).await
}

/// `POST /send-image/`: downloads the image and sends it; 200 once WhatsApp has accepted it.
pub async fn send_image(
    State(gateway): State<Gateway>,
    caller: Caller,
    mut fields: Fields,
) -> Result<Response, Problem> {
    let (session, chat) = (
        fields.parsed("session_name", SessionName::parse),
        fields.parsed("chat_id", ChatId::parse),
    );
    let read = session.zip(chat).zip(fields.text("image_url"));
    let caption = fields.optional_text_up_to("caption", LONGEST_CAPTION);
    let ((session, chat), link) = fields.done(read)?;
    let session = reached(&caller, session)?;
    gateway.sessions.is_ready(&session)?;
    let file = gateway
        .fetcher
        .file(
            Whose::caller(session.as_str()),
            &link,
            MediaKind::Image,
            None,
        )
        .await?;
    let content = Content::Image {
        image: Media {
            caption,
            ..Media::linked(link)
        },
    };
    send(&gateway, session, chat, Message::new(content), Some(file)).await
}

/// Sends the message immediately or not at all, and waits for WhatsApp's acknowledgement.
async fn send(
    gateway: &Gateway,
    session: SessionName,
    chat: ChatId,
    message: Message,
    file: Option<File>,
) -> Result<Response, Problem> {
    let (chat, accepted, verdict) = gateway
        .sessions
        .send_now(&session, chat, message, file)
        .await?;
    // Slightly longer than the message's own limit, to distinguish a message that certainly was not
    // sent from one that may have been.
    let limit = gateway.sessions.whatsapp_timeout();
    match gateway
        .sessions
        .verdict(verdict, limit + Duration::from_millis(500))
        .await
    {
        Some(Verdict::Sent { at }) => {
            let sent = SentMessage {
                id: accepted.id,
                chat: chat.to_string(),
                session,
                timestamp: at,
                status: "sent",
            };
            Ok(Json(sent).into_response())
        }
        Some(Verdict::Failed(failure)) => Err(not_sent(gateway, &session, failure)),
        Some(Verdict::Cancelled) => Err(Problem::NotSent(Failure {
            code: "cancelled".to_owned(),
            detail: "somebody took the message back before it left".to_owned(),
        })),
        _ => Err(Problem::NoAnswer {
            detail: format!(
                "WhatsApp did not confirm the message within {limit:?}; it may still arrive"
            ),
        }),
    }
}

fn not_sent(gateway: &Gateway, session: &SessionName, failure: Failure) -> Problem {
    match failure.code.as_str() {
        "expired" => Problem::NoAnswer {
            detail: "the message could not leave in time and was not sent".to_owned(),
        },
        "session_not_online" => match gateway
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
        _ => Problem::NotSent(failure),
    }
}

/// `GET /get-qr-code/{session}/`: the QR code that waits to be scanned, as PNG.
pub async fn get_qr_code(
    State(gateway): State<Gateway>,
    Named(name): Named,
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
    Named(name): Named,
) -> Result<Response, Problem> {
    let session = gateway.sessions.find(&name).ok_or(Problem::NoSession)?;
    Ok(Json(SessionInfo::new(&session, session.state())).into_response())
}

/// The live connection of a session.
#[derive(Debug, Serialize)]
struct ConnectionInfo {
    session_id: SessionName,
    state: &'static str,
    #[serde(serialize_with = "crate::stamp::serialize")]
    since: Timestamp,
    account: Option<Account>,
    #[serde(serialize_with = "crate::stamp::optional")]
    last_received_at: Option<Timestamp>,
}

/// `GET /get-active-connection-info/{session}/`: the live connection; 404 when there is none.
pub async fn get_active_connection_info(
    State(gateway): State<Gateway>,
    Named(name): Named,
) -> Result<Response, Problem> {
    let session = gateway.sessions.find(&name).ok_or(Problem::NoSession)?;
    let (state, last_received_at) = (session.state(), session.last_received_at());
    if state.status != Status::Online {
        return Err(Problem::NoConnection);
    }
    let SessionState {
        connection_since: since,
        account,
        ..
    } = state;
    Ok(Json(ConnectionInfo {
        session_id: name,
        state: "online",
        since,
        account,
        last_received_at,
    })
    .into_response())
}
