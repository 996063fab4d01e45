//! What a phone hands to its account's devices when they ask for it.

use std::sync::Arc;

use wapi_simulator::{Author, HistoryMessage, Phone, SimulatorOptions};
use waproto::buffa::{Message, MessageField};
use waproto::whatsapp as wa;
use waproto::whatsapp::history_sync::HistorySyncType;
use waproto::whatsapp::message::PeerDataOperationRequestType as Asked;
use waproto::whatsapp::message::peer_data_operation_request_message::SyncDCollectionFatalRecoveryRequest;
use whatsapp_rust::Jid;
use whatsapp_rust::types::events::Event;
use whatsapp_rust::types::message::{MessageInfo, MessageSource};

use crate::companion::{Companion, PATIENCE, two_phones};

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

/// The messages of a part that a device asked for, the newest first, and whether it was the last.
async fn older(companion: &mut Companion) -> (Vec<String>, bool) {
    let part = companion.next("older messages", |event| match event {
        Event::HistorySync(part) => part
            .get()
            .filter(|part| part.sync_type == HistorySyncType::ON_DEMAND)
            .cloned(),
        _ => None,
    });
    let chat: wa::Conversation = part.await.conversations.remove(0);
    let id = |message: &wa::HistorySyncMsg| message.message.key.id.clone().unwrap();
    (
        chat.messages.iter().map(id).collect(),
        chat.end_of_history_transfer == Some(true),
    )
}

#[tokio::test]
async fn a_device_gets_older_messages_of_a_chat_page_by_page() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let mut companion = Companion::downloading(&simulator).await;
    alice.scans_qr(&companion.qr().await).await.unwrap();
    companion.connected().await;
    alice.remembers_chat(bob.number(), past(5)).unwrap();
    let received = bob.sends_text(alice.number(), "since then").await.unwrap();
    let sent = alice
        .sends_text(bob.number(), "by the phone")
        .await
        .unwrap();
    let chat: Jid = bob.jid().parse().unwrap();
    let client = companion.client.clone();
    let ask = async |oldest: &str, at: u64, count| {
        client
            .fetch_message_history(&chat, oldest, false, at as i64 * 1000, count)
            .await
            .unwrap();
    };
    ask("unknown", u64::MAX / 2000, 3).await;
    assert_eq!(
        older(&mut companion).await,
        (vec![sent, received, "OLD4".to_owned()], false)
    );
    ask("OLD4", LONG_AGO + 4, 3).await;
    assert_eq!(
        older(&mut companion).await,
        (["OLD3", "OLD2", "OLD1"].map(str::to_owned).to_vec(), false)
    );
    // What it names is not known here, but when it was is.
    ask("something else", LONG_AGO + 2, 50).await;
    assert_eq!(
        older(&mut companion).await,
        (["OLD1", "OLD0"].map(str::to_owned).to_vec(), true)
    );
    ask("OLD0", LONG_AGO, 50).await;
    assert_eq!(older(&mut companion).await, (vec![], true));
    companion.stop().await;
    simulator.finish().await.unwrap();
}

fn placeholder(chat: &Phone, id: &str) -> Arc<MessageInfo> {
    let jid: Jid = chat.jid().parse().unwrap();
    let source = MessageSource {
        chat: jid.clone(),
        sender: jid,
        ..Default::default()
    };
    Arc::new(MessageInfo {
        id: id.to_owned(),
        source,
        ..Default::default()
    })
}

#[tokio::test]
async fn a_device_gets_a_message_again_that_it_could_not_read() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let id = bob
        .sends_text(alice.number(), "before it was linked")
        .await
        .unwrap();
    alice.next_message(PATIENCE).await.unwrap();
    let (mut companion, _) = Companion::linked_to(&alice, &simulator).await;
    // One that there is not is answered, too, and brings nothing.
    for id in ["3EB0NONE", &id] {
        companion
            .client
            .send_pdo_placeholder_resend_request(&placeholder(&bob, id))
            .await
            .unwrap();
    }
    // The first words of the phone come before it.
    let again = loop {
        let message = companion.message().await;
        if !message.text.is_empty() {
            break message;
        }
    };
    assert_eq!(
        (again.id, again.text.as_str()),
        (id, "before it was linked")
    );
    companion.stop().await;
    simulator.finish().await.unwrap();
}

