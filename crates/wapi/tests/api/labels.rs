//! Labels of chats and messages, whichever device gives them.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use wapi_simulator::{Author, PeerRequests, Phone, PhoneLabel};

use crate::harness::{TestApp, eventually, gateway, shop, within};

const LABELS: &str = "/v1/sessions/shop/labels";

async fn labels(app: &TestApp) -> Value {
    app.get(LABELS).await.expect(200).json()["labels"].clone()
}

/// The chats that have a label.
async fn labelled(app: &TestApp, label: &str) -> Vec<Value> {
    let list = app
        .get(&format!("{LABELS}/{label}/chats"))
        .await
        .expect(200)
        .json();
    list["chats"].as_array().unwrap().clone()
}

fn person(phone: &Phone) -> Value {
    json!({"id": phone.jid(), "phone": phone.number(), "lid": phone.lid(), "name": null})
}

fn label(id: &str, name: &str, color: i32) -> PhoneLabel {
    PhoneLabel {
        id: id.to_owned(),
        name: name.to_owned(),
        color,
    }
}

#[tokio::test]
async fn labels_are_made_changed_and_deleted_on_all_devices() {
    shop(async |app, alice, _| {
        let made = app
            .post(LABELS, json!({"name": "Paid", "color": 3}))
            .await
            .expect(201)
            .json();
        assert_eq!(made, json!({"id": "1", "name": "Paid", "color": 3}));
        let other = app.post(LABELS, json!({"name": "New"})).await.expect(201);
        assert_eq!(other.json(), json!({"id": "2", "name": "New", "color": 0}));
        assert_eq!(
            alice.labels(),
            [label("1", "Paid", 3), label("2", "New", 0)]
        );

        let route = format!("{LABELS}/1");
        let renamed = app.put(&route, json!({"name": "Paid late"})).await;
        let expected = json!({"id": "1", "name": "Paid late", "color": 3});
        assert_eq!(renamed.expect(200).json(), expected);
        app.put(&route, json!({"color": 19})).await.expect(200);
        assert_eq!(alice.labels()[0], label("1", "Paid late", 19));

        app.delete(&format!("{LABELS}/2")).await.expect(204);
        assert_eq!(
            labels(app).await,
            json!([{"id": "1", "name": "Paid late", "color": 19}])
        );
        assert_eq!(alice.labels().len(), 1);
        app.delete(&format!("{LABELS}/2")).await.expect(404);
        // Other devices may still have entries of chats with the old id.
        let next = app.post(LABELS, json!({"name": "Next"})).await.expect(201);
        assert_eq!(next.json()["id"], "3");

        let told = app.events("label.updated", 6).await;
        let told: Vec<_> = told
            .iter()
            .map(|event| {
                let data = &event["data"];
                format!("{} {} {}", data["id"], data["name"], data["deleted"])
            })
            .collect();
        assert_eq!(
            told,
            [
                r#""1" "Paid" false"#,
                r#""2" "New" false"#,
                r#""1" "Paid late" false"#,
                r#""1" "Paid late" false"#,
                r#""2" "" true"#,
                r#""3" "Next" false"#,
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn chats_have_the_labels_that_any_device_gives_them() {
    shop(async |app, alice, bob| {
        app.accepted("shop", json!({"to": bob.number(), "text": {"body": "hi"}}))
            .await;
        alice.saves_label("7", "Regular", 5).unwrap();
        alice.labels_chat(bob.number(), "7", true).unwrap();
        let told = app.events("chat.updated", 1).await;
        assert_eq!(told[0]["data"]["labels"], json!(["7"]));
        assert_eq!(told[0]["data"]["chat"]["id"], bob.jid());
        let made = app.post(LABELS, json!({"name": "Paid"})).await.expect(201);
        assert_eq!(made.json()["id"], "8");

        let chat = format!("/v1/sessions/shop/chats/{}", bob.number());
        for _ in 0..2 {
            app.put(&format!("{chat}/labels/8"), json!({}))
                .await
                .expect(204);
        }
        assert_eq!(alice.chat_labels(bob.number()).unwrap(), ["7", "8"]);
        let told = app.events("chat.updated", 2).await;
        assert_eq!(told[1]["data"]["labels"], json!(["7", "8"]));
        assert_eq!(
            app.get(&chat).await.expect(200).json()["labels"],
            json!(["7", "8"])
        );
        let listed = app.get("/v1/sessions/shop/chats").await.expect(200).json();
        assert_eq!(listed["chats"][0]["labels"], json!(["7", "8"]));
        assert_eq!(labelled(app, "8").await, [person(&bob)]);

        // By whichever address it is there, and as often as asked.
        let by_lid = format!("/v1/sessions/shop/chats/{}/labels/7", bob.lid());
        for _ in 0..2 {
            app.delete(&by_lid).await.expect(204);
        }
        assert_eq!(alice.chat_labels(bob.number()).unwrap(), ["8"]);
        alice.labels_chat(bob.number(), "8", false).unwrap();
        let gone = async || labelled(app, "8").await.is_empty().then_some(());
        eventually(gone, async || format!("{:?}", labelled(app, "8").await)).await;
    })
    .await;
}

#[tokio::test]
async fn labels_of_before_the_device_was_linked_are_there() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        // More entries than a snapshot takes, so that some come as patches after it.
        for number in 1..=13 {
            alice
                .saves_label(&number.to_string(), &format!("Label {number}"), number)
                .unwrap();
        }
        alice.labels_chat(bob.number(), "13", true).unwrap();
        app.pair("shop", &alice).await;
        let there = async || (!labels(app).await[12].is_null()).then_some(());
        eventually(there, async || labels(app).await.to_string()).await;
        assert_eq!(
            labels(app).await[12],
            json!({"id": "13", "name": "Label 13", "color": 13})
        );
        assert_eq!(labelled(app, "13").await[0]["id"], app.address(&bob));
    })
    .await;
}

#[tokio::test]
async fn a_label_is_not_made_before_it_is_known_which_ids_are_free() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        alice.saves_label("1", "Paid", 3).unwrap();
        alice.sets_peer_requests(PeerRequests::Ignored);
        app.pair("shop", &alice).await;
        let refused = app.post(LABELS, json!({"name": "New"})).await.expect(409);
        assert_eq!(refused.code(), "labels_unread");
        assert_eq!(alice.labels(), [label("1", "Paid", 3)]);
        alice.sets_peer_requests(PeerRequests::Answered);
        let made = async || {
            let answer = app.post(LABELS, json!({"name": "New"})).await;
            (answer.status == 201).then(|| answer.json())
        };
        let made = app.while_time_passes(made).await;
        assert_eq!(made["id"], "2");
        assert_eq!(alice.labels().len(), 2);
    })
    .await;
}

