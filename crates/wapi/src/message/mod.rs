//! The message object: the same in requests, answers, webhooks, the feed and the store. A public contract. Pure.

mod chat;
mod kinds;
mod media;

use serde::{Deserialize, Serialize};

pub use chat::{ChatId, NoChat};
pub use kinds::{Contact, Location, Text};
pub use media::{ImageType, Media, MediaKind};

/// A message: what it says, and what that refers to. Sent ones are kept as JSON, so fields are only ever added.
///
/// `{"type": "text", "text": {"body": "…"}, "context": {"message_id": "…"}}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The message this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
    #[serde(flatten)]
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Context {
    pub message_id: String,
}

/// What a message says: its `type`, and the one object of that name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum Content {
    Text {
        text: Text,
    },
    Image {
        image: Media,
    },
    Video {
        video: Media,
    },
    Audio {
        audio: Media,
    },
    Document {
        document: Media,
    },
    Sticker {
        sticker: Media,
    },
    Location {
        location: Location,
    },
    Contacts {
        contacts: Vec<Contact>,
    },
    /// WhatsApp has kinds of messages that have no shape here yet; that one arrived is told all the same.
    Unsupported {},
}

impl Message {
    pub const fn new(content: Content) -> Self {
        Self { content, context: None }
    }

    pub const fn text(body: String) -> Self {
        Self::new(Content::Text { text: Text { body } })
    }
}

impl Content {
    /// Its `type`.
    pub const fn kind(&self) -> &'static str {
        match self {
            Self::Text { .. } => "text",
            Self::Image { .. } => "image",
            Self::Video { .. } => "video",
            Self::Audio { .. } => "audio",
            Self::Document { .. } => "document",
            Self::Sticker { .. } => "sticker",
            Self::Location { .. } => "location",
            Self::Contacts { .. } => "contacts",
            Self::Unsupported {} => "unsupported",
        }
    }

    /// Roughly how many bytes it takes in memory.
    pub fn size(&self) -> usize {
        match (self, self.file()) {
            (_, Some((_, file))) => [&file.link, &file.caption].into_iter().flatten().map(String::len).sum(),
            (Self::Text { text }, None) => text.body.len(),
            (Self::Contacts { contacts }, None) => contacts.iter().map(|contact| contact.vcard.len()).sum(),
            (_, None) => size_of::<Self>(),
        }
    }

    /// The file it carries, if it carries one.
    pub const fn file(&self) -> Option<(MediaKind, &Media)> {
        match self {
            Self::Image { image } => Some((MediaKind::Image, image)),
            Self::Video { video } => Some((MediaKind::Video, video)),
            Self::Audio { audio } => Some((MediaKind::Audio, audio)),
            Self::Document { document } => Some((MediaKind::Document, document)),
            _ => None,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn what_earlier_programs_kept_is_still_read() {
        for kept in [
            json!({"type": "text", "text": {"body": "hi"}}),
            json!({"type": "text", "text": {"body": "hi"}, "context": {"message_id": "3EB0"}}),
            json!({"type": "image", "image": {"link": "http://a/b.png", "caption": "look"}}),
            json!({"type": "video", "video": {"link": "http://a/b.mp4", "gif": true}}),
            json!({"type": "audio", "audio": {"link": "http://a/b.ogg", "voice": true}}),
            json!({"type": "document", "document": {"link": "http://a/b.pdf", "filename": "b.pdf"}}),
            json!({"type": "location", "location": {"latitude": 53.9, "longitude": 27.5, "name": null, "address": null}}),
            json!({"type": "contacts", "contacts": [{"name": "Ann", "vcard": "BEGIN:VCARD"}]}),
            json!({"type": "unsupported"}),
        ] {
            let message: Message = serde_json::from_value(kept.clone()).unwrap();
            assert_eq!(message.content.kind(), kept["type"]);
            let again = serde_json::to_value(&message).unwrap();
            assert!(is_in(&kept, &again), "{kept} became {again}");
            assert_eq!(serde_json::from_value::<Message>(again).unwrap(), message);
        }
    }

    /// Whether everything in one value is in the other, which may have more fields.
    fn is_in(part: &serde_json::Value, whole: &serde_json::Value) -> bool {
        match (part.as_object(), part.as_array()) {
            (Some(fields), _) => fields.iter().all(|(name, value)| is_in(value, &whole[name])),
            (_, Some(list)) => list.iter().enumerate().all(|(index, value)| is_in(value, &whole[index])),
            _ => part == whole,
        }
    }
}
