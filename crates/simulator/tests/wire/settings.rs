//! App state: what a phone and the devices linked to it write about chats and contacts, for each other.

use wapi_simulator::{Author, KeyShare, SimulatorOptions};
use whatsapp_rust::Jid;
use whatsapp_rust::types::events::Event;

use crate::companion::{Companion, two_phones};

fn jid(address: &str) -> Jid {
    address.parse().unwrap()
}

#[tokio::test]
async fn what_a_phone_does_to_chats_reaches_its_devices() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (mut companion, _) = Companion::linked_to(&alice, &simulator).await;
    alice.archives_chat(bob.number(), true).unwrap();
    let archived = companion.next("an archived chat", |event| match event {
        Event::ArchiveUpdate(update) => Some((update.jid.to_string(), update.action.archived)),
        _ => None,
    });
    assert_eq!(archived.await, (bob.jid(), Some(true)));
    alice
        .mutes_chat(bob.number(), Some(1_900_000_000_000))
        .unwrap();
    let muted = companion.next("a muted chat", |event| match event {
        Event::MuteUpdate(update) => Some((update.action.muted, update.action.mute_end_timestamp)),
        _ => None,
    });
    assert_eq!(muted.await, (Some(true), Some(1_900_000_000_000)));
    alice.names_contact(bob.number(), "Bob Brown").unwrap();
    let named = companion.next("a contact", |event| match event {
        Event::ContactUpdate(update) => {
            Some((update.jid.to_string(), update.action.full_name.clone()))
        }
        _ => None,
    });
    assert_eq!(named.await, (bob.jid(), Some("Bob Brown".to_owned())));
    let theirs = bob.sends_text(alice.number(), "hi").await.unwrap();
    companion.message().await;
    alice
        .stars_message(bob.number(), &theirs, Author::Them, true)
        .unwrap();
    let starred = companion.next("a star", |event| match event {
        Event::StarUpdate(update) => Some((
            update.message_id.clone(),
            update.from_me,
            update.action.starred,
        )),
        _ => None,
    });
    assert_eq!(starred.await, (theirs, false, Some(true)));
    alice.sets_push_name("Alicia").unwrap();
    let renamed = companion.next("a new push name", |event| match event {
        Event::SelfPushNameUpdated(update) => {
            Some(update.new_name.clone()).filter(|name| name == "Alicia")
        }
        _ => None,
    });
    renamed.await;
    alice.deletes_chat(bob.number()).unwrap();
    companion
        .next("a deleted chat", |event| {
            matches!(event, Event::DeleteChatUpdate(_)).then_some(())
        })
        .await;
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_device_in_conflict_takes_what_it_lacks_and_writes_again() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (mut one, _) = Companion::linked_to(&alice, &simulator).await;
    let (two, device) = Companion::linked_to(&alice, &simulator).await;
    two.client
        .chat_actions()
        .pin_chat(&jid(&bob.jid()))
        .await
        .unwrap();
    one.next("a pinned chat", |event| {
        matches!(event, Event::PinUpdate(_)).then_some(())
    })
    .await;
    // The second device hears nothing of what comes now, so what it knows is old. More than one answer holds.
    simulator
        .faults()
        .deafen_device(alice.number(), device.device)
        .unwrap();
    for archived in [true, false, true, false, true, false, true] {
        alice.archives_chat(bob.number(), archived).unwrap();
    }
    two.client
        .chat_actions()
        .mark_chat_as_read(&jid(&bob.jid()), false, None)
        .await
        .unwrap();
    let settings = alice.chat_settings(bob.number()).unwrap();
    assert!(
        settings.archived && settings.pinned && settings.unread,
        "{settings:?}"
    );
    let unread = one.next("an unread chat", |event| match event {
        Event::MarkChatAsReadUpdate(update) => Some(update.action.read),
        _ => None,
    });
    assert_eq!(unread.await, Some(false));
    one.stop().await;
    two.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_new_key_is_shared_or_asked_for() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (mut companion, _) = Companion::linked_to(&alice, &simulator).await;
    alice.names_contact(bob.number(), "Bob").unwrap();
    for (share, name) in [
        (KeyShare::Now, "Bob Brown"),
        (KeyShare::OnRequest, "Robert Brown"),
    ] {
        alice.renews_app_state_key(share).unwrap();
        alice.names_contact(bob.number(), name).unwrap();
        let named = companion.next(name, |event| match event {
            Event::ContactUpdate(update) => update
                .action
                .full_name
                .clone()
                .filter(|known| known == name),
            _ => None,
        });
        named.await;
    }
    // Under each new key it is written anew, and removed from under the older one.
    assert_eq!(
        alice
            .app_state_writes("critical_unblock_low")
            .unwrap()
            .len(),
        3 + 2
    );
    companion
        .client
        .chat_actions()
        .save_contact(&jid(&bob.jid()), Some("Rob".into()), None, false)
        .await
        .unwrap();
    assert_eq!(
        alice.contact_name(bob.number()).unwrap().as_deref(),
        Some("Rob")
    );
    alice.forgets_contact(bob.number()).unwrap();
    assert_eq!(alice.contact_name(bob.number()).unwrap(), None);
    alice.pins_chat(bob.number(), true).unwrap();
    companion
        .next("a pinned chat", |event| {
            matches!(event, Event::PinUpdate(_)).then_some(())
        })
        .await;
    companion.stop().await;
    simulator.finish().await.unwrap();
}
