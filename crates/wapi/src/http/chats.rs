//! `/v1/sessions/{session}/chats/{chat}`: actions in a chat other than sending.

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::StatusCode;
use axum::http::request::Parts;
use jiff::Timestamp;
use serde::Serialize;

use super::Gateway;
use super::error::Problem;
use super::extract::{Fields, FieldsOrNothing, NOT_TEXT};
use crate::event::{ChatChange, FOREVER, Typing};
use crate::message::{ChatId, ChatTimer};
use crate::sessions::SessionName;

/// How many messages were marked as read.
#[derive(Debug, Serialize)]
pub(super) struct MarkedRead {
    read: usize,
}

/// `POST …/chats/{chat}/read {up_to?}`: marks as read the messages received so far, or up to
/// `up_to`, that were not marked before.
pub(super) async fn read(
    State(gateway): State<Gateway>,
    NamedChat { session, chat }: NamedChat,
    FieldsOrNothing(mut fields): FieldsOrNothing,
) -> Result<Json<MarkedRead>, Problem> {
    let up_to = fields.optional_text("up_to");
    fields.refuse_unknown();
    fields.done(Some(()))?;
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
pub(super) async fn change(
    State(gateway): State<Gateway>,
    NamedChat { session, chat }: NamedChat,
    mut fields: Fields,
) -> Result<StatusCode, Problem> {
    not_newsletter(&chat)?;
    let now = gateway.clock.now();
    let muted_until =
        fields
            .is_given("muted_until")
            .then(|| match fields.optional_text("muted_until") {
                Some(until) => fields.judged("muted_until", muted(&until, now)),
                None => None,
            });
    let change = ChatChange {
        archived: fields.optional_flag("archived"),
        pinned: fields.optional_flag("pinned"),
        muted_until,
        unread: fields.optional_flag("unread"),
        ..ChatChange::default()
    };
    let timer = disappearing(&mut fields);
    fields.refuse_unknown();
    let change = fields.done(Some(change))?;
    let is_change = change != ChatChange::default();
    if !is_change && timer.is_none() {
        return Err(Problem::field("archived", NOTHING.to_owned()));
    }
    if is_change {
        gateway
            .sessions
            .change_chat(&session, &chat, &change)
            .await?;
    }
    if let Some(seconds) = timer {
        gateway.sessions.set_timer(&session, &chat, seconds).await?;
    }
    Ok(StatusCode::NO_CONTENT)
}

/// Reads the seconds after which messages disappear.
fn disappearing(fields: &mut Fields) -> Option<u32> {
    let seconds = fields.optional_number("disappearing", 0..=u64::from(u32::MAX))?;
    let chosen = ChatTimer::CHOICES
        .into_iter()
        .find(|choice| u64::from(*choice) == seconds);
    if chosen.is_none() {
        fields.refuse(
            "disappearing",
            "must be 0 (off), 86400 (a day), 604800 (a week) or 7776000 (90 days)",
        );
    }
    chosen
}

/// The value of a mute that does not expire.
pub(super) const MUTED_FOREVER: &str = "forever";

fn muted(until: &str, now: Timestamp) -> Result<Timestamp, String> {
    const WRONG: &str = "must be a time such as 2026-12-01T09:00:00Z, `forever`, or null";
    if until == MUTED_FOREVER {
        return Ok(FOREVER);
    }
    let until: Timestamp = until.parse().map_err(|_| WRONG.to_owned())?;
    if until > now {
        Ok(until.min(FOREVER))
    } else {
        Err("must be a time to come; null lets it sound again".to_owned())
    }
}

/// `POST …/chats/{chat}/typing {state}`: shows the account as typing, recording, or neither.
pub(super) async fn typing(
    State(gateway): State<Gateway>,
    NamedChat { session, chat }: NamedChat,
    mut fields: Fields,
) -> Result<StatusCode, Problem> {
    not_newsletter(&chat)?;
    let state = fields.parsed("state", Typing::parse);
    fields.refuse_unknown();
    let state = fields.done(state)?;
    gateway.sessions.show_typing(&session, &chat, state).await?;
    Ok(StatusCode::NO_CONTENT)
}

/// Refuses a newsletter: it is in no list of chats, and nobody sees typing there.
fn not_newsletter(chat: &ChatId) -> Result<(), Problem> {
    match chat {
        ChatId::Newsletter(_) => Err(Problem::field(
            "chat",
            "is a newsletter, which can be read and posted in, and that is all",
        )),
        _ => Ok(()),
    }
}

/// The session and chat in a path.
pub(super) struct NamedChat {
    pub session: SessionName,
    pub chat: ChatId,
}

impl<S: Send + Sync> FromRequestParts<S> for NamedChat {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_text = |_| Problem::field("session", NOT_TEXT);
        let Path((session, chat)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(not_text)?;
        let session = SessionName::parse(&session)
            .map_err(|error| Problem::field("session", error.to_string()))?;
        let chat =
            ChatId::parse(&chat).map_err(|error| Problem::field("chat", error.to_string()))?;
        Ok(Self { session, chat })
    }
}
