//! Activity: what callers did, to which session, from where; and the events of keys and webhooks.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::{Setup, TestClient, TestReceiver, Wapi, eventually, free_address};

const KEY: &str = "wapi_first_of_the_test";
const DAY: Duration = Duration::from_secs(24 * 3600);

fn locked() -> Setup {
    Setup::new().set("WAPI_API_KEY", KEY)
}

async fn activity(admin: &TestClient, query: &str) -> Vec<Value> {
    let page = admin.get(&format!("/v1/activity{query}")).await.expect(200);
    page.json()["activity"].as_array().unwrap().clone()
}

async fn make_key(admin: &TestClient, wish: Value) -> (String, String) {
    let made = admin.post("/v1/api-keys", wish).await.expect(201).json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("key"), text("id"))
}

#[tokio::test]
async fn a_change_is_recorded_with_its_caller_session_address_and_outcome() {
    locked()
        .gateway(async |app| {
            let admin = app.with_key(KEY);
            let wish = json!({"name": "board", "scopes": ["admin"]});
            let (key, id) = make_key(&admin, wish).await;
            let board = app.with_key(&key);
            board
                .post("/v1/sessions", json!({"id": "shop"}))
                .await
                .expect(201);
            let stopped = board.order("shop", "stop").await.expect(200);
            let gone = board.order("none", "stop").await.expect(404);
            let rows = activity(&admin, &format!("?key={id}&kind=change")).await;
            let steady: Vec<_> = rows
                .iter()
                .map(|row| {
                    let of = |name: &str| row[name].clone();
                    ["route", "session", "status", "problem"].map(of)
                })
                .collect();
            assert_eq!(
                steady,
                [
                    [
                        json!("/v1/sessions/{session}/stop"),
                        json!("none"),
                        json!(404),
                        json!("session_not_found")
                    ],
                    [
                        json!("/v1/sessions/{session}/stop"),
                        json!("shop"),
                        json!(200),
                        Value::Null
                    ],
                    [
                        json!("/v1/sessions"),
                        json!("shop"),
                        json!(201),
                        Value::Null
                    ],
                ]
            );
            for (row, answer) in rows.iter().zip([&gone, &stopped]) {
                let request = answer.headers["x-request-id"].to_str().unwrap();
                assert_eq!(row["request_id"], request);
            }
            let who = json!({"type": "api_key", "key_id": id, "key_name": "board", "login": null});
            assert_eq!(rows[0]["who"], who);
            assert_eq!(rows[0]["door"], "api");
            assert_eq!(rows[0]["method"], "POST");
            assert_eq!(rows[0]["address"], "127.0.0.1");
            assert_eq!(
                (&rows[0]["requests"], &rows[0]["failures"]),
                (&json!(1), &json!(1))
            );
            let firsts = activity(&admin, "?key=first&kind=change").await;
            assert_eq!(firsts[0]["who"]["type"], "setting");
            assert_eq!(firsts[0]["route"], "/v1/api-keys");
        })
        .await;
}

#[tokio::test]
async fn sends_and_reads_are_counted_without_their_texts() {
    locked()
        .gateway(async |app| {
            let admin = app.with_key(KEY);
            let alice = app.phone("Alice");
            admin.pair("shop", &alice).await;
            let bob = app.phone("Bob");
            let (key, id) = make_key(&admin, json!({"name": "bot", "scopes": ["send"]})).await;
            let bot = app.with_key(&key);
            let path = "/v1/sessions/shop/messages";
            for text in ["the first secret", "the second secret"] {
                let message = json!({"to": bob.number(), "text": {"body": text}});
                let sent = bot.post(&format!("{path}?wait=30"), message).await;
                assert!(sent.status < 300, "{sent:?}");
            }
            let wrong = json!({"to": "nobody", "text": {"body": "no"}});
            bot.post(path, wrong).await.expect(400);
            let rows = activity(&admin, &format!("?key={id}")).await;
            assert_eq!(rows.len(), 1, "{rows:?}");
            assert_eq!(rows[0]["kind"], "send");
            assert_eq!(rows[0]["session"], "shop");
            assert_eq!(
                (&rows[0]["requests"], &rows[0]["failures"]),
                (&json!(3), &json!(1))
            );
            assert_eq!(rows[0]["request_id"], Value::Null);
            for _ in 0..3 {
                admin.get("/v1/sessions/shop").await.expect(200);
            }
            let rows = activity(&admin, "?session=shop&kind=read").await;
            let shown = rows
                .iter()
                .find(|row| row["route"] == "/v1/sessions/{session}")
                .unwrap();
            assert!(shown["requests"].as_i64().unwrap() >= 3, "{shown}");
            let all = admin.get_as("/v1/activity", "application/x-ndjson").await;
            let text = String::from_utf8(all.expect(200).body).unwrap();
            for hidden in ["secret", bob.number(), KEY, &key] {
                assert!(!text.contains(hidden), "{hidden} is in {text}");
            }
        })
        .await;
}

