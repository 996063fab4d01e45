//! The list of chats and contacts, which all devices of an account share: archived, pinned, muted, unread; and names.

use std::time::Duration;

use serde_json::{Value, json};
use wapi_simulator::{Addressing, KeyShare, Phone, SimulatorOptions};

use crate::harness::{PATIENCE, Setup, TestApp, eventually, gateway, options};

async fn alice_and_bob(options: SimulatorOptions) -> (TestApp, Phone, Phone) {
    let app = Setup::new().simulator(options).start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    (app, alice, bob)
}

/// Somebody, as events name them.
fn person(phone: &Phone, name: Value) -> Value {
    json!({"id": phone.jid(), "phone": phone.number(), "lid": phone.lid(), "name": name})
}

/// What was told under this type so far, without the session.
async fn told(app: &TestApp, kind: &str) -> Vec<Value> {
    let answer = app
        .get(&format!("/v1/events?types={kind}&limit=1000"))
        .await
        .expect(200)
        .json();
    let events = answer["events"]
        .as_array()
        .unwrap()
        .iter()
        .map(|entry| entry["event"]["data"].clone());
    let without_session = |mut data: Value| {
        assert_eq!(
            data.as_object_mut().unwrap().remove("session"),
            Some(json!("shop"))
        );
        data
    };
    events.map(without_session).collect()
}

/// Once so many of this type were told, these.
async fn comes(app: &TestApp, kind: &str, count: usize) -> Vec<Value> {
    let look = async || Some(told(app, kind).await).filter(|all| all.len() >= count);
    eventually(look, async || {
        format!(
            "{count} of {kind} did not come: {:#?}",
            told(app, kind).await
        )
    })
    .await
}

async fn both_ways(options: SimulatorOptions) {
    let (app, alice, bob) = alice_and_bob(options).await;
    let chat = person(&bob, Value::Null);
    let route = format!("/v1/sessions/shop/chats/{}", bob.number());
    // Known to the session, which names people by number.
    app.accepted("shop", json!({"to": bob.number(), "text": {"body": "hi"}}))
        .await;
    let all = json!({"archived": true, "pinned": true, "muted_until": "2030-03-17T17:46:40Z", "unread": true});
    app.patch(&route, all).await.expect(204);
    let settings = json!(alice.chat_settings(bob.number()).unwrap());
    let muted = 1_900_000_000_000_u64;
    assert_eq!(
        settings,
        json!({"archived": true, "pinned": true, "muted_until": muted, "unread": true})
    );
    app.patch(
        &route,
        json!({"archived": false, "muted_until": "forever", "unread": false}),
    )
    .await
    .expect(204);
    let settings = json!(alice.chat_settings(bob.number()).unwrap());
    assert_eq!(
        settings,
        json!({"archived": false, "pinned": true, "muted_until": -1, "unread": false})
    );
    app.patch(&route, json!({"muted_until": null, "pinned": false}))
        .await
        .expect(204);
    assert_eq!(
        alice.chat_settings(bob.number()).unwrap(),
        wapi_simulator::ChatSettings::default()
    );
    // What the session itself has changed is told like what others change.
    let before = comes(&app, "chat.updated", 9).await;
    assert_eq!(before[0], json!({"chat": chat, "archived": true}));

    alice.archives_chat(bob.number(), true).unwrap();
    alice.pins_chat(bob.number(), true).unwrap();
    alice
        .mutes_chat(bob.number(), Some(1_900_000_000_000))
        .unwrap();
    alice.mutes_chat(bob.number(), None).unwrap();
    alice.marks_unread(bob.number(), true).unwrap();
    let after = comes(&app, "chat.updated", before.len() + 5).await;
    let mut after = after[before.len()..].to_vec();
    // Collections are told of each for itself; within one, in order.
    after.sort_by_key(|data| data.to_string().contains("muted_until"));
    assert_eq!(
        after,
        [
            json!({"chat": chat, "archived": true}),
            json!({"chat": chat, "pinned": true}),
            json!({"chat": chat, "unread": true}),
            json!({"chat": chat, "muted_until": "2030-03-17T17:46:40.000Z"}),
            json!({"chat": chat, "muted_until": null}),
        ]
    );
    app.finish().await;
}

#[tokio::test]
async fn chats_stand_alike_on_the_phone_and_in_the_session() {
    both_ways(SimulatorOptions::default()).await;
}

#[tokio::test]
async fn chats_stand_alike_by_lid_too() {
    both_ways(SimulatorOptions {
        addressing: Addressing::Lid,
        ..SimulatorOptions::default()
    })
    .await;
}

