//! One person is meant whatever spelling of their number or address a caller uses, on every route that names somebody.

use reqwest::Method;
use serde_json::{Value, json};
use wapi_simulator::Phone;

use crate::harness::{Answer, PATIENCE, Setup, TestApp, encoded};

const METHODS: [Method; 5] = [
    Method::GET,
    Method::PUT,
    Method::POST,
    Method::PATCH,
    Method::DELETE,
];

/// A session of Alice's, and Bob, who has written to her.
async fn alice_and_bob() -> (TestApp, Phone) {
    let app = Setup::new().start().await;
    let alice = app.phone("Alice");
    let bob = app
        .simulator
        .add_phone_with_number("Bob", "375447034810")
        .unwrap();
    app.pair("shop", &alice).await;
    bob.sends_text(alice.number(), "hi").await.unwrap();
    app.webhook.next().await;
    (app, bob)
}

fn spellings(of: &Phone) -> [String; 12] {
    let number = of.number();
    let [country, code, rest] = [&number[..3], &number[3..5], &number[5..]];
    let spelt = format!(
        "+{country} {code} {}-{}-{}",
        &rest[..3],
        &rest[3..5],
        &rest[5..]
    );
    let bracketed = format!("+{country} ({code}) {rest}");
    let dialled = format!("00{country} (0) {code} {rest}");
    let arabic = |digit: char| char::from_u32(0x660 + digit.to_digit(10).unwrap()).unwrap();
    let copied = format!(
        "\u{202b}+{}\u{202c}",
        number.chars().map(arabic).collect::<String>()
    );
    let (link, uri) = (
        format!("https://wa.me/{number}?text=hi"),
        format!("tel:+{country}-{code}-{rest}"),
    );
    let typeset = format!(
        "+{country}\u{a0}{code}\u{2009}{}\u{2011}{}",
        &rest[..3],
        &rest[3..]
    );
    let addresses = [format!("{number}@c.us"), of.jid(), of.lid()];
    let [old, jid, lid] = addresses;
    [
        number.to_owned(),
        format!("+{number}"),
        spelt,
        bracketed,
        dialled,
        copied,
        link,
        uri,
        typeset,
        old,
        jid,
        lid,
    ]
}

/// What a route needs to do something; nothing is enough to see whom it takes for whom.
fn body(path: &str, method: &Method) -> Value {
    match (path.rsplit('/').next().unwrap_or_default(), method) {
        ("typing", _) => json!({"state": "composing"}),
        ("report", _) => json!({"message_id": "3EB0"}),
        ("{chat}", &Method::PATCH) => json!({"archived": true}),
        _ => json!({}),
    }
}

/// What may not depend on the spelling: the status, and the answer without what is new in each.
fn gist(answer: &Answer) -> (u16, Value) {
    let mut body: Value = serde_json::from_slice(&answer.body).unwrap_or_default();
    for fresh in ["request_id", "before", "after", "read"] {
        if let Some(members) = body.as_object_mut() {
            members.remove(fresh);
        }
    }
    (answer.status, body)
}

#[tokio::test]
async fn every_route_that_names_somebody_takes_every_spelling() {
    let (app, bob) = alice_and_bob().await;
    let document = app.get("/openapi.json").await.expect(200).json();
    let paths = document["paths"].as_object().unwrap().keys();
    let mut tried = 0;
    for path in paths.filter(|path| path.contains("{chat}") || path.contains("{contact}")) {
        for method in METHODS
            .iter()
            .filter(|it| document["paths"][path][it.as_str().to_lowercase()].is_object())
        {
            let mut first = None;
            for spelling in spellings(&bob) {
                let named = path
                    .replace("{session}", "shop")
                    .replace("{chat}", &encoded(&spelling));
                let named = named
                    .replace("{contact}", &encoded(&spelling))
                    .replace("{newsletter}", "120363000000000001@newsletter");
                let call = app
                    .request(method.clone(), &named)
                    .header("content-type", "application/json");
                let call = if *method == Method::GET {
                    call
                } else {
                    call.body(body(path, method).to_string())
                };
                let answer = gist(&app.answer(call).await);
                assert_ne!(answer.0, 400, "{method} {path} of {spelling}: {}", answer.1);
                let first = first.get_or_insert_with(|| answer.clone());
                assert_eq!(*first, answer, "{method} {path} of {spelling}");
                tried += 1;
            }
        }
    }
    assert!(tried >= 12 * 11, "only {tried} calls");
    app.finish().await;
}

