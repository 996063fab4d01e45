//! Messages that have not left: what takes them back or gives them other words reaches the queue, and nobody else.

use std::time::Duration;

use futures_util::future::join_all;
use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Executor};
use wapi_simulator::Phone;

use crate::harness::{PATIENCE, TestApp, gateway, shop, within};

fn path(id: &str) -> String {
    format!("/v1/sessions/shop/messages/{id}?wait=0")
}

fn in_an_hour() -> String {
    (wapi::system::clock::Clock::system().now() + jiff::SignedDuration::from_hours(1)).to_string()
}

/// One message that is scheduled, and one that waits for the connection, in a session without one.
async fn queued(app: &TestApp, alice: &Phone, bob: &Phone) -> [String; 2] {
    let device = app.pair("shop", alice).await;
    app.simulator.faults().refuse_connections(true);
    app.simulator
        .faults()
        .cut_connection(alice.number(), device)
        .unwrap();
    app.until("shop", "offline").await;
    let send_at = in_an_hour();
    let scheduled = json!({"to": bob.number(), "text": {"body": "scheduled"}, "send_at": send_at});
    let waiting = json!({"to": bob.number(), "text": {"body": "waiting"}});
    [
        app.accepted("shop", scheduled).await,
        app.accepted("shop", waiting).await,
    ]
}

/// The connection is back, and an hour has passed.
async fn all_leaves(app: &TestApp) {
    app.simulator.faults().refuse_connections(false);
    app.push_clock(Duration::from_secs(3_700));
    app.reaches("shop", "online").await;
}

fn texts(phone: &Phone) -> Vec<String> {
    phone
        .received_messages()
        .into_iter()
        .filter_map(|message| message.text)
        .collect()
}

#[tokio::test]
async fn what_is_taken_back_before_it_leaves_never_leaves() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        let ids = queued(app, &alice, &bob).await;
        for (id, query) in ids.iter().zip(["", "&for=me"]) {
            let taken = app
                .delete(&format!("{}{query}", path(id)))
                .await
                .expect(200)
                .json();
            assert_eq!(taken["messages"][0]["id"], *id);
            assert_eq!(taken["messages"][0]["status"], "cancelled");
            // Again, and what makes no sense any more.
            assert_eq!(
                app.delete(&path(id)).await.expect(200).json()["messages"][0]["status"],
                "cancelled"
            );
            assert_eq!(
                app.patch(&path(id), json!({"text": {"body": "no"}}))
                    .await
                    .expect(400)
                    .fields(),
                ["id"]
            );
            let story = app.message("shop", id).await;
            let steps: Vec<_> = story["history"]
                .as_array()
                .unwrap()
                .iter()
                .map(|step| step["status"].clone())
                .collect();
            assert_eq!(steps, ["queued", "cancelled"]);
        }
        let told = app.events("message.cancelled", 2).await;
        assert_eq!(
            told.iter()
                .map(|event| event["data"]["id"].clone())
                .collect::<Vec<_>>(),
            [json!(ids[0]), json!(ids[1])]
        );
        app.restart().await;
        all_leaves(app).await;
        let later = app
            .accepted(
                "shop",
                json!({"to": bob.number(), "text": {"body": "later"}}),
            )
            .await;
        assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, later);
        assert_eq!(texts(&bob), ["later"]);
    })
    .await;
}

#[tokio::test]
async fn what_gets_other_words_before_it_leaves_leaves_with_those() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        let ids = queued(app, &alice, &bob).await;
        for id in &ids {
            let changed = app
                .patch(&path(id), json!({"text": {"body": format!("new {id}")}}))
                .await
                .expect(202)
                .json();
            let message: &Value = &changed["messages"][0];
            assert_eq!(message["id"], *id);
            assert_eq!(message["status"], "queued");
            assert_eq!(message["text"]["body"], json!(format!("new {id}")));
            assert!(message["edited_at"].is_string(), "{message}");
        }
        app.restart().await;
        all_leaves(app).await;
        for id in &ids {
            app.until_message("shop", id, "delivered").await;
        }
        let (mut received, mut wanted) = (texts(&bob), ids.map(|id| format!("new {id}")));
        received.sort();
        wanted.sort();
        assert_eq!(received, wanted);
    })
    .await;
}

#[tokio::test]
async fn a_message_that_has_left_is_changed_there_and_its_story_says_so() {
    shop(async |app, _, bob| {
        let id = app
            .accepted(
                "shop",
                json!({"to": bob.number(), "text": {"body": "first"}}),
            )
            .await;
        app.until_message("shop", &id, "delivered").await;
        let wait = path(&id).replace("wait=0", "wait=30");
        app.patch(&wait, json!({"text": {"body": "second"}}))
            .await
            .expect(200);
        assert!(app.message("shop", &id).await["edited_at"].is_string());
        app.delete(&wait).await.expect(200);
        let story = app.message("shop", &id).await;
        assert!(
            story["edited_at"].is_string() && story["deleted_at"].is_string(),
            "{story}"
        );
        let refused = app
            .patch(&wait, json!({"text": {"body": "third"}}))
            .await
            .expect(400);
        assert_eq!(refused.fields(), ["id"]);
        // The message, its edit and its deletion.
        let all = async || (bob.received_messages().len() == 3).then_some(());
        within(PATIENCE, all).await.expect("three stanzas");
    })
    .await;
}

