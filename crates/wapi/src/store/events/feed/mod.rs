//! The event feed: pages of the log from any position, for readers that wait for more.

mod backward;

use std::sync::Arc;

use futures_util::TryStreamExt;
use tokio::sync::watch;

use super::recent::{FeedWaiter, RecentEvents};
use crate::store::db::{self, Connection};
use crate::store::lives::registry::LifeRegistry;
use crate::store::read_pool::ReadPool;
use crate::store::{AccessSince, EventStore, Life, StoreError};

pub use backward::OlderEvents;

/// Events scanned for one page at most: first about as many as fit in it, then more if few of them
/// match.
const SCAN_SIZES: [i64; 3] = [1_000, 10_000, 50_000];
/// The most lives whose events are counted one life at a time. For more lives, all events are
/// counted.
const MAX_LIVES: i64 = 500;
/// The size limit of a page in bytes; a single larger event still fits.
const MAX_PAGE_BYTES: usize = 4 * 1024 * 1024;

/// The filter of a reader.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct EventFilter {
    /// Empty: all types.
    pub types: Vec<String>,
    /// Types to leave out.
    pub hidden: &'static [&'static str],
    /// Events to leave out by a part of their JSON: the type, and the part.
    pub hidden_parts: &'static [(&'static str, &'static str)],
    pub lives: LifeFilter,
}

/// The lives whose events a reader may see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum LifeFilter {
    /// All lives there have ever been.
    #[default]
    Any,
    /// The current lives, and events of the whole gateway.
    Current,
    /// The current lives of these session names, as far as the reader has had access to the name
    /// since then.
    Named(Vec<(String, AccessSince)>),
}

impl EventFilter {
    fn hides_part(&self, saved: &StoredEvent) -> bool {
        let mut parts = self.hidden_parts.iter();
        parts.any(|(kind, part)| saved.kind == *kind && saved.body.contains(part))
    }

    /// Resolves the filter to the lives it covers at this moment.
    pub(in crate::store) fn resolve_lives(&self, lives: &LifeRegistry) -> ResolvedFilter<'_> {
        let of = match &self.lives {
            LifeFilter::Any => ResolvedLives::Any,
            LifeFilter::Current => ResolvedLives::Current,
            LifeFilter::Named(names) => ResolvedLives::Listed(
                names
                    .iter()
                    .filter_map(|(name, since)| lives.resolve_access(name, *since))
                    .collect(),
            ),
        };
        ResolvedFilter { wanted: self, of }
    }
}

/// A filter at one moment: sessions are created, removed and linked to other accounts while a
/// reader goes on.
pub(in crate::store) struct ResolvedFilter<'a> {
    wanted: &'a EventFilter,
    of: ResolvedLives,
}

enum ResolvedLives {
    Any,
    Current,
    Listed(Vec<Life>),
}

impl ResolvedFilter<'_> {
    pub(in crate::store) fn is_match(&self, saved: &StoredEvent, lives: &LifeRegistry) -> bool {
        let EventFilter { types, hidden, .. } = self.wanted;
        let is_of_those = match &self.of {
            ResolvedLives::Any => true,
            ResolvedLives::Current => lives.is_current(&saved.session),
            ResolvedLives::Listed(these) => {
                these.iter().any(|life| life.id() == saved.session.id())
            }
        };
        is_of_those
            && (types.is_empty() || types.contains(&saved.kind))
            && !hidden.contains(&saved.kind.as_str())
            && !self.wanted.hides_part(saved)
    }
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEvent {
    /// The position in the log; always increases.
    pub seq: i64,
    pub id: String,
    pub session: Life,
    pub kind: String,
    /// The envelope as JSON.
    pub body: Arc<str>,
}

/// A reader of the feed that can wait for new events.
///
/// A reader that is up to date is served from memory: a commit is read from the database once for
/// all of them.
pub struct EventReader {
    pool: ReadPool,
    lives: Arc<LifeRegistry>,
    recent: Arc<RecentEvents>,
    filter: EventFilter,
    position: i64,
    has_more: bool,
    waiting: FeedWaiter,
}

impl EventStore<'_> {
    /// Returns a reader of the events after a position.
    pub fn open_reader(self, after: i64, wanted: EventFilter) -> EventReader {
        // Registered before the first read, so that no event saved in between is missed.
        let waiting = self.store.recent.register_reader();
        let (browsers, lives) = (
            self.store.api_readers.clone(),
            Arc::clone(&self.store.lives),
        );
        EventReader {
            pool: browsers,
            lives,
            recent: Arc::clone(&self.store.recent),
            filter: wanted,
            position: after,
            has_more: false,
            waiting,
        }
    }

    /// Returns the position of the newest event; 0 if there has never been one.
    pub fn newest_position(self) -> i64 {
        self.store.recent.newest_position()
    }

    /// Returns a receiver of the position of the newest event.
    pub fn watch_newest(self) -> watch::Receiver<i64> {
        self.store.recent.watch_newest()
    }

    /// Returns the current number of readers.
    pub fn count_feed_readers(self) -> usize {
        self.store.recent.count_readers()
    }
}

