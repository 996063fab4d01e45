//! How the program ends: the first signal asks, the second insists, and neither loses anything.

use std::collections::BTreeSet;
use std::time::Duration;

use wapi_simulator::Phone;

use crate::harness::{Surroundings, TestReceiver, eventually};

/// Messages of a flood: more than are delivered while the program is asked to end.
const FLOOD: usize = 300;

/// Sends them as fast as a phone can. Returns their ids.
async fn flood(from: &Phone, to: &Phone) -> Vec<String> {
    let mut ids = Vec::new();
    for number in 0..FLOOD {
        let text = format!("message {number}");
        ids.push(from.sends_text(to.number(), &text).await.unwrap());
    }
    ids
}

/// Waits until all of them have arrived. Returns those that a later one has overtaken.
async fn all_arrive(webhook: &TestReceiver) -> BTreeSet<usize> {
    let (mut arrived, mut overtaken) = (BTreeSet::new(), BTreeSet::new());
    while arrived.len() < FLOOD {
        let text = webhook.next().await.body["data"]["text"]["body"]
            .as_str()
            .unwrap()
            .to_owned();
        let number: usize = text.strip_prefix("message ").unwrap().parse().unwrap();
        overtaken.extend((0..number).filter(|earlier| !arrived.contains(earlier)));
        arrived.insert(number);
    }
    overtaken
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
    let (ended, _) = tokio::join!(
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
    assert_eq!(all_arrive(&webhook).await, BTreeSet::new());
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
    let ids = flood(&bob, &alice).await;
    running.ask().await;
    running.logs("stopping").await;
    running.ask().await;
    let ended = running.ends_within(Duration::from_secs(5)).await;
    assert!(
        !ended.success && ended.stderr.contains("second signal to stop"),
        "{ended:?}"
    );
    webhook.let_go();
    let (running, client) = wapi.serves(address).await;
    client.until("shop", "online").await;
    // Only a message that had to be asked for again may come late: it was being read at the end.
    let (late, resent) = (all_arrive(&webhook).await, bob.resent_messages());
    let is_excused = |number: &usize| resent.contains(&ids[*number]);
    assert!(late.iter().all(is_excused), "{late:?} came late");
    assert!(running.terminate().await.success);
    simulator.finish().await.unwrap();
}
