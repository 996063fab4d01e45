//! Cost of a page: proportional to its size, not to the number of events that do not match.

use std::sync::atomic::Ordering;
use std::time::Duration;

use crate::store::DeliveryState;
use crate::store::NewEvent;
use crate::store::Store;
use crate::store::db::{self, LiteFile};
use crate::store::events::feed::*;
use crate::store::tests::{new_event, new_store, soon};

/// Events of each kind in the smaller database; the larger one has twice as many.
const EVENTS_PER_KIND: i64 = 100_000;

/// Returns a store with `count` emptied events, `count` of a busy session, `count` of a removed
/// one, and three of a quiet session at the end; each has a delivery.
async fn filled_store(count: i64) -> (Store, tempfile::TempDir) {
    let (store, folder) = new_store().await;
    store
        .webhooks()
        .save_endpoint("quiet", "http://127.0.0.1/", &[])
        .await
        .unwrap();
    store
        .webhooks()
        .save_endpoint("over", "http://127.0.0.1/", &[])
        .await
        .unwrap();
    for name in ["gone", "busy", "quiet"] {
        store.lives.ensure_life(name);
    }
    store.lives.end_life("gone");
    // The next commit saves the lives.
    store.sessions().record_received().await.unwrap();
    store.probe_disk().await.unwrap();
    let mut connection = LiteFile::new(folder.path().join("wapi.db"))
        .with_references(false)
        .connect()
        .await
        .unwrap();
    let numbers = format!(
        "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {count})"
    );
    let columns = "events (id, session, name, chat, message_chat, sender, message_id, type, body, created_at)";
    let deliveries =
        "INSERT INTO deliveries (event, endpoint, session, chat, state, created_at) SELECT seq";
    for sql in [
        format!(
            "INSERT INTO {columns} {numbers} SELECT 'e' || i, 2, 'busy', 'a', 'a', 'b', i, 'message.received', '', i FROM n"
        ),
        format!(
            "INSERT INTO {columns} {numbers} SELECT 'g' || i, 1, 'gone', 'a', 'a', 'b', i, 'chat.typing', '{{}}', i FROM n"
        ),
        format!(
            "INSERT INTO {columns} {numbers} SELECT 'b' || i, 2, 'busy', 'a', 'a', 'b', -i, 'chat.typing', '{{}}', i FROM n"
        ),
        format!(
            "INSERT INTO {columns} {numbers} SELECT 'q' || i, 3, 'quiet', 'a', 'a', 'b', i, 'message.received', '{{}}', i FROM n LIMIT 3"
        ),
        format!("{deliveries}, 'over', 'gone', 'a', 'dead', 1 FROM events WHERE session = 1"),
        format!("{deliveries}, 'hook', 'busy', 'a', 'waiting', 1 FROM events WHERE session = 2"),
        format!("{deliveries}, 'hook', 'busy', 'a', 'dead', 1 FROM events WHERE session = 2"),
        format!("{deliveries}, 'quiet', 'quiet', 'a', 'waiting', 1 FROM events WHERE session = 3"),
    ] {
        db::query(sql).execute(&mut connection).await.unwrap();
    }
    connection.close().await.unwrap();
    (store, folder)
}

/// The queries, and their costs on the connections of callers, in thousands of SQLite steps.
type QueryCosts = Vec<(String, u64)>;

async fn measure_cost(
    costs: &mut QueryCosts,
    what: &str,
    questions: &ReadPool,
    asked: impl Future<Output = ()>,
) {
    let before = questions.progress_calls.load(Ordering::Relaxed);
    asked.await;
    costs.push((
        what.to_owned(),
        questions.progress_calls.load(Ordering::Relaxed) - before,
    ));
}

fn named(names: &[&str]) -> LifeFilter {
    let name = |name: &&str| ((*name).to_owned(), AccessSince::Always);
    LifeFilter::Named(names.iter().map(name).collect())
}

