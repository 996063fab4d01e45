//! A message in one line, for lists and quotes.

use serde_json::Value;

use crate::http::dashboard::context::PageContext;
use crate::http::dashboard::documents::{list_at, optional_text, shorten, text_at};
use crate::http::dashboard::pages::chat::texts;

/// Kinds that carry a file under their own name.
const FILE_KINDS: [&str; 5] = ["image", "video", "audio", "document", "sticker"];
/// Characters of the line.
const PREVIEW_LENGTH: usize = 120;

/// Describes a message in one line.
pub fn describe_content(context: &PageContext, message: &Value) -> String {
    let kind = text_at(message, "type");
    let text = match kind {
        "text" => text_at(message, "text/body"),
        "deleted" => context.text(texts::DELETED),
        "poll" => text_at(message, "poll/question"),
        "event" => text_at(message, "event/name"),
        "location" => text_at(message, "location/name"),
        "product" => text_at(message, "product/title"),
        "order" => text_at(message, "order/title"),
        "group_invite" => text_at(message, "group_invite/name"),
        "newsletter_invite" => text_at(message, "newsletter_invite/name"),
        "interactive" => text_at(message, "interactive/body/text"),
        "contacts" => list_at(message, "contacts")
            .first()
            .map_or("", |contact| text_at(contact, "name")),
        kind if FILE_KINDS.contains(&kind) => {
            let file = &message[kind];
            optional_text(file, "caption").unwrap_or_else(|| text_at(file, "filename"))
        }
        _ => "",
    };
    let text = shorten(text, PREVIEW_LENGTH);
    match (kind, text.is_empty()) {
        ("text" | "deleted", _) => text,
        (_, true) => format!("[{kind}]"),
        (_, false) => format!("[{kind}] {text}"),
    }
}
