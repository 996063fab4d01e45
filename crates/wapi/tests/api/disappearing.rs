//! Chats whose messages disappear: the timer set and told, and what is sent and received with it.

use serde_json::{Value, json};
use wapi_simulator::{Addressing, RichText, SimulatorOptions};

use crate::harness::{PATIENCE, Setup, TestApp, gateway, shop};

/// Sends a text, and tells what the phone decrypts of it.
async fn sent(app: &TestApp, to: &str, phone: &wapi_simulator::Phone) -> Value {
    let id = app
        .accepted("shop", json!({"to": to, "text": {"body": "hi"}}))
        .await;
    let received = phone.next_message(PATIENCE).await.unwrap();
    assert_eq!(received.id, id);
    received.to_json()
}

async fn a_chat_of_two(mut app: TestApp) {
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let chat = format!("/v1/sessions/shop/chats/{}", bob.number());
    for (seconds, expected) in [(604_800, json!(604_800)), (0, Value::Null)] {
        app.patch(&chat, json!({"disappearing": seconds}))
            .await
            .expect(204);
        let received = bob.next_message(PATIENCE).await.unwrap().to_json();
        let setting = &received["protocol_message"];
        assert_eq!(setting["type"], "EPHEMERAL_SETTING");
        assert_eq!(setting["ephemeral_expiration"], json!(seconds));
        let received = sent(&app, bob.number(), &bob).await;
        assert_eq!(
            received["extended_text_message"]["context_info"]["expiration"], expected,
            "{received}"
        );
    }
    // Whoever of the two sets it, it is for both; and it outlives the program.
    bob.sets_timer(alice.number(), 86_400).unwrap();
    let told = app.events("chat.disappearing", 1).await;
    let data = &told[0]["data"];
    assert_eq!(data["chat"], bob.jid());
    assert_eq!(data["disappearing"], 86_400);
    assert_eq!(data["from"]["name"], "Bob");
    app.restart().await;
    app.until("shop", "online").await;
    let received = sent(&app, bob.number(), &bob).await;
    assert_eq!(
        received["extended_text_message"]["context_info"]["expiration"],
        json!(86_400)
    );
    let id = app
        .accepted(
            "shop",
            json!({"to": bob.number(), "poll": {"question": "?", "options": ["a", "b"]}}),
        )
        .await;
    assert_eq!(
        app.message("shop", &id).await["expires_after"],
        json!(86_400)
    );
    let received = bob.next_message(PATIENCE).await.unwrap().to_json();
    assert_eq!(
        received["poll_creation_message_v3"]["context_info"]["expiration"],
        json!(86_400)
    );
    // The owner turns it off on the phone.
    alice.sets_timer(bob.number(), 0).unwrap();
    let told = app.events("chat.disappearing", 2).await;
    assert_eq!(told[1]["data"]["disappearing"], 0);
    assert_eq!(told[1]["data"]["from_me"], true);
    bob.next_message(PATIENCE).await.unwrap();
    assert_eq!(sent(&app, bob.number(), &bob).await["conversation"], "hi");
    app.finish().await;
}

#[tokio::test]
async fn the_timer_of_a_chat_is_set_and_followed() {
    a_chat_of_two(TestApp::start().await).await;
}

#[tokio::test]
async fn the_timer_of_a_chat_is_followed_where_everybody_has_a_lid() {
    let options = SimulatorOptions {
        addressing: Addressing::Lid,
        ..SimulatorOptions::default()
    };
    a_chat_of_two(Setup::new().simulator(options).start().await).await;
}

#[tokio::test]
async fn what_comes_in_says_when_it_disappears_and_is_answered_alike() {
    shop(async |app, alice, bob| {
        let text = RichText {
            body: "soon gone".to_owned(),
            expires_after: Some(86_400),
            ..RichText::default()
        };
        bob.sends_rich_text(alice.number(), text).unwrap();
        let told = app.webhook.next().await.body;
        assert_eq!(told["data"]["expires_after"], json!(86_400));
        let received = sent(app, bob.number(), &bob).await;
        assert_eq!(
            received["extended_text_message"]["context_info"]["expiration"],
            json!(86_400)
        );
    })
    .await;
}

#[tokio::test]
async fn a_group_has_a_timer_too() {
    shop(async |app, alice, bob| {
        let group = alice.creates_group("club", &[&bob]).unwrap();
        app.events("group.created", 1).await;
        app.patch(
            &format!("/v1/sessions/shop/chats/{group}"),
            json!({"disappearing": 7_776_000}),
        )
        .await
        .expect(204);
        let received = sent(app, &group, &bob).await;
        assert_eq!(
            received["extended_text_message"]["context_info"]["expiration"],
            json!(7_776_000),
            "{received}"
        );
        bob.sets_timer(&group, 0).unwrap();
        let told = app.events("group.updated", 2).await;
        let timers: Vec<_> = told
            .iter()
            .map(|event| event["data"]["change"]["expires_in"].clone())
            .collect();
        assert_eq!(timers, [json!(7_776_000), Value::Null]);
        assert_eq!(sent(app, &group, &bob).await["conversation"], "hi");
    })
    .await;
}

#[tokio::test]
async fn only_whatsapps_own_times_are_taken() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        let chat = format!("/v1/sessions/shop/chats/{}", bob.number());
        assert_eq!(
            app.patch(&chat, json!({"disappearing": 0}))
                .await
                .expect(404)
                .code(),
            "session_not_found"
        );
        app.pair("shop", &alice).await;
        for wrong in [
            json!({"disappearing": 60}),
            json!({"disappearing": "a day"}),
        ] {
            assert_eq!(
                app.patch(&chat, wrong).await.expect(400).fields(),
                ["disappearing"]
            );
        }
    })
    .await;
}
