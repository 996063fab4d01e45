//! How the program ends: the first signal asks, the second insists, and neither loses anything.

use std::collections::BTreeSet;
use std::time::Duration;

use wapi_simulator::Phone;

use crate::harness::{Surroundings, TestReceiver, eventually};

/// Messages of a flood: more than are delivered while the program is asked to end.
const FLOOD: usize = 300;

/// Sends them as fast as a phone can.
async fn flood(from: &Phone, to: &Phone) {
    for number in 0..FLOOD {
        from.sends_text(to.number(), &format!("message {number}"))
            .await
            .unwrap();
    }
}

/// Waits until all of them have arrived, in order but for repetitions.
async fn all_arrive(webhook: &TestReceiver) {
    let mut arrived = BTreeSet::new();
    while arrived.len() < FLOOD {
        let text = webhook.next().await.body["data"]["text"]["body"]
            .as_str()
            .unwrap()
            .to_owned();
        let number: usize = text.strip_prefix("message ").unwrap().parse().unwrap();
        assert!(
            number <= arrived.len(),
            "{text} has overtaken one of {arrived:?}"
        );
        arrived.insert(number);
    }
}

#[tokio::test]
async fn a_program_that_is_asked_to_end_in_a_flood_ends_in_time_and_loses_nothing() {
    let Surroundings {
        simulator,
        webhook,
        wapi,
        address,
    } = Surroundings::new().await;
    let (alice, bob) = (
        simulator.add_phone("Alice").unwrap(),
        simulator.add_phone("Bob").unwrap(),
    );
    let (running, client) = wapi.serves(address).await;
    client.pair("shop", &alice).await;
    let (ended, ()) = tokio::join!(
        async {
            eventually(
                async || (webhook.seen() > FLOOD / 20).then_some(()),
                async || "nothing came".to_owned(),
            )
            .await;
            running.ask().await;
            running.ends_within(Duration::from_secs(25)).await
        },
        flood(&bob, &alice)
    );
    assert!(ended.success, "{ended:?}");
    assert!(
        webhook.seen() < FLOOD,
        "the flood was over before the program ended"
    );
    let (running, client) = wapi.serves(address).await;
    client.until("shop", "online").await;
    all_arrive(&webhook).await;
    assert!(running.terminate().await.success);
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_program_that_is_told_twice_ends_at_once_and_loses_nothing() {
    let Surroundings {
        simulator,
        webhook,
        wapi,
        address,
    } = Surroundings::new().await;
    let (alice, bob) = (
        simulator.add_phone("Alice").unwrap(),
        simulator.add_phone("Bob").unwrap(),
    );
    let (mut running, client) = wapi.serves(address).await;
    client.pair("shop", &alice).await;
    // A receiver that does not answer keeps the program from ending politely.
    webhook.hold(&bob.jid());
    flood(&bob, &alice).await;
    running.ask().await;
    running.logs("stopping").await;
    running.ask().await;
    let ended = running.ends_within(Duration::from_secs(5)).await;
    assert!(
        !ended.success && ended.stderr.contains("told to end a second time"),
        "{ended:?}"
    );
    webhook.let_go();
    let (running, client) = wapi.serves(address).await;
    client.until("shop", "online").await;
    all_arrive(&webhook).await;
    assert!(running.terminate().await.success);
    simulator.finish().await.unwrap();
}
