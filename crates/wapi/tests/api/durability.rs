//! What cannot be saved in one place is not lost for it.

use std::path::Path;

use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::harness::TestApp;

/// Keeps everybody else from writing to a database until it is dropped.
async fn lock(file: &Path) -> SqliteConnection {
    let mut connection = SqliteConnectOptions::new().filename(file).connect().await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE").execute(&mut connection).await.unwrap();
    connection
}

#[tokio::test]
async fn a_message_arrives_though_the_file_of_its_session_cannot_be_written() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    bob.sends_text(alice.number(), "before").await.unwrap();
    assert_eq!(app.webhook.next().await.body["data"]["text"]["body"], "before");
    let locked = lock(&app.root().join("sessions/shop.db")).await;
    bob.sends_text(alice.number(), "meanwhile").await.unwrap();
    assert_eq!(app.webhook.next().await.body["data"]["text"]["body"], "meanwhile");
    drop(locked);
    let app = app.restart().await;
    app.until("shop", "online").await;
    bob.sends_text(alice.number(), "after").await.unwrap();
    assert_eq!(app.webhook.next().await.body["data"]["text"]["body"], "after");
    app.finish().await;
}