async fn measure_costs(store: &Store) -> QueryCosts {
    let mut costs = QueryCosts::new();
    let (rare, usual) = (
        vec!["session.paired".to_owned()],
        vec!["message.received".to_owned()],
    );
    for (what, types, lives) in [
        ("all of everybody", vec![], LifeFilter::Any),
        ("a rare type of everybody", rare.clone(), LifeFilter::Any),
        (
            "a rare type of those there are",
            rare.clone(),
            LifeFilter::Current,
        ),
        (
            "a rare type of the busy one",
            rare.clone(),
            named(&["busy"]),
        ),
        ("a rare type of two", rare, named(&["busy", "quiet"])),
        ("all of the quiet one", vec![], named(&["quiet"])),
        ("a type of the quiet one", usual.clone(), named(&["quiet"])),
        ("a type of those there are", usual, LifeFilter::Current),
        ("nobody's", vec![], named(&[])),
    ] {
        let wanted = EventFilter {
            types,
            hidden: &["session.qr"],
            lives,
            ..EventFilter::default()
        };
        let backward = async {
            let page = store.events().read_events_before(i64::MAX, &wanted, 100);
            drop(page.await.unwrap());
        };
        let name = format!("{what}, backward");
        measure_cost(&mut costs, &name, &store.api_readers, backward).await;
        let reading = async {
            drop(
                store
                    .events()
                    .open_reader(0, wanted.clone())
                    .read_page(100)
                    .await
                    .unwrap(),
            )
        };
        measure_cost(&mut costs, what, &store.api_readers, reading).await;
    }
    for endpoint in ["hook", "quiet", "over"] {
        for state in [
            None,
            Some(DeliveryState::Waiting),
            Some(DeliveryState::Delivered),
            Some(DeliveryState::Dead),
        ] {
            let listing = async {
                drop(
                    store
                        .deliveries()
                        .list_deliveries(endpoint, state, i64::MAX, 50)
                        .await
                        .unwrap(),
                )
            };
            measure_cost(
                &mut costs,
                &format!("deliveries to {endpoint}: {state:?}"),
                &store.api_readers,
                listing,
            )
            .await;
        }
    }
    measure_cost(&mut costs, "a moment", &store.api_readers, async {
        assert!(store.deliveries().position_at(soon()).await.unwrap() > 0)
    })
    .await;
    let (quiet, chats) = (
        store.lives.current_life("quiet").unwrap(),
        ["a".to_owned(), "a".to_owned()],
    );
    let unread = async {
        assert_eq!(
            store
                .inbound()
                .find_unread(&quiet, &chats, None)
                .await
                .unwrap()
                .unwrap()
                .len(),
            3
        )
    };
    measure_cost(&mut costs, "what is unread", &store.api_readers, unread).await;
    costs
}

#[tokio::test]
async fn a_page_costs_no_more_when_there_is_twice_as_much_of_what_is_not_in_it() {
    let ((small, _one), (large, _other)) = (
        filled_store(EVENTS_PER_KIND).await,
        filled_store(2 * EVENTS_PER_KIND).await,
    );
    let (few, many) = (measure_costs(&small).await, measure_costs(&large).await);
    let dearer: Vec<_> = few
        .iter()
        .zip(&many)
        .filter(|((_, few), (_, many))| *many > few + few / 10 + 2)
        .collect();
    assert!(
        dearer.is_empty(),
        "the cost grows with what is not asked for: {dearer:#?}"
    );
    let dear: Vec<_> = many.iter().filter(|(_, cost)| *cost > 2_500).collect();
    assert!(dear.is_empty(), "a page costs too much: {dear:?}");
}

#[tokio::test]
async fn whoever_reads_on_finds_everything_behind_what_is_not_wanted() {
    let (store, _folder) = filled_store(EVENTS_PER_KIND).await;
    for lives in [LifeFilter::Any, LifeFilter::Current, named(&["quiet"])] {
        let types = vec!["message.received".to_owned(), "session.paired".to_owned()];
        let mut reader = store.events().open_reader(
            0,
            EventFilter {
                types,
                lives,
                ..EventFilter::default()
            },
        );
        let (mut found, mut pages) = (reader.read_page(2).await.unwrap(), 1);
        while reader.has_more() {
            // The reader goes on without any new commit.
            let more = store
                .clock
                .timeout(Duration::from_secs(20), reader.read_next(2))
                .await
                .expect("it goes on");
            (found, pages) = ([found, more.unwrap()].concat(), pages + 1);
        }
        let ids: Vec<_> = found.iter().map(|event| event.id.as_str()).collect();
        assert_eq!(
            (ids, reader.position()),
            (vec!["q1", "q2", "q3"], 3 * EVENTS_PER_KIND + 3)
        );
        assert!(pages < 10, "{pages} pages");
    }
}

