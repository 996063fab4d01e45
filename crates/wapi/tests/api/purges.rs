//! What is left of sessions that are no more: nothing where nothing is to stay, and no traces of those that never were.

use futures_util::future::join_all;
use serde_json::json;
use sqlx::sqlite::SqliteConnectOptions;
use sqlx::{ConnectOptions, Connection, Executor};
use wapi_simulator::Phone;

use crate::harness::{Setup, TestApp, eventually, gateway};

const SHOP: &str = "/v1/sessions/shop";

/// How much there is of everybody, by table.
async fn left(app: &TestApp) -> Vec<String> {
    let tables = [
        "events",
        "messages",
        "receipts",
        "payloads",
        "polls",
        "media",
        "identities",
        "sessions",
        "engine",
        "history_messages",
        "history_chats",
        "history_contacts",
        "history_reactions",
    ];
    filled(app, &tables).await
}

/// Those of these tables, and of the parts of the full-text index, that have rows, with their number.
pub async fn filled(app: &TestApp, tables: &[&str]) -> Vec<String> {
    let options = SqliteConnectOptions::new()
        .filename(app.root().join("wapi.db"))
        .read_only(true);
    let mut database = options.connect().await.unwrap();
    // A part may go meanwhile.
    database.execute("BEGIN").await.unwrap();
    let parts =
        "SELECT name FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE%history_words_%'";
    let parts: Vec<String> = sqlx::query_scalar(parts)
        .fetch_all(&mut database)
        .await
        .unwrap();
    let tables = tables.iter().map(|table| (*table).to_owned());
    let mut filled = Vec::new();
    for table in tables.chain(parts) {
        let sql = sqlx::AssertSqlSafe(format!("SELECT count(*) FROM {table}"));
        let count: i64 = sqlx::query_scalar(sql)
            .fetch_one(&mut database)
            .await
            .unwrap();
        filled.extend((count > 0).then(|| format!("{table}: {count}")));
    }
    database.close().await.unwrap();
    filled
}

/// Files of sessions, those of former devices included.
fn files(app: &TestApp) -> Vec<String> {
    let (mut found, mut folders) = (Vec::new(), vec![app.root().join("sessions")]);
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else {
                found.push(path.display().to_string());
            }
        }
    }
    found
}

async fn nothing_is_left(app: &TestApp) {
    let nothing = async || (left(app).await.is_empty() && files(app).is_empty()).then_some(());
    eventually(nothing, async || {
        format!("{:?}, {:?}", left(app).await, files(app))
    })
    .await;
}

/// A session that has sent and received, has had a device before, and has messages that wait.
async fn lived(app: &TestApp, alice: &Phone, bob: &Phone) {
    app.pair("shop", alice).await;
    app.order("shop", "logout").await.expect(200);
    let device = app.pair("shop", alice).await;
    bob.sends_text(alice.number(), "hi").await.unwrap();
    app.webhook.next().await;
    let sent = app
        .accepted(
            "shop",
            json!({"to": bob.number(), "text": {"body": "hello"}}),
        )
        .await;
    app.until_message("shop", &sent, "delivered").await;
    app.simulator.faults().refuse_connections(true);
    app.simulator
        .faults()
        .cut_connection(alice.number(), device)
        .unwrap();
    app.until("shop", "offline").await;
    let waiting = (0..60).map(|number| {
        let text = json!({"to": format!("37544000{number:04}"), "text": {"body": "waits"}});
        app.accepted("shop", text)
    });
    join_all(waiting).await;
}

#[tokio::test]
async fn what_waits_at_a_purge_leaves_no_story() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        lived(app, &alice, &bob).await;
        app.delete(&format!("{SHOP}?purge=true")).await.expect(204);
        assert_eq!(left(app).await, [""; 0]);
        assert_eq!(files(app), [""; 0]);
        // Nor does anything come after it.
        app.restart().await;
        assert_eq!(left(app).await, [""; 0]);
        assert_eq!(files(app), [""; 0]);
        app.simulator.faults().refuse_connections(false);
    })
    .await;
}

