use std::path::Path;

use crate::store::db::{self, LiteFile};
use crate::store::tests::{
    due_messages, new_event, new_store, open_store, pair, settle_head, soon,
};
use crate::store::webhooks::open::*;
use crate::store::{
    DeliveryOutcome, DeliveryState, EndpointState, EndpointUpdate, Life, NewEndpoint, NewEvent,
    Store,
};
use crate::system::clock::Clock;

fn ids(fresh: &ReadyDeliveries) -> Vec<&str> {
    fresh
        .due
        .iter()
        .map(|due| due.message.as_ref().unwrap().id.as_str())
        .collect()
}

/// Returns a store of which nothing is due.
async fn quiet_store() -> (Store, tempfile::TempDir) {
    let (store, folder) = new_store().await;
    store.deliveries().take_ready();
    (store, folder)
}

async fn append(store: &Store, events: impl IntoIterator<Item = NewEvent>) {
    let events = events.into_iter().collect();
    store.events().append_events(events).await.unwrap();
}

/// The store as a program finds it whose predecessor was killed at this moment.
async fn after_kill(folder: &Path) -> (Store, tempfile::TempDir) {
    let copy = tempfile::tempdir().unwrap();
    std::fs::copy(folder.join("wapi.db"), copy.path().join("wapi.db")).unwrap();
    // SQLite removes the log of a database that was closed.
    let _ = std::fs::copy(folder.join("wapi.db-wal"), copy.path().join("wapi.db-wal"));
    (open_store(&copy).await, copy)
}

async fn rows(store: &Store) -> i64 {
    let sql = "SELECT count(*) FROM deliveries";
    let count = db::query_scalar(sql).fetch_one(&store.readers);
    count.await.unwrap()
}

/// Runs a statement past the store.
async fn execute(folder: &tempfile::TempDir, sql: &'static str) {
    let file = LiteFile::new(folder.path().join("wapi.db"));
    let mut database = file.connect().await.unwrap();
    db::query(sql).execute(&mut database).await.unwrap();
    database.close().await.unwrap();
}

/// Waits until what was accepted is saved.
async fn saved(store: &Store) {
    let clock = Clock::system();
    for _ in 0..200 {
        if store.writer.lock_open().save_at().is_none() {
            // The commit that took it may be under way; this one is behind it.
            append(store, []).await;
            return;
        }
        clock.sleep(SAVE_DELAY / 10).await;
    }
    panic!("what was accepted is never saved");
}

async fn listed(store: &Store, state: Option<DeliveryState>) -> Vec<(i64, String)> {
    let page = store
        .deliveries()
        .list_deliveries("hook", state, i64::MAX, 100)
        .await
        .unwrap();
    let records = page.0.into_iter();
    records.map(|it| (it.id, it.state)).collect()
}

async fn set_state(store: &Store, state: EndpointState) {
    let update = EndpointUpdate {
        state: Some(state),
        ..EndpointUpdate::default()
    };
    let changed = store.webhooks().update_endpoint("hook", update, None).await;
    assert!(changed.unwrap());
}

fn failed() -> DeliveryOutcome {
    DeliveryOutcome::Retry {
        error: "500".into(),
        due_at: soon(),
    }
}

#[tokio::test]
async fn what_comes_in_and_what_comes_behind_it_is_handed_out_without_a_row() {
    let (store, _folder) = quiet_store().await;
    let events = [
        new_event("a", "1"),
        new_event("a", "2"),
        new_event("b", "3"),
    ];
    append(&store, events).await;
    let fresh = store.deliveries().take_ready();
    assert_eq!((ids(&fresh), fresh.is_incomplete), (vec!["1", "3"], false));
    let due = store.deliveries().due_deliveries(soon(), 10).await.unwrap();
    assert_eq!(fresh.due, due, "who asks is told the same");
    settle_head(&store, "a", DeliveryOutcome::Delivered).await;
    let fresh = store.deliveries().take_ready();
    assert_eq!((ids(&fresh), fresh.is_incomplete), (vec!["2"], false));
    settle_head(&store, "a", DeliveryOutcome::Delivered).await;
    settle_head(&store, "b", DeliveryOutcome::Delivered).await;
    assert_eq!(store.deliveries().take_ready(), ReadyDeliveries::default());
    assert_eq!(rows(&store).await, 0);
}

