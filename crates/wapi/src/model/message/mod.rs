//! The message object of requests, answers, webhooks, the feed and the store. Pure.
//!
//! It is the same in all of them, and a public contract.

mod catalog;
mod chat;
mod contact;
pub(crate) mod emoji;
pub(crate) mod interactive;
mod kinds;
mod media;
mod mentions;
mod number;
mod products;
pub mod vcard;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::event::Person;

pub use catalog::{CatalogPage, CatalogProduct, OrderDetails, OrderItem, ProductImage};
pub use chat::{ChatId, ChatIdError, STATUS};
pub use contact::{ContactCard, ContactPhone};
use interactive::InteractiveContent;
pub use kinds::{
    AlbumContent, CalendarEvent, ChatTimer, DeletionContent, EditContent, EventResponse,
    EventVenue, GroupInvite, InvitationReply, KeepContent, LiveLocation, Location,
    NewsletterInvite, PhoneNumberRequest, PinContent, PollContent, PollQuiz, PollVote,
    ReactionContent, StatusFont, TextContent,
};
pub use media::{ImageType, MediaContent, MediaKind, parse_sha256};
pub use products::{Order, Price, Product};

/// A message: its content, and the message it refers to.
///
/// `{"type": "text", "text": {"body": "…"}, "context": {"message_id": "…"}}`
// Sent messages are stored as JSON, so fields are only ever added.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct Message {
    /// The quoted message.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub context: Option<MessageContext>,
    /// Addresses of the mentioned people.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentions: Vec<String>,
    /// Everybody in the group is mentioned.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub mentions_everyone: bool,
    /// The mentioned people with all their known addresses. Only in received messages.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub mentioned: Vec<Person>,
    /// The message was forwarded from another chat.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    pub forwarded: bool,
    /// Seconds after which it disappears, in a chat with a disappearing timer.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expires_after: Option<u32>,
    /// The album it belongs to: the id of the message that announced it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub album_id: Option<String>,
    /// For a status: the addresses of the people that may see it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub audience: Vec<String>,
    #[serde(flatten)]
    pub content: MessageContent,
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
pub struct MessageContext {
    pub message_id: String,
    /// Address of the author, like the fields below only in received messages.
    #[schemars(description = "Id of the author.")]
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<String>,
    /// The author's number in digits, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub phone: Option<String>,
    /// The author's LID, where known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lid: Option<String>,
    /// The chat of the quoted message, if it is another one, such as a status.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub chat: Option<String>,
    /// The quoted content, as far as the answer shows it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    #[schemars(with = "Option<AnyObject>")]
    pub quoted: Option<Box<MessageContent>>,
}

/// Any object, in schemas.
type AnyObject = serde_json::Map<String, serde_json::Value>;

/// The content of a message: its `type`, and the one object of that name.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize, JsonSchema)]
#[serde(tag = "type", rename_all = "snake_case")]
pub enum MessageContent {
    Text {
        text: TextContent,
    },
    Image {
        image: MediaContent,
    },
    Video {
        video: MediaContent,
    },
    Audio {
        audio: MediaContent,
    },
    Document {
        document: MediaContent,
    },
    Sticker {
        sticker: MediaContent,
    },
    Location {
        location: Location,
    },
    LiveLocation {
        live_location: LiveLocation,
    },
    Contacts {
        contacts: Vec<ContactCard>,
    },
    Poll {
        poll: PollContent,
    },
    Event {
        event: CalendarEvent,
    },
    GroupInvite {
        group_invite: GroupInvite,
    },
    NewsletterInvite {
        newsletter_invite: NewsletterInvite,
    },
    /// Images and videos that belong together follow, each as a message of its own.
    Album {
        album: AlbumContent,
    },
    /// The sender asks for the phone number of the recipient, who shares it or does not.
    PhoneNumberRequest {
        phone_number_request: PhoneNumberRequest,
    },
    Interactive {
        /// As it was sent: see the routes that send.
        #[schemars(with = "AnyObject")]
        interactive: InteractiveContent,
    },
    Product {
        product: Box<Product>,
    },
    /// Received only: the customer's phone composes it.
    Order {
        order: Box<Order>,
    },
    PollVote {
        poll_vote: PollVote,
    },
    EventResponse {
        event_response: EventResponse,
    },
    // These five, and the two above, are about an earlier message. When others send them, each is
    // an event of its own.
    Reaction {
        reaction: ReactionContent,
    },
    Edit {
        edit: EditContent,
    },
    Deletion {
        deletion: DeletionContent,
    },
    Pin {
        pin: PinContent,
    },
    Keep {
        keep: KeepContent,
    },
    /// The messages that follow disappear after some time, or no longer do. Requested by `PATCH
    /// …/chats/{chat}`.
    Timer {
        timer: ChatTimer,
    },
    /// A kind of message that has no shape here yet; received ones are delivered all the same.
    Unsupported {
        /// WhatsApp's protobuf as JSON, without unset fields; bytes are base64.
        #[serde(default, skip_serializing_if = "serde_json::Value::is_null")]
        #[schemars(with = "AnyObject")]
        raw: serde_json::Value,
    },
}

