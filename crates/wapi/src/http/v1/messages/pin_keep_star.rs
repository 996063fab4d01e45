//! `/v1/sessions/{session}/messages/{id}/pin`, `…/keep` and `…/star`: pinning, keeping and starring
//! a sent or received message.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::body::MessageRequest;
use super::edit_delete_forward::{find_message, refuse_status_or_post};
use super::{MessagePath, accept_message, read_wait};
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::OptionalJson;
use crate::http::request::query::QueryParameters;
use crate::model::message::{ChatId, KeepContent, Message, MessageContent, PinContent};
use crate::store::{Life, QuotedMessage};

/// A week, the default of phones.
const USUAL_PIN: u32 = PinContent::DURATIONS[1];

/// `PUT …/pin {duration?}`: pins a message at the top of the chat for everyone in it.
pub async fn pin_message(
    State(gateway): State<Gateway>,
    message: MessagePath,
    query: QueryParameters,
    OptionalJson(mut fields): OptionalJson,
) -> Result<Response, Problem> {
    let longest = u64::from(PinContent::DURATIONS[2]);
    let duration = fields
        .optional_number("duration", 1..=longest)
        .and_then(|seconds| u32::try_from(seconds).ok());
    if duration.is_some_and(|seconds| !PinContent::DURATIONS.contains(&seconds)) {
        fields.refuse_field(
            "duration",
            "must be 86400 (a day), 604800 (a week) or 2592000 (30 days)",
        );
    }
    fields.refuse_unknown();
    fields.finish(Some(()))?;
    let pin = |message_id| MessageContent::Pin {
        pin: PinContent {
            message_id,
            duration: duration.or(Some(USUAL_PIN)),
        },
    };
    send_mark(&gateway, message, query, pin).await
}

/// `DELETE …/pin`: unpins a message.
pub async fn unpin_message(
    State(gateway): State<Gateway>,
    message: MessagePath,
    query: QueryParameters,
) -> Result<Response, Problem> {
    send_mark(&gateway, message, query, |message_id| MessageContent::Pin {
        pin: PinContent {
            message_id,
            duration: None,
        },
    })
    .await
}

/// `PUT …/keep`: keeps a message in a chat with disappearing messages.
pub async fn keep_message(
    State(gateway): State<Gateway>,
    message: MessagePath,
    query: QueryParameters,
) -> Result<Response, Problem> {
    send_mark(&gateway, message, query, |message_id| {
        MessageContent::Keep {
            keep: KeepContent {
                message_id,
                kept: true,
            },
        }
    })
    .await
}

/// `DELETE …/keep`: lets a kept message disappear again.
pub async fn unkeep_message(
    State(gateway): State<Gateway>,
    message: MessagePath,
    query: QueryParameters,
) -> Result<Response, Problem> {
    send_mark(&gateway, message, query, |message_id| {
        MessageContent::Keep {
            keep: KeepContent {
                message_id,
                kept: false,
            },
        }
    })
    .await
}

/// Sends a pin or keep, which are messages of their own because everyone in the chat sees them.
async fn send_mark(
    gateway: &Gateway,
    message: MessagePath,
    mut query: QueryParameters,
    mark: impl FnOnce(String) -> MessageContent,
) -> Result<Response, Problem> {
    let chat = query.optional_text("chat");
    let wait = read_wait(query)?;
    let life = gateway.current_life(&message.session)?;
    let chat = find_markable(gateway, &life, &message, chat.as_deref())
        .await?
        .0;
    let MessagePath { session, id } = message;
    accept_message(
        gateway,
        session,
        life,
        MessageRequest::from_message(chat, Message::new(mark(id))),
        None,
        wait,
    )
    .await
}

/// Finds a message that phones show in the chat, so that it can be marked.
pub(in crate::http) async fn find_markable(
    gateway: &Gateway,
    life: &Life,
    message: &MessagePath,
    chat: Option<&str>,
) -> Result<(ChatId, QuotedMessage), Problem> {
    let (chat, quoted) = find_message(gateway, life, message, chat).await?;
    refuse_status_or_post(&chat)?;
    match quoted
        .message
        .as_ref()
        .map(|message| &message.content)
        .filter(|content| !content.is_standalone())
    {
        Some(content) => Err(Problem::invalid_field(
            "id",
            format!(
                "names a message of type {}, which is not a message of its own",
                content.kind()
            ),
        )),
        None => Ok((chat, quoted)),
    }
}

/// `PUT …/star`: stars a message for the account alone, on all of its devices.
pub async fn star_message(
    State(gateway): State<Gateway>,
    message: MessagePath,
    query: QueryParameters,
) -> Result<StatusCode, Problem> {
    set_starred(&gateway, &message, query, true).await
}

/// `DELETE …/star`: removes the star.
pub async fn unstar_message(
    State(gateway): State<Gateway>,
    message: MessagePath,
    query: QueryParameters,
) -> Result<StatusCode, Problem> {
    set_starred(&gateway, &message, query, false).await
}

async fn set_starred(
    gateway: &Gateway,
    message: &MessagePath,
    mut query: QueryParameters,
    starred: bool,
) -> Result<StatusCode, Problem> {
    let chat = query.optional_text("chat");
    query.finish()?;
    let life = gateway.current_life(&message.session)?;
    let (chat, quoted) = find_markable(gateway, &life, message, chat.as_deref()).await?;
    let MessagePath { session, id } = message;
    gateway
        .sessions
        .online(session)?
        .set_starred(&chat, id, quoted.author.as_deref(), starred)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
