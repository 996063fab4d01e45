//! Messages between phones and linked devices, copies, acknowledgements, receipts and retries.

use std::time::Duration;

use wapi_simulator::{AckFault, Addressing, DeliveryFault, Phone, ReceiptPolicy, SimulatorOptions};
use whatsapp_rust::Jid;
use whatsapp_rust::types::events::Event;

use crate::companion::{Companion, PATIENCE, two_phones};

#[tokio::test]
async fn texts_go_both_ways_and_each_side_hears_that_they_were_delivered() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (mut companion, _) = Companion::linked_to(&alice, &simulator).await;

    let id = bob.sends_text(alice.number(), "hello Alice").await.unwrap();
    let message = companion.message().await;
    assert_eq!(
        (message.text.as_str(), message.id.as_str()),
        ("hello Alice", id.as_str())
    );
    assert_eq!(message.sender, bob.jid());
    assert_eq!(message.sender_alt, Some(bob.lid()));
    assert!(!message.from_me);
    // From Alice's phone, and from her linked device.
    let from_both = |bob: &Phone| {
        let devices: Vec<u16> = bob
            .receipts()
            .iter()
            .map(|receipt| receipt.from_device)
            .collect();
        (devices.contains(&0) && devices.contains(&1)).then_some(())
    };
    bob.wait_until("both devices have confirmed", PATIENCE, from_both)
        .await
        .unwrap();
    assert!(
        bob.receipts()
            .iter()
            .all(|receipt| receipt.id == id && receipt.status == "delivered")
    );

    let id = companion.sends_text(&bob, "hello Bob").await;
    let message = bob.next_message(PATIENCE).await.unwrap();
    assert_eq!(
        (message.text.as_deref(), message.id.as_str()),
        (Some("hello Bob"), id.as_str())
    );
    assert_eq!((message.from, message.from_device), (alice.jid(), 1));
    let refusal = companion
        .next("the server's ack", |event| match event {
            Event::ServerAck(ack) if ack.id == id => Some(ack.error.clone()),
            _ => None,
        })
        .await;
    assert_eq!(refusal, None);
    companion
        .next("Bob's receipt", |event| match event {
            Event::Receipt(receipt) => receipt.message_ids.contains(&id).then_some(()),
            _ => None,
        })
        .await;
    // Alice's own phone has a copy of what her device sent.
    let copies: Vec<_> = alice
        .received_messages()
        .into_iter()
        .filter(|message| message.from_me)
        .collect();
    assert_eq!(copies.len(), 1);
    assert_eq!(
        (copies[0].text.as_deref(), copies[0].chat.clone()),
        (Some("hello Bob"), bob.jid())
    );
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn accounts_that_whatsapp_moved_to_lids_talk_too() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions {
        addressing: Addressing::Lid,
        ..SimulatorOptions::default()
    })
    .await;
    let (mut companion, _) = Companion::linked_to(&alice, &simulator).await;
    bob.sends_text(&alice.lid(), "by lid").await.unwrap();
    let message = companion.message().await;
    assert_eq!(message.sender, bob.lid());
    assert_eq!(message.sender_alt, Some(bob.jid()));
    let to: Jid = bob.lid().parse().unwrap();
    companion.client.send_text(to, "back").await.unwrap();
    assert_eq!(
        bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
        Some("back")
    );
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn two_devices_of_one_account_get_what_arrives_and_copies_of_what_the_other_sends() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (mut first, _) = Companion::linked_to(&alice, &simulator).await;
    let (mut second, _) = Companion::linked_to(&alice, &simulator).await;
    bob.sends_text(alice.number(), "to both").await.unwrap();
    assert_eq!(first.message().await.text, "to both");
    assert_eq!(second.message().await.text, "to both");

    first.sends_text(&bob, "from the first").await;
    let copy = second.message().await;
    assert!(copy.from_me);
    assert_eq!(copy.text, "from the first");

    alice
        .sends_text(bob.number(), "from the phone")
        .await
        .unwrap();
    assert_eq!(first.message().await.text, "from the phone");
    assert_eq!(second.message().await.text, "from the phone");
    first.stop().await;
    second.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn devices_of_two_accounts_talk_to_each_other() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (mut hers, _) = Companion::linked_to(&alice, &simulator).await;
    let (mut his, _) = Companion::linked_to(&bob, &simulator).await;
    for round in 0..3 {
        hers.sends_text(&bob, &format!("ping {round}")).await;
        assert_eq!(his.message().await.text, format!("ping {round}"));
        his.sends_text(&alice, &format!("pong {round}")).await;
        assert_eq!(hers.message().await.text, format!("pong {round}"));
    }
    hers.stop().await;
    his.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn reading_on_the_phone_tells_the_sending_device() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (mut companion, _) = Companion::linked_to(&alice, &simulator).await;
    let id = companion.sends_text(&bob, "read me").await;
    bob.next_message(PATIENCE).await.unwrap();
    bob.reads_messages(alice.number(), std::slice::from_ref(&id))
        .unwrap();
    companion
        .next("a read receipt", |event| match event {
            Event::Receipt(receipt) if format!("{:?}", receipt.r#type) == "Read" => {
                receipt.message_ids.contains(&id).then_some(())
            }
            _ => None,
        })
        .await;
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_refused_message_gets_the_code_and_goes_nowhere() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (mut companion, _) = Companion::linked_to(&alice, &simulator).await;
    simulator.faults().set_ack_fault(AckFault::Refuse(463));
    let id = companion.sends_text(&bob, "too many strangers").await;
    let code = companion
        .next("the refusal", |event| match event {
            Event::ServerAck(ack) if ack.id == id => Some(ack.error.clone()),
            _ => None,
        })
        .await;
    assert_eq!(code.map(|code| code.to_string()).as_deref(), Some("463"));
    simulator.faults().set_ack_fault(AckFault::None);
    companion.sends_text(&bob, "allowed").await;
    assert_eq!(
        bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
        Some("allowed")
    );
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_delayed_ack_comes_after_the_message_and_a_dropped_one_never() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (mut companion, _) = Companion::linked_to(&alice, &simulator).await;
    simulator
        .faults()
        .set_ack_fault(AckFault::Delay(Duration::from_millis(200)));
    let id = companion.sends_text(&bob, "slowly").await;
    bob.next_message(PATIENCE).await.unwrap();
    assert!(
        !companion.has_seen(|event| matches!(event, Event::ServerAck(ack) if ack.id == id)),
        "the ack is late"
    );
    companion
        .next("the late ack", |event| match event {
            Event::ServerAck(ack) if ack.id == id => Some(()),
            _ => None,
        })
        .await;
    simulator.faults().set_ack_fault(AckFault::Drop);
    companion.sends_text(&bob, "unanswered").await;
    bob.next_message(PATIENCE).await.unwrap();
    simulator.faults().set_ack_fault(AckFault::None);
    let id = companion.sends_text(&bob, "answered").await;
    let acked = companion
        .next("an ack", |event| match event {
            Event::ServerAck(ack) if ack.class.as_deref() == Some("message") => {
                Some(ack.id.to_string())
            }
            _ => None,
        })
        .await;
    assert_eq!(acked, id, "the one before was never acknowledged");
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn repeated_and_reordered_stanzas_reach_the_device() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (mut companion, _) = Companion::linked_to(&alice, &simulator).await;
    // A first message opens the session, so that the swapped ones do not depend on each other's prekey.
    bob.sends_text(alice.number(), "zero").await.unwrap();
    assert_eq!(companion.message().await.text, "zero");
    simulator
        .faults()
        .set_delivery_fault(DeliveryFault::Reorder);
    bob.sends_text(alice.number(), "one").await.unwrap();
    bob.sends_text(alice.number(), "two").await.unwrap();
    assert_eq!(companion.message().await.text, "two");
    assert_eq!(companion.message().await.text, "one");
    simulator.faults().set_delivery_fault(DeliveryFault::Repeat);
    bob.sends_text(alice.number(), "three").await.unwrap();
    simulator.faults().set_delivery_fault(DeliveryFault::None);
    bob.sends_text(alice.number(), "four").await.unwrap();
    assert_eq!(companion.message().await.text, "three");
    assert_eq!(
        companion.message().await.text,
        "four",
        "the repeated one is not a second message"
    );
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_device_that_is_linked_later_hears_from_those_who_knew_the_account_before() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (his, _) = Companion::linked_to(&bob, &simulator).await;
    let (mut hers, _) = Companion::linked_to(&alice, &simulator).await;
    his.sends_text(&alice, "to one device").await;
    assert_eq!(hers.message().await.text, "to one device");
    let (mut second, _) = Companion::linked_to(&alice, &simulator).await;
    // Bob's device has kept the list of Alice's devices; it was told that the list is out of date.
    bob.wait_until("the news has reached Bob's device", PATIENCE, |bob| {
        (bob.linked_devices()[0].queued == 0).then_some(())
    })
    .await
    .unwrap();
    his.sends_text(&alice, "to both").await;
    assert_eq!(hers.message().await.text, "to both");
    assert_eq!(second.message().await.text, "to both");
    for device in [his, hers, second] {
        device.stop().await;
    }
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_note_to_oneself_reaches_each_own_device_once() {
    let (simulator, alice, _) = two_phones(SimulatorOptions::default()).await;
    let (mut companion, _) = Companion::linked_to(&alice, &simulator).await;
    alice
        .sends_text(alice.number(), "remember the milk")
        .await
        .unwrap();
    alice
        .sends_text(alice.number(), "and the bread")
        .await
        .unwrap();
    let note = companion.message().await;
    assert!(note.from_me);
    assert_eq!(note.text, "remember the milk");
    assert_eq!(companion.message().await.text, "and the bread");
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn receipts_are_withheld_until_the_phone_gives_them() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (mut companion, _) = Companion::linked_to(&alice, &simulator).await;
    bob.sets_receipt_policy(ReceiptPolicy::Withheld);
    let id = companion.sends_text(&bob, "seen?").await;
    bob.next_message(PATIENCE).await.unwrap();
    companion
        .next("the ack", |event| {
            matches!(event, Event::ServerAck(ack) if ack.id == id).then_some(())
        })
        .await;
    assert!(!companion.has_seen(|event| matches!(event, Event::Receipt(_))));
    bob.confirms_delivery(alice.number(), std::slice::from_ref(&id))
        .unwrap();
    companion
        .next("the receipt", |event| match event {
            Event::Receipt(receipt) => receipt.message_ids.contains(&id).then_some(()),
            _ => None,
        })
        .await;
    companion.stop().await;
    simulator.finish().await.unwrap();
}
