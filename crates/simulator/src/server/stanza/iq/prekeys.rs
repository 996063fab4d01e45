//! Prekeys: published by devices, counted, verified, and handed out one by one for new sessions.

use std::collections::HashSet;

use sha1::{Digest, Sha1};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use wacore_libsignal::protocol::PublicKey;

use super::{IqAnswer, IqRequest};
use crate::model::device::{Device, KeyBundle, SignedPreKey};
use crate::model::faults::Corruption;
use crate::model::ids::DeviceId;
use crate::server::Server;
use crate::server::stanza::{NotificationHeader, notify_device};
use crate::wire::{StanzaExt, leaf_node, server_jid};

/// A device with fewer one-time prekeys left than this is asked for more.
const LOW_PREKEYS: usize = 5;
/// The only key type: Curve25519.
const KEY_TYPE: u8 = 5;

/// Reads a prekey id from its three bytes.
pub(crate) fn parse_prekey_id(bytes: &[u8]) -> Option<u32> {
    let &[a, b, c] = bytes else { return None };
    Some(u32::from_be_bytes([0, a, b, c]))
}

fn prekey_id_bytes(id: u32) -> Vec<u8> {
    id.to_be_bytes()[1..].to_vec()
}

/// Returns the signed prekey if its signature is valid; the server refuses any other, so that no
/// peer ever sees it.
pub(crate) fn verify_prekey(key: SignedPreKey, identity: &[u8]) -> Option<SignedPreKey> {
    let signer = PublicKey::from_djb_public_key_bytes(identity).ok()?;
    let signed = [&[KEY_TYPE], &key.public[..]].concat();
    signer
        .verify_signature(&signed, &key.signature)
        .then_some(key)
}

fn read_signed_prekey(node: &Node) -> Option<SignedPreKey> {
    Some(SignedPreKey {
        id: parse_prekey_id(node.child_bytes("id")?)?,
        public: node
            .child_bytes("value")
            .filter(|key| key.len() == 32)?
            .to_vec(),
        signature: node
            .child_bytes("signature")
            .filter(|signature| signature.len() == 64)?
            .to_vec(),
    })
}

fn read_one_time_prekey(node: &Node) -> Option<(u32, Vec<u8>)> {
    Some((
        parse_prekey_id(node.child_bytes("id")?)?,
        node.child_bytes("value")
            .filter(|key| key.len() == 32)?
            .to_vec(),
    ))
}

fn with_device<T>(request: &IqRequest<'_>, act: impl FnOnce(&mut Device) -> T) -> Option<T> {
    request
        .server
        .world
        .lock()
        .device_mut(&request.device.number, request.device.device)
        .map(act)
}

pub(crate) fn count_prekeys(request: &IqRequest<'_>) -> IqAnswer {
    match with_device(request, |device| device.prekeys.len()) {
        Some(count) => IqAnswer::with_child(
            NodeBuilder::new("count")
                .attr("value", count.to_string())
                .build(),
        ),
        None => IqAnswer::Error(404, "item-not-found"),
    }
}

/// Stores a full set: registration id, identity, signed prekey, and one-time prekeys, which are
/// added to the remaining ones.
pub(crate) fn upload_prekeys(request: &IqRequest<'_>) -> IqAnswer {
    let iq = request.iq;
    let keys: Option<Vec<_>> = iq
        .child("list")
        .map(|list| {
            list.children_named("key")
                .map(read_one_time_prekey)
                .collect()
        })
        .unwrap_or_default();
    let registration = iq
        .child_bytes("registration")
        .and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    let identity = iq.child_bytes("identity").map(<[u8]>::to_vec);
    let signed = iq.child("skey").and_then(read_signed_prekey);
    let (Some(keys), Some(registration), Some(identity), Some(signed)) =
        (keys, registration, identity, signed)
    else {
        return IqAnswer::Error(400, "bad-request");
    };
    let stored = with_device(request, |device| {
        let signed =
            verify_prekey(signed, &identity).filter(|_| identity == device.identity_key)?;
        device.registration_id = u32::from_be_bytes(registration);
        device.signed_prekey = signed;
        // A key that is published again replaces the old one.
        let known: HashSet<u32> = keys.iter().map(|(id, _)| *id).collect();
        device.prekeys.retain(|(id, _)| !known.contains(id));
        device.prekeys.extend(keys);
        Some(())
    });
    request.server.changed.notify_waiters();
    match stored {
        Some(Some(())) => IqAnswer::empty(),
        _ => IqAnswer::Error(406, "not-acceptable"),
    }
}

