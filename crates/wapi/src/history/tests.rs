//! Tests of the projection over a store of its own.

use std::path::Path;
use std::time::Duration;

use futures_util::future::BoxFuture;
use jiff::Timestamp;

use super::*;
use crate::model::event::{
    ChatChange, ChatUpdated, Event, EventData, MessageKey, MessageOrigin, Person, ReceivedMessage,
};
use crate::model::message::Message;
use crate::store::history::PageAnchor;
use crate::store::{NewEvent, RetentionLimits, Store};
use crate::system::clock::{Clock, TimeSource};
use crate::system::lifecycle::{FinishReport, Lifecycle};

const ANN: &str = "375440000001@s.whatsapp.net";
const PATIENCE: Duration = Duration::from_secs(60);

struct TestHistory {
    store: Store,
    history: History,
    lifecycle: Lifecycle,
}

impl TestHistory {
    async fn open(root: &Path, policy: HistoryPolicy) -> Self {
        Self::open_at(root, policy, Clock::system()).await
    }

    async fn open_at(root: &Path, policy: HistoryPolicy, clock: Clock) -> Self {
        // The store's own time is that of the system.
        let store = Store::open(&root.join("wapi.db"), Clock::system())
            .await
            .unwrap();
        let lifecycle = Lifecycle::new();
        let history = History::start(policy, store.clone(), clock, &lifecycle)
            .await
            .unwrap();
        Self {
            store,
            history,
            lifecycle,
        }
    }

    async fn close(self) {
        let finish = self.lifecycle.finish(&Clock::system(), PATIENCE).await;
        assert_eq!(
            finish.merge_with(self.store.close().await),
            FinishReport {
                dropped: 0,
                panicked: 0
            }
        );
    }

    /// Returns the number of recorded messages once all events are read, and how many of them are
    /// unread.
    async fn count_messages(&self) -> (usize, u32) {
        let newest = self.store.events().newest_position();
        self.history.inner.wake.notify_one();
        let mut progress = self.history.inner.progress.subscribe();
        let read = progress.wait_for(|done| *done >= newest);
        Clock::system()
            .timeout(PATIENCE, read)
            .await
            .expect("it is read")
            .unwrap();
        let kept = self.history.current().await.unwrap();
        let (mut messages, mut side) = (0, PageAnchor::Newest);
        loop {
            let (page, _) = kept
                .list_messages(&Life::for_test(1, "shop"), ANN, side, 500)
                .await
                .unwrap();
            let Some(oldest) = page.last() else { break };
            (messages, side) = (messages + page.len(), PageAnchor::Before(oldest.cursor));
        }
        (
            messages,
            kept.find_chat(&Life::for_test(1, "shop"), ANN)
                .await
                .unwrap()
                .map_or(0, |chat| chat.unread),
        )
    }
}

fn new_message_event(number: u32) -> NewEvent {
    let id = format!("3EB0{number}");
    let from = Person {
        id: ANN.to_owned(),
        phone: Some("375440000001".to_owned()),
        ..Person::default()
    };
    let data = EventData::MessageReceived(Box::new(ReceivedMessage {
        origin: MessageOrigin {
            session: "shop".to_owned(),
            id: id.clone(),
            chat: ANN.to_owned(),
            from,
            from_me: false,
            timestamp: Clock::system().now(),
            offline: false,
        },
        message: Message::from_text(format!("number {number}")),
    }));
    let key = MessageKey {
        chat: ANN.to_owned(),
        sender: ANN.to_owned(),
        id,
    };
    NewEvent::for_message(
        &Life::for_test(1, "shop"),
        ANN,
        key,
        &Event::new(data, Clock::system().now()),
    )
}

