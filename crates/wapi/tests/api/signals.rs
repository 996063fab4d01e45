//! What others see of an account beside its messages, and it of them: what was read, who types, who is there, who calls.

use serde_json::json;
use wapi_simulator::{Phone, PhoneActivity, TypingState};

use crate::harness::{PATIENCE, TestApp, eventually, gateway, shop};

/// A session of Alice's, and Bob.
async fn alice_and_bob() -> (TestApp, Phone, Phone) {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    (app, alice, bob)
}

/// What a phone showed, once it is this.
async fn shown(phone: &Phone, expected: &[PhoneActivity]) {
    let wanted = |phone: &Phone| (phone.shown_activity() == expected).then_some(());
    let what = format!("it shows {expected:?}");
    if let Err(error) = phone.wait_until(&what, PATIENCE, wanted).await {
        panic!("{error}; it shows {:?}", phone.shown_activity());
    }
}

/// Who is addressed by LID has told their number with a message: WhatsApp says nothing of it beside typing, or a call that was missed.
async fn know_each_other(app: &TestApp, alice: &Phone, bob: &Phone) {
    bob.sends_text(alice.number(), "it is me").await.unwrap();
    app.webhook.next().await;
}

fn presence(of: &Phone, available: bool) -> PhoneActivity {
    PhoneActivity::Presence {
        from: of.jid(),
        available,
    }
}

#[tokio::test]
async fn messages_are_read_up_to_one_and_then_all_and_their_senders_see_it() {
    let (app, alice, bob) = alice_and_bob().await;
    let carol = app.phone("Carol");
    let group = bob.creates_group("club", &[&alice, &carol]).unwrap();
    let mut ids = Vec::new();
    for text in ["one", "two", "three"] {
        ids.push(bob.sends_text(alice.number(), text).await.unwrap());
        app.webhook.next().await;
    }
    let in_group = [
        bob.sends_text(&group, "four").await.unwrap(),
        carol.sends_text(&group, "five").await.unwrap(),
    ];
    for _ in 0..2 {
        app.webhook.next().await;
    }
    let route = format!("/v1/sessions/shop/chats/{}/read", bob.number());
    let read = |answer: crate::harness::Answer| answer.expect(200).json()["read"].clone();
    assert_eq!(read(app.post(&route, json!({"up_to": ids[1]})).await), 2);
    for id in &ids[..2] {
        bob.wait_for_receipt(id, "read", PATIENCE).await.unwrap();
    }
    assert!(
        !bob.receipts()
            .iter()
            .any(|receipt| receipt.id == ids[2] && receipt.status == "read")
    );
    assert_eq!(read(app.post_raw(&route, "").await), 1);
    bob.wait_for_receipt(&ids[2], "read", PATIENCE)
        .await
        .unwrap();
    assert_eq!(read(app.post(&route, json!({})).await), 0, "nothing is new");

    let route = format!("/v1/sessions/shop/chats/{group}/read");
    assert_eq!(read(app.post(&route, json!({})).await), 2);
    bob.wait_for_receipt(&in_group[0], "read", PATIENCE)
        .await
        .unwrap();
    carol
        .wait_for_receipt(&in_group[1], "read", PATIENCE)
        .await
        .unwrap();

    let unknown = app.post(&route, json!({"up_to": "3A00"})).await.expect(404);
    assert_eq!(unknown.code(), "message_not_found");
    let wrong = app
        .post(
            "/v1/sessions/shop/chats/nobody/read",
            json!({"upto": "3A00"}),
        )
        .await
        .expect(400);
    assert_eq!(wrong.fields(), ["chat"]);
    assert_eq!(
        app.post(&route, json!({"upto": "3A00"}))
            .await
            .expect(400)
            .fields(),
        ["upto"]
    );
    app.finish().await;
}

