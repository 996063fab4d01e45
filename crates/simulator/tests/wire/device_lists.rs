//! Lists of devices that others keep: they learn of each change, and are corrected when they missed one.

use sha2::{Digest, Sha256};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use wapi_simulator::{Addressing, Phone, SimulatorOptions};
use whatsapp_rust::types::events::Event;

use crate::companion::{Companion, two_phones};
use crate::raw::{RawDevice, word};

/// Its hash as clients calculate it: each `user.0:device@server`, sorted, joined.
fn hash(mut devices: Vec<String>) -> String {
    use base64::Engine;
    devices.sort();
    let digest = Sha256::digest(devices.concat());
    format!(
        "2:{}",
        base64::engine::general_purpose::STANDARD_NO_PAD.encode(&digest[..6])
    )
}

fn name(phone: &Phone, addressing: Addressing, device: u16) -> String {
    match addressing {
        Addressing::PhoneNumber => format!("{}.0:{device}@s.whatsapp.net", phone.number()),
        Addressing::Lid => format!("{}.0:{device}@lid", phone.lid().trim_end_matches("@lid")),
    }
}

fn jid(phone: &Phone, addressing: Addressing, device: u16) -> Jid {
    let address = match addressing {
        Addressing::PhoneNumber => phone.jid(),
        Addressing::Lid => phone.lid(),
    };
    Jid {
        device,
        ..address.parse().unwrap()
    }
}

/// What a message to nobody's reading gets for an answer: the phones of these tests say they could not read it.
fn forgive(phones: [&Phone; 2]) {
    phones.iter().for_each(|phone| drop(phone.failures()));
}

#[tokio::test]
async fn an_ack_names_the_devices_when_a_message_went_to_others_than_there_are() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let mut device = RawDevice::linked_to(&alice, &simulator).await;
    for addressing in [Addressing::PhoneNumber, Addressing::Lid] {
        let [own_phone, bobs_phone] = [&alice, &bob].map(|phone| jid(phone, addressing, 0));
        let ack = device
            .writes(bobs_phone.clone(), &[own_phone.clone(), bobs_phone.clone()])
            .await;
        assert_eq!(word(&ack, "phash"), "", "the sender knows them all");

        let right = [(&alice, 0), (&alice, 1), (&bob, 0)]
            .map(|(phone, device)| name(phone, addressing, device));
        let right = hash(right.to_vec());
        // One is missing; one is none; both addresses are one device.
        for wrong in [
            vec![bobs_phone.clone()],
            vec![
                own_phone.clone(),
                bobs_phone.clone(),
                jid(&bob, addressing, 9),
            ],
        ] {
            assert_eq!(
                word(&device.writes(bobs_phone.clone(), &wrong).await, "phash"),
                right,
                "{wrong:?}"
            );
        }
        let mixed = [own_phone, jid(&bob, Addressing::PhoneNumber, 0)];
        assert_eq!(
            word(&device.writes(bobs_phone.clone(), &mixed).await, "phash"),
            ""
        );
        // A note to oneself has one side.
        let ack = device
            .writes(jid(&alice, addressing, 0), &[jid(&alice, addressing, 0)])
            .await;
        assert_eq!(word(&ack, "phash"), "");
        // What is for one device says nothing of the others.
        let enc = NodeBuilder::new("enc")
            .attr("v", "2")
            .attr("type", "msg")
            .bytes(vec![1])
            .build();
        let ack = device
            .sends(NodeBuilder::new("message").attr("to", bobs_phone), enc)
            .await;
        assert_eq!(word(&ack, "phash"), "");
    }
    forgive([&alice, &bob]);
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn in_a_group_the_ack_compares_with_the_devices_the_sender_says_it_knows() {
    for addressing in [Addressing::PhoneNumber, Addressing::Lid] {
        let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
        let group = alice
            .creates_group_addressed("club", &[&bob], addressing)
            .unwrap();
        let mut device = RawDevice::linked_to(&alice, &simulator).await;
        let right = [(&alice, 0), (&alice, 1), (&bob, 0)]
            .map(|(phone, device)| name(phone, addressing, device));
        let right = hash(right.to_vec());
        for (said, told) in [
            (Some(right.as_str()), ""),
            (Some("2:AAAAAAAA"), right.as_str()),
            (None, ""),
        ] {
            let mut message = NodeBuilder::new("message").attr("to", group.parse::<Jid>().unwrap());
            if let Some(said) = said {
                message = message.attr("phash", said);
            }
            let ack = device
                .sends(message, NodeBuilder::new("participants").build())
                .await;
            assert_eq!(word(&ack, "phash"), told, "said {said:?} {addressing:?}");
        }
        forgive([&alice, &bob]);
        simulator.finish().await.unwrap();
    }
}

