//! The message object: the same in requests, answers, webhooks, the feed and the store. A public contract. Pure.

mod chat;
mod contact;
pub mod emoji;
pub mod interactive;
mod kinds;
mod media;
mod mentions;
mod number;
mod products;
mod shop;
pub mod vcard;

use serde::{Deserialize, Serialize};

use crate::event::Person;

pub use chat::{ChatId, NoChat, STATUS};
pub use contact::{Contact, Phone};
use interactive::Interactive;
pub use kinds::{
    Album, CalendarEvent, ChatTimer, Deletion, Edit, EventResponse, Font, GroupInvite, Keep,
    LiveLocation, Location, Pin, Place, Poll, PollVote, Quiz, Reaction, Text,
};
pub use media::{ImageType, Media, MediaKind, sha256};
pub use products::{Order, Price, Product};
pub use shop::{Catalog, Offer, OfferImage, OrderContent, OrderItem};

/// A message: what it says, and what that refers to. Sent ones are kept as JSON, so fields are only ever added.
///
/// `{"type": "text", "text": {"body": "…"}, "context": {"message_id": "…"}}`
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Message {
    /// The message this one answers.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<Context>,
    /// The addresses of those it mentions.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<String>,
    /// The same as people, with all that is known of their addresses. Told of what comes in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentioned: Vec<Person>,
    /// Its words were said before, by somebody, somewhere else.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forwarded: bool,
    /// Seconds after which it disappears, in a chat whose messages do.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<u32>,
    /// The album it is part of: the id of the message that announced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub album_id: Option<String>,
    /// Of a status: the addresses of those who may see it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    #[serde(flatten)]
    pub content: Content,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Context {
    pub message_id: String,
    /// The address of who wrote it. Told of what comes in, like what follows.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// Their number in digits, and their LID, where they are known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// Where it was, if not in this chat: a status, say.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<String>,
    /// What it said, as far as the answer shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub quoted: Option<Box<Content>>,
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
    LiveLocation {
        live_location: LiveLocation,
    },
    Contacts {
        contacts: Vec<Contact>,
    },
    Poll {
        poll: Poll,
    },
    Event {
        event: CalendarEvent,
    },
    GroupInvite {
        group_invite: GroupInvite,
    },
    /// Pictures and films that belong together follow, each as a message of its own.
    Album {
        album: Album,
    },
    Interactive {
        interactive: Interactive,
    },
    Product {
        product: Box<Product>,
    },
    /// Comes in only: a customer's phone puts it together.
    Order {
        order: Box<Order>,
    },
    PollVote {
        poll_vote: PollVote,
    },
    EventResponse {
        event_response: EventResponse,
    },
    /// These five, and the two above, are about an earlier message. When others do them, an event of its own tells it.
    Reaction {
        reaction: Reaction,
    },
    Edit {
        edit: Edit,
    },
    Deletion {
        deletion: Deletion,
    },
    Pin {
        pin: Pin,
    },
    Keep {
        keep: Keep,
    },
    /// What follows disappears after some time, or not any more. Asked for by `PATCH …/chats/{chat}`.
    Timer {
        timer: ChatTimer,
    },
    /// WhatsApp has kinds of messages that have no shape here yet; one that arrived is told all the same.
    Unsupported {
        /// WhatsApp's protobuf as JSON, without what is not set; bytes are base64.
        #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
        raw: serde_json::Value,
    },
}

impl Message {
    pub const fn new(content: Content) -> Self {
        Self {
            content,
            context: None,
            mentions: Vec::new(),
            mentioned: Vec::new(),
            forwarded: false,
            expires_after: None,
            album_id: None,
            audience: Vec::new(),
        }
    }

    pub const fn text(body: String) -> Self {
        Self::new(Content::Text {
            text: Text::new(body),
        })
    }

    /// The message it answers or is about.
    pub fn refers_to(&self) -> Option<&str> {
        let about = match &self.content {
            Content::PollVote { poll_vote } => Some(&poll_vote.message_id),
            Content::EventResponse { event_response } => Some(&event_response.message_id),
            Content::Reaction { reaction } => Some(&reaction.message_id),
            Content::Edit { edit } => Some(&edit.message_id),
            Content::Deletion { deletion } => Some(&deletion.message_id),
            Content::Pin { pin } => Some(&pin.message_id),
            Content::Keep { keep } => Some(&keep.message_id),
            _ => self.context.as_ref().map(|context| &context.message_id),
        };
        about.map(String::as_str)
    }
}

impl Content {
    /// What it says to a poll or an event: the id of that, and what is chosen.
    pub fn ballot(&self) -> Option<(&str, Vec<String>)> {
        match self {
            Self::PollVote { poll_vote } => {
                Some((&poll_vote.message_id, poll_vote.options.clone()))
            }
            Self::EventResponse { event_response } => Some((
                &event_response.message_id,
                vec![event_response.response.clone()],
            )),
            _ => None,
        }
    }

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
            Self::LiveLocation { .. } => "live_location",
            Self::Contacts { .. } => "contacts",
            Self::Poll { .. } => "poll",
            Self::Event { .. } => "event",
            Self::GroupInvite { .. } => "group_invite",
            Self::Album { .. } => "album",
            Self::Interactive { .. } => "interactive",
            Self::Product { .. } => "product",
            Self::Order { .. } => "order",
            Self::PollVote { .. } => "poll_vote",
            Self::EventResponse { .. } => "event_response",
            Self::Reaction { .. } => "reaction",
            Self::Edit { .. } => "edit",
            Self::Deletion { .. } => "deletion",
            Self::Pin { .. } => "pin",
            Self::Keep { .. } => "keep",
            Self::Timer { .. } => "timer",
            Self::Unsupported { .. } => "unsupported",
        }
    }

    /// Whether something has to be fetched before it can leave.
    pub fn needs_fetching(&self) -> bool {
        match self {
            Self::Text { text } => text.preview_url,
            content => content.file().is_some(),
        }
    }

    /// Whether people see it as a message of its own.
    pub const fn stands_alone(&self) -> bool {
        !matches!(
            self,
            Self::PollVote { .. }
                | Self::EventResponse { .. }
                | Self::Reaction { .. }
                | Self::Edit { .. }
                | Self::Deletion { .. }
                | Self::Pin { .. }
                | Self::Keep { .. }
                | Self::Timer { .. }
        )
    }

    /// Roughly how many bytes it takes in memory.
    pub fn size(&self) -> usize {
        match (self, self.file()) {
            (Self::Product { product }, _) => [&product.title, &product.description, &product.body]
                .into_iter()
                .flatten()
                .map(String::len)
                .sum(),
            (_, Some((_, file))) => [&file.link, &file.caption]
                .into_iter()
                .flatten()
                .map(String::len)
                .sum(),
            (Self::Text { text }, None) => text.body.len(),
            (Self::Edit { edit }, None) => {
                edit.text.as_ref().map_or(0, |text| text.body.len())
                    + edit.caption.as_ref().map_or(0, String::len)
            }
            (Self::Poll { poll }, None) => {
                poll.question.len() + poll.options.iter().map(String::len).sum::<usize>()
            }
            (Self::Event { event }, None) => {
                event.name.len() + event.description.as_ref().map_or(0, String::len)
            }
            (Self::Contacts { contacts }, None) => {
                contacts.iter().map(|contact| contact.vcard.len()).sum()
            }
            (_, None) => size_of::<Self>(),
        }
    }

    /// The same to be filled in, of any kind that comes in.
    pub fn media_mut(&mut self) -> Option<&mut Media> {
        match self {
            Self::Image { image: media }
            | Self::Video { video: media }
            | Self::Audio { audio: media }
            | Self::Document { document: media }
            | Self::Sticker { sticker: media } => Some(media),
            Self::Product { product } => product.image.as_mut(),
            _ => None,
        }
    }

    /// The file it carries, if it carries one.
    pub fn file(&self) -> Option<(MediaKind, &Media)> {
        match self {
            Self::Image { image } => Some((MediaKind::Image, image)),
            Self::Video { video } => Some((MediaKind::Video, video)),
            Self::Audio { audio } if audio.voice => Some((MediaKind::Voice, audio)),
            Self::Audio { audio } => Some((MediaKind::Audio, audio)),
            Self::Document { document } => Some((MediaKind::Document, document)),
            Self::Sticker { sticker } => Some((MediaKind::Sticker, sticker)),
            Self::Product { product } => product
                .image
                .as_ref()
                .map(|image| (MediaKind::Image, image)),
            _ => None,
        }
    }

    /// The same, to change what stands below it.
    pub fn captioned_mut(&mut self) -> Option<&mut Media> {
        match self {
            Self::Image { image } => Some(image),
            Self::Video { video } => Some(video),
            Self::Document { document } => Some(document),
            _ => None,
        }
    }

    /// With the words of an edit in place of its own.
    pub fn reword(&mut self, edit: &Edit) {
        match (&edit.text, self.captioned_mut()) {
            (Some(text), _) => *self = Self::Text { text: text.clone() },
            (None, Some(file)) => {
                file.caption = edit.caption.clone().filter(|caption| !caption.is_empty())
            }
            (None, None) => {}
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
            (Some(fields), _) => fields
                .iter()
                .all(|(name, value)| is_in(value, &whole[name])),
            (_, Some(list)) => list
                .iter()
                .enumerate()
                .all(|(index, value)| is_in(value, &whole[index])),
            _ => part == whole,
        }
    }
}
