//! Posts in newsletters: the kinds of content they accept.

use crate::http::extract::Fields;
use crate::message::{ChatId, Content};

/// Kinds that phones show in a newsletter.
const POSTABLE: [&str; 5] = ["text", "image", "video", "audio", "document"];

/// Refuses messages that cannot be posted in a newsletter.
pub(super) fn check(
    fields: &mut Fields,
    to: Option<&ChatId>,
    kind: Option<&'static str>,
    content: Option<&Content>,
) {
    let Some(ChatId::Newsletter(_)) = to else {
        return;
    };
    for field in ["context", "mentions"] {
        if fields.has(field) {
            fields.refuse(field, "does not belong to a post in a newsletter");
        }
    }
    let Some(kind) = kind else { return };
    if !POSTABLE.contains(&kind) {
        fields.refuse(
            "to",
            format!(
                "is a newsletter, where {kind} is not shown; use {}",
                POSTABLE.join(", ")
            ),
        );
    } else if content.is_some_and(|content| !takes(content)) {
        fields.refuse(kind, "has no `view_once` in a newsletter");
    }
}

/// Whether this content can be posted in a newsletter.
pub(super) fn takes(content: &Content) -> bool {
    POSTABLE.contains(&content.kind()) && content.file().is_none_or(|(_, file)| !file.view_once)
}