#[tokio::test]
async fn whoever_reads_backward_finds_everything_before_what_is_not_wanted() {
    let (store, folder) = filled_store(EVENTS_PER_KIND).await;
    let mut connection = LiteFile::new(folder.path().join("wapi.db"))
        .connect()
        .await
        .unwrap();
    // One of each at the very beginning, in the place of others.
    for (seq, kind) in [(5, "message.received"), (6, "session.paired")] {
        db::query("UPDATE events SET session = 3, type = $1, body = '{}', id = $1 WHERE seq = $2")
            .bind(kind)
            .bind(seq)
            .execute(&mut connection)
            .await
            .unwrap();
    }
    connection.close().await.unwrap();
    let quiet = named(&["quiet"]);
    for lives in [LifeFilter::Any, LifeFilter::Current, quiet] {
        for (kind, expected) in [
            (
                "message.received",
                &["q3", "q2", "q1", "message.received"][..],
            ),
            ("session.paired", &["session.paired"]),
        ] {
            let wanted = EventFilter {
                types: vec![kind.to_owned()],
                lives: lives.clone(),
                ..EventFilter::default()
            };
            let (mut found, mut pages, mut next) = (Vec::new(), 0, Some(i64::MAX));
            while let Some(before) = next {
                let page = store.events().read_events_before(before, &wanted, 2);
                let page = page.await.unwrap();
                found.extend(page.events.into_iter().map(|event| event.id));
                (next, pages) = (page.next, pages + 1);
            }
            assert_eq!(found, expected, "{lives:?}");
            // The changes of sessions have an index.
            let most = if kind == "session.paired" { 1 } else { 20 };
            assert!(pages <= most, "{kind} of {lives:?} takes {pages} pages");
        }
    }
}

#[tokio::test]
async fn a_reader_finds_what_was_saved_while_it_waited_and_while_it_did_not() {
    let (store, _folder) = new_store().await;
    let mut reader = store.events().open_reader(0, EventFilter::default());
    let mut number = 0;
    let mut new = || {
        number += 1;
        vec![new_event("a", &number.to_string())]
    };
    let mut seen = Vec::new();
    for round in 1..=3 {
        let (first, second, third) = (new(), new(), new());
        let save = async {
            tokio::task::yield_now().await;
            store.events().append_events(first).await.unwrap();
        };
        let (read, ()) = tokio::join!(reader.read_next(10), save);
        seen.extend(read.unwrap().iter().map(|event| event.seq));
        store.events().append_events(second).await.unwrap();
        store.events().append_events(third).await.unwrap();
        while seen.len() < 3 * round {
            let read = store
                .clock
                .timeout(Duration::from_secs(20), reader.read_next(10));
            let read = read.await.expect("it is told of each");
            seen.extend(read.unwrap().iter().map(|event| event.seq));
        }
    }
    assert_eq!(seen, (1..=9).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_page_ends_where_it_is_large_and_goes_on_from_there() {
    let (store, _folder) = new_store().await;
    let body = format!("{{\"n\":\"{}\"}}", "x".repeat(1 << 20));
    let large = |number: u32| NewEvent {
        body: body.clone(),
        ..new_event("a", &number.to_string())
    };
    store
        .events()
        .append_events((0..10).map(large).collect())
        .await
        .unwrap();
    let mut reader = store.events().open_reader(0, EventFilter::default());
    let mut pages = vec![reader.read_page(100).await.unwrap().len()];
    while reader.has_more() {
        pages.push(reader.read_next(100).await.unwrap().len());
    }
    assert_eq!((pages, reader.position()), (vec![3, 3, 3, 1], 10));
    let (mut pages, mut next) = (Vec::new(), Some(i64::MAX));
    while let Some(before) = next {
        let all = EventFilter::default();
        let page = store.events().read_events_before(before, &all, 100);
        let page = page.await.unwrap();
        let positions = page.events.iter().map(|event| event.seq);
        pages.push(positions.collect::<Vec<_>>());
        next = page.next;
    }
    assert_eq!(
        pages,
        [vec![10, 9, 8], vec![7, 6, 5], vec![4, 3, 2], vec![1]]
    );
}
