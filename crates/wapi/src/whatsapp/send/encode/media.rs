//! Media messages: images, videos, audio, documents and stickers as protobufs. Pure.

use whatsapp_rust::upload::UploadResponse;
use whatsapp_rust::wacore::download::MediaType;
use whatsapp_rust::wacore::proto_helpers::MessageExt;
use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message as kinds;

use crate::media::{MediaProperties, filename};
use crate::model::message::{MediaContent, MediaKind};

/// A file on WhatsApp's media servers.
pub struct UploadedMedia {
    pub(in crate::whatsapp) url: String,
    pub(in crate::whatsapp) direct_path: String,
    pub(in crate::whatsapp) media_key: Vec<u8>,
    /// Creation time of the media key, in Unix seconds.
    pub(in crate::whatsapp) media_key_timestamp: i64,
    /// Hash of the file itself; `encrypted_sha256` is that of the uploaded bytes.
    pub(in crate::whatsapp) sha256: Vec<u8>,
    pub(in crate::whatsapp) encrypted_sha256: Vec<u8>,
    /// In bytes.
    pub(in crate::whatsapp) size: u64,
    /// Lets phones play the file before it is downloaded completely.
    pub(in crate::whatsapp) streaming_sidecar: Option<Vec<u8>>,
    /// Name of the file in a newsletter post; such a file has no key and is not encrypted.
    pub(in crate::whatsapp) handle: Option<String>,
    pub(in crate::whatsapp) form: MediaForm,
    pub(in crate::whatsapp) described: MediaProperties,
}

/// Form in which phones accept a file; it may differ from the form the file came in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaForm {
    pub kind: MediaKind,
    pub mime_type: String,
    /// Whether the video plays in a loop.
    pub is_gif: bool,
    /// File name given by the source.
    pub name: Option<String>,
}

impl UploadedMedia {
    pub(in crate::whatsapp) fn new(
        uploaded: UploadResponse,
        form: MediaForm,
        described: MediaProperties,
    ) -> Self {
        Self {
            url: uploaded.url,
            direct_path: uploaded.direct_path,
            media_key: uploaded.media_key.to_vec(),
            media_key_timestamp: uploaded.media_key_timestamp,
            sha256: uploaded.file_sha256.to_vec(),
            encrypted_sha256: uploaded.file_enc_sha256.to_vec(),
            size: uploaded.file_length,
            streaming_sidecar: uploaded.streaming_sidecar,
            handle: None,
            form,
            described,
        }
    }
}

pub(in crate::whatsapp) const fn upload_type(kind: MediaKind) -> MediaType {
    match kind {
        MediaKind::Image => MediaType::Image,
        MediaKind::Video => MediaType::Video,
        MediaKind::Audio | MediaKind::Voice => MediaType::Audio,
        MediaKind::Document => MediaType::Document,
        MediaKind::Sticker => MediaType::Sticker,
    }
}

/// Builds a media protobuf with the fields that all kinds of files share.
macro_rules! filled {
    ($kind:ident, $uploaded:ident, { $($field:ident: $value:expr),* $(,)? }) => {
        MessageField::some(kinds::$kind {
            url: Some($uploaded.url),
            direct_path: Some($uploaded.direct_path),
            media_key_timestamp: (!$uploaded.media_key.is_empty()).then_some($uploaded.media_key_timestamp),
            media_key: Some($uploaded.media_key).filter(|key| !key.is_empty()),
            file_sha256: Some($uploaded.sha256),
            file_enc_sha256: Some($uploaded.encrypted_sha256).filter(|hash| !hash.is_empty()),
            file_length: Some($uploaded.size),
            mimetype: Some($uploaded.form.mime_type),
            $($field: $value,)*
            ..Default::default()
        })
    };
}

/// Builds a media message; without `file`, the preview that a quote shows.
pub(crate) fn build_media(
    kind: MediaKind,
    media: &MediaContent,
    file: Option<UploadedMedia>,
) -> wa::Message {
    let Some(mut file) = file else {
        return build_media_preview(kind, media);
    };
    let (caption, described) = (media.caption.clone(), std::mem::take(&mut file.described));
    let (kind, is_gif) = (file.form.kind, media.gif || file.form.is_gif);
    let view_once = media.view_once.then_some(true);
    let mut message = wa::Message::default();
    match kind {
        MediaKind::Image => {
            message.image_message =
                filled!(ImageMessage, file, { caption: caption, view_once: view_once });
        }
        MediaKind::Video => {
            let video = filled!(VideoMessage, file, {
                caption: caption, view_once: view_once, gif_playback: is_gif.then_some(true),
                streaming_sidecar: file.streaming_sidecar,
            });
            message.video_message = video;
        }
        MediaKind::Audio | MediaKind::Voice => {
            let audio = filled!(AudioMessage, file, {
                view_once: view_once, ptt: media.voice.then_some(true), streaming_sidecar: file.streaming_sidecar,
            });
            message.audio_message = audio;
        }
        MediaKind::Document => {
            let found = || filename::complete_name(file.form.name.as_deref(), &file.form.mime_type);
            let name = Some(media.filename.clone().unwrap_or_else(found));
            let (file_name, title) = (name.clone(), name);
            let document = filled!(DocumentMessage, file, { caption: caption, file_name: file_name, title: title });
            message.document_message = document;
        }
        MediaKind::Sticker => message.sticker_message = filled!(StickerMessage, file, {}),
    }
    fill_details(&mut message, described);
    if media.round {
        // A round video is the same protobuf in another field.
        message.ptv_message = std::mem::take(&mut message.video_message);
    }
    message
}

