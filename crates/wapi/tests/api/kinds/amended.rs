//! What is done to a message that is there: it is answered, changed, taken back and forwarded, or it is said why not.

use serde_json::{Value, json};

use crate::harness::{PATIENCE, TestApp, shop};

/// What an answer says about the message it answers.
async fn answered(app: &TestApp, bob: &wapi_simulator::Phone, id: &str, body: &str) -> Value {
    let answer = json!({"to": bob.number(), "text": {"body": body}, "context": {"message_id": id}});
    app.accepted("shop", answer).await;
    bob.next_message(PATIENCE).await.unwrap().to_json()["extended_text_message"]["context_info"]
        .clone()
}

#[tokio::test]
async fn answers_quote_what_they_answer_and_reactions_name_it() {
    shop(async |app, alice, bob| {
        let theirs = bob
            .sends_image(alice.number(), vec![1, 2, 3], "image/png", Some("look"))
            .await
            .unwrap();
        app.webhook.next().await;
        let context = answered(app, &bob, &theirs, "nice").await;
        // As the chat names people, which phones look it up by.
        let named = |phone: &wapi_simulator::Phone| json!(app.address(phone));
        assert_eq!(context["stanza_id"], theirs);
        assert_eq!(context["participant"], named(&bob));
        assert_eq!(
            context["quoted_message"]["image_message"],
            json!({"caption": "look", "mimetype": "image/png"})
        );

        let place = json!({"to": bob.number(), "location": {"latitude": 1.5, "longitude": 2.5}});
        let ours = app.accepted("shop", place).await;
        bob.next_message(PATIENCE).await.unwrap();
        let context = answered(app, &bob, &ours, "here").await;
        assert_eq!(context["stanza_id"], ours);
        assert_eq!(context["participant"], named(&alice));
        assert_eq!(
            context["quoted_message"]["location_message"]["degrees_latitude"],
            1.5
        );

        for (id, from_me, emoji) in [
            (&theirs, false, json!("👍")),
            (&ours, true, json!("❤️")),
            (&theirs, false, Value::Null),
        ] {
            let reaction =
                json!({"to": bob.number(), "reaction": {"message_id": id, "emoji": emoji}});
            app.accepted("shop", reaction).await;
            let received = bob.next_message(PATIENCE).await.unwrap().to_json();
            let reaction = &received["reaction_message"];
            assert_eq!(
                reaction["key"],
                json!({"remote_jid": bob.jid(), "from_me": from_me, "id": id})
            );
            assert_eq!(reaction["text"], json!(emoji.as_str().unwrap_or_default()));
        }
    })
    .await;
}

#[tokio::test]
async fn texts_are_changed_taken_back_and_forwarded() {
    shop(async |app, alice, bob| {
        let id = app
            .accepted(
                "shop",
                json!({"to": bob.number(), "text": {"body": "helo"}}),
            )
            .await;
        bob.next_message(PATIENCE).await.unwrap();
        let route = format!("/v1/sessions/shop/messages/{id}");
        let key = json!({"remote_jid": bob.jid(), "from_me": true, "id": id});

        let edited = app
            .patch(&route, json!({"text": {"body": "hello"}}))
            .await
            .expect(200)
            .json();
        assert_eq!(edited["messages"][0]["type"], "edit");
        assert_eq!(edited["messages"][0]["status"], "sent");
        let received = bob.next_message(PATIENCE).await.unwrap().to_json();
        let change = &received["protocol_message"];
        assert_eq!(change["key"], key, "{received}");
        assert_eq!(change["type"], "MESSAGE_EDIT", "{received}");
        assert_eq!(change["edited_message"]["conversation"], "hello");

        let carol = app.phone("Carol");
        app.post(&format!("{route}/forward"), json!({"to": carol.number()}))
            .await
            .expect(200);
        let received = carol.next_message(PATIENCE).await.unwrap().to_json();
        let forwarded = &received["extended_text_message"];
        assert_eq!(forwarded["text"], "hello");
        assert_eq!(forwarded["context_info"]["is_forwarded"], true);
        let theirs = bob.sends_text(alice.number(), "spread this").await.unwrap();
        app.webhook.next().await;
        let forward = format!("/v1/sessions/shop/messages/{theirs}/forward");
        app.post(&forward, json!({"to": carol.number(), "chat": bob.jid()}))
            .await
            .expect(200);
        assert_eq!(
            carol.next_message(PATIENCE).await.unwrap().text.as_deref(),
            Some("spread this")
        );

        app.delete(&route).await.expect(200);
        let received = bob.next_message(PATIENCE).await.unwrap().to_json();
        assert_eq!(
            received["protocol_message"],
            json!({"key": key, "type": "REVOKE"})
        );
    })
    .await;
}

