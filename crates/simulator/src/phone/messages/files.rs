//! Files that phones send: every kind, with the metadata a phone adds.

use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message as kinds;

use crate::crypto::media_cipher;
use crate::phone::Phone;

/// The kinds of files that messages carry.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FileKind {
    Image,
    Video,
    /// A video that plays in a loop, without audio.
    Gif,
    /// A video note.
    Round,
    Audio,
    /// A voice note.
    Voice,
    Document,
    Sticker,
}

impl FileKind {
    /// The kind's name in the key derivation and on the media host.
    pub(super) const fn media_kind(self) -> &'static str {
        match self {
            Self::Image => "image",
            Self::Video | Self::Gif | Self::Round => "video",
            Self::Audio | Self::Voice => "audio",
            Self::Document => "document",
            Self::Sticker => "sticker",
        }
    }
}

/// A file and the metadata of its message.
#[derive(Clone, Debug)]
pub struct MediaFile {
    pub kind: FileKind,
    pub bytes: Vec<u8>,
    pub mime: String,
    pub caption: Option<String>,
    /// The name of a document.
    pub name: Option<String>,
    /// In pixels.
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// Of a video or an audio file.
    pub seconds: Option<u32>,
    /// Of a document.
    pub pages: Option<u32>,
    /// Of a voice note: 64 levels from 0 to 100.
    pub waveform: Option<Vec<u8>>,
    /// A small JPEG.
    pub thumbnail: Option<Vec<u8>>,
    /// The file may be viewed only once.
    pub view_once: bool,
}

impl MediaFile {
    /// A file without further metadata.
    pub fn new(kind: FileKind, bytes: Vec<u8>, mime: &str) -> Self {
        Self {
            kind,
            bytes,
            mime: mime.to_owned(),
            caption: None,
            name: None,
            width: None,
            height: None,
            seconds: None,
            pages: None,
            waveform: None,
            thumbnail: None,
            view_once: false,
        }
    }
}

/// A file on the media host.
pub(super) struct UploadedFile {
    url: String,
    path: String,
    sealed: media_cipher::PreparedFile,
    length: u64,
}

impl Phone {
    /// Uploads a file and sends it; returns the message's id.
    pub async fn sends_file(&self, to: &str, file: MediaFile) -> anyhow::Result<String> {
        let is_post = to.ends_with("@newsletter");
        let sealed = if is_post {
            media_cipher::prepare_public_file(&file.bytes)
        } else {
            media_cipher::encrypt_file(file.kind.media_kind(), &file.bytes)?
        };
        let view_once = file.view_once;
        let mut message = file_message(self.upload_file(&file, sealed)?, file);
        if is_post {
            remove_media_keys(&mut message);
        }
        if view_once {
            let inner = kinds::FutureProofMessage {
                message: MessageField::some(message),
            };
            message = wa::Message {
                view_once_message: MessageField::some(inner),
                ..Default::default()
            };
        }
        self.sends_message(to, "media", message)
    }

    /// Uploads a file to the media host.
    pub(super) fn upload_file(
        &self,
        file: &MediaFile,
        sealed: media_cipher::PreparedFile,
    ) -> anyhow::Result<UploadedFile> {
        let path = self.server.media.upload_file(&sealed)?;
        let url = format!("https://{}{path}", self.server.address);
        Ok(UploadedFile {
            url,
            path,
            sealed,
            length: file.bytes.len() as u64,
        })
    }

    /// Deletes the files this phone has received so far: a device that requests one again gets an
    /// error.
    pub fn forgets_files(&self) {
        self.with_phone_state(crate::server::phone_state::PhoneState::forget_files);
    }
}

/// Removes the media keys: a public file has none.
fn remove_media_keys(message: &mut wa::Message) {
    macro_rules! without_keys {
        ($($field:ident),*) => {$(
            if let Some(file) = message.$field.as_option_mut() {
                (file.media_key, file.file_enc_sha256, file.media_key_timestamp) = (None, None, None);
            }
        )*};
    }
    without_keys!(
        image_message,
        video_message,
        ptv_message,
        audio_message,
        document_message,
        sticker_message
    );
}

/// The fields that every kind of file has.
macro_rules! filled {
    ($kind:ident, $file:ident, $uploaded:ident, { $($field:ident: $value:expr),* $(,)? }) => {
        kinds::$kind {
            url: Some($uploaded.url),
            direct_path: Some($uploaded.path),
            mimetype: Some($file.mime),
            media_key: Some($uploaded.sealed.media_key.to_vec()),
            file_sha256: Some($uploaded.sealed.file_sha256),
            file_enc_sha256: Some($uploaded.sealed.file_enc_sha256),
            file_length: Some($uploaded.length),
            media_key_timestamp: Some(crate::wire::unix_time() as i64),
            $($field: $value,)*
            ..Default::default()
        }
    };
}

pub(super) fn file_message(uploaded: UploadedFile, file: MediaFile) -> wa::Message {
    let view_once = file.view_once.then_some(true);
    match file.kind {
        FileKind::Image => {
            let image = filled!(ImageMessage, file, uploaded, {
                caption: file.caption, width: file.width, height: file.height, jpeg_thumbnail: file.thumbnail,
                view_once: view_once,
            });
            wa::Message {
                image_message: MessageField::some(image),
                ..Default::default()
            }
        }
        FileKind::Video | FileKind::Gif | FileKind::Round => {
            let video = filled!(VideoMessage, file, uploaded, {
                caption: file.caption, width: file.width, height: file.height, seconds: file.seconds,
                jpeg_thumbnail: file.thumbnail, gif_playback: (file.kind == FileKind::Gif).then_some(true),
                view_once: view_once,
            });
            match file.kind {
                FileKind::Round => wa::Message {
                    ptv_message: MessageField::some(video),
                    ..Default::default()
                },
                _ => wa::Message {
                    video_message: MessageField::some(video),
                    ..Default::default()
                },
            }
        }
        FileKind::Audio | FileKind::Voice => {
            let audio = filled!(AudioMessage, file, uploaded, {
                seconds: file.seconds, ptt: Some(file.kind == FileKind::Voice), waveform: file.waveform,
                view_once: view_once,
            });
            wa::Message {
                audio_message: MessageField::some(audio),
                ..Default::default()
            }
        }
        FileKind::Document => {
            let document = filled!(DocumentMessage, file, uploaded, {
                caption: file.caption, title: file.name.clone(), file_name: file.name, jpeg_thumbnail: file.thumbnail,
                page_count: file.pages,
            });
            wa::Message {
                document_message: MessageField::some(document),
                ..Default::default()
            }
        }
        FileKind::Sticker => {
            let sticker = filled!(StickerMessage, file, uploaded, {
                width: file.width, height: file.height, png_thumbnail: file.thumbnail,
            });
            wa::Message {
                sticker_message: MessageField::some(sticker),
                ..Default::default()
            }
        }
    }
}
