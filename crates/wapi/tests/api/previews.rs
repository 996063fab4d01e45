//! Previews of links, made by the gateway.

use axum::Router;
use axum::response::{Html, Redirect};
use axum::routing::get;
use serde_json::{Value, json};
use std::io::Cursor;

use crate::harness::{PATIENCE, Setup, TestApp, TestReceiver, shop};

fn picture() -> Vec<u8> {
    let mut file = Cursor::new(Vec::new());
    image::DynamicImage::new_rgb8(300, 200)
        .write_to(&mut file, image::ImageFormat::Png)
        .unwrap();
    file.into_inner()
}

/// A page with everything, one that leads to it, one that never comes, one that is none, and one without a picture that works.
fn pages() -> String {
    const PAGE: &str = "<head><meta property=og:title content='Tea &amp; cake'><meta property=og:description content=Well.>\
                        <meta property=og:image content=/c.png></head>";
    const OLD: &[u8] = b"<svg><title>no</title></svg><title>\xd7\xe0\xe9</title>";
    let pages = Router::new()
        .route("/page", get(async || Html(PAGE)))
        .route("/c.png", get(async || picture()))
        .route("/moved", get(async || Redirect::to("/page")))
        .route("/never", get(async || std::future::pending::<()>().await))
        .route("/file", get(async || "no page"))
        .route(
            "/old",
            get(async || ([("content-type", "Text/HTML; Charset=windows-1251")], OLD)),
        )
        .route(
            "/late",
            get(async || {
                Html(format!(
                    "<script>{}</script><title>Late</title>",
                    " <title>".repeat(90_000)
                ))
            }),
        )
        .route(
            "/plain",
            get(async || Html("<title>Plain</title><meta property=og:image content=/gone.png>")),
        );
    TestReceiver::serve(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), pages)
}

/// What a phone decrypts of a text that was sent with a preview.
async fn sent(app: &TestApp, bob: &wapi_simulator::Phone, body: &str) -> Value {
    let text = json!({"to": bob.number(), "text": {"body": body, "preview_url": true}});
    let id = app.accepted("shop", text).await;
    let received = bob.next_message(PATIENCE).await.unwrap();
    assert_eq!(received.id, id);
    assert_eq!(received.text.as_deref(), Some(body));
    assert_eq!(
        app.message("shop", &id).await["text"],
        json!({"body": body, "preview_url": true})
    );
    received.to_json()
}

#[tokio::test]
async fn a_link_is_shown_with_what_its_page_says() {
    shop(async |app, _, bob| {
        let pages = pages();
        for path in ["page", "moved"] {
            let received = sent(app, &bob, &format!("Look: {pages}/{path}!")).await;
            let text = &received["extended_text_message"];
            assert_eq!(text["matched_text"], format!("{pages}/{path}"));
            assert_eq!(text["title"], "Tea & cake");
            assert_eq!(text["description"], "Well.");
            let thumbnail: Vec<u8> =
                serde_json::from_value(text["jpeg_thumbnail"].clone()).unwrap();
            let thumbnail = image::load_from_memory(&thumbnail).unwrap();
            assert_eq!(thumbnail.width(), 100);
            assert_eq!(thumbnail.height(), 67);
        }
        let received = sent(app, &bob, &format!("{pages}/plain")).await;
        let text = &received["extended_text_message"];
        assert_eq!(text["title"], "Plain");
        assert_eq!(text["jpeg_thumbnail"], Value::Null);
    })
    .await;
}

