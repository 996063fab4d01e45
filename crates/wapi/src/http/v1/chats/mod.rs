//! `/v1/sessions/{session}/chats/{chat}`: actions in a chat other than sending.

pub mod labels;
pub mod older_messages;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use jiff::Timestamp;
use serde::Serialize;

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::{JsonFields, NOT_TEXT, OptionalJson};
use crate::model::event::{ChatChange, FOREVER, TypingState};
use crate::model::message::{ChatId, ChatTimer};
use crate::model::session_name::SessionName;

/// How many messages were marked as read.
#[derive(Debug, Serialize)]
pub(in crate::http) struct MarkedRead {
    read: usize,
}

/// `POST …/chats/{chat}/read {up_to?}`: marks as read the messages received so far, or up to
/// `up_to`, that were not marked before.
pub(in crate::http) async fn mark_chat_read(
    State(gateway): State<Gateway>,
    ChatPath { session, chat }: ChatPath,
    OptionalJson(mut fields): OptionalJson,
) -> Result<Json<MarkedRead>, Problem> {
    let up_to = fields.optional_text("up_to");
    fields.refuse_unknown();
    fields.finish(Some(()))?;
    let read = gateway
        .sessions
        .mark_read(&session, &chat, up_to.as_deref())
        .await?;
    Ok(Json(MarkedRead { read }))
}

/// Problem detail of a request that changes nothing.
const NOTHING: &str = "nothing is changed; give at least one of archived, pinned, muted_until, unread and disappearing";

/// `PATCH …/chats/{chat} {archived?, pinned?, muted_until?, unread?, disappearing?}`: changes a
/// chat's state; at least one field is required.
pub(in crate::http) async fn change_chat(
    State(gateway): State<Gateway>,
    ChatPath { session, chat }: ChatPath,
    mut fields: JsonFields,
) -> Result<StatusCode, Problem> {
    refuse_newsletter(&chat)?;
    let now = gateway.clock.now();
    let muted_until =
        fields
            .has_field("muted_until")
            .then(|| match fields.optional_text("muted_until") {
                Some(until) => fields.ok_or_record("muted_until", parse_muted_until(&until, now)),
                None => None,
            });
    let change = ChatChange {
        archived: fields.optional_flag("archived"),
        pinned: fields.optional_flag("pinned"),
        muted_until,
        unread: fields.optional_flag("unread"),
        ..ChatChange::default()
    };
    let timer = read_chat_timer(&mut fields);
    fields.refuse_unknown();
    let change = fields.finish(Some(change))?;
    let is_change = change != ChatChange::default();
    if !is_change && timer.is_none() {
        return Err(Problem::invalid_field("archived", NOTHING.to_owned()));
    }
    if is_change {
        gateway
            .sessions
            .online(&session)?
            .change_chat(&chat, &change)
            .await?;
    }
    if let Some(seconds) = timer {
        gateway.sessions.set_timer(&session, &chat, seconds).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Reads the seconds after which messages disappear.
pub(in crate::http) fn read_chat_timer(fields: &mut JsonFields) -> Option<u32> {
    let seconds = fields.optional_number("disappearing", 0..=u64::from(u32::MAX))?;
    let chosen = ChatTimer::CHOICES
        .into_iter()
        .find(|choice| u64::from(*choice) == seconds);
    if chosen.is_none() {
        fields.refuse_field(
            "disappearing",
            "must be 0 (off), 86400 (a day), 604800 (a week) or 7776000 (90 days)",
        );
    }
    chosen
}

/// The value of a mute that does not expire.
pub(in crate::http) const MUTED_FOREVER: &str = "forever";

fn parse_muted_until(until: &str, now: Timestamp) -> Result<Timestamp, String> {
    const WRONG: &str = "must be a time such as 2026-12-01T09:00:00Z, `forever`, or null";
    if until == MUTED_FOREVER {
        return Ok(FOREVER);
    }
    let until: Timestamp = until.parse().map_err(|_| WRONG.to_owned())?;
    if until > now {
        Ok(until.min(FOREVER))
    } else {
        Err("must be a time in the future, or null to unmute".to_owned())
    }
}

/// `POST …/chats/{chat}/typing {state}`: shows the account as typing, recording, or neither.
pub(in crate::http) async fn set_typing(
    State(gateway): State<Gateway>,
    ChatPath { session, chat }: ChatPath,
    mut fields: JsonFields,
) -> Result<StatusCode, Problem> {
    refuse_newsletter(&chat)?;
    let state = fields.parse_required("state", TypingState::parse);
    fields.refuse_unknown();
    let state = fields.finish(state)?;
    gateway
        .sessions
        .online(&session)?
        .send_chat_state(&chat, state)
        .await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Refuses a newsletter: it is in no list of chats, and nobody sees typing there.
fn refuse_newsletter(chat: &ChatId) -> Result<(), Problem> {
    match chat {
        ChatId::Newsletter(_) => Err(Problem::invalid_field(
            "chat",
            "is a newsletter, where only reading and posting are possible",
        )),
        _ => Ok(()),
    }
}

fn parse_chat(chat: &str) -> Result<ChatId, Problem> {
    ChatId::parse(chat).map_err(|error| Problem::invalid_field("chat", error.to_string()))
}

/// The session and chat in a path.
pub(in crate::http) struct ChatPath {
    pub session: SessionName,
    pub chat: ChatId,
}

impl<S: Send + Sync> FromRequestParts<S> for ChatPath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_text = |_| Problem::invalid_field("session", NOT_TEXT);
        let Path((session, chat)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(not_text)?;
        let session = SessionName::parse(&session)
            .map_err(|error| Problem::invalid_field("session", error.to_string()))?;
        let chat = parse_chat(&chat)?;
        Ok(Self { session, chat })
    }
}
