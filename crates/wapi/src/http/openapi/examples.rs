//! One example message of each kind that can be sent. Pure.

use serde_json::{Value, json};

/// Returns name, title, and body of `POST /v1/sessions/{session}/messages`.
pub fn example_messages() -> Vec<(&'static str, &'static str, Value)> {
    let to = "+375 44 703-48-10";
    let kinds = [
        (
            "text",
            "A text",
            json!({"text": {"body": "Your order *1042* is on its way."}}),
        ),
        (
            "image",
            "An image by link",
            json!({"image": {"link": "https://example.com/cat.jpg", "caption": "Our cat"}}),
        ),
        (
            "video",
            "A video that plays as a GIF",
            json!({"video": {"link": "https://example.com/cat.mp4", "gif": true}}),
        ),
        (
            "audio",
            "A voice note",
            json!({"audio": {"link": "https://example.com/note.ogg", "voice": true}}),
        ),
        (
            "document",
            "A document",
            json!({"document": {"link": "https://example.com/invoice.pdf", "filename": "Invoice 1042.pdf"}}),
        ),
        (
            "sticker",
            "A sticker",
            json!({"sticker": {"link": "https://example.com/cat.webp"}}),
        ),
        (
            "location",
            "A place",
            json!({"location": {"latitude": 53.9006, "longitude": 27.5590, "name": "Our shop", "address": "Minsk"}}),
        ),
        (
            "contacts",
            "A contact card",
            json!({"contacts": [{"name": {"formatted_name": "Ann"}, "phones": [{"phone": "+375 29 111-22-33"}]}]}),
        ),
        (
            "poll",
            "A poll",
            json!({"poll": {"question": "When shall we deliver?", "options": ["Morning", "Evening"], "max_selections": 1}}),
        ),
        (
            "event",
            "An event",
            json!({"event": {"name": "Opening", "start": "2030-05-01T10:00:00Z", "place": {"name": "Our shop"}}}),
        ),
        (
            "album",
            "An album",
            json!({"album": [
                {"image": {"link": "https://example.com/1.jpg"}}, {"video": {"link": "https://example.com/2.mp4"}},
            ]}),
        ),
        (
            "live_location",
            "A live location",
            json!({"live_location": {"latitude": 53.9006, "longitude": 27.5590}}),
        ),
        (
            "group_invite",
            "An invitation to a group",
            json!({"group_invite": {
                "group": "120363025246125486@g.us", "code": "AbCdEf", "expires_at": "2030-05-01T10:00:00Z",
            }}),
        ),
        (
            "newsletter_invite",
            "An invitation to be an admin of a newsletter",
            json!({"newsletter_invite": {
                "newsletter": "120363025246125486@newsletter", "expires_at": "2030-05-01T10:00:00Z",
            }}),
        ),
        (
            "phone_number_request",
            "A request for a phone number",
            json!({"phone_number_request": {}}),
        ),
        (
            "interactive",
            "Buttons",
            json!({"interactive": {"type": "button", "body": {"text": "Tea?"}, "action": {"buttons": [
                {"type": "reply", "reply": {"id": "yes", "title": "Yes"}},
            ]}}}),
        ),
        (
            "product",
            "A product of the own catalogue",
            json!({"product": {
                "id": "6513287915436817", "title": "Green tea", "price": {"amount": 9.9, "currency": "EUR"},
                "image": {"link": "https://example.com/tea.jpg"}, "body": "Fresh from the harvest",
            }}),
        ),
        (
            "poll_vote",
            "A vote in a poll",
            json!({"poll_vote": {"message_id": "3EB0538DA65A5960C82A0F", "options": ["Morning"]}}),
        ),
        (
            "event_response",
            "An answer to an event",
            json!({"event_response": {"message_id": "3EB0538DA65A5960C82A0F", "response": "going"}}),
        ),
        (
            "reaction",
            "A reaction",
            json!({"reaction": {"message_id": "3EB0538DA65A5960C82A0F", "emoji": "👍"}}),
        ),
    ];
    let mut messages: Vec<_> = kinds
        .map(|(kind, title, content)| (kind, title, with_recipient(content, to)))
        .into();
    let reply = json!({"text": {"body": "Thank you!"}, "context": {"message_id": "3EB0538DA65A5960C82A0F"}});
    messages.push(("reply", "An answer to a message", with_recipient(reply, to)));
    let mention = json!({"text": {"body": "@375447034810, are you there?"}, "mentions": [to]});
    messages.push((
        "mention",
        "A mention in a group",
        with_recipient(mention, "120363025246125486@g.us"),
    ));
    let hasty = json!({"text": {"body": "Your code is 4711."}, "expires_in": 300});
    messages.push((
        "hasty",
        "A text that is sent within five minutes, or not at all",
        with_recipient(hasty, to),
    ));
    let status =
        json!({"text": {"body": "Open today", "background_color": "#1E6E4F"}, "recipients": [to]});
    messages.push(("status", "A status", with_recipient(status, "status")));
    messages
}

fn with_recipient(mut content: Value, to: &str) -> Value {
    content["to"] = to.into();
    content
}