#[tokio::test]
async fn what_is_settled_before_it_was_asked_for_is_not_handed_out() {
    let (store, _folder) = quiet_store().await;
    append(&store, [new_event("a", "1"), new_event("a", "2")]).await;
    settle_head(&store, "a", DeliveryOutcome::Delivered).await;
    assert_eq!(ids(&store.deliveries().take_ready()), ["2"]);
    settle_head(&store, "a", failed()).await;
    let fresh = store.deliveries().take_ready();
    assert_eq!((ids(&fresh), fresh.is_incomplete), (vec![], true));
}

#[tokio::test]
async fn after_a_kill_what_waited_comes_again_and_what_was_accepted_does_not() {
    let (store, folder) = quiet_store().await;
    append(&store, ["1", "2", "3"].map(|id| new_event("a", id))).await;
    append(&store, [new_event("b", "1")]).await;
    settle_head(&store, "a", DeliveryOutcome::Delivered).await;
    settle_head(&store, "b", DeliveryOutcome::Delivered).await;
    saved(&store).await;
    append(&store, [new_event("c", "1")]).await;
    let before = listed(&store, None).await;
    let (again, copy) = after_kill(folder.path()).await;
    assert_eq!(due_messages(&again).await, [pair("a", "2"), pair("c", "1")]);
    let delivered = listed(&again, Some(DeliveryState::Delivered)).await;
    assert_eq!(delivered.len(), 2);
    assert!(delivered.iter().all(|it| before.contains(it)));
    let waiting = listed(&again, Some(DeliveryState::Waiting)).await;
    for (id, _) in waiting {
        assert!(before.iter().all(|it| it.0 != id), "{id} was another one");
    }
    for chat in ["a", "a", "c"] {
        settle_head(&again, chat, DeliveryOutcome::Delivered).await;
    }
    again.close().await;
    let (last, _other) = after_kill(copy.path()).await;
    assert_eq!(due_messages(&last).await, []);
    assert_eq!(listed(&last, None).await.len(), 5);
    assert_eq!(rows(&last).await, 0);
}

#[tokio::test]
async fn a_chat_that_falls_behind_has_rows_until_it_is_even_again() {
    let (store, folder) = quiet_store().await;
    let events = [("a", "1"), ("a", "2"), ("b", "1")];
    append(&store, events.map(|(chat, id)| new_event(chat, id))).await;
    settle_head(&store, "a", failed()).await;
    assert_eq!(rows(&store).await, 2, "the lane, and no other");
    append(&store, [new_event("a", "3"), new_event("b", "2")]).await;
    assert_eq!(rows(&store).await, 3);
    let (again, _copy) = after_kill(folder.path()).await;
    for store in [&again, &store] {
        let later = soon() + jiff::SignedDuration::from_secs(1);
        let due = store.deliveries().due_deliveries(later, 10).await.unwrap();
        let heads: Vec<_> = due
            .iter()
            .map(|due| (due.chat.as_str(), due.attempts))
            .collect();
        assert!(
            heads.contains(&("a", 1)) && heads.contains(&("b", 0)),
            "{heads:?}"
        );
    }
    for _ in 0..3 {
        let later = soon() + jiff::SignedDuration::from_secs(1);
        let due = store.deliveries().due_deliveries(later, 10).await.unwrap();
        let head = due.into_iter().find(|due| due.chat == "a").unwrap();
        let settled = crate::store::SettledDelivery {
            delivery: head.delivery,
            outcome: DeliveryOutcome::Delivered,
        };
        store.deliveries().settle_delivery(settled).await.unwrap();
    }
    append(&store, [new_event("a", "4")]).await;
    assert_eq!(rows(&store).await, 3, "it is even again");
    assert_eq!(due_messages(&store).await.len(), 2);
}

