//! The only room with SQL: what must not be lost, and the saved sessions.
//!
//! Everything goes through one writer that commits many changes at once ([`writer`]), so that a disk sync is shared by all sessions
//! that have something to save at the moment. Whoever asks for a change is answered after the sync.

pub mod session_file;

mod deliveries;
mod events;
mod feed;
mod migrations;
mod writer;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous};

use tokio::sync::watch;

use crate::clock::Clock;
use crate::lifecycle::{Finish, Lifecycle};

pub use deliveries::{Due, Outcome, Settled};
pub use events::NewEvent;
pub use feed::{Saved, Wanted};
use writer::Writer;

/// How long SQLite waits for another process that holds the file.
const BUSY: Duration = Duration::from_secs(5);
/// How long closing may take.
const CLOSING: Duration = Duration::from_secs(10);
/// Connections for questions; the writer has one of its own.
const READERS: u32 = 2;

/// Why something could not be saved or read. Nothing was changed.
#[derive(Debug, Clone, thiserror::Error)]
#[error("the database failed: {0}")]
pub struct StoreError(Arc<str>);

impl From<sqlx::Error> for StoreError {
    fn from(error: sqlx::Error) -> Self {
        Self(error.to_string().into())
    }
}

/// The database of the gateway; cheap to clone.
#[derive(Clone)]
pub struct Store {
    readers: SqlitePool,
    writer: Writer,
    /// A family of its own: the writer ends after everybody who has something to save.
    tasks: Lifecycle,
    clock: Clock,
}

impl Store {
    /// Opens the database or makes it, and brings its tables up to date. One that a newer program wrote is refused.
    pub async fn open(file: &Path, clock: Clock) -> Result<Self> {
        Self::open_with(SqliteConnectOptions::new(), file, clock).await
    }

    async fn open_with(options: SqliteConnectOptions, file: &Path, clock: Clock) -> Result<Self> {
        make_private(file).with_context(|| format!("making {}", file.display()))?;
        let options = options
            .filename(file)
            .journal_mode(SqliteJournalMode::Wal)
            .synchronous(SqliteSynchronous::Full)
            .busy_timeout(BUSY)
            .foreign_keys(true)
            .disable_statement_logging();
        let name = file.display();
        let mut connection = options.connect().await.with_context(|| format!("opening {name}"))?;
        migrations::run(&mut connection).await.with_context(|| format!("preparing {name}"))?;
        let readers = SqlitePoolOptions::new().max_connections(READERS).connect_lazy_with(options.read_only(true));
        let tasks = Lifecycle::new();
        let writer = Writer::start(connection, clock.clone(), &tasks);
        Ok(Self { readers, writer, tasks, clock })
    }

    /// Saves what was brought so far and closes the file. For the very end of the program.
    pub async fn close(&self) -> Finish {
        let finish = self.tasks.finish(&self.clock, CLOSING).await;
        self.readers.close().await;
        finish
    }

    /// Sets where an endpoint is; makes it if it is new.
    pub async fn put_endpoint(&self, id: &str, url: &str) -> Result<(), StoreError> {
        self.writer.put_endpoint(id, url).await
    }

    /// Saves events together with their deliveries to every endpoint. An event that is there already is left as it is.
    pub async fn append(&self, events: Vec<NewEvent>) -> Result<(), StoreError> {
        self.writer.append(events).await
    }

    /// Saves what became of an attempt, and what its chat's next one is.
    pub async fn settle(&self, settled: Settled) -> Result<(), StoreError> {
        self.writer.settle(settled).await
    }

    /// Up to `limit` deliveries that are due, the longest due first; one for each chat.
    pub async fn due(&self, now: Timestamp, limit: usize) -> Result<Vec<Due>, StoreError> {
        Ok(deliveries::due(&self.readers, now, limit).await?)
    }

    /// When the next delivery that is not due yet will be.
    pub async fn next_due(&self, now: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        Ok(deliveries::next_due(&self.readers, now).await?)
    }

    /// Up to `limit` events after a place, oldest first, and the place to go on from: that of the last one, or, when there are no more,
    /// that of the newest event of any kind.
    pub async fn events_after(&self, seq: i64, wanted: &Wanted, limit: usize) -> Result<(Vec<Saved>, i64), StoreError> {
        // Asked first: what comes in between is found the next time.
        let newest = feed::newest(&self.readers).await?;
        let events = feed::after(&self.readers, seq, wanted, limit).await?;
        let next = match events.last() {
            Some(last) if events.len() == limit => last.seq,
            Some(last) => last.seq.max(newest),
            None => seq.max(newest),
        };
        Ok((events, next))
    }

