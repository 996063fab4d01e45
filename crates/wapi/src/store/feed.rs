//! What happened, to be read from any point on.

use std::sync::Arc;

use futures_util::TryStreamExt;
use sqlx::Row;
use sqlx::sqlite::{SqliteConnection, SqliteExecutor};

use super::lives::Lives;
use super::questions::Questions;
use super::tail::{Tail, Waiting};
use super::{Life, Since, Store, StoreError};

/// Events that are looked at for one page at most, whether they are wanted or not: first about as many as a page holds, and more
/// of them where little is found.
const WINDOWS: [i64; 3] = [1_000, 10_000, 50_000];
/// Lives whose events are counted one life at a time. Where there are more, all events are.
const MOST_LIVES: i64 = 500;
/// Bytes of events in a page; a few more, should a single one be larger.
const MOST_BYTES: usize = 4 * 1024 * 1024;

/// What a reader wants to see.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Wanted {
    /// Empty: all.
    pub types: Vec<String>,
    /// Of those: none of these.
    pub hidden: &'static [&'static str],
    pub lives: Lived,
}

/// Of which lives somebody may be told.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Lived {
    /// Of all there ever were.
    #[default]
    Any,
    /// Of those that sessions are in, and of what concerns the whole gateway.
    Now,
    /// Of those that sessions of these names are in, as far as whoever asks has had the name since then.
    By(Vec<(String, Since)>),
    /// Of these.
    Of(Vec<Life>),
}

impl Wanted {
    /// Events of these lives, at this moment; `None`: of all.
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

/// What a reader may see at one moment: sessions come, go and are linked to other accounts while somebody reads on.
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

/// An event as it was saved.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Saved {
    /// Its place among all events; never goes backwards.
    pub seq: i64,
    pub id: String,
    pub session: Life,
    pub kind: String,
    /// The envelope as JSON.
    pub body: String,
}

/// Somebody who reads on, and waits where there is no more.
///
/// One that is up to date is served from memory: however many wait, a commit is read once.
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
    /// A reader of what comes after a place.
    pub fn reader(&self, after: i64, wanted: Wanted) -> Reader {
        // Counted before it looks, so that nothing saved in between is missed.
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

    /// The place of the newest event; 0 when there is none.
    pub async fn newest_event(&self) -> Result<i64, StoreError> {
        Ok(newest(&self.chores).await?)
    }

    /// How many readers there are at the moment.
    pub fn feed_readers(&self) -> usize {
        self.tail.readers()
    }
}

impl Reader {
    /// Where it is: everything up to here was read or is not wanted.
    pub const fn place(&self) -> i64 {
        self.after
    }

    /// Whether there may be more at once behind what was read last.
    pub const fn has_more(&self) -> bool {
        self.has_more
    }

    /// Up to `limit` events, oldest first; none where there are no more yet, or where enough was looked at that is not wanted. Then the
    /// next wait is none.
    pub async fn read(&mut self, limit: usize) -> Result<Vec<Arc<Saved>>, StoreError> {
        let mut question = self.browsers.ask().await?;
        let page = after(&mut question, self.after, &self.wanted, &self.lives, limit).await?;
        self.move_on(page.upto, page.is_last);
        Ok(page.events.into_iter().map(Arc::new).collect())
    }

    /// The same, once something was saved. From memory, if this reader is not too far behind.
    pub async fn read_more(&mut self, limit: usize) -> Result<Vec<Arc<Saved>>, StoreError> {
        self.waiting.changed().await?;
        let remembered = self
            .tail
            .after(self.after, &self.wanted, &self.lives, limit);
        // What this reader was told to be there is perhaps not in memory.
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

/// What was found of what was looked at.
pub(super) struct Page {
    /// Oldest first.
    pub events: Vec<Saved>,
    /// Everything up to here was looked at.
    pub upto: i64,
    /// Whether this was all there was when it was asked for.
    pub is_last: bool,
}

/// Up to `limit` events after `seq`. Those whose content retention has removed are passed over.
///
/// It costs what a page costs, whatever there is that is not wanted: a page that has looked at enough holds what it has found.
pub(super) async fn after(
    connection: &mut SqliteConnection,
    seq: i64,
    wanted: &Wanted,
    lives: &Lives,
    limit: usize,
) -> Result<Page, sqlx::Error> {
    // Asked first: what comes in between is found the next time.
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
    /// Where so many events are found among those of the lives.
    fn looking(&self, lives: &Lives, window: i64) -> Looking {
        let these = match &self.of {
            // Most of it is wanted, so everything is looked at in its order. Far from what is wanted, the lives say where to go on.
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

/// A part of all events that is looked at.
struct Looking {
    /// A JSON list of lives; `None`: all there ever were.
    lives: Option<String>,
    count: usize,
    window: i64,
}

impl Looking {
    /// Up to which place there are so many events of these lives, or so many events.
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
        // Of each life so many at most, so of all of them not more than there may be.
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

    /// The places of the first `limit` of them that are wanted.
    async fn find(
        &self,
        connection: &mut SqliteConnection,
        wanted: &Wanted,
        (from, end): (i64, i64),
        limit: usize,
    ) -> Result<Vec<i64>, sqlx::Error> {
        // The index alone answers. SQLite must not choose another one: there is none in which so few rows are looked at.
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

/// The events at these places, and whether these are all; more than enough bytes are not.
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

/// The place of the newest event; 0 when there is none.
pub(super) async fn newest(connection: impl SqliteExecutor<'_>) -> Result<i64, sqlx::Error> {
    // What is removed is not given out again, so the counter knows of more than the rows.
    sqlx::query_scalar(
        "SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)",
    )
    .fetch_one(connection)
    .await
}

#[cfg(test)]
mod tests;