#[tokio::test]
async fn own_devices_hear_which_there_are_and_others_what_has_changed() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let mut own = RawDevice::linked_to(&alice, &simulator).await;
    let mut bobs = RawDevice::linked_to(&bob, &simulator).await;
    bob.sends_text(alice.number(), "we know each other")
        .await
        .unwrap();
    let (second, _) = Companion::linked_to(&alice, &simulator).await;
    for (linked, change) in [(true, "add"), (false, "remove")] {
        if !linked {
            alice.logs_out(2).await.unwrap();
        }
        let there: Vec<u16> = if linked { vec![0, 1, 2] } else { vec![0, 1] };
        let hash_by = |addressing| {
            hash(
                there
                    .iter()
                    .map(|&device| name(&alice, addressing, device))
                    .collect(),
            )
        };

        let told = own.notification("account_sync").await;
        assert_eq!(word(&told, "from"), alice.jid());
        let devices = told.get_optional_child("devices").unwrap();
        assert_eq!(word(devices, "dhash"), hash_by(Addressing::PhoneNumber));
        let listed: Vec<(String, String)> = devices
            .get_children_by_tag("device")
            .map(|device: &Node| (word(device, "jid"), word(device, "key-index")))
            .collect();
        let expected = |&device: &u16| match device {
            0 => (alice.jid(), String::new()),
            device => (
                jid(&alice, Addressing::PhoneNumber, device).to_string(),
                device.to_string(),
            ),
        };
        assert_eq!(listed, there.iter().map(expected).collect::<Vec<_>>());

        let told = bobs.notification("devices").await;
        assert_eq!(
            (word(&told, "from"), word(&told, "lid")),
            (alice.jid(), alice.lid())
        );
        let changed = told.get_optional_child(change).unwrap();
        assert_eq!(
            word(changed, "device_hash"),
            hash_by(Addressing::PhoneNumber)
        );
        assert_eq!(word(changed, "device_lid_hash"), hash_by(Addressing::Lid));
        let device = changed.get_optional_child("device").unwrap();
        assert_eq!(
            word(device, "jid"),
            jid(&alice, Addressing::PhoneNumber, 2).to_string()
        );
        assert_eq!(
            word(device, "lid"),
            jid(&alice, Addressing::Lid, 2).to_string()
        );
    }
    second.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn the_engine_is_corrected_when_it_missed_that_a_device_was_linked() {
    for addressing in [Addressing::PhoneNumber, Addressing::Lid] {
        let (simulator, alice, bob) = two_phones(SimulatorOptions {
            addressing,
            ..SimulatorOptions::default()
        })
        .await;
        let (mut companion, device) = Companion::linked_to(&alice, &simulator).await;
        companion.sends_text(&bob, "before").await;
        simulator
            .faults()
            .deafen_device(alice.number(), device.device)
            .unwrap();
        let (mut later, _) = Companion::linked_to(&bob, &simulator).await;
        // It hears of the difference with the ack, and looks into it beside everything else.
        for round in 0..5 {
            let id = companion.sends_text(&bob, &format!("text {round}")).await;
            let acked = |event: &Event| {
                matches!(event, Event::ServerAck(ack) if ack.id == id).then_some(())
            };
            companion.next("the ack", acked).await;
        }
        assert_ne!(
            later.message().await.text,
            "text 0",
            "nobody knew of the device then"
        );
        companion.stop().await;
        later.stop().await;
        simulator.finish().await.unwrap();
    }
}
