//! Tests of the writer: changes that panic, and the pace of commits.

use super::*;

/// A change that panics.
struct PanickingChange;

impl crate::store::writer::StoreChange for PanickingChange {
    type Answer = ();

    async fn write(
        &self,
        _: &mut sqlx::sqlite::SqliteConnection,
        _: Timestamp,
    ) -> Result<(), sqlx::Error> {
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

    async fn write(
        &self,
        _: &mut sqlx::sqlite::SqliteConnection,
        _: Timestamp,
    ) -> Result<(), sqlx::Error> {
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
