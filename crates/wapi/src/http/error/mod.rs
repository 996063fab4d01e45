//! Error answers as `application/problem+json` (RFC 9457). Only this module picks an error's status
//! code.

mod commands;
mod failures;
mod products;
mod sending;

use std::borrow::Cow;

use axum::http::{StatusCode, header};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::access::unkeyed::StrangerError;
use crate::model::access::Scope;
use crate::model::event::SendFailure;
use crate::net::pace::TooSlowError;
use crate::sessions::SessionPhase;
pub use failures::NOT_ON_WHATSAPP;
use failures::{GROUP_NOT_FOUND, NEWSLETTER_NOT_FOUND};
pub use products::MissingInShop;

/// One mistake in the request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct FieldError {
    pub field: Cow<'static, str>,
    pub detail: String,
}

/// Why a request failed.
#[derive(Debug)]
pub enum Problem {
    /// The body is not a JSON object.
    InvalidBody(String),
    /// Some fields are missing or wrong; never empty.
    InvalidFields(Vec<FieldError>),
    /// The body arrived more slowly than the required pace.
    BodyTooSlow,
    /// The body is larger than the limit, in bytes.
    BodyTooLarge(usize),
    Unauthorized,
    /// No key is required, but requests of this origin are refused.
    Stranger(StrangerError),
    /// The key lacks this scope.
    ScopeMissing(Scope),
    /// The key is for other sessions; the answer is the same whether this one exists or not.
    SessionNotAllowed,
    /// The route concerns the whole gateway, and the key only some sessions.
    NotForAllSessions,
    NoApiKey,
    /// On a gateway without keys, a first key that is not an admin's would lock every caller out.
    AdminKeyFirst,
    LastAdminKey,
    NoRoute,
    MethodNotAllowed,
    NoSession,
    NoQrCode,
    NoConnection,
    NoWebhook,
    NoDelivery,
    /// The webhook of the operator's settings can be changed only there.
    OriginalWebhook,
    NotOnline {
        status: SessionPhase,
        reason: Option<String>,
    },
    SessionExists,
    /// The session still executes an earlier command.
    SessionBusy,
    /// No phone has linked the session.
    NotPaired,
    /// A phone has linked the session.
    AlreadyPaired,
    /// WhatsApp gave no pairing code.
    PairingCodeRefused {
        detail: String,
    },
    /// The caller accepts none of the formats of a QR code.
    NotAcceptable,
    /// The session's saved state cannot be used.
    SessionFailed {
        reason: String,
    },
    NoMessage,
    /// The period for editing the message has ended.
    EditTooLate,
    NoGroup,
    NoNewsletter,
    NoChat,
    NoContact,
    NoPicture,
    MissingInShop(MissingInShop),
    /// The operator's settings turn history off.
    HistoryOff,
    /// No such call is ringing.
    NoCall,
    /// WhatsApp refused the request.
    WhatsappRefused {
        detail: String,
    },
    NoMedia,
    /// The file is still on WhatsApp's servers.
    MediaNotReady {
        detail: String,
    },
    /// The file is no longer available, or cannot be downloaded.
    MediaGone {
        detail: String,
    },
    /// The requested range lies outside a file of this size, in bytes.
    RangeNotSatisfiable(u64),
    /// The idempotency key was used for another request.
    IdempotencyKeyReused,
    /// Too many requests of this origin are in progress.
    TooManyRequests(&'static str),
    /// The session's limit of links waiting to be downloaded is reached.
    TooManyLinks(usize),
    /// The session's limit of queued messages is reached.
    QueueFull(usize),
    /// A message failed while its caller waited.
    NotSent(SendFailure),
    /// WhatsApp did not answer in time.
    WhatsappTimeout {
        detail: String,
    },
    Stopping,
    /// The saved sessions are not loaded yet.
    Starting,
    /// A part that the gateway depends on does not work.
    NotReady {
        detail: String,
    },
    /// A fault of the gateway; the cause is in the log, not in the answer.
    Internal,
}

/// The problem document; the outermost layer adds the request id.
#[derive(Debug, Clone, Serialize)]
pub struct ProblemDocument {
    /// Stable and documented; the URN resolves to no page.
    #[serde(rename = "type")]
    pub kind: String,
    pub title: &'static str,
    pub status: u16,
    pub detail: String,
    pub code: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub request_id: Option<String>,
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<FieldError>,
}

pub const MEDIA_TYPE: &str = "application/problem+json";

impl Problem {
    /// Returns a problem with one wrong field.
    pub fn invalid_field(field: &'static str, detail: impl Into<String>) -> Self {
        Self::InvalidFields(vec![FieldError {
            field: field.into(),
            detail: detail.into(),
        }])
    }

