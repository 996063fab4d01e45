//! Linking a device: references for the QR, pair-success after a scan or a code, the client's answer, and the first greeting.

use std::sync::Arc;

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::oneshot;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::buffa::Message;
use waproto::whatsapp as wa;

use super::{Role, Stanza, StreamEnd, leaf, server_jid, unix_time};
use crate::adv;
use crate::device::{Connection, Device, NewDevice, SignedPreKey};
use crate::server::Server;
use crate::world::{DeviceId, Number, PairingError, PendingPairing, Registration, Waiting, World};

/// References handed out for one QR session. Clients show the first for 60 s and the others for 20 s each.
const REFERENCES: usize = 6;

/// Registers a client that waits to be linked, and gives it its references.
pub(crate) fn begin(
    server: &Arc<Server>,
    connection: &Connection,
    noise_key: [u8; 32],
    payload: &wa::ClientPayload,
    data: &wa::client_payload::DevicePairingRegistrationData,
) -> Role {
    let Some(registration) = registration(noise_key, payload, data) else {
        connection.end(StreamEnd::Failure(400));
        return Role::Nobody;
    };
    let refs: Vec<String> = (0..REFERENCES).map(|_| new_reference()).collect();
    let mut world = server.world.lock();
    let request = world.next_stanza_id();
    connection.send(
        NodeBuilder::new("iq")
            .attr("from", server_jid())
            .attr("type", "set")
            .attr("id", request.as_str())
            .attr("xmlns", "md")
            .children([NodeBuilder::new("pair-device")
                .children(refs.iter().map(|reference| leaf("ref", reference.as_bytes())))
                .build()])
            .build(),
    );
    let waiting = Waiting { connection: connection.clone(), registration, refs, link_code: None, pending: None };
    world.waiting.insert(connection.id, waiting);
    drop(world);
    server.tasks.spawn(expire(server.clone(), connection.clone()));
    Role::Registering
}

/// After the lifetime of all references the server lets the client go.
async fn expire(server: Arc<Server>, connection: Connection) {
    tokio::select! {
        () = server.stop.cancelled() => {}
        () = tokio::time::sleep(server.options.qr_lifetime) => {
            if server.world.lock().waiting.remove(&connection.id).is_some() {
                connection.end(StreamEnd::Done);
            }
        }
    }
}

fn new_reference() -> String {
    format!("2@{}", STANDARD.encode(rand::random::<[u8; 48]>()))
}

fn registration(
    noise_key: [u8; 32],
    payload: &wa::ClientPayload,
    data: &wa::client_payload::DevicePairingRegistrationData,
) -> Option<Registration> {
    let registration_id = <[u8; 4]>::try_from(data.e_regid.as_deref()?).ok()?;
    let signed_prekey_id: [u8; 3] = data.e_skey_id.as_deref()?.try_into().ok()?;
    let identity_key = data.e_ident.clone().filter(|key| key.len() == 32)?;
    let public = data.e_skey_val.clone().filter(|key| key.len() == 32)?;
    let signature = data.e_skey_sig.clone().filter(|signature| signature.len() == 64)?;
    let id = super::iq::prekeys::id(&signed_prekey_id)?;
    let signed_prekey = SignedPreKey { id, public, signature };
    Some(Registration {
        noise_key,
        push_name: payload.push_name.clone().filter(|name| !name.is_empty()),
        registration_id: u32::from_be_bytes(registration_id),
        identity_key,
        signed_prekey: super::iq::prekeys::verified(signed_prekey, &data.e_ident.clone()?)?,
    })
}

/// The fields of a QR's text.
struct QrText {
    reference: String,
    noise_key: Vec<u8>,
    identity_key: Vec<u8>,
    adv_secret: Vec<u8>,
}

impl QrText {
    /// Takes the bare text or the link form, `https://wa.me/settings/linked_devices#…`.
    fn parse(text: &str) -> Result<Self, PairingError> {
        let bad = |what: &str| PairingError::NotAQr(what.to_owned());
        let fields = text.trim().rsplit('#').next().unwrap_or_default();
        let fields: Vec<&str> = fields.split(',').collect();
        let [reference, noise_key, identity_key, adv_secret, ..] = fields[..] else {
            return Err(bad("it has fewer than four fields"));
        };
        let key = |name: &str, field: &str| match STANDARD.decode(field) {
            Ok(key) if key.len() == 32 => Ok(key),
            _ => Err(bad(&format!("its {name} is not 32 bytes of base64"))),
        };
        Ok(Self {
            reference: reference.to_owned(),
            noise_key: key("noise key", noise_key)?,
            identity_key: key("identity key", identity_key)?,
            adv_secret: key("secret", adv_secret)?,
        })
    }
}

/// The push name a waiting client registered with, by its QR.
pub(crate) fn push_name_behind(server: &Server, qr_text: &str) -> Result<Option<String>, PairingError> {
    let qr = QrText::parse(qr_text)?;
    let mut world = server.world.lock();
    let waiting = world.waiting_with_ref(&qr.reference).ok_or(PairingError::Expired)?;
    Ok(waiting.registration.push_name.clone())
}

/// The phone scans a QR: pair-success goes to the client behind it. The receiver hears how it ended.
pub(crate) fn scan(
    server: &Server,
    number: &Number,
    qr_text: &str,
) -> Result<oneshot::Receiver<Result<DeviceId, PairingError>>, PairingError> {
    let qr = QrText::parse(qr_text)?;
    let mut world = server.world.lock();
    let waiting = world.waiting_with_ref(&qr.reference).ok_or(PairingError::Expired)?;
    if waiting.registration.noise_key[..] != qr.noise_key[..] || waiting.registration.identity_key != qr.identity_key {
        return Err(PairingError::KeyMismatch);
    }
    let connection = waiting.connection.id;
    drop(world);
    offer(server, connection, number, &qr.adv_secret)
}