#[tokio::test]
async fn other_words_under_one_key_are_asked_for_once() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        let ids = queued(app, &alice, &bob).await;
        let keyed = |app: &TestApp| app.with_header("idempotency-key", "words-1");
        let words = |body: &str| json!({"text": {"body": body}});
        for (id, replayed) in [
            (&ids[0], false),
            (&ids[0], true),
            (&ids[1], false),
            (&ids[1], true),
        ] {
            let answer = keyed(app).patch(&path(id), words("new")).await.expect(202);
            assert_eq!(
                answer.headers.contains_key("idempotent-replayed"),
                replayed,
                "{}",
                answer.json()
            );
            assert_eq!(answer.json()["messages"][0]["id"], json!(id));
            assert_eq!(
                keyed(app)
                    .patch(&path(id), words("others"))
                    .await
                    .expect(409)
                    .code(),
                "idempotency_key_reused"
            );
        }
        all_leaves(app).await;
        for id in &ids {
            app.until_message("shop", id, "delivered").await;
            let answer = keyed(app).patch(&path(id), words("new")).await.expect(200);
            assert!(
                answer.headers.contains_key("idempotent-replayed"),
                "{}",
                answer.json()
            );
            assert_eq!(
                keyed(app)
                    .patch(&path(id), words("others"))
                    .await
                    .expect(409)
                    .code(),
                "idempotency_key_reused"
            );
        }
        assert_eq!(texts(&bob).len(), 2, "and nobody was told of a change");
    })
    .await;
}

#[tokio::test]
async fn what_came_of_an_edit_is_told_however_late_somebody_asks_again() {
    shop(async |app, _, bob| {
        let id = app
            .accepted(
                "shop",
                json!({"to": bob.number(), "text": {"body": "first"}}),
            )
            .await;
        app.until_message("shop", &id, "delivered").await;
        let (keyed, words) = (
            app.with_header("idempotency-key", "words-1"),
            json!({"text": {"body": "second"}}),
        );
        let path = path(&id).replace("wait=0", "wait=30");
        let edit = keyed.patch(&path, words.clone()).await.expect(200).json();
        app.push_clock(Duration::from_secs(20 * 60));
        let again = keyed.patch(&path, words.clone()).await.expect(200);
        assert_eq!(again.json()["messages"][0]["id"], edit["messages"][0]["id"]);
        assert!(again.headers.contains_key("idempotent-replayed"));
        assert_eq!(app.patch(&path, words).await.expect(409).code(), "too_late");
        let all = async || (bob.received_messages().len() == 2).then_some(());
        within(PATIENCE, all)
            .await
            .expect("the message and one edit");
    })
    .await;
}

#[tokio::test]
async fn whoever_changes_words_at_once_what_is_told_is_what_leaves() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        let ids = queued(app, &alice, &bob).await;
        let orders = (0..24).map(|number| {
            let path = path(&ids[number % 2]);
            let app = &app;
            async move {
                app.patch(&path, json!({"text": {"body": format!("words {number}")}}))
                    .await
                    .expect(202)
            }
        });
        join_all(orders).await;
        all_leaves(app).await;
        for id in &ids {
            app.until_message("shop", id, "delivered").await;
            let told = app.message("shop", id).await["text"]["body"].clone();
            let received = bob
                .received_messages()
                .into_iter()
                .find(|message| message.id == *id)
                .unwrap();
            assert_eq!(json!(received.text), told);
        }
    })
    .await;
}

#[tokio::test]
async fn words_that_could_not_be_saved_do_not_leave() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        let ids = queued(app, &alice, &bob).await;
        let mut database = SqliteConnectOptions::new()
            .filename(app.root().join("wapi.db"))
            .connect()
            .await
            .unwrap();
        let refuse = "CREATE TRIGGER no BEFORE UPDATE OF content ON messages BEGIN SELECT RAISE(ABORT, 'no'); END";
        database.execute(refuse).await.unwrap();
        for id in &ids {
            let answer = app
                .patch(&path(id), json!({"text": {"body": "never saved"}}))
                .await;
            assert!(answer.status >= 500, "{:?}", answer.json());
        }
        database.execute("DROP TRIGGER no").await.unwrap();
        all_leaves(app).await;
        for id in &ids {
            app.until_message("shop", id, "delivered").await;
        }
        let mut received = texts(&bob);
        received.sort();
        assert_eq!(received, ["scheduled", "waiting"]);
    }).await;
}
