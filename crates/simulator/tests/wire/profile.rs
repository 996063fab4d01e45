//! What accounts show of themselves, and whom they block, as a client of the wire meets it.

use wacore::iq::blocklist::UpdateBlocklistSpec;
use wapi_simulator::SimulatorOptions;
use whatsapp_rust::Jid;
use whatsapp_rust::request::IqError;
use whatsapp_rust::types::events::Event;

use crate::companion::{Companion, two_phones};

fn jid(address: &str) -> Jid {
    address.parse().unwrap()
}

#[tokio::test]
async fn a_name_that_a_device_sets_is_what_others_are_told() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (companion, _) = Companion::linked_to(&alice, &simulator).await;
    let (mut other, _) = Companion::linked_to(&bob, &simulator).await;
    companion
        .client
        .profile()
        .set_push_name("Alicia")
        .await
        .unwrap();
    alice
        .wait_until("she is called so", crate::companion::PATIENCE, |alice| {
            (alice.name() == "Alicia").then_some(())
        })
        .await
        .unwrap();
    alice.sends_text(bob.number(), "hi").await.unwrap();
    other.message().await;
    companion
        .client
        .profile()
        .set_status_text("at the sea")
        .await
        .unwrap();
    let about = other.next("an about text", |event| match event {
        Event::UserAboutUpdate(update) => Some((update.jid.to_string(), update.status.clone())),
        _ => None,
    });
    assert_eq!(about.await, (alice.jid(), "at the sea".to_owned()));
    companion.stop().await;
    other.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn pictures_must_be_jpegs_and_those_who_are_blocked_be_named_by_both_addresses() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (companion, _) = Companion::linked_to(&alice, &simulator).await;
    companion
        .client
        .profile()
        .set_profile_picture(b"no picture".to_vec())
        .await
        .unwrap_err();
    assert_eq!(alice.picture(), None);
    for half in [
        UpdateBlocklistSpec::block(&jid(&bob.jid())),
        UpdateBlocklistSpec::block(&jid(&bob.lid())),
    ] {
        let refused = companion.client.execute(half).await.unwrap_err();
        assert!(
            matches!(refused, IqError::ServerError { code: 400, .. }),
            "{refused}"
        );
    }
    let whole = UpdateBlocklistSpec::block_with_pn(&jid(&bob.lid()), &jid(&bob.jid()));
    companion.client.execute(whole).await.unwrap();
    let listed = companion.client.blocking().get_blocklist().await.unwrap();
    assert_eq!(
        (alice.blocked_numbers(), listed[0].jid.to_string()),
        (vec![bob.number().to_owned()], bob.lid())
    );
    companion.stop().await;
    simulator.finish().await.unwrap();
}
