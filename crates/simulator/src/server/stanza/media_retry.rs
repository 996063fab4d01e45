//! Media retries: a linked device asks its account's phone to upload a file again that has expired
//! on the media host.

use std::sync::Arc;

use anyhow::{Context, ensure};
use hkdf::Hkdf;
use sha2::Sha256;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wacore_libsignal::crypto::{aes_256_gcm_decrypt, aes_256_gcm_encrypt};
use waproto::buffa::Message;
use waproto::whatsapp as wa;
use waproto::whatsapp::media_retry_notification::ResultType;

use super::enqueue_stanza;
use crate::crypto::media_cipher;
use crate::model::behaviour::PeerRequests;
use crate::model::ids::DeviceId;
use crate::model::media_reference::MediaReference;
use crate::model::options::Addressing;
use crate::model::queue::StanzaClass;
use crate::server::Server;
use crate::wire::{StanzaExt, leaf_node, unix_time};

/// The codes for a file that the phone does not have, and for a request that it cannot read.
const NOT_FOUND: &str = "2";
const UNREADABLE: &str = "3";

/// Answers `<receipt type="server-error">` with `<notification type="mediaretry">`, under the id of
/// the message that carried the file.
pub(crate) fn answer_media_retry(
    server: &Arc<Server>,
    device: &DeviceId,
    id: &str,
    receipt: &Node,
) {
    let (phone_state, own) = {
        let world = server.world.lock();
        let Some(account) = world.account(&device.number) else {
            return;
        };
        (
            account.phone_state.clone(),
            account.jid(Addressing::PhoneNumber, 0),
        )
    };
    let (file, policy) = {
        let phone_state = phone_state.lock();
        (phone_state.find_file(id), phone_state.peer_policy)
    };
    if policy == PeerRequests::Ignored {
        return;
    }
    let answer = match file {
        None => error_node(NOT_FOUND),
        Some((reference, bytes)) => upload_again(server, id, receipt, &reference, &bytes)
            .unwrap_or_else(|problem| {
                tracing::warn!(
                    error = format!("{problem:#}"),
                    "a phone could not read a request for a file"
                );
                error_node(UNREADABLE)
            }),
    };
    let mut children = vec![answer];
    children.extend(receipt.child("rmr").cloned());
    let notification = NodeBuilder::new("notification")
        .attr("from", own.clone())
        .attr("id", id)
        .attr("type", "mediaretry")
        .attr("t", unix_time().to_string())
        .children(children)
        .build();
    enqueue_stanza(
        server,
        device,
        StanzaClass::Notification,
        id,
        own,
        notification,
    );
}

fn error_node(code: &'static str) -> Node {
    NodeBuilder::new("error").attr("code", code).build()
}

/// Checks that the request is about this message, uploads the file again, and returns its new path,
/// encrypted.
fn upload_again(
    server: &Server,
    id: &str,
    receipt: &Node,
    reference: &MediaReference,
    bytes: &[u8],
) -> anyhow::Result<Node> {
    let key = retry_key(&reference.media_key)?;
    let sealed = receipt
        .child("encrypt")
        .context("nothing is encrypted in it")?;
    let nonce = sealed
        .child_bytes("enc_iv")
        .context("it has no nonce")?
        .try_into()?;
    let mut request = Vec::new();
    aes_256_gcm_decrypt(
        &key,
        nonce,
        id.as_bytes(),
        sealed.child_bytes("enc_p").context("it is empty")?,
        &mut request,
    )
    .map_err(|error| anyhow::anyhow!("it does not open: {error}"))?;
    let request = wa::ServerErrorReceipt::decode_from_slice(&request)?;
    ensure!(
        request.stanza_id.as_deref() == Some(id),
        "it is about another message"
    );

    let media_key = reference.media_key.as_slice().try_into()?;
    let uploaded = media_cipher::encrypt_file_with(media_key, reference.kind, bytes)?;
    ensure!(
        uploaded.file_enc_sha256 == reference.file_enc_sha256,
        "the file is another one now"
    );
    let notification = wa::MediaRetryNotification {
        stanza_id: Some(id.to_owned()),
        direct_path: Some(server.media.upload_file(&uploaded)?),
        result: Some(ResultType::SUCCESS),
        ..Default::default()
    };
    let nonce: [u8; 12] = rand::random();
    let mut encrypted = Vec::new();
    aes_256_gcm_encrypt(
        &key,
        &nonce,
        id.as_bytes(),
        &notification.encode_to_vec(),
        &mut encrypted,
    )
    .map_err(|error| anyhow::anyhow!("the answer cannot be encrypted: {error}"))?;
    Ok(NodeBuilder::new("encrypt")
        .children([leaf_node("enc_p", encrypted), leaf_node("enc_iv", nonce)])
        .build())
}

fn retry_key(media_key: &[u8]) -> anyhow::Result<[u8; 32]> {
    let mut key = [0; 32];
    Hkdf::<Sha256>::new(None, media_key)
        .expand(b"WhatsApp Media Retry Notification", &mut key)
        .map_err(|error| anyhow::anyhow!("expanding a media key: {error}"))?;
    Ok(key)
}
