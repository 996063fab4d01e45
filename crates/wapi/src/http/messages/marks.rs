//! `/v1/sessions/{session}/messages/{id}/pin`, `…/keep` and `…/star`: pinning, keeping and starring
//! a sent or received message.

use axum::extract::State;
use axum::http::StatusCode;
use axum::response::Response;

use super::body::Asked;
use super::changes::{find, not_status};
use super::{NamedMessage, accept, patience};
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::extract::FieldsOrNothing;
use crate::http::query::Query;
use crate::message::{ChatId, Content, Keep, Message, Pin};
use crate::store::{Life, Quoted};

/// A week, the default of phones.
const USUAL_PIN: u32 = Pin::DURATIONS[1];

/// `PUT …/pin {duration?}`: pins a message at the top of the chat for everyone in it.
pub async fn pin(
    State(gateway): State<Gateway>,
    message: NamedMessage,
    query: Query,
    FieldsOrNothing(mut fields): FieldsOrNothing,
) -> Result<Response, Problem> {
    let longest = u64::from(Pin::DURATIONS[2]);
    let duration = fields
        .optional_number("duration", 1..=longest)
        .and_then(|seconds| u32::try_from(seconds).ok());
    if duration.is_some_and(|seconds| !Pin::DURATIONS.contains(&seconds)) {
        fields.refuse(
            "duration",
            "must be 86400 (a day), 604800 (a week) or 2592000 (30 days)",
        );
    }
    fields.refuse_unknown();
    fields.done(Some(()))?;
    let pin = |message_id| Content::Pin {
        pin: Pin {
            message_id,
            duration: duration.or(Some(USUAL_PIN)),
        },
    };
    marked(&gateway, message, query, pin).await
}

/// `DELETE …/pin`: unpins a message.
pub async fn unpin(
    State(gateway): State<Gateway>,
    message: NamedMessage,
    query: Query,
) -> Result<Response, Problem> {
    marked(&gateway, message, query, |message_id| Content::Pin {
        pin: Pin {
            message_id,
            duration: None,
        },
    })
    .await
}

/// `PUT …/keep`: keeps a message in a chat with disappearing messages.
pub async fn keep(
    State(gateway): State<Gateway>,
    message: NamedMessage,
    query: Query,
) -> Result<Response, Problem> {
    marked(&gateway, message, query, |message_id| Content::Keep {
        keep: Keep {
            message_id,
            kept: true,
        },
    })
    .await
}

/// `DELETE …/keep`: lets a kept message disappear again.
pub async fn unkeep(
    State(gateway): State<Gateway>,
    message: NamedMessage,
    query: Query,
) -> Result<Response, Problem> {
    marked(&gateway, message, query, |message_id| Content::Keep {
        keep: Keep {
            message_id,
            kept: false,
        },
    })
    .await
}

/// Sends a pin or keep, which are messages of their own because everyone in the chat sees them.
async fn marked(
    gateway: &Gateway,
    message: NamedMessage,
    mut query: Query,
    mark: impl FnOnce(String) -> Content,
) -> Result<Response, Problem> {
    let chat = query.text("chat");
    let wait = patience(query)?;
    let life = gateway.life(&message.session)?;
    let chat = markable(gateway, &life, &message, chat.as_deref()).await?.0;
    let NamedMessage { session, id } = message;
    accept(
        gateway,
        session,
        life,
        Asked::about(chat, Message::new(mark(id))),
        None,
        wait,
    )
    .await
}

/// Finds a message that phones show in the chat, so that it can be marked.
async fn markable(
    gateway: &Gateway,
    life: &Life,
    message: &NamedMessage,
    chat: Option<&str>,
) -> Result<(ChatId, Quoted), Problem> {
    let (chat, quoted) = find(gateway, life, message, chat).await?;
    not_status(&chat)?;
    match quoted
        .message
        .as_ref()
        .map(|message| &message.content)
        .filter(|content| !content.stands_alone())
    {
        Some(content) => Err(Problem::field(
            "id",
            format!(
                "names a message of type {}, which is none of its own",
                content.kind()
            ),
        )),
        None => Ok((chat, quoted)),
    }
}

/// `PUT …/star`: stars a message for the account alone, on all of its devices.
pub async fn star(
    State(gateway): State<Gateway>,
    message: NamedMessage,
    query: Query,
) -> Result<StatusCode, Problem> {
    starred(&gateway, &message, query, true).await
}

/// `DELETE …/star`: removes the star.
pub async fn unstar(
    State(gateway): State<Gateway>,
    message: NamedMessage,
    query: Query,
) -> Result<StatusCode, Problem> {
    starred(&gateway, &message, query, false).await
}

async fn starred(
    gateway: &Gateway,
    message: &NamedMessage,
    mut query: Query,
    starred: bool,
) -> Result<StatusCode, Problem> {
    let chat = query.text("chat");
    query.done()?;
    let life = gateway.life(&message.session)?;
    let (chat, quoted) = markable(gateway, &life, message, chat.as_deref()).await?;
    let NamedMessage { session, id } = message;
    gateway
        .sessions
        .star(session, &chat, id, quoted.author.as_deref(), starred)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}