#[tokio::test]
async fn a_purge_that_was_cut_off_goes_on_in_the_next_run() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        lived(app, &alice, &bob).await;
        let stopped = app.stop().await;
        let options = SqliteConnectOptions::new().filename(stopped.root().join("wapi.db"));
        let mut database = options.connect().await.unwrap();
        // As it is ordered, before anything else is done.
        let order = "INSERT INTO sessions (name, stopped, created_at) VALUES ('shop', 3, 1) ON CONFLICT (name) DO UPDATE SET stopped = 3";
        database.execute(order).await.unwrap();
        database.close().await.unwrap();
        stopped.start().await;
        nothing_is_left(app).await;
        app.get(SHOP).await.expect(404);
        app.simulator.faults().refuse_connections(false);
    }).await;
}

#[tokio::test]
async fn what_a_removed_session_has_left_is_purged_later() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        lived(app, &alice, &bob).await;
        app.delete(SHOP).await.expect(204);
        assert!(!left(app).await.is_empty() && !files(app).is_empty());
        app.delete(SHOP).await.expect(404);
        app.restart().await;
        app.delete(&format!("{SHOP}?purge=true")).await.expect(204);
        assert_eq!(left(app).await, [""; 0]);
        assert_eq!(files(app), [""; 0]);
        app.delete("/v1/sessions/nobody?purge=true")
            .await
            .expect(404);
        app.simulator.faults().refuse_connections(false);
    })
    .await;
}

#[tokio::test]
async fn whoever_removes_a_session_twice_at_once_with_a_purge_leaves_nothing() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        lived(app, &alice, &bob).await;
        let (plain, purge) = (app.delete(SHOP), app.delete("/v1/sessions/shop?purge=true"));
        let (plain, purge) = tokio::join!(plain, purge);
        assert!(
            [204, 404].contains(&plain.status) && purge.status == 204,
            "{} {}",
            plain.status,
            purge.status
        );
        nothing_is_left(app).await;
        app.simulator.faults().refuse_connections(false);
    })
    .await;
}

#[tokio::test]
async fn sessions_that_no_phone_has_linked_leave_no_files() {
    gateway(async |app| {
        for query in ["", "?purge=true", "?logout=true"] {
            app.post("/v1/sessions", json!({"id": "shop"}))
                .await
                .expect(201);
            app.until("shop", "scan_qr").await;
            assert_eq!(files(app), [""; 0], "nothing of it is worth keeping");
            app.delete(&format!("{SHOP}{query}")).await.expect(204);
            assert_eq!(files(app), [""; 0]);
        }
        assert!(!app.root().join("sessions/removed").exists());
    })
    .await;
}

#[tokio::test]
async fn a_key_of_some_sessions_keeps_all_that_it_makes_at_once() {
    Setup::new()
        .set("WAPI_API_KEY", "wapi_first")
        .gateway(async |app| {
            let admin = app.with_key("wapi_first");
            let names: Vec<String> = (0..8).map(|number| format!("shop {number}")).collect();
            let path = |name: &String| format!("/v1/sessions/{}", name.replace(' ', "%20"));
            for name in &names {
                admin
                    .post("/v1/sessions", json!({"id": name}))
                    .await
                    .expect(201);
            }
            let wish = json!({"name": "shops", "scopes": ["admin"], "sessions": names});
            let key = admin.post("/v1/api-keys", wish).await.expect(201).json()["key"]
                .as_str()
                .unwrap()
                .to_owned();
            let chief = app.with_key(&key);
            for name in &names {
                admin.delete(&path(name)).await.expect(204);
            }
            let made = join_all(
                names
                    .iter()
                    .map(|name| chief.post("/v1/sessions", json!({"id": name}))),
            )
            .await;
            made.into_iter().for_each(|made| drop(made.expect(201)));
            for name in &names {
                chief.get(&path(name)).await.expect(200);
            }
            app.restart().await;
            let chief = app.with_key(&key);
            for name in &names {
                chief.get(&path(name)).await.expect(200);
            }
        })
        .await;
}
