//! Transfer of files from and to WhatsApp's media servers: decrypted and checked as they come,
//! without holding them in memory.

use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::path::PathBuf;
use std::time::Duration;

use sha2::{Digest, Sha256};
use whatsapp_rust::Jid;
use whatsapp_rust::download::{DownloadParams, DownloadWriter, MediaType};
use whatsapp_rust::error::ErrorChainExt;
use whatsapp_rust::features::{MediaRetryResult, MediaReuploadError, MediaReuploadRequest};
use whatsapp_rust::upload::UploadResponse;
use whatsapp_rust::wacore::upload::{EncryptedMediaInfo, UploadSource, encrypt_media_streaming};
use whatsapp_rust::wacore_binary::JidExt;

use super::message_upload::FittedFile;
use crate::media::MediaDownloadError;
use crate::media::{ReceivedFile, SpooledFile};
use crate::model::event::MessageKey;
use crate::model::remote_file::{RemoteFile, RemoteFileKind};
use crate::system::lifecycle::run_blocking;
use crate::whatsapp::send::encode::{UploadedMedia, upload_type};
use crate::whatsapp::{Link, PrepareError};

/// Size of a write to the disk, in bytes; the engine delivers a file in blocks of 16.
const BUFFER_BYTES: usize = 64 * 1024;
/// Pauses before an upload with a broken connection is resumed.
const UPLOAD_PAUSES: [Duration; 3] = [
    Duration::ZERO,
    Duration::from_secs(1),
    Duration::from_secs(5),
];

impl Link {
    /// Downloads a file of up to `max_size` bytes and decrypts it on the way. Fails unless it is the
    /// file that its message named.
    pub async fn download_file(
        &self,
        remote: &RemoteFile,
        spooled: SpooledFile,
        largest: u64,
    ) -> Result<ReceivedFile, MediaDownloadError> {
        if !is_whatsapp_path(&remote.direct_path) {
            return Err(MediaDownloadError::Invalid(
                "its sender names an address outside WhatsApp's media servers".to_owned(),
            ));
        }
        let file = File::create_new(spooled.path()).map_err(disk_error)?;
        let writer = BufWriter::with_capacity(
            BUFFER_BYTES,
            MeasuredFile {
                file,
                hash: Sha256::new(),
                size: 0,
                max_size: largest,
            },
        );
        // Public files are not encrypted.
        let is_sealed = !remote.key.is_empty();
        let params = DownloadParams {
            direct_path: remote.direct_path.clone(),
            media_key: is_sealed.then(|| remote.key.clone()),
            file_sha256: remote.sha256.clone(),
            file_enc_sha256: is_sealed.then(|| remote.encrypted_sha256.clone()),
            file_length: remote.size.unwrap_or_default(),
            media_type: media_type(remote.kind),
        };
        let written = self
            .client
            .download_to_writer(&params, writer)
            .await
            .map_err(download_error)?;
        let sink = written
            .into_inner()
            .map_err(|error| disk_error(error.into_error()))?;
        let (size, hash) = (sink.size, sink.hash.finalize());
        if !remote.sha256.is_empty() && hash[..] != remote.sha256[..] {
            return Err(MediaDownloadError::Invalid(
                "it is not the file that its sender named: its SHA-256 differs".to_owned(),
            ));
        }
        let sha256 = crate::model::ids::to_hex(&hash);
        Ok(ReceivedFile {
            spooled,
            size,
            sha256,
        })
    }

    /// Encrypts a file onto the disk and uploads it from there, resuming an earlier try.
    pub(in crate::whatsapp) async fn upload_file(
        &self,
        fitted: FittedFile,
    ) -> Result<UploadedMedia, PrepareError> {
        let broken = |error: &dyn std::fmt::Display| PrepareError::not_uploaded(error);
        let (form, described) = (fitted.media_form(), fitted.describe_file().await);
        let (kind, file) = (upload_type(form.kind), fitted.file);
        let (plain, sealed) = (file.path().to_owned(), file.reserve_derived());
        let path = sealed.path().to_owned();
        let encrypting = run_blocking(move || {
            let (plain, sealed) = (File::open(plain)?, File::create_new(&path)?);
            let (plain, sealed) = (
                BufReader::with_capacity(BUFFER_BYTES, plain),
                BufWriter::with_capacity(BUFFER_BYTES, sealed),
            );
            let info = encrypt_media_streaming(plain, sealed, kind)?;
            let length = std::fs::metadata(&path)?.len();
            anyhow::Ok((EncryptedFile { path, length }, info))
        });
        let encrypted = encrypting
            .await
            .ok_or_else(|| broken(&"it cannot be encrypted"))?;
        let (source, info) = encrypted.map_err(|error| broken(&error))?;
        // Keeps the encrypted file until the upload is over.
        let uploaded = self.upload_encrypted(&source, &info, kind).await;
        drop(sealed);
        let response = uploaded.map_err(|error| broken(&error))?;
        Ok(UploadedMedia::new(response, form, described))
    }

