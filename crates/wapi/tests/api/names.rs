//! Session names are arbitrary texts.

use std::path::{Path, PathBuf};

use crate::harness::gateway;

#[tokio::test]
async fn hostile_names_work_and_stay_in_the_data_folder() {
    gateway(async |app| {
        let long = "n".repeat(200);
        for name in [
            "../../x",
            "a/b",
            "🐙",
            "...",
            "C:\\x",
            "%2e%2e",
            "a b+c?d#e&f",
            "\u{0}",
            "Магазин",
            "x.db",
            &long,
        ] {
            let answer = app.register(name).await.expect(202).json();
            assert_eq!(answer["session_id"], name);
            let path = answer["qr_code"].as_str().unwrap().to_owned();
            app.get(&path).await.expect(200);
            assert_eq!(app.info(name).await.expect(200).json()["session_id"], name);
        }
        for path in listing(app.root(), 3) {
            let inside = path.strip_prefix(app.root()).unwrap();
            let first = inside.components().next().unwrap().as_os_str().to_owned();
            let first = first.to_string_lossy();
            let name = first
                .strip_suffix("-wal")
                .or(first.strip_suffix("-shm"))
                .unwrap_or(&first);
            assert!(
                [
                    "sessions",
                    "qr-codes",
                    "media",
                    "wapi.db",
                    "folder-id.json",
                    "wapi.lock"
                ]
                .contains(&name),
                "{path:?}"
            );
            assert!(inside.components().count() <= 2, "{path:?}");
        }
    })
    .await;
}

#[tokio::test]
async fn names_that_cannot_work_are_refused() {
    gateway(async |app| {
        for name in ["", ".", "..", &"n".repeat(201), &"🐙".repeat(100)] {
            assert_eq!(
                app.register(name).await.expect(400).fields(),
                ["session_id"],
                "{name:?}"
            );
        }
        assert_eq!(
            app.get("/get-session-info/%FF/").await.expect(400).fields(),
            ["session"]
        );
    })
    .await;
}

#[tokio::test]
async fn a_hostile_name_is_one_segment_of_the_webhooks_address() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        app.pair("../../a b", &alice).await;
        bob.sends_text(alice.number(), "hi").await.unwrap();
        let delivery = app.webhook.next().await;
        assert_eq!(delivery.path, "/hooks/..%2F..%2Fa%20b");
        assert_eq!(delivery.body["data"]["session"], "../../a b");
    })
    .await;
}

/// All files and folders below, so many levels deep.
fn listing(folder: &Path, levels: usize) -> Vec<PathBuf> {
    let mut found = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if levels > 1 && path.is_dir() {
            found.extend(listing(&path, levels - 1));
        }
        found.push(path);
    }
    found
}