#[tokio::test]
async fn a_message_goes_to_the_same_chat_however_it_is_addressed() {
    let (app, bob) = alice_and_bob().await;
    let spellings = spellings(&bob);
    for spelling in &spellings {
        let message = json!({"to": spelling, "text": {"body": "hello"}});
        let answer = app
            .post("/v1/sessions/shop/messages?wait=10", message)
            .await
            .expect(200)
            .json();
        assert_eq!(answer["messages"][0]["chat"], bob.jid(), "{spelling}");
        let got = bob.next_message(PATIENCE).await.unwrap();
        assert_eq!(got.text.as_deref(), Some("hello"), "{spelling}");
    }
    let chats = app.get("/v1/sessions/shop/chats").await.expect(200).json();
    assert_eq!(chats["chats"].as_array().unwrap().len(), 1, "{chats}");
    let path = format!("/v1/sessions/shop/chats/{}/messages", bob.number());
    let messages = app.get(&format!("{path}?limit=500")).await.json();
    let count = messages["messages"].as_array().unwrap().len();
    // And the one that Bob has written.
    assert_eq!(count, spellings.len() + 1);
    app.finish().await;
}

#[tokio::test]
async fn a_message_is_passed_on_to_the_same_chat_however_it_is_addressed() {
    let (app, bob) = alice_and_bob().await;
    let first = json!({"to": bob.number(), "text": {"body": "to be passed on"}});
    let first = app.accepted("shop", first).await;
    bob.next_message(PATIENCE).await.unwrap();
    let route = format!("/v1/sessions/shop/messages/{first}/forward?wait=10");
    for spelling in spellings(&bob) {
        let answer = app.post(&route, json!({"to": spelling})).await;
        let chat = answer.expect(200).json()["messages"][0]["chat"].take();
        assert_eq!(chat, bob.jid(), "{spelling}");
        let got = bob.next_message(PATIENCE).await.unwrap();
        assert_eq!(got.text.as_deref(), Some("to be passed on"), "{spelling}");
    }
    app.finish().await;
}

#[tokio::test]
async fn the_original_route_takes_every_spelling() {
    let (app, bob) = alice_and_bob().await;
    for spelling in spellings(&bob) {
        app.send("shop", &spelling, "as of old").await.expect(200);
        let got = bob.next_message(PATIENCE).await.unwrap();
        assert_eq!(got.text.as_deref(), Some("as of old"), "{spelling}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_status_is_for_the_same_person_however_they_are_addressed() {
    let (app, bob) = alice_and_bob().await;
    for spelling in spellings(&bob) {
        let status =
            json!({"to": "status", "recipients": [spelling], "text": {"body": "for a day"}});
        app.post("/v1/sessions/shop/messages?wait=10", status)
            .await
            .expect(200);
        let got = bob.next_message(PATIENCE).await.unwrap();
        assert_eq!(got.chat, "status@broadcast", "{spelling}");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_check_takes_every_spelling_of_a_number() {
    let (app, bob) = alice_and_bob().await;
    for spelling in spellings(&bob) {
        if spelling.ends_with("@lid") {
            continue;
        }
        let checked = app
            .post(
                "/v1/sessions/shop/contacts/check",
                json!({"phones": [spelling]}),
            )
            .await;
        let checked = checked.expect(200).json()["contacts"][0].take();
        assert_eq!(checked["id"], bob.jid(), "{spelling}");
        assert_eq!(checked["exists"], true, "{spelling}");
    }
    app.finish().await;
}

#[tokio::test]
async fn what_only_resembles_a_number_reaches_nobody() {
    let (app, bob) = alice_and_bob().await;
    let stranger = app
        .simulator
        .add_phone_with_number("Stranger", "3754470348100")
        .unwrap();
    let home = app
        .simulator
        .add_phone_with_number("Home", "3750447034810")
        .unwrap();
    for wrong in [
        "375447034810.0",
        "375447034810.00",
        "+375 (0447034810",
        "+3750447034810",
        "375447034810/0",
        "375447034810 0",
    ] {
        let to = json!({"to": wrong, "text": {"body": "for Bob"}});
        let refused = app
            .post("/v1/sessions/shop/messages?wait=0", to)
            .await
            .expect(400);
        assert_eq!(refused.fields(), ["to"], "{wrong}");
        assert_eq!(
            app.send("shop", wrong, "for Bob").await.status,
            400,
            "{wrong}"
        );
        let phones = json!({"phones": [wrong]});
        app.post("/v1/sessions/shop/contacts/check", phones)
            .await
            .expect(400);
    }
    app.accepted(
        "shop",
        json!({"to": bob.number(), "text": {"body": "the only one"}}),
    )
    .await;
    assert_eq!(
        bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
        Some("the only one")
    );
    for other in [stranger, home] {
        assert!(
            other.next_message(std::time::Duration::ZERO).await.is_err(),
            "a stranger got a message"
        );
    }
    app.finish().await;
}