    /// Uploads an encrypted file. After a broken connection it offers the same bytes again: the
    /// engine asks how many bytes of a large file the media servers have and goes on from there.
    /// The next try of the message would encrypt it anew, and so start from the beginning.
    async fn upload_encrypted(
        &self,
        source: &EncryptedFile,
        info: &EncryptedMediaInfo,
        kind: MediaType,
    ) -> anyhow::Result<UploadResponse> {
        let mut pauses = UPLOAD_PAUSES.into_iter();
        loop {
            let error = match self
                .client
                .upload_stream(source.clone(), copy_info(info), kind)
                .await
            {
                // The servers have answered, and would answer the same again.
                Err(error) if error.http_status().is_some_and(|status| status < 500) => {
                    return Err(error);
                }
                Err(error) => error,
                uploaded => return uploaded,
            };
            match pauses.next() {
                Some(pause) => self.clock.sleep(pause).await,
                None => return Err(error),
            }
        }
    }

    /// Asks the account's own phone to upload a file again. Returns the file's new path.
    pub async fn request_reupload(
        &self,
        message: &MessageKey,
        remote: &RemoteFile,
    ) -> Result<String, MediaDownloadError> {
        let address = |text: &str| {
            text.parse::<Jid>()
                .map_err(|_| MediaDownloadError::Invalid("its chat has no address".to_owned()))
        };
        let (chat, sender) = (address(&message.chat)?, address(&message.sender)?);
        let request = MediaReuploadRequest {
            msg_id: &message.id,
            chat_jid: &chat,
            media_key: &remote.key,
            is_from_me: remote.from_me,
            participant: chat.is_group().then_some(&sender),
        };
        match self.client.media_reupload().request(&request).await {
            Ok(MediaRetryResult::Success { direct_path }) => Ok(direct_path),
            Ok(MediaRetryResult::NotFound) => Err(MediaDownloadError::Gone),
            Ok(_) => Err(MediaDownloadError::Temporary(
                "the account's phone could not upload it again".to_owned(),
            )),
            Err(MediaReuploadError::Timeout) => Err(MediaDownloadError::Temporary(
                "WhatsApp has deleted it, and the account's phone does not answer".to_owned(),
            )),
            Err(MediaReuploadError::InvalidRequest(why)) => Err(MediaDownloadError::Invalid(why)),
            Err(_) => Err(MediaDownloadError::Temporary(
                "the account's phone could not be asked for it".to_owned(),
            )),
        }
    }
}

/// Returns whether a path stays on WhatsApp's media servers. Senders choose the path, and the
/// engine appends it unchanged to the name of a media server: without a leading slash it would be
/// the name of another server, which would receive the account's key to all files.
fn is_whatsapp_path(direct_path: &str) -> bool {
    direct_path.starts_with('/')
}

/// Copies the info, which the engine consumes each time.
fn copy_info(info: &EncryptedMediaInfo) -> EncryptedMediaInfo {
    EncryptedMediaInfo {
        media_key: info.media_key,
        file_sha256: info.file_sha256,
        file_enc_sha256: info.file_enc_sha256,
        file_length: info.file_length,
        streaming_sidecar: info.streaming_sidecar.clone(),
    }
}

/// An encrypted file that can be read several times.
#[derive(Clone)]
struct EncryptedFile {
    path: PathBuf,
    length: u64,
}

impl UploadSource for EncryptedFile {
    fn len(&self) -> u64 {
        self.length
    }

