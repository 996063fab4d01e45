//! The log read backward: the last events before a position.

use super::{
    EventFilter, LogScan, MAX_LIVES, SCAN_SIZES, StoredEvent, list_to_json, newest_position,
    read_events,
};
use crate::store::db::{self, Connection};
use crate::store::lives::registry::LifeRegistry;
use crate::store::{EventStore, StoreError};

/// Types with an index of their own: there are few of them among very many events. SQLite uses the
/// index where it finds its very condition.
const SESSION_CHANGES: [&str; 3] = ["session.status", "session.paired", "session.logged_out"];

/// The last events before a position.
#[derive(Debug)]
pub struct OlderEvents {
    /// Newest first.
    pub events: Vec<StoredEvent>,
    /// The position before which older ones may follow; `None` at the beginning of the log.
    pub next: Option<i64>,
}

impl EventStore<'_> {
    /// Returns up to `limit` events before a position. As with pages of a reader, the cost does not
    /// depend on the number of events that do not match: a page may be short, or empty, before the
    /// beginning, too.
    pub async fn read_events_before(
        self,
        before: i64,
        wanted: &EventFilter,
        limit: usize,
    ) -> Result<OlderEvents, StoreError> {
        let mut question = self.store.api_readers.acquire().await?;
        Ok(read_page_before(&mut question, before, wanted, &self.store.lives, limit).await?)
    }
}

async fn read_page_before(
    connection: &mut Connection,
    before: i64,
    wanted: &EventFilter,
    lives: &LifeRegistry,
    limit: usize,
) -> Result<OlderEvents, db::Error> {
    let oldest: Option<i64> = db::query_scalar("SELECT min(seq) FROM events")
        .fetch_one(&mut *connection)
        .await?;
    let newest = newest_position(&mut *connection).await?;
    let oldest = oldest.unwrap_or(newest.saturating_add(1));
    let shown = wanted.resolve_lives(lives);
    let mut from = before.min(newest.saturating_add(1));
    let mut positions = Vec::new();
    if wants_session_changes(wanted) {
        let scan = shown.choose_scan(lives, SCAN_SIZES[1]);
        positions = scan
            .find_session_changes(connection, wanted, from, limit)
            .await?;
        from = positions
            .last()
            .copied()
            .filter(|_| positions.len() == limit)
            .unwrap_or(oldest);
    }
    for window in SCAN_SIZES {
        if from <= oldest || positions.len() >= limit {
            break;
        }
        let scan = shown.choose_scan(lives, window);
        let beginning = scan.find_beginning(connection, from, oldest).await?;
        let missing = limit - positions.len();
        let found = scan
            .find_matches_before(connection, wanted, (beginning, from), missing)
            .await?;
        from = found
            .last()
            .copied()
            .filter(|_| found.len() == missing)
            .unwrap_or(beginning);
        positions.extend(found);
    }
    let (mut events, is_whole) = read_events(connection, &positions, "DESC").await?;
    if !is_whole {
        from = events.last().map_or(from, |last| last.seq);
    }
    events.retain(|saved| !wanted.hides_part(saved));
    Ok(OlderEvents {
        events,
        next: Some(from).filter(|from| *from > oldest),
    })
}

fn wants_session_changes(wanted: &EventFilter) -> bool {
    let mut types = wanted.types.iter();
    !wanted.types.is_empty() && types.all(|kind| SESSION_CHANGES.contains(&kind.as_str()))
}

impl LogScan {
    /// Returns the first position to scan: that many events of these lives, or of the log, whichever
    /// reaches further back.
    async fn find_beginning(
        &self,
        connection: &mut Connection,
        from: i64,
        oldest: i64,
    ) -> Result<i64, db::Error> {
        let near = from.saturating_sub(self.window).max(oldest);
        let Some(lives) = &self.lives else {
            return Ok(near);
        };
        let each = match i64::try_from(self.count).unwrap_or(i64::MAX) {
            0 => return Ok(oldest),
            count if count > MAX_LIVES => return Ok(near),
            count => self.window / count,
        };
        // Limiting each life to its share limits the sum.
        let sql = "SELECT max(place) FROM (SELECT (SELECT e.seq FROM events e INDEXED BY events_told \
                   WHERE e.body <> '' AND e.session = l.value AND e.seq < $1 ORDER BY e.seq DESC LIMIT 1 OFFSET $2) AS place \
                   FROM json_each($3) l)";
        let query = db::query_scalar(sql)
            .bind(from)
            .bind(each.max(1) - 1)
            .bind(lives);
        let far: Option<i64> = query.fetch_one(connection).await?;
        Ok(far.unwrap_or(oldest).min(near).max(oldest))
    }

    /// Returns the positions of the last `limit` matches, newest first.
    async fn find_matches_before(
        &self,
        connection: &mut Connection,
        wanted: &EventFilter,
        (beginning, from): (i64, i64),
        limit: usize,
    ) -> Result<Vec<i64>, db::Error> {
        let sql = match self.lives {
            Some(_) => {
                "SELECT e.seq FROM json_each($1) l CROSS JOIN events e INDEXED BY events_told \
                 WHERE e.body <> '' AND e.session = l.value AND e.seq >= $2 AND e.seq < $3 \
                 AND ($4 = '[]' OR e.type IN (SELECT value FROM json_each($4))) \
                 AND e.type NOT IN (SELECT value FROM json_each($5)) ORDER BY e.seq DESC LIMIT $6"
            }
            None => {
                "SELECT e.seq FROM events e NOT INDEXED WHERE $1 IS NULL AND e.body <> '' AND e.seq >= $2 AND e.seq < $3 \
                 AND ($4 = '[]' OR e.type IN (SELECT value FROM json_each($4))) \
                 AND e.type NOT IN (SELECT value FROM json_each($5)) ORDER BY e.seq DESC LIMIT $6"
            }
        };
        let query = db::query_scalar(sql)
            .bind(&self.lives)
            .bind(beginning)
            .bind(from);
        let query = query
            .bind(list_to_json(&wanted.types))
            .bind(list_to_json(wanted.hidden));
        query
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(connection)
            .await
    }

    /// Returns the positions of the last changes of sessions, newest first, from their own index.
    async fn find_session_changes(
        &self,
        connection: &mut Connection,
        wanted: &EventFilter,
        from: i64,
        limit: usize,
    ) -> Result<Vec<i64>, db::Error> {
        // Each life has its own limit, so that none is read to its beginning.
        let sql = "SELECT e.seq FROM json_each($1) l CROSS JOIN events e ON e.seq IN ( \
                   SELECT s.seq FROM events s INDEXED BY events_session_changes \
                   WHERE s.type IN ('session.status', 'session.paired', 'session.logged_out') AND s.body <> '' \
                   AND s.session = l.value AND s.seq < $2 AND s.type IN (SELECT value FROM json_each($3)) \
                   AND s.type NOT IN (SELECT value FROM json_each($4)) ORDER BY s.seq DESC LIMIT $5) \
                   ORDER BY e.seq DESC LIMIT $5";
        let query = db::query_scalar(sql).bind(&self.lives).bind(from);
        let query = query
            .bind(list_to_json(&wanted.types))
            .bind(list_to_json(wanted.hidden));
        query
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(connection)
            .await
    }
}
