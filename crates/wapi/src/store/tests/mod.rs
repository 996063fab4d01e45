//! Guarantees of the store: order within a chat, no duplicates, no loss.

mod model;
pub(crate) mod writer;

use super::*;
use crate::model::event::MessageKey;
use crate::store::db::{self, Connection, LiteFile};

/// Opens a store in its own folder, with one endpoint.
pub(super) async fn new_store() -> (Store, tempfile::TempDir) {
    let folder = tempfile::tempdir().unwrap();
    let store = open_store(&folder).await;
    store
        .webhooks()
        .save_endpoint("hook", "http://127.0.0.1/", &[])
        .await
        .unwrap();
    (store, folder)
}

pub(super) async fn open_store(folder: &tempfile::TempDir) -> Store {
    Store::open(&folder.path().join("wapi.db"), Clock::system())
        .await
        .unwrap()
}

/// Makes the database in a folder refuse to save the engine's rows, as a disk that is full would.
pub(crate) async fn refuse_engine_rows(folder: &Path) {
    let sql = "CREATE TRIGGER refusal BEFORE INSERT ON engine BEGIN SELECT RAISE(FAIL, 'it is full'); END";
    let mut outside = connect_from_outside(folder).await;
    db::query(sql).execute(&mut outside).await.unwrap();
}

/// Ends the refusal.
pub(crate) async fn accept_engine_rows(folder: &Path) {
    let mut outside = connect_from_outside(folder).await;
    let ending = db::query("DROP TRIGGER refusal").execute(&mut outside);
    ending.await.unwrap();
}

async fn connect_from_outside(folder: &Path) -> Connection {
    let options = LiteFile::new(folder.join("wapi.db"));
    options.connect().await.unwrap()
}

/// A database to which nothing is written meanwhile.
pub(crate) struct HeldDatabase(Connection);

/// Keeps the database in a folder from being written to.
pub(crate) async fn hold_database(folder: &Path) -> HeldDatabase {
    let mut outside = connect_from_outside(folder).await;
    let holding = db::query("BEGIN IMMEDIATE").execute(&mut outside);
    holding.await.unwrap();
    HeldDatabase(outside)
}

impl HeldDatabase {
    pub async fn release(mut self) {
        db::query("ROLLBACK").execute(&mut self.0).await.unwrap();
    }
}

pub(super) fn new_event(chat: &str, id: &str) -> NewEvent {
    NewEvent {
        id: format!("evt_{chat}_{id}_{}", rand::random::<u32>()),
        session: Life::for_test(1, "shop"),
        chat: chat.to_owned(),
        message: Some(MessageKey {
            chat: chat.to_owned(),
            sender: "ann".to_owned(),
            id: id.to_owned(),
        }),
        kind: "message.received",
        body: format!("{{\"n\":\"{id}\"}}"),
        facts: Vec::new(),
    }
}

pub(super) fn soon() -> Timestamp {
    Clock::system().now() + jiff::SignedDuration::from_secs(1)
}

pub(super) async fn due_messages(store: &Store) -> Vec<(String, String)> {
    let due = store
        .deliveries()
        .due_deliveries(soon(), 100)
        .await
        .unwrap();
    due.into_iter()
        .map(|due| (due.chat, due.message.unwrap().id))
        .collect()
}

pub(super) async fn settle_head(store: &Store, chat: &str, outcome: DeliveryOutcome) {
    let due = store
        .deliveries()
        .due_deliveries(soon(), 100)
        .await
        .unwrap();
    let delivery = due
        .into_iter()
        .find(|due| due.chat == chat)
        .unwrap()
        .delivery;
    store
        .deliveries()
        .settle_delivery(SettledDelivery { delivery, outcome })
        .await
        .unwrap();
}

pub(super) fn pair(chat: &str, id: &str) -> (String, String) {
    (chat.to_owned(), id.to_owned())
}

