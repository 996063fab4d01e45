//! History: what a phone tells a device it has linked of the time before.

use std::collections::BTreeMap;

use wapi_simulator::{Author, HistoryMessage, Phone, SimulatorOptions};
use whatsapp_rust::types::events::Event;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::history_sync::HistorySyncType;

use crate::companion::{Companion, two_phones};

/// When the first of these messages was written, in seconds since 1970.
const LONG_AGO: u64 = 1_700_000_000;

fn past(count: u64) -> Vec<HistoryMessage> {
    let author = |index| {
        if index % 2 == 0 {
            Author::Me
        } else {
            Author::Them
        }
    };
    let message = |index| {
        HistoryMessage::new_text(
            &format!("OLD{index}"),
            author(index),
            LONG_AGO + index,
            &format!("n{index}"),
        )
    };
    (0..count).map(message).collect()
}

/// So many parts of the past that a device is told, each with how far it is; the engine takes in several at a time.
async fn parts(companion: &mut Companion, count: usize) -> Vec<(wa::HistorySync, Option<u32>)> {
    let mut parts = Vec::new();
    while parts.len() < count {
        let part = companion.next("a part of the history", |event| match event {
            Event::HistorySync(part) => Some((
                part.get().expect("it is a history").clone(),
                part.progress(),
            )),
            _ => None,
        });
        parts.push(part.await);
    }
    let rank = |kind| {
        [
            HistorySyncType::INITIAL_BOOTSTRAP,
            HistorySyncType::PUSH_NAME,
        ]
        .iter()
        .position(|it| *it == kind)
    };
    parts.sort_by_key(|(part, _)| (rank(part.sync_type).unwrap_or(2), part.chunk_order));
    parts
}

fn texts(part: &wa::HistorySync) -> BTreeMap<u64, String> {
    let messages = part
        .conversations
        .iter()
        .flat_map(|chat| &chat.messages)
        .map(|message| &message.message);
    let text = |info: &wa::WebMessageInfo| info.message.conversation.clone().unwrap_or_default();
    messages
        .map(|info| (info.message_timestamp.unwrap_or(0), text(info)))
        .collect()
}

#[tokio::test]
async fn a_linked_device_is_told_of_chats_names_and_older_messages() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let carol = simulator.add_phone("Carol").unwrap();
    let group = bob.creates_group("club", &[&alice, &carol]).unwrap();
    let in_group = HistoryMessage {
        from: Some(carol.number().to_owned()),
        ..past(2).remove(1)
    };
    alice.remembers_chat(bob.number(), past(121)).unwrap();
    alice.remembers_chat(&group, vec![in_group]).unwrap();
    alice.archives_chat(bob.number(), true).unwrap();
    alice.names_contact(bob.number(), "Bob Brown").unwrap();

    let mut companion = Companion::downloading(&simulator).await;
    alice.scans_qr(&companion.qr().await).await.unwrap();
    let parts = parts(&mut companion, 5).await;
    let [(first, _), (names, _), recent @ ..] = &parts[..] else {
        panic!("{parts:#?}")
    };
    assert_eq!(first.sync_type, HistorySyncType::INITIAL_BOOTSTRAP);
    let chats: Vec<_> = first
        .conversations
        .iter()
        .map(|chat| (chat.id.as_str(), chat.name.as_deref()))
        .collect();
    assert_eq!(chats, [(&*bob.jid(), Some("Bob Brown")), (&*group, None)]);
    assert_eq!(
        (
            first.conversations[0].archived,
            first.conversations[1].archived
        ),
        (Some(true), Some(false))
    );
    let info = |chat: usize| {
        first.conversations[chat].messages[0]
            .message
            .as_option()
            .unwrap()
    };
    assert_eq!(
        (info(0).key.id.as_deref(), info(0).key.from_me),
        (Some("OLD120"), Some(true))
    );
    assert_eq!(info(1).participant, Some(carol.jid()));
    let mapping = |phone: &Phone| (Some(phone.jid()), Some(phone.lid()));
    let mappings = first
        .phone_number_to_lid_mappings
        .iter()
        .map(|it| (it.pn_jid.clone(), it.lid_jid.clone()));
    assert_eq!(
        mappings.collect::<Vec<_>>(),
        [mapping(&bob), mapping(&carol)]
    );

    assert_eq!(names.sync_type, HistorySyncType::PUSH_NAME);
    let names: Vec<_> = names
        .pushnames
        .iter()
        .map(|it| (it.id.clone().unwrap(), it.pushname.clone().unwrap()))
        .collect();
    assert_eq!(
        names,
        [
            (bob.jid(), "Bob".to_owned()),
            (carol.jid(), "Carol".to_owned())
        ]
    );
    let mut older = BTreeMap::new();
    for ((recent, said), (order, progress)) in recent.iter().zip([(1, 33), (2, 66), (3, 100)]) {
        assert_eq!(
            (recent.sync_type, recent.chunk_order, *said),
            (HistorySyncType::RECENT, Some(order), Some(progress))
        );
        older.extend(texts(recent));
    }
    let expected: BTreeMap<_, _> = (0..120)
        .map(|index| (LONG_AGO + index, format!("n{index}")))
        .collect();
    assert_eq!(older, expected);
    companion.stop().await;
    simulator.finish().await.unwrap();
}
