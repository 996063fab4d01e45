//! Marks on messages, both ways: pins, what is kept, stars.

use insta::assert_json_snapshot;
use serde_json::{Value, json};
use wapi_simulator::{Addressing, Author, Phone, SimulatorOptions};

use crate::harness::{PATIENCE, Setup, TestApp, shop, steady};

/// A message of ours and one of the other's, in a chat of two.
async fn two_messages(app: &TestApp, alice: &Phone, bob: &Phone) -> [String; 2] {
    let ours = app
        .accepted("shop", json!({"to": bob.number(), "text": {"body": "hi"}}))
        .await;
    bob.next_message(PATIENCE).await.unwrap();
    let theirs = bob.sends_text(alice.number(), "hello").await.unwrap();
    app.webhook.next().await;
    [ours, theirs]
}

fn route(id: &str, mark: &str, chat: &Phone) -> String {
    let chat = chat.number();
    format!("/v1/sessions/shop/messages/{id}/{mark}?chat={chat}")
}

/// What Bob's phone decrypts next, which is about one message.
async fn mark(bob: &Phone, id: &str) -> Value {
    let received = bob.next_message(PATIENCE).await.unwrap().to_json();
    let mut mark =
        json!({"pin": received["pin_in_chat_message"], "keep": received["keep_in_chat_message"]});
    for kind in ["pin", "keep"] {
        if let Some(members) = mark[kind].as_object_mut() {
            members.remove("sender_timestamp_ms");
            members.remove("timestamp_ms");
        }
    }
    mark["seconds"] = received["message_context_info"]["message_add_on_duration_in_secs"].clone();
    mark.as_object_mut()
        .unwrap()
        .retain(|_, value| !value.is_null());
    steady(&mark, &[(id, "[id]"), (&bob.jid(), "[bob]")])
}

