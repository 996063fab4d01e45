//! `/v1/sessions/{session}/messages`: sending messages, once each, and reading their status.

mod albums;
pub mod ask_again;
pub mod batch;
mod body;
mod contacts;
pub(in crate::http) mod content;
pub mod edit_delete_forward;
#[cfg(any(test, fuzzing))]
pub mod fuzzing;
mod interactive;
mod newsletter;
pub mod pin_keep_star;
mod polls;
pub mod products;
mod reactions;
mod responses;
pub mod status;

use std::time::Duration;

use axum::Json;
use axum::extract::{FromRequestParts, Path, State};
use axum::http::request::Parts;
use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode};
use axum::response::{IntoResponse, Response};

use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::error::Problem;
use crate::http::request::extract::{JsonFields, SessionPath};
use crate::http::request::idempotency::{UnboundKey, read_idempotency_key};
use crate::http::request::query::QueryParameters;
use crate::model::message::{ChatId, Message};
use crate::model::session_name::SessionName;
use crate::store::{
    AcceptOutcome, CANCELLED, IdempotencyKey, Life, QueuedMessage, SendOutcome, SendRequest,
    SentMessage, StoreError,
};

pub(in crate::http) use body::EVERYONE;
pub use content::KINDS;

use body::MessageRequest;
use responses::{MessageInfo, SendAnswer};

/// How long a caller waits for WhatsApp: default and maximum, in seconds.
const WAIT: (u64, u64) = (10, 60);
/// Set on answers to a repeated request with the same key.
const REPLAYED_HEADER: HeaderName = HeaderName::from_static("idempotent-replayed");

/// `POST …/messages?wait=10`: sends a message. Returns 200 if WhatsApp accepts it within `wait`
/// seconds, and 202 while it is on its way.
pub async fn send_message(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    caller: Caller,
    query: QueryParameters,
    headers: HeaderMap,
    fields: JsonFields,
) -> Result<Response, Problem> {
    let route = format!("POST /v1/sessions/{}/messages", session.url_segment());
    let (wait, key) = (
        read_wait(query)?,
        read_idempotency_key(&caller, &headers, route, &fields)?,
    );
    let request = MessageRequest::read(fields)?;
    let life = gateway.current_life(&session)?;
    accept_message(&gateway, session, life, request, key, wait).await
}

/// Sends a message with a file that comes with the request. `request` names the file by its hash;
/// `message` stores it, and names it by its id. A repeated request stores nothing.
pub(in crate::http) async fn send_with_file(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    caller: Caller,
    headers: HeaderMap,
    request: &JsonFields,
    message: impl Future<Output = Result<JsonFields, Problem>>,
) -> Result<Response, Problem> {
    let route = format!(
        "POST /v1/sessions/{}/messages with a file",
        session.url_segment()
    );
    let key = read_idempotency_key(&caller, &headers, route, request)?;
    let life = gateway.current_life(&session)?;
    let accepting = MessageAcceptor {
        gateway: &gateway,
        session: &session,
        life: &life,
    };
    let known = key.clone().map(|key| key.bind_life(&life));
    let repeated = respond_repeated(&accepting, known.as_ref(), None, Duration::ZERO);
    if let Some(answer) = repeated.await? {
        return Ok(answer);
    }
    let message = MessageRequest::read(message.await?)?;
    accept_message(&gateway, session, life, message, key, Duration::ZERO).await
}

/// Reads how long a caller waits for WhatsApp; the last parameter read from the query string.
fn read_wait(mut query: QueryParameters) -> Result<Duration, Problem> {
    let wait = Duration::from_secs(query.number_or("wait", WAIT.0, WAIT.1));
    query.finish()?;
    Ok(wait)
}

/// Queues a message, and answers with its state after `wait`.
async fn accept_message(
    gateway: &Gateway,
    session: SessionName,
    life: Life,
    request: MessageRequest,
    key: Option<UnboundKey>,
    wait: Duration,
) -> Result<Response, Problem> {
    let key = key.map(|key| key.bind_life(&life));
    let (messages, replayed) = MessageAcceptor {
        gateway,
        session: &session,
        life: &life,
    }
    .accept_all(&request, key, wait)
    .await?;
    respond_accepted(gateway, &request, &session, messages, replayed).await
}

/// The session for which messages are accepted.
struct MessageAcceptor<'a> {
    gateway: &'a Gateway,
    session: &'a SessionName,
    life: &'a Life,
}

