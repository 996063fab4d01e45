//! Notes of activity: they wait in memory, and every commit saves those that wait. So the note of a
//! change is on the disk no later than the change, and no request waits for a sync of its note.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use crate::store::db::{self, Connection, QueryBuilder, SeparatedList};
use crate::store::events::log::MAX_ROWS;
use crate::store::writer::EmptyWrite;
use crate::store::{ActivityStore, StoreError};

/// Notes that wait at most. They only pile up while nothing can be saved, and must not fill the
/// memory then.
const MAX_WAITING: usize = 20_000;
const HOUR_MILLISECONDS: i64 = 3_600_000;

/// The kind of a request, as its row names it.
#[derive(
    Debug,
    Clone,
    Copy,
    PartialEq,
    Eq,
    Hash,
    strum::EnumString,
    strum::IntoStaticStr,
    strum::VariantNames,
)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum ActivityKind {
    /// It changes the gateway, or an account.
    Change,
    /// It sends, or shows others something.
    Send,
    Read,
    /// Somebody enters the dashboard, or leaves it.
    Login,
}

/// The caller of a request.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::VariantNames)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum ActivityActor {
    ApiKey,
    /// The key in the settings.
    Setting,
    /// No key was required.
    Anyone,
    /// The owner of a phone, with a connect link.
    ConnectLink,
    /// A wrong key was shown.
    Stranger,
}

/// The way into the gateway.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, strum::IntoStaticStr, strum::VariantNames)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum ActivityDoor {
    Api,
    Dashboard,
    ConnectPage,
}

/// Who did what to which session, from where. Requests with equal facts are counted together.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub struct ActivityFacts {
    pub kind: ActivityKind,
    pub actor: ActivityActor,
    /// Empty without a key.
    pub key_id: Arc<str>,
    pub key_name: Arc<str>,
    /// The beginning of the hash of a login's token; empty without a login.
    pub login: String,
    pub door: ActivityDoor,
    pub method: String,
    /// The pattern of the route, never the path.
    pub route: String,
    /// Empty where none is concerned.
    pub session: String,
    pub address: String,
}

/// The outcome of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityOutcome {
    pub status: u16,
    /// The code of the problem.
    pub problem: Option<String>,
}

impl ActivityOutcome {
    const fn is_failure(&self) -> bool {
        self.status >= 400
    }
}

/// The notes that are not saved yet.
#[derive(Debug, Default)]
pub(in crate::store) struct WaitingActivity {
    begun: Vec<(String, ActivityFacts, Timestamp)>,
    answered: Vec<AnsweredRequest>,
    counts: HashMap<(i64, ActivityFacts), RequestCounts>,
}

#[derive(Debug)]
struct AnsweredRequest {
    request: String,
    session: String,
    outcome: ActivityOutcome,
    at: Timestamp,
}

#[derive(Debug)]
struct RequestCounts {
    first_at: Timestamp,
    last_at: Timestamp,
    requests: u32,
    failures: u32,
    outcome: Option<ActivityOutcome>,
}

impl WaitingActivity {
    pub fn is_empty(&self) -> bool {
        self.begun.is_empty() && self.answered.is_empty() && self.counts.is_empty()
    }

    fn is_full(&self) -> bool {
        self.begun.len() + self.answered.len() + self.counts.len() >= MAX_WAITING
    }

    fn count(&mut self, facts: ActivityFacts, at: Timestamp, counted: RequestCounts) {
        let hour = at.as_millisecond().div_euclid(HOUR_MILLISECONDS);
        match self.counts.entry((hour, facts)) {
            std::collections::hash_map::Entry::Vacant(entry) => drop(entry.insert(counted)),
            std::collections::hash_map::Entry::Occupied(mut entry) => {
                let counts = entry.get_mut();
                counts.first_at = counts.first_at.min(counted.first_at);
                counts.last_at = counts.last_at.max(counted.last_at);
                counts.requests = counts.requests.saturating_add(counted.requests);
                counts.failures = counts.failures.saturating_add(counted.failures);
                counts.outcome = counted.outcome.or(counts.outcome.take());
            }
        }
    }

    /// Takes notes back that could not be saved.
    pub fn take_back(&mut self, notes: Self) {
        let later = std::mem::replace(self, notes);
        self.begun.extend(later.begun);
        self.answered.extend(later.answered);
        for ((_, facts), counts) in later.counts {
            self.count(facts, counts.first_at, counts);
        }
    }
}

