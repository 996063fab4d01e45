//! The stream of a page: resumed, paused while nobody looks, and ended.

use serde_json::json;

use super::reader::PageReader;
use crate::harness::{ChaosProxy, Line, gateway};

#[tokio::test]
async fn one_banner_tells_that_the_gateway_is_away_until_it_is_back() {
    gateway(async |app| {
        let address = app.base().trim_start_matches("http://").parse().unwrap();
        let line = ChaosProxy::to(address).await;
        let Some(reader) = PageReader::start(app).await else {
            return;
        };
        let reader = reader.with_base(format!("http://{}", line.address));
        reader.opens("/dashboard/sessions").await;
        reader.until_live().await;
        let banner = "document.getElementById('away')";
        assert_eq!(
            reader.window.evaluate(&format!("{banner}.hidden")).await,
            true
        );
        line.set(Line::Refused);
        reader.until_shown("#away", "does not answer").await;
        let new = json!({"id": "shop"});
        app.post("/v1/sessions", new).await.expect(201);
        app.order("shop", "stop").await.expect(200);
        line.set(Line::Whole);
        reader.until_shown("#sessions", "shop").await;
        reader.until(&format!("{banner}.hidden")).await;
        reader.forgives("ERR_");
        reader.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_tab_that_nobody_sees_gives_its_stream_back_and_catches_up_later() {
    gateway(async |app| {
        let Some(reader) = PageReader::start(app).await else {
            return;
        };
        // Its minute passes within a second.
        let fast = "const wait = setTimeout; window.setTimeout = (then, time) => wait(then, time / 100)";
        reader.inject(fast).await;
        reader.opens("/dashboard/sessions").await;
        reader.until_live().await;
        let hide = |is_hidden: bool| {
            format!(
                "Object.defineProperty(document, 'hidden', {{configurable: true, get: () => {is_hidden}}}) \
                 && document.dispatchEvent(new Event('visibilitychange'))"
            )
        };
        reader.until(&hide(true)).await;
        reader.until("!document.body.dataset.live").await;
        let new = json!({"id": "shop"});
        app.post("/v1/sessions", new).await.expect(201);
        app.order("shop", "stop").await.expect(200);
        let shown = "document.getElementById('sessions').innerText.includes('shop')";
        assert_eq!(reader.window.evaluate(shown).await, false);
        reader.until(&hide(false)).await;
        reader.until_live().await;
        reader.until(shown).await;
        reader.finish().await;
    })
    .await;
}

#[tokio::test]
async fn the_page_of_a_removed_session_says_that_it_is_gone() {
    gateway(async |app| {
        let Some(reader) = PageReader::start(app).await else {
            return;
        };
        let new = json!({"id": "shop"});
        app.post("/v1/sessions", new).await.expect(201);
        app.order("shop", "stop").await.expect(200);
        reader.opens("/dashboard/sessions/shop").await;
        reader.until_live().await;
        app.delete("/v1/sessions/shop").await.expect(204);
        let gone = "document.querySelector('main')?.innerText.includes('session_not_found')";
        app.while_time_passes(async || (reader.window.evaluate(gone).await == true).then_some(()))
            .await;
        reader.forgives("404");
        reader.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_complaint_of_the_browser_is_found() {
    gateway(async |app| {
        let Some(reader) = PageReader::start(app).await else {
            return;
        };
        reader.opens("/dashboard").await;
        let picture =
            "document.body.append(Object.assign(new Image(), {src: 'http://evil.example/'})) || 1";
        reader.until(picture).await;
        let script = "setTimeout(() => { throw new Error('on purpose') })";
        reader.until(script).await;
        let mut said = String::new();
        let found = async || {
            said += &reader.window.take_complaints().await.join("\n");
            (said.contains("Content Security Policy") && said.contains("on purpose")).then_some(())
        };
        let found = crate::harness::within(crate::harness::PATIENCE, found).await;
        assert!(found.is_some(), "{said}");
    })
    .await;
}