pub(crate) fn rotate_signed_prekey(request: &IqRequest<'_>) -> IqAnswer {
    let Some(signed) = request
        .operation
        .and_then(|rotate| rotate.child("skey"))
        .and_then(read_signed_prekey)
    else {
        return IqAnswer::Error(400, "bad-request");
    };
    let stored = with_device(request, |device| {
        device.signed_prekey = verify_prekey(signed, &device.identity_key)?;
        Some(())
    });
    match stored {
        Some(Some(())) => IqAnswer::empty(),
        _ => IqAnswer::Error(406, "not-acceptable"),
    }
}

/// Returns the server's view of the device's keys, with a hash that the device compares with its
/// own.
pub(crate) fn digest_keys(request: &IqRequest<'_>) -> IqAnswer {
    let digest = with_device(request, |device| {
        if device.prekeys.is_empty() {
            return None;
        }
        let mut hash = Sha1::new();
        hash.update(&device.identity_key);
        hash.update(&device.signed_prekey.public);
        hash.update(&device.signed_prekey.signature);
        device
            .prekeys
            .iter()
            .for_each(|(_, public)| hash.update(public));
        let ids = device
            .prekeys
            .iter()
            .map(|(key, _)| leaf_node("id", prekey_id_bytes(*key)));
        let digest = NodeBuilder::new("digest").children([
            leaf_node("registration", device.registration_id.to_be_bytes()),
            leaf_node("type", [KEY_TYPE]),
            leaf_node("identity", device.identity_key.clone()),
            signed_prekey_node(&device.signed_prekey),
            NodeBuilder::new("list")
                .children(ids.collect::<Vec<_>>())
                .build(),
            leaf_node("hash", hash.finalize().to_vec()),
        ]);
        Some(digest.build())
    });
    match digest.flatten() {
        Some(digest) => IqAnswer::with_child(digest),
        None => IqAnswer::Error(404, "item-not-found"),
    }
}

/// Returns bundles for the requested devices. Unknown devices are left out: one client takes an
/// error for any as an error for all.
pub(crate) fn fetch_bundles(request: &IqRequest<'_>) -> IqAnswer {
    let Some(ask) = request.operation else {
        return IqAnswer::Error(400, "bad-request");
    };
    if let Some(asked) = &mut request.server.world.lock().switches.withheld_keys {
        *asked += 1;
        return answer_later(request);
    }
    let mut users = Vec::new();
    for jid in ask
        .children_named("user")
        .filter_map(|user| user.attr_jid("jid"))
    {
        let account = request
            .server
            .world
            .lock()
            .account_of(&jid)
            .map(|account| account.number.clone());
        let Some(number) = account else { continue };
        if let Some(bundle) = take_bundle(
            request.server,
            &DeviceId {
                number,
                device: jid.device,
            },
        ) {
            users.push(bundle_node(&jid, &bundle));
        }
    }
    IqAnswer::with_child(NodeBuilder::new("list").children(users).build())
}

/// Answers as soon as keys are no longer withheld.
fn answer_later(request: &IqRequest<'_>) -> IqAnswer {
    request.server.changed.notify_waiters();
    let server = request.server.clone();
    let (device, connection, iq) = (
        request.device.clone(),
        request.connection.clone(),
        request.iq.clone(),
    );
    request.server.tasks.spawn(async move {
        let lifted = server.wait_for(|| {
            server
                .world
                .lock()
                .switches
                .withheld_keys
                .is_none()
                .then_some(())
        });
        if server.stop.run_until_cancelled(lifted).await.is_some() {
            super::answer_iq(&server, &connection, Some(&device), &iq);
        }
    });
    IqAnswer::NoAnswer
}

