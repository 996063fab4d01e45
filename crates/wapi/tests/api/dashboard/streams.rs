//! Streams of pages that were away for long, or whose subject is gone.

use futures_util::FutureExt;
use serde_json::json;

use super::browser::Browser;
use crate::harness::{gateway, shop};

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
