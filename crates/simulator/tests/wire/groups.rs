//! Groups as a linked device of the engine lives in them: what it is told, what it opens, what it sends, and what others say of that.

use wacore::iq::groups::GroupSubject;
use wapi_simulator::{Addressing, GroupRole, Phone, Simulator, SimulatorOptions};
use whatsapp_rust::Jid;
use whatsapp_rust::types::events::Event;

use crate::companion::{Companion, PATIENCE, two_phones};

/// Alice with a linked device, Bob and Carol with their phones only, and a group of the three that names its members so.
async fn three_in_a_group(addressing: Addressing) -> (Simulator, [Phone; 3], Companion, String) {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let carol = simulator.add_phone("Carol").unwrap();
    let (companion, _) = Companion::linked_to(&alice, &simulator).await;
    let group = bob
        .creates_group_addressed("club", &[&alice, &carol], addressing)
        .unwrap();
    (simulator, [alice, bob, carol], companion, group)
}

async fn says(companion: &Companion, group: &str, text: &str) -> String {
    let to: Jid = group.parse().unwrap();
    companion
        .client
        .send_text(to, text)
        .await
        .unwrap()
        .message_id
        .to_string()
}

/// The next change of a group, as the engine names it.
async fn change(companion: &mut Companion) -> String {
    companion
        .next("a change of the group", |event| match event {
            Event::GroupUpdate(update) => Some(update.action.tag_name().to_owned()),
            _ => None,
        })
        .await
}

#[tokio::test]
async fn a_group_message_reaches_every_phone_and_device_and_the_answer_comes_back() {
    for addressing in [Addressing::PhoneNumber, Addressing::Lid] {
        let (simulator, [alice, bob, carol], mut companion, group) =
            three_in_a_group(addressing).await;
        for round in 0..3 {
            let text = format!("hello {round}");
            bob.sends_text(&group, &text).await.unwrap();
            let message = companion.message().await;
            assert_eq!(message.text, text);
            assert_eq!(
                message.sender.ends_with("@lid"),
                addressing == Addressing::Lid,
                "{}",
                message.sender
            );
            assert!(message.sender_alt.is_some(), "both addresses are known");
            assert_eq!(carol.next_message(PATIENCE).await.unwrap().chat, group);
            alice.next_message(PATIENCE).await.unwrap();

            let text = format!("answer {round}");
            says(&companion, &group, &text).await;
            for phone in [&alice, &bob, &carol] {
                let message = phone.next_message(PATIENCE).await.unwrap();
                assert_eq!(
                    (message.text.as_deref(), message.chat.as_str()),
                    (Some(text.as_str()), group.as_str())
                );
                assert_eq!(
                    (message.from.as_str(), message.from_device),
                    (alice.jid().as_str(), 1)
                );
                assert_eq!(message.from_me, phone.number() == alice.number());
            }
        }
        companion.stop().await;
        simulator.finish().await.unwrap();
    }
}

