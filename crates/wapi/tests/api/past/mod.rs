//! The history that a phone tells when it is linked: asked for, taken in, and never told as if it were new.

mod older;
mod parts;

use std::time::Duration;

use serde_json::{Value, json};
use wapi::system::clock::Clock;
use wapi_simulator::{
    Addressing, Author, FileKind, HistoryMessage, HistoryStatus, MediaFile, Phone,
};

use crate::harness::{PATIENCE, Setup, TestApp, eventually, gateway};

const SHOP: &str = "/v1/sessions/shop";

async fn history(app: &TestApp) -> Value {
    app.get(SHOP).await.expect(200).json()["history"].clone()
}

#[tokio::test]
async fn it_is_asked_for_and_stays_so() {
    gateway(async |app| {
        app.post("/v1/sessions", json!({"id": "bar"}))
            .await
            .expect(201);
        assert_eq!(
            app.get("/v1/sessions/bar").await.expect(200).json()["history"],
            Value::Null
        );
        let made = app
            .post("/v1/sessions", json!({"id": "shop", "history": true}))
            .await
            .expect(201)
            .json();
        let waiting =
            json!({"status": "waiting", "progress": 0, "started_at": null, "updated_at": null});
        assert_eq!(made["history"], waiting);
        let wrong = app
            .post("/v1/sessions", json!({"id": "pub", "history": "yes"}))
            .await
            .expect(400);
        assert_eq!(wrong.fields(), ["history"]);
        app.restart().await;
        let there = async || Some(app.session("shop").await).filter(|answer| answer.status == 200);
        let there = eventually(there, async || "it is not there".to_owned()).await;
        assert_eq!(there.json()["history"], waiting);
        app.delete(SHOP).await.expect(204);
        app.post("/v1/sessions", json!({"id": "shop"}))
            .await
            .expect(201);
        assert_eq!(history(app).await, Value::Null);
    })
    .await;
}

#[tokio::test]
async fn a_phone_that_sends_nothing_in_its_time_is_said_to_have_none() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        pair_with_history(app, &alice).await;
        assert_eq!(history(app).await["status"], "waiting");
        let none = async || {
            let is_none = history(app).await["status"] == "none";
            if !is_none {
                app.push_clock(Duration::from_secs(16 * 60));
            }
            is_none.then_some(())
        };
        eventually(none, async || history(app).await.to_string()).await;
        let told = app.events("session.history", 1).await;
        assert_eq!(told[0]["data"]["status"], "none", "{told:?}");
        app.restart().await;
        app.until("shop", "online").await;
        assert_eq!(history(app).await["status"], "none");
        // It has been off, and begins after all.
        alice.remembers_chat(bob.number(), past(3)).unwrap();
        alice.sends_history_again().unwrap();
        until_history(app, "complete").await;
    })
    .await;
}

#[tokio::test]
async fn it_cannot_be_asked_for_where_none_is_kept() {
    Setup::new()
        .set("WAPI_HISTORY", "off")
        .gateway(async |app| {
            let refused = app
                .post("/v1/sessions", json!({"id": "shop", "history": true}))
                .await
                .expect(409);
            assert_eq!(refused.code(), "history_off");
            assert!(
                refused.json()["detail"]
                    .as_str()
                    .unwrap()
                    .contains("WAPI_HISTORY")
            );
            app.get(SHOP).await.expect(404);
            app.post("/v1/sessions", json!({"id": "shop", "history": false}))
                .await
                .expect(201);
        })
        .await;
}

async fn look(app: &TestApp, path: &str) -> Value {
    app.get(&format!("{SHOP}{path}")).await.expect(200).json()
}

fn bodies(page: &Value) -> Vec<String> {
    let messages = page["messages"].as_array().unwrap().iter();
    messages
        .map(|message| message["text"]["body"].as_str().unwrap_or("?").to_owned())
        .collect()
}

/// Messages between two, a second apart, the newest a moment ago.
fn past(count: u64) -> Vec<HistoryMessage> {
    let begin = now() - count - 60;
    let author = |index| {
        if index % 2 == 0 {
            Author::Me
        } else {
            Author::Them
        }
    };
    let message = |index| {
        HistoryMessage::new_text(
            &format!("OLD{index}"),
            author(index),
            begin + index,
            &format!("n{index}"),
        )
    };
    (0..count).map(message).collect()
}

fn now() -> u64 {
    u64::try_from(Clock::system().now().as_second()).unwrap()
}

async fn until_history(app: &TestApp, status: &str) -> Value {
    let look = async || Some(history(app).await).filter(|history| history["status"] == status);
    eventually(look, async || {
        format!("it is not {status}: {}", history(app).await)
    })
    .await
}

