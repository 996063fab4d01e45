//! Statuses: posted for those who are named, seen by them, taken back; and those that others post.

use serde_json::{Value, json};
use wapi_simulator::{Addressing, Phone, PhoneMessage, SimulatorOptions};

use crate::harness::{PATIENCE, Setup, TestApp, eventually, shop, steady};
use crate::uploads::{png, upload};

const STATUS: &str = "status@broadcast";
/// The ground of the statuses that phones post here.
const GREEN: u32 = 0xFF1E_6E4F;
const FILM: &[u8] = b"\0\0\0\x18ftypmp42\0\0\0\0mp42isom";

async fn with_alice(addressing: Addressing) -> (TestApp, [Phone; 4]) {
    let setup = Setup::new().simulator(SimulatorOptions {
        addressing,
        ..SimulatorOptions::default()
    });
    let app = setup.start().await;
    let phones = ["Alice", "Bob", "Carol", "Dave"].map(|name| app.phone(name));
    app.pair("shop", &phones[0]).await;
    (app, phones)
}

/// A story of Alice's session in each of the two address worlds.
async fn in_each_world(story: impl AsyncFn(&TestApp, &[Phone; 4])) {
    for addressing in [Addressing::PhoneNumber, Addressing::Lid] {
        let (app, phones) = with_alice(addressing).await;
        // Boxed, because the stack of a test is too small for the largest stories.
        Box::pin(story(&app, &phones)).await;
        app.finish().await;
    }
}

/// Posts a status for Bob, who is named by his number, and Carol, who is named by her LID.
async fn post(
    app: &TestApp,
    [_, bob, carol, _]: &[Phone; 4],
    kind: &str,
    content: Value,
) -> String {
    let recipients = [format!("+{}", bob.number()), carol.lid()];
    let status = json!({"to": "status", "recipients": recipients, (kind): content});
    app.accepted("shop", status).await
}

/// A status is shown by those who are named and by the account's own phone, and by nobody else; Bob's.
async fn shown_status(
    [alice, bob, carol, dave]: &[Phone; 4],
    id: &str,
    kind: &str,
) -> PhoneMessage {
    for phone in [carol, alice] {
        assert_eq!(phone.next_message(PATIENCE).await.unwrap().id, id);
    }
    let shown = bob.next_message(PATIENCE).await.unwrap();
    assert_eq!(shown.id, id);
    assert_eq!(shown.chat, STATUS);
    assert_eq!(shown.kind, kind);
    assert_eq!(shown.from, alice.jid());
    assert_eq!(dave.received_messages(), Vec::new());
    assert_eq!(dave.failures(), Vec::<String>::new());
    shown
}

#[tokio::test]
async fn a_text_reaches_those_who_are_named_with_its_style() {
    in_each_world(async |app, phones| {
        let text =
            json!({"body": "open *now*", "background_color": "#ff8800", "font": "system_bold"});
        let id = post(app, phones, "text", text).await;
        let shown = shown_status(phones, &id, "text").await.to_json();
        let expected = json!({"text": "open *now*", "background_argb": 0xFFFF_8800_u32, "font": "SYSTEM_BOLD"});
        assert_eq!(shown["extended_text_message"], expected);
    }).await;
}

#[tokio::test]
async fn a_picture_reaches_those_who_are_named() {
    in_each_world(async |app, phones| {
        let picture = upload(app, "shop", "; filename=\"a.png\"", &png(8, 8)).await;
        let picture = json!({"id": picture["id"], "caption": "new"});
        let id = post(app, phones, "image", picture).await;
        let shown = shown_status(phones, &id, "image").await;
        assert!(shown.media.is_some());
    })
    .await;
}

#[tokio::test]
async fn a_film_reaches_those_who_are_named() {
    in_each_world(async |app, phones| {
        let film = upload(app, "shop", "; filename=\"a.mp4\"", FILM).await;
        let id = post(app, phones, "video", json!({"id": film["id"]})).await;
        let shown = shown_status(phones, &id, "video").await;
        assert!(shown.media.is_some());
    })
    .await;
}

#[tokio::test]
async fn a_status_tells_who_saw_it() {
    in_each_world(async |app, phones| {
        let id = post(app, phones, "text", json!({"body": "open"})).await;
        shown_status(phones, &id, "text").await;
        let [_, bob, carol, _] = phones;
        bob.reads_messages(STATUS, std::slice::from_ref(&id))
            .unwrap();
        let seen = &app.events("message.read", 1).await[0]["data"];
        assert_eq!(seen["id"], id);
        assert_eq!(seen["chat"], STATUS);
        assert_eq!(seen["recipient"]["phone"], bob.number());
        carol
            .reads_messages(STATUS, std::slice::from_ref(&id))
            .unwrap();
        let seen = app.events("message.read", 2).await;
        assert_eq!(seen[0]["data"]["recipient"]["id"], bob.jid());
        assert_eq!(seen[1]["data"]["recipient"]["id"], carol.jid());
        let story = app.until_message("shop", &id, "read").await;
        assert_eq!(story["audience"], json!([bob.jid(), carol.lid()]));
    })
    .await;
}

