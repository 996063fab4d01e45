//! Outgoing messages as WhatsApp protobufs. Pure.

mod context;
mod files;
mod interactive;
mod kinds;
mod products;
mod status;

use jiff::Timestamp;
use whatsapp_rust::Jid;
use whatsapp_rust::wacore::proto_helpers::build_keep_in_chat_message;
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp::message::ProtocolMessage;
use whatsapp_rust::waproto::whatsapp::message::protocol_message::Type;
use whatsapp_rust::waproto::whatsapp::message_association::AssociationType;
use whatsapp_rust::waproto::whatsapp::{self as wa, MessageContextInfo};

use crate::fetch::Preview;
use crate::message::{ChatId, Content, Message};

pub(super) use files::{Form, Uploaded, upload_type};
pub(super) use products::owned;

/// A message that another one replies to, reacts to, changes or deletes.
#[derive(Debug, Clone, PartialEq)]
pub struct Quote {
    pub id: String,
    /// Address of the author.
    pub author: String,
    /// Whether the session's own account wrote it.
    pub is_own: bool,
    /// Its chat, if not the chat of the reply.
    pub chat: Option<String>,
    /// Its content, if known: phones show it above the reply.
    pub message: Option<Message>,
}

/// A payload that only the holders of a message's secret can read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sealed {
    pub payload: Vec<u8>,
    pub iv: Vec<u8>,
    /// Address of the chat, and in `creator` of the target's author, as the encryption uses them.
    pub chat: String,
    pub creator: String,
}

impl Sealed {
    /// Returns the target's key with these addresses: readers know no others.
    fn about(&self, key: wa::MessageKey) -> wa::MessageKey {
        let participant = key.participant.is_some().then(|| self.creator.clone());
        wa::MessageKey {
            remote_jid: Some(self.chat.clone()),
            participant,
            ..key
        }
    }
}

/// Everything a message needs besides its own content.
pub(super) struct Around<'a> {
    pub chat: &'a ChatId,
    pub quote: Option<&'a Quote>,
    /// Secret that encrypts the votes on a poll and the responses to an event.
    pub secret: Option<Vec<u8>>,
    /// Encrypted content of a vote or a response.
    pub sealed: Option<Sealed>,
    /// Preview of the first link in a text.
    pub preview: Option<&'a Preview>,
    /// For a caption edit: the edited message as it was sent.
    pub original: Option<wa::Message>,
    pub now: Timestamp,
}

pub(super) fn jid(chat: &ChatId) -> Jid {
    match chat {
        ChatId::Phone(user) => Jid::pn(user),
        ChatId::Lid(user) => Jid::lid(user),
        ChatId::Group(user) => Jid::group(user),
        ChatId::Status => Jid::status_broadcast(),
        ChatId::Newsletter(user) => Jid::newsletter(user),
    }
}

/// Builds the protobuf; `None` for a message that cannot be sent, because its file is missing or
/// its kind is only received.
pub(super) fn protobuf(
    message: &Message,
    file: Option<Uploaded>,
    around: &Around<'_>,
) -> Option<wa::Message> {
    let mut protobuf = match &message.content {
        Content::Reaction { reaction } => kinds::reaction(reaction, key(around)?, around.now),
        Content::PollVote { .. } => {
            let sealed = around.sealed.clone()?;
            let poll = sealed.about(key(around)?);
            kinds::vote(sealed, poll, around.now)
        }
        Content::EventResponse { .. } => {
            let sealed = around.sealed.clone()?;
            let event = sealed.about(key(around)?);
            kinds::response(sealed, event)
        }
        Content::Edit { edit } => {
            let edited = match (&edit.text, &edit.caption) {
                (Some(text), _) => kinds::text(text),
                (None, caption) => files::captioned(
                    around.original.clone()?,
                    caption.as_deref().unwrap_or_default(),
                )?,
            };
            let edited_message = MessageField::some(edited);
            let timestamp_ms = Some(around.now.as_millisecond());
            change(
                Type::MESSAGE_EDIT,
                around,
                ProtocolMessage {
                    edited_message,
                    timestamp_ms,
                    ..Default::default()
                },
            )?
        }
        Content::Deletion { .. } => change(Type::REVOKE, around, ProtocolMessage::default())?,
        Content::Timer { timer } => kinds::timer(timer, around.now),
        Content::Pin { pin } => kinds::pin(pin, key(around)?, around.now),
        Content::Keep { keep } => {
            build_keep_in_chat_message(key(around)?, keep.kept, around.now.as_millisecond())
        }
        Content::Text { text } if *around.chat == ChatId::Status => status::text(text),
        Content::Text { text } => kinds::text_with(text, around.preview),
        Content::Product { product } if product.image.is_some() => {
            products::message(product, Some(file?))
        }
        content => match content.file() {
            Some((kind, media)) => files::message(kind, media, Some(file?)),
            None => kinds::message(content)?,
        },
    };
    context::attach(&mut protobuf, message, around.quote);
    if let Some(album) = &message.album_id {
        let around = MessageContextInfo {
            message_association: part_of(album, around.chat),
            ..Default::default()
        };
        protobuf.message_context_info = MessageField::some(around);
    }
    if let (Content::Poll { .. } | Content::Event { .. }, Some(_)) =
        (&message.content, &around.secret)
    {
        let secret = MessageContextInfo {
            message_secret: around.secret.clone(),
            ..Default::default()
        };
        protobuf.message_context_info = MessageField::some(secret);
    }
    let is_view_once = message
        .content
        .file()
        .is_some_and(|(_, media)| media.view_once);
    Some(if is_view_once {
        files::once(protobuf)
    } else {
        protobuf
    })
}

/// Links a message to its album, which is always the account's own.
fn part_of(album: &str, chat: &ChatId) -> MessageField<wa::MessageAssociation> {
    let parent = wa::MessageKey {
        remote_jid: Some(chat.to_string()),
        from_me: Some(true),
        id: Some(album.to_owned()),
        participant: None,
    };
    MessageField::some(wa::MessageAssociation {
        association_type: Some(AssociationType::MEDIA_ALBUM),
        parent_message_key: MessageField::some(parent),
        ..Default::default()
    })
}

/// Returns a message as a reply quotes it: its text, without its file and its own quote.
fn quoted(message: &Message) -> Option<wa::Message> {
    match (&message.content, message.content.file()) {
        (Content::Product { product }, _) => Some(products::message(product, None)),
        (_, Some((kind, media))) => Some(files::message(kind, media, None)),
        (content, None) => kinds::message(content),
    }
}

fn change(kind: Type, around: &Around<'_>, change: ProtocolMessage) -> Option<wa::Message> {
    let change = ProtocolMessage {
        key: MessageField::some(key(around)?),
        r#type: Some(kind),
        ..change
    };
    Some(wa::Message {
        protocol_message: MessageField::some(change),
        ..Default::default()
    })
}

/// Returns the key by which phones identify the quoted message. In groups and for statuses, the key
/// of another person's message includes its author.
fn key(around: &Around<'_>) -> Option<wa::MessageKey> {
    let quote = around.quote?;
    let is_named = match around.chat {
        ChatId::Group(_) => !quote.is_own,
        ChatId::Status => !quote.is_own,
        _ => false,
    };
    Some(wa::MessageKey {
        remote_jid: Some(around.chat.to_string()),
        from_me: Some(quote.is_own),
        id: Some(quote.id.clone()),
        participant: is_named.then(|| quote.author.clone()),
    })
}

#[cfg(test)]
mod tests;
