//! `GET /v1/events`: what happened, from any point on.

use crate::harness::{Setup, TestApp};

#[tokio::test]
async fn the_feed_holds_what_the_webhook_was_told_and_a_cursor_survives_a_restart() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let empty = app.get("/v1/events?after=0&types=message.received").await.expect(200).json();
    assert_eq!(empty["events"].as_array().unwrap().len(), 0);

    for text in ["one", "two", "three"] {
        bob.sends_text(alice.number(), text).await.unwrap();
    }
    let mut told = Vec::new();
    for _ in 0..3 {
        told.push(app.webhook.next().await);
    }
    let first = app.get("/v1/events/?after=0&limit=2&types=message.received").await.expect(200).json();
    let entries = first["events"].as_array().unwrap();
    assert_eq!(entries.len(), 2);
    for (entry, told) in entries.iter().zip(&told) {
        assert_eq!(entry["event"], told.body);
        assert_eq!(entry["id"], told.headers["webhook-id"].to_str().unwrap());
    }
    let next = first["next"].as_i64().unwrap();
    let app = app.restart().await;
    let rest = app.get(&format!("/v1/events?after={next}&types=message.received")).await.expect(200).json();
    assert_eq!(rest["events"][0]["event"]["data"]["text"]["body"], "three");
    assert_eq!(rest["events"].as_array().unwrap().len(), 1);
    app.finish().await;
}

#[tokio::test]
async fn a_reader_waits_for_the_next_event_and_sees_only_what_it_asked_for() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    bob.sends_text(alice.number(), "before").await.unwrap();
    app.webhook.next().await;
    let cursor = app.get("/v1/events").await.expect(200).json()["next"].as_i64().unwrap();

    let waiting = format!("/v1/events?after={cursor}&wait=30&session=shop&types=message.received");
    let (answer, _) = tokio::join!(app.get(&waiting), bob.sends_text(alice.number(), "worth the wait"));
    let page = answer.expect(200).json();
    assert_eq!(page["events"][0]["event"]["data"]["text"]["body"], "worth the wait");
    app.webhook.next().await;

    for filter in ["session=other", "types=message.sent"] {
        let page = app.get(&format!("/v1/events?{filter}")).await.expect(200).json();
        assert_eq!(page["events"].as_array().unwrap().len(), 0, "{filter}");
        assert!(page["next"].as_i64().unwrap() > cursor, "what was passed over is not looked at again");
    }
    app.finish().await;
}

#[tokio::test]
async fn a_feed_asked_for_wrongly_says_what_is_wrong_and_needs_the_key() {
    let app = Setup::new().set("WAPI_API_KEY", "wapi_a-long-random-text").start().await;
    app.get("/v1/events").await.expect(401);
    let keyed = app.with_key("wapi_a-long-random-text");
    let wrong = keyed.get("/v1/events?after=yesterday&limit=5000&colour=red").await.expect(400);
    assert_eq!(wrong.fields(), ["after", "limit", "colour"]);
    keyed.get("/v1/events?after=-1").await.expect(400);
    app.finish().await;
}

#[tokio::test]
async fn posts_are_signed_when_there_is_a_secret() {
    const SECRET: &str = "whsec_MfKQ9r8GKYqrTwjUPD8ILPZIo2LaLaSw";
    let app = Setup::new().set("WAPI_WEBHOOK_SECRET", SECRET).start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    bob.sends_text(alice.number(), "signed").await.unwrap();
    let post = app.webhook.next().await;
    let verifier = standardwebhooks::Webhook::new(SECRET).unwrap();
    let body = post.raw.clone();
    verifier.verify(&body, &post.headers).expect("the signature is right");
    let mut forged = body;
    forged.push(b' ');
    assert!(verifier.verify(&forged, &post.headers).is_err());
    app.finish().await;
}