#[tokio::test]
async fn nothing_is_handed_out_for_an_endpoint_that_is_disabled() {
    let (store, folder) = quiet_store().await;
    append(&store, [new_event("a", "1")]).await;
    set_state(&store, EndpointState::Disabled).await;
    store.deliveries().take_ready();
    append(&store, [new_event("a", "2")]).await;
    assert_eq!(ids(&store.deliveries().take_ready()), [""; 0]);
    assert_eq!(due_messages(&store).await, []);
    let (again, _copy) = after_kill(folder.path()).await;
    for store in [&again, &store] {
        set_state(store, EndpointState::Enabled).await;
        assert_eq!(due_messages(store).await, [pair("a", "1")]);
        settle_head(store, "a", DeliveryOutcome::Delivered).await;
        assert_eq!(due_messages(store).await, [pair("a", "2")]);
    }
}

#[tokio::test]
async fn a_new_endpoint_has_nothing_of_before_also_after_a_kill() {
    let (store, folder) = quiet_store().await;
    append(&store, [new_event("a", "1")]).await;
    let url = "http://127.0.0.1/";
    store
        .webhooks()
        .save_endpoint("new", url, &[])
        .await
        .unwrap();
    append(&store, [new_event("b", "1")]).await;
    let (again, _copy) = after_kill(folder.path()).await;
    for store in [&again, &store] {
        let due = store.deliveries().due_deliveries(soon(), 10).await.unwrap();
        let new = due.iter().filter(|due| due.endpoint == "new");
        let chats: Vec<_> = new.map(|due| due.chat.as_str()).collect();
        assert_eq!((due.len(), chats), (3, vec!["b"]));
    }
}

#[tokio::test]
async fn what_was_accepted_can_be_sent_again_under_its_id() {
    let (store, _folder) = quiet_store().await;
    append(&store, [new_event("a", "1"), new_event("b", "1")]).await;
    settle_head(&store, "a", DeliveryOutcome::Delivered).await;
    let [(delivery, _)] = listed(&store, Some(DeliveryState::Delivered)).await[..] else {
        panic!("there is one");
    };
    let deliveries = store.deliveries();
    assert!(!deliveries.resend_delivery("other", delivery).await.unwrap());
    assert!(deliveries.resend_delivery("hook", delivery).await.unwrap());
    let due = deliveries.due_deliveries(soon(), 10).await.unwrap();
    let again = due.iter().find(|due| due.delivery == delivery).unwrap();
    assert!(again.is_parked && again.is_resent);
    assert_eq!(listed(&store, None).await.len(), 2, "it is listed once");
    let open = listed(&store, Some(DeliveryState::Waiting)).await;
    assert_eq!(open.len(), 2);
    for (delivery, _) in open {
        assert!(deliveries.resend_delivery("hook", delivery).await.unwrap());
    }
}

#[tokio::test]
async fn more_than_has_room_gets_rows_and_keeps_its_order() {
    let (store, folder) = quiet_store().await;
    append(&store, [new_event("a", "first")]).await;
    let many = (0..=MAX_DELIVERIES).map(|number| new_event("a", &number.to_string()));
    append(&store, many).await;
    let fresh = store.deliveries().take_ready();
    assert_eq!((ids(&fresh), fresh.is_incomplete), (vec![], true));
    let all = i64::try_from(MAX_DELIVERIES + 2).unwrap();
    assert_eq!(rows(&store).await, all);
    let (again, _copy) = after_kill(folder.path()).await;
    for expected in ["first", "0", "1", "2"] {
        assert_eq!(due_messages(&again).await, [pair("a", expected)]);
        settle_head(&again, "a", DeliveryOutcome::Delivered).await;
    }
    assert_eq!(rows(&again).await, all);
}

#[tokio::test]
async fn one_that_is_open_for_long_gets_a_row_before_too_much_would_be_read_again() {
    let (store, folder) = quiet_store().await;
    let update = EndpointUpdate {
        types: Some(vec!["message.received".to_owned()]),
        ..EndpointUpdate::default()
    };
    let changed = store.webhooks().update_endpoint("hook", update, None).await;
    assert!(changed.unwrap());
    append(&store, [new_event("slow", "1")]).await;
    for batch in 0..=MAX_SPAN / 1_000 {
        let unwanted = (0..1_000).map(|number| NewEvent {
            kind: "message.deleted",
            ..new_event("b", &format!("{batch}-{number}"))
        });
        append(&store, unwanted).await;
        let open = store.writer.lock_open().first_open();
        assert_eq!(open.is_none(), rows(&store).await == 1);
    }
    assert_eq!(rows(&store).await, 1);
    let (again, _copy) = after_kill(folder.path()).await;
    for store in [&again, &store] {
        assert_eq!(due_messages(store).await, [pair("slow", "1")]);
    }
}

