//! Tests of the retention: what goes, and what stays.

use crate::app::retention::*;
use crate::config::RetentionPolicy;
use crate::model::event::MessageKey;
use crate::model::message::Message;
use crate::store::history::{HistoryImport, NewHistoryMessage};
use crate::store::{DeliveryOutcome, EventFilter, Life, NewEvent, SettledDelivery};

const DAY: Duration = Duration::from_secs(24 * 3600);
const RETENTION: RetentionPolicy = RetentionPolicy {
    events: DAY.saturating_mul(30),
    dead: DAY.saturating_mul(90),
    activity: DAY.saturating_mul(90),
    size: u64::MAX,
};

/// A store with one endpoint, and a folder that lives as long.
async fn store() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = Store::open(&folder.path().join("wapi.db"), Clock::system())
        .await
        .unwrap();
    store
        .webhooks()
        .save_endpoint("hook", "http://127.0.0.1/", &[])
        .await
        .unwrap();
    (store, folder)
}

async fn sweep(store: &Store, retention: RetentionPolicy, later: Duration) {
    let clock = Clock::system();
    RetentionSweep {
        retention,
        store,
        clock: &clock,
    }
    .run(clock.now() + later)
    .await
    .unwrap();
}

fn message(id: &str, body: &str) -> NewEvent {
    NewEvent {
        id: format!("evt_{id}_{}", rand::random::<u32>()),
        session: Life::for_test(1, "shop"),
        chat: format!("chat {id}"),
        message: Some(MessageKey {
            chat: "ann".to_owned(),
            sender: "ann".to_owned(),
            id: id.to_owned(),
        }),
        kind: "message.received",
        body: format!("{{\"n\":\"{body}\"}}"),
        facts: Vec::new(),
    }
}

/// Saves an event and records the outcome of its delivery.
async fn record_delivery(store: &Store, event: NewEvent, outcome: DeliveryOutcome) {
    let chat = event.chat.clone();
    store.events().append_events(vec![event]).await.unwrap();
    let due = store
        .deliveries()
        .due_deliveries(Timestamp::MAX, 1_000)
        .await
        .unwrap();
    let delivery = due.iter().find(|due| due.chat == chat).unwrap().delivery;
    store
        .deliveries()
        .settle_delivery(SettledDelivery { delivery, outcome })
        .await
        .unwrap();
}

/// Returns the bodies of all events that the feed still has.
async fn kept(store: &Store) -> Vec<String> {
    let saved = store
        .events()
        .open_reader(0, EventFilter::default())
        .read_page(10_000)
        .await
        .unwrap();
    saved.iter().map(|saved| saved.body.to_string()).collect()
}

fn dead() -> DeliveryOutcome {
    DeliveryOutcome::Dead {
        error: "500".into(),
    }
}