/// Makes a session that asks for the history, and links it.
async fn pair_with_history(app: &TestApp, phone: &Phone) {
    app.post("/v1/sessions", json!({"id": "shop", "history": true}))
        .await
        .expect(201);
    app.pair("shop", phone).await;
}

#[tokio::test]
async fn chats_messages_and_names_are_there_and_nothing_is_told_as_new() {
    is_taken_in(Addressing::PhoneNumber).await;
}

#[tokio::test]
async fn an_account_that_is_known_by_lids_has_its_past_under_the_same_names() {
    is_taken_in(Addressing::Lid).await;
}

async fn is_taken_in(addressing: Addressing) {
    let app = TestApp::start().await;
    let (alice, bob, carol) = (app.phone("Alice"), app.phone("Bob"), app.phone("Carol"));
    for phone in [&alice, &bob, &carol] {
        phone.uses_addressing(addressing);
    }
    let group = bob.creates_group("club", &[&alice, &carol]).unwrap();
    alice.remembers_chat(bob.number(), past(121)).unwrap();
    let in_group = HistoryMessage {
        from: Some(carol.number().to_owned()),
        ..HistoryMessage::new_text("OLDG", Author::Them, now() - 50, "всем привет")
    };
    alice.remembers_chat(&group, vec![in_group]).unwrap();
    alice.archives_chat(bob.number(), true).unwrap();
    pair_with_history(&app, &alice).await;
    let complete = until_history(&app, "complete").await;
    assert_eq!(complete["progress"], 100);
    assert!(
        complete["started_at"].is_string() && complete["updated_at"].is_string(),
        "{complete}"
    );

    let page = look(&app, &format!("/chats/{}/messages?limit=500", bob.number())).await;
    let expected: Vec<_> = (0..121).rev().map(|index| format!("n{index}")).collect();
    assert_eq!(bodies(&page), expected);
    let (mine, theirs) = (&page["messages"][0], &page["messages"][1]);
    assert_eq!(mine["id"], "OLD120");
    assert_eq!(mine["from_me"], true);
    assert_eq!(mine["status"], "sent");
    assert_eq!(theirs["from_me"], false);
    assert_eq!(theirs["from"]["id"], bob.jid());
    assert_eq!(theirs["from"]["lid"], bob.lid());
    let chat = look(&app, &format!("/chats/{}", bob.lid())).await;
    assert_eq!(chat["id"], bob.jid());
    assert_eq!(chat["name"], "Bob");
    assert_eq!(chat["archived"], true);
    assert_eq!(chat["unread_count"], 0);
    assert_eq!(chat["last_message"]["id"], "OLD120");
    let found = look(&app, "/messages?q=%D0%BF%D1%80%D0%B8%D0%B2%D0%B5%D1%82").await;
    assert_eq!(found["messages"][0]["chat"], json!(group));
    assert_eq!(found["messages"][0]["from"]["name"], "Carol");
    assert_eq!(
        look(&app, &format!("/contacts/{}", carol.number())).await["lid"],
        carol.lid()
    );

    // The next that comes is the first that is told.
    bob.sends_text(alice.number(), "new").await.unwrap();
    assert_eq!(app.webhook.next().await.body["data"]["text"]["body"], "new");
    assert_eq!(
        app.events("message.received,message.echo", 1).await.len(),
        1
    );
    let told = app.events("session.history", 2).await;
    assert_eq!(told.last().unwrap()["data"]["status"], "complete");
    app.finish().await;
}

#[tokio::test]
async fn a_message_is_one_however_often_and_by_which_way_it_comes() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        alice.remembers_chat(bob.number(), past(60)).unwrap();
        pair_with_history(app, &alice).await;
        until_history(app, "complete").await;
        let live = bob.sends_text(alice.number(), "hello").await.unwrap();
        app.webhook.next().await;
        let mine = app
            .accepted(
                "shop",
                json!({"to": bob.number(), "text": {"body": "at once"}}),
            )
            .await;
        app.until_message("shop", &mine, "delivered").await;
        // The phone tells everything again, and what came meanwhile with it.
        let older = HistoryMessage::new_text("OLDER", Author::Them, now() - 900, "older");
        let again = [
            (Author::Them, &live, "hello"),
            (Author::Me, &mine, "at once"),
        ];
        let again =
            again.map(|(author, id, text)| HistoryMessage::new_text(id, author, now(), text));
        alice
            .remembers_chat(bob.number(), [vec![older], again.to_vec()].concat())
            .unwrap();
        alice.sends_history_again().unwrap();
        let older = async || {
            look(app, "/messages?q=older").await["messages"][0]["id"]
                .as_str()
                .map(drop)
        };
        eventually(older, async || {
            format!("it is not taken in: {}", history(app).await)
        })
        .await;
        until_history(app, "complete").await;
        let page = look(app, &format!("/chats/{}/messages?limit=500", bob.number())).await;
        let between = (0..60).rev().map(|index| format!("n{index}"));
        let expected: Vec<_> = ["at once", "hello"]
            .map(str::to_owned)
            .into_iter()
            .chain(between)
            .chain(["older".to_owned()])
            .collect();
        assert_eq!(
            bodies(&page),
            expected,
            "{:#} {:#}",
            page["messages"][0],
            page["messages"][1]
        );
        assert_eq!(
            page["messages"][0]["status"], "delivered",
            "the history knew less"
        );
        assert_eq!(look(app, "/chats").await["chats"][0]["unread_count"], 1);
    })
    .await;
}