#[tokio::test]
async fn a_new_name_leaves_what_a_phone_has_made_of_the_label() {
    shop(async |app, alice, _| {
        alice.saves_label("5", "Paid", 3).unwrap();
        alice.moves_label("5", 7).unwrap();
        app.events("label.updated", 1).await;
        app.put(&format!("{LABELS}/5"), json!({"name": "Paid late"}))
            .await
            .expect(200);
        assert_eq!(alice.labels(), [label("5", "Paid late", 3)]);
        assert_eq!(alice.label_place("5"), Some(7));
    })
    .await;
}

#[tokio::test]
async fn the_last_device_to_label_a_chat_counts_however_slow_its_clock_is() {
    shop(async |app, alice, bob| {
        alice.saves_label("1", "Paid", 3).unwrap();
        alice.labels_chat(bob.number(), "1", true).unwrap();
        app.events("chat.updated", 1).await;
        let years_ago = 1_000_000_000_000;
        alice
            .labels_chat_at(bob.number(), "1", false, years_ago)
            .unwrap();
        let gone = async || labelled(app, "1").await.is_empty().then_some(());
        eventually(gone, async || format!("{:?}", labelled(app, "1").await)).await;
    })
    .await;
}

#[tokio::test]
async fn labels_of_a_former_linking_are_gone_with_it() {
    shop(async |app, alice, bob| {
        alice.saves_label("4", "Paid", 3).unwrap();
        alice.labels_chat(bob.number(), "4", true).unwrap();
        app.events("chat.updated", 1).await;
        app.post("/v1/sessions/shop/logout", json!({}))
            .await
            .expect(200);
        alice.loses_labels().unwrap();
        // WhatsApp makes a snapshot now and then, without what was removed.
        for color in 0..10 {
            alice.saves_label("2", "Regular", color).unwrap();
        }
        app.pair("shop", &alice).await;
        let made = app.post(LABELS, json!({"name": "New"})).await.expect(201);
        let made = made.json();
        let regular = json!({"id": "2", "name": "Regular", "color": 9});
        assert_eq!(labels(app).await, json!([regular, made]));
        assert_eq!(made["id"], "3");
    })
    .await;
}

