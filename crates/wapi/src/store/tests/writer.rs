//! Tests of the writer: changes that panic, and the pace of commits.

use super::*;
use crate::store::db::{self, Connection};

/// A change that panics.
struct PanickingChange;

impl crate::store::writer::StoreChange for PanickingChange {
    type Answer = ();

    async fn write(&self, _: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        panic!("this is what the test wants to see");
    }
}

#[tokio::test]
async fn a_change_that_panics_takes_nobody_with_it() {
    let (store, _folder) = new_store().await;
    let events = store.events();
    let (broken, saved) = tokio::join!(
        store.writer.apply_change(PanickingChange),
        events.append_events(vec![new_event("a", "1")])
    );
    assert!(broken.is_err());
    saved.unwrap();
    store
        .events()
        .append_events(vec![new_event("a", "2")])
        .await
        .unwrap();
    assert_eq!(due_messages(&store).await, [pair("a", "1")]);
    store
        .writer
        .apply_change(PanickingChange)
        .await
        .unwrap_err();
    assert!(
        store.write_error().is_none(),
        "nothing is wrong with the disk"
    );
}

/// Counts the pauses between commits; no other pause is as short. Its uptime stands still, so that no
/// commit takes long, however busy the machine is.
struct CountingClock(Clock, Arc<std::sync::atomic::AtomicUsize>);

impl crate::system::clock::TimeSource for CountingClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn uptime(&self) -> std::time::Duration {
        std::time::Duration::ZERO
    }

    fn sleep(&self, duration: std::time::Duration) -> futures_util::future::BoxFuture<'static, ()> {
        if duration <= std::time::Duration::from_millis(3) {
            self.1.fetch_add(1, std::sync::atomic::Ordering::SeqCst);
        }
        self.0.sleep(duration)
    }
}

#[tokio::test]
async fn commits_keep_a_pace_where_many_wait_and_hold_nobody_back_who_comes_alone() {
    let folder = tempfile::tempdir().unwrap();
    let rests = Arc::<std::sync::atomic::AtomicUsize>::default();
    let clock = Clock::new(CountingClock(Clock::system(), Arc::clone(&rests)));
    let store = Store::open(&folder.path().join("wapi.db"), clock)
        .await
        .unwrap();
    let append = async |id: String| {
        store
            .events()
            .append_events(vec![new_event("a", &id)])
            .await
            .unwrap()
    };
    for number in 0..20 {
        append(format!("alone {number}")).await;
    }
    assert_eq!(rests.load(std::sync::atomic::Ordering::SeqCst), 0);
    for round in 0..20 {
        futures_util::future::join_all((0..8).map(|number| append(format!("{round} {number}"))))
            .await;
    }
    assert!(rests.load(std::sync::atomic::Ordering::SeqCst) > 5);
}

/// The machine's clock, ahead by some seconds.
#[derive(Clone)]
struct AheadClock(Clock, Arc<std::sync::atomic::AtomicU64>);

impl crate::system::clock::TimeSource for AheadClock {
    fn now(&self) -> Timestamp {
        self.0.now()
    }

    fn uptime(&self) -> std::time::Duration {
        let ahead = self.1.load(std::sync::atomic::Ordering::SeqCst);
        self.0.uptime() + std::time::Duration::from_secs(ahead)
    }

    fn sleep(&self, duration: std::time::Duration) -> futures_util::future::BoxFuture<'static, ()> {
        self.0.sleep(duration)
    }
}

/// A change that takes until it is released.
struct HangingChange {
    begun: Arc<tokio::sync::Notify>,
    released: Arc<tokio::sync::Notify>,
}

impl crate::store::writer::StoreChange for HangingChange {
    type Answer = ();

    async fn write(&self, _: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        self.begun.notify_one();
        self.released.notified().await;
        Ok(())
    }
}

#[tokio::test]
async fn a_commit_that_hangs_is_said_to_be_the_disks_fault_while_it_does() {
    let folder = tempfile::tempdir().unwrap();
    let clock = AheadClock(Clock::system(), Arc::default());
    let file = folder.path().join("wapi.db");
    let store = Store::open(&file, Clock::new(clock.clone())).await.unwrap();
    let [begun, released]: [Arc<tokio::sync::Notify>; 2] = Default::default();
    let change = HangingChange {
        begun: Arc::clone(&begun),
        released: Arc::clone(&released),
    };
    let mut saving = Box::pin(store.writer.apply_change(change));
    assert!(futures_util::poll!(&mut saving).is_pending());
    begun.notified().await;
    assert!(store.write_error().is_none(), "a commit takes its time");
    clock.1.store(7, std::sync::atomic::Ordering::SeqCst);
    let error = store.write_error().expect("it hangs").to_string();
    assert!(
        error.contains("its disk has not answered for 7 s"),
        "{error}"
    );
    released.notify_one();
    saving.await.unwrap();
    assert!(store.write_error().is_none(), "it is over");
}

