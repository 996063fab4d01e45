//! `GET /v1/activity`: what callers did to which session, from which address, and with which
//! outcome.

mod recording;

use std::convert::Infallible;

use axum::Json;
use axum::body::{Body, Bytes};
use axum::extract::State;
use axum::http::{HeaderMap, header};
use axum::response::{IntoResponse, Response};
use futures_util::stream;
use jiff::Timestamp;
use serde::Serialize;
use strum::VariantNames;

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::query::QueryParameters;
use crate::model::suggestions::format_suggestion;
use crate::store::{ActivityFilter, ActivityKind, ActivityOrder, ActivityRecord, StoreError};

pub use recording::{
    PathParams, record_activity, record_connect_step, record_login, record_request,
};

/// Rows on one page: default and maximum.
const LIMIT: (usize, usize) = (100, 1_000);
/// Rows that an export reads at once.
const EXPORT_PAGE: usize = 1_000;
/// One JSON object a line.
pub const NDJSON: &str = "application/x-ndjson";

/// A page of the activity, newest first.
#[derive(Debug, Serialize)]
pub struct ActivityPage {
    activity: Vec<ActivityEntry>,
    /// The `before` of the next page; `null` at the end.
    next: Option<i64>,
}

/// One change or login, or all requests of an hour that read or send with the same facts.
#[derive(Debug, Serialize)]
pub struct ActivityEntry {
    seq: i64,
    /// `change`, `send`, `read`, or `login`.
    kind: String,
    who: ActivityCaller,
    /// `api`, `dashboard`, or `connect_page`.
    door: String,
    method: String,
    route: String,
    /// `null` where none is concerned.
    session: Option<String>,
    address: String,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    at: Timestamp,
    /// The last request of the row, or its answer.
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    last_at: Timestamp,
    requests: i64,
    failures: i64,
    /// Status of the last answer; `null` while it is not known.
    status: Option<i64>,
    /// The code of its problem.
    problem: Option<String>,
    /// The `X-Request-Id` of a row of one request.
    request_id: Option<String>,
}

/// The caller of a row.
#[derive(Debug, Serialize)]
struct ActivityCaller {
    /// `api_key`, `setting` (the key of `WAPI_API_KEY`), `anyone` (no key was required),
    /// `connect_link`, or `stranger` (a wrong key was shown at the login).
    #[serde(rename = "type")]
    kind: String,
    /// The id of the key.
    key_id: Option<String>,
    /// Its name when it was used.
    key_name: Option<String>,
    /// Distinguishes the logins of a key.
    login: Option<String>,
}

impl From<ActivityRecord> for ActivityEntry {
    fn from(record: ActivityRecord) -> Self {
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        let ActivityRecord {
            seq,
            request,
            kind,
            actor,
            key_id,
            key_name,
            login,
            door,
            method,
            route,
            session,
            address,
            first_at,
            last_at,
            requests,
            failures,
            status,
            problem,
        } = record;
        Self {
            seq,
            kind,
            who: ActivityCaller {
                kind: actor,
                key_id: given(key_id),
                key_name: given(key_name),
                login: given(login),
            },
            door,
            method,
            route,
            session: given(session),
            address,
            at: first_at,
            last_at,
            requests,
            failures,
            status,
            problem,
            request_id: request,
        }
    }
}

/// `GET /v1/activity?kind=&session=&key=&before=&limit=100`: a page, newest first. As
/// `application/x-ndjson`: everything after `after`, oldest first, one row a line.
pub async fn list_activity(
    State(gateway): State<Gateway>,
    headers: HeaderMap,
    query: QueryParameters,
) -> Result<Response, Problem> {
    let accept = headers
        .get(header::ACCEPT)
        .and_then(|accept| accept.to_str().ok())
        .unwrap_or_default();
    let wants_lines = accept
        .split(',')
        .any(|range| range.split(';').next().unwrap_or_default().trim() == NDJSON);
    if wants_lines {
        return export_activity(&gateway, query);
    }
    let page = read_page(&gateway, query).await?;
    Ok(([(header::VARY, "accept")], Json(page)).into_response())
}

/// Reads a page of the activity.
pub async fn read_page(
    gateway: &Gateway,
    mut query: QueryParameters,
) -> Result<ActivityPage, Problem> {
    let filter = read_filter(&mut query);
    let before = query.number_or("before", i64::MAX, i64::MAX);
    let limit = query.list_limit(LIMIT);
    query.finish()?;
    let activity = gateway.store.activity();
    // So that callers find what they have just done. A disk that is full hides no older rows.
    recording::save_now(gateway).await;
    let order = ActivityOrder::Before(before);
    let records = activity.list_activity(&filter?, order, limit).await;
    let records = records.map_err(activity_problem)?;
    let is_full = records.len() == limit;
    let next = records.last().map(|last| last.seq).filter(|_| is_full);
    Ok(ActivityPage {
        activity: records.into_iter().map(ActivityEntry::from).collect(),
        next,
    })
}

/// Answers with everything after a position, as it is read.
pub fn export_activity(gateway: &Gateway, mut query: QueryParameters) -> Result<Response, Problem> {
    let filter = read_filter(&mut query);
    let after = query.number_or("after", 0, i64::MAX);
    query.finish()?;
    let (filter, gateway) = (filter?, gateway.clone());
    let lines = stream::unfold(Some(after), move |after| {
        let (gateway, filter) = (gateway.clone(), filter.clone());
        async move {
            let order = ActivityOrder::After(after?);
            let activity = gateway.store.activity();
            let records = activity.list_activity(&filter, order, EXPORT_PAGE).await;
            // The status is long sent: an export that breaks off does not end with a full page.
            let records = records.map_err(activity_problem).ok()?;
            let last = records.last().map(|last| last.seq)?;
            let is_full = records.len() == EXPORT_PAGE;
            let mut text = Vec::new();
            for record in records {
                serde_json::to_writer(&mut text, &ActivityEntry::from(record)).ok()?;
                text.push(b'\n');
            }
            let next = Some(last).filter(|_| is_full);
            Some((Ok::<_, Infallible>(Bytes::from(text)), next))
        }
    });
    let head = [
        (header::CONTENT_TYPE, NDJSON),
        (header::VARY, "accept"),
        (
            header::CONTENT_DISPOSITION,
            "attachment; filename=\"activity.ndjson\"",
        ),
    ];
    Ok((head, Body::from_stream(lines)).into_response())
}

fn read_filter(query: &mut QueryParameters) -> Result<ActivityFilter, Problem> {
    let kind = query.optional_text("kind").filter(|kind| !kind.is_empty());
    let given = |text: Option<String>| text.filter(|text| !text.is_empty());
    let session = given(query.optional_text("session"));
    let key_id = given(query.optional_text("key"));
    let kind = kind.map(|kind| parse_kind(&kind)).transpose()?;
    Ok(ActivityFilter {
        kind,
        session,
        key_id,
    })
}

fn parse_kind(kind: &str) -> Result<ActivityKind, Problem> {
    kind.parse().map_err(|_| {
        let all = ActivityKind::VARIANTS;
        let meant = format_suggestion(kind, all.iter().copied());
        Problem::invalid_field("kind", format!("must be one of {}{meant}", all.join(", ")))
    })
}

fn activity_problem(error: StoreError) -> Problem {
    tracing::error!(%error, "failed to read the activity");
    Problem::NotReady {
        detail: "the database failed; try again in a moment".to_owned(),
    }
}
