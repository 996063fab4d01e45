//! Our messages as the engine's. Pure.

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

/// A message that another one answers, reacts to, changes or deletes.
#[derive(Debug, Clone, PartialEq)]
pub struct Quote {
    pub id: String,
    /// Who wrote it; an address.
    pub author: String,
    /// Whether the session's own account did.
    pub is_own: bool,
    /// Where it is, if not in the chat of the answer.
    pub chat: Option<String>,
    /// What it said, where that is known: phones show it above the answer.
    pub message: Option<Message>,
}

/// Something that is written for those alone who know a secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Sealed {
    pub payload: Vec<u8>,
    pub iv: Vec<u8>,
    /// The chat, and who wrote what it is about, under the addresses it is sealed for.
    pub chat: String,
    pub creator: String,
}

impl Sealed {
    /// The key of what it is about, under those addresses: who reads it has no others.
    fn about(&self, key: wa::MessageKey) -> wa::MessageKey {
        let participant = key.participant.is_some().then(|| self.creator.clone());
        wa::MessageKey {
            remote_jid: Some(self.chat.clone()),
            participant,
            ..key
        }
    }
}

/// What a message needs besides its own words.
pub(super) struct Around<'a> {
    pub chat: &'a ChatId,
    pub quote: Option<&'a Quote>,
    /// What votes and answers are sealed with.
    pub secret: Option<Vec<u8>>,
    /// Of a vote or an answer: what it says.
    pub sealed: Option<Sealed>,
    /// Of the first link in a text.
    pub preview: Option<&'a Preview>,
    /// What changes another caption, as it left.
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

/// `None` for what cannot be sent: a message whose file is missing, or one of a kind that only comes in.
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

/// The album is always the account's own.
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

/// A message as an answer quotes it: its words, without its file and what it answered itself.
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

/// What phones know a message by. In a group, and of a status, the author of somebody else's belongs to it.
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