/// Fills in the details that phones show before they download the file.
fn fill_details(message: &mut wa::Message, described: MediaProperties) {
    let MediaProperties {
        width,
        height,
        duration,
        thumbnail,
        waveform,
        pages,
        is_animated,
    } = described;
    if let Some(image) = message.image_message.as_option_mut() {
        (image.width, image.height, image.jpeg_thumbnail) = (width, height, thumbnail);
    } else if let Some(video) = message.video_message.as_option_mut() {
        (video.width, video.height, video.seconds) = (width, height, duration);
        video.jpeg_thumbnail = thumbnail;
    } else if let Some(audio) = message.audio_message.as_option_mut() {
        (audio.seconds, audio.waveform) = (duration, waveform);
    } else if let Some(document) = message.document_message.as_option_mut() {
        (document.page_count, document.jpeg_thumbnail) = (pages, thumbnail);
    } else if let Some(sticker) = message.sticker_message.as_option_mut() {
        (sticker.width, sticker.height, sticker.is_animated) = (width, height, Some(is_animated));
    }
}

/// Replaces the caption of a media message; an empty caption removes it. Returns `None` for a kind
/// without captions.
pub(crate) fn replace_caption(original: wa::Message, caption: &str) -> Option<wa::Message> {
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

fn build_media_preview(kind: MediaKind, media: &MediaContent) -> wa::Message {
    let (mimetype, caption) = (media.mime_type.clone(), media.caption.clone());
    let mut message = wa::Message::default();
    match kind {
        MediaKind::Image => {
            let image = kinds::ImageMessage {
                mimetype,
                caption,
                ..Default::default()
            };
            message.image_message = MessageField::some(image);
        }
        MediaKind::Video => {
            let gif_playback = media.gif.then_some(true);
            let video = kinds::VideoMessage {
                mimetype,
                caption,
                gif_playback,
                ..Default::default()
            };
            message.video_message = MessageField::some(video);
        }
        MediaKind::Audio | MediaKind::Voice => {
            let (ptt, seconds) = (media.voice.then_some(true), media.duration);
            let audio = kinds::AudioMessage {
                mimetype,
                ptt,
                seconds,
                ..Default::default()
            };
            message.audio_message = MessageField::some(audio);
        }
        MediaKind::Document => {
            let (file_name, title) = (media.filename.clone(), media.filename.clone());
            let document = kinds::DocumentMessage {
                mimetype,
                caption,
                file_name,
                title,
                ..Default::default()
            };
            message.document_message = MessageField::some(document);
        }
        MediaKind::Sticker => {
            let sticker = kinds::StickerMessage {
                mimetype,
                ..Default::default()
            };
            message.sticker_message = MessageField::some(sticker);
        }
    }
    message
}

/// Wraps a view-once message. Audio has a wrapper of its own.
pub(crate) fn wrap_view_once(message: wa::Message) -> wa::Message {
    let is_audio = message.audio_message.is_set();
    let wrapped = MessageField::some(kinds::FutureProofMessage {
        message: MessageField::some(message),
    });
    match is_audio {
        true => wa::Message {
            view_once_message_v2_extension: wrapped,
            ..Default::default()
        },
        false => wa::Message {
            view_once_message: wrapped,
            ..Default::default()
        },
    }
}

#[cfg(test)]
mod tests {
    use crate::whatsapp::send::encode::media::*;

    #[test]
    fn what_was_seen_in_a_file_is_said() {
        let thumbnail = Some(b"small".to_vec());
        let described = MediaProperties {
            width: Some(3),
            height: Some(2),
            duration: Some(7),
            thumbnail,
            ..MediaProperties::default()
        };
        let mut image = wa::Message {
            image_message: MessageField::some(Default::default()),
            ..Default::default()
        };
        fill_details(&mut image, described.clone());
        let image = image.image_message.as_option().unwrap();
        assert_eq!(
            (image.width, image.height, image.jpeg_thumbnail.as_deref()),
            (Some(3), Some(2), Some(&b"small"[..]))
        );
        let mut audio = wa::Message {
            audio_message: MessageField::some(Default::default()),
            ..Default::default()
        };
        fill_details(&mut audio, described);
        assert_eq!(audio.audio_message.as_option().unwrap().seconds, Some(7));
    }
}
