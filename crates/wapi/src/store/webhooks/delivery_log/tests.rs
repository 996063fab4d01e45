use crate::store::Store;
use crate::store::db;
use crate::store::tests::{due_messages, new_event, new_store, settle_head, soon};
use crate::store::to_timestamp;
use crate::store::webhooks::delivery_log::*;
use crate::store::{AttemptFailure, DeliveryOutcome, NewEvent};

async fn states(store: &Store, state: Option<DeliveryState>) -> Vec<(String, i64)> {
    let (page, _) = store
        .deliveries()
        .list_deliveries("hook", state, i64::MAX, 100)
        .await
        .unwrap();
    page.into_iter()
        .map(|delivery| (delivery.state, delivery.attempts))
        .collect()
}

#[tokio::test]
async fn deliveries_are_listed_page_by_page_with_what_was_answered() {
    let (store, _folder) = new_store().await;
    store
        .events()
        .append_events(
            (0..5)
                .map(|chat| new_event(&chat.to_string(), "1"))
                .collect(),
        )
        .await
        .unwrap();
    let error = AttemptFailure {
        error: "it answered 400".to_owned(),
        status: Some(400),
        answer: Some("no!".to_owned()),
    };
    settle_head(&store, "0", DeliveryOutcome::Dead { error }).await;
    settle_head(&store, "1", DeliveryOutcome::Delivered).await;
    let dead = store
        .deliveries()
        .list_deliveries("hook", Some(DeliveryState::Dead), i64::MAX, 10)
        .await
        .unwrap();
    let FailedAttempt {
        number,
        status,
        answer,
        ..
    } = &dead.0[0].failed_attempts[0];
    assert_eq!(
        (dead.0.len(), *number, *status, answer.as_deref(), dead.1),
        (1, 1, Some(400), Some("no!"), None)
    );
    let mut seen = Vec::new();
    let mut before = Some(i64::MAX);
    while let Some(place) = before {
        let (page, next) = store
            .deliveries()
            .list_deliveries("hook", None, place, 2)
            .await
            .unwrap();
        seen.extend(page.into_iter().map(|delivery| delivery.id));
        before = next;
    }
    assert_eq!(seen, [5, 4, 3, 2, 1]);
    assert_eq!(states(&store, Some(DeliveryState::Waiting)).await.len(), 3);
    assert_eq!(
        store
            .deliveries()
            .list_deliveries("nobody", None, i64::MAX, 10)
            .await
            .unwrap()
            .0,
        []
    );
}

#[tokio::test]
async fn what_is_dead_or_delivered_can_be_sent_again_and_has_a_whole_schedule() {
    let (store, _folder) = new_store().await;
    store
        .events()
        .append_events(vec![
            new_event("a", "1"),
            new_event("a", "2"),
            new_event("a", "3"),
        ])
        .await
        .unwrap();
    settle_head(
        &store,
        "a",
        DeliveryOutcome::Dead {
            error: "400".into(),
        },
    )
    .await;
    settle_head(&store, "a", DeliveryOutcome::Delivered).await;
    for delivery in [1, 2] {
        assert!(
            store
                .deliveries()
                .resend_delivery("hook", delivery)
                .await
                .unwrap()
        );
    }
    let again = store.deliveries().due_deliveries(soon(), 10).await.unwrap();
    let mut delivered: Vec<_> = again
        .iter()
        .map(|due| (due.delivery, due.attempts, due.is_parked, due.is_resent))
        .collect();
    delivered.sort_unstable();
    assert_eq!(
        delivered,
        [(1, 0, true, true), (2, 0, true, true), (3, 0, false, false)]
    );
    assert!(store.deliveries().resend_delivery("hook", 3).await.unwrap());
    assert_eq!(
        store
            .deliveries()
            .due_deliveries(soon(), 10)
            .await
            .unwrap()
            .len(),
        3,
        "one that waits is not there twice"
    );
    assert!(
        !store
            .deliveries()
            .resend_delivery("other", 1)
            .await
            .unwrap()
            && !store.deliveries().resend_delivery("hook", 9).await.unwrap()
    );
    assert_eq!(
        states(&store, None).await,
        [
            ("waiting".to_owned(), 0),
            ("waiting".to_owned(), 1),
            ("waiting".to_owned(), 1)
        ]
    );
}

#[tokio::test]
async fn a_replay_tells_what_is_wanted_again_in_order() {
    let (store, _folder) = new_store().await;
    store
        .events()
        .append_events(vec![
            new_event("a", "1"),
            new_event("a", "2"),
            NewEvent {
                kind: "message.sent",
                ..new_event("a", "3")
            },
        ])
        .await
        .unwrap();
    for _ in 0..3 {
        settle_head(&store, "a", DeliveryOutcome::Delivered).await;
    }
    store
        .webhooks()
        .save_endpoint("hook", "http://127.0.0.1/", &["message.received"])
        .await
        .unwrap();
    store
        .webhooks()
        .save_endpoint("new", "http://127.0.0.1/", &[])
        .await
        .unwrap();
    assert_eq!(
        store
            .deliveries()
            .replay_events("hook", 1, 4)
            .await
            .unwrap(),
        (2, 4)
    );
    assert_eq!(
        store.deliveries().replay_events("new", 2, 3).await.unwrap(),
        (1, 3)
    );
    let mut due: Vec<_> = due_messages(&store).await;
    assert_eq!(due.len(), 2, "one chat each");
    due.sort();
    assert_eq!(
        due,
        [
            ("a".to_owned(), "1".to_owned()),
            ("a".to_owned(), "2".to_owned())
        ]
    );
    assert_eq!(
        store
            .deliveries()
            .replay_events("hook", 1, 4)
            .await
            .unwrap(),
        (0, 4),
        "what waits is delivered anyway"
    );
    assert_eq!(
        store
            .deliveries()
            .replay_events("nobody", 1, 4)
            .await
            .unwrap(),
        (0, 4)
    );
}

#[tokio::test]
async fn a_time_is_a_place_among_events() {
    let (store, _folder) = new_store().await;
    assert!(
        store.deliveries().position_at(soon()).await.unwrap() <= 1,
        "before whatever comes"
    );
    for number in 0..5 {
        store
            .events()
            .append_events(vec![new_event("a", &number.to_string())])
            .await
            .unwrap();
    }
    let times: Vec<i64> = db::query_scalar("SELECT created_at FROM events ORDER BY seq")
        .fetch_all(&store.readers)
        .await
        .unwrap();
    let place = times.iter().position(|at| *at == times[3]).unwrap() as i64 + 1;
    assert_eq!(
        store
            .deliveries()
            .position_at(to_timestamp(times[3]))
            .await
            .unwrap(),
        place
    );
    assert_eq!(store.deliveries().position_at(soon()).await.unwrap(), 6);
    let first = store
        .deliveries()
        .position_at(Timestamp::UNIX_EPOCH)
        .await
        .unwrap();
    assert!(first <= 1, "{first}");
}
