//! Files in an S3 bucket, and what happens while it is away.

use serde_json::json;
use wapi_simulator::{FileKind, MediaFile};

use crate::harness::{ChaosProxy, Line, PATIENCE, Setup, TestApp, TestBucket, eventually};
use crate::uploads::upload_to_bucket;

const TEXT: &[u8] = b"not much of a text";

/// A gateway that keeps its files in this bucket, behind a line that can break.
async fn app_before(bucket: &TestBucket) -> (TestApp, ChaosProxy) {
    let line = ChaosProxy::to(bucket.address).await;
    let app = Setup::new()
        .set("WAPI_MEDIA_STORAGE", "s3://files/of/wapi")
        .set("WAPI_MEDIA_S3_ENDPOINT", format!("http://{}", line.address))
        .set("WAPI_MEDIA_S3_ACCESS_KEY_ID", "key")
        .set("WAPI_MEDIA_S3_SECRET_ACCESS_KEY", "secret")
        .start()
        .await;
    (app, line)
}

#[tokio::test]
async fn files_are_kept_in_a_bucket_handed_out_sent_and_removed() {
    let Some(bucket) = TestBucket::start().await else {
        return;
    };
    let (app, _line) = app_before(&bucket).await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let file = upload_to_bucket(
        &app,
        "shop",
        "; filename=\"a.txt\"\r\nContent-Type: text/plain",
        TEXT,
    )
    .await;
    let sha256 = file["sha256"].as_str().unwrap();
    let name = format!("of/wapi/{}/{sha256}", &sha256[..2]);
    assert!(
        bucket.listed().await.contains(&name),
        "{}",
        bucket.listed().await
    );
    let url = file["url"].as_str().unwrap();
    assert_eq!(app.get(url).await.expect(200).body, TEXT);
    assert_eq!(
        app.with_header("range", "bytes=4-7")
            .get(url)
            .await
            .expect(206)
            .body,
        b"much"
    );
    app.accepted(
        "shop",
        json!({"to": bob.jid(), "document": {"id": file["id"]}}),
    )
    .await;
    assert_eq!(bob.next_media(PATIENCE).await.unwrap().bytes, TEXT);
    let incoming = app.root().join("media/incoming");
    let is_empty = async || (std::fs::read_dir(&incoming).unwrap().count() == 0).then_some(());
    eventually(is_empty, async || "a copy stayed".to_owned()).await;

    app.delete(&format!("/v1/media/{}", file["id"].as_str().unwrap()))
        .await
        .expect(204);
    assert!(!bucket.listed().await.contains(&name));
    app.finish().await;
}

#[tokio::test]
async fn while_the_bucket_is_away_nothing_is_lost_and_no_message_waits() {
    let Some(bucket) = TestBucket::start().await else {
        return;
    };
    let (app, line) = app_before(&bucket).await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let kept = upload_to_bucket(&app, "shop", "", TEXT).await;
    line.set(Line::Refused);

    let received = MediaFile::new(
        FileKind::Document,
        b"came in meanwhile".to_vec(),
        "text/plain",
    );
    bob.sends_file(alice.number(), received).await.unwrap();
    let received = app.webhook.next().await.body["data"]["document"].clone();
    bob.sends_text(alice.number(), "and a word").await.unwrap();
    assert_eq!(
        app.webhook.next().await.body["data"]["text"]["body"],
        "and a word"
    );
    let refused = app
        .post("/v1/sessions/shop/media", json!({"link": link()}))
        .await
        .expect(503);
    assert_eq!(refused.code(), "not_ready");
    let unread = app.get(kept["url"].as_str().unwrap()).await.expect(503);
    assert_eq!(unread.code(), "not_ready");
    let info = async || {
        app.get(&format!("/v1/media/{}", received["id"].as_str().unwrap()))
            .await
            .expect(200)
            .json()
    };
    assert_eq!(info().await["status"], "waiting");

    line.set(Line::Whole);
    let is_stored = async || Some(info().await).filter(|info| info["status"] == "stored");
    eventually(is_stored, async || format!("{}", info().await)).await;
    assert_eq!(
        app.get(received["url"].as_str().unwrap())
            .await
            .expect(200)
            .body,
        b"came in meanwhile"
    );
    assert_eq!(
        app.get(kept["url"].as_str().unwrap())
            .await
            .expect(200)
            .body,
        TEXT
    );
    app.finish().await;
}

#[tokio::test]
async fn what_could_not_be_removed_is_removed_when_the_bucket_is_back() {
    let Some(bucket) = TestBucket::start().await else {
        return;
    };
    let (app, line) = app_before(&bucket).await;
    app.register("shop").await.expect(202);
    let file = upload_to_bucket(&app, "shop", "", TEXT).await;
    let sha256 = file["sha256"].as_str().unwrap();
    line.set(Line::Refused);
    app.delete(&format!("/v1/media/{}", file["id"].as_str().unwrap()))
        .await
        .expect(204);
    app.get(file["url"].as_str().unwrap()).await.expect(410);
    assert!(
        bucket.listed().await.contains(sha256),
        "{}",
        bucket.listed().await
    );
    line.set(Line::Whole);
    let is_gone = async || (!bucket.listed().await.contains(sha256)).then_some(());
    app.while_time_passes(is_gone).await;
    app.finish().await;
}

/// An address with a file behind it.
fn link() -> String {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let router = axum::Router::new().route("/a", axum::routing::get(|| async { TEXT }));
    format!(
        "{}/a",
        crate::harness::TestReceiver::serve(listener, router)
    )
}
