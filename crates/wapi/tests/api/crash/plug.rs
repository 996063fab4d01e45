//! The plug is pulled at moments that matter: what was told, linked, accepted or confirmed is there afterwards.

use std::time::Duration;

use serde_json::json;
use wapi::system::clock::Clock;
use wapi_simulator::{Phone, Simulator};

use super::power::Disk;
use crate::harness::{PATIENCE, Running, Surroundings, TestClient, TestReceiver, Wapi, eventually};

struct Stage {
    simulator: Simulator,
    webhook: TestReceiver,
    wapi: Wapi,
    disk: Disk,
    address: std::net::SocketAddr,
    alice: Phone,
    bob: Phone,
}

impl Stage {
    async fn set() -> Option<Self> {
        if !Disk::is_there() {
            return None;
        }
        let Surroundings {
            simulator,
            webhook,
            wapi,
            address,
        } = Surroundings::new().await;
        let (wapi, disk) = Disk::under(wapi);
        let (alice, bob) = (
            simulator.add_phone("Alice").unwrap(),
            simulator.add_phone("Bob").unwrap(),
        );
        Some(Self {
            simulator,
            webhook,
            wapi,
            disk,
            address,
            alice,
            bob,
        })
    }

    async fn serves(&self) -> (Running, TestClient) {
        self.wapi.serves(self.address).await
    }

    /// The plug is pulled, and power comes back.
    async fn cut(&self, running: Running) -> (Running, TestClient) {
        running.kill().await;
        self.disk.loses_power();
        self.serves().await
    }

    async fn sends(&self, client: &TestClient, text: &str) {
        client.send("shop", &self.bob.jid(), text).await.expect(200);
        let message = self.bob.next_message(PATIENCE).await.unwrap();
        assert_eq!(message.text.as_deref(), Some(text));
    }

    async fn receives(&self, text: &str) {
        self.bob
            .sends_text(self.alice.number(), text)
            .await
            .unwrap();
        loop {
            let event = self.webhook.next().await.body;
            if event["data"]["text"]["body"] == text {
                return;
            }
        }
    }

    async fn ends(self, running: Running) {
        assert!(running.terminate().await.success);
        assert_eq!(
            self.alice.linked_devices().len(),
            1,
            "the device is the one that was linked"
        );
        assert_eq!(self.bob.reused_keys(), [""; 0]);
        assert_eq!(self.bob.failures(), [""; 0]);
        self.simulator.finish().await.unwrap();
    }
}

#[tokio::test]
async fn a_device_that_was_just_linked_is_there_after_a_power_cut() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let (running, client) = stage.serves().await;
    client.pair("shop", &stage.alice).await;
    let (running, client) = stage.cut(running).await;
    client.until("shop", "online").await;
    stage.sends(&client, "still here").await;
    stage.ends(running).await;
}

#[tokio::test]
async fn keys_share_the_syncs_of_messages() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let (running, client) = stage.serves().await;
    client.pair("shop", &stage.alice).await;
    let (count, clock) = (|| stage.disk.syncs_of("wapi.db-wal"), Clock::system());
    // So that they know each other.
    stage.sends(&client, "hello").await;
    stage.receives("hello").await;
    stage.sends(&client, "how are you").await;
    let (before, began) = (count(), clock.uptime());
    for number in 0..100 {
        stage.sends(&client, &number.to_string()).await;
    }
    let (sending, sent) = (count() - before, clock.uptime());
    for number in 0..100 {
        stage.receives(&number.to_string()).await;
    }
    let (receiving, received) = (count() - before - sending, clock.uptime());
    for number in 0..20 {
        stage.receives(&number.to_string()).await;
        stage.sends(&client, &number.to_string()).await;
    }
    let (answering, answered) = (count() - before - sending - receiving, clock.uptime());
    println!("100 sent: {sending} syncs, 100 received: {receiving}, 20 answered: {answering}");
    // Keys that only move on are saved four times a second, however few messages there are. The engine reserves keys for 64
    // messages at a time, to the recipient and to the account's own phone.
    let lazy = |time: Duration| usize::try_from(time.as_millis() / 250).unwrap();
    assert!(
        sending <= 360 + lazy(sent - began),
        "{sending} syncs for 100 messages that are accepted, leave, and are acknowledged one after the other"
    );
    assert!(
        receiving <= 230 + lazy(received - sent),
        "{receiving} syncs for 100 messages that came in and were posted"
    );
    // The key that a message moves on must be on the disk before its answer leaves.
    assert!(
        answering <= 20 * (4 + 3) + lazy(answered - received),
        "{answering} syncs for 20 messages and the answers to them"
    );
    stage.ends(running).await;
}

