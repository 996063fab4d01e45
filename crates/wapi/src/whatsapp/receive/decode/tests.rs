use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::codec;
use whatsapp_rust::waproto::whatsapp::message as kinds;

use crate::model::message::{MediaContent, MessageContent, MessageContext, TextContent};
use crate::whatsapp::receive::decode::*;

fn message_info(sender: &str, chat: &str) -> MessageInfo {
    let mut info = MessageInfo {
        id: "3EB0".into(),
        push_name: "Ann".to_owned(),
        ..Default::default()
    };
    info.source.sender = sender.parse().unwrap();
    info.source.chat = chat.parse().unwrap();
    info.source.is_group = info.source.chat.is_group();
    info
}

/// Returns the message of the event.
fn decode_received(
    session: &str,
    message: &wa::Message,
    info: &MessageInfo,
    other: Option<&Jid>,
) -> Option<ReceivedMessage> {
    let known = MessageAddresses {
        other: other.cloned(),
        own: vec!["99@lid".parse().unwrap()],
    };
    match decode_message(session, message, info, &known)?.data {
        EventData::MessageReceived(received) | EventData::MessageEcho(received) => Some(*received),
        other => panic!("told as {}", other.kind()),
    }
}

fn text_message(body: &str) -> wa::Message {
    wa::Message {
        conversation: Some(body.to_owned()),
        ..Default::default()
    }
}

const ANN: &str = "375447034810:2@s.whatsapp.net";
const ANN_LID: &str = "123456789012345:2@lid";

#[test]
fn a_person_has_one_id_by_number_whichever_address_they_write_from() {
    for (sender, other) in [(ANN, ANN_LID), (ANN_LID, ANN)] {
        let info = message_info(sender, &sender.replace(":2", ""));
        let message = decode_received(
            "s",
            &text_message("hi"),
            &info,
            Some(&other.parse().unwrap()),
        )
        .unwrap();
        assert_eq!(message.origin.chat, "375447034810@s.whatsapp.net");
        let ann = Person {
            id: "375447034810@s.whatsapp.net".to_owned(),
            phone: Some("375447034810".to_owned()),
            lid: Some("123456789012345@lid".to_owned()),
            name: Some("Ann".to_owned()),
            ..Person::default()
        };
        assert_eq!(message.origin.from, ann);
    }
}

#[test]
fn a_person_whose_number_is_hidden_has_their_lid() {
    let message = decode_received(
        "s",
        &text_message("hi"),
        &message_info(ANN_LID, "123456789012345@lid"),
        None,
    )
    .unwrap();
    assert_eq!(
        (message.origin.chat.as_str(), message.origin.from.phone),
        ("123456789012345@lid", None)
    );
}

#[test]
fn a_group_is_the_chat_and_the_sender_a_person() {
    let message = decode_received(
        "s",
        &text_message("hi"),
        &message_info(ANN, "120363025246125486@g.us"),
        None,
    )
    .unwrap();
    assert_eq!(message.origin.chat, "120363025246125486@g.us");
    assert_eq!(message.origin.from.id, "375447034810@s.whatsapp.net");
}

#[test]
fn what_we_wrote_on_another_device_is_told_as_ours_in_the_chat_of_the_other() {
    let mut ours = message_info("11:2@s.whatsapp.net", "123456789012345@lid");
    ours.source.is_from_me = true;
    let message = decode_received(
        "s",
        &text_message("hi"),
        &ours,
        Some(&"375447034810@s.whatsapp.net".parse().unwrap()),
    )
    .unwrap();
    assert_eq!(
        (message.origin.chat.as_str(), message.origin.from_me),
        ("375447034810@s.whatsapp.net", true)
    );
    assert_eq!(
        (
            message.origin.from.id.as_str(),
            message.origin.from.lid.as_deref()
        ),
        ("11@s.whatsapp.net", Some("99@lid"))
    );
}

#[test]
fn nothing_is_told_of_the_protocol() {
    let info = message_info(ANN, "375447034810@s.whatsapp.net");
    let protocol = wa::Message {
        protocol_message: MessageField::some(Default::default()),
        ..Default::default()
    };
    assert_eq!(decode_received("s", &protocol, &info, None), None);
    let keys = wa::Message {
        sender_key_distribution_message: MessageField::some(Default::default()),
        ..Default::default()
    };
    assert_eq!(decode_received("s", &keys, &info, None), None);
    assert_eq!(
        decode_received("s", &wa::Message::default(), &info, None),
        None
    );
}

#[test]
fn media_keep_their_caption_and_metadata() {
    let image = kinds::ImageMessage {
        mimetype: Some("image/png".to_owned()),
        caption: Some("look".to_owned()),
        file_length: Some(12),
        file_sha256: Some(vec![0xab, 0x01]),
        width: Some(3),
        height: Some(4),
        ..Default::default()
    };
    let message = wa::Message {
        image_message: MessageField::some(image),
        ..Default::default()
    };
    let Some(MessageContent::Image { image }) =
        content::decode_body(&message).map(|received| received.content)
    else {
        panic!("not an image")
    };
    let expected = MediaContent {
        mime_type: Some("image/png".to_owned()),
        caption: Some("look".to_owned()),
        size: Some(12),
        sha256: Some("ab01".to_owned()),
        width: Some(3),
        height: Some(4),
        ..MediaContent::default()
    };
    assert_eq!(image, expected);
}