#[tokio::test]
async fn the_position_follows_events_that_nobody_subscribes_to() {
    let (store, _folder) = quiet_store().await;
    let update = EndpointUpdate {
        types: Some(vec!["message.sent".to_owned()]),
        ..EndpointUpdate::default()
    };
    store
        .webhooks()
        .update_endpoint("hook", update, None)
        .await
        .unwrap();
    for batch in 0..5 {
        let events = (0..500).map(|number| new_event("a", &format!("{batch}-{number}")));
        append(&store, events).await;
    }
    let sql = "SELECT seq FROM positions";
    let position: i64 = db::query_scalar(sql)
        .fetch_one(&store.readers)
        .await
        .unwrap();
    assert!(position >= 1_000, "{position}");
}

#[tokio::test]
async fn with_too_many_chats_behind_to_be_known_none_overtakes_an_open_one() {
    let (store, folder) = quiet_store().await;
    let url = "http://127.0.0.1/";
    let webhooks = store.webhooks();
    webhooks.save_endpoint("down", url, &["x"]).await.unwrap();
    let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i <= 10000) \
         INSERT INTO lanes (endpoint, session, chat, aside, gate, head, due_at) \
         SELECT 'down', 'shop', 'c' || i, 0, 'down', 1000000 + i, 4102444800000 FROM n";
    execute(&folder, sql).await;
    append(&store, [new_event("a", "1")]).await;
    let again = NewEndpoint {
        id: "down".to_owned(),
        url: url.to_owned(),
        session: None,
        types: Vec::new(),
        headers: BTreeMap::new(),
        secret: "whsec_x".to_owned(),
    };
    let refused = webhooks.create_endpoint(again, None).await;
    refused.expect_err("there is one of this name, so the transaction fails");
    assert_eq!(rows(&store).await, 0);
    append(&store, [new_event("a", "2")]).await;
    assert_eq!(rows(&store).await, 2);
    assert_eq!(due_messages(&store).await, [pair("a", "1")]);
}

#[tokio::test]
async fn what_was_accepted_before_a_failure_does_not_come_behind_it_after_a_kill() {
    let (store, folder) = quiet_store().await;
    append(&store, ["1", "2", "3"].map(|id| new_event("a", id))).await;
    settle_head(&store, "a", DeliveryOutcome::Delivered).await;
    settle_head(&store, "a", failed()).await;
    let (again, _copy) = after_kill(folder.path()).await;
    assert_eq!(rows(&again).await, 2);
    let later = soon() + jiff::SignedDuration::from_secs(1);
    let due = again.deliveries().due_deliveries(later, 10).await.unwrap();
    let due: Vec<_> = due.iter().map(|due| due.attempts).collect();
    assert_eq!(due, [1], "the second one, which has failed once");
}

#[tokio::test]
async fn what_is_accepted_while_saving_is_late_waits_for_the_disk() {
    let (store, _folder) = quiet_store().await;
    append(&store, ["1", "2"].map(|id| new_event("a", id))).await;
    settle_head(&store, "a", DeliveryOutcome::Delivered).await;
    let uptime = store.writer.lock_open().save_at().unwrap();
    let taken = store.writer.lock_open().begin_saving();
    assert_eq!(taken.len(), 1);
    for is_undone in [false, true] {
        if is_undone {
            store.writer.lock_open().undo_commit();
        }
        let open = store.writer.lock_open();
        assert!(!open.is_saving_late(uptime));
        assert!(open.is_saving_late(uptime + MAX_UNSAVED_TIME));
    }
}

#[tokio::test]
async fn what_is_accepted_is_listed_while_it_is_saved_and_if_that_fails() {
    let (store, _folder) = quiet_store().await;
    append(&store, [new_event("a", "1")]).await;
    settle_head(&store, "a", DeliveryOutcome::Delivered).await;
    let taken = store.writer.lock_open().begin_saving();
    let expected = vec![(taken[0].delivery, "delivered".to_owned())];
    assert_eq!(listed(&store, None).await, expected);
    store.writer.lock_open().undo_commit();
    assert_eq!(listed(&store, None).await, expected);
    append(&store, []).await;
    saved(&store).await;
    assert_eq!(listed(&store, None).await, expected);
}