    /// Rings at every commit from now on.
    pub fn commits(&self) -> watch::Receiver<()> {
        self.writer.commits()
    }

    /// Completes when something was saved that may be due.
    pub async fn changed(&self) {
        self.writer.changed().await;
    }

    /// What is wrong, while nothing can be saved.
    pub fn trouble(&self) -> Option<StoreError> {
        self.writer.trouble()
    }
}

/// Messages and numbers are nobody else's business; SQLite gives the files beside this one the same rights.
fn make_private(file: &Path) -> std::io::Result<()> {
    use std::os::unix::fs::OpenOptionsExt;
    std::fs::OpenOptions::new().create(true).append(true).mode(0o600).open(file).map(drop)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A store in a folder of its own, with one endpoint.
    async fn store() -> (Store, tempfile::TempDir) {
        let folder = tempfile::tempdir().unwrap();
        let store = open(&folder).await;
        store.put_endpoint("hook", "http://127.0.0.1/").await.unwrap();
        (store, folder)
    }

    async fn open(folder: &tempfile::TempDir) -> Store {
        Store::open(&folder.path().join("wapi.db"), Clock::system()).await.unwrap()
    }

    fn event(chat: &str, id: &str) -> NewEvent {
        NewEvent {
            id: format!("evt_{chat}_{id}_{}", rand::random::<u32>()),
            session: "shop".to_owned(),
            chat: chat.to_owned(),
            message: Some(("ann".to_owned(), id.to_owned())),
            kind: "message.received".to_owned(),
            body: format!("{{\"n\":\"{id}\"}}"),
        }
    }

    fn soon() -> Timestamp {
        Clock::system().now() + jiff::SignedDuration::from_secs(1)
    }

    async fn due(store: &Store) -> Vec<(String, String)> {
        let due = store.due(soon(), 100).await.unwrap();
        due.into_iter().map(|due| (due.chat, due.message_id.unwrap())).collect()
    }

    async fn settle(store: &Store, chat: &str, outcome: Outcome) {
        let due = store.due(soon(), 100).await.unwrap();
        let delivery = due.into_iter().find(|due| due.chat == chat).unwrap().delivery;
        store.settle(Settled { delivery, outcome }).await.unwrap();
    }

    fn pair(chat: &str, id: &str) -> (String, String) {
        (chat.to_owned(), id.to_owned())
    }

    #[tokio::test]
    async fn each_chat_offers_its_oldest_and_goes_on_when_that_is_settled() {
        let (store, _folder) = store().await;
        store.append(vec![event("a", "1"), event("a", "2"), event("b", "1")]).await.unwrap();
        assert_eq!(due(&store).await, [pair("a", "1"), pair("b", "1")]);
        settle(&store, "a", Outcome::Delivered).await;
        assert_eq!(due(&store).await, [pair("b", "1"), pair("a", "2")]);
        let later = soon() + jiff::SignedDuration::from_hours(1);
        settle(&store, "a", Outcome::Again { error: "500".to_owned(), due_at: later }).await;
        store.append(vec![event("a", "3")]).await.unwrap();
        assert_eq!(due(&store).await, [pair("b", "1")], "nothing overtakes within a chat");
        assert_eq!(store.next_due(soon()).await.unwrap().unwrap().as_millisecond(), later.as_millisecond());
        settle(&store, "b", Outcome::Dead { error: "gone".to_owned() }).await;
        assert_eq!(due(&store).await, []);
    }

    #[tokio::test]
    async fn a_message_that_comes_again_is_the_same_event() {
        let (store, folder) = store().await;
        store.append(vec![event("a", "1"), event("a", "1")]).await.unwrap();
        store.append(vec![event("a", "1"), event("a", "2")]).await.unwrap();
        settle(&store, "a", Outcome::Delivered).await;
        store.append(vec![event("a", "1")]).await.unwrap();
        assert_eq!(due(&store).await, [pair("a", "2")]);
        store.close().await;
        let store = open(&folder).await;
        store.append(vec![event("a", "1")]).await.unwrap();
        assert_eq!(due(&store).await, [pair("a", "2")], "a restart forgets nothing");
    }

    #[tokio::test]
    async fn a_delivery_that_steps_aside_lets_its_chat_go_on_and_is_tried_by_itself() {
        let (store, _folder) = store().await;
        store.append(vec![event("a", "1"), event("a", "2")]).await.unwrap();
        let aside = Outcome::Aside { error: "400".to_owned(), due_at: soon() };
        settle(&store, "a", aside).await;
        assert_eq!(due(&store).await[0], pair("a", "2"));
        settle(&store, "a", Outcome::Delivered).await;
        let left = store.due(soon() + jiff::SignedDuration::from_secs(5), 100).await.unwrap();
        assert_eq!(left.len(), 1);
        assert!(left[0].is_aside);
        assert_eq!((left[0].message_id.as_deref(), left[0].attempts), (Some("1"), 1));
        store.settle(Settled { delivery: left[0].delivery, outcome: Outcome::Delivered }).await.unwrap();
        assert_eq!(store.due(soon() + jiff::SignedDuration::from_secs(5), 100).await.unwrap(), []);
    }

    #[tokio::test]
    async fn many_at_once_share_a_commit_and_each_is_there() {
        let (store, _folder) = store().await;
        let appends = (0..1_000).map(|number| {
            let store = store.clone();
            async move { store.append(vec![event(&format!("chat {}", number % 10), &number.to_string())]).await }
        });
        let outcomes = futures_util::future::join_all(appends).await;
        assert!(outcomes.iter().all(Result::is_ok));
        let mut seen = 0;
        loop {
            let due = store.due(soon(), 100).await.unwrap();
            if due.is_empty() {
                break;
            }
            seen += due.len();
            let settled = due.into_iter().map(|due| {
                let store = store.clone();
                async move { store.settle(Settled { delivery: due.delivery, outcome: Outcome::Delivered }).await }
            });
            assert!(futures_util::future::join_all(settled).await.iter().all(Result::is_ok));
        }
        assert_eq!(seen, 1_000);
    }

    #[tokio::test]
    async fn a_full_disk_refuses_what_does_not_fit_and_nothing_afterwards_that_does() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("wapi.db");
        let small = SqliteConnectOptions::new().pragma("max_page_count", "60");
        let store = Store::open_with(small, &file, Clock::system()).await.unwrap();
        store.put_endpoint("hook", "http://127.0.0.1/").await.unwrap();
        let large = |number: usize| NewEvent { body: "x".repeat(20_000), ..event("a", &number.to_string()) };
        let mut saved = 0;
        while store.append(vec![large(saved)]).await.is_ok() {
            saved += 1;
        }
        assert!(store.trouble().unwrap().to_string().contains("full"));
        store.put_endpoint("hook", "http://127.0.0.2/").await.unwrap();
        assert!(store.trouble().is_none());
        assert!(store.append(vec![large(saved)]).await.is_err());
        assert_eq!(due(&store).await, [pair("a", "0")], "what was saved is there");
        let found = Clock::system();
        found
            .timeout(Duration::from_secs(30), async {
                while store.trouble().is_some() {
                    tokio::task::yield_now().await;
                }
            })
            .await
            .expect("the writer finds out by itself that small things can be saved");
    }

    #[tokio::test]
    async fn an_outcome_that_is_saved_twice_counts_once() {
        let (store, _folder) = store().await;
        store.append(vec![event("a", "1"), event("a", "2")]).await.unwrap();
        let first = store.due(soon(), 1).await.unwrap().remove(0).delivery;
        let aside = || Outcome::Aside { error: "400".to_owned(), due_at: soon() };
        for outcome in [aside(), aside()] {
            store.settle(Settled { delivery: first, outcome }).await.unwrap();
        }
        store.settle(Settled { delivery: first, outcome: Outcome::Delivered }).await.unwrap();
        for outcome in [aside(), Outcome::Delivered, Outcome::Dead { error: "late".to_owned() }] {
            store.settle(Settled { delivery: first, outcome }).await.unwrap();
        }
        assert_eq!(due(&store).await, [pair("a", "2")]);
    }

    #[tokio::test]
    async fn what_another_process_holds_cannot_be_written_and_is_writable_afterwards() {
        let (store, folder) = store().await;
        let mut other = SqliteConnectOptions::new().filename(folder.path().join("wapi.db")).connect().await.unwrap();
        sqlx::query("BEGIN EXCLUSIVE").execute(&mut other).await.unwrap();
        assert!(store.append(vec![event("a", "1")]).await.is_err());
        assert!(store.trouble().is_some());
        sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
        store.append(vec![event("a", "1")]).await.unwrap();
        assert!(store.trouble().is_none());
        assert_eq!(due(&store).await, [pair("a", "1")]);
    }
}
