//! Posts in newsletters: the kinds of content they accept.

use crate::http::request::extract::JsonFields;
use crate::model::message::{ChatId, MessageContent};

/// Kinds that phones show in a newsletter.
const POSTABLE: [&str; 5] = ["text", "image", "video", "audio", "document"];

/// Refuses messages that cannot be posted in a newsletter.
pub(crate) fn check_newsletter_post(
    fields: &mut JsonFields,
    to: Option<&ChatId>,
    kind: Option<&'static str>,
    content: Option<&MessageContent>,
) {
    let Some(ChatId::Newsletter(_)) = to else {
        return;
    };
    for field in ["context", "mentions"] {
        if fields.has_value(field) {
            fields.refuse_field(field, "does not belong to a post in a newsletter");
        }
    }
    let Some(kind) = kind else { return };
    if !POSTABLE.contains(&kind) {
        fields.refuse_field(
            "to",
            format!(
                "is a newsletter, where {kind} is not shown; use {}",
                POSTABLE.join(", ")
            ),
        );
    } else if content.is_some_and(|content| !can_post(content)) {
        fields.refuse_field(kind, "has no `view_once` in a newsletter");
    }
}

/// Whether this content can be posted in a newsletter.
pub(crate) fn can_post(content: &MessageContent) -> bool {
    POSTABLE.contains(&content.kind())
        && content.media_file().is_none_or(|(_, file)| !file.view_once)
}
