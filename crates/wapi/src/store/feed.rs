//! The event feed: pages of the log from any position, for readers that wait for more.

use std::sync::Arc;

use futures_util::TryStreamExt;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteExecutor};

use super::lives::Lives;
use super::questions::Questions;
use super::tail::{Tail, Waiting};
use super::{Life, Since, Store, StoreError};

/// Events scanned for one page at most: first about as many as fit in it, then more if few of them
/// match.
const WINDOWS: [i64; 3] = [1_000, 10_000, 50_000];
/// The most lives whose events are counted one life at a time. For more lives, all events are
/// counted.
const MOST_LIVES: i64 = 500;
/// The size limit of a page in bytes; a single larger event still fits.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// The filter of a reader.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Empty: all types.
    pub types: Vec<String>,
    /// Types to leave out.
    pub hidden: &'static [&'static str],
    pub lives: Lived,
}

/// The lives whose events a reader may see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Lived {
    /// All lives there have ever been.
    #[default]
    Any,
    /// The current lives, and events of the whole gateway.
    Now,
    /// The current lives of these session names, as far as the reader has had access to the name
    /// since then.
    By(Vec<(String, Since)>),
    /// These lives.
    Of(Vec<Life>),
}

impl Wanted {
    /// Resolves the filter to the lives it covers at this moment.
    pub(super) fn now(&self, lives: &Lives) -> Shown<'_> {
        let of = match &self.lives {
            Lived::Any => Of::Any,
            Lived::Now => Of::Current,
            Lived::By(names) => Of::These(
                names
                    .iter()
                    .filter_map(|(name, since)| lives.reached(name, *since))
                    .collect(),
            ),
            Lived::Of(these) => Of::These(these.clone()),
        };
        Shown { wanted: self, of }
    }
}

/// A filter at one moment: sessions are created, removed and linked to other accounts while a
/// reader goes on.
pub(super) struct Shown<'a> {
    wanted: &'a Wanted,
    of: Of,
}

enum Of {
    Any,
    Current,
    These(Vec<Life>),
}

impl Shown<'_> {
    pub(super) fn takes(&self, saved: &Saved, lives: &Lives) -> bool {
        let Wanted { types, hidden, .. } = self.wanted;
        let is_of_those = match &self.of {
            Of::Any => true,
            Of::Current => lives.is_current(&saved.session),
            Of::These(these) => these.iter().any(|life| life.id() == saved.session.id()),
        };
        is_of_those
            && (types.is_empty() || types.contains(&saved.kind))
            && !hidden.contains(&saved.kind.as_str())
    }
}

/// A stored event.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// The position in the log; always increases.
    pub seq: i64,
    pub id: String,
    pub session: Life,
    pub kind: String,
    /// The envelope as JSON.
    pub body: String,
}

/// A reader of the feed that can wait for new events.
///
/// A reader that is up to date is served from memory: a commit is read from the database once for
/// all of them.
pub struct Reader {
    browsers: Questions,
    lives: Arc<Lives>,
    tail: Arc<Tail>,
    wanted: Wanted,
    after: i64,
    has_more: bool,
    waiting: Waiting,
}

impl Store {
    /// Returns a reader of the events after a position.
    pub fn reader(&self, after: i64, wanted: Wanted) -> Reader {
        // Registered before the first read, so that no event saved in between is missed.
        let waiting = self.tail.wait();
        let (browsers, lives) = (self.browsers.clone(), Arc::clone(&self.lives));
        Reader {
            browsers,
            lives,
            tail: Arc::clone(&self.tail),
            wanted,
            after,
            has_more: false,
            waiting,
        }
    }

    /// Returns the position of the newest event; 0 if there is none.
    pub async fn newest_event(&self) -> Result<i64, StoreError> {
        Ok(newest(&self.chores).await?)
    }

    /// Returns the current number of readers.
    pub fn feed_readers(&self) -> usize {
        self.tail.readers()
    }
}

