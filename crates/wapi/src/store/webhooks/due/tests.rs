use crate::store::Store;
use crate::store::tests::{new_event, new_store, settle_head, soon};
use crate::store::webhooks::due::*;
use crate::store::{
    AttemptFailure, DeliveryOutcome, EndpointState, EndpointUpdate, NewEvent, SettledDelivery,
};

fn in_(seconds: i64) -> Timestamp {
    soon() + jiff::SignedDuration::from_secs(seconds)
}

/// Returns the message ids of the deliveries due at that time.
async fn due_at(store: &Store, at: Timestamp) -> Vec<String> {
    let due = store.deliveries().due_deliveries(at, 100).await.unwrap();
    due.into_iter().map(|due| due.message.unwrap().id).collect()
}

fn hold(retry_in: i64, probe_in: i64) -> DeliveryOutcome {
    DeliveryOutcome::Blocked {
        error: Some("500".into()),
        retry_at: in_(retry_in),
        probe_from: in_(probe_in),
    }
}

#[tokio::test]
async fn a_crowd_at_one_gate_hides_nobody_at_another() {
    let (store, _folder) = new_store().await;
    store
        .webhooks()
        .save_endpoint("hook", "http://127.0.0.1/", &["message.received"])
        .await
        .unwrap();
    store
        .webhooks()
        .save_endpoint("other", "http://127.0.0.2/", &["message.sent"])
        .await
        .unwrap();
    store
        .webhooks()
        .save_endpoint_per_session("original", "http://127.0.0.3/", &["message.sent"])
        .await
        .unwrap();
    store
        .events()
        .append_events(
            (0..1_000)
                .map(|chat| new_event(&chat.to_string(), "1"))
                .collect(),
        )
        .await
        .unwrap();
    let lives = |name: &str| Life::for_test(if name == "shop" { 1 } else { 2 }, name);
    let sent = |session: &str| NewEvent {
        kind: "message.sent",
        session: lives(session),
        ..new_event("a", "2")
    };
    store
        .events()
        .append_events(vec![sent("shop"), sent("bar")])
        .await
        .unwrap();
    let heads = store.deliveries().find_due_heads(soon(), 16).await.unwrap();
    let of = |gate: &str| heads.iter().filter(|head| head.destination == gate).count();
    assert_eq!(
        (
            of("hook"),
            of("other"),
            of("original/shop"),
            of("original/bar")
        ),
        (16, 2, 1, 1)
    );
    assert_eq!(heads.len(), 20);
}

#[tokio::test]
async fn a_disabled_endpoint_keeps_what_happens_until_it_is_enabled() {
    let (store, _folder) = new_store().await;
    let state = |state| EndpointUpdate {
        state: Some(state),
        ..EndpointUpdate::default()
    };
    store
        .events()
        .append_events(vec![new_event("a", "1"), new_event("a", "2")])
        .await
        .unwrap();
    settle_head(
        &store,
        "a",
        DeliveryOutcome::Retry {
            error: "500".into(),
            due_at: in_(9_000),
        },
    )
    .await;
    assert!(
        store
            .webhooks()
            .update_endpoint("hook", state(EndpointState::Disabled), None)
            .await
            .unwrap()
    );
    store
        .events()
        .append_events(vec![new_event("b", "1")])
        .await
        .unwrap();
    assert!(due_at(&store, in_(99_000)).await.is_empty());
    assert_eq!(
        store.deliveries().next_due_time(soon()).await.unwrap(),
        None
    );
    assert!(
        store
            .webhooks()
            .update_endpoint("hook", state(EndpointState::Enabled), None)
            .await
            .unwrap()
    );
    let due = store.deliveries().due_deliveries(soon(), 10).await.unwrap();
    let of_a = due.iter().find(|due| due.chat == "a").unwrap();
    assert_eq!(
        (due.len(), of_a.attempts, of_a.first_failed_at),
        (2, 0, None),
        "its schedule begins anew"
    );
    assert!(
        !store
            .webhooks()
            .update_endpoint("nobody", state(EndpointState::Enabled), None)
            .await
            .unwrap()
    );
}