impl Message {
    pub const fn new(content: MessageContent) -> Self {
        Self {
            content,
            context: None,
            mentions: Vec::new(),
            mentions_everyone: false,
            mentioned: Vec::new(),
            forwarded: false,
            expires_after: None,
            album_id: None,
            audience: Vec::new(),
        }
    }

    pub const fn from_text(body: String) -> Self {
        Self::new(MessageContent::Text {
            text: TextContent::new(body),
        })
    }

    /// Returns the message as it reads after an edit, which is given as the new message. In a
    /// message with a file only the caption can be edited; the edit does not repeat the rest.
    #[must_use]
    pub fn with_edit(mut self, edit: &Self) -> Self {
        let caption = match &edit.content {
            MessageContent::Text { text } => Some(text.body.clone()),
            other => other
                .media_file()
                .and_then(|(_, file)| file.caption.clone()),
        };
        if let Some(file) = self.content.media_mut() {
            file.caption = caption.filter(|caption| !caption.is_empty());
            return self;
        }
        Self {
            context: self.context,
            ..edit.clone()
        }
    }

    /// Returns the id of the message it quotes or is about.
    pub fn referenced_id(&self) -> Option<&str> {
        let about = match &self.content {
            MessageContent::PollVote { poll_vote } => Some(&poll_vote.message_id),
            MessageContent::EventResponse { event_response } => Some(&event_response.message_id),
            MessageContent::Reaction { reaction } => Some(&reaction.message_id),
            MessageContent::Edit { edit } => Some(&edit.message_id),
            MessageContent::Deletion { deletion } => Some(&deletion.message_id),
            MessageContent::Pin { pin } => Some(&pin.message_id),
            MessageContent::Keep { keep } => Some(&keep.message_id),
            _ => self.context.as_ref().map(|context| &context.message_id),
        };
        about.map(String::as_str)
    }
}

impl MessageContent {
    /// Returns a vote or a response: the id of the poll or event, and the chosen options.
    pub fn chosen_options(&self) -> Option<(&str, Vec<String>)> {
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

    /// Returns the `type`.
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
            Self::NewsletterInvite { .. } => "newsletter_invite",
            Self::PhoneNumberRequest { .. } => "phone_number_request",
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

    /// Returns whether a download must precede the sending.
    pub fn needs_download(&self) -> bool {
        match self {
            Self::Text { text } => text.preview_url,
            content => content.media_file().is_some(),
        }
    }

    /// Returns whether people see it as a message of its own.
    pub const fn is_standalone(&self) -> bool {
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

    /// Returns its approximate size in memory, in bytes.
    pub fn memory_size(&self) -> usize {
        match (self, self.media_file()) {
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

    /// Returns the file of a received message of any kind, to complete its data.
    pub fn media_mut(&mut self) -> Option<&mut MediaContent> {
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

    /// Returns the file it carries, if any.
    pub fn media_file(&self) -> Option<(MediaKind, &MediaContent)> {
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

    /// Returns the file to change its caption, for kinds that have one.
    pub fn captioned_media_mut(&mut self) -> Option<&mut MediaContent> {
        match self {
            Self::Image { image } => Some(image),
            Self::Video { video } => Some(video),
            Self::Document { document } => Some(document),
            _ => None,
        }
    }

    /// Replaces the text or caption with that of an edit.
    pub fn apply_edit(&mut self, edit: &EditContent) {
        match (&edit.text, self.captioned_media_mut()) {
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
    use crate::model::message::*;
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

    /// Returns whether one value contains everything in the other, and perhaps more fields.
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
