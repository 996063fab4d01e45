//! `/v1/webhooks/{id}/deliveries`: a webhook's deliveries and their outcomes, resending and
//! replaying.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;

use super::{find_endpoint, webhook_problem};
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::{JsonFields, OptionalJson};
use crate::http::request::query::QueryParameters;
use crate::model::suggestions::format_suggestion;
use crate::store::{DeliveryRecord, DeliveryState, FailedAttempt};

/// Deliveries on one page: default and maximum.
const LIMIT: (usize, usize) = (50, 500);
/// Maximum number of events in one replay.
const MAX_REPLAYED: i64 = 100_000;

/// A page of deliveries, newest first.
#[derive(Debug, Serialize)]
pub struct DeliveryPage {
    deliveries: Vec<DeliveryInfo>,
    /// The `before` of the next page, which may hold more even if this one holds few; `null` at the
    /// end.
    next: Option<i64>,
}

/// The delivery of one event to one webhook.
#[derive(Debug, Serialize)]
pub struct DeliveryInfo {
    id: i64,
    /// `waiters`, `delivered`, or `dead`: given up until it is resent.
    status: String,
    event: EventRef,
    attempts: i64,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    created_at: Timestamp,
    /// When it was delivered or given up.
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    settled_at: Option<Timestamp>,
    /// `null` while it waits behind another delivery of its chat, and once it is settled.
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    next_attempt_at: Option<Timestamp>,
    /// The failed attempts, oldest first.
    failed_attempts: Vec<AttemptInfo>,
}

#[derive(Debug, Serialize)]
pub struct EventRef {
    /// Sent as `webhook-id`.
    id: String,
    #[serde(rename = "type")]
    kind: String,
    /// `null` for events of the whole gateway.
    session: Option<String>,
}

#[derive(Debug, Serialize)]
pub struct AttemptInfo {
    number: i64,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    at: Timestamp,
    error: String,
    /// The HTTP status of the answer; `null` if there was none.
    status: Option<i64>,
    /// The first KiB of the answer's body.
    answer: Option<String>,
}

impl From<DeliveryRecord> for DeliveryInfo {
    fn from(delivery: DeliveryRecord) -> Self {
        let DeliveryRecord {
            id,
            event,
            kind,
            session,
            state,
            attempts,
            created_at,
            settled_at,
            due_at,
            failed_attempts: failed,
        } = delivery;
        let session = Some(session).filter(|session| !session.is_empty());
        let attempt = |FailedAttempt {
                           number,
                           at,
                           error,
                           status,
                           answer,
                       }| AttemptInfo {
            number,
            at,
            error,
            status,
            answer,
        };
        Self {
            id,
            status: state,
            event: EventRef {
                id: event,
                kind,
                session,
            },
            attempts,
            created_at,
            settled_at,
            next_attempt_at: due_at,
            failed_attempts: failed.into_iter().map(attempt).collect(),
        }
    }
}

/// A delivery that is attempted again.
#[derive(Debug, Serialize)]
pub struct ResentDelivery {
    id: i64,
    status: &'static str,
}

/// How many events will be delivered again.
#[derive(Debug, Serialize)]
pub struct ReplayedEvents {
    events: u64,
}

/// `GET …/deliveries?status=waiting|delivered|dead&before=&limit=50`: lists deliveries.
pub async fn list_deliveries(
    State(gateway): State<Gateway>,
    Path(id): Path<String>,
    mut query: QueryParameters,
) -> Result<Json<DeliveryPage>, Problem> {
    let state = query
        .optional_text("status")
        .map(|word| parse_delivery_state(&word))
        .transpose();
    let before = query.number_or("before", i64::MAX, i64::MAX);
    let limit = query.list_limit(LIMIT);
    query.finish()?;
    let state = state?;
    find_endpoint(&gateway, &id).await?;
    let (page, next) = gateway
        .store
        .list_deliveries(&id, state, before, limit)
        .await
        .map_err(webhook_problem)?;
    Ok(Json(DeliveryPage {
        deliveries: page.into_iter().map(DeliveryInfo::from).collect(),
        next,
    }))
}

fn parse_delivery_state(word: &str) -> Result<DeliveryState, Problem> {
    let known = DeliveryState::ALL
        .into_iter()
        .find(|state| state.as_str() == word);
    known.ok_or_else(|| {
        let meant = format_suggestion(word, DeliveryState::ALL.map(DeliveryState::as_str));
        Problem::invalid_field(
            "status",
            format!("must be waiting, delivered or dead{meant}"),
        )
    })
}

/// `POST …/deliveries/{delivery}/resend`: posts a delivery again at once, with a full retry
/// schedule. Returns 202.
pub async fn resend_delivery(
    State(gateway): State<Gateway>,
    query: QueryParameters,
    Path((id, delivery)): Path<(String, String)>,
    OptionalJson(mut fields): OptionalJson,
) -> Result<(StatusCode, Json<ResentDelivery>), Problem> {
    query.finish()?;
    fields.refuse_unknown();
    fields.finish(Some(()))?;
    find_endpoint(&gateway, &id).await?;
    let delivery: i64 = delivery.parse().map_err(|_| Problem::NoDelivery)?;
    if !gateway
        .store
        .resend_delivery(&id, delivery)
        .await
        .map_err(webhook_problem)?
    {
        return Err(Problem::NoDelivery);
    }
    Ok((
        StatusCode::ACCEPTED,
        Json(ResentDelivery {
            id: delivery,
            status: DeliveryState::Waiting.as_str(),
        }),
    ))
}

/// `POST …/replay` `{from, to?}`: delivers again the events of this period that the webhook
/// subscribes to, under the same event ids. Returns 202.
pub async fn replay_events(
    State(gateway): State<Gateway>,
    query: QueryParameters,
    Path(id): Path<String>,
    mut fields: JsonFields,
) -> Result<(StatusCode, Json<ReplayedEvents>), Problem> {
    query.finish()?;
    find_endpoint(&gateway, &id).await?;
    let from = fields.parse_required("from", parse_time);
    let to = fields
        .optional_text("to")
        .map(|text| fields.ok_or_record("to", parse_time(&text)));
    fields.refuse_unknown();
    let now = gateway.clock.now();
    let (from, to) = fields.finish(from.zip(Some(to.flatten().unwrap_or(now))))?;
    let place = async |at| gateway.store.position_at(at).await.map_err(webhook_problem);
    let (mut place, end) = (place(from).await?, place(to).await?);
    if end.saturating_sub(place) > MAX_REPLAYED {
        return Err(Problem::invalid_field(
            "from",
            format!("is too far back: up to {MAX_REPLAYED} events are told again at once"),
        ));
    }
    let mut events = 0;
    while place < end {
        if gateway.lifecycle.is_stopping() {
            return Err(Problem::Stopping);
        }
        let (told, next) = gateway
            .store
            .replay_events(&id, place, end)
            .await
            .map_err(webhook_problem)?;
        events += told;
        place = next;
    }
    Ok((StatusCode::ACCEPTED, Json(ReplayedEvents { events })))
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| "is no time such as 2030-01-31T12:00:00Z".to_owned())
}