#[tokio::test]
async fn a_page_of_accepted_ones_is_full_also_where_some_are_hidden() {
    let (store, folder) = quiet_store().await;
    for number in 0..30 {
        append(&store, [new_event("a", &number.to_string())]).await;
        settle_head(&store, "a", DeliveryOutcome::Delivered).await;
    }
    saved(&store).await;
    let all = listed(&store, None).await;
    let sql = "UPDATE events SET body = '' WHERE seq IN (SELECT seq FROM events ORDER BY seq DESC LIMIT 8)";
    execute(&folder, sql).await;
    let (mut found, mut before) = (Vec::new(), i64::MAX);
    loop {
        let deliveries = store.deliveries();
        let page = deliveries.list_deliveries("hook", None, before, 5).await;
        let (page, next) = page.unwrap();
        found.extend(page.iter().map(|it| it.id));
        match next {
            Some(next) => before = next,
            None => break,
        }
    }
    let expected: Vec<_> = all.iter().skip(8).map(|it| it.0).collect();
    assert_eq!(found, expected);
}

#[tokio::test]
async fn only_the_head_of_a_chat_says_when_it_is_attempted() {
    let (store, _folder) = quiet_store().await;
    append(&store, ["1", "2"].map(|id| new_event("a", id))).await;
    let deliveries = store.deliveries();
    let page = deliveries.list_deliveries("hook", None, i64::MAX, 10).await;
    let due: Vec<_> = page
        .unwrap()
        .0
        .iter()
        .map(|it| it.due_at.is_some())
        .collect();
    assert_eq!(due, [false, true]);
}

#[tokio::test]
async fn deliveries_on_request_burn_no_ids() {
    let (store, _folder) = quiet_store().await;
    for number in 0..20 {
        let event = new_event("a", &number.to_string());
        let id = event.id.clone();
        append(&store, [event]).await;
        settle_head(&store, "a", DeliveryOutcome::Delivered).await;
        store.deliveries().deliver_event("hook", &id).await.unwrap();
    }
    let newest = store.deliveries().newest_delivery().await.unwrap();
    assert!(newest <= 40, "{newest}");
}

#[tokio::test]
async fn one_that_is_open_does_not_make_each_commit_save_what_was_accepted() {
    let (store, _folder) = quiet_store().await;
    append(&store, [new_event("slow", "1")]).await;
    let many = (0..2_000).map(|number| NewEvent {
        session: Life::for_test(2, "other"),
        ..new_event("b", &number.to_string())
    });
    let update = EndpointUpdate {
        session: Some(Some("shop".to_owned())),
        ..EndpointUpdate::default()
    };
    let changed = store.webhooks().update_endpoint("hook", update, None).await;
    assert!(changed.unwrap());
    append(&store, [new_event("slow2", "1")]).await;
    append(&store, many).await;
    for number in 0..40 {
        append(&store, [new_event("a", &number.to_string())]).await;
        settle_head(&store, "a", DeliveryOutcome::Delivered).await;
    }
    saved(&store).await;
    let sql = "SELECT count(*) FROM accepted";
    let count = db::query_scalar(sql).fetch_one(&store.readers);
    let count: i64 = count.await.unwrap();
    assert!(count < 20, "{count} rows of 40 deliveries");
}

#[tokio::test]
async fn the_file_of_a_message_that_is_open_stays() {
    let (store, folder) = quiet_store().await;
    append(&store, [new_event("a", "1")]).await;
    let sql = "INSERT INTO media (id, session, message_id, message_chat, sender, state, sha256, created_at) \
               VALUES ('file', 1, '1', 'a', 'ann', 'stored', 'hash', 0)";
    execute(&folder, sql).await;
    let expired = async || store.media().find_expired_media(soon(), 10).await.unwrap();
    assert_eq!(expired().await, []);
    settle_head(&store, "a", DeliveryOutcome::Delivered).await;
    assert_eq!(expired().await.len(), 1);
}
