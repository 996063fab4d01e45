//! Sends that are stored first, and what became of them.

use serde_json::{Value, json};

use super::operation::{Operation, route, session_name};
use super::schema::{flag, list, number, object, or_null, reference, said, text, time, with, words};

pub fn operations() -> Vec<Operation> {
    let contact = object(&[("input", text()), ("wa_id", or_null(text())), ("lid", or_null(text()))]);
    let one = |of| with(with(list(of), "minItems", 1.into()), "maxItems", 1.into());
    let answer = object(&[("messages", one(reference("Message"))), ("contacts", one(contact))]);
    vec![
        route("POST", "/v1/sessions/{session}/messages", "Send a message, once")
            .query("wait", number(0, 60), "Seconds to wait for WhatsApp; 10 when nothing is said.")
            .header("Idempotency-Key", text(), "The same key and body again: the same message, for 24 hours.")
            .body(wish())
            .answers(200, "WhatsApp has taken it.", answer.clone())
            .answers(202, "It is stored, and on its way.", answer)
            .problems(&[(404, "session_not_found"), (409, "session_not_paired"), (409, "idempotency_key_reused")])
            .problems(&[(404, "message_not_found"), (429, "queue_full"), (503, "stopping"), (503, "not_ready")])
            .problems(&[(502, "whatsapp_refused"), (502, "media_unavailable"), (502, "expired")])
            .problems(&[(502, "session_logged_out"), (502, "not_sendable")]),
        route("GET", "/v1/sessions/{session}/messages/{id}", "A message that was sent, and what became of it")
            .answers(200, "The message.", reference("Message"))
            .problems(&[(404, "session_not_found"), (404, "message_not_found")]),
    ]
}

fn wish() -> Value {
    let address = said(with(text(), "examples", json!(["375447034810"])), "A number in any spelling, or an address.");
    let linked = |more: &[(&'static str, Value)]| object(&[&[("link", text())], more].concat());
    let caption = || ("caption?", or_null(text()));
    object(&[
        ("to", address),
        ("type?", or_null(words(&["text", "image", "video", "audio", "document"]))),
        ("text?", object(&[("body", text()), ("preview_url?", or_null(flag()))])),
        ("image?", linked(&[caption()])),
        ("video?", linked(&[caption(), ("gif?", or_null(flag()))])),
        ("audio?", linked(&[("voice?", or_null(flag()))])),
        ("document?", linked(&[caption(), ("filename?", or_null(text()))])),
        ("context?", or_null(object(&[("message_id", said(text(), "The message this one answers."))]))),
        ("send_at?", or_null(time())),
        ("expires_in?", or_null(said(number(1, 31 * 24 * 3600), "Seconds; not sent by then, it fails."))),
    ])
}

pub fn message() -> Value {
    let status = || words(&["queued", "unknown", "failed", "sent", "delivered", "read", "played"]);
    let recipient = object(&[
        ("id", text()),
        ("delivered_at", or_null(time())),
        ("read_at", or_null(time())),
        ("played_at", or_null(time())),
    ]);
    object(&[
        ("id", said(text(), "WhatsApp's own.")),
        ("session", session_name()),
        ("chat", text()),
        ("type", text()),
        ("status", status()),
        ("accepted_at", time()),
        ("send_at?", time()),
        ("expires_at?", time()),
        ("sent_at", or_null(time())),
        ("error?", object(&[("code", text()), ("detail", text())])),
        ("recipients", list(recipient)),
        ("history", list(object(&[("status", status()), ("at", time()), ("recipient?", text())]))),
    ])
}