#[tokio::test]
async fn each_chat_offers_its_oldest_and_goes_on_when_that_is_settled() {
    let (store, _folder) = new_store().await;
    store
        .events()
        .append_events(vec![
            new_event("a", "1"),
            new_event("a", "2"),
            new_event("b", "1"),
        ])
        .await
        .unwrap();
    assert_eq!(due_messages(&store).await, [pair("a", "1"), pair("b", "1")]);
    settle_head(&store, "a", DeliveryOutcome::Delivered).await;
    assert_eq!(due_messages(&store).await, [pair("b", "1"), pair("a", "2")]);
    let later = soon() + jiff::SignedDuration::from_hours(1);
    settle_head(
        &store,
        "a",
        DeliveryOutcome::Retry {
            error: "500".into(),
            due_at: later,
        },
    )
    .await;
    store
        .events()
        .append_events(vec![new_event("a", "3")])
        .await
        .unwrap();
    assert_eq!(
        due_messages(&store).await,
        [pair("b", "1")],
        "nothing overtakes within a chat"
    );
    assert_eq!(
        store
            .deliveries()
            .next_due_time(soon())
            .await
            .unwrap()
            .unwrap()
            .as_millisecond(),
        later.as_millisecond()
    );
    settle_head(
        &store,
        "b",
        DeliveryOutcome::Dead {
            error: "gone".into(),
        },
    )
    .await;
    assert_eq!(due_messages(&store).await, []);
}

#[tokio::test]
async fn a_message_that_comes_again_is_the_same_event() {
    let (store, folder) = new_store().await;
    store
        .events()
        .append_events(vec![new_event("a", "1"), new_event("a", "1")])
        .await
        .unwrap();
    store
        .events()
        .append_events(vec![new_event("a", "1"), new_event("a", "2")])
        .await
        .unwrap();
    settle_head(&store, "a", DeliveryOutcome::Delivered).await;
    store
        .events()
        .append_events(vec![new_event("a", "1")])
        .await
        .unwrap();
    assert_eq!(due_messages(&store).await, [pair("a", "2")]);
    store.close().await;
    let store = open_store(&folder).await;
    store
        .events()
        .append_events(vec![new_event("a", "1")])
        .await
        .unwrap();
    assert_eq!(
        due_messages(&store).await,
        [pair("a", "2")],
        "a restart forgets nothing"
    );
}

#[tokio::test]
async fn a_delivery_that_steps_aside_lets_its_chat_go_on_and_is_tried_by_itself() {
    let (store, _folder) = new_store().await;
    store
        .events()
        .append_events(vec![new_event("a", "1"), new_event("a", "2")])
        .await
        .unwrap();
    let aside = DeliveryOutcome::Parked {
        error: "400".into(),
        due_at: soon(),
    };
    settle_head(&store, "a", aside).await;
    assert_eq!(due_messages(&store).await[0], pair("a", "2"));
    settle_head(&store, "a", DeliveryOutcome::Delivered).await;
    let left = store
        .deliveries()
        .due_deliveries(soon() + jiff::SignedDuration::from_secs(5), 100)
        .await
        .unwrap();
    assert_eq!(left.len(), 1);
    assert!(left[0].is_parked);
    assert_eq!(
        (
            left[0].message.as_ref().unwrap().id.as_str(),
            left[0].attempts
        ),
        ("1", 1)
    );
    store
        .deliveries()
        .settle_delivery(SettledDelivery {
            delivery: left[0].delivery,
            outcome: DeliveryOutcome::Delivered,
        })
        .await
        .unwrap();
    assert_eq!(
        store
            .deliveries()
            .due_deliveries(soon() + jiff::SignedDuration::from_secs(5), 100)
            .await
            .unwrap(),
        []
    );
}

#[tokio::test]
async fn many_at_once_share_a_commit_and_each_is_there() {
    let (store, _folder) = new_store().await;
    let appends = (0..1_000).map(|number| {
        let store = store.clone();
        async move {
            store
                .events()
                .append_events(vec![new_event(
                    &format!("chat {}", number % 10),
                    &number.to_string(),
                )])
                .await
        }
    });
    let outcomes = futures_util::future::join_all(appends).await;
    assert!(outcomes.iter().all(Result::is_ok));
    let mut seen = 0;
    loop {
        let due = store
            .deliveries()
            .due_deliveries(soon(), 100)
            .await
            .unwrap();
        if due.is_empty() {
            break;
        }
        seen += due.len();
        let settled = due.into_iter().map(|due| {
            let store = store.clone();
            async move {
                store
                    .deliveries()
                    .settle_delivery(SettledDelivery {
                        delivery: due.delivery,
                        outcome: DeliveryOutcome::Delivered,
                    })
                    .await
            }
        });
        assert!(
            futures_util::future::join_all(settled)
                .await
                .iter()
                .all(Result::is_ok)
        );
    }
    assert_eq!(seen, 1_000);
}