impl MessageAcceptor<'_> {
    /// Queues the requested message, or all messages of an album. Returns their state after `wait`,
    /// and whether they were accepted before.
    async fn accept_all(
        &self,
        request: &MessageRequest,
        key: Option<IdempotencyKey>,
        wait: Duration,
    ) -> Result<(Vec<SentMessage>, bool), Problem> {
        if !request.album_items.is_empty() {
            return albums::accept_album(self, request, key, wait).await;
        }
        self.accept_one(request, key, wait)
            .await
            .map(|(message, replayed)| (vec![message], replayed))
    }

    /// Queues one message. Returns its state after `wait`, and whether it was accepted before.
    async fn accept_one(
        &self,
        request: &MessageRequest,
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
                .outbox()
                .find_accepted(key)
                .await
                .map_err(message_problem)?
        {
            let AcceptOutcome::Repeated(id) = before else {
                return Err(Problem::IdempotencyKeyReused);
            };
            return Ok((self.reload_message(&id, wait).await?, true));
        }
        request.check_files(&gateway.media, life).await?;
        let (send_at, expires_at) = request.send_window(gateway.clock.now())?;
        let request = SendRequest {
            session: (*life).clone(),
            to: request.to.clone(),
            message: request.message.clone(),
            send_at,
            expires_at,
            key,
        };
        let request = gateway.sessions.resolve_send(session, request).await?;
        let (to, content) = (&request.to, &request.message.content);
        reactions::check_reaction_target(gateway, session, life, to, content).await?;
        polls::check_vote(content, to, &gateway.store, life).await?;
        let message = request.message.clone();
        match gateway.sessions.send(session, request).await? {
            (AcceptOutcome::New(accepted), outcome) => {
                // The outcome of a message scheduled beyond the wait cannot be waited for.
                let is_for_later = send_at.is_some_and(|at| at > gateway.clock.now() + wait);
                let outcome = if wait.is_zero() || is_for_later {
                    None
                } else {
                    gateway.sessions.wait_for_outcome(outcome, wait).await
                };
                Ok((describe_accepted(&accepted, message, outcome), false))
            }
            (AcceptOutcome::Repeated(id), _) => Ok((self.reload_message(&id, wait).await?, true)),
            (AcceptOutcome::KeyTaken, _) => Err(Problem::IdempotencyKeyReused),
        }
    }

    /// Repeats the answer of the first request, with the message's present state.
    async fn reload_message(&self, id: &str, wait: Duration) -> Result<SentMessage, Problem> {
        let Self {
            gateway,
            session,
            life,
        } = self;
        if !wait.is_zero()
            && let Some(outcome) = gateway.sessions.watch_outcome(session, id)
        {
            gateway.sessions.wait_for_outcome(outcome, wait).await;
        }
        let found = gateway
            .store
            .outbox()
            .find_sent_message(life, id)
            .await
            .map_err(message_problem)?;
        found.ok_or(Problem::NoMessage)
    }
}

/// `GET …/messages/{id}`: shows a message sent through the gateway, and its status.
pub async fn show_message(
    State(gateway): State<Gateway>,
    message: MessagePath,
) -> Result<Response, Problem> {
    let MessagePath { session, id } = message;
    let found = gateway
        .store
        .outbox()
        .find_sent_message(&gateway.current_life(&session)?, &id)
        .await
        .map_err(message_problem)?;
    let found = found.ok_or(Problem::NoMessage)?;
    let hold = gateway.sessions.send_hold(&session, &id);
    Ok(Json(MessageInfo::new(session, found).with_hold(hold)).into_response())
}

/// Answers a repeated request with the same key with the present state of its message; `None` if
/// the key is new. `input` is the chat as the caller wrote it, if the request names one.
async fn respond_repeated(
    accepting: &MessageAcceptor<'_>,
    key: Option<&IdempotencyKey>,
    input: Option<&str>,
    wait: Duration,
) -> Result<Option<Response>, Problem> {
    let Some(key) = key else { return Ok(None) };
    let id = match accepting
        .gateway
        .store
        .outbox()
        .find_accepted(key)
        .await
        .map_err(message_problem)?
    {
        None => return Ok(None),
        Some(AcceptOutcome::Repeated(id)) => id,
        Some(_) => return Err(Problem::IdempotencyKeyReused),
    };
    respond_again(accepting, &id, input, wait).await.map(Some)
}

/// Answers about an earlier message.
async fn respond_again(
    accepting: &MessageAcceptor<'_>,
    id: &str,
    input: Option<&str>,
    wait: Duration,
) -> Result<Response, Problem> {
    let message = accepting.reload_message(id, wait).await?;
    let to = ChatId::parse_with_status(&message.chat).map_err(|_| Problem::NoMessage)?;
    let input = input.map_or_else(|| to.to_string(), str::to_owned);
    let request = MessageRequest {
        input,
        ..MessageRequest::from_message(to, message.message.clone())
    };
    respond_accepted(
        accepting.gateway,
        &request,
        accepting.session,
        vec![message],
        true,
    )
    .await
}