#[tokio::test]
async fn links_and_pages_are_read_as_people_write_them() {
    shop(async |app, _, bob| {
        let pages = pages();
        let shouted = pages.replace("http", "Http");
        for (body, link, title) in [
            (
                format!("请看{pages}/old，谢谢"),
                format!("{pages}/old"),
                "Чай",
            ),
            (
                format!("(“{shouted}/late”…)"),
                format!("{shouted}/late"),
                "Late",
            ),
            (
                format!("\u{200b}{pages}/plain\u{200b}"),
                format!("{pages}/plain"),
                "Plain",
            ),
            (
                format!("{pages}/gone {pages}/file {pages}/page"),
                format!("{pages}/page"),
                "Tea & cake",
            ),
        ] {
            let received = sent(app, &bob, &body).await;
            let text = &received["extended_text_message"];
            assert_eq!(text["matched_text"], link, "{body}");
            assert_eq!(text["title"], title, "{body}");
        }
    })
    .await;
}

#[tokio::test]
async fn a_page_that_cannot_be_had_is_a_message_without_a_preview() {
    shop(async |app, _, bob| {
        let pages = pages();
        let closed = std::net::TcpListener::bind("127.0.0.1:0")
            .unwrap()
            .local_addr()
            .unwrap();
        for body in [
            format!("{pages}/file"),
            format!("{pages}/gone"),
            format!("http://{closed}/"),
            "no link".to_owned(),
        ] {
            assert_eq!(sent(app, &bob, &body).await["conversation"], json!(body));
        }
        // Whatever comes behind one that never answers is tried as well.
        let body = format!("{pages}/never and {pages}/gone and {pages}/page");
        assert_eq!(
            sent(app, &bob, &body).await["extended_text_message"]["title"],
            "Tea & cake"
        );
        // A page that never comes holds the message up for a moment, within the patience of the test.
        let body = format!("{pages}/never");
        assert_eq!(sent(app, &bob, &body).await["conversation"], json!(body));
    })
    .await;
}

#[tokio::test]
async fn pages_inside_the_operators_network_are_not_looked_at() {
    Setup::new()
        .set("WAPI_ALLOW_PRIVATE_TARGETS", "none")
        .shop(async |app, _, bob| {
            let body = format!("{}/page", pages());
            assert_eq!(sent(app, &bob, &body).await["conversation"], json!(body));
        })
        .await;
}

/// What waits for a connection leaves when there is one, over this run's or the next one's.
async fn leaves_as_it_was_asked_for(next_run: bool) {
    let mut app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    let device = app.pair("shop", &alice).await;
    app.simulator.faults().refuse_connections(true);
    app.simulator
        .faults()
        .cut_connection(alice.number(), device)
        .unwrap();
    app.until("shop", "offline").await;
    let body = format!("Look: {}/page", pages());
    let mut expected = Vec::new();
    for (asked, patched, is_shown) in [
        (true, None, true),
        (false, None, false),
        (true, Some(json!({"body": body})), true),
        (
            false,
            Some(json!({"body": body, "preview_url": true})),
            true,
        ),
        (
            true,
            Some(json!({"body": body, "preview_url": false})),
            false,
        ),
    ] {
        let text = json!({"to": bob.number(), "text": {"body": body, "preview_url": asked}});
        let id = app.accepted("shop", text).await;
        if let Some(text) = patched {
            app.patch(
                &format!("/v1/sessions/shop/messages/{id}"),
                json!({"text": text}),
            )
            .await
            .expect(202);
        }
        expected.push((id, is_shown));
    }
    if next_run {
        app.restart().await;
    }
    app.simulator.faults().refuse_connections(false);
    app.reaches("shop", "online").await;
    for (id, is_shown) in &expected {
        let received = bob.next_message(PATIENCE).await.unwrap();
        assert_eq!(received.id, *id);
        let title = &received.to_json()["extended_text_message"]["title"];
        assert_eq!(title == "Tea & cake", *is_shown, "{}", received.to_json());
    }
    app.finish().await;
}

#[tokio::test]
async fn what_waits_leaves_with_a_preview_if_it_asks_for_one_then() {
    leaves_as_it_was_asked_for(false).await;
}

#[tokio::test]
async fn what_waits_for_the_next_run_leaves_with_its_preview() {
    leaves_as_it_was_asked_for(true).await;
}
