//! Held messages: what the queue says of them holds for those behind them, for other callers, and after a
//! restart.

use std::time::Duration;

use serde_json::{Value, json};
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection};
use wapi::system::clock::Clock;
use wapi_simulator::{AccountRestriction, Phone};

use crate::harness::{PATIENCE, TestApp, eventually, shop};

/// The stored query of the time-lock.
const TIMELOCK: &str = "23983697327930364";
/// Far beyond any test, in seconds since 1970.
const FAR: u64 = 4_000_000_000;
const LOCKED: AccountRestriction = AccountRestriction::NewChats { until: FAR };
const MESSAGES: &str = "/v1/sessions/shop/messages";

fn text(to: &Phone) -> Value {
    json!({"to": to.number(), "type": "text", "text": {"body": "hi"}})
}

/// Waits until a message is held for this reason; the message then.
async fn held(app: &TestApp, id: &str, reason: &str) -> Value {
    let look = async || {
        let message = app.message("shop", id).await;
        Some(message).filter(|message| message["queued_reason"] == reason)
    };
    eventually(look, async || {
        format!("not held: {}", app.message("shop", id).await)
    })
    .await
}

async fn page_has(app: &TestApp, line: &str) -> Option<()> {
    let page = app.get("/metrics").await.expect(200).body;
    String::from_utf8(page)
        .unwrap()
        .contains(line)
        .then_some(())
}

/// Has a message refused as a new chat, and held.
async fn refused(app: &TestApp, alice: &Phone, bob: &Phone) -> String {
    alice.restricts_silently(LOCKED);
    let mut body = text(bob);
    body["expires_in"] = 3_600.into();
    let id = app.accepted("shop", body).await;
    held(app, &id, "timelock").await;
    assert_eq!(alice.refused_messages(), 1);
    id
}

#[tokio::test]
async fn a_refused_message_that_is_held_can_be_cancelled_after_a_restart() {
    shop(async |app, alice, bob| {
        let id = refused(app, &alice, &bob).await;
        app.restart().await;
        let message = held(app, &id, "timelock").await;
        assert_eq!(message["status"], "queued");
        let path = format!("{MESSAGES}/{id}?wait=0");
        let taken = app.delete(&path).await.expect(200).json();
        assert_eq!(taken["messages"][0]["status"], "cancelled");
        alice.gets_restriction(AccountRestriction::None);
        let next = app.accepted("shop", text(&bob)).await;
        app.until_message("shop", &next, "delivered").await;
        assert_eq!(bob.received_messages().len(), 1);
    })
    .await;
}

#[tokio::test]
async fn a_refused_message_that_is_held_expires_after_a_restart() {
    shop(async |app, alice, bob| {
        let id = refused(app, &alice, &bob).await;
        app.restart().await;
        held(app, &id, "timelock").await;
        app.push_clock(Duration::from_secs(3_601));
        let failed = app.until_message("shop", &id, "failed").await;
        assert_eq!(failed["error"]["code"], "expired");
    })
    .await;
}

#[tokio::test]
async fn those_behind_a_held_message_are_told_at_once_and_leave_in_order() {
    shop(async |app, alice, bob| {
        alice.gets_restriction(LOCKED);
        app.events("session.limits", 1).await;
        let first = app.accepted("shop", text(&bob)).await;
        held(app, &first, "timelock").await;

        let clock = Clock::system();
        let asked = clock.uptime();
        let keyed = app.with_header("idempotency-key", "spring");
        // Again under the same key, while it is held.
        let mut ids = vec![first];
        for _ in 0..2 {
            let answer = keyed.post(&format!("{MESSAGES}?wait=60"), text(&bob)).await;
            let message = answer.expect(202).json()["messages"][0].take();
            assert_eq!(message["queued_reason"], "timelock");
            assert_eq!(message["not_before"], "2096-10-02T07:06:40.000Z");
            ids.push(message["id"].as_str().unwrap().to_owned());
        }
        assert_eq!(ids[1], ids[2]);
        let body = json!({"session_name": "shop", "chat_id": bob.jid(), "text": "hi"});
        let refused = app.post("/send-message/", body).await.expect(409);
        assert_eq!(refused.code(), "new_chats_held");
        assert!(
            clock.uptime() < asked + PATIENCE / 2,
            "nobody waits in vain"
        );
        let line = "held_messages{reason=\"timelock\"} 2";
        page_has(app, line).await.expect("both are held");

        alice.gets_restriction(AccountRestriction::None);
        app.until_message("shop", &ids[1], "delivered").await;
        let arrived: Vec<_> = bob
            .received_messages()
            .into_iter()
            .map(|it| it.id)
            .collect();
        assert_eq!(arrived, ids[..2]);
    })
    .await;
}

/// Stops the gateway, makes its record of the limits unreadable, and starts it.
async fn restart_without_limits(app: &mut TestApp) {
    let stopped = app.stop().await;
    let file = SqliteConnectOptions::new().filename(stopped.root().join("wapi.db"));
    let mut database = file.connect().await.unwrap();
    let sql = "INSERT INTO account_limits (session, limits) SELECT life, 'x' FROM lives WHERE true \
               ON CONFLICT (session) DO UPDATE SET limits = 'x'";
    sqlx::query(sql).execute(&mut database).await.unwrap();
    database.close().await.unwrap();
    stopped.start().await;
}

#[tokio::test]
async fn limits_that_cannot_be_read_are_asked_for_before_anything_leaves() {
    shop(async |app, alice, bob| {
        alice.gets_restriction(LOCKED);
        app.events("session.limits", 1).await;
        let id = app.accepted("shop", text(&bob)).await;
        held(app, &id, "timelock").await;
        restart_without_limits(app).await;
        held(app, &id, "timelock").await;
        assert_eq!(alice.refused_messages(), 0);
        alice.gets_restriction(AccountRestriction::None);
        app.until_message("shop", &id, "delivered").await;
    })
    .await;
}

#[tokio::test]
async fn limits_that_nobody_knows_are_called_unknown_and_hold_nothing() {
    shop(async |app, _, bob| {
        app.simulator.faults().withdraw_query(TIMELOCK, true);
        restart_without_limits(app).await;
        let id = app.accepted("shop", text(&bob)).await;
        app.until_message("shop", &id, "delivered").await;
        let unknown = |count| format!("sessions_limited{{limit=\"unknown\"}} {count}");
        page_has(app, &unknown(1)).await.expect("nobody knows");
        app.simulator.faults().withdraw_query(TIMELOCK, false);
        // WhatsApp is asked again by itself.
        app.while_time_passes(async || page_has(app, &unknown(0)).await)
            .await;
    })
    .await;
}
