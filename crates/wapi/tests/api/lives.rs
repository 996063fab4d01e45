//! A name that somebody else has now: of whoever had it before nobody reads, finds, quotes, passes on, changes or deletes anything.

use reqwest::Method;
use serde_json::{Value, json};
use wapi_simulator::{FileKind, MediaFile, Phone};

use crate::harness::{Answer, PATIENCE, Setup, TestApp, TestClient, eventually, gateway};
use crate::purges::filled;
use crate::uploads::upload;

const SHOP: &str = "/v1/sessions/shop";
const SECRET: &str = "aubergine";

/// What the first account has left under the name.
struct Left {
    received: String,
    sent: String,
    poll: String,
    /// One that came in, and one that was uploaded.
    files: [String; 2],
    /// A place in the feed somewhere in the middle.
    cursor: i64,
}

fn order(bob: &Phone) -> Value {
    json!({"to": bob.number(), "text": {"body": "your order"}})
}

async fn send_once(app: &TestApp, bob: &Phone) -> (Answer, String) {
    let client = app.with_header("idempotency-key", "order-4711");
    let answer = client
        .post(&format!("{SHOP}/messages?wait=10"), order(bob))
        .await
        .expect(200);
    let id = answer.json()["messages"][0]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    (answer, id)
}

async fn lives(app: &TestApp, alice: &Phone, bob: &Phone) -> Left {
    app.pair("shop", alice).await;
    let received = bob.sends_text(alice.number(), SECRET).await.unwrap();
    app.webhook.next().await;
    let cursor = app.get("/v1/events?limit=1000").await.expect(200).json()["next"]
        .as_i64()
        .unwrap();
    let file = MediaFile::new(
        FileKind::Document,
        SECRET.as_bytes().to_vec(),
        "application/x-secret",
    );
    bob.sends_file(alice.number(), file).await.unwrap();
    let told = app.webhook.next().await.body["data"]["document"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let uploaded = upload(app, "shop", "; filename=\"a.txt\"", SECRET.as_bytes()).await["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let (_, sent) = send_once(app, bob).await;
    bob.next_message(PATIENCE).await.unwrap();
    let poll = json!({"to": bob.number(), "poll": {"question": SECRET, "options": ["yes", "no"]}});
    let poll = app.accepted("shop", poll).await;
    bob.next_message(PATIENCE).await.unwrap();
    app.until_message("shop", &poll, "delivered").await;
    Left {
        received,
        sent,
        poll,
        files: [told, uploaded],
        cursor,
    }
}

/// The events of the session from a place on, as whoever names it reads them.
async fn feed(client: &TestClient, after: i64) -> Vec<Value> {
    let page = client
        .get(&format!("/v1/events?session=shop&limit=1000&after={after}"))
        .await
        .expect(200)
        .json();
    page["events"].as_array().unwrap().clone()
}

async fn call(app: &TestApp, method: Method, path: &str, body: Value) -> Answer {
    let call = app.request(method, &format!("{SHOP}{path}"));
    app.answer(if body.is_null() {
        call
    } else {
        call.json(&body)
    })
    .await
}

/// Nothing of it is there for whoever has the name now.
async fn nothing_is_there(app: &TestApp, left: &Left, bob: &Phone, carol: &Phone) {
    for after in [0, left.cursor] {
        let told = feed(app, after).await;
        assert!(!told.is_empty(), "its own story is told");
        let text = serde_json::to_string(&told).unwrap();
        for trace in [
            SECRET,
            &left.received,
            &left.sent,
            &left.poll,
            &left.files[0],
            bob.number(),
        ] {
            assert!(!text.contains(trace), "{trace} from {after} on: {told:#?}");
        }
    }
    let info = app.session("shop").await.expect(200).json();
    assert_eq!(info["account"]["phone"], carol.number());
    assert_eq!(info["last_received_at"], Value::Null);
    let bob_chat = format!("/chats/{}", bob.number());
    for (path, list) in [
        ("/chats", "chats"),
        ("/contacts", "contacts"),
        ("/messages?q=aubergine", "messages"),
    ] {
        assert_eq!(
            app.get(&format!("{SHOP}{path}")).await.expect(200).json()[list],
            json!([]),
            "{path}"
        );
    }
    let contact = format!("/contacts/{}", bob.number());
    for path in [bob_chat.clone(), format!("{bob_chat}/messages"), contact] {
        app.get(&format!("{SHOP}{path}")).await.expect(404);
    }
    let within = format!("?chat={}", bob.number());
    for id in [&left.received, &left.sent, &left.poll] {
        app.get(&format!("{SHOP}/messages/{id}")).await.expect(404);
        let words = json!({"text": {"body": "other words"}});
        call(app, Method::PATCH, &format!("/messages/{id}"), words)
            .await
            .expect(404);
        for path in [within.clone(), format!("{within}&for=me")] {
            call(
                app,
                Method::DELETE,
                &format!("/messages/{id}{path}"),
                Value::Null,
            )
            .await
            .expect(404);
        }
        let forward = json!({"to": carol.number(), "chat": bob.number()});
        call(
            app,
            Method::POST,
            &format!("/messages/{id}/forward"),
            forward,
        )
        .await
        .expect(404);
        for mark in ["pin", "keep", "star"] {
            for method in [Method::PUT, Method::DELETE] {
                call(
                    app,
                    method,
                    &format!("/messages/{id}/{mark}{within}"),
                    Value::Null,
                )
                .await
                .expect(404);
            }
        }
        call(
            app,
            Method::POST,
            &format!("/messages/{id}/view"),
            Value::Null,
        )
        .await
        .expect(404);
        call(
            app,
            Method::POST,
            &format!("{bob_chat}/read"),
            json!({"up_to": id}),
        )
        .await
        .expect(404);
    }
    let vote =
        json!({"to": bob.number(), "poll_vote": {"message_id": left.poll, "options": ["yes"]}});
    assert_eq!(
        call(app, Method::POST, "/messages", vote)
            .await
            .expect(400)
            .fields(),
        ["poll_vote.message_id"]
    );
    for id in &left.files {
        let path = format!("/v1/media/{id}");
        app.get(&path).await.expect(404);
        app.get(&format!("{path}/content")).await.expect(404);
        app.delete(&path).await.expect(404);
        let document = json!({"to": bob.number(), "document": {"id": id}});
        assert_eq!(
            call(app, Method::POST, "/messages", document)
                .await
                .expect(400)
                .fields(),
            ["document.id"]
        );
        call(app, Method::PUT, "/profile/picture", json!({"id": id}))
            .await
            .expect(404);
    }
    // The same request under the same key is another one, of another account.
    let (answer, id) = send_once(app, bob).await;
    assert!(
        !answer.headers.contains_key("idempotent-replayed") && id != left.sent,
        "{id}"
    );
    let told = bob.next_message(PATIENCE).await.unwrap();
    assert_eq!(told.id, id);
    assert_eq!(told.from, carol.jid());
}

async fn everything_is_there(app: &TestApp, left: &Left) {
    let told = serde_json::to_string(&feed(app, 0).await).unwrap();
    assert!(told.contains(SECRET) && told.contains(&left.sent), "{told}");
    app.get(&format!("{SHOP}/messages/{}", left.sent))
        .await
        .expect(200);
    for id in &left.files {
        app.get(&format!("/v1/media/{id}")).await.expect(200);
    }
}

async fn phones(app: &TestApp) -> [Phone; 3] {
    ["Alice", "Bob", "Carol"].map(|name| app.phone(name))
}

#[tokio::test]
async fn a_name_that_was_taken_again_has_nothing_of_who_had_it_before() {
    gateway(async |app| {
        let [alice, bob, carol] = phones(app).await;
        let left = lives(app, &alice, &bob).await;
        app.delete(&format!("{SHOP}?logout=true")).await.expect(204);
        for path in [format!("/messages/{}", left.sent), "/chats".to_owned()] {
            app.get(&format!("{SHOP}{path}")).await.expect(404);
        }
        assert_eq!(
            feed(app, 0).await,
            [Value::Null; 0],
            "it is no session at the moment"
        );
        app.pair("shop", &carol).await;
        nothing_is_there(app, &left, &bob, &carol).await;
        app.restart().await;
        app.until("shop", "online").await;
        assert!(
            !serde_json::to_string(&feed(app, 0).await)
                .unwrap()
                .contains(SECRET)
        );

        app.delete(&format!("{SHOP}?logout=true")).await.expect(204);
        app.pair("shop", &alice).await;
        everything_is_there(app, &left).await;
    })
    .await;
}

#[tokio::test]
async fn a_session_that_is_linked_to_another_account_has_nothing_of_the_first_until_that_is_back() {
    gateway(async |app| {
        let [alice, bob, carol] = phones(app).await;
        let left = lives(app, &alice, &bob).await;
        app.order("shop", "logout").await.expect(200);
        everything_is_there(app, &left).await;
        app.pair("shop", &carol).await;
        nothing_is_there(app, &left, &bob, &carol).await;

        app.order("shop", "logout").await.expect(200);
        app.pair("shop", &alice).await;
        let info = app.session("shop").await.expect(200).json();
        assert_eq!(
            info["last_received_at"],
            Value::Null,
            "since it was linked again"
        );
        everything_is_there(app, &left).await;
        let found = app
            .get(&format!("{SHOP}/messages?q={SECRET}"))
            .await
            .expect(200)
            .json();
        assert!(
            !found["messages"].as_array().unwrap().is_empty(),
            "its history goes on: {found}"
        );
        // Whoever may do everything reads all there ever was.
        let all = serde_json::to_string(&app.get("/v1/events?limit=1000").await.json()).unwrap();
        assert!(all.contains(&format!("\"phone\":\"{}\"", carol.number())) && all.contains(SECRET));
    })
    .await;
}

#[tokio::test]
async fn what_two_accounts_of_one_name_are_told_in_one_group_is_told_to_both() {
    gateway(async |app| {
        let [alice, bob, carol] = phones(app).await;
        app.pair("shop", &alice).await;
        let group = bob.creates_group("club", &[&alice, &carol]).unwrap();
        let mut ids = Vec::new();
        for account in [&alice, &carol] {
            let file = MediaFile::new(FileKind::Document, b"to all".to_vec(), "text/plain");
            let sent = bob.sends_file(&group, file).await.unwrap();
            let told = app.webhook.next().await.body["data"].clone();
            assert_eq!(told["id"], sent, "{}", account.number());
            assert_eq!(told["chat"], group, "{}", account.number());
            ids.push(told["document"]["id"].as_str().unwrap().to_owned());
            if ids.len() == 1 {
                app.order("shop", "logout").await.expect(200);
                app.pair("shop", &carol).await;
            }
        }
        assert_ne!(ids[0], ids[1]);
        app.get(&format!("/v1/media/{}", ids[0])).await.expect(404);
        app.get(&format!("/v1/media/{}/content", ids[1]))
            .await
            .expect(200);
    })
    .await;
}

#[tokio::test]
async fn a_key_is_for_the_session_it_knew_and_not_for_who_gets_its_name() {
    Setup::new()
        .set("WAPI_API_KEY", "wapi_first")
        .gateway(async |app| {
            let admin = app.with_key("wapi_first");
            let [alice, bob, carol] = phones(app).await;
            let make = async |scopes: Value| {
                let wish = json!({"name": "shop's", "scopes": scopes, "sessions": ["shop"]});
                let made = admin.post("/v1/api-keys", wish).await.expect(201).json();
                app.with_key(made["key"].as_str().unwrap())
            };
            let early = make(json!(["read"])).await;
            admin.pair("shop", &alice).await;
            let (reader, chief) = (make(json!(["read"])).await, make(json!(["admin"])).await);
            for client in [&early, &reader, &chief] {
                client.info("shop").await.expect(200);
            }
            // Another account of the same owner.
            admin.order("shop", "logout").await.expect(200);
            admin.pair("shop", &bob).await;
            let told = serde_json::to_string(&feed(&reader, 0).await).unwrap();
            assert!(
                told.contains(bob.number()) && !told.contains(alice.number()),
                "{told}"
            );

            admin
                .delete(&format!("{SHOP}?logout=true"))
                .await
                .expect(204);
            admin.pair("shop", &carol).await;
            for client in [&early, &reader, &chief] {
                assert_eq!(
                    client.info("shop").await.expect(403).code(),
                    "session_not_allowed"
                );
                assert_eq!(
                    client
                        .get("/v1/events?session=shop")
                        .await
                        .expect(403)
                        .code(),
                    "session_not_allowed"
                );
                assert_eq!(
                    client.get("/v1/events").await.expect(200).json()["events"],
                    json!([])
                );
            }
            make(json!(["read"])).await.info("shop").await.expect(200);
            // An account that is back is read by those who knew it.
            admin
                .delete(&format!("{SHOP}?logout=true"))
                .await
                .expect(204);
            admin.pair("shop", &bob).await;
            reader.info("shop").await.expect(200);

            // Whoever may make a session anew has it.
            chief
                .delete(&format!("{SHOP}?logout=true"))
                .await
                .expect(204);
            chief
                .post("/v1/sessions", json!({"id": "shop"}))
                .await
                .expect(201);
            chief.info("shop").await.expect(200);
        })
        .await;
}

#[tokio::test]
async fn a_purge_leaves_nothing() {
    gateway(async |app| {
        let [alice, bob, carol] = phones(app).await;
        lives(app, &alice, &bob).await;
        app.order("shop", "logout").await.expect(200);
        app.pair("shop", &carol).await;
        bob.sends_text(carol.number(), SECRET).await.unwrap();
        app.webhook.next().await;
        assert_eq!(
            app.delete(&format!("{SHOP}?purge=perhaps"))
                .await
                .expect(400)
                .fields(),
            ["purge"]
        );
        app.delete(&format!("{SHOP}?logout=true&purge=true"))
            .await
            .expect(204);

        let tables = [
            "events",
            "deliveries",
            "messages",
            "receipts",
            "idempotency",
            "payloads",
            "polls",
            "media",
            "identities",
            "engine",
            "history_messages",
            "history_chats",
            "history_contacts",
            "history_reactions",
        ];
        assert_eq!(filled(app, &tables).await, [""; 0]);
        for folder in ["sessions/logged-out", "sessions/removed"] {
            let left = std::fs::read_dir(app.root().join(folder))
                .map(|left| left.count())
                .unwrap_or_default();
            assert_eq!(left, 0, "{folder}");
        }
        app.pair("shop", &alice).await;
        assert!(
            !serde_json::to_string(&feed(app, 0).await)
                .unwrap()
                .contains(SECRET)
        );
        let is_told = async || (!feed(app, 0).await.is_empty()).then_some(());
        eventually(is_told, async || "a new life is told of".to_owned()).await;
    })
    .await;
}
