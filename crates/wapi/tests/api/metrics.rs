//! `GET /metrics`: what Prometheus reads.

use std::time::Duration;

use jiff::SignedDuration;
use serde_json::json;
use wapi::system::clock::Clock;

use crate::harness::{Setup, TestClient, eventually, gateway, shop};

/// The value of one sample, written as on the page.
pub async fn sample(client: &TestClient, series: &str) -> Option<f64> {
    let answer = client.get("/metrics").await.expect(200);
    assert_eq!(
        answer.headers["content-type"],
        "text/plain; version=0.0.4; charset=utf-8"
    );
    let page = String::from_utf8(answer.body).unwrap();
    let line = page.lines().find(|line| {
        line.strip_prefix(series)
            .is_some_and(|rest| rest.starts_with(' '))
    })?;
    Some(line.rsplit(' ').next()?.parse().unwrap())
}

pub async fn until(client: &TestClient, series: &str, value: f64) {
    let reached = async || {
        sample(client, series)
            .await
            .filter(|found| *found == value)
            .map(drop)
    };
    eventually(reached, async || {
        format!("{series} is {:?}", sample(client, series).await)
    })
    .await;
}

#[tokio::test]
async fn the_numbers_follow_a_message_to_its_webhook() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        until(app, "wapi_sessions{status=\"online\"}", 0.0).await;
        app.pair("shop", &alice).await;
        until(app, "wapi_sessions{status=\"online\"}", 1.0).await;
        assert_eq!(
            sample(
                app,
                "wapi_session_last_received_age_seconds{session=\"shop\"}"
            )
            .await,
            None
        );

        bob.sends_text(alice.number(), "counted").await.unwrap();
        app.webhook.next().await;
        until(app, "wapi_deliveries_total{outcome=\"delivered\"}", 1.0).await;
        assert_eq!(
            sample(app, "wapi_events_total{type=\"message.received\"}").await,
            Some(1.0)
        );
        assert_eq!(
            sample(app, "wapi_delivery_lag_seconds_count").await,
            Some(1.0)
        );
        assert_eq!(
            sample(app, "wapi_deliveries_waiting{endpoint=\"original\"}").await,
            Some(0.0)
        );
        assert_eq!(
            sample(app, "wapi_oldest_undelivered_age_seconds").await,
            Some(0.0)
        );
        assert!(sample(app, "wapi_commit_changes_sum").await.unwrap() >= 2.0);
        assert!(
            sample(app, "wapi_commit_seconds_bucket{le=\"+Inf\"}")
                .await
                .unwrap()
                >= 1.0
        );
        assert!(
            sample(app, "wapi_database_bytes{part=\"used\"}")
                .await
                .unwrap()
                > 4096.0
        );
        assert_eq!(
            sample(app, "wapi_open_messages{session=\"shop\"}").await,
            None
        );
        let in_an_hour = (Clock::system().now() + SignedDuration::from_hours(1)).to_string();
        let later = json!({"to": bob.number(), "text": {"body": "later"}, "send_at": in_an_hour});
        app.post("/v1/sessions/shop/messages", later)
            .await
            .expect(202);
        until(app, "wapi_open_messages{session=\"shop\"}", 1.0).await;
        app.push_clock(Duration::from_secs(100));
        assert!(
            sample(
                app,
                "wapi_session_last_received_age_seconds{session=\"shop\"}"
            )
            .await
            .unwrap()
                >= 100.0
        );
    })
    .await;
}

#[tokio::test]
async fn what_a_webhook_does_not_take_is_seen_to_wait_and_grow_old() {
    shop(async |app, alice, bob| {
        app.webhook.answer(503);
        bob.sends_text(alice.number(), "waits").await.unwrap();
        app.webhook.refusals(1).await;
        until(app, "wapi_deliveries_total{outcome=\"failed\"}", 1.0).await;
        until(app, "wapi_deliveries_waiting{endpoint=\"original\"}", 1.0).await;
        app.push_clock(Duration::from_secs(2));
        assert!(
            sample(app, "wapi_oldest_undelivered_age_seconds")
                .await
                .unwrap()
                >= 2.0
        );
        app.webhook.answer(200);
        app.push_clock(Duration::from_secs(10));
        app.webhook.next().await;
        until(app, "wapi_deliveries_waiting{endpoint=\"original\"}", 0.0).await;
    })
    .await;
}

#[tokio::test]
async fn the_numbers_are_for_keys_that_read_everything_and_hold_no_phone_number() {
    Setup::new()
        .set("WAPI_API_KEY", "wapi_first")
        .gateway(async |app| {
            app.get("/metrics").await.expect(401);
            let admin = app.with_key("wapi_first");
            let phone = app.phone("Alice");
            admin.pair(phone.number(), &phone).await;
            let bob = app.phone("Bob");
            bob.sends_text(phone.number(), "hello").await.unwrap();
            app.webhook.next().await;
            let answer = admin.get("/metrics/").await.expect(200);
            let page = String::from_utf8(answer.body).unwrap();
            assert!(
                page.contains("wapi_session_last_received_age_seconds{session=\"sha256:"),
                "{page}"
            );
            assert!(
                !page.contains(phone.number()) && !page.contains(bob.number()),
                "{page}"
            );
            let some =
                serde_json::json!({"name": "some", "scopes": ["read"], "sessions": ["shop"]});
            let some = admin.post("/v1/api-keys", some).await.expect(201).json();
            let answer = app
                .with_key(some["key"].as_str().unwrap())
                .get("/metrics")
                .await
                .expect(403);
            assert_eq!(answer.code(), "not_for_all_sessions");
        })
        .await;
}