#[tokio::test]
async fn what_became_of_old_messages_is_known_and_older_ones_are_left_out() {
    Setup::new()
        .set("WAPI_HISTORY", "10")
        .gateway(async |app| {
            let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
            let day = 24 * 3600;
            let read = HistoryMessage {
                status: Some(HistoryStatus::Read),
                reactions: vec![
                    (Author::Them, "👍".to_owned()),
                    (Author::Me, "❤️".to_owned()),
                ],
                ..HistoryMessage::new_text("READ", Author::Me, now() - 9 * day, "nine days ago")
            };
            let old =
                HistoryMessage::new_text("OLD", Author::Them, now() - 11 * day, "eleven days ago");
            alice.remembers_chat(bob.number(), vec![old, read]).unwrap();
            pair_with_history(app, &alice).await;
            until_history(app, "complete").await;
            let page = look(app, &format!("/chats/{}/messages", bob.number())).await;
            assert_eq!(bodies(&page), ["nine days ago"]);
            let message = &page["messages"][0];
            assert_eq!(message["status"], "read");
            let reactions: Vec<_> = message["reactions"].as_array().unwrap().iter().collect();
            let by = |emoji: &str| {
                reactions
                    .iter()
                    .find(|it| it["emoji"] == emoji)
                    .unwrap_or_else(|| panic!("{message}"))
            };
            assert_eq!(by("👍")["from"]["id"], bob.jid());
            assert_eq!(by("❤️")["from_me"], true);
        })
        .await;
}

#[tokio::test]
async fn files_of_the_past_are_fetched_when_somebody_asks() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        bob.sends_file(
            alice.number(),
            MediaFile::new(FileKind::Document, b"a list".to_vec(), "text/plain"),
        )
        .await
        .unwrap();
        let received = alice.wait_until("it is there", PATIENCE, |alice| {
            alice.received_messages().into_iter().next()
        });
        let received = received.await.unwrap();
        let sent = HistoryMessage::new_copy("FILE", Author::Them, now() - 70, &received);
        alice
            .remembers_chat(bob.number(), vec![sent, past(1).remove(0)])
            .unwrap();
        pair_with_history(app, &alice).await;
        until_history(app, "complete").await;
        let page = look(app, &format!("/chats/{}/messages", bob.number())).await;
        let id = page["messages"][1]["document"]["id"]
            .as_str()
            .unwrap_or_else(|| panic!("{page}"));
        assert_eq!(
            app.get(&format!("/v1/media/{id}")).await.expect(200).json()["status"],
            "remote"
        );
        assert_eq!(
            app.get(&format!("/v1/media/{id}/content?wait=30"))
                .await
                .expect(200)
                .body,
            b"a list"
        );
    })
    .await;
}

#[tokio::test]
async fn a_session_that_did_not_ask_fetches_nothing() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        alice.remembers_chat(bob.number(), past(60)).unwrap();
        app.pair("shop", &alice).await;
        // What is told after it has come, when all of it has come.
        alice
            .wait_until("everything arrived", PATIENCE, |alice| {
                (alice.linked_devices()[0].queued == 0).then_some(())
            })
            .await
            .unwrap();
        bob.sends_text(alice.number(), "new").await.unwrap();
        assert_eq!(app.webhook.next().await.body["data"]["text"]["body"], "new");
        assert_eq!(
            bodies(&look(app, &format!("/chats/{}/messages", bob.number())).await),
            ["new"]
        );
        assert_eq!(app.simulator.download_count(), 0);
        assert_eq!(history(app).await, Value::Null);
    })
    .await;
}

#[tokio::test]
async fn a_history_of_many_chats_with_one_message_each_is_complete() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        for number in 0..40 {
            let person = app.phone(&format!("Person {number}"));
            alice.remembers_chat(person.number(), past(1)).unwrap();
        }
        pair_with_history(app, &alice).await;
        until_history(app, "complete").await;
    })
    .await;
}
