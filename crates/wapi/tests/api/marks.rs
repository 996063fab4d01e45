//! Marks on messages, both ways: pins, what is kept, stars.

use serde_json::{Value, json};
use wapi_simulator::{Addressing, Author, SimulatorOptions};

use crate::harness::{PATIENCE, Setup, TestApp};

/// A message of ours and one of the other's, in a chat of two.
async fn two_messages(
    app: &TestApp,
    alice: &wapi_simulator::Phone,
    bob: &wapi_simulator::Phone,
) -> [String; 2] {
    app.pair("shop", alice).await;
    let ours = app
        .accepted("shop", json!({"to": bob.number(), "text": {"body": "hi"}}))
        .await;
    bob.next_message(PATIENCE).await.unwrap();
    let theirs = bob.sends_text(alice.number(), "hello").await.unwrap();
    app.webhook.next().await;
    [ours, theirs]
}

#[tokio::test]
async fn messages_are_pinned_and_kept_for_everyone() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    let messages = two_messages(&app, &alice, &bob).await;
    let route = |id: &str, mark: &str| {
        format!(
            "/v1/sessions/shop/messages/{id}/{mark}?chat={}",
            bob.number()
        )
    };
    for (id, from_me) in messages.iter().zip([true, false]) {
        let key = json!({"remote_jid": bob.jid(), "from_me": from_me, "id": id});
        for (asked, kind, seconds) in [
            (Some(json!({})), "PIN_FOR_ALL", 604_800),
            (Some(json!({"duration": 86_400})), "PIN_FOR_ALL", 86_400),
            (None, "UNPIN_FOR_ALL", 0),
        ] {
            let answer = match asked {
                Some(asked) => app.put(&route(id, "pin"), asked).await,
                None => app.delete(&route(id, "pin")).await,
            };
            let answer = answer.expect(200).json();
            assert_eq!(answer["messages"][0]["pin"]["message_id"], json!(id));
            let mut received = bob.next_message(PATIENCE).await.unwrap().to_json();
            received["pin_in_chat_message"]
                .as_object_mut()
                .unwrap()
                .remove("sender_timestamp_ms")
                .unwrap();
            assert_eq!(
                received["pin_in_chat_message"],
                json!({"key": key, "type": kind})
            );
            assert_eq!(
                received["message_context_info"]["message_add_on_duration_in_secs"],
                json!(seconds)
            );
        }
        for (kept, kind) in [(true, "KEEP_FOR_ALL"), (false, "UNDO_KEEP_FOR_ALL")] {
            let answer = match kept {
                true => app.put(&route(id, "keep"), json!({})).await,
                false => app.delete(&route(id, "keep")).await,
            };
            assert_eq!(
                answer.expect(200).json()["messages"][0]["keep"],
                json!({"message_id": id, "kept": kept})
            );
            let received = bob.next_message(PATIENCE).await.unwrap().to_json();
            let keep = &received["keep_in_chat_message"];
            assert_eq!((&keep["key"], &keep["keep_type"]), (&key, &json!(kind)));
        }
    }
    let wrong = app
        .put(&route(&messages[0], "pin"), json!({"duration": 60}))
        .await
        .expect(400);
    assert_eq!(wrong.fields(), ["duration"]);
    assert_eq!(
        app.put(&route("3EB0", "keep"), json!({}))
            .await
            .expect(404)
            .code(),
        "message_not_found"
    );
    app.finish().await;
}

#[tokio::test]
async fn what_others_pin_and_keep_is_told() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    let [ours, theirs] = two_messages(&app, &alice, &bob).await;
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
        assert_eq!(
            (&told["type"], &data["message_id"], &data["chat"]),
            (&json!(kind), &json!(id), &json!(bob.jid()))
        );
        for (field, value) in fields.as_object().unwrap() {
            assert_eq!(&data[field], value, "{told:#}");
        }
    }
    app.finish().await;
}

async fn stars(app: TestApp) {
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    let [ours, theirs] = two_messages(&app, &alice, &bob).await;
    for (id, from_me) in [(&ours, "1"), (&theirs, "0")] {
        let route = format!("/v1/sessions/shop/messages/{id}/star?chat={}", bob.number());
        app.put(&route, json!({})).await.expect(204);
        app.delete(&route).await.expect(204);
        let written = alice.app_state_writes("regular_high").unwrap();
        let expected = ["star", &bob.jid(), id, from_me, "0"].map(str::to_owned);
        assert_eq!(
            written.iter().rev().take(2).collect::<Vec<_>>(),
            [&expected[..], &expected[..]]
        );
    }
    assert_eq!(bob.received_messages().len(), 1, "nobody else hears of it");
    // What was done through here may be told, too; so this is about a message that was not touched.
    let other = bob.sends_text(alice.number(), "another").await.unwrap();
    app.webhook.next().await;
    alice
        .stars_message(bob.number(), &other, Author::Them, true)
        .unwrap();
    alice
        .stars_message(bob.number(), &other, Author::Them, false)
        .unwrap();
    let said =
        |event: &Value| ["chat", "message_id", "starred"].map(|field| event["data"][field].clone());
    let expected = [true, false].map(|starred| [json!(bob.jid()), json!(other), json!(starred)]);
    let mut count = expected.len();
    loop {
        let told = app.events("message.starred", count).await;
        let about_it: Vec<_> = told
            .iter()
            .map(said)
            .filter(|said| said[1] == json!(other))
            .collect();
        if about_it.len() == expected.len() {
            assert_eq!(about_it, expected);
            break;
        }
        count = told.len() + 1;
    }
    app.finish().await;
}

#[tokio::test]
async fn stars_are_the_accounts_own() {
    stars(TestApp::start().await).await;
}

#[tokio::test]
async fn stars_name_the_same_chat_where_everybody_has_a_lid() {
    let options = SimulatorOptions {
        addressing: Addressing::Lid,
        ..SimulatorOptions::default()
    };
    stars(Setup::new().simulator(options).start().await).await;
}