#[tokio::test]
async fn labels_that_could_not_be_saved_are_saved_later() {
    shop(async |app, alice, _| {
        let file = SqliteConnectOptions::new().filename(app.root().join("wapi.db"));
        let mut database = file.connect().await.unwrap();
        let trigger = "CREATE TRIGGER no_labels BEFORE INSERT ON labels \
                       BEGIN SELECT RAISE(ABORT, 'no label is saved'); END";
        sqlx::query(trigger).execute(&mut database).await.unwrap();
        alice.saves_label("1", "Paid", 3).unwrap();
        let saved = async || (labels(app).await != json!([])).then_some(());
        assert_eq!(within(Duration::from_millis(500), saved).await, None);
        let drop = sqlx::query("DROP TRIGGER no_labels");
        drop.execute(&mut database).await.unwrap();
        app.while_time_passes(saved).await;
    })
    .await;
}

#[tokio::test]
async fn labels_that_could_not_be_saved_until_the_end_are_read_again_at_the_next_start() {
    shop(async |app, alice, bob| {
        alice.saves_label("1", "Old", 0).unwrap();
        alice.labels_chat(bob.number(), "1", true).unwrap();
        alice.saves_label("2", "Regular", 1).unwrap();
        let two = async || (labels(app).await.as_array()?.len() == 2).then_some(());
        eventually(two, async || labels(app).await.to_string()).await;
        let file = SqliteConnectOptions::new().filename(app.root().join("wapi.db"));
        let mut database = file.connect().await.unwrap();
        let triggers = "CREATE TRIGGER no_new BEFORE INSERT ON labels \
                        BEGIN SELECT RAISE(ABORT, 'no label is saved'); END; \
                        CREATE TRIGGER no_change BEFORE UPDATE ON labels \
                        BEGIN SELECT RAISE(ABORT, 'no label is changed'); END;";
        sqlx::raw_sql(triggers)
            .execute(&mut database)
            .await
            .unwrap();
        alice.deletes_label("1").unwrap();
        alice.saves_label("3", "Paid", 3).unwrap();
        let regular = json!({"id": "2", "name": "Regular", "color": 1});
        let paid = json!({"id": "3", "name": "Paid", "color": 3});
        let expected = json!([regular, paid]);
        let saved = async |app: &TestApp| (labels(app).await == expected).then_some(());
        let early = within(Duration::from_millis(500), async || saved(app).await);
        assert_eq!(early.await, None);
        let stopped = app.stop().await;
        let drop = sqlx::raw_sql("DROP TRIGGER no_new; DROP TRIGGER no_change");
        drop.execute(&mut database).await.unwrap();
        database.close().await.unwrap();
        stopped.start().await;
        let now = async || saved(app).await;
        eventually(now, async || labels(app).await.to_string()).await;
        // Once they are saved, they are not read again.
        let made = app.post(LABELS, json!({"name": "New"})).await.expect(201);
        assert_eq!(made.json()["id"], "4");
        app.restart().await;
        app.until("shop", "online").await;
        assert_eq!(labels(app).await, json!([regular, paid, made.json()]));
    })
    .await;
}

