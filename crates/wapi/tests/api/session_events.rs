//! `session.status`, `session.qr`, `session.paired`, `session.logged_out`: what is told of sessions, in order.

use serde_json::Value;
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use crate::harness::gateway;

/// The types of events, and the statuses of those that tell one.
fn story(events: &[Value]) -> Vec<String> {
    let word = |event: &Value| match event["type"].as_str().unwrap() {
        "session.status" => event["status"].as_str().unwrap().to_owned(),
        other => other.to_owned(),
    };
    events.iter().map(word).collect()
}

#[tokio::test]
async fn the_way_of_a_session_is_told_in_order() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        let device = app.pair("shop", &alice).await;
        let online = app
            .told("online", |event| event["status"] == "online")
            .await;
        assert_eq!(
            story(&online),
            [
                "scan_qr",
                "session.qr",
                "session.paired",
                "connecting",
                "online"
            ]
        );
        let [status, qr, paired, connecting, online] = &online[..] else {
            panic!("{online:#?}")
        };
        assert!(
            online
                .get("session")
                .is_some_and(|session| session == "shop")
        );
        assert_eq!(status["paired"], false);
        assert_eq!(status["connection"]["state"], "offline");
        assert_eq!(qr["path"], "/v1/sessions/shop/qr");
        assert!(
            qr["text"].as_str().unwrap().starts_with("2@") && qr["expires_at"].is_string(),
            "{qr}"
        );
        assert_eq!(paired["account"]["phone"], alice.number());
        assert_eq!(connecting["paired"], true);
        assert_eq!(connecting["connection"]["state"], "connecting");
        assert_eq!(online["account"]["phone"], alice.number());
        assert_eq!(online["connection"]["state"], "online");

        alice.logs_out(device).await.unwrap();
        let all = app
            .told("the log-out", |event| event["status"] == "logged_out")
            .await;
        assert_eq!(story(&all[5..]), ["session.logged_out", "logged_out"]);
        let reason = "this device is no longer linked to the account (code 401)";
        assert_eq!(all[5]["reason"], reason);
        assert_eq!(all[5]["account"]["phone"], alice.number());
    })
    .await;
}

#[tokio::test]
async fn an_outage_and_a_restart_are_told() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        let device = app.pair("shop", &alice).await;
        let before = app
            .told("online", |event| event["status"] == "online")
            .await
            .len();
        app.simulator
            .faults()
            .cut_connection(alice.number(), device)
            .unwrap();
        app.until("shop", "offline").await;
        app.until("shop", "online").await;
        app.restart().await;
        app.until("shop", "online").await;
        let online_again = async || {
            let events = app.session_events().await;
            let story = story(&events[before..]);
            (story.iter().filter(|word| *word == "online").count() == 2).then_some(story)
        };
        let story = crate::harness::eventually(online_again, async || {
            format!("{:#?}", app.session_events().await)
        })
        .await;
        assert_eq!(
            story,
            [
                "offline",
                "connecting",
                "online",
                "offline",
                "stopped",
                "connecting",
                "online"
            ]
        );
    })
    .await;
}

#[tokio::test]
async fn a_session_goes_on_while_nothing_can_be_saved_and_its_way_is_told_later() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        let device = app.pair("shop", &alice).await;
        let before = app
            .told("online", |event| event["status"] == "online")
            .await
            .len();
        let mut other = SqliteConnectOptions::new()
            .filename(app.root().join("wapi.db"))
            .connect()
            .await
            .unwrap();
        sqlx::query("BEGIN EXCLUSIVE")
            .execute(&mut other)
            .await
            .unwrap();
        app.simulator
            .faults()
            .cut_connection(alice.number(), device)
            .unwrap();
        app.until("shop", "offline").await;
        app.until("shop", "online").await;
        assert_eq!(
            app.session_events().await.len(),
            before,
            "nothing can be saved"
        );
        sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
        let complete =
            async || Some(app.session_events().await).filter(|events| events.len() >= before + 3);
        let events = crate::harness::eventually(complete, async || {
            format!("{:#?}", app.session_events().await)
        })
        .await;
        assert_eq!(
            story(&events[before..]),
            ["offline", "connecting", "online"]
        );
    })
    .await;
}
