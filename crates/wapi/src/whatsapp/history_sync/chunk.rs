//! History-sync chunks, decoded a few messages at a time. Pure.
//!
//! The engine decompresses one chat after the other and decodes each as a whole; a chat of tens of
//! thousands of messages would be in memory several times over. So this module walks a chat's bytes
//! and decodes each message on its own.

use whatsapp_rust::wacore::history_sync::{HistorySyncError, HistorySyncStream};
use whatsapp_rust::waproto::buffa::Message as _;
use whatsapp_rust::waproto::whatsapp as wa;

/// Field numbers of the messages in a conversation, and of the message in such an entry.
const MESSAGES: u64 = 2;
const MESSAGE: u64 = 1;

/// Messages per piece.
const MESSAGES_PER_PIECE: usize = 100;

/// Part of a chat: its metadata and some of its messages.
pub(crate) struct ChatPiece {
    pub chat: wa::Conversation,
    pub messages: Vec<wa::WebMessageInfo>,
}

/// Iterator over the pieces of an encoded chat. Skips unreadable messages. Phones write the newest
/// message first; so the newest piece comes first, as chunks do, and within each the oldest
/// message.
pub(crate) struct ChatPieces<'a> {
    chat: wa::Conversation,
    messages: std::vec::IntoIter<&'a [u8]>,
    has_yielded: bool,
}

impl<'a> ChatPieces<'a> {
    /// Splits an encoded conversation; `None` for bytes that are none.
    pub fn parse(bytes: &'a [u8]) -> Option<Self> {
        let (mut about, mut messages) = (Vec::new(), Vec::new());
        for field in ProtobufFields(bytes) {
            let field = field?;
            match (field.number, field.payload) {
                (MESSAGES, Some(payload)) => messages.push(payload),
                _ => about.extend_from_slice(field.bytes),
            }
        }
        let chat = wa::Conversation::decode_from_slice(&about).ok()?;
        Some(Self {
            chat,
            messages: messages.into_iter(),
            has_yielded: false,
        })
    }
}

/// Yields at least one piece, for a chat without messages is a chat, too.
impl Iterator for ChatPieces<'_> {
    type Item = ChatPiece;

    fn next(&mut self) -> Option<ChatPiece> {
        let some: Vec<_> = self.messages.by_ref().take(MESSAGES_PER_PIECE).collect();
        if some.is_empty() && self.has_yielded {
            return None;
        }
        self.has_yielded = true;
        Some(ChatPiece {
            chat: self.chat.clone(),
            messages: some.into_iter().rev().filter_map(decode_message).collect(),
        })
    }
}

fn decode_message(bytes: &[u8]) -> Option<wa::WebMessageInfo> {
    let payload = ProtobufFields(bytes)
        .map_while(|field| field)
        .find(|field| field.number == MESSAGE)?
        .payload?;
    wa::WebMessageInfo::decode_from_slice(payload).ok()
}

/// Returns the next chat of a chunk; `None` at its end.
pub(crate) fn next<'a>(
    stream: &'a mut HistorySyncStream<'_>,
) -> Result<Option<&'a [u8]>, HistorySyncError> {
    stream.next_conversation_bytes()
}

/// Iterator over the fields of a protobuf. Yields `None` at a malformed field, and then ends.
struct ProtobufFields<'a>(&'a [u8]);

struct ProtobufField<'a> {
    number: u64,
    /// The whole field, including its tag.
    bytes: &'a [u8],
    /// Content of a length-delimited field.
    payload: Option<&'a [u8]>,
}

impl<'a> Iterator for ProtobufFields<'a> {
    type Item = Option<ProtobufField<'a>>;

    fn next(&mut self) -> Option<Self::Item> {
        if self.0.is_empty() {
            return None;
        }
        let field = read_field(self.0);
        self.0 = field
            .as_ref()
            .map_or(&[], |field| &self.0[field.bytes.len()..]);
        Some(field)
    }
}

fn read_field(bytes: &[u8]) -> Option<ProtobufField<'_>> {
    let (tag, after_tag) = read_varint(bytes)?;
    let (payload, rest) = match tag & 7 {
        0 => (None, read_varint(after_tag)?.1),
        1 => (None, after_tag.get(8..)?),
        2 => {
            let (length, rest) = read_varint(after_tag)?;
            let (payload, rest) = rest.split_at_checked(usize::try_from(length).ok()?)?;
            (Some(payload), rest)
        }
        5 => (None, after_tag.get(4..)?),
        _ => return None,
    };
    Some(ProtobufField {
        number: tag >> 3,
        bytes: &bytes[..bytes.len() - rest.len()],
        payload,
    })
}

/// Reads a varint; returns its value and the rest of the bytes.
fn read_varint(bytes: &[u8]) -> Option<(u64, &[u8])> {
    let mut value = 0;
    for (index, byte) in bytes.iter().enumerate().take(10) {
        value |= u64::from(byte & 0x7F).checked_shl(7 * u32::try_from(index).ok()?)?;
        if byte & 0x80 == 0 {
            return Some((value, &bytes[index + 1..]));
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use whatsapp_rust::waproto::buffa::MessageField;

    use crate::whatsapp::history_sync::chunk::*;

    fn conversation(count: u32) -> wa::Conversation {
        let message = |number: u32| {
            let text = wa::Message {
                conversation: Some(format!("n{number}")),
                ..Default::default()
            };
            let key = wa::MessageKey {
                id: Some(number.to_string()),
                ..Default::default()
            };
            let (key, message) = (MessageField::some(key), MessageField::some(text));
            let info = wa::WebMessageInfo {
                key,
                message,
                message_timestamp: Some(7),
                ..Default::default()
            };
            wa::HistorySyncMsg {
                message: MessageField::some(info),
                msg_order_id: Some(u64::from(number)),
            }
        };
        wa::Conversation {
            id: "375440000001@s.whatsapp.net".to_owned(),
            messages: (0..count).map(message).collect(),
            name: Some("Ann".to_owned()),
            archived: Some(true),
            ..Default::default()
        }
    }

    #[test]
    fn a_chat_comes_in_pieces_that_are_the_whole() {
        for count in [0, 1, 100, 101, 250] {
            let conversation = conversation(count);
            let bytes = conversation.encode_to_vec();
            let pieces: Vec<_> = ChatPieces::parse(&bytes).unwrap().collect();
            assert_eq!(
                pieces.len(),
                (count as usize).div_ceil(MESSAGES_PER_PIECE).max(1)
            );
            let without = wa::Conversation {
                messages: Vec::new(),
                ..conversation.clone()
            };
            assert!(
                pieces.iter().all(
                    |piece| piece.chat == without && piece.messages.len() <= MESSAGES_PER_PIECE
                )
            );
            let messages: Vec<_> = pieces
                .into_iter()
                .rev()
                .flat_map(|piece| piece.messages)
                .collect();
            let all = conversation
                .messages
                .into_iter()
                .rev()
                .map(|it| it.message.into_option().unwrap());
            assert_eq!(messages, all.collect::<Vec<_>>());
        }
    }

    #[test]
    fn what_is_broken_is_left_out() {
        let bytes = conversation(3).encode_to_vec();
        for end in 0..bytes.len() {
            // No panic, and never more messages than were encoded.
            let messages: usize = ChatPieces::parse(&bytes[..end])
                .map_or(0, |chat| chat.map(|piece| piece.messages.len()).sum());
            assert!(messages <= 3);
        }
        assert!(ChatPieces::parse(&[0xFF; 32]).is_none());
    }
}
