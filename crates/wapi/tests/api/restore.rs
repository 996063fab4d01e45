//! Saved sessions log in by themselves when the program starts.

use std::path::Path;
use std::time::Duration;

use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};
use sqlx::{ConnectOptions, Connection};

use crate::harness::{PATIENCE, Wapi, eventually, free_address, gateway, options, shop};

#[tokio::test]
async fn a_paired_session_logs_in_from_its_file() {
    shop(async |app, alice, bob| {
        app.restart().await;
        app.until("shop", "online").await;
        app.send("shop", bob.number(), "back again")
            .await
            .expect(200);
        assert_eq!(
            bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
            Some("back again")
        );
        bob.sends_text(alice.number(), "welcome").await.unwrap();
        assert_eq!(
            app.webhook.next().await.body["data"]["text"]["body"],
            "welcome"
        );
        assert_eq!(alice.linked_devices().len(), 1);
    })
    .await;
}

/// Names of the files in a folder of the data folder, without those in folders of it.
fn names(root: &Path, folder: &str) -> Vec<String> {
    let entries = std::fs::read_dir(root.join(folder)).into_iter().flatten();
    let names = entries.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    let mut names: Vec<_> = names.collect();
    names.sort();
    names
}

#[tokio::test]
async fn the_session_of_an_earlier_version_comes_online_with_its_keys() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "before").await.unwrap();
        app.webhook.next().await;
        app.send("shop", bob.number(), "before").await.expect(200);
        bob.next_message(PATIENCE).await.unwrap();
        let stopped = app.stop_as_earlier("shop").await;
        assert_eq!(names(stopped.root(), "sessions"), ["shop.db"]);
        stopped.start().await;
        app.until("shop", "online").await;
        // Both sides read on.
        bob.sends_text(alice.number(), "after").await.unwrap();
        let post = app.webhook.next().await;
        assert_eq!(post.body["data"]["text"]["body"], "after");
        app.send("shop", bob.number(), "after").await.expect(200);
        let answer = bob.next_message(PATIENCE).await.unwrap();
        assert_eq!(answer.text.as_deref(), Some("after"));
        assert_eq!(alice.linked_devices().len(), 1);
        if app.has_master_key() {
            assert_eq!(names(app.root(), "sessions"), ["shop.session"]);
            return;
        }
        assert_eq!(names(app.root(), "sessions"), ["converted", "shop.session"]);
        app.restart().await;
        app.until("shop", "online").await;
        let kept = names(app.root(), "sessions/converted");
        let kept = names(&app.root().join("sessions/converted"), &kept[0]);
        assert_eq!(kept, ["shop.db"]);
    })
    .await;
}

#[tokio::test]
async fn a_session_whose_file_was_deleted_shows_a_code() {
    shop(async |app, _, _| {
        let stopped = app.stop().await;
        std::fs::remove_file(stopped.root().join("sessions/shop.session")).unwrap();
        stopped.start().await;
        let gone = app.info("shop").await;
        assert!(
            gone.status == 404 || gone.json()["paired"] == false,
            "{gone:?}"
        );
        app.register("shop").await.expect(202);
        app.until("shop", "scan_qr").await;
        let carol = app.phone("Carol");
        app.pair("shop", &carol).await;
    })
    .await;
}

#[tokio::test]
async fn a_session_file_without_its_database_logs_in_and_both_sides_read_on() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "before").await.unwrap();
        app.webhook.next().await;
        app.send("shop", bob.number(), "before").await.expect(200);
        bob.next_message(PATIENCE).await.unwrap();
        let stopped = app.stop().await;
        for name in names(stopped.root(), "") {
            if name.starts_with("wapi.db") {
                std::fs::remove_file(stopped.root().join(name)).unwrap();
            }
        }
        stopped.start().await;
        app.until("shop", "online").await;
        assert_eq!(alice.linked_devices().len(), 1);
        app.send("shop", bob.number(), "after").await.expect(200);
        let answer = bob.next_message(PATIENCE).await.unwrap();
        assert_eq!(answer.text.as_deref(), Some("after"));
        bob.sends_text(alice.number(), "welcome").await.unwrap();
        let events = app.events("message.received", 1).await;
        assert_eq!(events[0]["data"]["text"]["body"], "welcome");
        app.webhook.next().await;
    })
    .await;
}

