//! `/v1/sessions/{session}/messages`: sending messages, once each, and reading their status.

mod albums;
pub mod batch;
mod body;
pub mod changes;
mod contacts;
pub(super) mod content;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod interactive;
pub mod marks;
mod newsletter;
mod polls;
pub mod products;
mod reactions;
mod shown;
mod status;
pub mod views;

use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};
use sha2::{Digest, Sha256};

use super::Gateway;
use super::error::Problem;
use super::extract::{Fields, Named};
use super::query::Query;
use crate::event::Failure;
use crate::keys::Caller;
use crate::message::{ChatId, Message};
use crate::sessions::{Reply, SessionName, Wish};
use crate::store::{
    Acceptance, Accepted, CANCELLED, IdempotencyKey, Life, SentMessage, StoreError, Verdict,
};

pub use body::KINDS;

use body::Asked;
use shown::{Answer, MessageInfo};

/// How long a caller waits for WhatsApp: default and maximum, in seconds.
const WAIT: (u64, u64) = (10, 60);
const LONGEST_KEY: usize = 255;
const IDEMPOTENCY_KEY: &str = "idempotency-key";
/// Set on answers to a repeated request with the same key.
const REPLAYED: HeaderName = HeaderName::from_static("idempotent-replayed");

/// `POST …/messages?wait=10`: sends a message. Returns 200 if WhatsApp accepts it within `wait`
/// seconds, and 202 while it is on its way.
pub async fn send(
    State(gateway): State<Gateway>,
    Named(session): Named,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Problem> {
    let route = format!("POST /v1/sessions/{}/messages", session.url_segment());
    let (wait, key) = (
        patience(query)?,
        idempotency_key(&caller, &headers, route, &fields)?,
    );
    let asked = Asked::read(fields)?;
    let life = gateway.life(&session)?;
    accept(&gateway, session, life, asked, key, wait).await
}

/// Reads how long a caller waits for WhatsApp; the last parameter read from the query string.
fn patience(mut query: Query) -> Result<Duration, Problem> {
    let wait = Duration::from_secs(query.number("wait", WAIT.0, WAIT.1));
    query.done()?;
    Ok(wait)
}

/// Queues a message, and answers with its state after `wait`.
async fn accept(
    gateway: &Gateway,
    session: SessionName,
    life: Life,
    asked: Asked,
    key: Option<Key>,
    wait: Duration,
) -> Result<Response, Problem> {
    let key = key.map(|key| key.of(&life));
    let (messages, replayed) = Accepting {
        gateway,
        session: &session,
        life: &life,
    }
    .all(&asked, key, wait)
    .await?;
    answer(gateway, &asked, &session, messages, replayed).await
}

/// The session for which messages are accepted.
struct Accepting<'a> {
    gateway: &'a Gateway,
    session: &'a SessionName,
    life: &'a Life,
}

impl Accepting<'_> {
    /// Queues the requested message, or all messages of an album. Returns their state after `wait`,
    /// and whether they were accepted before.
    async fn all(
        &self,
        asked: &Asked,
        key: Option<IdempotencyKey>,
        wait: Duration,
    ) -> Result<(Vec<SentMessage>, bool), Problem> {
        if !asked.items.is_empty() {
            return albums::accept(self, asked, key, wait).await;
        }
        self.one(asked, key, wait)
            .await
            .map(|(message, replayed)| (vec![message], replayed))
    }

    /// Queues one message. Returns its state after `wait`, and whether it was accepted before.
    async fn one(
        &self,
        asked: &Asked,
        key: Option<IdempotencyKey>,
        wait: Duration,
    ) -> Result<(SentMessage, bool), Problem> {
        let Self {
            gateway,
            session,
            life,
        } = self;
        if let Some(key) = &key
            && let Some(before) = gateway
                .store
                .accepted_before(key)
                .await
                .map_err(unreadable)?
        {
            let Acceptance::Repeated(id) = before else {
                return Err(Problem::KeyTaken);
            };
            return Ok((self.again(&id, wait).await?, true));
        }
        asked.check_file(&gateway.media, life).await?;
        let (send_at, expires_at) = asked.times(gateway.clock.now())?;
        let life = (*life).clone();
        let wish = Wish {
            life,
            to: asked.to.clone(),
            message: asked.message.clone(),
            send_at,
            expires_at,
            key,
        };
        let wish = gateway.sessions.settle(session, wish).await?;
        let (to, message) = (wish.wish().to.clone(), wish.wish().message.clone());
        reactions::is_known(gateway, session, self.life, &to, &message.content).await?;
        polls::check(&message.content, &to, &gateway.store, self.life).await?;
        match gateway.sessions.send(session, wish).await? {
            Reply::Accepted(accepted, verdict) => {
                // The outcome of a message scheduled beyond the wait cannot be waited for.
                let is_for_later = send_at.is_some_and(|at| at > gateway.clock.now() + wait);
                let wait = if is_for_later { Duration::ZERO } else { wait };
                let verdict = if wait.is_zero() {
                    None
                } else {
                    gateway.sessions.verdict(verdict, wait).await
                };
                Ok((
                    accepted_now(&to, message, accepted, (send_at, expires_at), verdict),
                    false,
                ))
            }
            Reply::Repeated(id) => Ok((self.again(&id, wait).await?, true)),
            Reply::KeyTaken => Err(Problem::KeyTaken),
        }
    }

    /// Repeats the answer of the first request, with the message's present state.
    async fn again(&self, id: &str, wait: Duration) -> Result<SentMessage, Problem> {
        let Self {
            gateway,
            session,
            life,
        } = self;
        if !wait.is_zero()
            && let Some(verdict) = gateway.sessions.verdict_on(session, id)
        {
            gateway.sessions.verdict(verdict, wait).await;
        }
        let found = gateway
            .store
            .sent_message(life, id)
            .await
            .map_err(unreadable)?;
        found.ok_or(Problem::NoMessage)
    }
}

