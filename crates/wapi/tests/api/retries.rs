//! Messages that phones could not read, and ask for again: all of them arrive, whoever asks.

use std::time::Duration;

use serde_json::{Value, json};
use wapi::system::clock::Clock;
use wapi_simulator::{AckFault, Addressing, Phone, ReceiptPolicy, SimulatorOptions};

use crate::harness::{
    PATIENCE, Setup, Stopped, TestApp, copy_database, eventually, shop, take_keys,
};

fn text(to: &Phone, body: &str) -> Value {
    json!({"to": to.number(), "type": "text", "text": {"body": body}})
}

async fn in_world(addressing: Addressing) -> TestApp {
    Setup::new()
        .simulator(SimulatorOptions {
            addressing,
            ..SimulatorOptions::default()
        })
        .start()
        .await
}

/// Everybody writes and answers, so that all keys move on.
async fn talk(app: &TestApp, alice: &Phone, bob: &Phone, rounds: usize) {
    for round in 0..rounds {
        app.send("shop", bob.number(), &format!("shop {round}"))
            .await
            .expect(200);
        bob.next_message(PATIENCE).await.unwrap();
        bob.sends_text(alice.number(), &format!("bob {round}"))
            .await
            .unwrap();
        app.webhook.next().await;
        alice
            .sends_text(bob.number(), &format!("alice {round}"))
            .await
            .unwrap();
        bob.next_message(PATIENCE).await.unwrap();
        app.events("message.echo", round + 1).await;
    }
}

/// The sessions' keys as they are now, in a folder of their own.
fn backup(stopped: &Stopped) -> tempfile::TempDir {
    let folder = tempfile::tempdir().unwrap();
    copy_database(stopped.root(), folder.path());
    folder
}

async fn arrives(phone: &Phone, ids: &[String]) {
    let has = |id: &&String| {
        phone
            .received_messages()
            .iter()
            .any(|message| message.id == **id)
    };
    let all = async || (ids.iter().filter(has).count() == ids.len()).then_some(());
    eventually(all, async || {
        format!(
            "not all of {ids:?}: {:#?}, {:#?}",
            phone.received_messages(),
            phone.failures()
        )
    })
    .await;
}

async fn a_session_from_a_backup_is_read_by_everybody(addressing: Addressing) {
    let mut app = in_world(addressing).await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    talk(&app, &alice, &bob, 1).await;
    let stopped = app.stop().await;
    let keys = backup(&stopped);
    stopped.start().await;
    app.until("shop", "online").await;
    talk(&app, &alice, &bob, 8).await;
    let stopped = app.stop().await;
    take_keys(keys.path(), stopped.root()).await;
    stopped.start().await;
    app.until("shop", "online").await;
    let mut ids = Vec::new();
    for number in 0..6 {
        ids.push(
            app.accepted("shop", text(&bob, &format!("text {number}")))
                .await,
        );
    }
    for id in &ids {
        app.until_message("shop", id, "delivered").await;
    }
    arrives(&bob, &ids).await;
    arrives(&alice, &ids).await;
    assert!(
        !bob.failures().is_empty() && !alice.failures().is_empty(),
        "the backup was as good as new"
    );
    // From now on all is well, in both directions and with either phone.
    let failures_of_bob = bob.failures().len();
    let failures_of_alice = alice.failures().len();
    let later = app.accepted("shop", text(&bob, "later")).await;
    app.until_message("shop", &later, "delivered").await;
    arrives(&alice, std::slice::from_ref(&later)).await;
    bob.sends_text(alice.number(), "answer").await.unwrap();
    assert_eq!(
        app.webhook.next().await.body["data"]["text"]["body"],
        "answer"
    );
    assert_eq!(bob.failures().len(), failures_of_bob);
    assert_eq!(alice.failures().len(), failures_of_alice);
    // A backup has keys that were used since; what was sealed with them is what could not be read.
    let reused = [bob.reused_keys(), alice.reused_keys()].concat();
    assert!(!reused.is_empty(), "the backup was as good as new");
    app.finish().await;
}

#[tokio::test]
async fn a_session_from_a_backup_is_read_by_the_recipient_and_by_the_own_phone() {
    a_session_from_a_backup_is_read_by_everybody(Addressing::PhoneNumber).await;
}

#[tokio::test]
async fn a_session_from_a_backup_is_read_by_both_in_a_world_of_lids() {
    a_session_from_a_backup_is_read_by_everybody(Addressing::Lid).await;
}

#[tokio::test]
async fn a_message_that_others_overtook_is_sent_again_under_its_id() {
    shop(async |app, _, bob| {
        bob.sets_receipt_policy(ReceiptPolicy::Withheld);
        let first = app.accepted("shop", text(&bob, "first")).await;
        app.until_message("shop", &first, "sent").await;
        bob.sets_receipt_policy(ReceiptPolicy::Automatic);
        let second = app.accepted("shop", text(&bob, "second")).await;
        app.until_message("shop", &second, "delivered").await;
        assert_eq!(app.message("shop", &first).await["status"], "sent");
        let delivered = async || {
            app.push_clock(Duration::from_secs(10));
            Some(app.message("shop", &first).await)
                .filter(|message| message["status"] == "delivered")
        };
        eventually(delivered, async || {
            format!("{}", app.message("shop", &first).await)
        })
        .await;
        assert_eq!(bob.received_messages().len(), 2, "no message twice");
    })
    .await;
}

#[tokio::test]
async fn what_was_called_failed_or_taken_back_is_sent_to_nobody_again() {
    shop(async |app, _, bob| {
        bob.sets_receipt_policy(ReceiptPolicy::Withheld);
        let gone = app.accepted("shop", text(&bob, "gone")).await;
        app.until_message("shop", &gone, "sent").await;
        let mut refused = Vec::new();
        for code in [463, 479] {
            app.simulator.faults().set_ack_fault(AckFault::Refuse(code));
            refused.push(
                app.accepted("shop", text(&bob, &format!("refused with {code}")))
                    .await,
            );
            app.until_message("shop", &refused[refused.len() - 1], "failed")
                .await;
        }
        app.simulator.faults().set_ack_fault(AckFault::None);
        let missed = app.accepted("shop", text(&bob, "missed")).await;
        app.until_message("shop", &missed, "sent").await;
        app.delete(&format!("/v1/sessions/shop/messages/{gone}?wait=30"))
            .await
            .expect(200);
        bob.sets_receipt_policy(ReceiptPolicy::Automatic);
        let later = app.accepted("shop", text(&bob, "later")).await;
        app.until_message("shop", &later, "delivered").await;

        let delivered = async || {
            app.push_clock(Duration::from_secs(10));
            Some(app.message("shop", &missed).await)
                .filter(|message| message["status"] == "delivered")
        };
        eventually(delivered, async || {
            format!("{}", app.message("shop", &missed).await)
        })
        .await;
        // Whatever else was missing was looked for at the same time, and is once more.
        for _ in 0..12 {
            app.push_clock(Duration::from_secs(10));
            Clock::system().sleep(Duration::from_millis(50)).await;
        }
        assert_eq!(
            app.message("shop", &gone).await["status"],
            "sent",
            "it was not sent again"
        );
        for id in &refused {
            assert_eq!(app.message("shop", id).await["status"], "failed");
            assert!(
                !bob.received_messages()
                    .iter()
                    .any(|message| message.id == *id),
                "{:?}",
                bob.received_messages()
            );
        }
    })
    .await;
}