impl Reader {
    /// Returns the position of the reader: it has read or skipped everything up to here.
    pub const fn place(&self) -> i64 {
        self.after
    }

    /// Returns whether more events may follow the last page at once.
    pub const fn has_more(&self) -> bool {
        self.has_more
    }

    /// Reads up to `limit` events, oldest first. The page is empty if there are no more yet, or if
    /// the scanned part of the log holds no match; in the latter case the next wait returns at
    /// once.
    pub async fn read(&mut self, limit: usize) -> Result<Vec<Arc<Saved>>, StoreError> {
        let mut question = self.browsers.ask().await?;
        let page = after(&mut question, self.after, &self.wanted, &self.lives, limit).await?;
        self.move_on(page.upto, page.is_last);
        Ok(page.events.into_iter().map(Arc::new).collect())
    }

    /// Waits until something is saved, then reads as [`Self::read`] does. Served from memory if the
    /// reader is not too far behind.
    pub async fn read_more(&mut self, limit: usize) -> Result<Vec<Arc<Saved>>, StoreError> {
        self.waiting.changed().await?;
        let remembered = self
            .tail
            .after(self.after, &self.wanted, &self.lives, limit);
        // The memory may not yet hold the events that made `has_more` true.
        let Some((events, newest)) =
            remembered.filter(|(_, newest)| !self.has_more || *newest > self.after)
        else {
            return self.read(limit).await;
        };
        match events.last() {
            Some(last) if events.len() == limit => self.move_on(last.seq, false),
            _ => self.move_on(newest, true),
        }
        Ok(events)
    }

    fn move_on(&mut self, upto: i64, is_last: bool) {
        self.after = self.after.max(upto);
        self.has_more = !is_last;
        if !is_last {
            self.waiting.look_again();
        }
    }
}

/// The result of scanning a part of the log.
pub(super) struct Page {
    /// Oldest first.
    pub events: Vec<Saved>,
    /// Everything up to this position was scanned.
    pub upto: i64,
    /// Whether the page reached the end of the log as of the time of the query.
    pub is_last: bool,
}

/// Returns up to `limit` events after `seq`. Events whose body retention has removed are skipped.
///
/// The cost does not depend on the number of events that do not match: a page ends when enough
/// events were scanned, with the matches found so far.
pub(super) async fn after(
    connection: &mut SqliteConnection,
    seq: i64,
    wanted: &Wanted,
    lives: &Lives,
    limit: usize,
) -> Result<Page, sqlx::Error> {
    // Read first: events saved meanwhile belong to the next page.
    let newest = newest(&mut *connection).await?;
    let shown = wanted.now(lives);
    let mut places = Vec::new();
    let mut upto = seq;
    for window in WINDOWS {
        if upto >= newest || places.len() >= limit {
            break;
        }
        let looking = shown.looking(lives, window);
        let end = looking.end(connection, upto, newest).await?;
        let missing = limit - places.len();
        let found = looking
            .find(connection, wanted, (upto, end), missing)
            .await?;
        upto = found
            .last()
            .copied()
            .filter(|_| found.len() == missing)
            .unwrap_or(end);
        places.extend(found);
    }
    let (events, is_whole) = read(connection, &places).await?;
    let upto = if is_whole {
        upto
    } else {
        events.last().map_or(upto, |last| last.seq)
    };
    Ok(Page {
        events,
        upto,
        is_last: upto >= newest,
    })
}

impl Shown<'_> {
    /// Chooses the events to scan for this many candidates of the lives.
    fn looking(&self, lives: &Lives, window: i64) -> Looking {
        let these = match &self.of {
            // Most events match, so the log is scanned in order. If matches are rare, the index by
            // life skips ahead.
            Of::Any if window == WINDOWS[0] => None,
            Of::Any => Some(lives.all()),
            Of::Current => Some(lives.all_current()),
            Of::These(these) => Some(these.iter().map(Life::id).collect()),
        };
        let count = these.as_ref().map_or(0, Vec::len);
        let lives = these.map(|these| json(&these));
        Looking {
            lives,
            count,
            window,
        }
    }
}

