//! How streams end: whatever the reason, the client hears it, and is not cut short while it listens.

use std::time::Duration;

use wacore_binary::Node;
use wapi_simulator::{Phone, Simulator, SimulatorOptions};

use crate::companion::two_phones;
use crate::raw::{RawDevice, word};
use crate::strict::{Seen, StrictClient, login};

/// Longer than the server waits for a client to hang up.
const LONGER: Duration = Duration::from_millis(1500);

/// What a client that does not hang up sees of the end: the last word, its mark, and the end of TCP, without a close frame.
async fn last_word(client: &mut StrictClient) -> Node {
    let last = client.stanza().await;
    assert_eq!(client.stanza().await.tag, "xmlstreamend", "after {last:?}");
    last
}

async fn ends(client: &mut StrictClient) {
    match client.next().await {
        Seen::End => {}
        other => panic!("instead of the end of TCP: {other:?}"),
    }
}

async fn linked() -> (Simulator, Phone, RawDevice) {
    let (simulator, alice, _) = two_phones(SimulatorOptions::default()).await;
    let device = RawDevice::just_linked_to(&alice, &simulator)
        .await
        .logged_in(&simulator, true)
        .await;
    (simulator, alice, device)
}

#[tokio::test]
async fn every_last_word_is_followed_by_its_mark_and_the_end_of_tcp_and_by_no_close_frame() {
    let (simulator, alice, mut device) = linked().await;
    simulator
        .faults()
        .fail_stream(alice.number(), 1, 503)
        .unwrap();
    assert_eq!(word(&last_word(&mut device.client).await, "code"), "503");
    ends(&mut device.client).await;

    let mut former = device.logged_in(&simulator, true).await;
    let payload = login(alice.number().parse().unwrap());
    let noise_key = former.noise_key();
    let mut present = StrictClient::connect(&simulator, &noise_key, &payload).await;
    assert_eq!(present.stanza().await.tag, "success");
    let replaced = last_word(&mut former.client).await;
    assert_eq!(
        word(replaced.get_optional_child("conflict").unwrap(), "type"),
        "replaced"
    );
    ends(&mut former.client).await;

    alice.logs_out(1).await.unwrap();
    let removed = last_word(&mut present).await;
    assert_eq!(
        (word(&removed, "code").as_str(), removed.tag.as_ref()),
        ("401", "stream:error")
    );
    ends(&mut present).await;

    let mut stranger = StrictClient::connect(&simulator, &noise_key, &payload).await;
    let refused = last_word(&mut stranger).await;
    assert_eq!(
        (word(&refused, "reason").as_str(), refused.tag.as_ref()),
        ("401", "failure")
    );
    ends(&mut stranger).await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_client_that_hangs_up_after_the_last_word_is_answered() {
    let (simulator, alice, mut device) = linked().await;
    simulator
        .faults()
        .fail_stream(alice.number(), 1, 503)
        .unwrap();
    last_word(&mut device.client).await;
    device.client.hang_up().await;
    match device.client.next().await {
        Seen::Close => {}
        other => panic!("instead of the answer to its close frame: {other:?}"),
    }
    ends(&mut device.client).await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn who_is_told_to_come_back_hangs_up_itself() {
    let (simulator, alice, _) = two_phones(SimulatorOptions::default()).await;
    let mut device = RawDevice::just_linked_to(&alice, &simulator).await;
    assert_eq!(word(&last_word(&mut device.client).await, "code"), "515");
    let after = tokio::time::timeout(LONGER, device.client.next()).await;
    assert!(after.is_err(), "the server did not wait: {after:?}");
    // Whoever stops the simulator does not wait for it.
    simulator.finish().await.unwrap();
    drop(device);
}

#[tokio::test]
async fn a_cut_is_without_a_word() {
    let (simulator, alice, mut device) = linked().await;
    simulator
        .faults()
        .cut_connection(alice.number(), 1)
        .unwrap();
    ends(&mut device.client).await;
    simulator.finish().await.unwrap();
}
