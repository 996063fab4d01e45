//! Requests are understood by what is in them, and a login by what it says of itself.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wacore_libsignal::protocol::KeyPair;
use wapi_simulator::SimulatorOptions;

use crate::companion::two_phones;
use crate::raw::{RawDevice, word};
use crate::strict::key_bytes;

fn leaf(tag: &'static str, bytes: Vec<u8>) -> Node {
    NodeBuilder::new(tag).bytes(bytes).build()
}

#[tokio::test]
async fn a_request_is_known_by_its_children_in_any_order() {
    let (simulator, alice, _) = two_phones(SimulatorOptions::default()).await;
    let mut device = RawDevice::linked_to(&alice, &simulator).await;
    let other = || NodeBuilder::new("said_besides").build();
    let asked = [
        ("encrypt", "get", NodeBuilder::new("count").build()),
        (
            "abt",
            "get",
            NodeBuilder::new("props").attr("protocol", "1").build(),
        ),
        ("w:m", "set", NodeBuilder::new("media_conn").build()),
        ("privacy", "get", NodeBuilder::new("privacy").build()),
        ("passive", "set", NodeBuilder::new("active").build()),
    ];
    for (namespace, kind, ask) in asked {
        for content in [
            vec![ask.clone()],
            vec![other(), ask.clone()],
            vec![ask.clone(), other()],
        ] {
            let answer = device.ask(namespace, kind, content).await;
            assert_eq!(word(&answer, "type"), "result", "{namespace} {}", ask.tag);
        }
    }
    // Prekeys, turned round: the wrong identity is what is wrong with them, not their order.
    let key = key_bytes(&KeyPair::generate(&mut rand::rng()));
    let skey = [
        leaf("signature", vec![0; 64]),
        leaf("value", key.clone()),
        leaf("id", vec![0, 0, 1]),
    ];
    let upload = [
        NodeBuilder::new("skey").children(skey).build(),
        NodeBuilder::new("list").build(),
        leaf("identity", key),
        leaf("type", vec![5]),
        leaf("registration", vec![0, 0, 1, 2]),
    ];
    let answer = device.ask("encrypt", "set", upload).await;
    assert_eq!(
        word(answer.get_optional_child("error").unwrap(), "code"),
        "406"
    );
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn who_logs_in_active_is_told_what_waited_and_who_is_passive_only_when_asked() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let is_message = |node: &Node| node.tag == "message" && word(node, "from") == bob.jid();
    let active = RawDevice::just_linked_to(&alice, &simulator).await;
    bob.sends_text(alice.number(), "while it was away")
        .await
        .unwrap();
    let mut device = active.logged_in(&simulator, false).await;
    device.until(is_message).await;

    let mut device = device.logged_in(&simulator, true).await;
    let answer = device
        .ask("passive", "set", [NodeBuilder::new("active").build()])
        .await;
    assert_eq!(word(&answer, "type"), "result");
    device.until(is_message).await;
    device
        .until(|node| node.tag == "ib" && node.get_optional_child("offline").is_some())
        .await;

    // Passive again: what comes waits. The answer to a question is the next that is heard.
    device
        .ask("passive", "set", [NodeBuilder::new("passive").build()])
        .await;
    let id = bob.sends_text(alice.number(), "for later").await.unwrap();
    let answer = device.next_word().await;
    assert_eq!(answer.tag, "iq", "{answer:?}");
    device
        .ask("passive", "set", [NodeBuilder::new("active").build()])
        .await;
    device
        .until(|node| is_message(node) && word(node, "id") == id)
        .await;
    simulator.finish().await.unwrap();
}