async fn append_messages(store: &Store, numbers: std::ops::Range<u32>) {
    let all: Vec<u32> = numbers.collect();
    for some in all.chunks(500) {
        store
            .events()
            .append_events(
                some.iter()
                    .map(|number| new_message_event(*number))
                    .collect(),
            )
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_happens_is_kept_once_across_restarts_and_while_history_is_off() {
    let folder = tempfile::tempdir().unwrap();
    let stage = TestHistory::open(folder.path(), HistoryPolicy::Forever).await;
    append_messages(&stage.store, 0..700).await;
    assert_eq!(stage.count_messages().await, (700, 700));
    stage.close().await;
    let stage = TestHistory::open(folder.path(), HistoryPolicy::Off).await;
    append_messages(&stage.store, 700..710).await;
    assert!(stage.history.current().await.is_err());
    stage.close().await;
    let stage =
        TestHistory::open(folder.path(), HistoryPolicy::For(Duration::from_secs(3600))).await;
    assert_eq!(stage.count_messages().await, (710, 710));
    let change = ChatChange {
        unread: Some(false),
        ..ChatChange::default()
    };
    let chat = Person {
        id: ANN.to_owned(),
        ..Person::default()
    };
    let read = EventData::ChatUpdated(Box::new(ChatUpdated {
        session: "shop".to_owned(),
        chat,
        change,
    }));
    let event = Event::new(read, Clock::system().now());
    stage
        .store
        .events()
        .append_events(vec![NewEvent::for_session(
            &Life::for_test(1, "shop"),
            &event,
        )])
        .await
        .unwrap();
    assert_eq!(stage.count_messages().await, (710, 0));
    let later = Clock::system().now() + Duration::from_secs(7200);
    stage.history.remove_expired(later).await.unwrap();
    assert_eq!(stage.count_messages().await, (0, 0));
    stage.close().await;
}

#[tokio::test]
async fn events_stay_until_they_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let stage = TestHistory::open(folder.path(), HistoryPolicy::Forever).await;
    append_messages(&stage.store, 0..10).await;
    stage.count_messages().await;
    // As if the rest had yet to be read.
    stage.store.events().hold_events_after(4);
    let later = Clock::system().now() + Duration::from_secs(3600);
    let cut = RetentionLimits {
        events: later,
        dead: later,
        dedup: later,
        now: later,
    };
    assert_eq!(
        stage
            .store
            .events()
            .remove_old_events(0, 100, cut)
            .await
            .unwrap()
            .removed,
        4
    );
    stage.store.events().hold_events_after(10);
    assert_eq!(
        stage
            .store
            .events()
            .remove_old_events(0, 100, cut)
            .await
            .unwrap()
            .removed,
        6
    );
    // Their messages have their contents from there.
    let (page, _) = stage
        .store
        .history()
        .list_messages(&Life::for_test(1, "shop"), ANN, PageAnchor::Newest, 20)
        .await
        .unwrap();
    let text = |number: u32| Some(Message::from_text(format!("number {number}")));
    let expected: Vec<_> = (0..10).rev().map(text).collect();
    let found: Vec<_> = page.into_iter().map(|message| message.message).collect();
    assert_eq!(found, expected);
    stage.close().await;
}

#[tokio::test]
async fn a_history_that_is_off_goes_after_a_while() {
    let folder = tempfile::tempdir().unwrap();
    let stage = TestHistory::open(folder.path(), HistoryPolicy::Forever).await;
    append_messages(&stage.store, 0..400).await;
    assert_eq!(stage.count_messages().await, (400, 400));
    assert!(stage.store.history().size().await.unwrap() > 400 * 300);
    stage.close().await;
    let stage = TestHistory::open(folder.path(), HistoryPolicy::Off).await;
    stage.history.forget_session("none").await.unwrap();
    let now = Clock::system().now();
    stage.history.remove_expired(now).await.unwrap();
    assert_eq!(stage.store.history().size().await.unwrap(), 0);
    stage.close().await;
    // What the log still has does not come back: sessions and messages may have been deleted.
    let stage = TestHistory::open(folder.path(), HistoryPolicy::Forever).await;
    assert_eq!(stage.count_messages().await, (0, 0));
    append_messages(&stage.store, 400..403).await;
    assert_eq!(stage.count_messages().await, (3, 3));
    stage.close().await;
}

/// Time whose seconds never end.
struct EndlessSeconds;

impl TimeSource for EndlessSeconds {
    fn now(&self) -> Timestamp {
        Clock::system().now()
    }

    fn uptime(&self) -> Duration {
        Clock::system().uptime()
    }

    fn sleep(&self, time: Duration) -> BoxFuture<'static, ()> {
        if time >= Duration::from_secs(1) {
            return Box::pin(std::future::pending());
        }
        Box::pin(async move { Clock::system().sleep(time).await })
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_reads_does_not_wait_for_more_to_come() {
    let folder = tempfile::tempdir().unwrap();
    let clock = Clock::new(EndlessSeconds);
    let stage = TestHistory::open_at(folder.path(), HistoryPolicy::Forever, clock).await;
    for number in 0..400 {
        let read = async |number: u32| {
            append_messages(&stage.store, number..number + 1).await;
            stage.history.current().await.unwrap();
        };
        let both = async { tokio::join!(read(2 * number), read(2 * number + 1)) };
        let clock = Clock::system();
        let limit = clock.timeout(PATIENCE, both);
        limit.await.expect("nobody waits for a second");
    }
    stage.close().await;
}

/// Number of events to catch up on; tried with 100,000.
const BEHIND: u32 = 5_000;

#[tokio::test]
async fn whoever_is_far_behind_catches_up() {
    let folder = tempfile::tempdir().unwrap();
    let stage = TestHistory::open(folder.path(), HistoryPolicy::Off).await;
    append_messages(&stage.store, 0..BEHIND).await;
    stage.close().await;
    let clock = Clock::system();
    let started = clock.uptime();
    let stage = TestHistory::open(folder.path(), HistoryPolicy::Forever).await;
    let mut slowest = Duration::ZERO;
    for number in BEHIND..BEHIND + 20 {
        let asked = clock.uptime();
        stage
            .store
            .events()
            .append_events(vec![new_message_event(number)])
            .await
            .unwrap();
        slowest = slowest.max(clock.uptime().saturating_sub(asked));
    }
    assert_eq!(
        stage.count_messages().await,
        (BEHIND as usize + 20, BEHIND + 20)
    );
    let took = clock.uptime().saturating_sub(started);
    eprintln!(
        "{BEHIND} events were read in {took:?}; the slowest commit beside it took {slowest:?}"
    );
    stage.close().await;
}