impl EventReader {
    /// Returns the position of the reader: it has read or skipped everything up to here.
    pub const fn position(&self) -> i64 {
        self.position
    }

    /// Returns whether more events may follow the last page at once.
    pub const fn has_more(&self) -> bool {
        self.has_more
    }

    /// Reads up to `limit` events, oldest first. The page is empty if there are no more yet, or if
    /// the scanned part of the log holds no match; in the latter case the next wait returns at
    /// once.
    pub async fn read_page(&mut self, limit: usize) -> Result<Vec<Arc<StoredEvent>>, StoreError> {
        let mut question = self.pool.acquire().await?;
        let page = read_page_after(
            &mut question,
            self.position,
            &self.filter,
            &self.lives,
            limit,
        )
        .await?;
        self.advance_to(page.upto, page.is_last);
        Ok(page.events.into_iter().map(Arc::new).collect())
    }

    /// Waits until something is saved, then reads as [`Self::read_page`] does. Served from memory if the
    /// reader is not too far behind.
    pub async fn read_next(&mut self, limit: usize) -> Result<Vec<Arc<StoredEvent>>, StoreError> {
        self.waiting.wait_for_events().await?;
        let remembered =
            self.recent
                .find_events_after(self.position, &self.filter, &self.lives, limit);
        // The memory may not yet hold the events that made `has_more` true.
        let Some((events, upto)) =
            remembered.filter(|(_, upto)| !self.has_more || *upto > self.position)
        else {
            return self.read_page(limit).await;
        };
        self.advance_to(upto, events.len() < limit);
        Ok(events)
    }

    /// Skips everything that is saved already, without reading it.
    pub fn skip_saved(&mut self) {
        self.advance_to(self.recent.newest_position(), true);
    }

    fn advance_to(&mut self, upto: i64, is_last: bool) {
        self.position = self.position.max(upto);
        self.has_more = !is_last;
        if !is_last {
            self.waiting.mark_changed();
        }
    }
}

/// The result of scanning a part of the log.
pub(in crate::store) struct EventPage {
    /// Oldest first.
    pub events: Vec<StoredEvent>,
    /// Everything up to this position was scanned.
    pub upto: i64,
    /// Whether the page reached the end of the log as of the time of the query.
    pub is_last: bool,
}

/// Returns up to `limit` events after `seq`. Events whose body retention has removed are skipped.
///
/// The cost does not depend on the number of events that do not match: a page ends when enough
/// events were scanned, with the matches found so far.
pub(in crate::store) async fn read_page_after(
    connection: &mut Connection,
    seq: i64,
    wanted: &EventFilter,
    lives: &LifeRegistry,
    limit: usize,
) -> Result<EventPage, db::Error> {
    // Read first: events saved meanwhile belong to the next page.
    let newest = newest_position(&mut *connection).await?;
    let shown = wanted.resolve_lives(lives);
    let mut positions = Vec::new();
    let mut upto = seq;
    for window in SCAN_SIZES {
        if upto >= newest || positions.len() >= limit {
            break;
        }
        let looking = shown.choose_scan(lives, window);
        let end = looking.find_end(connection, upto, newest).await?;
        let missing = limit - positions.len();
        let found = looking
            .find_matches(connection, wanted, (upto, end), missing)
            .await?;
        upto = found
            .last()
            .copied()
            .filter(|_| found.len() == missing)
            .unwrap_or(end);
        positions.extend(found);
    }
    let (mut events, is_whole) = read_events(connection, &positions, "ASC").await?;
    let upto = if is_whole {
        upto
    } else {
        events.last().map_or(upto, |last| last.seq)
    };
    events.retain(|saved| !wanted.hides_part(saved));
    Ok(EventPage {
        events,
        upto,
        is_last: upto >= newest,
    })
}

impl ResolvedFilter<'_> {
    /// Chooses the events to scan for this many candidates of the lives.
    fn choose_scan(&self, lives: &LifeRegistry, window: i64) -> LogScan {
        let these = match &self.of {
            // Most events match, so the log is scanned in order. If matches are rare, the index by
            // life skips ahead.
            ResolvedLives::Any if window == SCAN_SIZES[0] => None,
            ResolvedLives::Any => Some(lives.all_ids()),
            ResolvedLives::Current => Some(lives.current_ids()),
            ResolvedLives::Listed(these) => Some(these.iter().map(Life::id).collect()),
        };
        let count = these.as_ref().map_or(0, Vec::len);
        let lives = these.map(|these| list_to_json(&these));
        LogScan {
            lives,
            count,
            window,
        }
    }
}