#[tokio::test]
async fn each_member_confirms_for_itself() {
    let (simulator, [_, bob, carol], mut companion, group) =
        three_in_a_group(Addressing::Lid).await;
    let id = says(&companion, &group, "read me").await;
    for phone in [&bob, &carol] {
        phone.next_message(PATIENCE).await.unwrap();
    }
    carol
        .reads_messages(&group, std::slice::from_ref(&id))
        .unwrap();
    let mut seen = Vec::new();
    while seen.len() < 3 {
        let receipt = companion
            .next("a receipt", |event| match event {
                Event::Receipt(receipt) => Some(receipt.clone()),
                _ => None,
            })
            .await;
        assert_eq!(receipt.source.chat.to_string(), group);
        assert!(
            receipt.source.sender_alt.is_some(),
            "both addresses are known"
        );
        seen.push((
            receipt.source.sender.to_string(),
            format!("{:?}", receipt.r#type),
        ));
    }
    seen.sort();
    let said = |phone: &Phone, what: &str| (phone.lid(), what.to_owned());
    assert_eq!(
        seen,
        [
            said(&bob, "Delivered"),
            said(&carol, "Delivered"),
            said(&carol, "Read")
        ]
    );
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn what_cannot_be_opened_is_asked_for_again_in_both_directions() {
    let (simulator, [_, bob, carol], mut companion, group) =
        three_in_a_group(Addressing::Lid).await;
    says(&companion, &group, "first").await;
    bob.next_message(PATIENCE).await.unwrap();
    carol.next_message(PATIENCE).await.unwrap();
    carol.loses_keys_of(&group);
    says(&companion, &group, "second").await;
    assert_eq!(
        bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
        Some("second")
    );
    assert_eq!(
        carol.next_message(PATIENCE).await.unwrap().text.as_deref(),
        Some("second")
    );
    assert_eq!(carol.failures().len(), 1, "it could not be opened at first");
    // The phones' own way of sending again.
    bob.sends_text(&group, "third").await.unwrap();
    assert_eq!(companion.message().await.text, "third");
    assert_eq!(
        carol.next_message(PATIENCE).await.unwrap().text.as_deref(),
        Some("third")
    );
    carol.loses_keys_of(&group);
    bob.sends_text(&group, "fourth").await.unwrap();
    assert_eq!(
        carol.next_message(PATIENCE).await.unwrap().text.as_deref(),
        Some("fourth")
    );
    assert_eq!(carol.failures().len(), 2);
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn whoever_is_removed_opens_nothing_more_and_whoever_is_added_opens_what_comes() {
    let (simulator, [_, bob, carol], mut companion, group) =
        three_in_a_group(Addressing::Lid).await;
    assert_eq!(change(&mut companion).await, "create");
    let dave = simulator.add_phone("Dave").unwrap();
    says(&companion, &group, "before").await;
    bob.next_message(PATIENCE).await.unwrap();
    carol.next_message(PATIENCE).await.unwrap();
    bob.adds_members(&group, &[&dave]).unwrap();
    assert_eq!(change(&mut companion).await, "add");
    bob.removes_members(&group, &[&carol]).unwrap();
    assert_eq!(change(&mut companion).await, "remove");
    bob.renames_group(&group, "new club").unwrap();
    assert_eq!(change(&mut companion).await, "subject");
    bob.describes_group(&group, Some("for all")).unwrap();
    assert_eq!(change(&mut companion).await, "description");
    bob.promotes_members(&group, &[&dave]).unwrap();
    assert_eq!(change(&mut companion).await, "promote");
    says(&companion, &group, "after").await;
    assert_eq!(
        dave.next_message(PATIENCE).await.unwrap().text.as_deref(),
        Some("after")
    );
    assert_eq!(
        bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
        Some("after")
    );
    bob.sends_text(&group, "from a phone").await.unwrap();
    assert_eq!(
        dave.next_message(PATIENCE).await.unwrap().text.as_deref(),
        Some("from a phone")
    );
    assert_eq!(carol.received_messages().len(), 1, "she was removed");
    assert!(carol.sends_text(&group, "hello?").await.is_err());
    assert_eq!(dave.groups()[0].subject, "new club");
    assert_eq!(
        dave.groups()[0]
            .members
            .iter()
            .filter(|member| member.role == GroupRole::Admin)
            .count(),
        1
    );
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_device_reads_the_groups_it_is_in_and_changes_them() {
    let (simulator, [alice, bob, _], companion, group) = three_in_a_group(Addressing::Lid).await;
    let jid: Jid = group.parse().unwrap();
    let groups = companion.client.groups();
    let info = groups.get_metadata(&jid).await.unwrap();
    assert_eq!(
        (info.subject.as_str(), info.participants.len()),
        ("club", 3)
    );
    let all = groups.get_participating().await.unwrap();
    assert_eq!(all.len(), 1);
    groups
        .set_subject(&jid, GroupSubject::new("renamed").unwrap())
        .await
        .unwrap();
    assert_eq!(bob.groups()[0].subject, "renamed");
    groups.leave(&jid).await.unwrap();
    assert!(alice.groups().is_empty());
    assert!(
        groups.get_metadata(&jid).await.is_err(),
        "who is not in it may not look"
    );
    companion.stop().await;
    simulator.finish().await.unwrap();
}