#[tokio::test]
async fn a_full_disk_refuses_what_does_not_fit_and_nothing_afterwards_that_does() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("wapi.db");
    let small = LiteFile::new(&file).with("max_page_count", "160");
    let store = Store::open_with(small, &file, None, Clock::system())
        .await
        .unwrap();
    store
        .webhooks()
        .save_endpoint("hook", "http://127.0.0.1/", &[])
        .await
        .unwrap();
    let large = |number: usize| NewEvent {
        body: "x".repeat(20_000),
        ..new_event("a", &number.to_string())
    };
    let mut saved = 0;
    while store
        .events()
        .append_events(vec![large(saved)])
        .await
        .is_ok()
    {
        saved += 1;
    }
    assert!(store.write_error().unwrap().to_string().contains("full"));
    store
        .webhooks()
        .save_endpoint("hook", "http://127.0.0.2/", &[])
        .await
        .unwrap();
    assert!(store.write_error().is_none());
    assert!(
        store
            .events()
            .append_events(vec![large(saved)])
            .await
            .is_err()
    );
    assert_eq!(
        due_messages(&store).await,
        [pair("a", "0")],
        "what was saved is there"
    );
    let found = Clock::system();
    found
        .timeout(Duration::from_secs(30), async {
            while store.write_error().is_some() {
                tokio::task::yield_now().await;
            }
        })
        .await
        .expect("the writer finds out by itself that small things can be saved");
}

#[tokio::test]
async fn an_outcome_that_is_saved_twice_counts_once() {
    let (store, _folder) = new_store().await;
    store
        .events()
        .append_events(vec![new_event("a", "1"), new_event("a", "2")])
        .await
        .unwrap();
    let first = store
        .deliveries()
        .due_deliveries(soon(), 1)
        .await
        .unwrap()
        .remove(0)
        .delivery;
    let aside = || DeliveryOutcome::Parked {
        error: "400".into(),
        due_at: soon(),
    };
    for outcome in [aside(), aside()] {
        store
            .deliveries()
            .settle_delivery(SettledDelivery {
                delivery: first,
                outcome,
            })
            .await
            .unwrap();
    }
    store
        .deliveries()
        .settle_delivery(SettledDelivery {
            delivery: first,
            outcome: DeliveryOutcome::Delivered,
        })
        .await
        .unwrap();
    for outcome in [
        aside(),
        DeliveryOutcome::Delivered,
        DeliveryOutcome::Dead {
            error: "late".into(),
        },
    ] {
        store
            .deliveries()
            .settle_delivery(SettledDelivery {
                delivery: first,
                outcome,
            })
            .await
            .unwrap();
    }
    assert_eq!(due_messages(&store).await, [pair("a", "2")]);
}

#[tokio::test]
async fn what_another_process_holds_cannot_be_written_and_is_writable_afterwards() {
    let (store, folder) = new_store().await;
    let mut other = LiteFile::new(folder.path().join("wapi.db"))
        .connect()
        .await
        .unwrap();
    db::query("BEGIN EXCLUSIVE")
        .execute(&mut other)
        .await
        .unwrap();
    assert!(
        store
            .events()
            .append_events(vec![new_event("a", "1")])
            .await
            .is_err()
    );
    assert!(store.write_error().is_some());
    db::query("ROLLBACK").execute(&mut other).await.unwrap();
    store
        .events()
        .append_events(vec![new_event("a", "1")])
        .await
        .unwrap();
    assert!(store.write_error().is_none());
    assert_eq!(due_messages(&store).await, [pair("a", "1")]);
}

#[tokio::test]
async fn a_message_is_the_same_when_its_chat_is_known_by_another_address_now() {
    let (store, _folder) = new_store().await;
    store
        .events()
        .append_events(vec![new_event("1@lid", "1")])
        .await
        .unwrap();
    let again = NewEvent {
        chat: "375@s.whatsapp.net".to_owned(),
        ..new_event("1@lid", "1")
    };
    store.events().append_events(vec![again]).await.unwrap();
    assert_eq!(due_messages(&store).await, [pair("1@lid", "1")]);
}

#[tokio::test]
async fn an_endpoint_is_told_what_it_wants_and_nothing_else() {
    let (store, _folder) = new_store().await;
    store
        .webhooks()
        .save_endpoint(
            "hook",
            "http://127.0.0.1/",
            &["session.status", "message.sent"],
        )
        .await
        .unwrap();
    store
        .events()
        .append_events(vec![
            new_event("a", "1"),
            NewEvent {
                kind: "message.sent",
                ..new_event("a", "2")
            },
        ])
        .await
        .unwrap();
    assert_eq!(due_messages(&store).await, [pair("a", "2")]);
}