#[tokio::test]
async fn a_pin_lasts_a_week_for_both() {
    shop(async |app, alice, bob| {
        let [ours, _] = two_messages(app, &alice, &bob).await;
        let answer = app.put(&route(&ours, "pin", &bob), json!({})).await;
        let answer = answer.expect(200).json();
        assert_eq!(answer["messages"][0]["pin"]["message_id"], json!(ours));
        assert_json_snapshot!(mark(&bob, &ours).await, @r#"
        {
          "pin": {
            "key": {
              "from_me": true,
              "id": "[id]",
              "remote_jid": "[bob]"
            },
            "type": "PIN_FOR_ALL"
          },
          "seconds": 604800
        }
        "#);
    })
    .await;
}

#[tokio::test]
async fn a_pin_lasts_as_long_as_it_is_asked_for() {
    shop(async |app, alice, bob| {
        let [ours, _] = two_messages(app, &alice, &bob).await;
        let day = json!({"duration": 86_400});
        app.put(&route(&ours, "pin", &bob), day).await.expect(200);
        assert_eq!(mark(&bob, &ours).await["seconds"], 86_400);
    })
    .await;
}

#[tokio::test]
async fn a_pin_lasts_no_minute() {
    shop(async |app, alice, bob| {
        let [ours, _] = two_messages(app, &alice, &bob).await;
        let minute = json!({"duration": 60});
        let refused = app.put(&route(&ours, "pin", &bob), minute).await;
        assert_eq!(refused.expect(400).fields(), ["duration"]);
    })
    .await;
}

#[tokio::test]
async fn a_pin_is_taken_away_for_both() {
    shop(async |app, alice, bob| {
        let [ours, _] = two_messages(app, &alice, &bob).await;
        app.delete(&route(&ours, "pin", &bob)).await.expect(200);
        assert_json_snapshot!(mark(&bob, &ours).await, @r#"
        {
          "pin": {
            "key": {
              "from_me": true,
              "id": "[id]",
              "remote_jid": "[bob]"
            },
            "type": "UNPIN_FOR_ALL"
          },
          "seconds": 0
        }
        "#);
    })
    .await;
}

#[tokio::test]
async fn what_the_other_wrote_is_pinned_as_theirs() {
    shop(async |app, alice, bob| {
        let [_, theirs] = two_messages(app, &alice, &bob).await;
        let pin = route(&theirs, "pin", &bob);
        app.put(&pin, json!({})).await.expect(200);
        assert_eq!(mark(&bob, &theirs).await["pin"]["key"]["from_me"], false);
        app.delete(&pin).await.expect(200);
        assert_eq!(mark(&bob, &theirs).await["pin"]["key"]["from_me"], false);
    })
    .await;
}

#[tokio::test]
async fn a_message_is_kept_for_both_and_let_go_again() {
    shop(async |app, alice, bob| {
        let [ours, theirs] = two_messages(app, &alice, &bob).await;
        let answer = app.put(&route(&ours, "keep", &bob), json!({})).await;
        assert_eq!(
            answer.expect(200).json()["messages"][0]["keep"],
            json!({"message_id": ours, "kept": true})
        );
        assert_json_snapshot!(mark(&bob, &ours).await, @r#"
        {
          "keep": {
            "keep_type": "KEEP_FOR_ALL",
            "key": {
              "from_me": true,
              "id": "[id]",
              "remote_jid": "[bob]"
            }
          }
        }
        "#);
        let answer = app.delete(&route(&theirs, "keep", &bob)).await;
        assert_eq!(
            answer.expect(200).json()["messages"][0]["keep"],
            json!({"message_id": theirs, "kept": false})
        );
        let keep = mark(&bob, &theirs).await["keep"].clone();
        assert_eq!(keep["keep_type"], "UNDO_KEEP_FOR_ALL");
        assert_eq!(keep["key"]["from_me"], false);
    })
    .await;
}

#[tokio::test]
async fn a_message_that_nobody_knows_is_not_kept() {
    shop(async |app, _, bob| {
        let unknown = app.put(&route("3EB0", "keep", &bob), json!({})).await;
        assert_eq!(unknown.expect(404).code(), "message_not_found");
    })
    .await;
}

#[tokio::test]
async fn what_others_pin_and_keep_is_told() {
    shop(async |app, alice, bob| {
        let [ours, theirs] = two_messages(app, &alice, &bob).await;
        bob.pins_message(alice.number(), &ours, Author::Them, Some(86_400))
            .unwrap();
        bob.pins_message(alice.number(), &ours, Author::Them, None)
            .unwrap();
        bob.keeps_message(alice.number(), &theirs, Author::Me, true)
            .unwrap();
        bob.keeps_message(alice.number(), &theirs, Author::Me, false)
            .unwrap();
        app.events("message.pinned,message.kept", 4).await;
        alice
            .pins_message(bob.number(), &theirs, Author::Them, Some(2_592_000))
            .unwrap();
        let told = app.events("message.pinned,message.kept", 5).await;
        let expected = [
            (
                "message.pinned",
                &ours,
                json!({"pinned": true, "duration": 86_400}),
            ),
            (
                "message.pinned",
                &ours,
                json!({"pinned": false, "duration": null}),
            ),
            ("message.kept", &theirs, json!({"kept": true})),
            ("message.kept", &theirs, json!({"kept": false})),
            (
                "message.pinned",
                &theirs,
                json!({"pinned": true, "duration": 2_592_000, "from_me": true}),
            ),
        ];
        for (told, (kind, id, fields)) in told.iter().zip(expected) {
            let data = &told["data"];
            assert_eq!(told["type"], kind);
            assert_eq!(data["message_id"], *id);
            assert_eq!(data["chat"], bob.jid());
            for (field, value) in fields.as_object().unwrap() {
                assert_eq!(&data[field], value, "{told:#}");
            }
        }
    })
    .await;
}

/// The marks of an account go to its own devices, by its state.
async fn stars_of_ours(app: &TestApp, alice: Phone, bob: Phone) {
    let [ours, theirs] = two_messages(app, &alice, &bob).await;
    for (id, from_me) in [(&ours, "1"), (&theirs, "0")] {
        let star = route(id, "star", &bob);
        app.put(&star, json!({})).await.expect(204);
        app.delete(&star).await.expect(204);
        let written = alice.app_state_writes("regular_high").unwrap();
        let expected = ["star", &bob.jid(), id, from_me, "0"].map(str::to_owned);
        assert_eq!(
            written.iter().rev().take(2).collect::<Vec<_>>(),
            [&expected[..], &expected[..]]
        );
    }
    assert_eq!(bob.received_messages().len(), 1, "nobody else hears of it");
}

#[tokio::test]
async fn stars_are_the_accounts_own() {
    shop(async |app, alice, bob| stars_of_ours(app, alice, bob).await).await;
}

#[tokio::test]
async fn stars_name_the_same_chat_where_everybody_has_a_lid() {
    let options = SimulatorOptions {
        addressing: Addressing::Lid,
        ..SimulatorOptions::default()
    };
    Setup::new()
        .simulator(options)
        .shop(async |app, alice, bob| stars_of_ours(app, alice, bob).await)
        .await;
}

#[tokio::test]
async fn stars_that_the_phone_gives_and_takes_are_told() {
    shop(async |app, alice, bob| {
        let id = bob.sends_text(alice.number(), "hello").await.unwrap();
        app.webhook.next().await;
        for is_starred in [true, false] {
            alice
                .stars_message(bob.number(), &id, Author::Them, is_starred)
                .unwrap();
        }
        let told = app.events("message.starred", 2).await;
        for (event, is_starred) in told.iter().zip([true, false]) {
            let data = &event["data"];
            assert_eq!(data["message_id"], id);
            assert_eq!(data["chat"], bob.jid());
            assert_eq!(data["starred"], is_starred);
        }
    })
    .await;
}
