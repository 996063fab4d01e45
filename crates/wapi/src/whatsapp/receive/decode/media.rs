//! Metadata of received files, known before the download. Pure.

use whatsapp_rust::waproto::whatsapp::message as kinds;

use crate::media::filename;
use crate::model::message::MediaContent;
use crate::whatsapp::to_hex;

pub(crate) fn decode_image(image: &kinds::ImageMessage) -> MediaContent {
    MediaContent {
        mime_type: image.mimetype.clone(),
        caption: image.caption.clone(),
        size: image.file_length,
        sha256: image.file_sha256.as_deref().map(to_hex),
        width: image.width,
        height: image.height,
        ..MediaContent::default()
    }
}

pub(crate) fn decode_video(video: &kinds::VideoMessage) -> MediaContent {
    MediaContent {
        mime_type: video.mimetype.clone(),
        caption: video.caption.clone(),
        size: video.file_length,
        sha256: video.file_sha256.as_deref().map(to_hex),
        width: video.width,
        height: video.height,
        duration: video.seconds,
        gif: video.gif_playback.unwrap_or(false),
        ..MediaContent::default()
    }
}

pub(crate) fn decode_audio(audio: &kinds::AudioMessage) -> MediaContent {
    MediaContent {
        mime_type: audio.mimetype.clone(),
        size: audio.file_length,
        sha256: audio.file_sha256.as_deref().map(to_hex),
        duration: audio.seconds,
        voice: audio.ptt.unwrap_or(false),
        ..MediaContent::default()
    }
}

pub(crate) fn decode_document(document: &kinds::DocumentMessage) -> MediaContent {
    MediaContent {
        mime_type: document.mimetype.clone(),
        caption: document.caption.clone(),
        // Receivers may store the file under this name, which must not lead them elsewhere.
        filename: document
            .file_name
            .as_deref()
            .or(document.title.as_deref())
            .and_then(filename::base_name),
        // Some clients send 0 for an unknown number.
        pages: document.page_count.filter(|pages| *pages > 0),
        size: document.file_length,
        sha256: document.file_sha256.as_deref().map(to_hex),
        ..MediaContent::default()
    }
}

pub(crate) fn decode_sticker(sticker: &kinds::StickerMessage) -> MediaContent {
    MediaContent {
        mime_type: sticker.mimetype.clone(),
        size: sticker.file_length,
        sha256: sticker.file_sha256.as_deref().map(to_hex),
        width: sticker.width,
        height: sticker.height,
        ..MediaContent::default()
    }
}
