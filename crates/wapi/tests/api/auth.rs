//! Who may call.

use serde_json::json;

use crate::harness::Setup;

#[tokio::test]
async fn with_a_key_configured_nobody_else_learns_anything() {
    Setup::new()
        .set("WAPI_API_KEY", "wapi_right")
        .gateway(async |app| {
            let admin = app.with_key("wapi_right");
            admin.register("shop").await.expect(202);
            for stranger in [
                (*app).clone(),
                app.with_key("wapi_wrong"),
                app.with_key("wapi_righ"),
            ] {
                let mut answers = vec![
                    stranger.get("/get-session-info/shop/").await,
                    stranger.get("/get-session-info/nobody/").await,
                    stranger.get("/get-qr-code/shop/").await,
                    stranger.get("/no/such/route").await,
                    stranger
                        .post("/register-session/", json!({"session_id": "shop"}))
                        .await,
                    stranger.post_raw("/send-message/", "not JSON").await,
                ]
                .into_iter();
                let mut first = answers.next().unwrap().expect(401);
                assert_eq!(first.code(), "unauthorized");
                assert_eq!(first.headers["www-authenticate"], "Bearer");
                for mut answer in answers {
                    assert_eq!(without_id(&mut answer), without_id(&mut first));
                }
                stranger.get("/health/live").await.expect(200);
            }
            admin.info("shop").await.expect(200);
        })
        .await;
}

/// Everything a stranger sees, but for what differs with every request.
fn without_id(answer: &mut crate::harness::Answer) -> (u16, serde_json::Value) {
    let mut body = answer.json();
    body.as_object_mut().unwrap().remove("request_id");
    (answer.status, body)
}

#[tokio::test]
async fn without_a_key_a_loopback_listener_is_open() {
    Setup::new()
        .gateway(async |app| {
            app.register("shop").await.expect(202);
            app.with_key("whatever").info("shop").await.expect(200);
        })
        .await;
}