#[tokio::test]
async fn a_message_is_deleted_from_the_own_devices_alone() {
    shop(async |app, alice, bob| {
        let ours = app
            .accepted("shop", json!({"to": bob.number(), "text": {"body": "hi"}}))
            .await;
        bob.next_message(PATIENCE).await.unwrap();
        let theirs = bob.sends_text(alice.number(), "hi").await.unwrap();
        app.webhook.next().await;
        for (id, from_me) in [(&ours, "1"), (&theirs, "0")] {
            let route = format!(
                "/v1/sessions/shop/messages/{id}?for=me&chat={}",
                bob.number()
            );
            app.delete(&route).await.expect(204);
            let written = alice.app_state_writes("regular_high").unwrap();
            let expected = ["deleteMessageForMe", &bob.jid(), id, from_me, "0"].map(str::to_owned);
            assert_eq!(written.last().map(Vec::as_slice), Some(&expected[..]));
        }
    })
    .await;
}

#[tokio::test]
async fn what_cannot_be_changed_is_named() {
    shop(async |app, alice, bob| {
        let route = |id: &str| format!("/v1/sessions/shop/messages/{id}");
        let words = || json!({"text": {"body": "new"}});
        assert_eq!(
            app.patch(&route("3EB0"), words()).await.expect(404).code(),
            "message_not_found"
        );
        let place = json!({"to": bob.number(), "location": {"latitude": 1, "longitude": 2}});
        let id = app.accepted("shop", place).await;
        assert_eq!(
            app.patch(&route(&id), words()).await.expect(400).fields(),
            ["id"]
        );
        assert_eq!(
            app.patch(&route(&id), json!({"location": {}}))
                .await
                .expect(400)
                .fields(),
            ["text", "location"]
        );
        assert_eq!(
            app.delete(&format!("{}?for=them", route(&id)))
                .await
                .expect(400)
                .fields(),
            ["for"]
        );
        let theirs = bob.sends_text(alice.number(), "mine").await.unwrap();
        app.webhook.next().await;
        assert_eq!(
            app.delete(&route(&theirs)).await.expect(404).code(),
            "message_not_found"
        );
        let in_chat = format!("{}?chat={}", route(&theirs), bob.number());
        assert_eq!(app.delete(&in_chat).await.expect(400).fields(), ["id"]);
        let gone = app
            .accepted(
                "shop",
                json!({"to": "375449999999", "text": {"body": "to nobody"}}),
            )
            .await;
        app.until_message("shop", &gone, "failed").await;
        assert_eq!(
            app.patch(&route(&gone), words()).await.expect(400).fields(),
            ["id"]
        );
        assert_eq!(app.delete(&route(&gone)).await.expect(400).fields(), ["id"]);
        let text = app
            .accepted("shop", json!({"to": bob.number(), "text": {"body": "old"}}))
            .await;
        app.until_message("shop", &text, "delivered").await;
        app.push_clock(std::time::Duration::from_secs(16 * 60));
        app.until("shop", "online").await;
        assert_eq!(
            app.patch(&route(&text), words()).await.expect(409).code(),
            "too_late"
        );
    })
    .await;
}