#[tokio::test]
async fn statuses_are_in_no_list_of_chats() {
    in_each_world(async |app, phones| {
        let id = post(app, phones, "text", json!({"body": "open"})).await;
        app.until_message("shop", &id, "delivered").await;
        let chats = app.get("/v1/sessions/shop/chats").await.expect(200).json();
        assert_eq!(chats["chats"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn a_status_is_taken_back_from_those_who_are_named() {
    in_each_world(async |app, phones| {
        let id = post(app, phones, "text", json!({"body": "open"})).await;
        shown_status(phones, &id, "text").await;
        app.until_message("shop", &id, "delivered").await;
        app.delete(&format!("/v1/sessions/shop/messages/{id}"))
            .await
            .expect(200);
        let [_, bob, carol, _] = phones;
        for phone in [bob, carol] {
            let told = phone.next_message(PATIENCE).await.unwrap();
            assert_eq!(told.chat, STATUS);
            let protocol = &told.to_json()["protocol_message"];
            assert_eq!(protocol["type"], "REVOKE");
            let key = json!({"remote_jid": STATUS, "from_me": true, "id": id});
            assert_eq!(protocol["key"], key);
        }
    })
    .await;
}

#[tokio::test]
async fn what_others_post_is_an_event_of_its_own_and_no_message_to_the_original() {
    let (app, [alice, bob, ..]) = with_alice(Addressing::PhoneNumber).await;
    let id = bob
        .posts_painted_text(&[&alice], "hello all", GREEN)
        .unwrap();
    let told = app.events("status.received", 1).await[0]["data"].clone();
    let mut expected = json!({
        "session": "shop", "id": id, "chat": STATUS, "offline": false, "type": "text",
        "from": {"id": bob.jid(), "phone": bob.number(), "lid": bob.lid(), "name": "Bob"},
        "text": {"body": "hello all", "background_color": "#1E6E4F", "font": "fb_script"},
    });
    for time in ["timestamp", "expires_at"] {
        expected[time] = told[time].clone();
    }
    assert_eq!(told, expected);
    let time = |name: &str| {
        told[name]
            .as_str()
            .unwrap()
            .parse::<jiff::Timestamp>()
            .unwrap()
    };
    assert_eq!(
        time("expires_at").as_second() - time("timestamp").as_second(),
        24 * 3600
    );

    let gone = bob.deletes_status(&[&alice], &id).unwrap();
    let deleted = app.events("message.deleted", 1).await[0]["data"].clone();
    insta::assert_json_snapshot!(steady(&deleted, &[(&gone, "[deletion]"), (&id, "[id]")]), @r#"
    {
      "by": "author",
      "chat": "status@broadcast",
      "from": {
        "id": "375440000002@s.whatsapp.net",
        "lid": "100000000000002@lid",
        "name": "Bob",
        "phone": "375440000002"
      },
      "id": "[deletion]",
      "message_id": "[id]",
      "offline": false,
      "session": "shop",
      "timestamp": "[moment]"
    }
    "#);
    // What the account posts on its phone.
    let own = alice
        .posts_painted_text(&[&bob], "from my phone", GREEN)
        .unwrap();
    let echo = app.events("message.echo", 1).await[0]["data"].clone();
    insta::assert_json_snapshot!(steady(&echo, &[(&own, "[id]")]), @r##"
    {
      "chat": "status@broadcast",
      "from": {
        "id": "375440000001@s.whatsapp.net",
        "lid": "100000000000001@lid",
        "name": "Alice",
        "phone": "375440000001"
      },
      "from_me": true,
      "id": "[id]",
      "offline": false,
      "session": "shop",
      "text": {
        "background_color": "#1E6E4F",
        "body": "from my phone",
        "font": "fb_script"
      },
      "timestamp": "[moment]",
      "type": "text"
    }
    "##);

    bob.sends_text(&alice.jid(), "a message").await.unwrap();
    assert_eq!(
        app.webhook.next().await.body["data"]["text"]["body"],
        "a message"
    );
    // Bob's message is in a chat, so what came before it would be, too.
    let chats = async || {
        let listed = app.get("/v1/sessions/shop/chats").await.expect(200).json();
        Some(listed.to_string()).filter(|listed| listed.contains(&bob.jid()))
    };
    let chats = eventually(chats, async || "no chat with Bob".to_owned()).await;
    assert!(!chats.contains(STATUS), "{chats}");
    app.finish().await;
}

#[tokio::test]
async fn what_cannot_be_a_status_is_refused_by_name() {
    let (app, [_, bob, ..]) = with_alice(Addressing::PhoneNumber).await;
    let text = json!({"body": "hi"});
    let to_bob = json!([bob.number()]);
    let cases: [(Value, &[&str]); 11] = [
        (json!({"to": "status", "text": text}), &["recipients"]),
        (
            json!({"to": "status", "recipients": [], "text": text}),
            &["recipients"],
        ),
        (
            json!({"to": "status", "recipients": ["120363025246125486@g.us", "x"], "text": text}),
            &["recipients"; 2],
        ),
        (
            json!({"to": bob.number(), "recipients": to_bob, "text": text}),
            &["recipients"],
        ),
        (
            json!({"to": bob.number(), "text": {"body": "hi", "font": "system"}}),
            &["text"],
        ),
        (
            json!({"to": "status", "recipients": to_bob, "text": {"body": "hi", "font": "comic", "background_color": "red"}}),
            &["text.background_color", "text.font"],
        ),
        (
            json!({"to": "status", "recipients": to_bob, "text": text, "context": {"message_id": "3EB0"}, "mentions": to_bob}),
            &["context", "mentions"],
        ),
        (
            json!({"to": "status", "recipients": to_bob, "location": {"latitude": 1, "longitude": 1}}),
            &["to"],
        ),
        (
            json!({"to": "status", "recipients": to_bob, "audio": {"link": "http://127.0.0.1/a.mp3"}}),
            &["audio"],
        ),
        (
            json!({"to": "status", "recipients": to_bob, "reaction": {"message_id": "3EB0", "emoji": "👍"}}),
            &["recipients"],
        ),
        (
            json!({"to": "status", "recipients": to_bob, "image": {"link": "http://127.0.0.1/a.png", "view_once": true}}),
            &["image"],
        ),
    ];
    for (message, fields) in cases {
        let refused = app
            .post("/v1/sessions/shop/messages", message.clone())
            .await
            .expect(400);
        assert_eq!(refused.fields(), fields, "{message}");
    }
    let nobody =
        json!({"to": "status", "recipients": [bob.number(), "375449999999"], "text": text});
    let refused = app
        .post("/v1/sessions/shop/messages", nobody)
        .await
        .expect(404);
    assert_eq!(refused.code(), "not_on_whatsapp");
    assert_eq!(bob.received_messages(), Vec::new());

    let id = app
        .accepted(
            "shop",
            json!({"to": "status", "recipients": to_bob, "text": text}),
        )
        .await;
    let path = format!("/v1/sessions/shop/messages/{id}");
    assert_eq!(
        app.patch(&path, json!({"text": {"body": "ho"}}))
            .await
            .expect(400)
            .fields(),
        ["id"]
    );
    assert_eq!(
        app.put(&format!("{path}/pin"), json!({}))
            .await
            .expect(400)
            .fields(),
        ["id"]
    );
    assert_eq!(
        app.put(&format!("{path}/star"), json!({}))
            .await
            .expect(400)
            .fields(),
        ["id"]
    );
    assert_eq!(
        app.delete(&format!("{path}?for=me"))
            .await
            .expect(400)
            .fields(),
        ["id"]
    );
    app.finish().await;
}

/// Bob posts a status for Alice, which her session has received.
async fn posted_by_bob(app: &TestApp, [alice, bob, ..]: &[Phone; 4]) -> String {
    let id = bob
        .posts_painted_text(&[alice], "hello all", GREEN)
        .unwrap();
    app.events("status.received", 1).await;
    id
}

#[tokio::test]
async fn a_status_of_others_is_seen() {
    in_each_world(async |app, phones| {
        let id = posted_by_bob(app, phones).await;
        let [alice, bob, ..] = phones;
        let path = format!("/v1/sessions/shop/messages/{id}/view");
        app.post_raw(&path, "").await.expect(204);
        let receipt = bob.wait_for_receipt(&id, "read", PATIENCE).await.unwrap();
        assert_eq!(receipt.from, alice.jid());
    })
    .await;
}

#[tokio::test]
async fn a_status_of_others_is_answered_in_the_chat_with_its_author() {
    in_each_world(async |app, phones| {
        let id = posted_by_bob(app, phones).await;
        let bob = &phones[1];
        let answer = json!({"to": bob.number(), "text": {"body": "hello you"}, "context": {"message_id": id}});
        app.accepted("shop", answer).await;
        let shown = bob.next_message(PATIENCE).await.unwrap();
        let context = &shown.to_json()["extended_text_message"]["context_info"];
        assert_eq!(context["stanza_id"], id);
        assert_eq!(context["remote_jid"], STATUS);
        assert!(is_bob(bob, &context["participant"]), "{context}");
        let quoted = context["quoted_message"].to_string();
        assert_eq!(quoted.matches("hello all").count(), 1, "{context}");
    })
    .await;
}

fn is_bob(bob: &Phone, address: &Value) -> bool {
    *address == bob.jid() || *address == bob.lid()
}

/// A reaction to Bob's status reaches him as this text.
async fn assert_reaction(app: &TestApp, bob: &Phone, id: &str, emoji: Value, text: &str) {
    let reaction = json!({"to": "status", "reaction": {"message_id": id, "emoji": emoji}});
    let sent = app.accepted("shop", reaction).await;
    let shown = bob.next_message(PATIENCE).await.unwrap();
    assert_eq!(shown.id, sent);
    assert_eq!(shown.chat, STATUS);
    let reaction = &shown.to_json()["reaction_message"];
    assert_eq!(reaction["text"], text);
    let key = &reaction["key"];
    assert_eq!(key["remote_jid"], STATUS);
    assert_eq!(key["id"], id);
    assert_eq!(key["from_me"], false);
    assert!(is_bob(bob, &key["participant"]), "{key}");
    app.until_message("shop", &sent, "delivered").await;
}

#[tokio::test]
async fn a_status_of_others_is_reacted_to() {
    in_each_world(async |app, phones| {
        let id = posted_by_bob(app, phones).await;
        assert_reaction(app, &phones[1], &id, json!("👍"), "👍").await;
        assert_reaction(app, &phones[1], &id, json!(null), "").await;
    })
    .await;
}

#[tokio::test]
async fn a_status_of_others_is_passed_on() {
    in_each_world(async |app, phones| {
        let id = posted_by_bob(app, phones).await;
        let [alice, _, carol, _] = phones;
        app.post(
            &format!("/v1/sessions/shop/messages/{id}/forward"),
            json!({"to": carol.number(), "chat": "status"}),
        )
        .await
        .expect(200);
        let shown = carol.next_message(PATIENCE).await.unwrap();
        assert_eq!(shown.text.as_deref(), Some("hello all"));
        assert_eq!(shown.chat, alice.jid());
    })
    .await;
}

#[tokio::test]
async fn a_status_that_nobody_knows_is_neither_seen_nor_reacted_to() {
    shop(async |app, _, _| {
        let unknown = json!({"to": "status", "reaction": {"message_id": "3EB0", "emoji": "👍"}});
        let refused = app.post("/v1/sessions/shop/messages", unknown).await;
        assert_eq!(refused.expect(404).code(), "message_not_found");
        let seen = app
            .post_raw("/v1/sessions/shop/messages/3EB0/view", "")
            .await;
        assert_eq!(seen.expect(404).code(), "message_not_found");
    })
    .await;
}

/// The account posts a status that Bob is shown.
async fn posted_for_bob(app: &TestApp, bob: &Phone) -> String {
    let status = json!({"to": "status", "recipients": [bob.number()], "text": {"body": "open"}});
    let id = app.accepted("shop", status).await;
    assert_eq!(bob.next_message(PATIENCE).await.unwrap().id, id);
    id
}

#[tokio::test]
async fn reactions_to_the_accounts_own_statuses_are_told() {
    in_each_world(async |app, [alice, bob, ..]| {
        let id = posted_for_bob(app, bob).await;
        bob.reacts_to_status(alice, &id, "🎉").unwrap();
        let told = &app.events("message.reaction", 1).await[0]["data"];
        assert_eq!(told["message_id"], id);
        assert_eq!(told["chat"], STATUS);
        assert_eq!(told["from"]["phone"], bob.number());
        assert_eq!(told["emoji"], "🎉");
        bob.reacts_to_status(alice, &id, "").unwrap();
        let told = &app.events("message.reaction", 2).await[1]["data"];
        assert_eq!(told["message_id"], id);
        assert_eq!(told["emoji"], json!(null));
    })
    .await;
}

#[tokio::test]
async fn answers_to_the_accounts_own_statuses_are_told() {
    in_each_world(async |app, [alice, bob, ..]| {
        let id = posted_for_bob(app, bob).await;
        bob.answers_status(alice, &id, "open", "since when?")
            .unwrap();
        let told = &app.webhook.next().await.body["data"];
        assert_eq!(told["chat"], bob.jid());
        assert_eq!(told["text"]["body"], "since when?");
        assert_eq!(told["context"]["message_id"], id);
        assert_eq!(told["context"]["chat"], STATUS);
    })
    .await;
}
