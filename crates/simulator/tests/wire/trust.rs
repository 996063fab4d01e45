//! Tokens that accounts give each other, what they open, and accounts that may start no new chats.

use std::time::{SystemTime, UNIX_EPOCH};

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wapi_simulator::{
    AccountRestriction, Addressing, Audience, Author, HistoryMessage, NewChatCap, Phone, Simulator,
    SimulatorOptions,
};
use whatsapp_rust::Jid;
use whatsapp_rust::types::events::Event;

use crate::companion::{Companion, PATIENCE, two_phones};
use crate::raw::{RawDevice, content, word};

fn jid(address: &str) -> Jid {
    address.parse().unwrap()
}

fn now() -> u64 {
    SystemTime::now()
        .duration_since(UNIX_EPOCH)
        .unwrap()
        .as_secs()
}

/// For an hour.
fn no_new_chats() -> AccountRestriction {
    AccountRestriction::NewChats {
        until: now() + 3600,
    }
}

/// The code a message without words, to nobody's device, is refused with; empty when it is taken.
async fn refused(device: &mut RawDevice, to: &Phone, shown: &[(&'static str, Vec<u8>)]) -> String {
    let shown = shown
        .iter()
        .map(|(tag, bytes)| NodeBuilder::new(tag).bytes(bytes.clone()).build());
    word(
        &device.writes_showing(jid(&to.lid()), shown.collect()).await,
        "error",
    )
}

/// What a phone's notification says of the token it gave.
fn token(notification: &Node) -> (Vec<u8>, String) {
    let token = notification
        .get_optional_child_by_tag(&["tokens", "token"])
        .unwrap();
    assert_eq!(word(token, "type"), "trusted_contact");
    (content(token), word(token, "jid"))
}

async fn trio() -> (Simulator, [Phone; 3]) {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let carol = simulator.add_phone("Carol").unwrap();
    (simulator, [alice, bob, carol])
}

#[tokio::test]
async fn a_capped_account_writes_to_so_many_new_contacts_and_is_told_on_the_way() {
    let (simulator, [alice, bob, carol]) = trio().await;
    let mut device = RawDevice::linked_to(&alice, &simulator).await;
    let cap = NewChatCap {
        total: 2,
        used: 0,
        from: now() - 10,
        until: now() + 3600,
    };
    alice.gets_cap(Some(cap));
    let told = async |device: &mut RawDevice| {
        let news = device.notification("mex").await;
        let update = news.get_optional_child("update").unwrap();
        assert_eq!(word(update, "op_name"), "MessageCappingInfoNotification");
        let body: serde_json::Value = serde_json::from_slice(&content(update)).unwrap();
        let cap = &body["data"]["xwa2_notify_new_chat_messages_capping_info_update"];
        (cap["capping_status"].clone(), cap["used_quota"].clone())
    };
    assert_eq!(told(&mut device).await, ("NONE".into(), 0.into()));
    assert_eq!(refused(&mut device, &bob, &[]).await, "");
    assert_eq!(told(&mut device).await, ("FIRST_WARNING".into(), 1.into()));
    assert_eq!(refused(&mut device, &carol, &[]).await, "");
    assert_eq!(told(&mut device).await, ("CAPPED".into(), 2.into()));
    assert_eq!(refused(&mut device, &bob, &[]).await, "463");
    bob.gives_token_to(alice.number()).unwrap();
    let (token, _) = token(&device.notification("privacy_token").await);
    let shown = [("tctoken", token)];
    assert_eq!(refused(&mut device, &bob, &shown).await, "");
    let used = alice.current_cap().map(|cap| cap.used);
    assert_eq!((used, alice.refused_messages()), (Some(2), 1));
    alice.gets_cap(None);
    assert_eq!(refused(&mut device, &carol, &[]).await, "");
}

#[tokio::test]
async fn a_restricted_account_writes_only_to_those_whose_token_it_shows() {
    let (simulator, [alice, bob, carol]) = trio().await;
    let mut device = RawDevice::linked_to(&alice, &simulator).await;
    assert_eq!(refused(&mut device, &bob, &[]).await, "");
    let until = now() + 3600;
    alice.gets_restriction(AccountRestriction::NewChats { until });
    let news = device.notification("mex").await;
    let update = news.get_optional_child("update").unwrap();
    assert_eq!(
        word(update, "op_name"),
        "NotificationUserReachoutTimelockUpdate"
    );
    let said = String::from_utf8(content(update)).unwrap();
    assert!(
        said.contains(r#""is_active":true"#) && said.contains(&until.to_string()),
        "{said}"
    );

    assert_eq!(refused(&mut device, &bob, &[]).await, "463");
    assert_eq!(
        refused(&mut device, &bob, &[("tctoken", vec![1; 20])]).await,
        "463"
    );
    alice
        .sends_text(bob.number(), "its phone, too")
        .await
        .unwrap_err();
    bob.sends_text(alice.number(), "hi").await.unwrap();
    carol.sends_text(alice.number(), "hi").await.unwrap();
    let (bobs, to) = token(&device.notification("privacy_token").await);
    let (carols, _) = token(&device.notification("privacy_token").await);
    assert_eq!(
        (to, alice.token_from(bob.number()).unwrap()),
        (alice.jid(), Some(bobs.clone()))
    );
    // One's own token is no key to another's door, nor is one that was made of the account's own salt.
    assert_eq!(
        refused(&mut device, &bob, &[("tctoken", carols)]).await,
        "463"
    );
    assert_eq!(
        refused(&mut device, &bob, &[("cstoken", own_token(&alice, &bob))]).await,
        "463"
    );
    assert_eq!(
        refused(&mut device, &bob, &[("tctoken", bobs.clone())]).await,
        ""
    );
    let mut bobs_device = RawDevice::linked_to(&bob, &simulator).await;
    bob.gets_restriction(no_new_chats());
    assert_eq!(
        refused(&mut bobs_device, &alice, &[("tctoken", bobs)]).await,
        "463"
    );
    alice.sends_text(bob.number(), "now it may").await.unwrap();

    alice.gets_restriction(AccountRestriction::NewChats { until: now() - 1 });
    assert_eq!(refused(&mut device, &bob, &[]).await, "");
    simulator.finish().await.unwrap();
}

/// What a client makes of its account's salt for somebody who gave it no token.
fn own_token(of: &Phone, to: &Phone) -> Vec<u8> {
    wacore::iq::tctoken::compute_cs_token(&of.token_salt().unwrap(), &to.lid())
}

#[tokio::test]
async fn where_a_proof_is_asked_for_the_accounts_own_salt_is_one() {
    let (simulator, [alice, bob, carol]) = trio().await;
    let mut device = RawDevice::linked_to(&alice, &simulator).await;
    alice.gets_restriction(AccountRestriction::Unproven);
    assert_eq!(refused(&mut device, &bob, &[]).await, "463");
    assert_eq!(
        refused(&mut device, &bob, &[("cstoken", own_token(&alice, &carol))]).await,
        "463"
    );
    assert_eq!(
        refused(&mut device, &bob, &[("cstoken", own_token(&alice, &bob))]).await,
        ""
    );
    bob.sends_text(alice.number(), "hi").await.unwrap();
    let (bobs, _) = token(&device.notification("privacy_token").await);
    assert_eq!(refused(&mut device, &bob, &[("tctoken", bobs)]).await, "");
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_token_is_told_to_the_devices_of_both_sides_under_the_names_they_know() {
    let (simulator, [alice, bob, _]) = trio().await;
    bob.uses_addressing(Addressing::Lid);
    let mut device = RawDevice::linked_to(&alice, &simulator).await;
    let mut sibling = RawDevice::linked_to(&alice, &simulator).await;
    let mut theirs = RawDevice::linked_to(&bob, &simulator).await;
    let give = |to: String, kind: &str| {
        let token = NodeBuilder::new("token")
            .attr("jid", jid(&to))
            .attr("t", now().to_string())
            .attr("type", kind);
        NodeBuilder::new("tokens").children([token.build()]).build()
    };
    let answer = device
        .ask("privacy", "set", [give(bob.lid(), "trusted_contact")])
        .await;
    // The token is not for whoever gives it.
    assert_eq!(
        (word(&answer, "type"), answer.children()),
        ("result".to_owned(), None)
    );
    let told = theirs.notification("privacy_token").await;
    assert_eq!(
        [word(&told, "from"), word(&told, "sender_lid")],
        [alice.lid(), alice.lid()]
    );
    let (bytes, holder) = token(&told);
    assert_eq!(
        (holder, bob.token_from(alice.number()).unwrap()),
        (bob.lid(), Some(bytes.clone()))
    );
    let told = sibling.notification("privacy_token").await;
    assert_eq!(
        [word(&told, "from"), word(&told, "sender_lid")],
        [alice.jid(), alice.lid()]
    );
    assert_eq!(token(&told), (bytes.clone(), bob.jid()));
    // Given once more in the same week it is the same.
    device
        .ask("privacy", "set", [give(bob.jid(), "trusted_contact")])
        .await;
    assert_eq!(token(&theirs.notification("privacy_token").await).0, bytes);
    let answer = device
        .ask("privacy", "set", [give(bob.lid(), "something_else")])
        .await;
    assert_eq!(word(&answer, "type"), "error");
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn tokens_are_renewed_in_time_and_old_ones_open_nothing() {
    let (simulator, [alice, bob, _]) = trio().await;
    let mut device = RawDevice::linked_to(&alice, &simulator).await;
    bob.sets_property(996, Some("1"));
    bob.sends_text(alice.number(), "hi").await.unwrap();
    let (first, _) = token(&device.notification("privacy_token").await);
    alice.gets_restriction(no_new_chats());
    assert_eq!(
        refused(&mut device, &bob, &[("tctoken", first.clone())]).await,
        ""
    );
    let newest = || alice.token_from(bob.number()).unwrap().unwrap();
    while newest() == first {
        bob.sends_text(alice.number(), "and again").await.unwrap();
    }
    // The one before it holds until it is too old.
    assert_eq!(
        refused(&mut device, &bob, &[("tctoken", first.clone())]).await,
        ""
    );
    alice.sets_property(865, Some("1"));
    alice.sets_property(909, Some("1"));
    while refused(&mut device, &bob, &[("tctoken", first.clone())])
        .await
        .is_empty()
    {}
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn pictures_and_presence_that_are_for_those_who_are_trusted_open_by_a_token() {
    let (simulator, [alice, bob, _]) = trio().await;
    let (mut companion, _) = Companion::linked_to(&bob, &simulator).await;
    let picture = image::RgbImage::new(8, 8);
    let mut jpeg = std::io::Cursor::new(Vec::new());
    picture
        .write_to(&mut jpeg, image::ImageFormat::Jpeg)
        .unwrap();
    alice.shows_picture(jpeg.into_inner()).unwrap();
    alice.shows_picture_to(Audience::Trusted);
    alice.shows_presence_to(Audience::Trusted);
    let address = jid(&alice.jid());
    assert!(
        companion
            .client
            .contacts()
            .get_profile_picture(&address, false)
            .await
            .unwrap()
            .is_none()
    );
    companion
        .client
        .presence()
        .subscribe(&address)
        .await
        .unwrap();
    alice.sets_presence(true);
    assert!(!companion.has_seen(|event| matches!(event, Event::Presence(_))));

    // She writes, and the engine asks again with the token she gave.
    alice.sends_text(bob.number(), "hi").await.unwrap();
    let presence = companion.next("her presence", |event| match event {
        Event::Presence(presence) => Some((presence.from.to_string(), presence.unavailable)),
        _ => None,
    });
    assert_eq!(presence.await, (alice.jid(), false));
    assert!(
        companion
            .client
            .contacts()
            .get_profile_picture(&address, false)
            .await
            .unwrap()
            .is_some()
    );
    alice.shows_picture_to(Audience::Nobody);
    assert!(
        companion
            .client
            .contacts()
            .get_profile_picture(&address, false)
            .await
            .unwrap()
            .is_none()
    );
    companion.stop().await;
    simulator.finish().await.unwrap();
}

#[tokio::test]
async fn a_device_learns_the_salt_from_the_app_state_and_from_the_history() {
    for (in_history, in_app_state) in [("0", "1"), ("1", "0")] {
        let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
        alice.sets_property(25_189, Some(in_history));
        alice.sets_property(25_253, Some(in_app_state));
        alice
            .remembers_chat(
                bob.number(),
                vec![HistoryMessage::new_text("OLD", Author::Me, now() - 60, "n")],
            )
            .unwrap();
        let mut companion = Companion::downloading(&simulator).await;
        alice.scans_qr(&companion.qr().await).await.unwrap();
        companion.connected().await;
        let salt = alice.token_salt().unwrap().to_vec();
        let learnt = companion.learns("the salt", |client| {
            let device = client.persistence_manager().get_device_snapshot();
            device.nct_salt.clone()
        });
        assert_eq!(learnt.await, salt);
        alice.gets_restriction(AccountRestriction::Unproven);
        companion.sends_text(&bob, "a first word").await;
        assert_eq!(
            bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
            Some("a first word")
        );
        companion.stop().await;
        simulator.finish().await.unwrap();
    }
}

#[tokio::test]
async fn the_history_brings_the_tokens_of_its_chats() {
    let (simulator, [alice, bob, carol]) = trio().await;
    let past =
        |author, age| HistoryMessage::new_text(&format!("OLD{age}"), author, now() - age, "n");
    alice
        .remembers_chat(
            bob.number(),
            vec![past(Author::Me, 120), past(Author::Them, 60)],
        )
        .unwrap();
    // So long ago that its token opens nothing.
    alice
        .remembers_chat(carol.number(), vec![past(Author::Them, 400 * 86_400)])
        .unwrap();
    let mut companion = Companion::downloading(&simulator).await;
    alice.scans_qr(&companion.qr().await).await.unwrap();
    let chats = companion.next("the history", |event| match event {
        Event::HistorySync(part) => {
            Some(part.get().expect("it is a history").conversations.clone())
        }
        _ => None,
    });
    let tokens: Vec<_> = chats
        .await
        .into_iter()
        .map(|chat| {
            (
                chat.tc_token,
                chat.tc_token_timestamp.is_some(),
                chat.tc_token_sender_timestamp.is_some(),
            )
        })
        .collect();
    let bobs = alice.token_from(bob.number()).unwrap();
    assert!(bobs.is_some());
    assert_eq!(tokens, [(bobs, true, true), (None, false, false)]);
    companion.connected().await;
    alice.gets_restriction(no_new_chats());
    companion.sends_text(&bob, "as ever").await;
    assert_eq!(
        bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
        Some("as ever")
    );
    companion.stop().await;
    simulator.finish().await.unwrap();
}
