//! Files attached to messages; those that WhatsApp's media servers have already are not uploaded
//! again.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use whatsapp_rust::http::HttpRequest;
use whatsapp_rust::wacore::net::WHATSAPP_WEB_ORIGIN;

use super::transfer::media_type;
use crate::media::{ConversionError, MediaFile, MediaProperties, types};
use crate::model::message::MediaKind;
use crate::model::remote_file::RemoteFile;
use crate::whatsapp::send::encode::{MediaForm, UploadedMedia, upload_type};
use crate::whatsapp::{Link, PrepareError};

/// A file attached to a message: stored here, known to be at WhatsApp, or both.
#[derive(Debug)]
pub struct AttachedFile {
    pub file: Option<MediaFile>,
    pub known: Option<KnownFile>,
}

/// A file that was at WhatsApp.
#[derive(Debug)]
pub struct KnownFile {
    pub remote: RemoteFile,
    pub mime_type: String,
    pub name: Option<String>,
    /// Metadata from its sender.
    pub described: MediaProperties,
}

impl From<MediaFile> for AttachedFile {
    fn from(file: MediaFile) -> Self {
        Self {
            file: Some(file),
            known: None,
        }
    }
}

/// Answer of the media servers about an upload.
#[derive(Deserialize)]
struct UploadProgress {
    resume: Option<String>,
    url: Option<String>,
    direct_path: Option<String>,
}

impl Link {
    /// Makes sure that WhatsApp has the file, in the form that phones accept for this kind.
    pub(in crate::whatsapp) async fn attach_file(
        &self,
        wanted: WantedForm,
        attached: AttachedFile,
    ) -> Result<UploadedMedia, PrepareError> {
        let AttachedFile { file, known } = attached;
        let fitted = match file {
            Some(file) => Some(fit_file(wanted, file).await?),
            None => None,
        };
        let Some(known) = known.filter(|known| can_reuse(wanted.kind, known, fitted.as_ref()))
        else {
            return self
                .upload_file(fitted.ok_or(PrepareError::FileMissing)?)
                .await;
        };
        let described = match &fitted {
            Some(fitted) => fitted.describe_file().await,
            None => known.described.clone(),
        };
        let form = match &fitted {
            Some(fitted) => fitted.media_form(),
            None => {
                let (kind, mime_type, name) =
                    (wanted.kind, known.mime_type.clone(), known.name.clone());
                MediaForm {
                    kind,
                    mime_type,
                    is_gif: false,
                    name,
                }
            }
        };
        match (self.find_upload(known, form, described).await, fitted) {
            (Some(uploaded), _) => Ok(uploaded),
            (None, Some(fitted)) => self.upload_file(fitted).await,
            (None, None) => Err(PrepareError::FileMissing),
        }
    }

    /// Asks the media servers whether they still have a file, as phones do before they upload one.
    async fn find_upload(
        &self,
        known: KnownFile,
        form: MediaForm,
        described: MediaProperties,
    ) -> Option<UploadedMedia> {
        let remote = known.remote;
        let token = Some(URL_SAFE_NO_PAD.encode(&remote.encrypted_sha256))
            .filter(|token| !token.is_empty())?;
        let path = media_type(remote.kind).upload_path();
        let servers = self.client.refresh_media_conn(false).await.ok()?;
        for host in &servers.hosts {
            let url = format!(
                "https://{}{path}/{token}?auth={}&token={token}&resume=1",
                host.hostname, servers.auth
            );
            let question = HttpRequest::post(url).with_header("Origin", WHATSAPP_WEB_ORIGIN);
            let answer = self.client.http_client.execute(question).await.ok();
            let Some(answer) = answer.filter(|answer| answer.status_code < 400) else {
                continue;
            };
            let Ok(UploadProgress {
                resume,
                url,
                direct_path,
            }) = serde_json::from_slice(&answer.body)
            else {
                continue;
            };
            if let ("complete", Some(url), Some(direct_path)) =
                (resume.unwrap_or_default().as_str(), url, direct_path)
            {
                return Some(UploadedMedia {
                    url,
                    direct_path,
                    media_key: remote.key,
                    media_key_timestamp: self.clock.now().as_second(),
                    sha256: remote.sha256,
                    encrypted_sha256: remote.encrypted_sha256,
                    size: remote.size?,
                    streaming_sidecar: None,
                    handle: None,
                    form,
                    described,
                });
            }
        }
        None
    }
}