#[test]
fn what_has_no_shape_yet_is_told_all_the_same() {
    let invoice = kinds::InvoiceMessage {
        note: Some("7".to_owned()),
        ..Default::default()
    };
    let invoice = wa::Message {
        invoice_message: MessageField::some(invoice),
        ..Default::default()
    };
    let message = decode_received(
        "s",
        &invoice,
        &message_info(ANN, "375447034810@s.whatsapp.net"),
        None,
    )
    .unwrap();
    assert_eq!(
        message.message.content,
        MessageContent::Unsupported {
            raw: serde_json::json!({"invoice_message": {"note": "7"}})
        }
    );
}

#[test]
fn an_answer_names_the_message_it_answers() {
    let mut text = kinds::ExtendedTextMessage {
        text: Some("yes".to_owned()),
        ..Default::default()
    };
    text.context_info = MessageField::some(wa::ContextInfo {
        stanza_id: Some("3EB1".to_owned()),
        ..Default::default()
    });
    let message = wa::Message {
        extended_text_message: MessageField::some(text),
        ..Default::default()
    };
    let received = decode_received(
        "s",
        &message,
        &message_info(ANN, "375447034810@s.whatsapp.net"),
        None,
    )
    .unwrap();
    assert_eq!(
        received.message.context,
        Some(MessageContext {
            message_id: "3EB1".to_owned(),
            from: None,
            phone: None,
            lid: None,
            chat: None,
            quoted: None
        })
    );
    assert_eq!(
        received.message.content,
        MessageContent::Text {
            text: TextContent::new("yes".to_owned())
        }
    );
}

#[test]
fn a_message_is_recognised_by_the_addresses_it_came_with() {
    let info = message_info(ANN_LID, "123456789012345@lid");
    let key = decode_message(
        "s",
        &text_message("hi"),
        &info,
        &MessageAddresses::default(),
    )
    .unwrap()
    .key;
    let lid = "123456789012345@lid".to_owned();
    assert_eq!(
        key,
        MessageKey {
            chat: lid.clone(),
            sender: lid,
            id: "3EB0".to_owned()
        }
    );
}

/// Returns a message with a single field, present but empty, by the field's number.
fn with_field(number: u32) -> wa::Message {
    let mut wire = Vec::new();
    // The key of a length-delimited field, as a varint, and a length of 0.
    let mut key = number << 3 | 2;
    while key >= 0x80 {
        wire.push((key & 0x7f) as u8 | 0x80);
        key >>= 7;
    }
    wire.extend([key as u8, 0]);
    codec::message_decode(&wire).unwrap()
}

/// Returns the names of the fields that are set.
fn set_fields(message: &wa::Message) -> Vec<String> {
    let json = serde_json::to_value(message).unwrap();
    json.as_object()
        .unwrap()
        .iter()
        .filter(|(_, value)| !value.is_null())
        .map(|(name, _)| name.clone())
        .collect()
}

#[test]
fn of_all_kinds_there_are_none_is_dropped() {
    // Keys and changes of other messages, not messages themselves.
    const NOT_MESSAGES: [&str; 11] = [
        "sender_key_distribution_message",
        "fast_ratchet_key_sender_key_distribution_message",
        "protocol_message",
        "message_context_info",
        "reaction_message",
        "enc_reaction_message",
        "poll_update_message",
        "pin_in_chat_message",
        "keep_in_chat_message",
        "secret_encrypted_message",
        "enc_event_response_message",
    ];
    let nothing = set_fields(&wa::Message::default());
    let mut kinds = 0;
    for number in 1..1_000 {
        let message = with_field(number);
        let named: Vec<_> = set_fields(&message)
            .into_iter()
            .filter(|name| !nothing.contains(name))
            .collect();
        let received = content::decode_body(&message);
        match named.first().map(String::as_str) {
            Some(name) if NOT_MESSAGES.contains(&name) => assert_eq!(received, None, "{name}"),
            Some(name) => {
                kinds += 1;
                assert!(received.is_some(), "{name} is dropped");
            }
            // WhatsApp may have added it since.
            None => {}
        }
    }
    assert!(kinds > 85, "only {kinds} kinds were found");
}

#[test]
fn wrappers_are_looked_into() {
    let text = wa::Message {
        conversation: Some("hi".to_owned()),
        ..Default::default()
    };
    let wrap = |message| {
        MessageField::some(kinds::FutureProofMessage {
            message: MessageField::some(message),
        })
    };
    let once = wa::Message {
        view_once_message_v2: wrap(text.clone()),
        ..Default::default()
    };
    for wrapped in [
        wa::Message {
            associated_child_message: wrap(text.clone()),
            ..Default::default()
        },
        wa::Message {
            group_status_message_v2: wrap(once),
            ..Default::default()
        },
        wa::Message {
            ephemeral_message: wrap(wa::Message {
                spoiler_message: wrap(text),
                ..Default::default()
            }),
            ..Default::default()
        },
    ] {
        assert_eq!(
            content::decode_body(&wrapped).unwrap().content,
            MessageContent::Text {
                text: TextContent::new("hi".to_owned())
            }
        );
    }
}