/// Answers about a message that was changed before it left.
async fn respond_changed(
    gateway: &Gateway,
    session: &SessionName,
    life: &Life,
    (id, status): (&str, StatusCode),
    request: &MessageRequest,
) -> Result<Response, Problem> {
    let found = gateway
        .store
        .outbox()
        .find_sent_message(life, id)
        .await
        .map_err(message_problem)?;
    let found = found.ok_or(Problem::NoMessage)?;
    Ok((
        status,
        Json(build_answer(gateway, request, session, vec![found]).await),
    )
        .into_response())
}

/// Returns 200 once WhatsApp has accepted all messages, else 202. The failure of a single message
/// is a problem.
async fn respond_accepted(
    gateway: &Gateway,
    request: &MessageRequest,
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
        return Err(Problem::NotSent {
            failure: failure.clone(),
            detail: format!("{} (message {id})", failure.detail()),
        });
    }
    let all_sent = messages.iter().all(|message| message.sent_at.is_some());
    let status = if all_sent {
        StatusCode::OK
    } else {
        StatusCode::ACCEPTED
    };
    let answer = build_answer(gateway, request, session, messages).await;
    Ok(mark_replayed(
        (status, Json(answer)).into_response(),
        replayed,
    ))
}

/// Builds the answer: the messages and their recipient.
async fn build_answer(
    gateway: &Gateway,
    request: &MessageRequest,
    session: &SessionName,
    messages: Vec<SentMessage>,
) -> SendAnswer {
    let chat = messages
        .first()
        .and_then(|message| ChatId::parse(&message.chat).ok());
    let number = match chat {
        Some(chat) => gateway.sessions.phone_number(session, &chat).await,
        None => None,
    };
    SendAnswer::new(request, message_infos(gateway, session, messages), number)
}

fn message_infos(
    gateway: &Gateway,
    session: &SessionName,
    messages: Vec<SentMessage>,
) -> Vec<MessageInfo> {
    let info = |message: SentMessage| {
        let hold = gateway.sessions.send_hold(session, &message.id);
        MessageInfo::new(session.clone(), message).with_hold(hold)
    };
    messages.into_iter().map(info).collect()
}

/// Adds the header that marks an answer to a repeated request.
fn mark_replayed(mut response: Response, replayed: bool) -> Response {
    if replayed {
        response
            .headers_mut()
            .insert(REPLAYED_HEADER, HeaderValue::from_static("true"));
    }
    response
}

/// Builds a message's state without reading it back from the store.
fn describe_accepted(
    accepted: &QueuedMessage,
    message: Message,
    outcome: Option<SendOutcome>,
) -> SentMessage {
    let (status, sent_at, failure) = match outcome {
        Some(SendOutcome::Sent { at }) => ("sent", Some(at), None),
        Some(SendOutcome::Failed(failure)) => ("failed", None, Some(failure)),
        Some(SendOutcome::Cancelled) => (CANCELLED, None, None),
        Some(SendOutcome::Unconfirmed | SendOutcome::LeftUnconfirmed) => ("unknown", None, None),
        None => ("queued", None, None),
    };
    SentMessage {
        seq: accepted.seq,
        id: accepted.id.clone(),
        chat: accepted.to.to_string(),
        message,
        status: status.to_owned(),
        failure,
        accepted_at: accepted.accepted_at,
        send_at: accepted.send_at,
        expires_at: accepted.expires_at,
        attempted_at: None,
        sent_at,
        settled_at: None,
        edited_at: None,
        deleted_at: None,
        recipients: Vec::new(),
    }
}

pub(in crate::http::v1) fn message_problem(error: StoreError) -> Problem {
    tracing::error!(%error, "messages cannot be read");
    Problem::Internal
}

/// The session and message in a path.
pub struct MessagePath {
    pub(in crate::http) session: SessionName,
    pub(in crate::http) id: String,
}

impl<S: Send + Sync> FromRequestParts<S> for MessagePath {
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let not_text = |_| Problem::invalid_field("session", "is not UTF-8 after percent-decoding");
        let Path((session, id)) = Path::<(String, String)>::from_request_parts(parts, state)
            .await
            .map_err(not_text)?;
        let session = SessionName::parse(&session)
            .map_err(|error| Problem::invalid_field("session", error.to_string()))?;
        Ok(Self { session, id })
    }
}

impl MessagePath {
    /// The path that idempotency keys of requests about this message are stored under.
    fn route_path(&self) -> String {
        format!(
            "/v1/sessions/{}/messages/{}",
            self.session.url_segment(),
            self.id
        )
    }
}