#[tokio::test]
async fn names_come_from_the_phone() {
    let (app, alice, bob) = alice_and_bob(options()).await;
    alice.names_contact(bob.number(), "Bob Brown").unwrap();
    alice.renews_app_state_key(KeyShare::OnRequest).unwrap();
    alice.names_contact(bob.number(), "Robert Brown").unwrap();
    let names = comes(&app, "contact.updated", 2).await;
    let named = |name: &str| {
        let mut contact = person(&bob, json!(name));
        contact["saved_name"] = json!(name);
        json!({"contact": contact, "name": name})
    };
    assert_eq!(names, [named("Bob Brown"), named("Robert Brown")]);
    alice.sets_push_name("Alicia").unwrap();
    let names = comes(&app, "contact.updated", 3).await;
    assert_eq!(names[2]["contact"]["id"], alice.jid());
    assert_eq!(names[2]["contact"]["name"], "Alicia");
    app.finish().await;
}

#[tokio::test]
async fn whoever_is_saved_under_a_name_keeps_it_whatever_they_call_themselves() {
    for addressing in [Addressing::PhoneNumber, Addressing::Lid] {
        let (mut app, alice, bob) = alice_and_bob(SimulatorOptions {
            addressing,
            ..options()
        })
        .await;
        let writes = async |app: &TestApp, text: &str| {
            bob.sends_text(alice.number(), text).await.unwrap();
            let from = app.webhook.next().await.body["data"]["from"].clone();
            ["name", "saved_name", "push_name"].map(|name| from[name].as_str().map(str::to_owned))
        };
        let shown = async |app: &TestApp, path: &str| {
            let found = app
                .get(&format!("/v1/sessions/shop/{path}"))
                .await
                .expect(200)
                .json();
            ["name", "saved_name", "push_name"].map(|name| found[name].as_str().map(str::to_owned))
        };
        let names = |names: [Option<&str>; 3]| names.map(|name| name.map(str::to_owned));
        assert_eq!(writes(&app, "one").await, names([Some("Bob"), None, None]));
        alice.names_contact(bob.number(), "Robert Brown").unwrap();
        comes(&app, "contact.updated", 1).await;
        let both = names([Some("Robert Brown"), Some("Robert Brown"), Some("Bob")]);
        assert_eq!(writes(&app, "two").await, both);
        bob.sets_push_name("Bobby").unwrap();
        let both = names([Some("Robert Brown"), Some("Robert Brown"), Some("Bobby")]);
        assert_eq!(writes(&app, "three").await, both);
        let told = comes(&app, "contact.updated", 2).await;
        assert_eq!(told[1]["name"], json!(null), "{}", told[1]);
        assert_eq!(told[1]["push_name"], "Bobby", "{}", told[1]);
        app.restart().await;
        assert_eq!(writes(&app, "four").await, both);
        for path in [
            format!("contacts/{}", bob.number()),
            format!("chats/{}", bob.number()),
        ] {
            assert_eq!(shown(&app, &path).await, both, "{path}");
        }
        let page = format!("/v1/sessions/shop/chats/{}/messages", bob.number());
        let page = app.get(&page).await.expect(200).json();
        let called = |message: &serde_json::Value| message["from"]["name"] == "Robert Brown";
        assert!(
            page["messages"].as_array().unwrap().iter().all(called),
            "{page}"
        );
        assert_eq!(
            comes(&app, "contact.updated", 2).await.len(),
            2,
            "nothing is told twice"
        );
        app.finish().await;
    }
}

#[tokio::test]
async fn what_is_read_on_the_phone_is_read_here() {
    for (addressing, is_group) in [Addressing::PhoneNumber, Addressing::Lid]
        .into_iter()
        .flat_map(|it| [(it, false), (it, true)])
    {
        let (app, alice, bob) = alice_and_bob(SimulatorOptions {
            addressing,
            ..SimulatorOptions::default()
        })
        .await;
        let (to, chat) = match is_group {
            true => {
                let group = bob
                    .creates_group_addressed("club", &[&alice], addressing)
                    .unwrap();
                (group.clone(), group)
            }
            false => (alice.jid(), bob.jid()),
        };
        let mut ids = Vec::new();
        for text in ["one", "two", "three"] {
            ids.push(bob.sends_text(&to, text).await.unwrap());
            app.webhook.next().await;
            alice.next_message(PATIENCE).await.unwrap();
        }
        let unread = async || {
            app.get(&format!("/v1/sessions/shop/chats/{chat}"))
                .await
                .expect(200)
                .json()["unread_count"]
                .clone()
        };
        assert_eq!(unread().await, 3);
        alice.reads_messages(&chat, &ids[..2]).unwrap();
        let told = comes(&app, "chat.updated", 1).await;
        assert_eq!(
            told[0]["chat"]["id"],
            json!(chat),
            "{addressing:?}, in a group: {is_group}"
        );
        assert_eq!(told[0]["unread"], false);
        assert_eq!(told[0]["read_up_to"], ids[1]);
        assert_eq!(unread().await, 1);
        // What was read before is no news.
        alice.reads_messages(&chat, &ids).unwrap();
        bob.sends_text(&to, "four").await.unwrap();
        app.webhook.next().await;
        let told = comes(&app, "chat.updated", 2).await;
        assert_eq!(told[1]["read_up_to"], json!(ids[2]));
        assert_eq!(unread().await, 1);
        assert_eq!(told.len(), 2);
        app.finish().await;
    }
}