#[tokio::test]
async fn activity_outlives_a_restart_and_is_paged_and_exported() {
    locked()
        .gateway(async |app| {
            let admin = app.with_key(KEY);
            for name in ["one", "two", "three"] {
                admin
                    .post("/v1/sessions", json!({"id": name}))
                    .await
                    .expect(201);
            }
            admin.get("/v1/webhooks").await.expect(200);
            app.restart().await;
            let admin = app.with_key(KEY);
            let page = admin
                .get("/v1/activity?kind=change&limit=2")
                .await
                .expect(200)
                .json();
            let sessions = |page: &Value| {
                let rows = page["activity"].as_array().unwrap().clone();
                rows.iter()
                    .map(|row| row["session"].as_str().unwrap().to_owned())
                    .collect::<Vec<_>>()
            };
            assert_eq!(sessions(&page), ["three", "two"]);
            let before = &page["next"];
            let path = format!("/v1/activity?kind=change&limit=2&before={before}");
            let page = admin.get(&path).await.expect(200).json();
            assert_eq!(sessions(&page), ["one"]);
            assert_eq!(page["next"], Value::Null);
            let reads = activity(&admin, "?kind=read").await;
            assert!(reads.iter().any(|row| row["route"] == "/v1/webhooks"));
            let export = admin
                .get_as("/v1/activity?kind=change", "application/x-ndjson")
                .await
                .expect(200);
            assert_eq!(export.headers["content-type"], "application/x-ndjson");
            let lines: Vec<Value> = String::from_utf8(export.body)
                .unwrap()
                .lines()
                .map(|line| serde_json::from_str(line).unwrap())
                .collect();
            let names: Vec<_> = lines.iter().map(|row| &row["session"]).collect();
            assert_eq!(names, ["one", "two", "three"]);
            let after = format!("/v1/activity?kind=change&after={}", lines[1]["seq"]);
            let rest = admin.get_as(&after, "application/x-ndjson").await;
            assert_eq!(
                rest.expect(200)
                    .body
                    .iter()
                    .filter(|it| **it == b'\n')
                    .count(),
                1
            );
        })
        .await;
}

#[tokio::test]
async fn old_activity_goes() {
    locked()
        .set("WAPI_RETENTION_ACTIVITY_DAYS", "2")
        .gateway(async |app| {
            let admin = app.with_key(KEY);
            admin
                .post("/v1/sessions", json!({"id": "old"}))
                .await
                .expect(201);
            app.push_clock(DAY);
            admin
                .post("/v1/sessions", json!({"id": "young"}))
                .await
                .expect(201);
            app.push_clock(DAY + DAY / 2);
            let gone = async || {
                let rows = activity(&admin, "?kind=change").await;
                let names: Vec<_> = rows.iter().map(|row| row["session"].clone()).collect();
                (names == ["young"]).then_some(())
            };
            app.while_time_passes(gone).await;
        })
        .await;
}

#[tokio::test]
async fn the_activity_is_for_admins_of_all_sessions() {
    locked()
        .gateway(async |app| {
            let admin = app.with_key(KEY);
            let wish = json!({"name": "narrow", "scopes": ["admin"], "sessions": ["shop"]});
            let (narrow, _) = make_key(&admin, wish).await;
            let (reader, _) = make_key(&admin, json!({"name": "r", "scopes": ["read"]})).await;
            for (key, code) in [(narrow, "not_for_all_sessions"), (reader, "scope_missing")] {
                let refused = app.with_key(&key).get("/v1/activity").await.expect(403);
                assert_eq!(refused.code(), code);
            }
            for (query, field) in [
                ("kind=chnage", "kind"),
                ("after=1", "after"),
                ("limit=0", "limit"),
            ] {
                let wrong = admin.get(&format!("/v1/activity?{query}")).await;
                assert_eq!(wrong.expect(400).fields(), [field]);
            }
        })
        .await;
}