/// `GET …/messages/{id}`: shows a message sent through the gateway, and its status.
pub async fn show(
    State(gateway): State<Gateway>,
    message: NamedMessage,
) -> Result<Response, Problem> {
    let NamedMessage { session, id } = message;
    let found = gateway
        .store
        .sent_message(&gateway.life(&session)?, &id)
        .await
        .map_err(unreadable)?;
    Ok(Json(MessageInfo::new(session, found.ok_or(Problem::NoMessage)?)).into_response())
}

/// Answers a repeated request with the same key with the present state of its message; `None` if
/// the key is new. `input` is the chat as the caller wrote it, if the request names one.
async fn repeated(
    accepting: &Accepting<'_>,
    key: Option<&IdempotencyKey>,
    input: Option<&str>,
    wait: Duration,
) -> Result<Option<Response>, Problem> {
    let Some(key) = key else { return Ok(None) };
    let id = match accepting
        .gateway
        .store
        .accepted_before(key)
        .await
        .map_err(unreadable)?
    {
        None => return Ok(None),
        Some(Acceptance::Repeated(id)) => id,
        Some(_) => return Err(Problem::KeyTaken),
    };
    again(accepting, &id, input, wait).await.map(Some)
}

/// Answers about an earlier message.
async fn again(
    accepting: &Accepting<'_>,
    id: &str,
    input: Option<&str>,
    wait: Duration,
) -> Result<Response, Problem> {
    let message = accepting.again(id, wait).await?;
    let to = ChatId::parse_with_status(&message.chat).map_err(|_| Problem::NoMessage)?;
    let input = input.map_or_else(|| to.to_string(), str::to_owned);
    let asked = Asked {
        input,
        ..Asked::about(to, message.message.clone())
    };
    answer(
        accepting.gateway,
        &asked,
        accepting.session,
        vec![message],
        true,
    )
    .await
}

/// Answers about a message that was changed before it left.
async fn changed(
    gateway: &Gateway,
    session: &SessionName,
    life: &Life,
    (id, status): (&str, StatusCode),
    asked: &Asked,
) -> Result<Response, Problem> {
    let found = gateway
        .store
        .sent_message(life, id)
        .await
        .map_err(unreadable)?;
    let found = found.ok_or(Problem::NoMessage)?;
    Ok((
        status,
        Json(answer_with(gateway, asked, session, vec![found]).await),
    )
        .into_response())
}

