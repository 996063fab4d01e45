//! What waits while a device is away, and what happens when it dies or hangs.

use std::time::Duration;

use wapi_simulator::SimulatorOptions;
use whatsapp_rust::types::events::Event;
use whatsapp_rust::wacore::iq::keepalive::KeepaliveSpec;

use crate::companion::{Companion, Inbox, PATIENCE, two_phones};

#[tokio::test]
async fn messages_wait_for_a_device_that_is_away_and_come_in_order() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (companion, _) = Companion::linked_to(&alice, &simulator).await;
    let keys = companion.stop().await;
    // More than one batch of 200.
    for index in 0..450 {
        bob.sends_text(alice.number(), &format!("{index}"))
            .await
            .unwrap();
    }
    let mut companion = Companion::start(&simulator, keys, Inbox::Works).await;
    let mut texts = Vec::new();
    companion
        .next("450 messages", |event| {
            if let Event::Messages(batch) = event {
                for inbound in batch.messages.iter() {
                    assert!(inbound.info.is_offline);
                    texts.push(inbound.message.conversation.clone().unwrap_or_default());
                }
            }
            (texts.len() >= 450).then_some(())
        })
        .await;
    assert_eq!(
        texts,
        (0..450).map(|index| index.to_string()).collect::<Vec<_>>()
    );
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn what_was_not_confirmed_comes_again_and_what_was_does_not() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (companion, _) = Companion::linked_to(&alice, &simulator).await;
    let keys = companion.stop().await;
    let mut broken = Companion::start(&simulator, keys, Inbox::Fails).await;
    broken.connected().await;
    bob.sends_text(alice.number(), "do not lose me")
        .await
        .unwrap();
    alice
        .wait_until("it is queued", PATIENCE, |alice| {
            (alice.linked_devices()[0].queued > 0).then_some(())
        })
        .await
        .unwrap();
    let keys = broken.stop().await;
    let mut repaired = Companion::start(&simulator, keys, Inbox::Works).await;
    assert_eq!(repaired.message().await.text, "do not lose me");
    alice
        .wait_until("it is confirmed", PATIENCE, |alice| {
            (alice.linked_devices()[0].queued == 0).then_some(())
        })
        .await
        .unwrap();
    let keys = repaired.stop().await;
    let mut again = Companion::start(&simulator, keys, Inbox::Works).await;
    again.connected().await;
    bob.sends_text(alice.number(), "the next one")
        .await
        .unwrap();
    assert_eq!(
        again.message().await.text,
        "the next one",
        "the confirmed one does not come again"
    );
    again.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_device_that_was_cut_comes_back_and_misses_nothing() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (mut companion, device) = Companion::linked_to(&alice, &simulator).await;
    for index in 0..3 {
        simulator
            .faults()
            .cut_connection(alice.number(), device.device)
            .unwrap();
        bob.sends_text(alice.number(), &format!("after cut {index}"))
            .await
            .unwrap();
        assert_eq!(companion.message().await.text, format!("after cut {index}"));
        alice
            .wait_until("it is back", PATIENCE, |alice| {
                alice.linked_devices()[0].connected.then_some(())
            })
            .await
            .unwrap();
    }
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_stream_error_503_is_followed_by_a_new_connection() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (mut companion, device) = Companion::linked_to(&alice, &simulator).await;
    simulator
        .faults()
        .fail_stream(alice.number(), device.device, 503)
        .unwrap();
    bob.sends_text(alice.number(), "after the error")
        .await
        .unwrap();
    assert_eq!(companion.message().await.text, "after the error");
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_refused_connection_is_tried_again_until_it_is_accepted() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (mut companion, device) = Companion::linked_to(&alice, &simulator).await;
    simulator.faults().refuse_connections(true);
    simulator
        .faults()
        .cut_connection(alice.number(), device.device)
        .unwrap();
    bob.sends_text(alice.number(), "while refused")
        .await
        .unwrap();
    alice
        .wait_until("it was refused", PATIENCE, |_| {
            (simulator.refused_connections() > 0).then_some(())
        })
        .await
        .unwrap();
    assert!(!alice.linked_devices()[0].connected);
    simulator.faults().refuse_connections(false);
    assert_eq!(companion.message().await.text, "while refused");
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_frozen_device_hears_nothing_until_it_is_thawed() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (mut companion, device) = Companion::linked_to(&alice, &simulator).await;
    simulator
        .faults()
        .freeze_device(alice.number(), device.device)
        .unwrap();
    bob.sends_text(alice.number(), "into the ice")
        .await
        .unwrap();
    let ping = || wacore::iq::keepalive::KeepaliveSpec::with_timeout(Duration::from_millis(300));
    assert!(
        companion.client.execute(ping()).await.is_err(),
        "a frozen server answers no ping"
    );
    let from_bob = |event: &Event| match event {
        Event::Messages(batch) => batch
            .messages
            .iter()
            .any(|inbound| !inbound.info.source.is_from_me),
        _ => false,
    };
    assert!(!companion.has_seen(from_bob));
    simulator
        .faults()
        .thaw_device(alice.number(), device.device)
        .unwrap();
    assert_eq!(companion.message().await.text, "into the ice");
    assert!(
        companion.client.execute(ping()).await.is_ok(),
        "a thawed one does"
    );
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_deaf_connection_gets_answers_and_nothing_else_until_there_is_a_new_one() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (mut companion, linked) = Companion::linked_to(&alice, &simulator).await;
    simulator
        .faults()
        .deafen_device(alice.number(), linked.device)
        .unwrap();
    bob.sends_text(alice.number(), "can you hear me")
        .await
        .unwrap();
    alice
        .wait_until("it is queued", PATIENCE, |alice| {
            (alice.linked_devices()[0].queued > 0).then_some(())
        })
        .await
        .unwrap();
    for _ in 0..2 {
        companion
            .client
            .execute(KeepaliveSpec::with_timeout(PATIENCE))
            .await
            .unwrap();
    }
    let is_text = |event: &Event| match event {
        Event::Messages(batch) => batch
            .messages
            .iter()
            .any(|inbound| inbound.message.conversation.is_some()),
        _ => false,
    };
    assert!(!companion.has_seen(is_text), "it was heard");
    companion.client.reconnect_immediately().await;
    assert_eq!(companion.message().await.text, "can you hear me");
    companion.stop().await;
    simulator.finish().await.unwrap();
}