#[tokio::test]
async fn a_disk_that_does_not_sync_holds_messages_and_readiness_says_why() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let (running, client) = stage.serves().await;
    client.pair("shop", &stage.alice).await;
    stage.sends(&client, "before").await;
    stage.receives("before").await;
    let carol = stage.simulator.add_phone("Carol").unwrap();
    stage.disk.fails("slow-sync 1 12000 wapi.db-wal");
    // It is accepted after one sync. The keys that it is encrypted with are new, and saved in another.
    let id = client
        .accepted("shop", json!({"to": carol.jid(), "text": {"body": "held"}}))
        .await;
    let red =
        async || Some(client.get("/health/ready").await).filter(|answer| answer.status == 503);
    let answer = eventually(red, async || "it says that it is ready".to_owned()).await;
    let why = answer.json()["detail"].as_str().unwrap().to_owned();
    assert!(why.contains("its disk has not answered for "), "{why}");
    assert_eq!(carol.received_messages().len(), 0, "it has left");
    stage.disk.fails("");
    client.until_message("shop", &id, "delivered").await;
    client.get("/health/ready").await.expect(200);
    let held = carol.next_message(PATIENCE).await.unwrap();
    assert_eq!(held.text.as_deref(), Some("held"));
    stage.ends(running).await;
}

#[tokio::test]
async fn after_power_cuts_no_key_is_used_twice_and_both_sides_read_on() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let (mut running, mut client) = stage.serves().await;
    client.pair("shop", &stage.alice).await;
    for round in 0..4 {
        client.until("shop", "online").await;
        // Each answer moves the key on that the next message is sealed with.
        for turn in 0..5 {
            stage.sends(&client, &format!("{round} {turn} out")).await;
            stage.receives(&format!("{round} {turn} in")).await;
        }
        stage.sends(&client, &format!("{round} last")).await;
        (running, client) = stage.cut(running).await;
    }
    client.until("shop", "online").await;
    stage.receives("after all").await;
    stage.sends(&client, "after all").await;
    stage.ends(running).await;
}

#[tokio::test]
async fn a_send_that_was_refused_because_the_disk_did_not_sync_is_not_made_by_the_next_program() {
    let Some(stage) = Stage::set().await else {
        return;
    };
    let (running, client) = stage.serves().await;
    client.pair("shop", &stage.alice).await;
    stage.sends(&client, "before").await;
    let refused = loop {
        stage.disk.fails("eio-sync 1 0 wapi.db");
        let mended = async {
            let red = async || {
                Some(client.get("/health/ready").await).filter(|answer| answer.status == 503)
            };
            eventually(red, async || "it says that it is ready".to_owned()).await;
            stage.disk.fails("");
        };
        let to = stage.bob.jid();
        let (answer, ()) = tokio::join!(client.send("shop", &to, "refused"), mended);
        if answer.status != 200 {
            break answer;
        }
        // Another change was the one that could not be synced, such as a receipt of the message before.
        stage.bob.next_message(PATIENCE).await.unwrap();
    };
    running.kill().await;
    refused.expect(503);
    // SQLite's log has the transaction whole, but for what was written over it.
    let (running, client) = stage.serves().await;
    client.until("shop", "online").await;
    stage.sends(&client, "after").await;
    stage.ends(running).await;
}