/// Returns 200 once WhatsApp has accepted all messages, else 202. The failure of a single message
/// is a problem.
async fn answer(
    gateway: &Gateway,
    asked: &Asked,
    session: &SessionName,
    messages: Vec<SentMessage>,
    replayed: bool,
) -> Result<Response, Problem> {
    if let [
        SentMessage {
            id,
            failure: Some(failure),
            ..
        },
    ] = &messages[..]
    {
        let detail = format!("{} (message {id})", failure.detail);
        return Err(Problem::NotSent(Failure {
            code: failure.code.clone(),
            detail,
        }));
    }
    let all_sent = messages.iter().all(|message| message.sent_at.is_some());
    let status = if all_sent {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    let answer = answer_with(gateway, asked, session, messages).await;
    Ok(marked((status, Json(answer)).into_response(), replayed))
}

/// Builds the answer: the messages and their recipient.
async fn answer_with(
    gateway: &Gateway,
    asked: &Asked,
    session: &SessionName,
    messages: Vec<SentMessage>,
) -> Answer {
    let chat = messages
        .first()
        .and_then(|message| ChatId::parse(&message.chat).ok());
    let number = match chat {
        Some(chat) => gateway.sessions.number_of(session, &chat).await,
        None => None,
    };
    Answer::new(asked, told(session, messages), number)
}

fn told(session: &SessionName, messages: Vec<SentMessage>) -> Vec<MessageInfo> {
    messages
        .into_iter()
        .map(|message| MessageInfo::new(session.clone(), message))
        .collect()
}

/// Adds the header that marks an answer to a repeated request.
fn marked(mut response: Response, replayed: bool) -> Response {
    if replayed {
        response
            .headers_mut()
            .insert(REPLAYED, HeaderValue::from_static("true"));
    }
    response
}

/// Builds a message's state without reading it back from the store.
fn accepted_now(
    to: &ChatId,
    message: Message,
    accepted: Accepted,
    (send_at, expires_at): body::Times,
    verdict: Option<Verdict>,
) -> SentMessage {
    let (status, sent_at, failure) = match verdict {
        Some(Verdict::Sent { at }) => ("sent", Some(at), None),
        Some(Verdict::Failed(failure)) => ("failed", None, Some(failure)),
        Some(Verdict::Cancelled) => (CANCELLED, None, None),
        Some(Verdict::InDoubt | Verdict::LeftInDoubt) => ("unknown", None, None),
        None => ("queued", None, None),
    };
    SentMessage {
        place: accepted.place,
        id: accepted.id,
        chat: to.to_string(),
        message,
        status: status.to_owned(),
        failure,
        accepted_at: accepted.accepted_at,
        send_at,
        expires_at,
        attempted_at: None,
        sent_at,
        settled_at: None,
        edited_at: None,
        deleted_at: None,
        recipients: Vec::new(),
    }
}

/// An idempotency key as received, before its session's life is known.
struct Key {
    caller: String,
    route: String,
    key: String,
    request: String,
}

impl Key {
    fn of(self, life: &Life) -> IdempotencyKey {
        let Self {
            caller,
            route,
            key,
            request,
        } = self;
        IdempotencyKey {
            caller,
            session: life.clone(),
            route,
            key,
            request,
        }
    }
}

fn idempotency_key(
    caller: &Caller,
    headers: &HeaderMap,
    route: String,
    fields: &Fields,
) -> Result<Option<Key>, Problem> {
    let Some(key) = headers.get(IDEMPOTENCY_KEY) else {
        return Ok(None);
    };
    let key = key
        .to_str()
        .ok()
        .filter(|key| !key.is_empty() && key.len() <= LONGEST_KEY);
    let problem = || {
        Problem::field(
            "Idempotency-Key",
            format!("must be 1 to {LONGEST_KEY} visible ASCII characters"),
        )
    };
    Ok(Some(Key {
        caller: caller.id().to_owned(),
        route,
        key: key.ok_or_else(problem)?.to_owned(),
        request: sha256(fields.canonical().as_bytes()),
    }))
}

fn sha256(bytes: &[u8]) -> String {
    crate::ids::hex(&Sha256::digest(bytes))
}

fn unreadable(error: StoreError) -> Problem {
    tracing::error!(%error, "messages cannot be read");
    Problem::Internal
}

/// The session and message in a path.
pub struct NamedMessage {
    session: SessionName,
    id: String,
}

impl<S: Send + Sync> FromRequestParts<S> for NamedMessage {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_text = |_| Problem::field("session", "is not UTF-8 after percent-decoding");
        let Path((session, id)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(not_text)?;
        let session = SessionName::parse(&session)
            .map_err(|error| Problem::field("session", error.to_string()))?;
        Ok(Self { session, id })
    }
}

impl NamedMessage {
    /// The path that idempotency keys of requests about this message are stored under.
    fn route(&self) -> String {
        format!(
            "/v1/sessions/{}/messages/{}",
            self.session.url_segment(),
            self.id
        )
    }
}