#[tokio::test]
async fn a_session_that_was_never_scanned_is_not_restored() {
    gateway(async |app| {
        app.register("shop").await.expect(202);
        app.restart().await;
        assert_eq!(
            app.info("shop").await.expect(404).code(),
            "session_not_found"
        );
        assert!(!app.root().join("qr-codes/shop.png").exists());
        let alice = app.phone("Alice");
        app.pair("shop", &alice).await;
    })
    .await;
}

#[tokio::test]
async fn a_broken_or_foreign_file_fails_alone_and_is_left_as_it_is() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        app.pair("good", &alice).await;
        let stopped = app.stop().await;
        let sessions = stopped.root().join("sessions");
        let diary = b"dear diary".repeat(500);
        std::fs::write(sessions.join("diary.session"), &diary).unwrap();
        // An earlier version had a database for each session.
        std::fs::write(sessions.join("old%20diary.db"), &diary).unwrap();
        let mut torn = std::fs::read(sessions.join("good.session")).unwrap();
        let middle = torn.len() / 2;
        torn[middle..].fill(0x55);
        std::fs::write(sessions.join("torn.session"), &torn).unwrap();
        std::fs::write(sessions.join("not ours.session"), b"").unwrap();

        stopped.start().await;
        app.until("good", "online").await;
        for (name, file, content) in [
            ("diary", "diary.session", &diary),
            ("old diary", "old%20diary.db", &diary),
            ("torn", "torn.session", &torn),
        ] {
            let info = app.until(name, "failed").await;
            assert!(
                info["reason"]
                    .as_str()
                    .unwrap()
                    .contains("its file is damaged"),
                "{info}"
            );
            assert_eq!(
                app.register(name).await.expect(409).code(),
                "session_failed"
            );
            let file = app.root().join("sessions").join(file);
            assert_eq!(&std::fs::read(file).unwrap(), content, "{name} was changed");
        }
    })
    .await;
}

#[tokio::test]
async fn many_sessions_come_back_while_the_listener_answers() {
    gateway(async |app| {
        for number in 0..5 {
            let phone = app.phone(&format!("Owner {number}"));
            app.pair(&format!("shop {number}"), &phone).await;
        }
        app.restart().await;
        for number in 0..5 {
            app.until(&format!("shop {number}"), "online").await;
        }
    })
    .await;
}

/// Nobody can open the file as long as this lives, which makes looking into it take a second.
async fn lock(file: &Path) -> SqliteConnection {
    let options = SqliteConnectOptions::new()
        .filename(file)
        .pragma("locking_mode", "EXCLUSIVE");
    let mut connection = options.connect().await.unwrap();
    sqlx::query("BEGIN EXCLUSIVE")
        .execute(&mut connection)
        .await
        .unwrap();
    connection
}

/// As if an earlier version had left the folder, which saved of no session that it is linked: the start
/// looks into the file of each.
async fn forget_linked(root: &Path) {
    let options = SqliteConnectOptions::new().filename(root.join("wapi.db"));
    let mut connection = options.connect().await.unwrap();
    let forgotten = sqlx::query("DELETE FROM linked_sessions");
    let forgotten = forgotten.execute(&mut connection).await.unwrap();
    assert!(forgotten.rows_affected() > 0, "it was saved");
    connection.close().await.unwrap();
}

#[tokio::test]
async fn the_start_does_not_look_into_the_files_of_linked_sessions() {
    shop(async |app, _, _| {
        let stopped = app.stop_as_earlier("shop").await;
        let held = lock(&stopped.root().join("sessions/shop.db")).await;
        stopped.start().await;
        let seen = app.info("shop").await.expect(200).json();
        assert_eq!(seen["paired"], true, "{seen}");
        held.close().await.unwrap();
        app.push_clock(Duration::from_secs(300));
        app.until("shop", "online").await;
    })
    .await;
}

#[tokio::test]
async fn a_session_that_was_logged_out_is_not_taken_for_a_linked_one() {
    shop(async |app, alice, _| {
        let device = alice.linked_devices()[0].device;
        alice.logs_out(device).await.unwrap();
        app.until("shop", "logged_out").await;
        // It waits for a phone again.
        app.register("shop").await.expect(202);
        app.until("shop", "scan_qr").await;
        app.restart().await;
        assert_eq!(
            app.info("shop").await.expect(404).code(),
            "session_not_found"
        );
    })
    .await;
}