#[tokio::test]
async fn changes_of_webhooks_and_keys_are_events_without_secrets() {
    locked()
        .set("WAPI_ALLOW_PRIVATE_TARGETS", "all")
        .gateway(async |app| {
            let admin = app.with_key(KEY);
            let hook = TestReceiver::start().await;
            let types = ["webhook.changed", "api_key.created", "api_key.removed"];
            let wish = json!({"url": hook.base(), "types": types});
            admin.post("/v1/webhooks", wish).await.expect(201);
            let wish = json!({"url": "https://example.com/hook?token=hush", "types": ["message.received"]});
            let made = admin.post("/v1/webhooks", wish).await.expect(201).json();
            let id = made["id"].as_str().unwrap();
            let path = format!("/v1/webhooks/{id}");
            let change = json!({"url": "https://example.com/other?token=hush", "enabled": false});
            admin.patch(&path, change).await.expect(200);
            let rotate = format!("{path}/rotate-secret");
            admin.post_raw(&rotate, "").await.expect(200);
            admin.delete(&path).await.expect(204);
            admin.delete(&path).await.expect(404);
            let seen = async || hook.taken(4);
            let posts = eventually(seen, async || "fewer than 4 events".to_owned()).await;
            let told: Vec<_> = posts
                .iter()
                .map(|post| {
                    assert_eq!(post.body["data"]["id"], id);
                    (post.body["data"]["change"].clone(), post.body["data"]["fields"].clone())
                })
                .collect();
            assert_eq!(
                told,
                [
                    (json!("created"), json!([])),
                    (json!("changed"), json!(["enabled", "url"])),
                    (json!("secret_rotated"), json!([])),
                    (json!("removed"), json!([])),
                ]
            );
            let wish = json!({"name": "bot", "scopes": ["send"], "sessions": ["shop"]});
            let (key, key_id) = make_key(&admin, wish).await;
            admin
                .delete(&format!("/v1/api-keys/{key_id}"))
                .await
                .expect(204);
            let seen = async || hook.taken(6);
            let posts = eventually(seen, async || "fewer than 6 events".to_owned()).await;
            let data = json!({"session": null, "id": key_id, "name": "bot", "scopes": ["send"],
                "sessions": ["shop"], "expires_at": null});
            assert_eq!(posts[4].body["type"], "api_key.created");
            assert_eq!(posts[5].body["type"], "api_key.removed");
            assert_eq!((&posts[4].body["data"], &posts[5].body["data"]), (&data, &data));
            for post in &posts {
                let text = String::from_utf8_lossy(&post.raw);
                for hidden in ["hush", "whsec_", key.as_str()] {
                    assert!(!text.contains(hidden), "{hidden} is in {text}");
                }
            }
            // They are for admins, as keys and webhooks are.
            let (reader, _) = make_key(&admin, json!({"name": "r", "scopes": ["read"]})).await;
            let feed = app.with_key(&reader).get("/v1/events").await.expect(200);
            let feed = String::from_utf8(feed.body).unwrap();
            assert!(!feed.contains("api_key.") && !feed.contains("webhook.changed"), "{feed}");
        })
        .await;
}

#[tokio::test]
async fn the_row_of_a_change_is_on_the_disk_before_its_answer() {
    let address = free_address();
    let wapi = Wapi::new()
        .set("WAPI_INTERNAL_HOST", address)
        .set("WAPI_API_KEY", KEY);
    let (running, client) = wapi.serves(address).await;
    let admin = client.with_key(KEY);
    let wish = json!({"name": "bot", "scopes": ["read"]});
    let made = admin.post("/v1/api-keys", wish).await.expect(201);
    running.kill().await;
    let (running, client) = wapi.serves(address).await;
    let rows = activity(&client.with_key(KEY), "?kind=change").await;
    assert_eq!(rows.len(), 1, "{rows:?}");
    assert_eq!(rows[0]["route"], "/v1/api-keys");
    assert_eq!(rows[0]["status"], 201);
    let request = made.headers["x-request-id"].to_str().unwrap();
    assert_eq!(rows[0]["request_id"], request);
    running.kill().await;
}
