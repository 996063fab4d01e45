//! Outgoing messages as WhatsApp protobufs. Pure.

mod content;
mod context;
mod interactive;
mod media;
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

use crate::media::link_download::LinkPreview;
use crate::model::message::{ChatId, Message, MessageContent};

pub(in crate::whatsapp) use media::{MediaForm, UploadedMedia, upload_type};
pub(in crate::whatsapp) use products::fill_owner;

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
pub(in crate::whatsapp) struct SealedPayload {
    pub payload: Vec<u8>,
    pub iv: Vec<u8>,
    /// Address of the chat, and in `creator` of the target's author, as the encryption uses them.
    pub chat: String,
    pub creator: String,
}

impl SealedPayload {
    /// Returns the target's key with these addresses: readers know no others.
    fn readdress_key(&self, key: wa::MessageKey) -> wa::MessageKey {
        let participant = key.participant.is_some().then(|| self.creator.clone());
        wa::MessageKey {
            remote_jid: Some(self.chat.clone()),
            participant,
            ..key
        }
    }
}

/// Everything a message needs besides its own content.
pub(in crate::whatsapp) struct EncodeContext<'a> {
    pub chat: &'a ChatId,
    pub quote: Option<&'a Quote>,
    /// Secret that encrypts the votes on a poll and the responses to an event.
    pub secret: Option<Vec<u8>>,
    /// Encrypted content of a vote or a response.
    pub sealed: Option<SealedPayload>,
    /// Preview of the first link in a text.
    pub preview: Option<&'a LinkPreview>,
    /// For a caption edit: the edited message as it was sent.
    pub original: Option<wa::Message>,
    pub now: Timestamp,
}

pub(in crate::whatsapp) fn chat_jid(chat: &ChatId) -> Jid {
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
pub(in crate::whatsapp) fn encode_message(
    message: &Message,
    file: Option<UploadedMedia>,
    around: &EncodeContext<'_>,
) -> Option<wa::Message> {
    let mut protobuf = match &message.content {
        MessageContent::Reaction { reaction } => {
            content::build_reaction(reaction, quoted_key(around)?, around.now)
        }
        MessageContent::PollVote { .. } => {
            let sealed = around.sealed.clone()?;
            let poll = sealed.readdress_key(quoted_key(around)?);
            content::build_vote(sealed, poll, around.now)
        }
        MessageContent::EventResponse { .. } => {
            let sealed = around.sealed.clone()?;
            let event = sealed.readdress_key(quoted_key(around)?);
            content::build_response(sealed, event)
        }
        MessageContent::Edit { edit } => {
            let edited = match (&edit.text, &edit.caption) {
                (Some(text), _) => content::build_text(text),
                (None, caption) => media::replace_caption(
                    around.original.clone()?,
                    caption.as_deref().unwrap_or_default(),
                )?,
            };
            let edited_message = MessageField::some(edited);
            let timestamp_ms = Some(around.now.as_millisecond());
            build_change(
                Type::MESSAGE_EDIT,
                around,
                ProtocolMessage {
                    edited_message,
                    timestamp_ms,
                    ..Default::default()
                },
            )?
        }
        MessageContent::Deletion { .. } => {
            build_change(Type::REVOKE, around, ProtocolMessage::default())?
        }
        MessageContent::Timer { timer } => content::build_timer(timer, around.now),
        MessageContent::Pin { pin } => content::build_pin(pin, quoted_key(around)?, around.now),
        MessageContent::Keep { keep } => {
            build_keep_in_chat_message(quoted_key(around)?, keep.kept, around.now.as_millisecond())
        }
        MessageContent::Text { text } if *around.chat == ChatId::Status => {
            status::build_text_status(text)
        }
        MessageContent::Text { text } => content::build_text_with_preview(text, around.preview),
        MessageContent::Product { product } if product.image.is_some() => {
            products::build_product(product, Some(file?))
        }
        content => match content.media_file() {
            Some((kind, media)) => media::build_media(kind, media, Some(file?)),
            None => content::build_content(content)?,
        },
    };
    context::attach_context(&mut protobuf, message, around.quote);
    if let Some(album) = &message.album_id {
        let around = MessageContextInfo {
            message_association: associate_album(album, around.chat),
            ..Default::default()
        };
        protobuf.message_context_info = MessageField::some(around);
    }
    if let (MessageContent::Poll { .. } | MessageContent::Event { .. }, Some(_)) =
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
        .media_file()
        .is_some_and(|(_, media)| media.view_once);
    Some(if is_view_once {
        media::wrap_view_once(protobuf)
    } else {
        protobuf
    })
}

/// Links a message to its album, which is always the account's own.
fn associate_album(album: &str, chat: &ChatId) -> MessageField<wa::MessageAssociation> {
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
fn build_quoted(message: &Message) -> Option<wa::Message> {
    match (&message.content, message.content.media_file()) {
        (MessageContent::Product { product }, _) => Some(products::build_product(product, None)),
        (_, Some((kind, media))) => Some(media::build_media(kind, media, None)),
        (content, None) => content::build_content(content),
    }
}

fn build_change(
    kind: Type,
    around: &EncodeContext<'_>,
    change: ProtocolMessage,
) -> Option<wa::Message> {
    let change = ProtocolMessage {
        key: MessageField::some(quoted_key(around)?),
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
fn quoted_key(around: &EncodeContext<'_>) -> Option<wa::MessageKey> {
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