/// The selection of the log that is scanned.
struct LogScan {
    /// A JSON list of lives; `None`: all lives.
    lives: Option<String>,
    count: usize,
    window: i64,
}

impl LogScan {
    /// Returns the position up to which to scan: that many events of these lives, or of the log,
    /// whichever reaches further.
    async fn find_end(
        &self,
        connection: &mut Connection,
        from: i64,
        newest: i64,
    ) -> Result<i64, db::Error> {
        let near = from.saturating_add(self.window).min(newest);
        let Some(lives) = &self.lives else {
            return Ok(near);
        };
        let each = match i64::try_from(self.count).unwrap_or(i64::MAX) {
            0 => return Ok(newest),
            count if count > MAX_LIVES => return Ok(near),
            count => self.window / count,
        };
        // Limiting each life to its share limits the sum.
        let sql = "SELECT min(place) FROM (SELECT (SELECT e.seq FROM events e INDEXED BY events_told \
                   WHERE e.body <> '' AND e.session = l.value AND e.seq > $1 ORDER BY e.seq LIMIT 1 OFFSET $2) AS place \
                   FROM json_each($3) l)";
        let query = db::query_scalar(sql)
            .bind(from)
            .bind(each.max(1) - 1)
            .bind(lives);
        let far: Option<i64> = query.fetch_one(connection).await?;
        Ok(far.unwrap_or(newest).max(near).min(newest))
    }

    /// Returns the positions of the first `limit` matches.
    async fn find_matches(
        &self,
        connection: &mut Connection,
        wanted: &EventFilter,
        (from, end): (i64, i64),
        limit: usize,
    ) -> Result<Vec<i64>, db::Error> {
        // Answered from the index alone. SQLite must not choose another one, since every other
        // index would scan more rows.
        let sql = match self.lives {
            Some(_) => {
                "SELECT e.seq FROM json_each($1) l CROSS JOIN events e INDEXED BY events_told \
                 WHERE e.body <> '' AND e.session = l.value AND e.seq > $2 AND e.seq <= $3 \
                 AND ($4 = '[]' OR e.type IN (SELECT value FROM json_each($4))) \
                 AND e.type NOT IN (SELECT value FROM json_each($5)) ORDER BY e.seq LIMIT $6"
            }
            None => {
                "SELECT e.seq FROM events e NOT INDEXED WHERE $1 IS NULL AND e.body <> '' AND e.seq > $2 AND e.seq <= $3 \
                 AND ($4 = '[]' OR e.type IN (SELECT value FROM json_each($4))) \
                 AND e.type NOT IN (SELECT value FROM json_each($5)) ORDER BY e.seq LIMIT $6"
            }
        };
        let query = db::query_scalar(sql).bind(&self.lives).bind(from).bind(end);
        let query = query
            .bind(list_to_json(&wanted.types))
            .bind(list_to_json(wanted.hidden));
        query
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(connection)
            .await
    }
}

/// Reads the events at these positions in this order until the size limit, and returns whether all of
/// them fit.
async fn read_events(
    connection: &mut Connection,
    positions: &[i64],
    order: &'static str,
) -> Result<(Vec<StoredEvent>, bool), db::Error> {
    let mut events = Vec::with_capacity(positions.len());
    if positions.is_empty() {
        return Ok((events, true));
    }
    // The text is a constant.
    let sql = format!(
        "SELECT seq, id, session, name, type, body FROM events \
         WHERE seq IN (SELECT value FROM json_each($1)) AND body <> '' ORDER BY seq {order}"
    );
    let mut rows = db::query(sql)
        .bind(list_to_json(positions))
        .fetch(connection);
    let mut bytes = 0;
    while let Some(row) = rows.try_next().await? {
        let saved = StoredEvent {
            seq: row.get("seq"),
            id: row.get("id"),
            session: Life::from_parts(row.get("session"), row.get("name")),
            kind: row.get("type"),
            body: row.get::<&str, _>("body").into(),
        };
        bytes += saved.body.len();
        if bytes > MAX_PAGE_BYTES && !events.is_empty() {
            return Ok((events, false));
        }
        events.push(saved);
    }
    Ok((events, true))
}

fn list_to_json<T: serde::Serialize + ?Sized>(list: &T) -> String {
    serde_json::to_string(list).expect("numbers and texts are always JSON")
}

/// Returns the position of the newest event; 0 if there is none.
pub(in crate::store) async fn newest_position(
    connection: &mut Connection,
) -> Result<i64, db::Error> {
    // Positions are never reused, so the counter covers removed rows, too.
    db::query_scalar("SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)")
        .fetch_one(connection)
        .await
}

#[cfg(test)]
mod tests;
