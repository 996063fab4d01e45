//! Streams of pages that were away for long, or whose subject is gone.

use std::time::Duration;

use futures_util::FutureExt;
use serde_json::json;

use super::browser::Browser;
use crate::harness::{TestApp, gateway, shop};

/// Longer than a stream is silent.
const HEARTBEAT: Duration = Duration::from_secs(16);

#[tokio::test]
async fn the_stream_of_a_removed_session_ends_and_is_not_found() {
    gateway(async |app| {
        let new = json!({"id": "shop"});
        app.post("/v1/sessions", new).await.expect(201);
        app.order("shop", "stop").await.expect(200);
        let mut browser = Browser::at(app);
        let page = browser.get("/dashboard/sessions/shop").await.expect(200);
        let mut tab = browser.follow(&page.stream()).await;
        tab.next().await.expect("a first word");
        app.delete("/v1/sessions/shop").await.expect(204);
        let mut end = Box::pin(tab.ends());
        app.while_time_passes(async || end.as_mut().now_or_never())
            .await;
        for path in [
            page.stream(),
            "/dashboard/live/sessions/shop/chats".to_owned(),
            "/dashboard/live/sessions/never".to_owned(),
        ] {
            let gone = browser.get(&path).await.expect(404);
            gone.shows("session_not_found");
        }
    })
    .await;
}

#[tokio::test]
async fn a_page_that_was_away_for_long_is_told_what_it_misses() {
    shop(async |app, alice, bob| {
        let mut browser = Browser::at(app);
        let tail = browser.get("/dashboard/events").await.expect(200).stream();
        for number in 0..1_010 {
            let text = format!("message {number}");
            bob.sends_text(alice.number(), &text).await.unwrap();
        }
        for _ in 0..1_010 {
            app.webhook.next().await;
        }
        let mut tab = browser.follow(&tail).await;
        let (_, from) = tail.split_once("after=").expect("a position");
        let gap = tab.until(&format!("gap-{from}"), "Left out here").await;
        let all = format!("/dashboard/events?after={from}");
        assert!(gap.contains(&format!("href=\"{all}\"")), "{gap}");
        let (name, data) = tab.next().await.expect("the stream goes on");
        assert_eq!(name, "fragments");
        assert!(!data.contains("message 900\\\\\""), "{data}");
        browser.get(&all).await.expect(200).shows("message 0");
        // The page of a chat is drawn once, and says that its list has a hole.
        let chat = format!(
            "/dashboard/live/sessions/shop/chats/{}?after={from}",
            bob.jid()
        );
        let mut tab = browser.follow(&chat).await;
        let drawn = loop {
            let (name, data) = tab.next().await.expect("the stream goes on");
            if name != "alive" {
                break (name, data);
            }
        };
        assert_eq!(drawn.0, "whole");
        assert!(drawn.1.contains("message 1009"), "{}", drawn.1);
        assert!(!drawn.1.contains("message 900"), "{}", drawn.1);
    })
    .await;
}

#[tokio::test]
async fn the_overview_shows_numbers_that_change_without_an_event() {
    gateway(async |app| {
        let mut browser = Browser::at(app);
        let page = browser.get("/dashboard").await.expect(200);
        let mut tab = browser.follow(&page.stream()).await;
        let mut drawn = Box::pin(tab.until("gateway", "gateway"));
        app.while_time_passes(async || drawn.as_mut().now_or_never())
            .await;
    })
    .await;
}

/// How many times the statistics of the database were read, but for the answer that says so.
async fn statistics_reads(app: &TestApp) -> u64 {
    let metrics = app.get("/metrics").await.expect(200).body;
    let metrics = String::from_utf8(metrics).unwrap();
    let mut lines = metrics.lines();
    let count = lines.find_map(|line| line.strip_prefix("wapi_statistics_reads_total "));
    count.expect("a count").parse::<u64>().unwrap() - 1
}

#[tokio::test]
async fn many_idle_tabs_of_the_overview_cost_the_database_what_one_costs() {
    gateway(async |app| {
        let mut browser = Browser::at(app);
        let mut costs = Vec::new();
        for tabs in [1, 50] {
            let page = browser.get("/dashboard").await.expect(200);
            let mut open = Vec::new();
            for _ in 0..tabs {
                let mut tab = browser.follow(&page.stream()).await;
                tab.next().await.expect("a first word");
                open.push(tab);
            }
            let before = statistics_reads(app).await;
            app.push_clock(HEARTBEAT);
            for tab in &mut open {
                tab.until("gateway", "Measured").await;
            }
            // The question before was one, too.
            costs.push(statistics_reads(app).await - before - 1);
        }
        // A slow machine may need longer for all tabs than numbers are kept.
        assert!(costs[0] >= 1 && costs[1] <= costs[0] + 1, "{costs:?}");
    })
    .await;
}

#[tokio::test]
async fn the_list_of_sessions_is_drawn_for_changes_of_sessions_and_not_for_each_message() {
    shop(async |app, alice, bob| {
        app.post("/v1/sessions", json!({"id": "other"}))
            .await
            .expect(201);
        app.order("other", "stop").await.expect(200);
        let mut browser = Browser::at(app);
        let page = browser.get("/dashboard/sessions").await.expect(200);
        let mut tab = browser.follow(&page.stream()).await;
        tab.next().await.expect("a first word");
        bob.sends_text(alice.number(), "hello").await.unwrap();
        app.webhook.next().await;
        app.push_clock(HEARTBEAT);
        let (name, _) = tab.next().await.expect("the stream goes on");
        assert_eq!(name, "alive", "a message is no change of the list");
        let (name, data) = tab.next().await.expect("the stream goes on");
        assert_eq!(name, "fragments");
        assert!(data.contains("/dashboard/sessions/shop"), "{data}");
        app.order("shop", "stop").await.expect(200);
        tab.until("sessions", "stopped").await;
        // Nothing tells of the end of a session.
        app.delete("/v1/sessions/other").await.expect(204);
        app.push_clock(HEARTBEAT);
        loop {
            let (_, data) = tab.next().await.expect("the stream goes on");
            if data.contains("/dashboard/sessions/shop") && !data.contains("sessions/other") {
                break;
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_page_of_which_nothing_comes_has_heartbeats_while_others_are_busy() {
    shop(async |app, alice, bob| {
        let new = json!({"id": "quiet"});
        app.post("/v1/sessions", new).await.expect(201);
        app.order("quiet", "stop").await.expect(200);
        let mut browser = Browser::at(app);
        for page in [
            "/dashboard/sessions/quiet",
            "/dashboard/events?session=quiet",
        ] {
            let page = browser.get(page).await.expect(200);
            let mut tab = browser.follow(&page.stream()).await;
            tab.next().await.expect("a first word");
            let mut heartbeat = Box::pin(tab.next());
            let mut rounds = 0;
            let came = loop {
                bob.sends_text(alice.number(), "hello").await.unwrap();
                app.webhook.next().await;
                if let Some(came) = heartbeat.as_mut().now_or_never() {
                    break came;
                }
                rounds += 1;
                assert!(rounds < 100, "no heartbeat of {}", page.stream());
                app.push_clock(HEARTBEAT / 2);
            };
            assert_eq!(came.expect("the stream goes on").0, "alive");
        }
    })
    .await;
}
