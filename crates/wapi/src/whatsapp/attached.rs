//! Files attached to messages; those that WhatsApp's media servers have already are not uploaded
//! again.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use whatsapp_rust::http::HttpRequest;
use whatsapp_rust::wacore::net::WHATSAPP_WEB_ORIGIN;

use super::files::media_type;
use super::outgoing::{Form, Uploaded, upload_type};
use super::{Link, NotPrepared};
use crate::media::{Described, File, NotConverted, Remote, types};
use crate::message::MediaKind;

/// A file attached to a message: stored here, known to be at WhatsApp, or both.
#[derive(Debug)]
pub struct Attached {
    pub file: Option<File>,
    pub known: Option<Known>,
}

/// A file that was at WhatsApp.
#[derive(Debug)]
pub struct Known {
    pub remote: Remote,
    pub mime_type: String,
    pub name: Option<String>,
    /// Metadata from its sender.
    pub described: Described,
}

impl From<File> for Attached {
    fn from(file: File) -> Self {
        Self {
            file: Some(file),
            known: None,
        }
    }
}

/// Answer of the media servers about an upload.
#[derive(Deserialize)]
struct Progress {
    resume: Option<String>,
    url: Option<String>,
    direct_path: Option<String>,
}

impl Link {
    /// Makes sure that WhatsApp has the file, in the form that phones accept for this kind.
    pub(super) async fn attach(
        &self,
        wanted: Wanted,
        attached: Attached,
    ) -> Result<Uploaded, NotPrepared> {
        let Attached { file, known } = attached;
        let fitted = match file {
            Some(file) => Some(fitting(wanted, file).await?),
            None => None,
        };
        let Some(known) = known.filter(|known| fits(wanted.kind, known, fitted.as_ref())) else {
            return self.upload(fitted.ok_or(NotPrepared::NotHere)?).await;
        };
        let described = match &fitted {
            Some(fitted) => fitted.described().await,
            None => known.described.clone(),
        };
        let form = match &fitted {
            Some(fitted) => fitted.form(),
            None => {
                let (kind, mime_type, name) =
                    (wanted.kind, known.mime_type.clone(), known.name.clone());
                Form {
                    kind,
                    mime_type,
                    is_gif: false,
                    name,
                }
            }
        };
        match (self.uploaded_before(known, form, described).await, fitted) {
            (Some(uploaded), _) => Ok(uploaded),
            (None, Some(fitted)) => self.upload(fitted).await,
            (None, None) => Err(NotPrepared::NotHere),
        }
    }

    /// Asks the media servers whether they still have a file, as phones do before they upload one.
    async fn uploaded_before(
        &self,
        known: Known,
        form: Form,
        described: Described,
    ) -> Option<Uploaded> {
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
            let Ok(Progress {
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
                return Some(Uploaded {
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
fn fits(kind: MediaKind, known: &Known, fitted: Option<&Fitted>) -> bool {
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
pub(super) struct Wanted {
    pub kind: MediaKind,
    /// Whether a moving image may become a looping video; otherwise an image is shown still, and a
    /// video is an ordinary one.
    pub may_move: bool,
}

/// A file in the form that phones accept.
pub(super) struct Fitted {
    pub file: File,
    kind: MediaKind,
    is_gif: bool,
    /// Only for voice notes.
    waveform: Option<Vec<u8>>,
}

impl Fitted {
    pub fn form(&self) -> Form {
        let (mime_type, name) = (self.file.mime_type.clone(), self.file.name.clone());
        Form {
            kind: self.kind,
            mime_type,
            is_gif: self.is_gif,
            name,
        }
    }

    pub async fn described(&self) -> Described {
        Described {
            waveform: self.waveform.clone(),
            ..self.file.described().await
        }
    }
}

/// Converts a file to the form that phones accept for this kind.
pub(super) async fn fitting(wanted: Wanted, file: File) -> Result<Fitted, NotPrepared> {
    fitted(wanted, file).await.map_err(|error| match error {
        NotConverted::Passing(why) => NotPrepared::NotConverted(why),
        error => NotPrepared::Unfit(format!("the file {error}")),
    })
}

async fn fitted(Wanted { kind, may_move }: Wanted, file: File) -> Result<Fitted, NotConverted> {
    let as_it_is = |file| Fitted {
        file,
        kind,
        is_gif: false,
        waveform: None,
    };
    let as_gif = |file| Fitted {
        file,
        kind: MediaKind::Video,
        is_gif: may_move,
        waveform: None,
    };
    match kind {
        MediaKind::Sticker => file.into_sticker().await.map(as_it_is),
        MediaKind::Voice => file.into_voice().await.map(|(file, waveform)| Fitted {
            waveform,
            ..as_it_is(file)
        }),
        MediaKind::Image => match may_move && file.is_moving().await {
            true => file.into_gif().await.map(as_gif),
            false => file.into_shown().await.map(as_it_is),
        },
        MediaKind::Video => match (types::moves(&file.mime_type), file.is_moving().await) {
            (true, true) => file.into_gif().await.map(as_gif),
            (true, false) => Err(NotConverted::Still),
            (false, _) => file.into_film().await.map(as_it_is),
        },
        MediaKind::Audio | MediaKind::Document => Ok(as_it_is(file)),
    }
}
