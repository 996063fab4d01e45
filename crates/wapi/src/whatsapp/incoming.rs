//! The engine's messages as ours. Pure.

mod changes;

use jiff::Timestamp;
use whatsapp_rust::Jid;
use whatsapp_rust::types::message::{MessageInfo, MessageSource};
use whatsapp_rust::wacore::proto_helpers::MessageExt;
use whatsapp_rust::wacore_binary::JidExt;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message as kinds;

use super::Incoming;
use crate::event::{Changed, Deletion, EventData, MessageKey, Person, Reaction, ReceivedMessage};
use crate::message::{Contact, Content, Context, Location, Media, Message, Text};
use changes::{Change, What, change};

/// What to tell of a message; `None` when there is nothing to tell: our own messages, stories, votes, and the protocol
/// talking to itself.
///
/// `other` is the sender's other address, number or LID, where it is known.
pub(super) fn received(
    session: &str,
    message: &wa::Message,
    info: &MessageInfo,
    other: Option<&Jid>,
) -> Option<Incoming> {
    let source = &info.source;
    if source.is_from_me || source.chat.is_status_broadcast() || source.chat.is_newsletter() {
        return None;
    }
    let from = person(&source.sender, other, &info.push_name);
    let chat = if source.is_group || source.chat.is_group() { source.chat.to_non_ad_string() } else { from.id.clone() };
    let data = match change(message) {
        Some(change) => changed(session, info, &chat, from, change),
        None => EventData::MessageReceived(Box::new(ReceivedMessage {
            session: session.to_owned(),
            id: info.id.to_string(),
            chat: chat.clone(),
            from,
            timestamp: timestamp(info),
            offline: info.is_offline,
            message: self::message(message)?,
        })),
    };
    Some(Incoming { key: key(info), chat, data })
}

fn changed(session: &str, info: &MessageInfo, chat: &str, from: Person, change: Change) -> EventData {
    let Change { message_id, what } = change;
    let changed = Changed {
        session: session.to_owned(),
        id: info.id.to_string(),
        chat: chat.to_owned(),
        from,
        timestamp: timestamp(info),
        offline: info.is_offline,
        message_id,
        change: (),
    };
    match what {
        What::Edited(message) => EventData::MessageEdited(Box::new(changed.with(message))),
        What::Deleted => EventData::MessageDeleted(Box::new(changed.with(Deletion {}))),
        What::Reaction(emoji) => EventData::MessageReaction(Box::new(changed.with(Reaction { emoji }))),
    }
}

fn timestamp(info: &MessageInfo) -> Timestamp {
    Timestamp::from_second(info.timestamp.timestamp()).unwrap_or_default()
}

/// Which device of a sender it came from makes no difference.
fn key(info: &MessageInfo) -> MessageKey {
    let MessageSource { chat, sender, .. } = &info.source;
    MessageKey { chat: chat.to_non_ad_string(), sender: sender.to_non_ad_string(), id: info.id.to_string() }
}

/// Named by their phone number where it is known: that is how callers know people.
pub(super) fn person(sender: &Jid, other: Option<&Jid>, push_name: &str) -> Person {
    let either = |wanted: fn(&Jid) -> bool| [Some(sender), other].into_iter().flatten().find(|jid| wanted(jid));
    let (number, lid) = (either(Jid::is_pn), either(Jid::is_lid));
    Person {
        id: number.or(lid).unwrap_or(sender).to_non_ad_string(),
        phone: number.map(|jid| jid.user_base().to_owned()),
        lid: lid.map(Jid::to_non_ad_string),
        name: Some(push_name.to_owned()).filter(|name| !name.is_empty()),
    }
}

/// `None` for what nobody would see as a message.
fn message(message: &wa::Message) -> Option<Message> {
    Some(Message { content: content(message)?, context: context(message) })
}

fn content(message: &wa::Message) -> Option<Content> {
    let view_once = message.is_view_once();
    let body = message.get_base_message();
    if let Some(text) = body.text_content() {
        return Some(Content::Text { text: Text { body: text.to_owned() } });
    }
    if let Some(image) = body.image_message.as_option() {
        return Some(Content::Image { image: Media { view_once, ..picture(image) } });
    }
    if let Some(video) = body.video_message.as_option().or(body.ptv_message.as_option()) {
        return Some(Content::Video { video: Media { view_once, ..film(video) } });
    }
    if let Some(audio) = body.audio_message.as_option() {
        return Some(Content::Audio { audio: Media { view_once, ..sound(audio) } });
    }
    if let Some(document) = body.document_message.as_option() {
        return Some(Content::Document { document: file(document) });
    }
    if let Some(sticker) = body.sticker_message.as_option() {
        return Some(Content::Sticker { sticker: sticker_file(sticker) });
    }
    if let Some(place) = body.location_message.as_option() {
        return Some(Content::Location { location: location(place) });
    }
    if let Some(contacts) = contacts(body) {
        return Some(Content::Contacts { contacts });
    }
    is_message(body).then_some(Content::Unsupported {})
}

