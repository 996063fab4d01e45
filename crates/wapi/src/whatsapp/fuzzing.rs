//! Fuzz targets: any input becomes an event that can be read back, or no event; none crashes the
//! program.

use jiff::Timestamp;
use whatsapp_rust::types::message::MessageInfo;
use whatsapp_rust::wacore_binary::JidExt;
use whatsapp_rust::waproto::buffa::Message as _;
use whatsapp_rust::waproto::whatsapp as wa;

use super::receive::decode::{MessageAddresses, decode_message};
use crate::model::event::{Event, EventData};
use crate::model::message::Message;

/// Possible origins: chat and sender.
const MESSAGE_ORIGINS: [(&str, &str); 4] = [
    (
        "375447034810@s.whatsapp.net",
        "375447034810:2@s.whatsapp.net",
    ),
    ("123456789012345@lid", "123456789012345:2@lid"),
    ("120363025246125486@g.us", "123456789012345:2@lid"),
    (
        "120363025246125486@newsletter",
        "120363025246125486@newsletter",
    ),
];

/// Reads a chunk of a phone's history sync.
#[cfg(fuzzing)]
pub fn history(bytes: &[u8]) {
    super::history_sync::fuzzing::fuzz_history(bytes);
}

/// Reads a message. The first byte selects its origin, the others are the protobuf.
pub fn incoming(bytes: &[u8]) {
    let Some((from, protobuf)) = bytes.split_first() else {
        return;
    };
    let Ok(message) = wa::Message::decode_from_slice(protobuf) else {
        return;
    };
    let (chat, sender) = MESSAGE_ORIGINS[usize::from(*from) % MESSAGE_ORIGINS.len()];
    let mut info = MessageInfo {
        id: "3EB0".into(),
        ..Default::default()
    };
    info.source.chat = chat.parse().expect("an address");
    info.source.sender = sender.parse().expect("an address");
    info.source.is_group = info.source.chat.is_group();
    info.source.is_from_me = from & 0x80 != 0;
    let Some(event) = decode_message("shop", &message, &info, &MessageAddresses::default()) else {
        return;
    };
    let is_message = matches!(
        event.data,
        EventData::MessageReceived(_) | EventData::MessageEcho(_)
    );
    let json = Event {
        id: String::new(),
        data: event.data,
        timestamp: Timestamp::UNIX_EPOCH,
    }
    .to_json();
    let mut envelope: serde_json::Value = serde_json::from_str(&json).expect("an event is JSON");
    if is_message {
        let sent: Message = serde_json::from_value(envelope["data"].take())
            .expect("what was told is a message object");
        let again = serde_json::to_value(&sent).expect("a message is JSON");
        assert_eq!(
            serde_json::from_value::<Message>(again).expect("it is one still"),
            sent
        );
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use whatsapp_rust::waproto::buffa::MessageField;
    use whatsapp_rust::waproto::whatsapp::message as kinds;

    use super::*;

    /// Messages to begin with.
    fn seeds() -> Vec<Vec<u8>> {
        let text = wa::Message {
            conversation: Some("hi".to_owned()),
            ..Default::default()
        };
        let location = kinds::LocationMessage {
            degrees_latitude: Some(53.9),
            degrees_longitude: Some(f64::NAN),
            ..Default::default()
        };
        let place = wa::Message {
            location_message: MessageField::some(location),
            ..Default::default()
        };
        let live = kinds::LiveLocationMessage {
            degrees_latitude: Some(f64::INFINITY),
            speed_in_mps: Some(f32::NAN),
            ..Default::default()
        };
        let live = wa::Message {
            live_location_message: MessageField::some(live),
            ..Default::default()
        };
        let context = wa::ContextInfo {
            stanza_id: Some("3EB1".to_owned()),
            quoted_message: MessageField::some(place.clone()),
            ..Default::default()
        };
        let reply = kinds::ExtendedTextMessage {
            text: Some("yes".to_owned()),
            context_info: MessageField::some(context),
            ..Default::default()
        };
        let reply = wa::Message {
            extended_text_message: MessageField::some(reply),
            ..Default::default()
        };
        let snapshot = kinds::product_message::ProductSnapshot {
            title: Some("Tea".to_owned()),
            currency_code: Some("EUR".to_owned()),
            price_amount1000: Some(i64::MIN),
            product_image: MessageField::some(Default::default()),
            ..Default::default()
        };
        let product = kinds::ProductMessage {
            product: MessageField::some(snapshot),
            ..Default::default()
        };
        let product = wa::Message {
            product_message: MessageField::some(product),
            ..Default::default()
        };
        let order = kinds::OrderMessage {
            item_count: Some(-1),
            total_amount1000: Some(i64::MAX),
            total_currency_code: Some(String::new()),
            ..Default::default()
        };
        let order = wa::Message {
            order_message: MessageField::some(order),
            ..Default::default()
        };
        [text, place, live, reply, product, order]
            .map(|message| message.encode_to_vec())
            .into()
    }

    #[test]
    fn what_is_no_number_does_not_make_a_message_unreadable() {
        for seed in seeds() {
            incoming(&[&[0][..], &seed].concat());
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_an_event_or_nothing(
            from in any::<u8>(),
            seed in prop::sample::select(seeds()),
            changes in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 0..6),
            more in prop::collection::vec(any::<u8>(), 0..40),
        ) {
            let mut bytes = seed;
            for (place, byte) in changes {
                let place = place.index(bytes.len());
                bytes[place] = byte;
            }
            incoming(&[&[from][..], &bytes, &more].concat());
        }
    }
}