#[tokio::test]
async fn a_name_that_was_linked_once_is_not_taken_for_a_linked_session() {
    gateway(async |app| {
        for is_removed in [true, false] {
            let alice = app.phone("Alice");
            app.pair("shop", &alice).await;
            if is_removed {
                app.delete("/v1/sessions/shop").await.expect(204);
            } else {
                let device = alice.linked_devices()[0].device;
                alice.logs_out(device).await.unwrap();
                app.until("shop", "logged_out").await;
                app.restart().await;
            }
            // Another session has the name now.
            app.register("shop").await.expect(202);
            app.until("shop", "scan_qr").await;
            app.restart().await;
            let gone = app.info("shop").await.expect(404);
            assert_eq!(gone.code(), "session_not_found");
        }
    })
    .await;
}

#[tokio::test]
async fn a_saved_session_is_known_from_the_first_request_on() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        app.pair("first", &bob).await;
        app.pair("shop", &alice).await;
        let stopped = app.stop_as_earlier("first").await;
        forget_linked(stopped.root()).await;
        let held = lock(&stopped.root().join("sessions/first.db")).await;
        stopped.start().await;
        assert_eq!(
            app.get("/health/ready").await.expect(503).code(),
            "starting"
        );
        let seen = app.info("shop").await.expect(200).json();
        assert_ne!(seen["status"], "scan_qr", "{seen}");
        app.get("/health/ready").await.expect(200);
        app.until("shop", "online").await;
        held.close().await.unwrap();
        app.push_clock(Duration::from_secs(300));
        app.until("first", "online").await;
    })
    .await;
}

#[tokio::test]
async fn who_has_waited_long_enough_for_the_start_is_told_so() {
    shop(async |app, _, _| {
        let stopped = app.stop_as_earlier("shop").await;
        forget_linked(stopped.root()).await;
        let held = lock(&stopped.root().join("sessions/shop.db")).await;
        stopped.start().await;
        let asked = app.get("/v1/sessions/shop");
        let time_passes = eventually(
            async || {
                app.push_clock(Duration::from_secs(5));
                None::<()>
            },
            async || "no answer".to_owned(),
        );
        let answer = tokio::select! { answer = asked => answer, () = time_passes => unreachable!("it never ends well") };
        let answer = answer.expect(503);
        assert_eq!(answer.code(), "starting");
        assert_eq!(answer.headers["retry-after"], "10");
        held.close().await.unwrap();
        app.push_clock(Duration::from_secs(300));
        app.until("shop", "online").await;
    }).await;
}

#[tokio::test]
async fn a_session_survives_a_program_that_is_killed() {
    let simulator = wapi_simulator::Simulator::start(options()).await.unwrap();
    let (alice, bob) = (
        simulator.add_phone("Alice").unwrap(),
        simulator.add_phone("Bob").unwrap(),
    );
    let address = free_address();
    let wapi = Wapi::new()
        .set("WAPI_INTERNAL_HOST", address)
        .set("WAPI_WHATSAPP_URL", simulator.ws_url());
    let (running, client) = wapi.serves(address).await;
    client.pair("shop", &alice).await;
    client
        .send("shop", bob.number(), "before")
        .await
        .expect(200);
    running.kill().await;
    let (running, client) = wapi.serves(address).await;
    client.until("shop", "online").await;
    client.send("shop", bob.number(), "after").await.expect(200);
    for text in ["before", "after"] {
        assert_eq!(
            bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
            Some(text)
        );
    }
    running.terminate().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_file_that_cannot_be_read_for_a_moment_is_tried_again() {
    shop(async |app, _, _| {
        let stopped = app.stop_as_earlier("shop").await;
        let held = lock(&stopped.root().join("sessions/shop.db")).await;
        stopped.start().await;
        let info = app.until("shop", "offline").await;
        assert!(
            info["reason"]
                .as_str()
                .unwrap()
                .contains("cannot be read now"),
            "{info}"
        );
        held.close().await.unwrap();
        app.push_clock(Duration::from_secs(300));
        app.until("shop", "online").await;
    })
    .await;
}
