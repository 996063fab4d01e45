//! Chats, contacts and messages as they are kept.

use serde_json::{Value, json};
use wapi_simulator::Author;

use crate::harness::{Setup, TestApp, eventually};

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

#[tokio::test]
async fn a_chat_shows_what_was_said_and_what_became_of_it() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let first = bob.sends_text(alice.number(), "helo").await.unwrap();
    app.webhook.next().await;
    bob.sends_text(alice.number(), "nonsense").await.unwrap();
    let second = app.webhook.next().await.body["data"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    bob.edits_message(alice.number(), &first, "hello").unwrap();
    bob.reacts_to_message(alice.number(), &first, Author::Me, "👍")
        .unwrap();
    bob.deletes_message(alice.number(), &second).unwrap();
    app.events("message.deleted", 1).await;
    let mine = app
        .accepted(
            "shop",
            json!({"to": bob.number(), "text": {"body": "Добрый день"}}),
        )
        .await;
    app.until_message("shop", &mine, "delivered").await;

    let page = look(&app, &format!("/chats/{}/messages", bob.jid())).await;
    assert_eq!(bodies(&page), ["Добрый день", "deleted", "hello"]);
    let [own, deleted, edited] = &page["messages"].as_array().unwrap()[..] else {
        panic!("{page}")
    };
    assert_eq!(
        (&own["from_me"], &own["status"], &own["id"]),
        (&json!(true), &json!("delivered"), &json!(mine))
    );
    assert_eq!(own["from"]["phone"], alice.number());
    assert!(
        deleted["deleted_at"].is_string() && deleted.get("text").is_none(),
        "{deleted}"
    );
    assert!(edited["edited_at"].is_string(), "{edited}");
    assert_eq!(
        (&edited["from"]["name"], &edited["from_me"]),
        (&json!("Bob"), &json!(false))
    );
    assert_eq!(edited["reactions"][0]["emoji"], "👍");
    assert_eq!(edited["reactions"][0]["from"]["id"], bob.jid());

    let chat = look(&app, &format!("/chats/{}", bob.number())).await;
    assert_eq!(
        (&chat["id"], &chat["name"], &chat["unread_count"]),
        (&json!(bob.jid()), &json!("Bob"), &json!(2))
    );
    assert_eq!(chat["last_message"]["id"], mine);
    app.post(&format!("{HISTORY}/chats/{}/read", bob.number()), json!({}))
        .await
        .expect(200);
    let read = async || look(&app, &format!("/chats/{}", bob.number())).await["unread_count"] == 0;
    eventually(
        async || read().await.then_some(()),
        async || "still unread".to_owned(),
    )
    .await;

    let found = look(&app, "/messages?q=%D0%B4%D0%BE%D0%B1%D1%80").await;
    assert_eq!(bodies(&found), ["Добрый день"]);
    let narrowed = look(&app, &format!("/messages?q=hello&chat={}", alice.number())).await;
    assert_eq!(bodies(&narrowed), Vec::<&str>::new());
    app.get(&format!("{HISTORY}/messages?q=%22"))
        .await
        .expect(400);
    assert_eq!(
        app.get(&format!("{HISTORY}/messages"))
            .await
            .expect(400)
            .fields(),
        ["q"]
    );
    app.finish().await;
}

#[tokio::test]
async fn lists_go_on_where_they_were_while_messages_come() {
    let app = TestApp::start().await;
    let alice = app.phone("Alice");
    app.pair("shop", &alice).await;
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
    let newest = look(&app, &format!("{chat}?limit=2")).await;
    assert_eq!(bodies(&newest), ["three", "two"]);
    friends[0].sends_text(alice.number(), "four").await.unwrap();
    app.webhook.next().await;
    let older = look(
        &app,
        &format!(
            "{chat}?limit=2&before={}",
            newest["before"].as_str().unwrap()
        ),
    )
    .await;
    assert_eq!(
        (bodies(&older), &older["before"]),
        (vec!["one"], &Value::Null)
    );
    let newer = look(
        &app,
        &format!("{chat}?after={}", newest["after"].as_str().unwrap()),
    )
    .await;
    assert_eq!(bodies(&newer), ["four"]);
    app.get(&format!("{HISTORY}{chat}?before=x"))
        .await
        .expect(400);

    let chats = look(&app, "/chats?limit=2").await;
    let ids = |page: &Value| {
        page["chats"]
            .as_array()
            .unwrap()
            .iter()
            .map(|chat| chat["id"].clone())
            .collect::<Vec<_>>()
    };
    let rest = look(
        &app,
        &format!("/chats?before={}", chats["next"].as_str().unwrap()),
    )
    .await;
    let mut all = [ids(&chats), ids(&rest)].concat();
    assert_eq!((all.len(), &rest["next"]), (3, &Value::Null));
    all.sort_by_key(ToString::to_string);
    let contacts = look(&app, "/contacts").await;
    let mut people: Vec<_> = contacts["contacts"]
        .as_array()
        .unwrap()
        .iter()
        .map(|it| it["id"].clone())
        .collect();
    people.sort_by_key(ToString::to_string);
    assert_eq!(people, all);
    app.finish().await;
}

#[tokio::test]
async fn any_spelling_names_the_same_contact_and_chat() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
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
            let found = look(&app, &path).await;
            assert_eq!(
                (&found["id"], &found["lid"]),
                (&json!(bob.jid()), &json!(bob.lid())),
                "{path}"
            );
        }
        assert_eq!(
            bodies(&look(&app, &format!("/chats/{name}/messages")).await),
            ["hi"],
            "{name}"
        );
        assert_eq!(
            bodies(&look(&app, &format!("/messages?q=hi&chat={name}")).await),
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
    app.finish().await;
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
    assert!(!app.root().join("history.db").exists());
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