/// Returns the bundle of a phone or a linked device, and uses up one of its one-time prekeys. No
/// lock may be held.
pub(crate) fn take_bundle(server: &Server, id: &DeviceId) -> Option<KeyBundle> {
    if id.device == 0 {
        let phone_state = server.world.lock().account(&id.number)?.phone_state.clone();
        let bundle = phone_state.lock().signal.own_bundle();
        return Some(corrupt_bundle(bundle, server.options.corruption));
    }
    let (bundle, left) = {
        let mut world = server.world.lock();
        let device = world.device_mut(&id.number, id.device)?;
        let before = device.prekeys.len();
        (
            device.take_bundle(),
            (before > 0).then_some(device.prekeys.len()),
        )
    };
    // Sent when the number drops below the mark and again when the last is gone, not for every key
    // in between.
    if let Some(left) = left.filter(|&left| left == LOW_PREKEYS - 1 || left == 0) {
        let count = NodeBuilder::new("count")
            .attr("value", left.to_string())
            .build();
        notify_device(
            server,
            id,
            NotificationHeader {
                kind: "encrypt",
                from: server_jid(),
                lid: None,
            },
            count,
        );
    }
    Some(bundle)
}

fn corrupt_bundle(mut bundle: KeyBundle, corruption: Option<Corruption>) -> KeyBundle {
    match corruption {
        Some(Corruption::SignedPreKeySignature) => bundle.signed_prekey.signature[9] ^= 1,
        Some(Corruption::PhoneIdentityKey) => bundle.identity_key[4] ^= 1,
        _ => {}
    }
    bundle
}

fn bundle_node(jid: &Jid, bundle: &KeyBundle) -> Node {
    let mut children = vec![leaf_node(
        "registration",
        bundle.registration_id.to_be_bytes(),
    )];
    children.extend(key_nodes(bundle));
    NodeBuilder::new("user")
        .attr("jid", jid.clone())
        .attr("t", crate::wire::unix_time().to_string())
        .children(children)
        .build()
}

/// Builds the nodes of a bundle's keys, as in an answer and in a retry receipt.
pub(crate) fn key_nodes(bundle: &KeyBundle) -> Vec<Node> {
    let mut nodes = vec![
        leaf_node("type", [KEY_TYPE]),
        leaf_node("identity", bundle.identity_key.clone()),
    ];
    if let Some((key, public)) = &bundle.prekey {
        nodes.push(
            NodeBuilder::new("key")
                .children([
                    leaf_node("id", prekey_id_bytes(*key)),
                    leaf_node("value", public.clone()),
                ])
                .build(),
        );
    }
    nodes.push(signed_prekey_node(&bundle.signed_prekey));
    if let Some(identity) = &bundle.device_identity {
        nodes.push(leaf_node("device-identity", identity.clone()));
    }
    nodes
}

fn signed_prekey_node(key: &SignedPreKey) -> Node {
    NodeBuilder::new("skey")
        .children([
            leaf_node("id", prekey_id_bytes(key.id)),
            leaf_node("value", key.public.clone()),
            leaf_node("signature", key.signature.clone()),
        ])
        .build()
}

/// Reads the keys that a device sends along with a retry receipt.
pub(crate) fn read_retry_bundle(receipt: &Node, keys: &Node) -> Option<KeyBundle> {
    let registration = <[u8; 4]>::try_from(receipt.child_bytes("registration")?).ok()?;
    Some(KeyBundle {
        registration_id: u32::from_be_bytes(registration),
        identity_key: keys.child_bytes("identity")?.to_vec(),
        signed_prekey: read_signed_prekey(keys.child("skey")?)?,
        prekey: keys.child("key").and_then(read_one_time_prekey),
        device_identity: keys.child_bytes("device-identity").map(<[u8]>::to_vec),
    })
}