    /// Returns the problem of a body that could not be read to its end.
    pub fn from_body_error(error: &(dyn std::error::Error + 'static)) -> Self {
        if TooSlowError::is_cause_of(error) {
            Self::BodyTooSlow
        } else {
            Self::InvalidBody("it ended before it was complete".to_owned())
        }
    }

    fn status_code(&self) -> StatusCode {
        match self {
            Self::InvalidBody(_) | Self::InvalidFields(_) => StatusCode::BAD_REQUEST,
            Self::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
            Self::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unauthorized => StatusCode::UNAUTHORIZED,
            Self::Stranger(_) | Self::ScopeMissing(_) => StatusCode::FORBIDDEN,
            Self::SessionNotAllowed | Self::NotForAllSessions => StatusCode::FORBIDDEN,
            Self::NoApiKey
            | Self::NoRoute
            | Self::NoSession
            | Self::NoQrCode
            | Self::NoConnection => StatusCode::NOT_FOUND,
            Self::EditTooLate | Self::HistoryOff => StatusCode::CONFLICT,
            Self::NoNewsletter | Self::MissingInShop(_) => StatusCode::NOT_FOUND,
            Self::NoMessage
            | Self::NoMedia
            | Self::NoGroup
            | Self::NoCall
            | Self::NoChat
            | Self::NoContact => StatusCode::NOT_FOUND,
            Self::NotSent(failure) => failures::failure_status(failure),
            Self::MediaNotReady { .. } => StatusCode::CONFLICT,
            Self::MediaGone { .. } => StatusCode::GONE,
            Self::RangeNotSatisfiable(_) => StatusCode::RANGE_NOT_SATISFIABLE,
            Self::MethodNotAllowed => StatusCode::METHOD_NOT_ALLOWED,
            Self::AdminKeyFirst | Self::LastAdminKey => StatusCode::CONFLICT,
            Self::NoWebhook | Self::NoDelivery | Self::NoPicture => StatusCode::NOT_FOUND,
            Self::NotOnline { .. } | Self::SessionFailed { .. } | Self::OriginalWebhook => {
                StatusCode::CONFLICT
            }
            Self::SessionExists
            | Self::NotPaired
            | Self::AlreadyPaired
            | Self::IdempotencyKeyReused => StatusCode::CONFLICT,
            Self::NotAcceptable => StatusCode::NOT_ACCEPTABLE,
            Self::QueueFull(_) | Self::TooManyLinks(_) | Self::TooManyRequests(_) => {
                StatusCode::TOO_MANY_REQUESTS
            }
            Self::PairingCodeRefused { .. } | Self::WhatsappRefused { .. } => {
                StatusCode::BAD_GATEWAY
            }
            Self::WhatsappTimeout { .. } => StatusCode::GATEWAY_TIMEOUT,
            Self::Stopping | Self::Starting | Self::NotReady { .. } | Self::SessionBusy => {
                StatusCode::SERVICE_UNAVAILABLE
            }
            Self::Internal => StatusCode::INTERNAL_SERVER_ERROR,
        }
    }

    /// Returns the stable code and the title.
    fn code_and_title(&self) -> (&'static str, &'static str) {
        match self {
            Self::InvalidBody(_) => ("invalid_body", "The body is not a JSON object"),
            Self::InvalidFields(_) => ("invalid_fields", "Some fields are missing or wrong"),
            Self::BodyTooSlow => ("body_too_slow", "The body came too slowly"),
            Self::BodyTooLarge(_) => ("body_too_large", "The body is too large"),
            Self::Unauthorized => ("unauthorized", "A valid API key is needed"),
            Self::Stranger(_) => (
                "stranger",
                "The request does not come from where this gateway is open to",
            ),
            Self::ScopeMissing(_) => ("scope_missing", "The API key may not do this"),
            Self::SessionNotAllowed => ("session_not_allowed", "The API key is for other sessions"),
            Self::NotForAllSessions => (
                "not_for_all_sessions",
                "The API key is not for all sessions",
            ),
            Self::NoApiKey => ("api_key_not_found", "There is no such API key"),
            Self::AdminKeyFirst => ("admin_key_first", "The first API key must be an admin's"),
            Self::LastAdminKey => ("last_admin_key", "This is the last admin key"),
            Self::NoRoute => ("route_not_found", "There is no such route"),
            Self::MethodNotAllowed => {
                ("method_not_allowed", "This route does not take this method")
            }
            Self::NoSession => ("session_not_found", "There is no session of this name"),
            Self::NoQrCode => ("qr_code_not_found", "No QR code is waiting"),
            Self::NoConnection => ("connection_not_found", "The session is not connected"),
            Self::NoWebhook => ("webhook_not_found", "There is no such webhook"),
            Self::NoDelivery => ("delivery_not_found", "The webhook has no such delivery"),
            Self::OriginalWebhook => ("webhook_is_original", "This webhook is set in the settings"),
            Self::NotOnline { .. } => ("session_not_online", "The session is not online"),
            Self::SessionExists => ("session_exists", "There is a session of this name"),
            Self::SessionBusy => ("session_busy", "The session still follows an earlier order"),
            Self::NotPaired => ("session_not_paired", "No phone has linked the session"),
            Self::AlreadyPaired => (
                "session_already_paired",
                "A phone has linked the session already",
            ),
            Self::PairingCodeRefused { .. } => {
                ("pairing_code_refused", "WhatsApp gave no pairing code")
            }
            Self::NotAcceptable => ("not_acceptable", "A QR code has none of these forms"),
            Self::SessionFailed { .. } => ("session_failed", "The session cannot be opened"),
            Self::NoMessage => ("message_not_found", "There is no such message"),
            Self::EditTooLate => ("too_late", "The message cannot be changed any more"),
            Self::NoGroup => (GROUP_NOT_FOUND, "The account is in no such group"),
            Self::NoNewsletter => (NEWSLETTER_NOT_FOUND, "There is no such newsletter"),
            Self::NoChat => ("chat_not_found", "There is no such chat"),
            Self::NoContact => ("contact_not_found", "Nobody of this address is known"),
            Self::NoPicture => ("picture_not_found", "No picture is shown"),
            Self::MissingInShop(what) => what.code_and_title(),
            Self::HistoryOff => ("history_off", "No history is kept"),
            Self::NoCall => ("call_not_found", "No such call rings"),
            Self::WhatsappRefused { .. } => ("whatsapp_refused", "WhatsApp refused it"),
            Self::NoMedia => ("media_not_found", "There is no such file"),
            Self::MediaNotReady { .. } => ("media_not_ready", "The file is not here yet"),
            Self::MediaGone { .. } => ("media_gone", "The file cannot be had"),
            Self::RangeNotSatisfiable(_) => ("range_not_satisfiable", "The file has no such bytes"),
            Self::IdempotencyKeyReused => (
                "idempotency_key_reused",
                "The idempotency key belongs to another request",
            ),
            Self::TooManyRequests(_) => {
                ("too_many_requests", "Too many requests are being answered")
            }
            Self::TooManyLinks(_) => ("too_many_links", "Too many links wait to be fetched"),
            Self::QueueFull(_) => ("queue_full", "Too many messages wait"),
            Self::NotSent(failure) => failures::failure_code(failure),
            Self::WhatsappTimeout { .. } => ("whatsapp_timeout", "WhatsApp did not answer in time"),
            Self::Stopping => ("stopping", "The program is stopping"),
            Self::Starting => ("starting", "The program is starting"),
            Self::NotReady { .. } => ("not_ready", "Nothing can be saved at the moment"),
            Self::Internal => ("internal", "Something went wrong here"),
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::InvalidBody(detail) | Self::WhatsappTimeout { detail } | Self::WhatsappRefused { detail } => detail.clone(),
            Self::NoChat => {
                "nothing was said in it yet, or it is kept no longer; GET /v1/sessions/…/chats lists those there are"
                    .to_owned()
            }
            Self::NoContact => {
                "GET /v1/sessions/…/contacts lists those there are; POST …/contacts/check asks WhatsApp".to_owned()
            }
            Self::HistoryOff => {
                "the setting WAPI_HISTORY is `off`; set it to a number of days, or to `forever`".to_owned()
            }
            Self::NoPicture => "they have none, or do not show it to this account".to_owned(),
            Self::MissingInShop(what) => what.detail().to_owned(),
            Self::NoCall => "it has ended, or was turned away already".to_owned(),
            Self::NoNewsletter => "GET /v1/sessions/…/newsletters lists those the account follows".to_owned(),
            Self::NoGroup => "GET /v1/sessions/…/groups lists those it is in".to_owned(),
            Self::MediaNotReady { detail } | Self::MediaGone { detail } => detail.clone(),
            Self::NotSent(failure) => failure.detail.clone(),
            Self::InvalidFields(errors) => {
                let each: Vec<_> = errors.iter().map(|error| format!("`{}` {}", error.field, error.detail)).collect();
                each.join("; ")
            }
            Self::BodyTooSlow => format!("{TooSlowError}; send it anew over a better line"),
            Self::BodyTooLarge(limit) => format!("at most {limit} bytes are taken"),
            Self::Unauthorized => "send the key of WAPI_API_KEY, or one that POST /v1/api-keys has made, as `Authorization: Bearer …` or \
                                   `X-Api-Key: …`"
                .to_owned(),
            Self::Stranger(why) => why.problem_detail().to_owned(),
            Self::ScopeMissing(Scope::Admin) => "use a key whose `scopes` have `admin`".to_owned(),
            Self::ScopeMissing(scope) => format!("use a key whose `scopes` have `{}` or `admin`", scope.as_str()),
            Self::SessionNotAllowed => "use a key whose `sessions` have this one, or that is for all".to_owned(),
            Self::NotForAllSessions => "this concerns the whole gateway; use a key for all sessions".to_owned(),
            Self::NoApiKey => "GET /v1/api-keys lists them".to_owned(),
            Self::AdminKeyFirst => {
                "keys are asked for as soon as there is one, so make one with the scope `admin`, for all \
                                    sessions and without `expires_at` first, or set WAPI_API_KEY"
                    .to_owned()
            }
            Self::LastAdminKey => "without it nobody could make or remove keys; remove the others first, or set \
                                   WAPI_API_KEY"
                .to_owned(),
            Self::NoRoute => "the address is misspelt, or of another version".to_owned(),
            Self::MethodNotAllowed => "the header `Allow` names those it takes".to_owned(),
            Self::NoSession => "register it first, with POST /register-session/".to_owned(),
            Self::NoQrCode => "the session is online, or still on its way".to_owned(),
            Self::NoConnection => "its state is at GET /get-session-info/…/".to_owned(),
            Self::NoWebhook => "GET /v1/webhooks lists them".to_owned(),
            Self::NoDelivery => "GET /v1/webhooks/…/deliveries lists them".to_owned(),
            Self::OriginalWebhook => "it can be enabled, disabled, tested and told again; its address is \
                                      WAPI_GETTING_MESSAGES_WEBHOOK, its secret WAPI_WEBHOOK_SECRET"
                .to_owned(),
            Self::NoMessage => "it was not sent through this gateway, or is kept no longer; where a route takes `chat`, say in which chat it is"
                .to_owned(),
            Self::EditTooLate => "phones take new words for 15 minutes; send a new message, or delete this one".to_owned(),
            Self::NoMedia => "it never was, was of another session, or is kept no longer".to_owned(),
            Self::RangeNotSatisfiable(size) => format!("it has {size} bytes"),
            Self::IdempotencyKeyReused => "use a new key for a new message; keys are remembered for 24 hours".to_owned(),
            Self::TooManyRequests(which) => {
                format!("as many {which} are being answered as may be, streams and waits included; end some, or try again later")
            }
            Self::TooManyLinks(most) => format!("{most} links of this session wait to be fetched; try again later"),
            Self::QueueFull(most) => format!("{most} messages of this session wait to be sent; try again later"),
            Self::NotOnline { status, reason: Some(reason) } => format!("it is {}: {reason}", status.as_str()),
            Self::NotOnline { status, reason: None } => format!("it is {}", status.as_str()),
            Self::SessionExists => "choose another name, or remove that session first".to_owned(),
            Self::SessionBusy => "this one was not followed, but for a removal, which goes on; look again".to_owned(),
            Self::NotPaired => "its QR code is at GET /v1/sessions/…/qr".to_owned(),
            Self::AlreadyPaired => "log it out first to link it to another phone".to_owned(),
            Self::PairingCodeRefused { detail } => detail.clone(),
            Self::NotAcceptable => "accept image/png, image/svg+xml, text/plain or application/json".to_owned(),
            Self::SessionFailed { reason } => reason.clone(),
            Self::Stopping | Self::Starting => "try again in a moment".to_owned(),
            Self::NotReady { detail } => detail.clone(),
            Self::Internal => "the log has more, under the request's id".to_owned(),
        }
    }

    pub fn into_document(self) -> ProblemDocument {
        let (code, title) = self.code_and_title();
        let (status, detail) = (self.status_code().as_u16(), self.detail());
        let errors = if let Self::InvalidFields(errors) = self {
            errors
        } else {
            Vec::new()
        };
        ProblemDocument {
            kind: format!("urn:wapi:problem:{code}"),
            title,
            status,
            detail,
            code,
            request_id: None,
            errors,
        }
    }
}

/// When to try again, in seconds, on answers with status 429 or 503.
const RETRY_AFTER: header::HeaderValue = header::HeaderValue::from_static("10");

impl IntoResponse for Problem {
    fn into_response(self) -> Response {
        let status = self.status_code();
        let size = if let Self::RangeNotSatisfiable(size) = self {
            Some(size)
        } else {
            None
        };
        let document = self.into_document();
        let body = serde_json::to_vec(&document).expect("a problem is always JSON");
        let mut response = (status, [(header::CONTENT_TYPE, MEDIA_TYPE)], body).into_response();
        if status == StatusCode::UNAUTHORIZED {
            response.headers_mut().insert(
                header::WWW_AUTHENTICATE,
                header::HeaderValue::from_static("Bearer"),
            );
        }
        if matches!(
            status,
            StatusCode::TOO_MANY_REQUESTS | StatusCode::SERVICE_UNAVAILABLE
        ) {
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, RETRY_AFTER);
        }
        if let Some(size) = size.and_then(|size| format!("bytes */{size}").parse().ok()) {
            response.headers_mut().insert(header::CONTENT_RANGE, size);
        }
        // The outermost layer adds the request id to it.
        response.extensions_mut().insert(document);
        response
    }
}