#[tokio::test]
async fn messages_get_labels_of_their_own() {
    shop(async |app, alice, bob| {
        app.post(LABELS, json!({"name": "Order"})).await.expect(201);
        let id = bob.sends_text(alice.number(), "two cakes").await.unwrap();
        app.webhook.next().await;
        let route = format!("/v1/sessions/shop/messages/{id}/labels/1");
        app.put(&route, json!({})).await.expect(404);
        let route = format!("{route}?chat={}", bob.number());
        app.put(&route, json!({})).await.expect(204);
        let given = || {
            alice
                .message_labels(bob.number(), &id, Author::Them)
                .unwrap()
        };
        assert_eq!(given(), ["1"]);
        app.delete(&route).await.expect(204);
        assert_eq!(given(), Vec::<String>::new());
    })
    .await;
}

#[tokio::test]
async fn labels_that_cannot_be_change_nothing() {
    shop(async |app, alice, bob| {
        for (body, fields) in [
            (json!({}), vec!["name"]),
            (json!({"name": ""}), vec!["name"]),
            (json!({"name": "x".repeat(101)}), vec!["name"]),
            (json!({"name": "x", "color": 20}), vec!["color"]),
            (json!({"name": "x", "colour": 1}), vec!["colour"]),
        ] {
            let refused = app.post(LABELS, body.clone()).await.expect(400);
            assert_eq!(refused.fields(), fields, "{body}");
        }
        app.post(LABELS, json!({"name": "Paid"})).await.expect(201);
        app.put(&format!("{LABELS}/1"), json!({})).await.expect(400);
        let missing = app.put(&format!("{LABELS}/9"), json!({"name": "x"})).await;
        assert_eq!(missing.expect(404).code(), "label_not_found");
        let chat = format!("/v1/sessions/shop/chats/{}/labels/9", bob.number());
        assert_eq!(
            app.put(&chat, json!({})).await.expect(404).code(),
            "label_not_found"
        );
        let newsletter = "/v1/sessions/shop/chats/120363000000000001@newsletter/labels/1";
        app.put(newsletter, json!({})).await.expect(400);
        assert_eq!(alice.labels().len(), 1);
        assert_eq!(
            alice.chat_labels(bob.number()).unwrap(),
            Vec::<String>::new()
        );
    })
    .await;
}

#[tokio::test]
async fn a_session_from_before_there_were_labels_reads_them_all() {
    shop(async |app, alice, bob| {
        for number in 1..=3 {
            alice
                .saves_label(&number.to_string(), &format!("Label {number}"), number)
                .unwrap();
        }
        alice.labels_chat(bob.number(), "2", true).unwrap();
        app.events("chat.updated", 1).await;
        let before = labels(app).await;
        let stopped = app.stop().await;
        let file = stopped.root().join("wapi.db");
        let options = SqliteConnectOptions::new().filename(file);
        let mut database = options.connect().await.unwrap();
        for table in ["labels", "chat_labels", "labels_read"] {
            let sql = sqlx::AssertSqlSafe(format!("DELETE FROM {table}"));
            sqlx::query(sql).execute(&mut database).await.unwrap();
        }
        database.close().await.unwrap();
        alice.deletes_label("3").unwrap();
        stopped.start().await;
        let read = async || (labels(app).await.as_array().unwrap().len() == 2).then_some(());
        eventually(read, async || labels(app).await.to_string()).await;
        assert_eq!(labels(app).await, json!([before[0], before[1]]));
        assert_eq!(labelled(app, "2").await.len(), 1);
    })
    .await;
}
