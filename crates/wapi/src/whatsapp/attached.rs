//! Files that messages take along: those that WhatsApp's media servers have already are not uploaded again.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use whatsapp_rust::http::HttpRequest;
use whatsapp_rust::wacore::net::WHATSAPP_WEB_ORIGIN;

use super::files::media_type;
use super::outgoing::{Uploaded, upload_type};
use super::{Link, NotPrepared};
use crate::media::{Described, File, NotConverted, Remote, types};
use crate::message::MediaKind;

/// A file that a message takes along: here, known to be at WhatsApp, or both.
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
    /// What its sender said of it.
    pub described: Described,
}

impl From<File> for Attached {
    fn from(file: File) -> Self {
        Self { file: Some(file), known: None }
    }
}

/// What the media servers say of an upload.
#[derive(Deserialize)]
struct Progress {
    resume: Option<String>,
    url: Option<String>,
    direct_path: Option<String>,
}

impl Link {
    /// Sees to it that WhatsApp has the file, in the form that phones take this kind in.
    pub(super) async fn attach(&self, kind: MediaKind, attached: Attached) -> Result<Uploaded, NotPrepared> {
        let Attached { file, known } = attached;
        let (file, waveform) = match file {
            Some(file) => fitting(kind, file).await.map(|(file, waveform)| (Some(file), waveform))?,
            None => (None, None),
        };
        let Some(known) = known.filter(|known| fits(kind, known, file.as_ref())) else {
            return self.upload(kind, file.ok_or(NotPrepared::NotHere)?, waveform).await;
        };
        let described = match &file {
            Some(file) => Described { waveform: waveform.clone(), ..file.described().await },
            None => known.described.clone(),
        };
        match (self.uploaded_before(known, described).await, file) {
            (Some(uploaded), _) => Ok(uploaded),
            (None, Some(file)) => self.upload(kind, file, waveform).await,
            (None, None) => Err(NotPrepared::NotHere),
        }
    }

    /// Asks the media servers whether they still have a file, as phones do before they upload one.
    async fn uploaded_before(&self, known: Known, described: Described) -> Option<Uploaded> {
        let Known { remote, mime_type, .. } = known;
        let token = Some(URL_SAFE_NO_PAD.encode(&remote.encrypted_sha256)).filter(|token| !token.is_empty())?;
        let path = media_type(remote.kind).upload_path();
        let servers = self.client.refresh_media_conn(false).await.ok()?;
        for host in &servers.hosts {
            let url = format!("https://{}{path}/{token}?auth={}&token={token}&resume=1", host.hostname, servers.auth);
            let question = HttpRequest::post(url).with_header("Origin", WHATSAPP_WEB_ORIGIN);
            let answer = self.client.http_client.execute(question).await.ok();
            let Some(answer) = answer.filter(|answer| answer.status_code < 400) else { continue };
            let Ok(Progress { resume, url, direct_path }) = serde_json::from_slice(&answer.body) else { continue };
            if let ("complete", Some(url), Some(direct_path)) = (resume.unwrap_or_default().as_str(), url, direct_path)
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
                    mime_type,
                    described,
                });
            }
        }
        None
    }
}

/// Whether what WhatsApp has is what this kind needs; `file` is that already, if it is here.
fn fits(kind: MediaKind, known: &Known, file: Option<&File>) -> bool {
    let is_same = match (kind, file) {
        (_, Some(file)) => file.mime_type == known.mime_type,
        (MediaKind::Voice, None) => known.mime_type == types::OPUS,
        _ => true,
    };
    // The kind is part of the cipher.
    is_same && media_type(known.remote.kind) == upload_type(kind)
}

/// The file as phones take this kind, and the waveform of a voice note.
pub(super) async fn fitting(kind: MediaKind, file: File) -> Result<(File, Option<Vec<u8>>), NotPrepared> {
    let fitting = match kind {
        MediaKind::Sticker => file.into_sticker().await.map(|sticker| (sticker, None)),
        MediaKind::Voice => file.into_voice().await,
        _ => Ok((file, None)),
    };
    fitting.map_err(|error| match error {
        NotConverted::Passing(why) => NotPrepared::NotConverted(why),
        error => NotPrepared::Unfit(format!("the file {error}")),
    })
}
