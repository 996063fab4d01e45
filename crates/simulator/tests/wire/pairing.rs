//! Linking devices, logging them in and out.

use std::time::{Duration, Instant};

use wacore_binary::Jid;
use wacore_binary::builder::NodeBuilder;
use wacore_libsignal::protocol::KeyPair;
use wapi_simulator::{PairingError, SimulatorOptions};
use whatsapp_rust::types::events::Event;

use crate::companion::{Companion, Inbox, PATIENCE, two_phones};
use crate::raw::word;
use crate::strict::{StrictClient, key_bytes, registration_of};

#[tokio::test]
async fn a_scanned_device_is_online_within_two_seconds_and_every_request_was_understood() {
    let (simulator, alice, _) = two_phones(SimulatorOptions::default()).await;
    let mut companion = Companion::new(&simulator).await;
    let qr = companion.qr().await;
    let scanned = Instant::now();
    let device = alice.scans_qr(&qr).await.unwrap();
    companion.connected().await;
    // The engine waits ten seconds for an app-state key that the phone has to share.
    assert!(
        scanned.elapsed() < Duration::from_secs(2),
        "it took {:?}",
        scanned.elapsed()
    );
    assert_eq!(device.device, 1);
    assert_eq!(device.jid, format!("{}:1@s.whatsapp.net", alice.number()));
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_linked_device_logs_in_again_with_its_keys() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (companion, _) = Companion::linked_to(&alice, &simulator).await;
    let keys = companion.stop().await;
    let mut companion = Companion::start(&simulator, keys, Inbox::Works).await;
    companion.connected().await;
    bob.sends_text(alice.number(), "still you").await.unwrap();
    assert_eq!(companion.message().await.text, "still you");
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn an_account_has_several_devices_and_numbers_are_not_given_out_again() {
    let (simulator, alice, _) = two_phones(SimulatorOptions::default()).await;
    let (first, device) = Companion::linked_to(&alice, &simulator).await;
    assert_eq!(device.device, 1);
    alice.logs_out(1).await.unwrap();
    let (second, device) = Companion::linked_to(&alice, &simulator).await;
    assert_eq!(device.device, 2);
    let (third, device) = Companion::linked_to(&alice, &simulator).await;
    assert_eq!(device.device, 3);
    assert_eq!(alice.linked_devices().len(), 2);
    first.stop().await;
    second.stop().await;
    third.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_device_logged_out_on_the_phone_is_told_so_and_may_not_come_back() {
    let (simulator, alice, _) = two_phones(SimulatorOptions::default()).await;
    let (mut companion, device) = Companion::linked_to(&alice, &simulator).await;
    alice.logs_out(device.device).await.unwrap();
    companion
        .next("to be logged out", |event| {
            matches!(event, Event::LoggedOut(_)).then_some(())
        })
        .await;
    let keys = companion.stop().await;
    let mut again = Companion::start(&simulator, keys, Inbox::Works).await;
    again
        .next("to be refused", |event| {
            matches!(event, Event::LoggedOut(_)).then_some(())
        })
        .await;
    again.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_device_that_logs_itself_out_is_gone() {
    let (simulator, alice, _) = two_phones(SimulatorOptions::default()).await;
    let (companion, _) = Companion::linked_to(&alice, &simulator).await;
    companion.client.logout().await;
    assert_eq!(alice.linked_devices(), []);
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_second_login_of_a_device_replaces_the_first() {
    let (simulator, alice, _) = two_phones(SimulatorOptions::default()).await;
    let (mut first, _) = Companion::linked_to(&alice, &simulator).await;
    let mut second = Companion::start(&simulator, first.keys.clone(), Inbox::Works).await;
    first
        .next("to be replaced", |event| {
            matches!(event, Event::StreamReplaced(_)).then_some(())
        })
        .await;
    second.connected().await;
    first.stop().await;
    second.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_code_typed_on_the_phone_links_the_device_and_a_wrong_one_does_not() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let mut companion = Companion::new(&simulator).await;
    companion.qr().await;
    let options = whatsapp_rust::pair_code::PairCodeOptions {
        phone_number: alice.number().to_owned(),
        ..Default::default()
    };
    let code = companion.client.pair_with_code(options).await.unwrap();
    assert_eq!(
        bob.enters_code(&code).await,
        Err(PairingError::Expired),
        "the code is for another number"
    );
    let device = alice.enters_code(&code).await.unwrap();
    companion.connected().await;
    assert_eq!(alice.linked_devices()[0].device, device.device);
    companion.stop().await;

    let mut other = Companion::new(&simulator).await;
    other.qr().await;
    let options = whatsapp_rust::pair_code::PairCodeOptions {
        phone_number: bob.number().to_owned(),
        ..Default::default()
    };
    let code = other.client.pair_with_code(options).await.unwrap();
    let wrong = if code.starts_with('1') {
        code.replacen('1', "2", 1)
    } else {
        format!("1{}", &code[1..])
    };
    assert_eq!(bob.enters_code(&wrong).await, Err(PairingError::WrongCode));
    assert_eq!(bob.linked_devices(), []);
    other.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_qr_is_good_for_one_scan_and_only_with_its_own_keys() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let mut companion = Companion::new(&simulator).await;
    let qr = companion.qr().await;
    let mut fields: Vec<&str> = qr.split(',').collect();
    fields.swap(1, 2);
    assert_eq!(
        alice.scans_qr(&fields.join(",")).await,
        Err(PairingError::KeyMismatch)
    );
    assert!(matches!(
        alice.scans_qr("https://example.org").await,
        Err(PairingError::InvalidQr(_))
    ));
    alice.scans_qr(&qr).await.unwrap();
    assert_eq!(bob.scans_qr(&qr).await, Err(PairingError::Expired));
    companion.connected().await;
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn references_expire_and_the_server_lets_the_client_go() {
    let options = SimulatorOptions {
        qr_lifetime: Duration::from_millis(300),
        ..SimulatorOptions::default()
    };
    let (simulator, alice, _) = two_phones(options).await;
    let mut companion = Companion::new(&simulator).await;
    let qr = companion.qr().await;
    // It is let go, and comes back by itself, to be given others.
    let is_another = |event: &Event| {
        matches!(event, Event::PairingQrCode(shown) if shown.code != qr).then_some(())
    };
    companion.next("another QR", is_another).await;
    assert_eq!(alice.scans_qr(&qr).await, Err(PairingError::Expired));
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn prekeys_are_uploaded_used_up_and_asked_for_again() {
    let (simulator, alice, _) = two_phones(SimulatorOptions::default()).await;
    let (companion, _) = Companion::linked_to(&alice, &simulator).await;
    let all_there =
        |alice: &wapi_simulator::Phone| (alice.linked_devices()[0].prekeys >= 30).then_some(());
    alice
        .wait_until("thirty prekeys are uploaded", PATIENCE, all_there)
        .await
        .unwrap();
    // Each of these phones opens a session with the device, and so takes one of its prekeys.
    let mut fewest = 30;
    for index in 0..28 {
        let stranger = simulator.add_phone(&format!("Stranger {index}")).unwrap();
        stranger.sends_text(alice.number(), "hello").await.unwrap();
        fewest = fewest.min(alice.linked_devices()[0].prekeys);
    }
    assert!(fewest < 5, "{fewest}");
    alice
        .wait_until("the device has filled them up", PATIENCE, all_there)
        .await
        .unwrap();
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_code_is_given_to_browsers_that_whatsapp_knows_and_for_numbers_that_have_an_account() {
    let (simulator, alice, _) = two_phones(SimulatorOptions::default()).await;
    let asked = [
        (alice.number(), "Chrome (Linux)", "1", true),
        (alice.number(), "Firefox (Mac OS)", "3", true),
        (alice.number(), "Chrome (Acme)", "1", false),
        (alice.number(), "Acme (Linux)", "1", false),
        (alice.number(), "Chrome", "1", false),
        (alice.number(), "Chrome (Linux)", "0", false),
        ("375449999999", "Chrome (Linux)", "1", false),
    ];
    let [noise_key, identity] = [(); 2].map(|()| KeyPair::generate(&mut rand::rng()));
    let mut client =
        StrictClient::connect(&simulator, &noise_key, &registration_of(&identity)).await;
    let leaf =
        |tag: &'static str, bytes: &[u8]| NodeBuilder::new(tag).bytes(bytes.to_vec()).build();
    for (place, (number, display, platform, is_given)) in asked.into_iter().enumerate() {
        let hello = NodeBuilder::new("link_code_companion_reg")
            .attr("jid", Jid::pn(number))
            .attr("stage", "companion_hello")
            .attr("should_show_push_notification", "true")
            .children([
                leaf(
                    "link_code_pairing_wrapped_companion_ephemeral_pub",
                    &[1; 80],
                ),
                leaf("companion_server_auth_key_pub", &key_bytes(&noise_key)),
                leaf("companion_platform_id", platform.as_bytes()),
                leaf("companion_platform_display", display.as_bytes()),
                leaf("link_code_pairing_nonce", &[0]),
            ]);
        let id = format!("hello-{place}");
        let iq = NodeBuilder::new("iq")
            .attr("to", Jid::pn(""))
            .attr("xmlns", "md")
            .attr("type", "set");
        client
            .send(&iq.attr("id", id.as_str()).children([hello.build()]).build())
            .await;
        let answer = loop {
            let stanza = client.stanza().await;
            if word(&stanza, "id") == id {
                break stanza;
            }
        };
        let refused = answer
            .get_optional_child("error")
            .map(|error| word(error, "code"));
        let expected = (!is_given).then(|| "400".to_owned());
        assert_eq!(refused, expected, "{number} {display} {platform}");
    }
    simulator.finish().await.unwrap();
}