/// Whether a person would see it as a message of its own.
fn is_message(body: &wa::Message) -> bool {
    let bookkeeping = body.protocol_message.is_set()
        || body.reaction_message.is_set()
        || body.enc_reaction_message.is_set()
        || body.poll_update_message.is_set()
        || body.pin_in_chat_message.is_set()
        || body.keep_in_chat_message.is_set()
        || body.secret_encrypted_message.is_set()
        || body.enc_event_response_message.is_set();
    // Keys and context ride along with messages, and come alone, too.
    let mut rest = body.clone();
    rest.sender_key_distribution_message.take();
    rest.fast_ratchet_key_sender_key_distribution_message.take();
    rest.message_context_info.take();
    !bookkeeping && rest != wa::Message::default()
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

fn picture(image: &kinds::ImageMessage) -> Media {
    Media {
        mime_type: image.mimetype.clone(),
        caption: image.caption.clone(),
        size: image.file_length,
        sha256: image.file_sha256.as_deref().map(hex),
        width: image.width,
        height: image.height,
        ..Media::default()
    }
}

fn film(video: &kinds::VideoMessage) -> Media {
    Media {
        mime_type: video.mimetype.clone(),
        caption: video.caption.clone(),
        size: video.file_length,
        sha256: video.file_sha256.as_deref().map(hex),
        width: video.width,
        height: video.height,
        duration: video.seconds,
        gif: video.gif_playback.unwrap_or(false),
        ..Media::default()
    }
}

fn sound(audio: &kinds::AudioMessage) -> Media {
    Media {
        mime_type: audio.mimetype.clone(),
        size: audio.file_length,
        sha256: audio.file_sha256.as_deref().map(hex),
        duration: audio.seconds,
        voice: audio.ptt.unwrap_or(false),
        ..Media::default()
    }
}

fn file(document: &kinds::DocumentMessage) -> Media {
    Media {
        mime_type: document.mimetype.clone(),
        caption: document.caption.clone(),
        filename: document.file_name.clone().or_else(|| document.title.clone()),
        size: document.file_length,
        sha256: document.file_sha256.as_deref().map(hex),
        ..Media::default()
    }
}

fn sticker_file(sticker: &kinds::StickerMessage) -> Media {
    Media {
        mime_type: sticker.mimetype.clone(),
        size: sticker.file_length,
        sha256: sticker.file_sha256.as_deref().map(hex),
        width: sticker.width,
        height: sticker.height,
        ..Media::default()
    }
}

fn location(place: &kinds::LocationMessage) -> Location {
    Location {
        latitude: place.degrees_latitude.unwrap_or_default(),
        longitude: place.degrees_longitude.unwrap_or_default(),
        name: place.name.clone(),
        address: place.address.clone(),
    }
}

fn contacts(body: &wa::Message) -> Option<Vec<Contact>> {
    let one = |contact: &kinds::ContactMessage| Contact {
        name: contact.display_name.clone().unwrap_or_default(),
        vcard: contact.vcard.clone().unwrap_or_default(),
    };
    if let Some(contact) = body.contact_message.as_option() {
        return Some(vec![one(contact)]);
    }
    body.contacts_array_message.as_option().map(|several| several.contacts.iter().map(one).collect())
}

/// The message that is answered. A bare text cannot answer one.
fn context(message: &wa::Message) -> Option<Context> {
    let body = message.get_base_message();
    let info = body
        .extended_text_message
        .as_option()
        .map(|text| &text.context_info)
        .or_else(|| body.image_message.as_option().map(|image| &image.context_info))
        .or_else(|| body.video_message.as_option().map(|video| &video.context_info))
        .or_else(|| body.audio_message.as_option().map(|audio| &audio.context_info))
        .or_else(|| body.document_message.as_option().map(|document| &document.context_info))
        .or_else(|| body.sticker_message.as_option().map(|sticker| &sticker.context_info))?;
    let message_id = info.as_option()?.stanza_id.clone()?;
    Some(Context { message_id })
}

#[cfg(test)]
mod tests;
