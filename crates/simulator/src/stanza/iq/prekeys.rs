//! Prekeys: published by devices, counted, verified, and handed out one by one for new sessions.

use std::collections::HashSet;

use sha1::{Digest, Sha1};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};
use wacore_libsignal::protocol::PublicKey;

use super::{Answer, Request};
use crate::device::{Bundle, Device, SignedPreKey};
use crate::faults::Corruption;
use crate::server::Server;
use crate::stanza::{Notice, Stanza, leaf, notify, server_jid};
use crate::world::DeviceId;

/// A device with fewer one-time prekeys left than this is asked for more.
const LOW: usize = 5;
/// The only key type: Curve25519.
const KEY_TYPE: u8 = 5;

/// Reads a prekey id from its three bytes.
pub(crate) fn id(bytes: &[u8]) -> Option<u32> {
    let &[a, b, c] = bytes else { return None };
    Some(u32::from_be_bytes([0, a, b, c]))
}

fn id_bytes(id: u32) -> Vec<u8> {
    id.to_be_bytes()[1..].to_vec()
}

/// Returns the signed prekey if its signature is valid; the server refuses any other, so that no
/// peer ever sees it.
pub(crate) fn verified(key: SignedPreKey, identity: &[u8]) -> Option<SignedPreKey> {
    let signer = PublicKey::from_djb_public_key_bytes(identity).ok()?;
    let signed = [&[KEY_TYPE], &key.public[..]].concat();
    signer
        .verify_signature(&signed, &key.signature)
        .then_some(key)
}

fn read_signed(node: &Node) -> Option<SignedPreKey> {
    Some(SignedPreKey {
        id: id(node.bytes("id")?)?,
        public: node.bytes("value").filter(|key| key.len() == 32)?.to_vec(),
        signature: node
            .bytes("signature")
            .filter(|signature| signature.len() == 64)?
            .to_vec(),
    })
}

fn read_one_time(node: &Node) -> Option<(u32, Vec<u8>)> {
    Some((
        id(node.bytes("id")?)?,
        node.bytes("value").filter(|key| key.len() == 32)?.to_vec(),
    ))
}

fn with_device<T>(request: &Request<'_>, act: impl FnOnce(&mut Device) -> T) -> Option<T> {
    request
        .server
        .world
        .lock()
        .device_mut(&request.device.number, request.device.device)
        .map(act)
}

pub(super) fn count(request: &Request<'_>) -> Answer {
    match with_device(request, |device| device.prekeys.len()) {
        Some(count) => Answer::one(
            NodeBuilder::new("count")
                .attr("value", count.to_string())
                .build(),
        ),
        None => Answer::Error(404, "item-not-found"),
    }
}

/// Stores a full set: registration id, identity, signed prekey, and one-time prekeys, which are
/// added to the remaining ones.
pub(super) fn upload(request: &Request<'_>) -> Answer {
    let iq = request.iq;
    let keys: Option<Vec<_>> = iq
        .child("list")
        .map(|list| list.all("key").map(read_one_time).collect())
        .unwrap_or_default();
    let registration = iq
        .bytes("registration")
        .and_then(|bytes| <[u8; 4]>::try_from(bytes).ok());
    let identity = iq.bytes("identity").map(<[u8]>::to_vec);
    let signed = iq.child("skey").and_then(read_signed);
    let (Some(keys), Some(registration), Some(identity), Some(signed)) =
        (keys, registration, identity, signed)
    else {
        return Answer::Error(400, "bad-request");
    };
    let stored = with_device(request, |device| {
        let signed = verified(signed, &identity).filter(|_| identity == device.identity_key)?;
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
        Some(Some(())) => Answer::empty(),
        _ => Answer::Error(406, "not-acceptable"),
    }
}

pub(super) fn rotate(request: &Request<'_>) -> Answer {
    let Some(signed) = request
        .ask
        .and_then(|rotate| rotate.child("skey"))
        .and_then(read_signed)
    else {
        return Answer::Error(400, "bad-request");
    };
    let stored = with_device(request, |device| {
        device.signed_prekey = verified(signed, &device.identity_key)?;
        Some(())
    });
    match stored {
        Some(Some(())) => Answer::empty(),
        _ => Answer::Error(406, "not-acceptable"),
    }
}

/// Returns the server's view of the device's keys, with a hash that the device compares with its
/// own.
pub(super) fn digest(request: &Request<'_>) -> Answer {
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
            .map(|(key, _)| leaf("id", id_bytes(*key)));
        let digest = NodeBuilder::new("digest").children([
            leaf("registration", device.registration_id.to_be_bytes()),
            leaf("type", [KEY_TYPE]),
            leaf("identity", device.identity_key.clone()),
            signed_node(&device.signed_prekey),
            NodeBuilder::new("list")
                .children(ids.collect::<Vec<_>>())
                .build(),
            leaf("hash", hash.finalize().to_vec()),
        ]);
        Some(digest.build())
    });
    match digest.flatten() {
        Some(digest) => Answer::one(digest),
        None => Answer::Error(404, "item-not-found"),
    }
}

