//! WhatsApp's protobuf as JSON, for messages of unsupported kinds. Pure.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::Value;
use whatsapp_rust::waproto::whatsapp as wa;

/// Converts a message to JSON without unset fields; bytes become base64.
pub(crate) fn message_to_json(body: &wa::Message) -> Value {
    let mut body = body.clone();
    // Keys accompany messages. They decrypt others.
    body.sender_key_distribution_message.take();
    body.fast_ratchet_key_sender_key_distribution_message.take();
    body.message_context_info.take();
    let mut json = serde_json::to_value(&body).unwrap_or_default();
    tidy_json(&mut json);
    json
}

fn tidy_json(value: &mut Value) {
    match value {
        Value::Object(fields) => {
            fields.values_mut().for_each(tidy_json);
            fields.retain(|_, value| !is_unset(value));
        }
        Value::Array(list) => match parse_bytes(list) {
            Some(bytes) => *value = Value::String(STANDARD.encode(bytes)),
            None => list.iter_mut().for_each(tidy_json),
        },
        _ => {}
    }
}

fn is_unset(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(list) => list.is_empty(),
        Value::Object(fields) => fields.is_empty(),
        _ => false,
    }
}

/// Returns a list of small numbers as bytes, since the engine writes bytes so. Messages have next
/// to no real lists of small numbers.
fn parse_bytes(list: &[Value]) -> Option<Vec<u8>> {
    if list.is_empty() {
        return None;
    }
    list.iter()
        .map(|value| value.as_u64().and_then(|number| u8::try_from(number).ok()))
        .collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use whatsapp_rust::waproto::buffa::MessageField;
    use whatsapp_rust::waproto::whatsapp::message::OrderMessage;

    use crate::whatsapp::receive::decode::raw::*;

    #[test]
    fn what_is_set_is_there_and_keys_are_not() {
        let order = OrderMessage {
            order_id: Some("7".to_owned()),
            thumbnail: Some(vec![1, 2, 3]),
            ..Default::default()
        };
        let mut message = wa::Message {
            order_message: MessageField::some(order),
            ..Default::default()
        };
        let secret = wa::MessageContextInfo {
            message_secret: Some(vec![7; 32]),
            ..Default::default()
        };
        message.message_context_info = MessageField::some(secret);
        assert_eq!(
            message_to_json(&message),
            json!({"order_message": {"order_id": "7", "thumbnail": "AQID"}})
        );
    }
}