/// What a phone answers to a request that stands in a copy for the account's own devices, as one client sends it.
async fn answer_to(
    companion: &mut Companion,
    alice: &Phone,
    request: wa::message::PeerDataOperationRequestMessage,
) -> wa::message::PeerDataOperationRequestResponseMessage {
    let asked = wa::Message {
        protocol_message: MessageField::some(wa::message::ProtocolMessage {
            r#type: Some(wa::message::protocol_message::Type::PEER_DATA_OPERATION_REQUEST_MESSAGE),
            peer_data_operation_request_message: MessageField::some(request),
            ..Default::default()
        }),
        ..Default::default()
    };
    companion
        .client
        .send_message(alice.jid().parse::<Jid>().unwrap(), asked)
        .await
        .unwrap();
    let answer = companion.next("the phone's answer", |event| match event {
        Event::Messages(batch) => {
            let protocol = batch
                .messages
                .first()?
                .message
                .protocol_message
                .as_option()?;
            protocol
                .peer_data_operation_request_response_message
                .as_option()
                .cloned()
        }
        _ => None,
    });
    answer.await
}

#[tokio::test]
async fn a_collection_of_the_app_state_is_handed_out_as_a_whole() {
    let (simulator, alice, bob) = two_phones(SimulatorOptions::default()).await;
    let (mut companion, _) = Companion::linked_to(&alice, &simulator).await;
    alice.archives_chat(bob.number(), true).unwrap();
    alice.pins_chat(bob.number(), true).unwrap();
    alice.archives_chat(bob.number(), false).unwrap();
    let recovery = |name: &str| wa::message::PeerDataOperationRequestMessage {
        peer_data_operation_request_type: Some(Asked::COMPANION_SYNCD_SNAPSHOT_FATAL_RECOVERY),
        syncd_collection_fatal_recovery_request: MessageField::some(
            SyncDCollectionFatalRecoveryRequest {
                collection_name: Some(name.to_owned()),
                timestamp: None,
            },
        ),
        ..Default::default()
    };
    let answer = answer_to(&mut companion, &alice, recovery("regular_low")).await;
    let result = answer.peer_data_operation_result[0]
        .syncd_snapshot_fatal_recovery_response
        .as_option()
        .unwrap();
    let whole = wa::SyncdSnapshotRecovery::decode_from_slice(
        result.collection_snapshot.as_deref().unwrap(),
    )
    .unwrap();
    assert_eq!(
        (whole.version.version, whole.collection_name.as_deref()),
        (Some(3), Some("regular_low"))
    );
    assert_eq!(
        whole.collection_lthash.as_deref().map(<[u8]>::len),
        Some(128)
    );
    let value = |record: &wa::SyncdPlainTextRecord| {
        let value = record.value.as_option().unwrap();
        let action = value.value.as_option().unwrap();
        let archived = action
            .archive_chat_action
            .as_option()
            .and_then(|action| action.archived);
        let pinned = action
            .pin_action
            .as_option()
            .and_then(|action| action.pinned);
        (
            String::from_utf8(value.index.clone().unwrap()).unwrap(),
            archived,
            pinned,
        )
    };
    let mut records: Vec<_> = whole.mutation_records.iter().map(value).collect();
    records.sort();
    let index = |kind: &str| format!("[\"{kind}\",\"{}\"]", bob.jid());
    assert_eq!(
        records,
        [
            (index("archive"), Some(false), None),
            (index("pin_v1"), None, Some(true))
        ]
    );
    let answer = answer_to(&mut companion, &alice, recovery("never_written")).await;
    assert_eq!(answer.peer_data_operation_result, []);
    companion.stop().await;
    simulator.finish().await.unwrap();
}