#[tokio::test]
async fn what_is_old_goes_and_what_is_waited_for_stays() {
    let (store, _folder) = store().await;
    record_delivery(
        &store,
        message("1", "delivered"),
        DeliveryOutcome::Delivered,
    )
    .await;
    store
        .events()
        .append_events(vec![message("2", "waiting")])
        .await
        .unwrap();
    record_delivery(&store, message("3", "dead"), dead()).await;
    let of_session = NewEvent {
        message: None,
        kind: "session.status",
        ..message("4", "status")
    };
    record_delivery(&store, of_session, DeliveryOutcome::Delivered).await;
    sweep(&store, RETENTION, DAY * 29).await;
    assert_eq!(kept(&store).await.len(), 4);
    sweep(&store, RETENTION, DAY * 31).await;
    assert_eq!(
        kept(&store).await,
        [r#"{"n":"waiting"}"#, r#"{"n":"dead"}"#]
    );
    sweep(&store, RETENTION, DAY * 91).await;
    assert_eq!(kept(&store).await, [r#"{"n":"waiting"}"#]);
    let due = store
        .deliveries()
        .due_deliveries(Timestamp::MAX, 10)
        .await
        .unwrap();
    assert_eq!(due.len(), 1, "what waits is still delivered");
}

/// A time of day that is wrong as long as it is shifted.
#[derive(Default, Clone)]
struct Astray(std::sync::Arc<std::sync::atomic::AtomicI64>);

impl crate::system::clock::TimeSource for Astray {
    fn now(&self) -> Timestamp {
        let off = self.0.load(std::sync::atomic::Ordering::Relaxed);
        Clock::system().now() + jiff::SignedDuration::from_secs(off)
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> futures_util::future::BoxFuture<'static, ()> {
        Box::pin(async {})
    }
}

#[tokio::test]
async fn an_event_from_the_future_does_not_keep_what_came_after_it() {
    let folder = tempfile::tempdir().unwrap();
    let time = Astray::default();
    let store = Store::open(&folder.path().join("wapi.db"), Clock::new(time.clone()))
        .await
        .unwrap();
    store
        .webhooks()
        .save_endpoint("hook", "http://127.0.0.1/", &["message.received"])
        .await
        .unwrap();
    record_delivery(&store, message("1", "before"), DeliveryOutcome::Delivered).await;
    time.0
        .store(400 * 24 * 3_600, std::sync::atomic::Ordering::Relaxed);
    record_delivery(&store, message("2", "astray"), DeliveryOutcome::Delivered).await;
    time.0.store(0, std::sync::atomic::Ordering::Relaxed);
    record_delivery(&store, message("3", "after"), DeliveryOutcome::Delivered).await;
    sweep(&store, RETENTION, DAY * 31).await;
    assert_eq!(kept(&store).await, [r#"{"n":"astray"}"#]);
    sweep(&store, RETENTION, DAY * 432).await;
    assert_eq!(kept(&store).await, [""; 0]);
}

#[tokio::test]
async fn a_message_that_comes_again_is_recognised_for_45_days_and_places_are_never_given_out_twice()
{
    let (store, folder) = store().await;
    record_delivery(&store, message("1", "once"), DeliveryOutcome::Delivered).await;
    sweep(&store, RETENTION, DAY * 44).await;
    store
        .events()
        .append_events(vec![message("1", "again")])
        .await
        .unwrap();
    assert_eq!(
        store
            .deliveries()
            .due_deliveries(Timestamp::MAX, 10)
            .await
            .unwrap(),
        []
    );
    assert_eq!(kept(&store).await, [""; 0]);
    sweep(&store, RETENTION, DAY * 46).await;
    store.close().await;
    let store = Store::open(&folder.path().join("wapi.db"), Clock::system())
        .await
        .unwrap();
    let before = store.events().newest_position();
    assert!(before >= 1, "a reader's place outlives what it read");
    record_delivery(&store, message("1", "anew"), DeliveryOutcome::Delivered).await;
    assert!(store.events().newest_position() > before);
    assert_eq!(kept(&store).await, [r#"{"n":"anew"}"#]);
}

#[tokio::test]
async fn a_database_that_is_too_large_loses_its_oldest_events_and_its_file_shrinks() {
    let (store, folder) = store().await;
    let file = folder.path().join("wapi.db");
    let large = |number: usize| message(&format!("{number:03}"), &"x".repeat(10_000));
    store
        .events()
        .append_events((0..600).map(large).collect())
        .await
        .unwrap();
    let settle = |due: crate::store::DueDelivery| {
        let settled = SettledDelivery {
            delivery: due.delivery,
            outcome: DeliveryOutcome::Delivered,
        };
        let store = &store;
        async move { store.deliveries().settle_delivery(settled).await.unwrap() }
    };
    let due = store
        .deliveries()
        .due_deliveries(Timestamp::MAX, 1_000)
        .await
        .unwrap();
    futures_util::future::join_all(due.into_iter().map(settle)).await;
    store
        .events()
        .append_events(vec![NewEvent {
            chat: "late".to_owned(),
            ..large(600)
        }])
        .await
        .unwrap();
    let before = store.database_size().await.unwrap().0;
    assert!(before > 6_000_000, "{before}");
    sweep(
        &store,
        RetentionPolicy {
            size: 3_000_000,
            ..RETENTION
        },
        Duration::from_secs(1),
    )
    .await;
    let (used, free) = store.database_size().await.unwrap();
    assert!(
        used <= 3_000_000 && free <= MAX_FREE_BYTES,
        "{used} and {free}"
    );
    assert!(kept(&store).await.len() > 100, "no more went than had to");
    store.close().await;
    let size = std::fs::metadata(&file).unwrap().len();
    assert!(
        size <= 3_000_000 + MAX_FREE_BYTES,
        "the file has {size} bytes"
    );
}

#[tokio::test]
async fn a_large_history_takes_no_event_away() {
    let (store, _folder) = store().await;
    record_delivery(
        &store,
        message("1", "delivered"),
        DeliveryOutcome::Delivered,
    )
    .await;
    let text = |number: i64| NewHistoryMessage {
        chat: "375440000001@s.whatsapp.net".to_owned(),
        id: number.to_string(),
        from: None,
        at: Timestamp::from_second(number).unwrap(),
        // Each character has two bytes.
        message: Message::from_text("ў".repeat(5_000)),
        is_in_log: false,
        status: None,
        reactions: Vec::new(),
    };
    let import = HistoryImport {
        messages: (0..500).map(text).collect(),
        ..HistoryImport::default()
    };
    let (history, life) = (store.history(), Life::for_test(1, "shop"));
    history.import_history(&life, &import).await.unwrap();
    assert!(store.database_size().await.unwrap().0 > 5_000_000);
    let retention = RetentionPolicy {
        size: 1_000_000,
        ..RETENTION
    };
    sweep(&store, retention, DAY).await;
    assert_eq!(kept(&store).await, [r#"{"n":"delivered"}"#]);
}

#[tokio::test]
async fn what_is_waited_for_stays_however_large_it_is() {
    let (store, _folder) = store().await;
    for number in 0..50 {
        store
            .events()
            .append_events(vec![message(&number.to_string(), &"x".repeat(10_000))])
            .await
            .unwrap();
    }
    sweep(
        &store,
        RetentionPolicy {
            size: 1,
            ..RETENTION
        },
        DAY,
    )
    .await;
    assert_eq!(kept(&store).await.len(), 50);
}
