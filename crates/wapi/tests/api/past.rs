//! The history that a phone tells when it is linked: asked for, taken in, and never told as if it were new.

use serde_json::{Value, json};

use crate::harness::{Setup, TestApp, eventually};

const SHOP: &str = "/v1/sessions/shop";

async fn history(app: &TestApp) -> Value {
    app.get(SHOP).await.expect(200).json()["history"].clone()
}

#[tokio::test]
async fn it_is_asked_for_and_stays_so() {
    let app = TestApp::start().await;
    app.post("/v1/sessions", json!({"id": "bar"})).await.expect(201);
    assert_eq!(app.get("/v1/sessions/bar").await.expect(200).json()["history"], Value::Null);
    let made = app.post("/v1/sessions", json!({"id": "shop", "history": true})).await.expect(201).json();
    let waiting = json!({"status": "waiting", "progress": 0, "started_at": null, "updated_at": null});
    assert_eq!(made["history"], waiting);
    let wrong = app.post("/v1/sessions", json!({"id": "pub", "history": "yes"})).await.expect(400);
    assert_eq!(wrong.fields(), ["history"]);
    let app = app.restart().await;
    let there = async || Some(app.session("shop").await).filter(|answer| answer.status == 200);
    let there = eventually(there, async || "it is not there".to_owned()).await;
    assert_eq!(there.json()["history"], waiting);
    app.delete(SHOP).await.expect(204);
    app.post("/v1/sessions", json!({"id": "shop"})).await.expect(201);
    assert_eq!(history(&app).await, Value::Null);
    app.finish().await;
}

#[tokio::test]
async fn it_cannot_be_asked_for_where_none_is_kept() {
    let app = Setup::new().set("WAPI_HISTORY", "off").start().await;
    let refused = app.post("/v1/sessions", json!({"id": "shop", "history": true})).await.expect(409);
    assert_eq!(refused.code(), "history_off");
    assert!(refused.json()["detail"].as_str().unwrap().contains("WAPI_HISTORY"));
    app.get(SHOP).await.expect(404);
    app.post("/v1/sessions", json!({"id": "shop", "history": false})).await.expect(201);
    app.finish().await;
}