impl ActivityStore<'_> {
    /// Notes that a change begins.
    pub fn note_beginning(self, request: &str, facts: ActivityFacts, at: Timestamp) {
        self.store.writer.note_activity(|waiting| {
            if !waiting.is_full() {
                waiting.begun.push((request.to_owned(), facts, at));
            }
        });
    }

    /// Notes the outcome of a change that has begun. `session` is the one that it turned out to
    /// concern.
    pub fn note_answer(
        self,
        request: &str,
        session: &str,
        outcome: ActivityOutcome,
        at: Timestamp,
    ) {
        self.store.writer.note_activity(|waiting| {
            if !waiting.is_full() {
                waiting.answered.push(AnsweredRequest {
                    request: request.to_owned(),
                    session: session.to_owned(),
                    outcome,
                    at,
                });
            }
        });
    }

    /// Counts a request that begins, before its outcome is known.
    pub fn count_beginning(self, facts: ActivityFacts, at: Timestamp) {
        self.count(facts, at, 1, None);
    }

    /// Counts the outcome of a request whose beginning was counted.
    pub fn count_answer(self, facts: ActivityFacts, outcome: ActivityOutcome, at: Timestamp) {
        self.count(facts, at, 0, Some(outcome));
    }

    /// Counts a request together with its outcome.
    pub fn count_request(self, facts: ActivityFacts, outcome: ActivityOutcome, at: Timestamp) {
        self.count(facts, at, 1, Some(outcome));
    }

    fn count(
        self,
        facts: ActivityFacts,
        at: Timestamp,
        requests: u32,
        outcome: Option<ActivityOutcome>,
    ) {
        let failures = outcome.as_ref().is_some_and(ActivityOutcome::is_failure);
        let counted = RequestCounts {
            first_at: at,
            last_at: at,
            requests,
            failures: failures.into(),
            outcome,
        };
        self.store.writer.note_activity(|waiting| {
            if !waiting.is_full() {
                waiting.count(facts, at, counted);
            }
        });
    }

    /// Saves the notes that wait.
    pub async fn save_notes(self) -> Result<(), StoreError> {
        if self.store.writer.has_activity() {
            self.store.writer.apply_plain(EmptyWrite).await?;
        }
        Ok(())
    }
}

/// Writes notes in a part of the transaction of its own: if that fails, everything else is saved
/// all the same.
pub(in crate::store) async fn write_notes(
    connection: &mut Connection,
    notes: &WaitingActivity,
) -> Result<(), db::Error> {
    connection.execute("SAVEPOINT activity").await?;
    if let Err(error) = insert_notes(connection, notes).await {
        tracing::warn!(%error, "failed to record activity");
        connection.execute("ROLLBACK TO activity").await?;
    }
    connection.execute("RELEASE activity").await.map(drop)
}

async fn insert_notes(
    connection: &mut Connection,
    notes: &WaitingActivity,
) -> Result<(), db::Error> {
    for begun in notes.begun.chunks(MAX_ROWS) {
        let mut sql = insertion();
        sql.push_values(begun, |mut row, (request, facts, at)| {
            row.push_bind(request).push_bind(None::<i64>);
            push_facts(&mut row, facts);
            let at = at.as_millisecond();
            row.push_bind(at).push_bind(at).push_bind(1).push_bind(0);
            row.push_bind(None::<i64>).push_bind(None::<&str>);
        });
        sql.push(" ON CONFLICT DO NOTHING");
        sql.build().execute(&mut *connection).await?;
    }
    for answer in &notes.answered {
        let sql = "UPDATE activity SET status = $1, problem = $2, failures = $3, last_at = $4, \
                   session = CASE WHEN session = '' THEN $5 ELSE session END WHERE request = $6";
        let AnsweredRequest {
            request,
            session,
            outcome,
            at,
        } = answer;
        db::query(sql)
            .bind(i64::from(outcome.status))
            .bind(&outcome.problem)
            .bind(i64::from(outcome.is_failure()))
            .bind(at.as_millisecond())
            .bind(session)
            .bind(request)
            .execute(&mut *connection)
            .await?;
    }
    let counts: Vec<_> = notes.counts.iter().collect();
    for counts in counts.chunks(MAX_ROWS) {
        let mut sql = insertion();
        sql.push_values(counts, |mut row, ((hour, facts), counts)| {
            row.push_bind(None::<&str>).push_bind(*hour);
            push_facts(&mut row, facts);
            row.push_bind(counts.first_at.as_millisecond())
                .push_bind(counts.last_at.as_millisecond())
                .push_bind(i64::from(counts.requests))
                .push_bind(i64::from(counts.failures));
            let outcome = counts.outcome.as_ref();
            row.push_bind(outcome.map(|it| i64::from(it.status)))
                .push_bind(outcome.and_then(|it| it.problem.as_deref()));
        });
        sql.push(
            " ON CONFLICT (hour, kind, actor, key_id, login, door, method, route, session, address) WHERE hour IS NOT NULL \
             DO UPDATE SET last_at = max(last_at, excluded.last_at), requests = requests + excluded.requests, \
             failures = failures + excluded.failures, status = COALESCE(excluded.status, status), \
             problem = CASE WHEN excluded.status IS NULL THEN problem ELSE excluded.problem END",
        );
        sql.build().execute(&mut *connection).await?;
    }
    Ok(())
}

fn insertion<'q>() -> QueryBuilder<'q> {
    QueryBuilder::new(
        "INSERT INTO activity (request, hour, kind, actor, key_id, key_name, login, door, method, route, session, \
         address, first_at, last_at, requests, failures, status, problem) ",
    )
}

fn push_facts(row: &mut SeparatedList<'_, '_>, facts: &ActivityFacts) {
    row.push_bind(facts.kind.into_str())
        .push_bind(facts.actor.into_str())
        .push_bind(facts.key_id.to_string())
        .push_bind(facts.key_name.to_string())
        .push_bind(facts.login.clone())
        .push_bind(facts.door.into_str())
        .push_bind(facts.method.clone())
        .push_bind(facts.route.clone())
        .push_bind(facts.session.clone())
        .push_bind(facts.address.clone());
}