/// Sends pair-success, sealed with the secret both sides share, to a waiting client.
pub(crate) fn offer(
    server: &Server,
    connection: u64,
    number: &Number,
    adv_secret: &[u8],
) -> Result<oneshot::Receiver<Result<DeviceId, PairingError>>, PairingError> {
    let mut world = server.world.lock();
    let request_id = world.next_stanza_id();
    let account = world.account_mut(number).ok_or(PairingError::Gone)?;
    account.last_device += 1;
    let (device, key_index) = (account.last_device, u32::from(account.last_device));
    let (jid, lid) = (account.jid(false, device), account.jid(true, device));
    let handset = account.handset.clone();
    let identity_key = world.waiting.get(&connection).ok_or(PairingError::Expired)?.registration.identity_key.clone();
    drop(world);

    let corruption = server.options.corruption;
    let account_identity = handset.lock().signal.identity().clone();
    let sealed = adv::device_identity_for_pairing(&account_identity, &identity_key, key_index, adv_secret, corruption)
        .map_err(|error| PairingError::NotAQr(format!("{error:#}")))?;
    let props = wa::ClientPairingProps { is_chat_db_lid_migrated: Some(false), ..Default::default() };
    let pair_success = NodeBuilder::new("pair-success").children([
        leaf("device-identity", sealed),
        NodeBuilder::new("device").attr("jid", jid).attr("lid", lid).build(),
        NodeBuilder::new("platform").attr("name", "android").build(),
        leaf("client-props", props.encode_to_vec()),
    ]);
    let stanza = NodeBuilder::new("iq")
        .attr("from", server_jid())
        .attr("type", "set")
        .attr("id", request_id.as_str())
        .attr("xmlns", "md")
        .attr("t", unix_time().to_string())
        .children([pair_success.build()])
        .build();

    let (done, outcome) = oneshot::channel();
    let mut world = server.world.lock();
    let waiting = world.waiting.get_mut(&connection).ok_or(PairingError::Expired)?;
    // A QR is good for one scan.
    waiting.refs.clear();
    waiting.pending = Some(PendingPairing { request_id, number: number.clone(), device, key_index, done });
    waiting.connection.send(stanza);
    Ok(outcome)
}

/// The client's answer to pair-success: its own signature on the device identity, or a refusal.
pub(crate) fn take_answer(server: &Server, connection: &Connection, node: &Node) {
    let mut world = server.world.lock();
    let Some(waiting) = world.waiting.get_mut(&connection.id) else {
        return;
    };
    let is_answer = |pending: &&mut PendingPairing| node.word("id").as_deref() == Some(pending.request_id.as_str());
    if waiting.pending.as_mut().filter(is_answer).is_none() {
        return;
    }
    let Some(waiting) = world.waiting.remove(&connection.id) else {
        return;
    };
    let Some(pending) = waiting.pending else {
        return;
    };
    let outcome = link(&mut world, &waiting.registration, &pending, node);
    drop(world);
    // 515 tells a client to come back and log in.
    connection.end(if outcome.is_ok() { StreamEnd::Error(515) } else { StreamEnd::Done });
    if let Ok(id) = &outcome {
        super::iq::usync::tell_device_list_changed(server, id, "add");
    }
    // The test that scanned may have stopped waiting; the pairing stands all the same.
    let _ = pending.done.send(outcome);
    server.changed.notify_waiters();
}

fn link(
    world: &mut World,
    registration: &Registration,
    pending: &PendingPairing,
    answer: &Node,
) -> Result<DeviceId, PairingError> {
    if let Some(error) = answer.child("error") {
        return Err(PairingError::Refused {
            code: error.word("code").and_then(|code| code.parse().ok()).unwrap_or(0),
            text: error.word("text").unwrap_or_default().into_owned(),
        });
    }
    let signed = answer.child("pair-device-sign").and_then(|sign| sign.bytes("device-identity"));
    let account_key = world.account(&pending.number).ok_or(PairingError::Gone)?.identity_key;
    let device_identity = signed
        .and_then(|signed| adv::accept_device_signature(signed, &account_key, &registration.identity_key))
        .ok_or(PairingError::DeviceSignature)?;
    let id = DeviceId { number: pending.number.clone(), device: pending.device };
    let registration = registration.clone();
    let device = Device::new(NewDevice {
        id: id.device,
        noise_key: registration.noise_key,
        push_name: registration.push_name,
        registration_id: registration.registration_id,
        identity_key: registration.identity_key,
        signed_prekey: registration.signed_prekey,
        device_identity,
        key_index: pending.key_index,
    });
    world.link(&id.number, device);
    Ok(id)
}

/// A registering socket is gone: whoever waits for its answer is told.
pub(crate) fn forget(world: &mut World, connection: u64) {
    if let Some(pending) = world.waiting.remove(&connection).and_then(|waiting| waiting.pending) {
        let _ = pending.done.send(Err(PairingError::Gone));
    }
}

/// The phone's first words to a device it has linked: the key to the account's app state. Once per device, when it is active.
pub(crate) fn greet(server: &Arc<Server>, id: &DeviceId) -> anyhow::Result<()> {
    let handset = {
        let mut world = server.world.lock();
        let handset = world.account(&id.number).context("no such account")?.handset.clone();
        let device = world.device_mut(&id.number, id.device).context("no such device")?;
        if std::mem::replace(&mut device.greeted, true) {
            return Ok(());
        }
        handset
    };
    let share = handset.lock().app_state_key_share();
    super::message::send_as_phone_to_own_device(server, id, &share)
}
