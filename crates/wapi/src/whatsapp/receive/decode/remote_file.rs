//! Location of a message's file. Pure.

use whatsapp_rust::waproto::whatsapp as wa;

use super::content::unwrap_message;
use super::products;
use crate::model::remote_file::{RemoteFile, RemoteFileKind};

/// Returns the file a message carries, if it can be downloaded. Files of newsletter posts are
/// public and have no key.
pub(crate) fn remote_file(
    message: &wa::Message,
    from_me: bool,
    is_post: bool,
) -> Option<RemoteFile> {
    let body = unwrap_message(message);
    macro_rules! remote {
        ($field:ident, $kind:expr) => {
            remote!(body.$field.as_option(), $kind)
        };
        ($file:expr, $kind:expr) => {
            if let Some(file) = $file {
                return Some(RemoteFile {
                    kind: $kind,
                    direct_path: file.direct_path.clone().filter(|path| !path.is_empty())?,
                    key: file
                        .media_key
                        .clone()
                        .filter(|key| is_post || !key.is_empty())
                        .or(is_post.then(Vec::new))?,
                    sha256: file.file_sha256.clone().unwrap_or_default(),
                    encrypted_sha256: file.file_enc_sha256.clone().unwrap_or_default(),
                    size: file.file_length,
                    from_me,
                });
            }
        };
    }
    remote!(image_message, RemoteFileKind::Image);
    remote!(video_message, RemoteFileKind::Video);
    remote!(ptv_message, RemoteFileKind::Video);
    remote!(audio_message, RemoteFileKind::Audio);
    remote!(document_message, RemoteFileKind::Document);
    remote!(sticker_message, RemoteFileKind::Sticker);
    remote!(products::product_image(body), RemoteFileKind::Image);
    None
}
