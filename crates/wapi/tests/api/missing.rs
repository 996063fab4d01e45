//! Messages that were read and not saved: their keys are in the session's file, no event tells of
//! them, and WhatsApp delivers them again.

use std::collections::BTreeSet;
use std::path::Path;

use wapi_simulator::{Author, Phone};

use crate::harness::{TestApp, shop};

/// Copies the database and its log.
fn copy_database(from: &Path, to: &Path) {
    for name in ["wapi.db", "wapi.db-wal", "wapi.db-shm"] {
        let (from, to) = (from.join(name), to.join(name));
        match from.exists() {
            true => drop(std::fs::copy(from, to).unwrap()),
            false if to.exists() => std::fs::remove_file(to).unwrap(),
            false => {}
        }
    }
}

const LOST: usize = 20;

/// Bob writes and reacts, the gateway reads it, and its database forgets it. WhatsApp has not been
/// told that it was read.
async fn lose_messages(app: &mut TestApp, alice: &Phone, bob: &Phone) {
    // The first message makes a session; a key moves on with each one.
    let hello = bob.sends_text(alice.number(), "hello").await.unwrap();
    app.webhook.next().await;
    let before = tempfile::tempdir().unwrap();
    let stopped = app.stop().await;
    copy_database(stopped.root(), before.path());
    stopped.start().await;
    app.until("shop", "online").await;
    app.simulator.faults().lose_confirmations(true);
    for number in 0..LOST {
        let body = format!("lost {number}");
        bob.sends_text(alice.number(), &body).await.unwrap();
        app.webhook.next().await;
    }
    bob.reacts_to_message(alice.number(), &hello, Author::Me, "👍")
        .unwrap();
    app.events("message.reaction", 1).await;
    let stopped = app.stop().await;
    copy_database(before.path(), stopped.root());
    stopped.simulator.faults().lose_confirmations(false);
    stopped.start().await;
}

#[tokio::test]
async fn messages_that_were_read_and_not_saved_are_told_after_all() {
    shop(async |app, alice, bob| {
        lose_messages(app, &alice, &bob).await;
        let mut bodies = BTreeSet::new();
        for _ in 0..LOST {
            let message = app.webhook.next().await.body;
            bodies.insert(message["data"]["text"]["body"].as_str().unwrap().to_owned());
        }
        let lost = (0..LOST).map(|number| format!("lost {number}"));
        assert_eq!(bodies, lost.collect());
        app.events("message.reaction", 1).await;
        let unreadable = app.events("message.undecryptable", LOST).await;
        assert_eq!(unreadable.len(), LOST, "the reaction is none to be told of");
    })
    .await;
}

#[tokio::test]
async fn a_message_that_was_saved_is_not_asked_for_again() {
    shop(async |app, alice, bob| {
        app.simulator.faults().lose_confirmations(true);
        bob.sends_text(alice.number(), "hello").await.unwrap();
        app.webhook.next().await;
        let stopped = app.stop().await;
        stopped.simulator.faults().lose_confirmations(false);
        stopped.start().await;
        app.until("shop", "online").await;
        bob.sends_text(alice.number(), "later").await.unwrap();
        assert_eq!(
            app.webhook.next().await.body["data"]["text"]["body"],
            "later"
        );
        assert!(bob.resent_messages().is_empty(), "it was asked for again");
    })
    .await;
}
