//! Fuzzing of history sync: any bytes become chats and messages, or are left out.

use whatsapp_rust::Jid;
use whatsapp_rust::wacore::history_sync::HistorySyncStream;
use whatsapp_rust::waproto::buffa::Message as _;
use whatsapp_rust::waproto::whatsapp as wa;

use super::{chunk, decode};
use crate::whatsapp::notifications::observer::KnownAddresses;

/// Limit of a decompressed chunk, in bytes.
const CHUNK_LIMIT: u64 = 4 * 1024 * 1024;

/// Reads the bytes as a compressed chunk, as a chat in it, and as a list of people.
pub(in crate::whatsapp) fn fuzz_history(bytes: &[u8]) {
    let mut stream = HistorySyncStream::new(bytes, CHUNK_LIMIT);
    while let Ok(Some(chat)) = chunk::next(&mut stream) {
        read_chat(chat);
    }
    read_chat(bytes);
    if let Ok(people) = wa::HistorySync::decode_from_slice(bytes) {
        decode::convert_people(&people, &KnownAddresses::default());
    }
}

fn read_chat(chat: &[u8]) {
    let own = [Jid::pn("375447034810"), Jid::lid("123456789012345")];
    for piece in chunk::ChatPieces::parse(chat).into_iter().flatten() {
        decode::collect_addresses(&piece);
        let Some(batch) = decode::convert_piece("shop", &piece, &own, &KnownAddresses::default())
        else {
            continue;
        };
        assert!(
            batch.messages.len() <= piece.messages.len(),
            "messages came from nowhere"
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use whatsapp_rust::waproto::buffa::MessageField;

    use crate::whatsapp::history_sync::fuzzing::*;

    /// Encodes a chat with one message that covers the corner cases.
    fn seed() -> Vec<u8> {
        let text = wa::Message {
            conversation: Some("hi".to_owned()),
            ..Default::default()
        };
        let key = wa::MessageKey {
            id: Some("3EB0".to_owned()),
            from_me: Some(true),
            ..Default::default()
        };
        let reaction = wa::Reaction {
            key: MessageField::some(key.clone()),
            text: Some("👍".to_owned()),
            ..Default::default()
        };
        let info = wa::WebMessageInfo {
            key: MessageField::some(key),
            message: MessageField::some(text),
            message_timestamp: Some(u64::MAX),
            reactions: vec![reaction],
            ..Default::default()
        };
        let message = wa::HistorySyncMsg {
            message: MessageField::some(info),
            msg_order_id: Some(1),
        };
        let id = "375440000001@s.whatsapp.net".to_owned();
        wa::Conversation {
            id,
            messages: vec![message],
            ..Default::default()
        }
        .encode_to_vec()
    }

    proptest! {
        #[test]
        fn any_part_is_taken_in_or_left_out(
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            more in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut bytes = seed();
            for (position, byte) in changes {
                let position = position.index(bytes.len());
                bytes[position] = byte;
            }
            fuzz_history(&[&bytes[..], &more].concat());
        }
    }
}