    fn reader_from(&self, offset: u64) -> io::Result<Box<dyn Read + Send>> {
        let mut file = File::open(&self.path)?;
        file.seek(SeekFrom::Start(offset))?;
        Ok(Box::new(file))
    }
}

pub(in crate::whatsapp) const fn media_type(kind: RemoteFileKind) -> MediaType {
    match kind {
        RemoteFileKind::Image => MediaType::Image,
        RemoteFileKind::Video => MediaType::Video,
        RemoteFileKind::Audio => MediaType::Audio,
        RemoteFileKind::Document => MediaType::Document,
        RemoteFileKind::Sticker => MediaType::Sticker,
    }
}

fn disk_error(error: io::Error) -> MediaDownloadError {
    MediaDownloadError::Temporary(format!("it cannot be written to the disk: {error}"))
}

/// Converts a download error. The engine has tried with a fresh login to the media servers by then.
fn download_error(error: anyhow::Error) -> MediaDownloadError {
    if error
        .chain()
        .any(|cause| cause.downcast_ref::<io::Error>().is_some_and(is_too_large))
    {
        return MediaDownloadError::Invalid("it is larger than the limit".to_owned());
    }
    match error.http_status() {
        Some(401 | 403 | 404 | 410) => MediaDownloadError::Gone,
        Some(status) => {
            MediaDownloadError::Temporary(format!("WhatsApp's media servers answered {status}"))
        }
        // The engine's own text may contain the address.
        None => {
            MediaDownloadError::Temporary("WhatsApp's media servers sent it incomplete".to_owned())
        }
    }
}

/// Error of a full [`MeasuredFile`].
#[derive(Debug, thiserror::Error)]
#[error("the file is too large")]
struct FileTooLargeError;

fn is_too_large(error: &io::Error) -> bool {
    error
        .get_ref()
        .is_some_and(|inner| inner.is::<FileTooLargeError>())
}

/// A file that is measured and hashed while it is written.
struct MeasuredFile {
    file: File,
    hash: Sha256,
    size: u64,
    max_size: u64,
}

impl Write for MeasuredFile {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        if self.size + bytes.len() as u64 > self.max_size {
            return Err(io::Error::other(FileTooLargeError));
        }
        let written = self.file.write(bytes)?;
        self.hash.update(&bytes[..written]);
        self.size += written as u64;
        Ok(written)
    }

    fn flush(&mut self) -> io::Result<()> {
        self.file.flush()
    }
}

impl Seek for MeasuredFile {
    fn seek(&mut self, to: SeekFrom) -> io::Result<u64> {
        self.file.seek(to)
    }
}

/// The engine truncates it before each try.
impl DownloadWriter for MeasuredFile {
    fn truncate(&mut self, length: u64) -> io::Result<()> {
        self.file.set_len(length)?;
        if length == 0 {
            (self.hash, self.size) = (Sha256::new(), 0);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use crate::whatsapp::media::transfer::*;

    #[test]
    fn no_sender_chooses_the_server() {
        assert!(is_whatsapp_path(
            "/v/t62.7118-24/1_n.enc?ccb=11-4&oh=01&oe=65"
        ));
        for elsewhere in [
            "@example.com/a",
            ".example.com/a",
            ":8443/a",
            "https://example.com/a",
            "\t@example.com/",
            "",
        ] {
            assert!(!is_whatsapp_path(elsewhere), "{elsewhere}");
        }
    }

    #[test]
    fn a_file_is_measured_anew_at_each_try_and_never_grows_too_large() {
        let folder = tempfile::tempdir().unwrap();
        let file = File::create_new(folder.path().join("file")).unwrap();
        let mut sink = MeasuredFile {
            file,
            hash: Sha256::new(),
            size: 0,
            max_size: 5,
        };
        sink.write_all(b"other").unwrap();
        sink.truncate(0).unwrap();
        sink.rewind().unwrap();
        sink.write_all(b"hello").unwrap();
        let error = sink.write_all(b"!").unwrap_err();
        assert!(
            is_too_large(&error)
                && matches!(download_error(error.into()), MediaDownloadError::Invalid(_))
        );
        assert_eq!(
            (sink.size, sink.hash.finalize()),
            (5, Sha256::digest(b"hello"))
        );
    }
}