#[tokio::test]
async fn what_the_phone_clears_and_deletes_is_gone_here_too() {
    for addressing in [Addressing::PhoneNumber, Addressing::Lid] {
        let (app, alice, bob) = alice_and_bob(SimulatorOptions {
            addressing,
            ..SimulatorOptions::default()
        })
        .await;
        let says = async |text: &str| {
            bob.sends_text(&alice.jid(), text).await.unwrap();
            assert_eq!(app.webhook.next().await.body["data"]["text"]["body"], text);
        };
        let route = format!("/v1/sessions/shop/chats/{}", bob.number());
        let texts = async || {
            let page = app
                .get(&format!("{route}/messages"))
                .await
                .expect(200)
                .json();
            let text = |message: &Value| message["text"]["body"].as_str().unwrap().to_owned();
            page["messages"]
                .as_array()
                .unwrap()
                .iter()
                .map(text)
                .collect::<Vec<_>>()
        };
        says("one").await;
        assert_eq!(texts().await, ["one"]);
        alice.clears_chat(bob.number()).unwrap();
        comes(&app, "chat.updated", 1).await;
        assert_eq!(texts().await, [""; 0]);
        says("two").await;
        assert_eq!(texts().await, ["two"]);
        let found = app
            .get("/v1/sessions/shop/messages?q=one")
            .await
            .expect(200)
            .json();
        assert_eq!(
            found["messages"],
            json!([]),
            "what was cleared is not found either"
        );

        alice.deletes_chat(bob.number()).unwrap();
        let told = comes(&app, "chat.updated", 2).await;
        assert_eq!(told[0]["cleared"], true);
        assert_eq!(told[1]["deleted"], true);
        assert_eq!(told[1]["chat"]["id"], json!(bob.jid()));
        assert_eq!(app.get(&route).await.expect(404).code(), "chat_not_found");
        says("three").await;
        assert_eq!(texts().await, ["three"]);
        assert_eq!(app.get(&route).await.expect(200).json()["unread_count"], 1);
        app.finish().await;
    }
}

#[tokio::test]
async fn a_change_in_conflict_with_the_phones_is_made_on_top_of_it() {
    let (app, alice, bob) = alice_and_bob(options()).await;
    let device = alice.linked_devices()[0].device;
    // The session hears nothing of what the phone does, so that what it knows is old; more than one answer holds.
    app.simulator
        .faults()
        .deafen_device(alice.number(), device)
        .unwrap();
    for round in 0..7 {
        alice.pins_chat(bob.number(), round % 2 == 0).unwrap();
    }
    let route = format!("/v1/sessions/shop/chats/{}", bob.number());
    app.patch(&route, json!({"archived": true}))
        .await
        .expect(204);
    let settings = alice.chat_settings(bob.number()).unwrap();
    assert!(settings.archived && settings.pinned, "{settings:?}");
    app.finish().await;
}

#[tokio::test]
async fn a_session_that_is_linked_late_takes_a_snapshot() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        for round in 0..23 {
            alice.pins_chat(bob.number(), round % 2 == 0).unwrap();
        }
        // All of it was so some time before.
        app.push_clock(Duration::from_secs(2 * 3600));
        app.pair("shop", &alice).await;
        let route = format!("/v1/sessions/shop/chats/{}", bob.number());
        app.patch(&route, json!({"archived": true}))
            .await
            .expect(204);
        let settings = alice.chat_settings(bob.number()).unwrap();
        assert!(settings.archived && settings.pinned, "{settings:?}");
        alice.pins_chat(bob.number(), false).unwrap();
        // What stood there before is no change.
        let told = comes(app, "chat.updated", 2).await;
        let changes: Vec<_> = told
            .iter()
            .map(|data| (&data["archived"], &data["pinned"]))
            .collect();
        assert_eq!(
            changes,
            [(&json!(true), &Value::Null), (&Value::Null, &json!(false))]
        );
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_a_change_is_named() {
    let (app, _alice, bob) = alice_and_bob(options()).await;
    let route = format!("/v1/sessions/shop/chats/{}", bob.number());
    for (change, fields) in [
        (json!({}), vec!["archived"]),
        (json!({"archived": "yes"}), vec!["archived"]),
        (
            json!({"muted_until": "2020-01-01T00:00:00Z"}),
            vec!["muted_until"],
        ),
        (json!({"muted_until": "tomorrow"}), vec!["muted_until"]),
        (json!({"muted_until": 5}), vec!["muted_until"]),
        (json!({"pined": true, "pinned": true}), vec!["pined"]),
    ] {
        assert_eq!(
            app.patch(&route, change.clone()).await.expect(400).fields(),
            fields,
            "{change}"
        );
    }
    assert_eq!(
        app.patch("/v1/sessions/shop/chats/nobody", json!({"pinned": true}))
            .await
            .expect(400)
            .fields(),
        ["chat"]
    );
    let unknown = app
        .patch(
            "/v1/sessions/none/chats/375447034810",
            json!({"pinned": true}),
        )
        .await;
    assert_eq!(unknown.expect(404).code(), "session_not_found");
    app.finish().await;
}
