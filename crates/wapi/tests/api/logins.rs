//! When a session is online: as soon as WhatsApp has let it in, whatever its phone has not told it yet.

use std::time::Duration;

use serde_json::{Value, json};
use wapi_simulator::{FallbackPolicy, PeerRequests};

use crate::harness::{PATIENCE, TestApp, eventually, gateway, shop};

async fn until_app_state(app: &TestApp, wanted: &str) -> Value {
    let session = async || app.session("shop").await.json();
    let reached = async || Some(session().await).filter(|session| session["app_state"] == wanted);
    eventually(reached, async || {
        format!("not {wanted}: {}", session().await)
    })
    .await
}

/// What was told of the session since it was online for the first time.
async fn since_online(app: &TestApp) -> Vec<Value> {
    let events = app.session_events().await;
    let online = events
        .iter()
        .position(|event| event["status"] == "online")
        .expect("it was online");
    events[online + 1..].to_vec()
}

#[tokio::test]
async fn a_phone_that_shares_no_key_leaves_the_session_online_and_it_heals_when_the_key_comes() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        alice.sets_peer_requests(PeerRequests::Ignored);
        alice.sets_push_name("Alice of the shop").unwrap();
        app.pair("shop", &alice).await;
        let session = until_app_state(app, "waiting").await;
        assert_eq!(session["status"], "online");
        assert_eq!(session["reason"], Value::Null);
        // Long after everybody else would have given up. Each step of the clock is followed by a question
        // to WhatsApp, so that none comes before the answers to what the session asks meanwhile.
        for _ in 0..120 {
            app.push_clock(Duration::from_secs(5));
            app.get("/v1/sessions/shop/limits").await.expect(200);
        }
        app.send("shop", bob.number(), "all is well")
            .await
            .expect(200);
        assert_eq!(
            bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
            Some("all is well")
        );
        bob.sends_text(alice.number(), "and here").await.unwrap();
        assert_eq!(
            app.webhook.next().await.body["data"]["text"]["body"],
            "and here"
        );
        assert_eq!(
            since_online(app).await,
            [] as [Value; 0],
            "it did not stay online"
        );
        alice.sets_peer_requests(PeerRequests::Answered);
        // The key comes to a connection that is about to be replaced. Where both read the account's state
        // at once, neither gets all of it, and the next try is three minutes later.
        let session = app
            .while_seconds_pass(async || {
                let session = app.session("shop").await.json();
                (session["app_state"] == "synced").then_some(session)
            })
            .await;
        assert_eq!(session["status"], "online");
        assert_eq!(session["account"]["name"], "Alice of the shop");
    })
    .await;
}

#[tokio::test]
async fn a_session_without_the_key_is_online_after_a_restart_too() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        alice.sets_peer_requests(PeerRequests::Ignored);
        app.pair("shop", &alice).await;
        app.restart().await;
        app.until("shop", "online").await;
        until_app_state(app, "waiting").await;
        alice.sets_peer_requests(PeerRequests::Answered);
        until_app_state(app, "synced").await;
    })
    .await;
}

#[tokio::test]
async fn what_is_definite_is_asked_once() {
    shop(async |app, _, _| {
        for (to, code) in [
            ("375449999999", "not_on_whatsapp"),
            ("120363000000000099@g.us", "group_not_found"),
        ] {
            let answer = app
                .post(
                    "/v1/sessions/shop/messages?wait=30",
                    json!({"to": to, "text": {"body": "hi"}}),
                )
                .await;
            assert_eq!(answer.expect(404).code(), code);
        }
    })
    .await;
}

#[tokio::test]
async fn another_server_key_costs_one_connection() {
    for fallback in [FallbackPolicy::Offered, FallbackPolicy::Refused] {
        let mut app = TestApp::start().await;
        let alice = app.phone("Alice");
        app.pair("shop", &alice).await;
        app.restart().await;
        app.until("shop", "online").await;
        app.simulator.faults().change_key(fallback).unwrap();
        app.until("shop", "offline").await;
        app.until("shop", "online").await;
        let events = app.session_events().await;
        let dials = events
            .iter()
            .rev()
            .skip(1)
            .take_while(|event| event["status"] != "online");
        let dials = dials
            .filter(|event| event["status"] == "connecting")
            .count();
        assert!(dials <= 2, "{fallback:?}: {events:#?}");
        app.finish().await;
    }
}
