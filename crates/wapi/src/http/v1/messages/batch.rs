//! `POST …/messages/batch`: many messages in one request, each accepted independently.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::body::MessageRequest;
use super::responses::SendAnswer;
use super::{MessageAcceptor, build_answer, mark_replayed, message_problem};
use crate::http::Gateway;
use crate::http::access::api_keys::Caller;
use crate::http::error::{FieldError, Problem, ProblemDocument};
use crate::http::request::extract::{JsonFields, SessionPath};
use crate::http::request::idempotency::read_idempotency_key;
use crate::http::request::query::QueryParameters;
use crate::store::{AcceptOutcome, IdempotencyKey};

/// Maximum number of messages in a request.
pub const MAX_BATCH: usize = 100;

#[derive(Serialize)]
struct BatchAnswer {
    /// In the order of the messages.
    results: Vec<BatchOutcome>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum BatchOutcome {
    Accepted(SendAnswer),
    Refused { error: ProblemDocument },
}

/// `POST …/messages/batch`: queues many messages. Returns 202 if at least one is accepted. One
/// malformed message makes the whole request fail.
pub async fn send_batch(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    caller: Caller,
    query: QueryParameters,
    headers: HeaderMap,
    fields: JsonFields,
) -> Result<Response, Problem> {
    query.finish()?;
    let route = format!("POST /v1/sessions/{}/messages/batch", session.url_segment());
    let key = read_idempotency_key(&caller, &headers, route, &fields)?;
    let messages = read_batch(fields)?;
    let life = gateway.current_life(&session)?;
    let key = key.map(|key| key.bind_life(&life));
    let accepting = MessageAcceptor {
        gateway: &gateway,
        session: &session,
        life: &life,
    };
    // Each message has a key of its own, so that a request that was cut off continues where it
    // stopped when it is repeated.
    let share = |index: usize| {
        key.clone().map(|key| IdempotencyKey {
            route: format!("{} messages[{index}]", key.route),
            ..key
        })
    };
    // The request differs if any of its messages does, including those that this one lacks.
    for key in (0..MAX_BATCH).filter_map(share) {
        if matches!(
            gateway
                .store
                .outbox()
                .find_accepted(&key)
                .await
                .map_err(message_problem)?,
            Some(AcceptOutcome::KeyTaken)
        ) {
            return Err(Problem::IdempotencyKeyReused);
        }
    }
    gateway
        .sessions
        .prefetch_registrations(&session, messages.iter().map(|request| &request.to))
        .await;
    let mut outcomes = Vec::with_capacity(messages.len());
    for (index, request) in messages.into_iter().enumerate() {
        outcomes.push(
            match accepting
                .accept_all(&request, share(index), Duration::ZERO)
                .await
            {
                Ok((messages, replayed)) => Ok((
                    build_answer(&gateway, &request, &session, messages).await,
                    replayed,
                )),
                Err(problem) => Err(problem),
            },
        );
    }
    if outcomes.iter().all(Result::is_err) {
        return Err(match outcomes.into_iter().find_map(Result::err) {
            Some(Problem::InvalidFields(errors)) => {
                Problem::InvalidFields(prefix_errors(0, errors).collect())
            }
            Some(other) => other,
            None => Problem::Internal,
        });
    }
    let is_any_new = outcomes.iter().flatten().any(|(_, replayed)| !replayed);
    let result = |outcome: Result<(SendAnswer, bool), Problem>| match outcome {
        Ok((answer, _)) => BatchOutcome::Accepted(answer),
        Err(problem) => BatchOutcome::Refused {
            error: problem.into_document(),
        },
    };
    let answers = BatchAnswer {
        results: outcomes.into_iter().map(result).collect(),
    };
    Ok(mark_replayed(
        (StatusCode::ACCEPTED, Json(answers)).into_response(),
        !is_any_new,
    ))
}

fn read_batch(mut fields: JsonFields) -> Result<Vec<MessageRequest>, Problem> {
    let items = fields.required_objects("messages", 1..=MAX_BATCH);
    fields.refuse_unknown();
    let (mut messages, mut wrong) = (Vec::new(), Vec::new());
    for (index, item) in fields.finish(items)?.into_iter().enumerate() {
        match MessageRequest::read(item) {
            Ok(request) => messages.push(request),
            Err(Problem::InvalidFields(errors)) => wrong.extend(prefix_errors(index, errors)),
            Err(other) => return Err(other),
        }
    }
    if wrong.is_empty() {
        Ok(messages)
    } else {
        Err(Problem::InvalidFields(wrong))
    }
}

/// Prefixes the field names of one message's errors.
fn prefix_errors(index: usize, errors: Vec<FieldError>) -> impl Iterator<Item = FieldError> {
    errors
        .into_iter()
        .map(move |FieldError { field, detail }| FieldError {
            field: format!("messages[{index}].{field}").into(),
            detail,
        })
}
