//! `/v1/webhooks/{id}/deliveries`: a webhook's deliveries and their outcomes, resending and
//! replaying.

use axum::Json;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use jiff::Timestamp;
use serde::Serialize;
use strum::VariantNames;

use super::{find_endpoint, webhook_problem};
use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::{JsonFields, OptionalJson};
use crate::http::request::query::QueryParameters;
use crate::model::suggestions::format_suggestion;
use crate::store::{DeliveryRecord, DeliveryState, EventDelivery, FailedAttempt};

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
    /// `waiting`, `delivered`, or `dead`: given up until it is resent.
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

/// How many deliveries are attempted again.
#[derive(Debug, Serialize)]
pub struct ResentDeliveries {
    deliveries: u64,
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
        .map(|state| parse_delivery_state(&state))
        .transpose();
    let before = query.number_or("before", i64::MAX, i64::MAX);
    let limit = query.list_limit(LIMIT);
    query.finish()?;
    let state = state?;
    find_endpoint(&gateway, &id).await?;
    let (page, next) = gateway
        .store
        .deliveries()
        .list_deliveries(&id, state, before, limit)
        .await
        .map_err(webhook_problem)?;
    Ok(Json(DeliveryPage {
        deliveries: page.into_iter().map(DeliveryInfo::from).collect(),
        next,
    }))
}

fn parse_delivery_state(state: &str) -> Result<DeliveryState, Problem> {
    state.parse().map_err(|_| {
        let meant = format_suggestion(state, DeliveryState::VARIANTS.iter().copied());
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
        .deliveries()
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
            status: DeliveryState::Waiting.into_str(),
        }),
    ))
}

/// `POST …/deliveries` `{event}`: posts one event to the webhook at once, whatever it subscribes to.
/// Returns 202 with the delivery.
pub async fn deliver_event(
    State(gateway): State<Gateway>,
    query: QueryParameters,
    Path(id): Path<String>,
    mut fields: JsonFields,
) -> Result<(StatusCode, Json<ResentDelivery>), Problem> {
    query.finish()?;
    find_endpoint(&gateway, &id).await?;
    let event = fields.required_text("event");
    fields.refuse_unknown();
    let event = fields.finish(event)?;
    let deliveries = gateway.store.deliveries();
    let delivered = deliveries.deliver_event(&id, &event).await;
    match delivered.map_err(webhook_problem)? {
        EventDelivery::NoEndpoint => Err(Problem::NoWebhook),
        EventDelivery::NoEvent => Err(Problem::NoEvent),
        EventDelivery::NoSession => Err(Problem::invalid_field(
            "event",
            "is about no session, and the address of this webhook ends with one",
        )),
        EventDelivery::Due(delivery) => Ok((
            StatusCode::ACCEPTED,
            Json(ResentDelivery {
                id: delivery,
                status: DeliveryState::Waiting.into_str(),
            }),
        )),
    }
}

/// `POST …/deliveries/resend` `{status: "dead"}`: posts again at once all that were given up.
/// Returns 202 with their number.
pub async fn resend_deliveries(
    State(gateway): State<Gateway>,
    query: QueryParameters,
    Path(id): Path<String>,
    mut fields: JsonFields,
) -> Result<(StatusCode, Json<ResentDeliveries>), Problem> {
    query.finish()?;
    find_endpoint(&gateway, &id).await?;
    let status = fields.parse_required("status", |text| match text {
        "dead" => Ok(()),
        _ => Err("must be dead: other deliveries are attempted, or were taken".to_owned()),
    });
    fields.refuse_unknown();
    fields.finish(status)?;
    let deliveries = gateway.store.deliveries();
    // Those that are given up again meanwhile are not resent for ever.
    let newest = deliveries
        .newest_delivery()
        .await
        .map_err(webhook_problem)?;
    let (mut resent, mut position) = (0, Some(0));
    while let Some(after) = position {
        if gateway.lifecycle.is_stopping() {
            return Err(Problem::Stopping);
        }
        let step = deliveries.resend_dead(&id, after, newest).await;
        let (count, next) = step.map_err(webhook_problem)?;
        resent += count;
        position = next;
    }
    Ok((
        StatusCode::ACCEPTED,
        Json(ResentDeliveries { deliveries: resent }),
    ))
}

/// `POST …/replay` `{from | from_seq, to?, dry_run?}`: delivers again the events of this period that
/// the webhook subscribes to, under the same event ids. Returns 202; 200 if they are only counted.
pub async fn replay_events(
    State(gateway): State<Gateway>,
    query: QueryParameters,
    Path(id): Path<String>,
    mut fields: JsonFields,
) -> Result<(StatusCode, Json<ReplayedEvents>), Problem> {
    query.finish()?;
    find_endpoint(&gateway, &id).await?;
    let start = read_replay_start(&mut fields);
    let to = fields
        .optional_text("to")
        .map(|text| fields.ok_or_record("to", parse_time(&text)));
    let is_dry_run = fields.flag_or_false("dry_run");
    fields.refuse_unknown();
    let now = gateway.clock.now();
    let (start, to) = fields.finish(start.zip(Some(to.flatten().unwrap_or(now))))?;
    let deliveries = gateway.store.deliveries();
    let position = async |at| deliveries.position_at(at).await.map_err(webhook_problem);
    let end = position(to).await?;
    let (field, mut position) = match start {
        ReplayStart::Time(from) => ("from", position(from).await?),
        ReplayStart::Position(seq) => ("from_seq", seq),
    };
    if end.saturating_sub(position) > MAX_REPLAYED {
        return Err(Problem::invalid_field(
            field,
            format!("is too far back: up to {MAX_REPLAYED} events are replayed at once"),
        ));
    }
    if is_dry_run {
        let events = deliveries.count_replayable(&id, position, end).await;
        let events = events.map_err(webhook_problem)?;
        return Ok((StatusCode::OK, Json(ReplayedEvents { events })));
    }
    let mut events = 0;
    while position < end {
        if gateway.lifecycle.is_stopping() {
            return Err(Problem::Stopping);
        }
        let (deliveries, next) = gateway
            .store
            .deliveries()
            .replay_events(&id, position, end)
            .await
            .map_err(webhook_problem)?;
        events += deliveries;
        position = next;
    }
    Ok((StatusCode::ACCEPTED, Json(ReplayedEvents { events })))
}

/// The first event of a replay.
enum ReplayStart {
    Time(Timestamp),
    /// A position in the log.
    Position(i64),
}

fn read_replay_start(fields: &mut JsonFields) -> Option<ReplayStart> {
    let Some(seq) = fields.optional_number("from_seq", 0..=i64::MAX.unsigned_abs()) else {
        let from = fields.parse_required("from", parse_time);
        return from.map(ReplayStart::Time);
    };
    if fields.has_field("from") {
        fields.refuse_field("from", "is given beside from_seq; give one of them");
    }
    Some(ReplayStart::Position(
        i64::try_from(seq).unwrap_or(i64::MAX),
    ))
}

fn parse_time(text: &str) -> Result<Timestamp, String> {
    text.parse()
        .map_err(|_| "is not a time such as 2030-01-31T12:00:00Z".to_owned())
}