/// Notes a word in a table of the test.
struct NotedWord(&'static str);

impl crate::store::writer::PlainChange for NotedWord {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        let sql = "CREATE TABLE IF NOT EXISTS noted (place INTEGER PRIMARY KEY, word TEXT)";
        db::query(sql).execute(&mut *connection).await?;
        let query = db::query("INSERT INTO noted (word) VALUES ($1)").bind(self.0);
        query.execute(connection).await.map(drop)
    }
}

async fn noted_words(store: &Store) -> Vec<String> {
    let query = db::query_scalar("SELECT word FROM noted ORDER BY place");
    query.fetch_all(&store.readers).await.unwrap()
}

/// A store whose clock stands still, so that no wait ends.
async fn open_standing() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wapi.db");
    let store = Store::open(&file, Clock::new(StandingClock)).await.unwrap();
    (store, folder)
}

type Deferred<'a> =
    std::pin::Pin<Box<dyn Future<Output = Result<Option<()>, crate::store::StoreError>> + 'a>>;

/// Defers a change, which then waits for others.
async fn defer<'a>(
    store: &'a Store,
    word: &'static str,
    urgent: impl Future<Output = ()> + 'a,
) -> Deferred<'a> {
    let mut deferred = Box::pin(store.writer.apply_deferred(NotedWord(word), urgent));
    for _ in 0..100 {
        assert!(futures_util::poll!(deferred.as_mut()).is_pending());
        tokio::task::yield_now().await;
    }
    deferred
}

#[tokio::test]
async fn a_change_that_may_wait_is_in_the_next_commit_of_others() {
    let (store, _folder) = open_standing().await;
    let deferred = defer(&store, "first", std::future::pending()).await;
    // Nothing else can end the wait.
    let other = store.writer.apply_plain(NotedWord("second"));
    let (deferred, other) = tokio::join!(deferred, other);
    assert_eq!((deferred.unwrap(), other.unwrap()), (Some(()), ()));
    assert_eq!(noted_words(&store).await, ["first", "second"]);
}

#[tokio::test]
async fn changes_are_made_in_their_order_whether_they_may_wait_and_whether_anybody_waits_for_them()
{
    let (store, _folder) = open_standing().await;
    for word in ["one", "two", "three"] {
        // Its caller gives up, as one does whose session ends.
        let deferred = store
            .writer
            .apply_deferred(NotedWord(word), std::future::pending());
        assert!(futures_util::FutureExt::now_or_never(deferred).is_none());
        let change = store.writer.apply_plain(NotedWord("and"));
        assert!(futures_util::FutureExt::now_or_never(change).is_none());
    }
    store.writer.apply_plain(NotedWord("four")).await.unwrap();
    let all = ["one", "and", "two", "and", "three", "and", "four"];
    assert_eq!(noted_words(&store).await, all);
}

#[tokio::test]
async fn whoever_is_in_a_hurry_does_not_wait_for_others() {
    let (store, _folder) = open_standing().await;
    let hurry = tokio::sync::Notify::new();
    let deferred = defer(&store, "deferred", hurry.notified()).await;
    hurry.notify_one();
    assert_eq!(deferred.await.unwrap(), None);
    store.writer.apply_plain(NotedWord("again")).await.unwrap();
    assert_eq!(noted_words(&store).await, ["deferred", "again"]);
}

#[tokio::test]
async fn a_change_that_may_wait_waits_for_a_moment_and_the_end_of_the_program_does_not_forget_it() {
    let (store, _folder) = new_store().await;
    let clock = Clock::system();
    let started = clock.uptime();
    let alone = store
        .writer
        .apply_deferred(NotedWord("alone"), std::future::pending());
    assert_eq!(alone.await.unwrap(), Some(()));
    let waited = clock.uptime() - started;
    assert!(
        waited >= crate::store::webhooks::open::SAVE_DELAY,
        "{waited:?}"
    );

    let (store, folder) = open_standing().await;
    let deferred = defer(&store, "last", std::future::pending()).await;
    let (_, saved) = tokio::join!(store.close(), deferred);
    assert_eq!(saved.unwrap(), Some(()));
    let store = open_store(&folder).await;
    assert_eq!(noted_words(&store).await, ["last"]);
}

/// A clock that stands still: no wait ends.
pub(crate) struct StandingClock;

impl crate::system::clock::TimeSource for StandingClock {
    fn now(&self) -> Timestamp {
        Timestamp::UNIX_EPOCH
    }

    fn uptime(&self) -> std::time::Duration {
        std::time::Duration::from_secs(60)
    }

    fn sleep(&self, _: std::time::Duration) -> futures_util::future::BoxFuture<'static, ()> {
        Box::pin(std::future::pending())
    }
}
