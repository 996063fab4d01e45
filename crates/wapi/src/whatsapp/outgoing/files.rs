//! Messages around files. Pure.

use whatsapp_rust::media::{AudioOptions, DocumentOptions, ImageOptions, VideoOptions};
use whatsapp_rust::media::{audio_message, document_message, image_message, video_message};
use whatsapp_rust::upload::UploadResponse;
use whatsapp_rust::wacore::download::MediaType;
use whatsapp_rust::wacore::proto_helpers::MessageExt;
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message as kinds;

use crate::media::Described;
use crate::message::{Media, MediaKind};

/// A file that WhatsApp's media servers have.
pub(in crate::whatsapp) struct Uploaded {
    pub response: UploadResponse,
    pub mime_type: String,
    pub described: Described,
}

pub(in crate::whatsapp) const fn upload_type(kind: MediaKind) -> MediaType {
    match kind {
        MediaKind::Image => MediaType::Image,
        MediaKind::Video => MediaType::Video,
        MediaKind::Audio => MediaType::Audio,
        MediaKind::Document => MediaType::Document,
        MediaKind::Sticker => MediaType::Sticker,
    }
}

/// Without a file, it is what an answer shows of it.
pub(super) fn message(kind: MediaKind, media: &Media, file: Option<Uploaded>) -> wa::Message {
    let Some(Uploaded { response, mime_type, described }) = file else { return without_file(kind, media) };
    let (mimetype, caption) = (Some(mime_type), media.caption.clone());
    let view_once = media.view_once.then_some(true);
    let mut message = match kind {
        MediaKind::Image => image_message(response, ImageOptions { caption, mimetype, ..Default::default() }),
        MediaKind::Video => {
            let gif_playback = media.gif.then_some(true);
            video_message(response, VideoOptions { caption, mimetype, gif_playback, ..Default::default() })
        }
        MediaKind::Audio => {
            let ptt = media.voice.then_some(true);
            audio_message(response, AudioOptions { mimetype, ptt, ..Default::default() })
        }
        MediaKind::Document => {
            let (file_name, title) = (media.filename.clone(), media.filename.clone());
            document_message(response, DocumentOptions { mimetype, file_name, title, caption, ..Default::default() })
        }
        MediaKind::Sticker => sticker_message(response, mimetype),
    };
    if let Some(image) = message.image_message.as_option_mut() {
        image.view_once = view_once;
    } else if let Some(video) = message.video_message.as_option_mut() {
        video.view_once = view_once;
    } else if let Some(audio) = message.audio_message.as_option_mut() {
        audio.view_once = view_once;
    }
    fill_in(&mut message, described);
    if media.round {
        // The same film in another field.
        message.ptv_message = std::mem::take(&mut message.video_message);
    }
    message
}

fn sticker_message(uploaded: UploadResponse, mimetype: Option<String>) -> wa::Message {
    let sticker = kinds::StickerMessage {
        url: Some(uploaded.url),
        direct_path: Some(uploaded.direct_path),
        media_key: Some(uploaded.media_key.to_vec()),
        file_sha256: Some(uploaded.file_sha256.to_vec()),
        file_enc_sha256: Some(uploaded.file_enc_sha256.to_vec()),
        file_length: Some(uploaded.file_length),
        media_key_timestamp: Some(uploaded.media_key_timestamp),
        mimetype,
        ..Default::default()
    };
    wa::Message { sticker_message: MessageField::some(sticker), ..Default::default() }
}

/// Says what phones show of a file before they have it.
fn fill_in(message: &mut wa::Message, described: Described) {
    let Described { width, height, duration, thumbnail, is_animated } = described;
    if let Some(image) = message.image_message.as_option_mut() {
        (image.width, image.height, image.jpeg_thumbnail) = (width, height, thumbnail);
    } else if let Some(video) = message.video_message.as_option_mut() {
        (video.width, video.height, video.seconds) = (width, height, duration);
    } else if let Some(audio) = message.audio_message.as_option_mut() {
        audio.seconds = duration;
    } else if let Some(document) = message.document_message.as_option_mut() {
        document.jpeg_thumbnail = thumbnail;
    } else if let Some(sticker) = message.sticker_message.as_option_mut() {
        (sticker.width, sticker.height, sticker.is_animated) = (width, height, Some(is_animated));
    }
}

/// The same file with other words below it; none where they are empty.
pub(super) fn captioned(original: wa::Message, caption: &str) -> Option<wa::Message> {
    let mut message = original.into_base_message();
    message.message_context_info.take();
    let caption = Some(caption.to_owned()).filter(|caption| !caption.is_empty());
    if let Some(image) = message.image_message.as_option_mut() {
        image.caption = caption;
    } else if let Some(video) = message.video_message.as_option_mut() {
        video.caption = caption;
    } else {
        message.document_message.as_option_mut()?.caption = caption;
    }
    Some(message)
}

fn without_file(kind: MediaKind, media: &Media) -> wa::Message {
    let (mimetype, caption) = (media.mime_type.clone(), media.caption.clone());
    let mut message = wa::Message::default();
    match kind {
        MediaKind::Image => {
            let image = kinds::ImageMessage { mimetype, caption, ..Default::default() };
            message.image_message = MessageField::some(image);
        }
        MediaKind::Video => {
            let gif_playback = media.gif.then_some(true);
            let video = kinds::VideoMessage { mimetype, caption, gif_playback, ..Default::default() };
            message.video_message = MessageField::some(video);
        }
        MediaKind::Audio => {
            let (ptt, seconds) = (media.voice.then_some(true), media.duration);
            let audio = kinds::AudioMessage { mimetype, ptt, seconds, ..Default::default() };
            message.audio_message = MessageField::some(audio);
        }
        MediaKind::Document => {
            let (file_name, title) = (media.filename.clone(), media.filename.clone());
            let document = kinds::DocumentMessage { mimetype, caption, file_name, title, ..Default::default() };
            message.document_message = MessageField::some(document);
        }
        MediaKind::Sticker => {
            let sticker = kinds::StickerMessage { mimetype, ..Default::default() };
            message.sticker_message = MessageField::some(sticker);
        }
    }
    message
}

/// Around what may be looked at once only. Audio has a wrapper of its own.
pub(super) fn once(message: wa::Message) -> wa::Message {
    let is_audio = message.audio_message.is_set();
    let wrapped = MessageField::some(kinds::FutureProofMessage { message: MessageField::some(message) });
    match is_audio {
        true => wa::Message { view_once_message_v2_extension: wrapped, ..Default::default() },
        false => wa::Message { view_once_message: wrapped, ..Default::default() },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_seen_in_a_file_is_said() {
        let thumbnail = Some(b"small".to_vec());
        let described =
            Described { width: Some(3), height: Some(2), duration: Some(7), thumbnail, ..Described::default() };
        let mut image = wa::Message { image_message: MessageField::some(Default::default()), ..Default::default() };
        fill_in(&mut image, described.clone());
        let image = image.image_message.as_option().unwrap();
        assert_eq!(
            (image.width, image.height, image.jpeg_thumbnail.as_deref()),
            (Some(3), Some(2), Some(&b"small"[..]))
        );
        let mut audio = wa::Message { audio_message: MessageField::some(Default::default()), ..Default::default() };
        fill_in(&mut audio, described);
        assert_eq!(audio.audio_message.as_option().unwrap().seconds, Some(7));
    }
}
