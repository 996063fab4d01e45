//! Everything the simulator signs or authenticates is made wrong in turn, and the engine must refuse it. (The Noise certificates, which
//! the engine of these tests does not check, are judged in `strict`; the key index list, which no client checks, in `adv`.)

use wapi_simulator::{Corruption, PairingError, Phone, Simulator, SimulatorOptions};
use whatsapp_rust::types::events::Event;

use crate::companion::{Companion, two_phones};

async fn pairing_under(corruption: Corruption) -> (u16, String) {
    let (simulator, alice, _) = two_phones(SimulatorOptions {
        corruption: Some(corruption),
        ..SimulatorOptions::default()
    })
    .await;
    let mut companion = Companion::new(&simulator).await;
    let qr = companion.qr().await;
    let refused = alice.scans_qr(&qr).await.unwrap_err();
    assert_eq!(alice.linked_devices(), [], "nothing is linked");
    companion.stop().await;
    simulator.finish().await.unwrap();
    match refused {
        PairingError::Refused { code, text } => (code, text),
        other => panic!("the engine did not refuse the pairing: {other:?}"),
    }
}

#[tokio::test]
async fn a_wrong_hmac_over_the_device_identity_is_refused() {
    assert_eq!(
        pairing_under(Corruption::PairingHmac).await,
        (401, "hmac-mismatch".to_owned())
    );
}

#[tokio::test]
async fn a_wrong_account_signature_is_refused() {
    assert_eq!(
        pairing_under(Corruption::AccountSignature).await,
        (401, "signature-mismatch".to_owned())
    );
}

/// A device sends to a phone whose bundle is corrupted; returns what the phone got.
async fn sent_under(corruption: Corruption) -> usize {
    let (simulator, alice, bob) = two_phones(SimulatorOptions {
        corruption: Some(corruption),
        ..SimulatorOptions::default()
    })
    .await;
    let (mut companion, _) = Companion::linked_to(&alice, &simulator).await;
    let to: whatsapp_rust::Jid = bob.jid().parse().unwrap();
    if let Ok(sent) = companion
        .client
        .send_text(to, "not under a forged key")
        .await
    {
        // The engine has sent what it could encrypt; once that is acknowledged it has also arrived.
        companion
            .next("the ack", |event| match event {
                Event::ServerAck(ack) if ack.id == sent.message_id => Some(()),
                _ => None,
            })
            .await;
    }
    let received = seen(&bob);
    companion.stop().await;
    simulator.finish().await.unwrap();
    received
}

fn seen(phone: &Phone) -> usize {
    phone.received_messages().len() + phone.failures().len()
}

#[tokio::test]
async fn nothing_is_encrypted_for_a_bundle_with_a_wrong_signature() {
    assert_eq!(sent_under(Corruption::SignedPreKeySignature).await, 0);
}

#[tokio::test]
async fn nothing_is_encrypted_for_a_bundle_with_another_identity_key() {
    assert_eq!(sent_under(Corruption::PhoneIdentityKey).await, 0);
}

#[tokio::test]
async fn a_leaf_certificate_for_another_key_is_refused_even_by_a_client_that_skips_signatures() {
    let options = SimulatorOptions {
        corruption: Some(Corruption::NoiseLeafKey),
        ..SimulatorOptions::default()
    };
    let simulator = Simulator::start(options).await.unwrap();
    let companion = Companion::new(&simulator).await;
    let error = companion
        .client
        .wait_for_socket(std::time::Duration::from_millis(1500))
        .await;
    assert!(
        error.is_err(),
        "the engine accepted a certificate for another key"
    );
    companion.stop().await;
    simulator.finish().await.unwrap();
}