#[tokio::test]
async fn what_comes_behind_a_delivery_that_holds_its_chat_is_looked_at_soon() {
    let (store, _folder) = new_store().await;
    store
        .events()
        .append_events(vec![new_event("a", "1")])
        .await
        .unwrap();
    settle_head(&store, "a", hold(9_000, 600)).await;
    assert!(
        due_at(&store, in_(8_000)).await.is_empty(),
        "nothing waits behind it"
    );
    store
        .events()
        .append_events(vec![new_event("a", "2")])
        .await
        .unwrap();
    assert!(
        due_at(&store, in_(500)).await.is_empty(),
        "not more often than that"
    );
    let held = store
        .deliveries()
        .due_deliveries(in_(700), 10)
        .await
        .unwrap()
        .remove(0);
    assert_eq!(held.message.as_ref().unwrap().id, "1");
    assert!(
        held.retry_at.unwrap() > in_(8_000),
        "it is not to be tried itself"
    );
    let behind = store
        .deliveries()
        .find_next_in_lane(&held)
        .await
        .unwrap()
        .unwrap();
    assert_eq!(behind.message.as_ref().unwrap().id, "2");
    store
        .deliveries()
        .settle_delivery(SettledDelivery {
            delivery: held.delivery,
            outcome: hold(9_000, 1_200),
        })
        .await
        .unwrap();
    assert!(due_at(&store, in_(1_100)).await.is_empty());
    assert_eq!(
        due_at(&store, in_(1_300)).await,
        ["1"],
        "with something behind it, it is looked at again"
    );

    let outcome = DeliveryOutcome::Skipped {
        error: None,
        by: behind.delivery,
        due_at: in_(9_000),
    };
    store
        .deliveries()
        .settle_delivery(SettledDelivery {
            delivery: held.delivery,
            outcome,
        })
        .await
        .unwrap();
    store
        .events()
        .append_events(vec![new_event("a", "3")])
        .await
        .unwrap();
    assert_eq!(due_at(&store, soon()).await, ["3"]);
    settle_head(&store, "a", DeliveryOutcome::Delivered).await;
    let late = store
        .deliveries()
        .due_deliveries(in_(9_001), 10)
        .await
        .unwrap();
    assert_eq!(
        (late.len(), late[0].is_parked, late[0].attempts),
        (1, true, 2)
    );
}

#[tokio::test]
async fn what_was_put_off_while_the_time_of_day_was_wrong_is_due() {
    let (store, _folder) = new_store().await;
    store
        .events()
        .append_events(vec![
            new_event("a", "1"),
            new_event("b", "2"),
            new_event("c", "3"),
        ])
        .await
        .unwrap();
    let month = 30 * 24 * 3_600;
    settle_head(
        &store,
        "a",
        DeliveryOutcome::Retry {
            error: "500".into(),
            due_at: in_(month),
        },
    )
    .await;
    settle_head(&store, "b", hold(month + 60, month)).await;
    settle_head(
        &store,
        "c",
        DeliveryOutcome::Retry {
            error: "500".into(),
            due_at: in_(24 * 3_600),
        },
    )
    .await;
    let mut due = due_at(&store, soon()).await;
    due.sort();
    assert_eq!(due, ["1", "2"]);
    assert_eq!(
        due_at(&store, in_(month + 120)).await.len(),
        3,
        "when it has come, it is due like any other"
    );
}

#[tokio::test]
async fn an_outage_that_is_over_is_over_for_all_chats() {
    let (store, _folder) = new_store().await;
    store
        .events()
        .append_events(vec![
            new_event("a", "1"),
            new_event("b", "2"),
            new_event("c", "3"),
        ])
        .await
        .unwrap();
    let error = || AttemptFailure::from("500");
    settle_head(
        &store,
        "a",
        DeliveryOutcome::Retry {
            error: error(),
            due_at: in_(9_000),
        },
    )
    .await;
    settle_head(
        &store,
        "b",
        DeliveryOutcome::Parked {
            error: error(),
            due_at: in_(9_000),
        },
    )
    .await;
    assert_eq!(
        store
            .webhooks()
            .find_endpoint("hook")
            .await
            .unwrap()
            .unwrap()
            .failures,
        2
    );
    store
        .webhooks()
        .record_endpoint_recovery("hook", "hook", crate::store::WakePolicy::AsPlanned)
        .await
        .unwrap();
    assert_eq!(due_at(&store, soon()).await, ["3"]);
    store
        .webhooks()
        .record_endpoint_recovery("hook", "hook", crate::store::WakePolicy::AtOnce)
        .await
        .unwrap();
    assert_eq!(due_at(&store, soon()).await, ["3", "1"]);
    let endpoint = store
        .webhooks()
        .find_endpoint("hook")
        .await
        .unwrap()
        .unwrap();
    assert_eq!((endpoint.failures, endpoint.failing_since), (0, None));
}