/// Returns whether the file at WhatsApp has the form this kind needs. `fitted` is the local file in
/// that form, if there is one.
fn can_reuse(kind: MediaKind, known: &KnownFile, fitted: Option<&FittedFile>) -> bool {
    let kind = fitted.map_or(kind, |fitted| fitted.kind);
    let is_same = match (kind, fitted) {
        (_, Some(fitted)) => fitted.file.mime_type == known.mime_type,
        (MediaKind::Voice, None) => known.mime_type == types::OPUS,
        _ => true,
    };
    // The kind is part of the encryption.
    is_same && media_type(known.remote.kind) == upload_type(kind)
}

/// Form that a file is to have in a message.
#[derive(Debug, Clone, Copy)]
pub(in crate::whatsapp) struct WantedForm {
    pub kind: MediaKind,
    /// Whether a moving image may become a looping video; otherwise an image is shown still, and a
    /// video is an ordinary one.
    pub may_animate: bool,
}

/// A file in the form that phones accept.
pub(in crate::whatsapp) struct FittedFile {
    pub file: MediaFile,
    kind: MediaKind,
    is_gif: bool,
    /// Only for voice notes.
    waveform: Option<Vec<u8>>,
}

impl FittedFile {
    pub fn media_form(&self) -> MediaForm {
        let (mime_type, name) = (self.file.mime_type.clone(), self.file.name.clone());
        MediaForm {
            kind: self.kind,
            mime_type,
            is_gif: self.is_gif,
            name,
        }
    }

    pub async fn describe_file(&self) -> MediaProperties {
        MediaProperties {
            waveform: self.waveform.clone(),
            ..self.file.all_properties().await
        }
    }
}

/// Converts a file to the form that phones accept for this kind.
pub(in crate::whatsapp) async fn fit_file(
    wanted: WantedForm,
    file: MediaFile,
) -> Result<FittedFile, PrepareError> {
    convert_file(wanted, file)
        .await
        .map_err(|error| match error {
            ConversionError::Transient(why) => {
                PrepareError::Transient(format!("its file cannot be converted for now: {why}"))
            }
            error => PrepareError::Permanent(format!("the file {error}")),
        })
}

async fn convert_file(
    WantedForm {
        kind,
        may_animate: may_move,
    }: WantedForm,
    file: MediaFile,
) -> Result<FittedFile, ConversionError> {
    let as_it_is = |file| FittedFile {
        file,
        kind,
        is_gif: false,
        waveform: None,
    };
    let as_gif = |file| FittedFile {
        file,
        kind: MediaKind::Video,
        is_gif: may_move,
        waveform: None,
    };
    match kind {
        MediaKind::Sticker => file.into_sticker().await.map(as_it_is),
        MediaKind::Voice => file
            .into_voice_note()
            .await
            .map(|(file, waveform)| FittedFile {
                waveform,
                ..as_it_is(file)
            }),
        MediaKind::Image => match may_move && file.is_animated_image().await {
            true => file.into_gif_video().await.map(as_gif),
            false => file.into_displayable().await.map(as_it_is),
        },
        MediaKind::Video => match (
            types::can_be_animated(&file.mime_type),
            file.is_animated_image().await,
        ) {
            (true, true) => file.into_gif_video().await.map(as_gif),
            (true, false) => Err(ConversionError::NotAnimated),
            (false, _) => file.into_mp4().await.map(as_it_is),
        },
        MediaKind::Audio | MediaKind::Document => Ok(as_it_is(file)),
    }
}
