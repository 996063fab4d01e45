//! Messages that were read and not saved: no event tells of them, and WhatsApp delivers them again. Mostly their keys are not saved
//! either, since both are in one transaction; an earlier version, whose keys were in a file of their own, may have left such keys.

use std::collections::BTreeSet;

use wapi_simulator::{Author, Phone};

use crate::harness::{TestApp, copy_database, shop, take_keys};

const LOST: usize = 20;

/// What the database forgets.
#[derive(Clone, Copy, PartialEq)]
enum Forgotten {
    Events,
    EventsAndKeys,
}

impl Forgotten {
    /// How many messages cannot be read when they are delivered again.
    fn unreadable(self) -> usize {
        match self {
            Self::Events => LOST,
            Self::EventsAndKeys => 0,
        }
    }
}

/// `writer` writes and reacts, the gateway reads it as events of this kind, and its database forgets it. WhatsApp has
/// not been told that it was read.
async fn lose_messages(
    app: &mut TestApp,
    writer: &Phone,
    to: &Phone,
    kind: &str,
    forgotten: Forgotten,
) {
    // The first message makes a session; a key moves on with each one.
    let hello = writer.sends_text(to.number(), "hello").await.unwrap();
    app.events(kind, 1).await;
    take_posts(app, kind, 1).await;
    let before = tempfile::tempdir().unwrap();
    let stopped = app.stop().await;
    copy_database(stopped.root(), before.path());
    stopped.start().await;
    app.until("shop", "online").await;
    app.simulator.faults().lose_confirmations(true);
    for number in 0..LOST {
        let body = format!("lost {number}");
        writer.sends_text(to.number(), &body).await.unwrap();
        app.events(kind, number + 2).await;
        take_posts(app, kind, 1).await;
    }
    writer
        .reacts_to_message(to.number(), &hello, Author::Me, "👍")
        .unwrap();
    app.events("message.reaction", 1).await;
    let stopped = app.stop().await;
    let after = tempfile::tempdir().unwrap();
    copy_database(stopped.root(), after.path());
    copy_database(before.path(), stopped.root());
    if forgotten == Forgotten::Events {
        take_keys(after.path(), stopped.root()).await;
    }
    stopped.simulator.faults().lose_confirmations(false);
    stopped.start().await;
}

/// Takes posts of the original's webhook, which is told of what others write only.
async fn take_posts(app: &mut TestApp, kind: &str, count: usize) {
    if kind == "message.received" {
        for _ in 0..count {
            app.webhook.next().await;
        }
    }
}

/// Waits until the lost messages are told as events of this kind, after the one that was not lost.
async fn expect_lost_messages(app: &mut TestApp, kind: &str, forgotten: Forgotten) {
    let told = app.events(kind, LOST + 1).await;
    let bodies = told.iter().skip(1);
    let bodies: BTreeSet<String> = bodies
        .map(|event| event["data"]["text"]["body"].as_str().unwrap().to_owned())
        .collect();
    let lost = (0..LOST).map(|number| format!("lost {number}"));
    assert_eq!(bodies, lost.collect());
    take_posts(app, kind, LOST).await;
    app.events("message.reaction", 1).await;
    let expected = forgotten.unreadable();
    let unreadable = app.events("message.undecryptable", expected).await;
    assert_eq!(
        unreadable.len(),
        expected,
        "the reaction is none to be told of"
    );
}

#[tokio::test]
async fn messages_that_were_read_and_not_saved_are_told_after_all() {
    for forgotten in [Forgotten::Events, Forgotten::EventsAndKeys] {
        shop(async |app, alice, bob| {
            lose_messages(app, &bob, &alice, "message.received", forgotten).await;
            expect_lost_messages(app, "message.received", forgotten).await;
        })
        .await;
    }
}

#[tokio::test]
async fn copies_that_were_read_and_not_saved_are_told_after_all() {
    for forgotten in [Forgotten::Events, Forgotten::EventsAndKeys] {
        shop(async |app, alice, bob| {
            lose_messages(app, &alice, &bob, "message.echo", forgotten).await;
            expect_lost_messages(app, "message.echo", forgotten).await;
            let count = LOST + 1 + forgotten.unreadable();
            for event in app
                .events("message.echo,message.undecryptable", count)
                .await
            {
                assert_eq!(event["data"]["chat"], bob.jid());
                assert_eq!(event["data"]["from_me"], true);
            }
        })
        .await;
    }
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
