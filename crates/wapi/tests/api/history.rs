//! Chats, contacts and messages as they are kept.

use serde_json::{Value, json};
use wapi_simulator::{Author, Phone};

use crate::harness::{Setup, TestApp, eventually, shop};

const HISTORY: &str = "/v1/sessions/shop";

async fn look(app: &TestApp, path: &str) -> Value {
    app.get(&format!("{HISTORY}{path}"))
        .await
        .expect(200)
        .json()
}

fn bodies(page: &Value) -> Vec<&str> {
    let messages = page["messages"].as_array().unwrap().iter();
    messages
        .map(|message| {
            message["text"]["body"]
                .as_str()
                .or(message["type"].as_str())
                .unwrap()
        })
        .collect()
}

/// A text of the shop to Bob, which has reached him; its id.
async fn sends_good_day(app: &TestApp, bob: &Phone) -> String {
    let message = json!({"to": bob.number(), "text": {"body": "Добрый день"}});
    let id = app.accepted("shop", message).await;
    app.until_message("shop", &id, "delivered").await;
    id
}

#[tokio::test]
async fn a_chat_shows_what_was_said() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "hello").await.unwrap();
        app.webhook.next().await;
        let mine = sends_good_day(app, &bob).await;
        let page = look(app, &format!("/chats/{}/messages", bob.jid())).await;
        assert_eq!(bodies(&page), ["Добрый день", "hello"]);
        let (own, theirs) = (&page["messages"][0], &page["messages"][1]);
        assert_eq!(own["from_me"], true);
        assert_eq!(own["status"], "delivered");
        assert_eq!(own["id"], mine);
        assert_eq!(own["from"]["phone"], alice.number());
        assert_eq!(theirs["from_me"], false);
        assert_eq!(theirs["from"]["name"], "Bob");
    })
    .await;
}

#[tokio::test]
async fn a_chat_shows_what_became_of_a_message() {
    shop(async |app, alice, bob| {
        let first = bob.sends_text(alice.number(), "helo").await.unwrap();
        let second = bob.sends_text(alice.number(), "nonsense").await.unwrap();
        for _ in 0..2 {
            app.webhook.next().await;
        }
        bob.edits_message(alice.number(), &first, "hello").unwrap();
        bob.reacts_to_message(alice.number(), &first, Author::Me, "👍")
            .unwrap();
        bob.deletes_message(alice.number(), &second).unwrap();
        app.events("message.deleted", 1).await;
        let page = look(app, &format!("/chats/{}/messages", bob.jid())).await;
        assert_eq!(bodies(&page), ["deleted", "hello"]);
        let (deleted, edited) = (&page["messages"][0], &page["messages"][1]);
        assert!(deleted["deleted_at"].is_string(), "{deleted}");
        assert_eq!(deleted.get("text"), None);
        assert!(edited["edited_at"].is_string(), "{edited}");
        assert_eq!(edited["reactions"][0]["emoji"], "👍");
        assert_eq!(edited["reactions"][0]["from"]["id"], bob.jid());
    })
    .await;
}

#[tokio::test]
async fn a_chat_has_its_names_its_last_message_and_what_is_unread() {
    shop(async |app, alice, bob| {
        for text in ["one", "two"] {
            bob.sends_text(alice.number(), text).await.unwrap();
            app.webhook.next().await;
        }
        let mine = sends_good_day(app, &bob).await;
        let chat = look(app, &format!("/chats/{}", bob.number())).await;
        assert_eq!(chat["id"], bob.jid());
        assert_eq!(chat["name"], "Bob");
        assert_eq!(chat["unread_count"], 2);
        assert_eq!(chat["last_message"]["id"], mine);
    })
    .await;
}

#[tokio::test]
async fn a_chat_that_is_read_has_nothing_unread() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "hello").await.unwrap();
        app.webhook.next().await;
        let path = format!("/chats/{}", bob.number());
        assert_eq!(look(app, &path).await["unread_count"], 1);
        app.post(&format!("{HISTORY}{path}/read"), json!({}))
            .await
            .expect(200);
        let is_read = async || (look(app, &path).await["unread_count"] == 0).then_some(());
        eventually(is_read, async || "still unread".to_owned()).await;
    })
    .await;
}

#[tokio::test]
async fn messages_are_found_by_their_words() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "hello").await.unwrap();
        app.webhook.next().await;
        sends_good_day(app, &bob).await;
        let found = look(app, "/messages?q=%D0%B4%D0%BE%D0%B1%D1%80").await;
        assert_eq!(bodies(&found), ["Добрый день"]);
        let of_bob = look(app, &format!("/messages?q=hello&chat={}", bob.number())).await;
        assert_eq!(bodies(&of_bob), ["hello"]);
        let of_alice = look(app, &format!("/messages?q=hello&chat={}", alice.number())).await;
        assert_eq!(bodies(&of_alice), [""; 0]);
    })
    .await;
}

#[tokio::test]
async fn a_search_for_nothing_is_refused() {
    shop(async |app, _, _| {
        app.get(&format!("{HISTORY}/messages?q=%22"))
            .await
            .expect(400);
        let refused = app.get(&format!("{HISTORY}/messages")).await.expect(400);
        assert_eq!(refused.fields(), ["q"]);
    })
    .await;
}

