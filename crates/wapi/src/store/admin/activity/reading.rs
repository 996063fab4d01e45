//! Activity read back: pages of it, and its retention.

use jiff::Timestamp;

use crate::store::db::{self, Connection, QueryBuilder};
use crate::store::writer::StoreChange;
use crate::store::{ActivityKind, ActivityStore, StoreError};

/// A row of the activity: one request, or all of an hour with the same facts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ActivityRecord {
    pub seq: i64,
    pub request: Option<String>,
    pub kind: String,
    pub actor: String,
    pub key_id: String,
    pub key_name: String,
    pub login: String,
    pub door: String,
    pub method: String,
    pub route: String,
    pub session: String,
    pub address: String,
    pub first_at: Timestamp,
    pub last_at: Timestamp,
    pub requests: i64,
    pub failures: i64,
    /// Of the last answer; `None` while it is not known.
    pub status: Option<i64>,
    pub problem: Option<String>,
}

db::from_row!(ActivityRecord {
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
    problem
});

/// The rows that a reader asks for; `None`: any.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ActivityFilter {
    pub kind: Option<ActivityKind>,
    pub session: Option<String>,
    pub key_id: Option<String>,
}

/// The direction of a page.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ActivityOrder {
    /// Rows before this one, the newest first.
    Before(i64),
    /// Rows after this one, the oldest first.
    After(i64),
}

impl ActivityStore<'_> {
    /// Returns up to `limit` rows.
    pub async fn list_activity(
        self,
        filter: &ActivityFilter,
        order: ActivityOrder,
        limit: usize,
    ) -> Result<Vec<ActivityRecord>, StoreError> {
        let mut sql = QueryBuilder::new(
            "SELECT seq, request, kind, actor, key_id, key_name, login, door, method, route, session, address, first_at, \
             last_at, requests, failures, status, problem FROM activity WHERE seq ",
        );
        match order {
            ActivityOrder::Before(seq) => sql.push("< ").push_bind(seq),
            ActivityOrder::After(seq) => sql.push("> ").push_bind(seq),
        };
        if let Some(kind) = filter.kind {
            sql.push(" AND kind = ").push_bind(kind.into_str());
        }
        if let Some(session) = &filter.session {
            sql.push(" AND session = ").push_bind(session);
        }
        if let Some(key_id) = &filter.key_id {
            sql.push(" AND key_id = ").push_bind(key_id);
        }
        sql.push(match order {
            ActivityOrder::Before(_) => " ORDER BY seq DESC LIMIT ",
            ActivityOrder::After(_) => " ORDER BY seq LIMIT ",
        });
        sql.push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
        let mut question = self.store.api_readers.acquire().await?;
        Ok(sql.build_query_as().fetch_all(&mut *question).await?)
    }

    /// Removes up to `limit` rows that ended before this time, and returns their number.
    pub async fn remove_old_activity(
        self,
        before: Timestamp,
        limit: u16,
    ) -> Result<u64, StoreError> {
        self.store
            .writer
            .apply_change(RemoveOldActivity { before, limit })
            .await
    }
}

struct RemoveOldActivity {
    before: Timestamp,
    limit: u16,
}

impl StoreChange for RemoveOldActivity {
    type Answer = u64;

    fn concerns_deliveries(_: &u64) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<u64, db::Error> {
        let sql = "DELETE FROM activity WHERE seq IN (SELECT seq FROM activity WHERE last_at < $1 LIMIT $2)";
        let query = db::query(sql)
            .bind(self.before.as_millisecond())
            .bind(i64::from(self.limit));
        Ok(query.execute(connection).await?.rows_affected())
    }
}
