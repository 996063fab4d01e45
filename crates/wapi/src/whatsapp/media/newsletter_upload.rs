//! Media of newsletter posts: public, and therefore uploaded unencrypted.

use std::fs::File;
use std::io::Read;

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use serde::Deserialize;
use sha2::{Digest, Sha256};
use whatsapp_rust::http::HttpRequest;
use whatsapp_rust::wacore::net::WHATSAPP_WEB_ORIGIN;
use whatsapp_rust::wacore::send::{media_type_from_message, stanza_type_from_message};
use whatsapp_rust::wacore_binary::builder::NodeBuilder;
use whatsapp_rust::waproto::{codec, whatsapp as wa};
use whatsapp_rust::{ClientError, Jid};

use super::message_upload::{AttachedFile, WantedForm, fit_file};
use crate::media;
use crate::model::message::MediaKind;
use crate::system::lifecycle::run_blocking;
use crate::whatsapp::send::encode::{UploadedMedia, upload_type};
use crate::whatsapp::{Link, PrepareError};

/// Size of the read buffer, in bytes.
const BUFFER_SIZE: usize = 64 * 1024;

/// The media servers' answer to an upload.
#[derive(Deserialize)]
struct NewsletterUpload {
    url: String,
    direct_path: String,
    /// Name of the file in the post.
    handle: Option<String>,
}

/// Hash and size of a file.
struct FileDigest {
    sha256: Vec<u8>,
    /// In bytes.
    size: u64,
}

impl Link {
    /// Uploads a file unencrypted, in the form that phones accept for this kind.
    pub(in crate::whatsapp) async fn attach_unencrypted(
        &self,
        wanted: WantedForm,
        attached: AttachedFile,
    ) -> Result<UploadedMedia, PrepareError> {
        let fitted = fit_file(wanted, attached.file.ok_or(PrepareError::FileMissing)?).await?;
        let (form, described) = (fitted.media_form(), fitted.describe_file().await);
        let measured = measure_file(&fitted.file)
            .await
            .map_err(PrepareError::not_uploaded)?;
        let taken = self
            .upload_unencrypted(form.kind, &fitted.file, &measured)
            .await
            .map_err(PrepareError::not_uploaded)?;
        Ok(UploadedMedia {
            url: taken.url,
            direct_path: taken.direct_path,
            media_key: Vec::new(),
            media_key_timestamp: 0,
            sha256: measured.sha256,
            encrypted_sha256: Vec::new(),
            size: measured.size,
            streaming_sidecar: None,
            handle: taken.handle,
            form,
            described,
        })
    }

    /// Uploads a file to the first media server that accepts it.
    async fn upload_unencrypted(
        &self,
        kind: MediaKind,
        file: &media::MediaFile,
        measured: &FileDigest,
    ) -> anyhow::Result<NewsletterUpload> {
        let token = URL_SAFE_NO_PAD.encode(&measured.sha256);
        let family = upload_type(kind).upload_path().trim_start_matches("/mms/");
        let mut last = anyhow::anyhow!("there are no media servers");
        for renewed in [false, true] {
            let servers = self.client.refresh_media_conn(renewed).await?;
            for host in &servers.hosts {
                let (host, auth) = (&host.hostname, &servers.auth);
                let url = format!(
                    "https://{host}/newsletter/newsletter-{family}/{token}?auth={auth}&token={token}"
                );
                let request = HttpRequest::post(url).with_header("Origin", WHATSAPP_WEB_ORIGIN);
                let (http, path, size) = (
                    self.client.http_client.clone(),
                    file.path().to_owned(),
                    measured.size,
                );
                let uploading = run_blocking(move || {
                    let file = File::open(path)?;
                    http.execute_upload(request, Box::new(file), size)
                });
                match uploading
                    .await
                    .unwrap_or_else(|| Err(anyhow::anyhow!("the program is ending")))
                {
                    Ok(answer) if answer.status_code < 300 => {
                        return Ok(serde_json::from_slice(&answer.body)?);
                    }
                    Ok(answer) => {
                        last = anyhow::anyhow!(
                            "WhatsApp's media servers answered {}",
                            answer.status_code
                        )
                    }
                    Err(error) => last = error,
                }
            }
        }
        Err(last)
    }

    /// Sends a post with a file handle, which the engine does not support.
    pub(in crate::whatsapp) async fn send_post(
        &self,
        to: Jid,
        post: &wa::Message,
        handle: &str,
        id: &str,
    ) -> Result<(), ClientError> {
        let mut plaintext = NodeBuilder::new("plaintext");
        if let Some(kind) = media_type_from_message(post) {
            plaintext = plaintext.attr("mediatype", kind);
        }
        let stanza = NodeBuilder::new("message")
            .attr("to", to)
            .attr("type", stanza_type_from_message(post))
            .attr("id", id)
            .attr("media_id", handle)
            .children([plaintext.bytes(codec::message_to_vec(post)).build()]);
        self.client.send_node(stanza.build()).await
    }
}

async fn measure_file(file: &media::MediaFile) -> anyhow::Result<FileDigest> {
    let path = file.path().to_owned();
    let reading = run_blocking(move || {
        let mut hash = Sha256::new();
        let (mut file, mut piece, mut size) = (File::open(path)?, vec![0; BUFFER_SIZE], 0);
        loop {
            match file.read(&mut piece)? {
                0 => {
                    return anyhow::Ok(FileDigest {
                        sha256: hash.finalize().to_vec(),
                        size,
                    });
                }
                read => {
                    hash.update(&piece[..read]);
                    size += read as u64;
                }
            }
        }
    });
    reading
        .await
        .ok_or_else(|| anyhow::anyhow!("it cannot be read"))?
}