#[tokio::test]
async fn lists_go_on_where_they_were_while_messages_come() {
    shop(async |app, alice, _| {
        let friends: Vec<_> = ["Ann", "Bob", "Cid"]
            .iter()
            .map(|name| app.phone(name))
            .collect();
        for friend in &friends {
            for text in ["one", "two", "three"] {
                friend.sends_text(alice.number(), text).await.unwrap();
                app.webhook.next().await;
            }
        }
        let chat = format!("/chats/{}/messages", friends[0].number());
        let newest = look(app, &format!("{chat}?limit=2")).await;
        assert_eq!(bodies(&newest), ["three", "two"]);
        friends[0].sends_text(alice.number(), "four").await.unwrap();
        app.webhook.next().await;
        let older = look(
            app,
            &format!(
                "{chat}?limit=2&before={}",
                newest["before"].as_str().unwrap()
            ),
        )
        .await;
        assert_eq!(bodies(&older), vec!["one"]);
        assert_eq!(older["before"], Value::Null);
        let newer = look(
            app,
            &format!("{chat}?after={}", newest["after"].as_str().unwrap()),
        )
        .await;
        assert_eq!(bodies(&newer), ["four"]);
        app.get(&format!("{HISTORY}{chat}?before=x"))
            .await
            .expect(400);

        let chats = look(app, "/chats?limit=2").await;
        let ids = |page: &Value| {
            page["chats"]
                .as_array()
                .unwrap()
                .iter()
                .map(|chat| chat["id"].clone())
                .collect::<Vec<_>>()
        };
        let rest = look(
            app,
            &format!("/chats?before={}", chats["next"].as_str().unwrap()),
        )
        .await;
        let mut all = [ids(&chats), ids(&rest)].concat();
        assert_eq!(all.len(), 3);
        assert_eq!(rest["next"], Value::Null);
        all.sort_by_key(ToString::to_string);
        let contacts = look(app, "/contacts").await;
        let mut people: Vec<_> = contacts["contacts"]
            .as_array()
            .unwrap()
            .iter()
            .map(|it| it["id"].clone())
            .collect();
        people.sort_by_key(ToString::to_string);
        assert_eq!(people, all);
    })
    .await;
}

#[tokio::test]
async fn any_spelling_names_the_same_contact_and_chat() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "hi").await.unwrap();
        app.webhook.next().await;
        let number = bob.number();
        let spelt =
            format!("%2B{} {}-{}", &number[..3], &number[3..6], &number[6..]).replace(' ', "%20");
        for name in [
            number.to_owned(),
            format!("%2B{number}"),
            spelt,
            bob.jid(),
            bob.lid(),
        ] {
            for path in [format!("/contacts/{name}"), format!("/chats/{name}")] {
                let found = look(app, &path).await;
                assert_eq!(found["id"], bob.jid(), "{path}");
                assert_eq!(found["lid"], bob.lid(), "{path}");
            }
            assert_eq!(
                bodies(&look(app, &format!("/chats/{name}/messages")).await),
                ["hi"],
                "{name}"
            );
            assert_eq!(
                bodies(&look(app, &format!("/messages?q=hi&chat={name}")).await),
                ["hi"],
                "{name}"
            );
        }
        let nobody = app
            .get(&format!("{HISTORY}/chats/375441111111"))
            .await
            .expect(404);
        assert_eq!(nobody.code(), "chat_not_found");
        assert_eq!(
            app.get(&format!("{HISTORY}/contacts/375441111111"))
                .await
                .expect(404)
                .code(),
            "contact_not_found"
        );
        assert_eq!(
            app.get("/v1/sessions/bar/chats").await.expect(404).code(),
            "session_not_found"
        );
    })
    .await;
}

#[tokio::test]
async fn history_can_be_off_and_goes_with_its_session() {
    let app = Setup::new().set("WAPI_HISTORY", "off").start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    for path in [
        "/chats",
        "/chats/375441111111",
        "/chats/375441111111/messages",
        "/messages?q=x",
        "/contacts",
    ] {
        let answer = app.get(&format!("{HISTORY}{path}")).await.expect(409);
        assert_eq!(answer.code(), "history_off");
        assert!(
            answer.json()["detail"]
                .as_str()
                .unwrap()
                .contains("WAPI_HISTORY")
        );
    }
    app.finish().await;

    let app = TestApp::start().await;
    let alice = {
        drop((alice, bob));
        app.phone("Alice")
    };
    let bob = app.phone("Bob");
    app.pair("shop", &alice).await;
    bob.sends_text(alice.number(), "hi").await.unwrap();
    app.webhook.next().await;
    assert_eq!(
        look(&app, "/chats").await["chats"]
            .as_array()
            .unwrap()
            .len(),
        1
    );
    app.delete(HISTORY).await.expect(204);
    app.get(&format!("{HISTORY}/chats")).await.expect(404);
    app.pair("shop", &alice).await;
    assert_eq!(look(&app, "/chats").await["chats"], json!([]));
    assert_eq!(look(&app, "/contacts").await["contacts"], json!([]));
    app.finish().await;
}