/// The selection of the log that is scanned.
struct Looking {
    /// A JSON list of lives; `None`: all lives.
    lives: Option<String>,
    count: usize,
    window: i64,
}

impl Looking {
    /// Returns the position up to which to scan: that many events of these lives, or of the log,
    /// whichever reaches further.
    async fn end(
        &self,
        connection: &mut SqliteConnection,
        from: i64,
        newest: i64,
    ) -> Result<i64, sqlx::Error> {
        let near = from.saturating_add(self.window).min(newest);
        let Some(lives) = &self.lives else {
            return Ok(near);
        };
        let each = match i64::try_from(self.count).unwrap_or(i64::MAX) {
            0 => return Ok(newest),
            count if count > MOST_LIVES => return Ok(near),
            count => self.window / count,
        };
        // Limiting each life to its share limits the sum.
        let sql = "SELECT min(place) FROM (SELECT (SELECT e.seq FROM events e INDEXED BY events_told \
                   WHERE e.body <> '' AND e.session = l.value AND e.seq > $1 ORDER BY e.seq LIMIT 1 OFFSET $2) AS place \
                   FROM json_each($3) l)";
        let query = sqlx::query_scalar(sql)
            .bind(from)
            .bind(each.max(1) - 1)
            .bind(lives);
        let far: Option<i64> = query.fetch_one(connection).await?;
        Ok(far.unwrap_or(newest).max(near).min(newest))
    }

    /// Returns the positions of the first `limit` matches.
    async fn find(
        &self,
        connection: &mut SqliteConnection,
        wanted: &Wanted,
        (from, end): (i64, i64),
        limit: usize,
    ) -> Result<Vec<i64>, sqlx::Error> {
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
        let query = sqlx::query_scalar(sql)
            .bind(&self.lives)
            .bind(from)
            .bind(end);
        let query = query.bind(json(&wanted.types)).bind(json(wanted.hidden));
        query
            .bind(i64::try_from(limit).unwrap_or(i64::MAX))
            .fetch_all(connection)
            .await
    }
}

/// Reads the events at these positions until the size limit, and returns whether all of them fit.
async fn read(
    connection: &mut SqliteConnection,
    places: &[i64],
) -> Result<(Vec<Saved>, bool), sqlx::Error> {
    let mut events = Vec::with_capacity(places.len());
    if places.is_empty() {
        return Ok((events, true));
    }
    let sql = "SELECT seq, id, session, name, type, body FROM events \
               WHERE seq IN (SELECT value FROM json_each($1)) AND body <> '' ORDER BY seq";
    let mut rows = sqlx::query(sql).bind(json(places)).fetch(connection);
    let mut bytes = 0;
    while let Some(row) = rows.try_next().await? {
        let saved = Saved {
            seq: row.get("seq"),
            id: row.get("id"),
            session: Life::read(row.get("session"), row.get("name")),
            kind: row.get("type"),
            body: row.get("body"),
        };
        bytes += saved.body.len();
        if bytes > MOST_BYTES && !events.is_empty() {
            return Ok((events, false));
        }
        events.push(saved);
    }
    Ok((events, true))
}

fn json<T: serde::Serialize + ?Sized>(list: &T) -> String {
    serde_json::to_string(list).expect("numbers and texts are always JSON")
}

/// Returns the position of the newest event; 0 if there is none.
pub(super) async fn newest(connection: impl SqliteExecutor<'_>) -> Result<i64, sqlx::Error> {
    // Positions are never reused, so the counter covers removed rows, too.
    sqlx::query_scalar(
        "SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)",
    )
    .fetch_one(connection)
    .await
}

#[cfg(test)]
mod tests;
