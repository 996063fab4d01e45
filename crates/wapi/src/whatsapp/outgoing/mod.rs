//! Our messages as the engine's. Pure.

use whatsapp_rust::Jid;
use whatsapp_rust::media::{AudioOptions, DocumentOptions, ImageOptions, VideoOptions};
use whatsapp_rust::media::{audio_message, document_message, image_message, video_message};
use whatsapp_rust::upload::UploadResponse;
use whatsapp_rust::wacore::download::MediaType;
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp as wa;

use crate::message::{ChatId, Media, MediaKind};

/// The message another one answers.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Quote {
    pub id: String,
    /// Who wrote it; an address.
    pub author: String,
    /// What it said, where that is known: phones show it above the answer.
    pub text: Option<String>,
}

pub(super) fn jid(chat: &ChatId) -> Jid {
    match chat {
        ChatId::Phone(user) => Jid::pn(user),
        ChatId::Lid(user) => Jid::lid(user),
        ChatId::Group(user) => Jid::group(user),
    }
}

pub(super) const fn upload_type(kind: MediaKind) -> MediaType {
    match kind {
        MediaKind::Image => MediaType::Image,
        MediaKind::Video => MediaType::Video,
        MediaKind::Audio => MediaType::Audio,
        MediaKind::Document => MediaType::Document,
    }
}

/// A bare text cannot answer another message.
pub(super) fn text(body: String, quote: Option<&Quote>) -> wa::Message {
    let Some(quote) = quote else { return wa::Message { conversation: Some(body), ..Default::default() } };
    let text = wa::message::ExtendedTextMessage {
        text: Some(body),
        context_info: MessageField::some(context(quote)),
        ..Default::default()
    };
    wa::Message { extended_text_message: MessageField::some(text), ..Default::default() }
}

/// A message around a file that was uploaded.
pub(super) fn media(
    kind: MediaKind,
    uploaded: UploadResponse,
    mime_type: String,
    file: &Media,
    quote: Option<&Quote>,
) -> wa::Message {
    let context_info = quote.map(|quote| Box::new(context(quote)));
    let (mimetype, caption) = (Some(mime_type), file.caption.clone());
    match kind {
        MediaKind::Image => {
            image_message(uploaded, ImageOptions { caption, mimetype, context_info, ..Default::default() })
        }
        MediaKind::Video => {
            let gif_playback = file.gif.then_some(true);
            video_message(
                uploaded,
                VideoOptions { caption, mimetype, gif_playback, context_info, ..Default::default() },
            )
        }
        MediaKind::Audio => {
            let ptt = file.voice.then_some(true);
            audio_message(uploaded, AudioOptions { mimetype, ptt, context_info, ..Default::default() })
        }
        MediaKind::Document => {
            let file_name = file.filename.clone();
            let title = file_name.clone();
            let options = DocumentOptions { mimetype, file_name, title, caption, context_info, ..Default::default() };
            document_message(uploaded, options)
        }
    }
}

fn context(quote: &Quote) -> wa::ContextInfo {
    let said = wa::Message { conversation: Some(quote.text.clone().unwrap_or_default()), ..Default::default() };
    wa::ContextInfo {
        stanza_id: Some(quote.id.clone()),
        participant: Some(quote.author.clone()),
        quoted_message: MessageField::some(said),
        ..Default::default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chats_keep_their_address() {
        for text in ["375447034810@s.whatsapp.net", "123456789012345@lid", "120363025246125486@g.us"] {
            assert_eq!(jid(&ChatId::parse(text).unwrap()).to_string(), text);
        }
    }

    #[test]
    fn an_answer_names_what_it_answers() {
        let quote =
            Quote { id: "3A00".to_owned(), author: "1@s.whatsapp.net".to_owned(), text: Some("hi?".to_owned()) };
        let message = text("hi!".to_owned(), Some(&quote));
        let info = &message.extended_text_message.as_option().unwrap().context_info;
        assert_eq!(info.as_option().unwrap().stanza_id.as_deref(), Some("3A00"));
        assert_eq!(text("hi!".to_owned(), None).conversation.as_deref(), Some("hi!"));
    }
}
