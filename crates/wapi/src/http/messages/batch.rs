//! `POST …/messages/batch`: many messages in one request, each accepted independently.

use std::time::Duration;

use axum::Json;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode};
use axum::response::{IntoResponse, Response};
use serde::Serialize;

use super::body::Asked;
use super::shown::Answer;
use super::{Accepting, answer_with, idempotency_key, marked, unreadable};
use crate::http::Gateway;
use crate::http::error::{Document, FieldError, Problem};
use crate::http::extract::{Fields, Named};
use crate::http::query::Query;
use crate::keys::Caller;
use crate::store::{Acceptance, IdempotencyKey};

/// Maximum number of messages in a request.
pub const MOST: usize = 100;

#[derive(Serialize)]
struct Answers {
    /// In the order of the messages.
    results: Vec<Outcome>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum Outcome {
    Accepted(Answer),
    Refused { error: Document },
}

/// `POST …/messages/batch`: queues many messages. Returns 202 if at least one is accepted. One
/// malformed message makes the whole request fail.
pub async fn send(
    State(gateway): State<Gateway>,
    Named(session): Named,
    caller: Caller,
    query: Query,
    headers: HeaderMap,
    fields: Fields,
) -> Result<Response, Problem> {
    query.done()?;
    let route = format!("POST /v1/sessions/{}/messages/batch", session.url_segment());
    let key = idempotency_key(&caller, &headers, route, &fields)?;
    let messages = read(fields)?;
    let life = gateway.life(&session)?;
    let key = key.map(|key| key.of(&life));
    let accepting = Accepting {
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
    for key in (0..MOST).filter_map(share) {
        if matches!(
            gateway
                .store
                .accepted_before(&key)
                .await
                .map_err(unreadable)?,
            Some(Acceptance::KeyTaken)
        ) {
            return Err(Problem::KeyTaken);
        }
    }
    gateway
        .sessions
        .meet(&session, messages.iter().map(|asked| &asked.to))
        .await;
    let mut outcomes = Vec::with_capacity(messages.len());
    for (index, asked) in messages.into_iter().enumerate() {
        outcomes.push(
            match accepting.all(&asked, share(index), Duration::ZERO).await {
                Ok((messages, replayed)) => Ok((
                    answer_with(&gateway, &asked, &session, messages).await,
                    replayed,
                )),
                Err(problem) => Err(problem),
            },
        );
    }
    if outcomes.iter().all(Result::is_err) {
        return Err(match outcomes.into_iter().find_map(Result::err) {
            Some(Problem::Fields(errors)) => Problem::Fields(of_message(0, errors).collect()),
            Some(other) => other,
            None => Problem::Internal,
        });
    }
    let is_any_new = outcomes.iter().flatten().any(|(_, replayed)| !replayed);
    let result = |outcome: Result<(Answer, bool), Problem>| match outcome {
        Ok((answer, _)) => Outcome::Accepted(answer),
        Err(problem) => Outcome::Refused {
            error: problem.document(),
        },
    };
    let answers = Answers {
        results: outcomes.into_iter().map(result).collect(),
    };
    Ok(marked(
        (StatusCode::ACCEPTED, Json(answers)).into_response(),
        !is_any_new,
    ))
}

fn read(mut fields: Fields) -> Result<Vec<Asked>, Problem> {
    let items = fields.objects("messages", 1..=MOST);
    fields.refuse_unknown();
    let (mut messages, mut wrong) = (Vec::new(), Vec::new());
    for (index, item) in fields.done(items)?.into_iter().enumerate() {
        match Asked::read(item) {
            Ok(asked) => messages.push(asked),
            Err(Problem::Fields(errors)) => wrong.extend(of_message(index, errors)),
            Err(other) => return Err(other),
        }
    }
    if wrong.is_empty() {
        Ok(messages)
    } else {
        Err(Problem::Fields(wrong))
    }
}

/// Prefixes the field names of one message's errors.
fn of_message(index: usize, errors: Vec<FieldError>) -> impl Iterator<Item = FieldError> {
    errors
        .into_iter()
        .map(move |FieldError { field, detail }| FieldError {
            field: format!("messages[{index}].{field}").into(),
            detail,
        })
}