#[tokio::test]
async fn typing_is_shown_in_both_directions_but_to_us_only_when_we_are_there() {
    let (app, alice, bob) = alice_and_bob().await;
    know_each_other(&app, &alice, &bob).await;
    let group = bob.creates_group("club", &[&alice]).unwrap();
    let typing = |chat: &str| format!("/v1/sessions/shop/chats/{chat}/typing");
    for (chat, state) in [
        (bob.number(), "composing"),
        (bob.number(), "paused"),
        (group.as_str(), "recording"),
    ] {
        app.post(&typing(chat), json!({"state": state}))
            .await
            .expect(204);
    }
    let shows = |chat: &str, state| PhoneActivity::Typing {
        chat: chat.to_owned(),
        from: alice.jid(),
        state,
    };
    let expected = [
        shows(&alice.jid(), TypingState::Composing),
        shows(&alice.jid(), TypingState::Paused),
        shows(&group, TypingState::Recording),
    ];
    shown(&bob, &expected).await;
    let wrong = app
        .post(&typing(bob.number()), json!({"state": "singing"}))
        .await
        .expect(400);
    assert_eq!(wrong.fields(), ["state"]);

    // While the account does not look as if somebody were there, WhatsApp does not say who types.
    bob.shows_typing(alice.number(), TypingState::Recording)
        .unwrap();
    app.put("/v1/sessions/shop/presence", json!({"state": "available"}))
        .await
        .expect(204);
    bob.watches_presence(alice.number()).unwrap();
    eventually(
        async || {
            bob.shown_activity()
                .contains(&presence(&alice, true))
                .then_some(())
        },
        async || "nobody is there".into(),
    )
    .await;
    bob.shows_typing(alice.number(), TypingState::Composing)
        .unwrap();
    bob.shows_typing(&group, TypingState::Paused).unwrap();
    let told = app.events("chat.typing", 2).await;
    let from = json!({"id": bob.jid(), "phone": bob.number(), "lid": bob.lid(), "name": null});
    assert_eq!(told[0]["data"]["from"]["phone"], from["phone"]);
    assert_eq!(told[0]["data"]["chat"], bob.jid());
    assert_eq!(told[0]["data"]["state"], "composing");
    assert_eq!(told[1]["data"]["chat"], group);
    assert_eq!(told[1]["data"]["state"], "paused");
    assert_eq!(told.len(), 2, "{told:#?}");
    app.finish().await;
}

#[tokio::test]
async fn an_account_looks_there_only_when_asked_to_and_stays_so_over_a_reconnect() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        bob.watches_presence(alice.number()).unwrap();
        let device = app.pair("shop", &alice).await;
        // The engine shows itself at each login, and is told at once to look away.
        let away = async || {
            let signals = bob.shown_activity();
            let was_there = signals.contains(&presence(&alice, true));
            (was_there && signals.last() == Some(&presence(&alice, false))).then_some(())
        };
        eventually(away, async || format!("{:?}", bob.shown_activity())).await;
        let before = bob.shown_activity();
        let until = async |states: &[bool]| {
            let since = states.iter().map(|available| presence(&alice, *available));
            shown(
                &bob,
                &before.iter().cloned().chain(since).collect::<Vec<_>>(),
            )
            .await;
        };
        app.put("/v1/sessions/shop/presence", json!({"state": "available"}))
            .await
            .expect(204);
        until(&[true]).await;
        app.simulator
            .faults()
            .cut_connection(alice.number(), device)
            .unwrap();
        until(&[true, false, true]).await;
        app.until("shop", "online").await;
        app.put(
            "/v1/sessions/shop/presence",
            json!({"state": "unavailable"}),
        )
        .await
        .expect(204);
        until(&[true, false, true, false]).await;
        let wrong = app
            .put("/v1/sessions/shop/presence", json!({"state": "away"}))
            .await
            .expect(400);
        assert_eq!(wrong.fields(), ["state"]);
    })
    .await;
}

#[tokio::test]
async fn whoever_is_watched_is_told_of() {
    let (app, _, bob) = alice_and_bob().await;
    let route = format!("/v1/sessions/shop/contacts/{}/presence", bob.number());
    app.put(&route, json!({})).await.expect(204);
    app.events("presence.changed", 1).await;
    bob.sets_presence(true);
    bob.sets_presence(false);
    let told = app.events("presence.changed", 3).await;
    let states: Vec<_> = told
        .iter()
        .map(|event| event["data"]["state"].as_str().unwrap().to_owned())
        .collect();
    assert_eq!(states, ["unavailable", "available", "unavailable"]);
    assert_eq!(told[1]["data"]["from"]["phone"], bob.number());
    assert!(
        told[0]["data"]["last_seen_at"].is_null() && told[2]["data"]["last_seen_at"].is_string()
    );
    app.delete(&route).await.expect(204);
    let group = app
        .put(
            "/v1/sessions/shop/contacts/120363000000000000@g.us/presence",
            json!({}),
        )
        .await
        .expect(400);
    assert_eq!(group.fields(), ["contact"]);
    let nobody = app
        .put("/v1/sessions/shop/contacts/nobody/presence", json!({}))
        .await
        .expect(400);
    assert_eq!(nobody.fields(), ["contact"]);
    app.finish().await;
}

