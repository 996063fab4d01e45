//! Messages as a test reads them on a phone, converted from WhatsApp's protobuf.

use std::sync::Arc;

use serde::Serialize;
use waproto::whatsapp as wa;

use crate::model::media_reference::MediaReference;

/// A decrypted message on a phone.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct PhoneMessage {
    /// WhatsApp's id, chosen by the sender.
    pub id: String,
    /// The sender: the bare phone-number address of the account, `…@s.whatsapp.net`.
    pub from: String,
    /// The sending device of that account; 0 is its phone.
    pub from_device: u16,
    /// The sender as the stanza named it: by number or by LID. Votes, answers and encrypted edits
    /// are sealed under this address.
    pub address: String,
    /// The other side of the conversation, as a bare phone-number address.
    pub chat: String,
    /// Whether this account sent it, from one of its linked devices.
    pub from_me: bool,
    /// `text`, `image`, `video`, `audio`, `document`, `sticker`, `product`, or the protobuf field's
    /// name for anything else.
    pub kind: String,
    /// The text of a text message.
    pub text: Option<String>,
    /// The caption of a media message.
    pub caption: Option<String>,
    /// The media, downloaded and decrypted.
    pub media: Option<PhoneMedia>,
    /// Unix time in seconds, by the server's clock.
    pub timestamp: u64,
    /// The whole decrypted message; of a copy from a linked device, the copied message.
    #[serde(skip)]
    pub protobuf: Arc<wa::Message>,
}

impl PhoneMessage {
    /// The protobuf as JSON, without unset fields. Bytes are lists of numbers.
    pub fn to_json(&self) -> serde_json::Value {
        let mut json = serde_json::to_value(&*self.protobuf).expect("every protobuf is JSON");
        prune_empty(&mut json);
        json
    }
}

fn prune_empty(value: &mut serde_json::Value) {
    if let Some(fields) = value.as_object_mut() {
        fields.values_mut().for_each(prune_empty);
        fields.retain(|_, value| {
            let is_empty = value.as_array().is_some_and(Vec::is_empty);
            !value.is_null()
                && !is_empty
                && value.as_object().is_none_or(|fields| !fields.is_empty())
        });
    } else if let Some(list) = value.as_array_mut() {
        list.iter_mut().for_each(prune_empty);
    }
}

/// Media as a phone shows it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PhoneMedia {
    /// Its type, such as `image/jpeg`.
    pub mime: String,
    /// The file.
    #[serde(serialize_with = "as_base64")]
    pub bytes: Vec<u8>,
}

fn as_base64<S: serde::Serializer>(bytes: &[u8], serializer: S) -> Result<S::Ok, S::Error> {
    use base64::Engine;
    serializer.serialize_str(&base64::engine::general_purpose::STANDARD.encode(bytes))
}

/// The content of a decrypted protobuf, before its media is fetched.
#[derive(Debug, Default)]
pub(crate) struct MessageContent {
    pub(crate) kind: String,
    pub(crate) text: Option<String>,
    pub(crate) caption: Option<String>,
    pub(crate) media: Option<MediaReference>,
}

/// Reads the kinds of messages that a phone shows.
pub(crate) fn read_content(message: &wa::Message) -> MessageContent {
    let message = unwrap_message(message);
    if let Some(text) = &message.conversation {
        return text_content(Some(text.clone()));
    }
    if let Some(extended) = message.extended_text_message.as_option() {
        return text_content(extended.text.clone());
    }
    macro_rules! reference {
        ($medium:expr, $kind:literal) => {
            MediaReference {
                kind: $kind,
                mime: $medium.mimetype.clone().unwrap_or_default(),
                direct_path: $medium.direct_path.clone().unwrap_or_default(),
                media_key: $medium.media_key.clone().unwrap_or_default(),
                file_sha256: $medium.file_sha256.clone().unwrap_or_default(),
                file_enc_sha256: $medium.file_enc_sha256.clone().unwrap_or_default(),
                file_length: $medium.file_length.unwrap_or_default(),
            }
        };
    }
    macro_rules! media {
        ($field:ident, $kind:literal, $caption:expr) => {
            if let Some(medium) = message.$field.as_option() {
                let caption: fn(&_) -> Option<String> = $caption;
                return MessageContent {
                    kind: $kind.to_owned(),
                    caption: caption(medium),
                    media: Some(reference!(medium, $kind)),
                    ..MessageContent::default()
                };
            }
        };
    }
    if let Some(product) = message.product_message.as_option() {
        let picture = product
            .product
            .as_option()
            .and_then(|product| product.product_image.as_option());
        let media = picture.map(|picture| reference!(picture, "image"));
        return MessageContent {
            kind: "product".to_owned(),
            caption: product.body.clone(),
            media,
            ..MessageContent::default()
        };
    }
    media!(
        image_message,
        "image",
        |image: &wa::message::ImageMessage| image.caption.clone()
    );
    media!(
        video_message,
        "video",
        |video: &wa::message::VideoMessage| video.caption.clone()
    );
    media!(ptv_message, "video", |video: &wa::message::VideoMessage| {
        video.caption.clone()
    });
    media!(
        document_message,
        "document",
        |document: &wa::message::DocumentMessage| document.caption.clone()
    );
    media!(audio_message, "audio", |_: &wa::message::AudioMessage| None);
    media!(
        sticker_message,
        "sticker",
        |_: &wa::message::StickerMessage| None
    );
    MessageContent {
        kind: other_kind(message).to_owned(),
        ..MessageContent::default()
    }
}

fn text_content(text: Option<String>) -> MessageContent {
    MessageContent {
        kind: "text".to_owned(),
        text,
        ..MessageContent::default()
    }
}

/// Removes all wrappers that only say how a message is to be shown, or that it changes another one.
pub(crate) fn unwrap_message(message: &wa::Message) -> &wa::Message {
    let wrapped = [
        &message.ephemeral_message,
        &message.view_once_message,
        &message.view_once_message_v2,
        &message.view_once_message_v2_extension,
        &message.document_with_caption_message,
        &message.edited_message,
        &message.group_mentioned_message,
        &message.bot_invoke_message,
        &message.lottie_sticker_message,
        &message.event_cover_image,
        &message.status_mention_message,
        &message.poll_creation_option_image_message,
        &message.associated_child_message,
        &message.group_status_mention_message,
        &message.poll_creation_message_v4,
        &message.status_add_yours,
        &message.group_status_message,
        &message.group_status_message_v2,
        &message.limit_sharing_message,
        &message.question_message,
        &message.question_reply_message,
        &message.spoiler_message,
    ];
    for wrapper in wrapped {
        if let Some(inner) = wrapper
            .as_option()
            .and_then(|wrapper| wrapper.message.as_option())
        {
            return unwrap_message(inner);
        }
    }
    match message
        .device_sent_message
        .as_option()
        .and_then(|copy| copy.message.as_option())
    {
        Some(copied) => unwrap_message(copied),
        None => message,
    }
}

fn other_kind(message: &wa::Message) -> &'static str {
    if message.protocol_message.is_set() {
        "protocol"
    } else if message.reaction_message.is_set() {
        "reaction"
    } else if message.location_message.is_set() {
        "location"
    } else if message.contact_message.is_set() {
        "contact"
    } else if message.order_message.is_set() {
        "order"
    } else {
        "other"
    }
}
