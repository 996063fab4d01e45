//! Fuzz target: any body is a message or is refused.

use jiff::Timestamp;

use super::body::MessageRequest;
use crate::http::request::extract::JsonFields;
use crate::model::message::Message;

/// Parses the bytes as the body of a send request.
pub fn request(bytes: &[u8]) {
    let Ok(body) = serde_json::from_slice(bytes) else {
        return;
    };
    let Some(fields) = JsonFields::from_value(body) else {
        return;
    };
    let Ok(request) = MessageRequest::read(fields) else {
        return;
    };
    let _ = request.send_window(Timestamp::UNIX_EPOCH);
    let kept = serde_json::to_string(&request.message).expect("a message is JSON");
    assert_eq!(
        serde_json::from_str::<Message>(&kept).expect("what was kept can be read"),
        request.message
    );
}

#[cfg(test)]
mod tests {
    use super::request;

    #[test]
    fn odd_bodies_are_messages_or_refused() {
        for body in [
            "",
            "[]",
            "null",
            r#"{"to": "375447034810", "text": {"body": "\u0000"}}"#,
            r#"{"to": "375447034810", "location": {"latitude": 1e-320, "longitude": -0.0}}"#,
            r#"{"to": "375447034810", "event": {"name": "x", "start": "-009999-01-02T01:59:59Z"}}"#,
            r#"{"to": "375447034810", "text": {"body": "hi"}, "expires_in": 2678400, "send_at": "9999-12-30T22:00:00Z"}"#,
            r#"{"to": "375447034810", "product": {"id": "1", "title": "x", "price": {"amount": 1e-320, "currency": "EUR"}}}"#,
            r#"{"to": "375447034810", "product": {"id": "1", "title": "x", "price": {"amount": -0.0, "currency": "EUR"}}}"#,
            r#"{"to": "375447034810", "contacts": [{"vcard": "BEGIN:VCARD\nFN:\n"}]}"#,
        ] {
            request(body.as_bytes());
        }
    }
}