#[tokio::test]
async fn calls_are_told_and_turned_away() {
    let (app, alice, bob) = alice_and_bob().await;
    let call = bob.starts_call(alice.number(), true).unwrap();
    let told = app.events("call.incoming", 1).await;
    assert_eq!(told[0]["data"]["id"], call);
    assert_eq!(told[0]["data"]["video"], true);
    assert_eq!(told[0]["data"]["group"], json!(null));
    assert_eq!(told[0]["data"]["from"]["phone"], bob.number());
    bob.hangs_up(alice.number(), &call).unwrap();
    let ended = app.events("call.ended", 1).await;
    assert_eq!(ended[0]["data"]["id"], call);
    assert_eq!(ended[0]["data"]["reason"], "missed");
    let late = app
        .post(&format!("/v1/sessions/shop/calls/{call}/reject"), json!({}))
        .await
        .expect(404);
    assert_eq!(late.code(), "call_not_found");

    let call = bob.starts_call(alice.number(), false).unwrap();
    app.events("call.incoming", 2).await;
    app.post(&format!("/v1/sessions/shop/calls/{call}/reject"), json!({}))
        .await
        .expect(204);
    shown(
        &bob,
        &[PhoneActivity::Rejected {
            call: call.clone(),
            by: alice.jid(),
        }],
    )
    .await;
    let ended = app.events("call.ended", 2).await;
    assert_eq!(ended[1]["data"]["id"], call);
    assert_eq!(ended[1]["data"]["reason"], "rejected");
    app.finish().await;
}

#[tokio::test]
async fn a_call_that_came_while_the_session_was_away_is_told_as_missed() {
    let (app, alice, bob) = alice_and_bob().await;
    know_each_other(&app, &alice, &bob).await;
    app.order("shop", "stop").await.expect(200);
    let call = bob.starts_call(alice.number(), false).unwrap();
    app.order("shop", "start").await.expect(200);
    let ended = app.events("call.ended", 1).await;
    let data = &ended[0]["data"];
    assert_eq!(data["id"], call);
    assert_eq!(data["reason"], "offline");
    assert_eq!(data["from"]["phone"], bob.number());
    let confirmed = |alice: &Phone| (alice.linked_devices()[0].queued == 0).then_some(());
    alice
        .wait_until("the call is confirmed", PATIENCE, confirmed)
        .await
        .unwrap();
    assert!(
        app.events("call.incoming", 0).await.is_empty(),
        "it does not ring any more"
    );
    app.finish().await;
}

#[tokio::test]
async fn numbers_are_checked_and_nothing_is_sent_to_one_that_nobody_has() {
    let (app, _, bob) = alice_and_bob().await;
    let spelt = format!("+{}", bob.number());
    let route = "/v1/sessions/shop/contacts/check";
    let checked = app
        .post(route, json!({"phones": [spelt, "375449999999"]}))
        .await
        .expect(200)
        .json();
    let expected = json!([
        {"input": spelt, "exists": true, "id": bob.jid(), "phone": bob.number(), "lid": bob.lid()},
        {"input": "375449999999", "exists": false, "id": null, "phone": "375449999999", "lid": null},
    ]);
    assert_eq!(checked["contacts"], expected);
    for wrong in [
        json!({"phones": []}),
        json!({"phones": ["abc"]}),
        json!({"phones": "1"}),
        json!({}),
    ] {
        assert_eq!(
            app.post(route, wrong).await.expect(400).fields(),
            ["phones"]
        );
    }
    let message = json!({"to": "375449999999", "text": {"body": "anybody?"}});
    let answer = app
        .post("/v1/sessions/shop/messages", message.clone())
        .await
        .expect(404);
    assert_eq!(answer.code(), "not_on_whatsapp");
    // Without waiting it is accepted, and fails with the same code.
    let id = app
        .post("/v1/sessions/shop/messages?wait=0", message)
        .await
        .expect(202)
        .json()["messages"][0]["id"]
        .clone();
    let failed = app
        .until_message("shop", id.as_str().unwrap(), "failed")
        .await;
    assert_eq!(failed["error"]["code"], "not_on_whatsapp");
    app.finish().await;
}

#[tokio::test]
async fn links_to_calls_are_created() {
    shop(async |app, alice, _| {
        const ROUTE: &str = "/v1/sessions/shop/calls/links";
        let voice = app.post(ROUTE, json!({})).await.expect(201).json();
        let video = app.post(ROUTE, json!({"video": true})).await;
        let video = video.expect(201).json();
        let links = alice.call_links();
        assert_eq!(
            links.iter().map(|link| link.video).collect::<Vec<_>>(),
            [false, true]
        );
        let address =
            |kind, at: usize| format!("https://call.whatsapp.com/{kind}/{}", links[at].token);
        assert_eq!(voice, json!({"link": address("voice", 0), "video": false}));
        assert_eq!(video, json!({"link": address("video", 1), "video": true}));
        app.post(ROUTE, json!({"audio": true})).await.expect(400);
    })
    .await;
}
