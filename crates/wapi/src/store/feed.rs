//! What happened, to be read from any point on.

use std::sync::Arc;

use sqlx::sqlite::{Sqlite, SqlitePool};
use sqlx::{QueryBuilder, Row};

use super::lives::Lives;
use super::tail::{Tail, Waiting};
use super::{Life, Since, Store, StoreError};

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
            Lived::By(names) => {
                Of::These(names.iter().filter_map(|(name, since)| lives.reached(name, *since)).collect())
            }
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
        is_of_those && (types.is_empty() || types.contains(&saved.kind)) && !hidden.contains(&saved.kind.as_str())
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
    browsers: SqlitePool,
    lives: Arc<Lives>,
    tail: Arc<Tail>,
    wanted: Wanted,
    after: i64,
    waiting: Waiting,
}

impl Store {
    /// A reader of what comes after a place.
    pub fn reader(&self, after: i64, wanted: Wanted) -> Reader {
        // Counted before it looks, so that nothing saved in between is missed.
        let waiting = self.tail.wait();
        let (browsers, lives) = (self.browsers.clone(), Arc::clone(&self.lives));
        Reader { browsers, lives, tail: Arc::clone(&self.tail), wanted, after, waiting }
    }

    /// The place of the newest event; 0 when there is none.
    pub async fn newest_event(&self) -> Result<i64, StoreError> {
        Ok(newest(&self.browsers).await?)
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

    /// Up to `limit` events, oldest first; none when there are no more yet.
    pub async fn read(&mut self, limit: usize) -> Result<Vec<Arc<Saved>>, StoreError> {
        // Asked first: what comes in between is found the next time.
        let newest = newest(&self.browsers).await?;
        let events = after(&self.browsers, self.after, &self.wanted, &self.lives, limit).await?;
        Ok(self.moved_past(events.into_iter().map(Arc::new).collect(), newest, limit))
    }

    /// The same, once something was saved. From memory, if this reader is not too far behind.
    pub async fn read_more(&mut self, limit: usize) -> Result<Vec<Arc<Saved>>, StoreError> {
        self.waiting.changed().await?;
        match self.tail.after(self.after, &self.wanted, &self.lives, limit) {
            Some((events, newest)) => Ok(self.moved_past(events, newest, limit)),
            None => self.read(limit).await,
        }
    }

    fn moved_past(&mut self, events: Vec<Arc<Saved>>, newest: i64, limit: usize) -> Vec<Arc<Saved>> {
        self.after = match events.last() {
            Some(last) if events.len() == limit => {
                // There may be more already.
                self.waiting.look_again();
                last.seq
            }
            Some(last) => last.seq.max(newest),
            None => self.after.max(newest),
        };
        events
    }
}

/// Up to `limit` events after `seq`, oldest first. Those whose content retention has removed are passed over.
pub(super) async fn after(
    pool: &SqlitePool,
    seq: i64,
    wanted: &Wanted,
    lives: &Lives,
    limit: usize,
) -> Result<Vec<Saved>, sqlx::Error> {
    let mut sql = QueryBuilder::<Sqlite>::new("SELECT seq, id, session, name, type, body FROM events WHERE seq > ");
    sql.push_bind(seq).push(" AND body <> ''");
    match wanted.now(lives).of {
        Of::Any => {}
        Of::Current => {
            sql.push(" AND session IN (SELECT life FROM lives WHERE to_at IS NULL)");
        }
        Of::These(these) => {
            sql.push(" AND session IN (");
            let mut list = sql.separated(", ");
            for life in these {
                list.push_bind(life.id());
            }
            sql.push(")");
        }
    }
    if !wanted.types.is_empty() {
        list(&mut sql, " AND type IN ", wanted.types.iter().map(String::as_str));
    }
    if !wanted.hidden.is_empty() {
        list(&mut sql, " AND type NOT IN ", wanted.hidden.iter().copied());
    }
    sql.push(" ORDER BY seq LIMIT ").push_bind(i64::try_from(limit).unwrap_or(i64::MAX));
    let rows = sql.build().fetch_all(pool).await?;
    let saved = |row: &sqlx::sqlite::SqliteRow| Saved {
        seq: row.get("seq"),
        id: row.get("id"),
        session: Life::read(row.get("session"), row.get("name")),
        kind: row.get("type"),
        body: row.get("body"),
    };
    Ok(rows.iter().map(saved).collect())
}

/// No row is in an empty list.
fn list<'a>(sql: &mut QueryBuilder<Sqlite>, condition: &str, texts: impl Iterator<Item = &'a str>) {
    sql.push(condition).push("(");
    let mut list = sql.separated(", ");
    for text in texts {
        list.push_bind(text.to_owned());
    }
    sql.push(")");
}

/// The place of the newest event; 0 when there is none.
pub(super) async fn newest(pool: &SqlitePool) -> Result<i64, sqlx::Error> {
    // What is removed is not given out again, so the counter knows of more than the rows.
    sqlx::query_scalar("SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0)")
        .fetch_one(pool)
        .await
}