/// Returns bundles for the requested devices. Unknown devices are left out: one client takes an
/// error for any as an error for all.
pub(super) fn fetch(request: &Request<'_>) -> Answer {
    let Some(ask) = request.ask else {
        return Answer::Error(400, "bad-request");
    };
    if let Some(asked) = &mut request.server.world.lock().switches.withheld_keys {
        *asked += 1;
        return answer_later(request);
    }
    let mut users = Vec::new();
    for jid in ask.all("user").filter_map(|user| user.jid("jid")) {
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
            users.push(user_node(&jid, &bundle));
        }
    }
    Answer::one(NodeBuilder::new("list").children(users).build())
}

/// Answers as soon as keys are no longer withheld.
fn answer_later(request: &Request<'_>) -> Answer {
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
            super::answer(&server, &connection, Some(&device), &iq);
        }
    });
    Answer::Sent
}

/// Returns the bundle of a phone or a linked device, and uses up one of its one-time prekeys. No
/// lock may be held.
pub(crate) fn take_bundle(server: &Server, id: &DeviceId) -> Option<Bundle> {
    if id.device == 0 {
        let handset = server.world.lock().account(&id.number)?.handset.clone();
        let bundle = handset.lock().signal.own_bundle();
        return Some(corrupted(bundle, server.options.corruption));
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
    if let Some(left) = left.filter(|&left| left == LOW - 1 || left == 0) {
        let count = NodeBuilder::new("count")
            .attr("value", left.to_string())
            .build();
        notify(
            server,
            id,
            Notice {
                kind: "encrypt",
                from: server_jid(),
                lid: None,
            },
            count,
        );
    }
    Some(bundle)
}

fn corrupted(mut bundle: Bundle, corruption: Option<Corruption>) -> Bundle {
    match corruption {
        Some(Corruption::SignedPreKeySignature) => bundle.signed_prekey.signature[9] ^= 1,
        Some(Corruption::PhoneIdentityKey) => bundle.identity_key[4] ^= 1,
        _ => {}
    }
    bundle
}

fn user_node(jid: &Jid, bundle: &Bundle) -> Node {
    let mut children = vec![leaf("registration", bundle.registration_id.to_be_bytes())];
    children.extend(key_nodes(bundle));
    NodeBuilder::new("user")
        .attr("jid", jid.clone())
        .attr("t", super::super::unix_time().to_string())
        .children(children)
        .build()
}

/// Builds the nodes of a bundle's keys, as in an answer and in a retry receipt.
pub(crate) fn key_nodes(bundle: &Bundle) -> Vec<Node> {
    let mut nodes = vec![
        leaf("type", [KEY_TYPE]),
        leaf("identity", bundle.identity_key.clone()),
    ];
    if let Some((key, public)) = &bundle.prekey {
        nodes.push(
            NodeBuilder::new("key")
                .children([leaf("id", id_bytes(*key)), leaf("value", public.clone())])
                .build(),
        );
    }
    nodes.push(signed_node(&bundle.signed_prekey));
    if let Some(identity) = &bundle.device_identity {
        nodes.push(leaf("device-identity", identity.clone()));
    }
    nodes
}

fn signed_node(key: &SignedPreKey) -> Node {
    NodeBuilder::new("skey")
        .children([
            leaf("id", id_bytes(key.id)),
            leaf("value", key.public.clone()),
            leaf("signature", key.signature.clone()),
        ])
        .build()
}

/// Reads the keys that a device sends along with a retry receipt.
pub(crate) fn bundle_in_retry(receipt: &Node, keys: &Node) -> Option<Bundle> {
    let registration = <[u8; 4]>::try_from(receipt.bytes("registration")?).ok()?;
    Some(Bundle {
        registration_id: u32::from_be_bytes(registration),
        identity_key: keys.bytes("identity")?.to_vec(),
        signed_prekey: read_signed(keys.child("skey")?)?,
        prekey: keys.child("key").and_then(read_one_time),
        device_identity: keys.bytes("device-identity").map(<[u8]>::to_vec),
    })
}
