//! Pairing: references for the QR, pair-success after a scan or a code, the client's answer, and
//! the phone's greeting.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::Context;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use tokio::sync::oneshot;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use waproto::buffa::Message;
use waproto::whatsapp as wa;

use super::{ClientRole, passkey};
use crate::crypto::adv;
use crate::model::behaviour::PeerRequests;
use crate::model::device::{ConnectionHandle, Device, NewDevice, SignedPreKey};
use crate::model::ids::{DeviceId, PairingError, PhoneNumber};
use crate::model::options::Addressing;
use crate::server::Server;
use crate::server::account::trust;
use crate::server::world::{
    ClientRegistration, PairingCandidate, PendingPairing, QrReference, World,
};
use crate::wire::{StanzaExt, StreamEnd, leaf_node, server_jid, unix_time};

/// References per QR session. Clients show the first for 60 s and the others for 20 s each.
const REFERENCE_COUNT: u32 = 6;
/// How long a reference stays valid after the client shows the next one: a phone needs a moment
/// between camera and server.
const LATE_SCAN_GRACE: Duration = Duration::from_secs(10);
/// The highest device number: addresses store it in one byte.
const MAX_DEVICE_NUMBER: u16 = 255;

/// Registers a client that waits to be linked, and sends it its references.
pub(crate) fn begin_pairing(
    server: &Arc<Server>,
    connection: &ConnectionHandle,
    noise_key: [u8; 32],
    payload: &wa::ClientPayload,
    data: &wa::client_payload::DevicePairingRegistrationData,
) -> ClientRole {
    if server.world.lock().switches.ignore_registrations {
        return ClientRole::Ignored;
    }
    let Some(registration) = read_registration(noise_key, payload, data) else {
        connection.end_stream(StreamEnd::Failure(400));
        return ClientRole::Ignored;
    };
    let references = new_references(server.options.qr_lifetime);
    let refs: Vec<Node> = references
        .iter()
        .map(|reference| leaf_node("ref", reference.text.as_bytes()))
        .collect();
    let mut world = server.world.lock();
    let request = world.next_stanza_id();
    connection.send(
        NodeBuilder::new("iq")
            .attr("from", server_jid())
            .attr("type", "set")
            .attr("id", request.as_str())
            .attr("xmlns", "md")
            .children([NodeBuilder::new("pair-device").children(refs).build()])
            .build(),
    );
    let connection = connection.clone();
    let candidate = PairingCandidate {
        connection: connection.clone(),
        registration,
        references,
        link_code: None,
        passkey: None,
        pending: None,
    };
    world.candidates.insert(connection.id, candidate);
    drop(world);
    server
        .tasks
        .spawn(expire_candidate(server.clone(), connection));
    ClientRole::Registering
}

/// Disconnects the client after the lifetime of all references, unless it is just being linked, or
/// has a code that a phone may still type.
async fn expire_candidate(server: Arc<Server>, connection: ConnectionHandle) {
    tokio::select! {
        () = server.stop.cancelled() => return,
        () = tokio::time::sleep(server.options.qr_lifetime) => {}
    }
    let mut world = server.world.lock();
    if world
        .candidates
        .get(&connection.id)
        .is_some_and(|candidate| {
            candidate.pending.is_none()
                && candidate.passkey.is_none()
                && candidate.link_code.is_none()
        })
    {
        world.candidates.remove(&connection.id);
        connection.end_stream(StreamEnd::Done);
    }
}

/// Creates references that expire one after the other, each a little after clients stop showing it.
fn new_references(lifetime: Duration) -> Vec<QrReference> {
    let (first, next) = (3, 1);
    let share = lifetime / (first + next * (REFERENCE_COUNT - 1));
    let shown = |index| share * (first + next * index);
    let reference = |index| QrReference {
        text: new_reference(),
        expires: Instant::now() + shown(index) + LATE_SCAN_GRACE,
    };
    (0..REFERENCE_COUNT).map(reference).collect()
}

pub(crate) fn new_reference() -> String {
    format!("2@{}", STANDARD.encode(rand::random::<[u8; 48]>()))
}

fn read_registration(
    noise_key: [u8; 32],
    payload: &wa::ClientPayload,
    data: &wa::client_payload::DevicePairingRegistrationData,
) -> Option<ClientRegistration> {
    let registration_id = <[u8; 4]>::try_from(data.e_regid.as_deref()?).ok()?;
    let signed_prekey_id: [u8; 3] = data.e_skey_id.as_deref()?.try_into().ok()?;
    let identity_key = data.e_ident.clone().filter(|key| key.len() == 32)?;
    let public = data.e_skey_val.clone().filter(|key| key.len() == 32)?;
    let signature = data
        .e_skey_sig
        .clone()
        .filter(|signature| signature.len() == 64)?;
    let id = super::iq::prekeys::parse_prekey_id(&signed_prekey_id)?;
    let signed_prekey = SignedPreKey {
        id,
        public,
        signature,
    };
    Some(ClientRegistration {
        noise_key,
        push_name: payload.push_name.clone().filter(|name| !name.is_empty()),
        registration_id: u32::from_be_bytes(registration_id),
        identity_key,
        signed_prekey: super::iq::prekeys::verify_prekey(signed_prekey, &data.e_ident.clone()?)?,
        takes_inline_history: takes_inline_history(data),
    })
}

/// Whether the client's properties ask for the initial history inside a message.
fn takes_inline_history(data: &wa::client_payload::DevicePairingRegistrationData) -> bool {
    let props = data
        .device_props
        .as_deref()
        .and_then(|props| wa::DeviceProps::decode_from_slice(props).ok());
    props.is_some_and(|props| {
        props
            .history_sync_config
            .inline_initial_payload_in_e2_ee_msg
            == Some(true)
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
    /// Parses the bare text or the link form, `https://wa.me/settings/linked_devices#…`.
    fn parse(text: &str) -> Result<Self, PairingError> {
        let bad = |what: &str| PairingError::InvalidQr(what.to_owned());
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

/// Returns the push name with which a waiting client registered, by its QR.
pub(crate) fn find_push_name(
    server: &Server,
    qr_text: &str,
) -> Result<Option<String>, PairingError> {
    let qr = QrText::parse(qr_text)?;
    let mut world = server.world.lock();
    let candidate = world
        .candidate_with_reference(&qr.reference)
        .ok_or(PairingError::Expired)?;
    Ok(candidate.registration.push_name.clone())
}

/// The result of a pairing, once it has ended.
type PairingOutcome = oneshot::Receiver<Result<DeviceId, PairingError>>;

/// Scans a QR with the phone, and sends pair-success to the client behind it. The receiver gets the
/// result.
pub(crate) fn scan_qr(
    server: &Server,
    number: &PhoneNumber,
    qr_text: &str,
) -> Result<PairingOutcome, PairingError> {
    let qr = QrText::parse(qr_text)?;
    let mut world = server.world.lock();
    let candidate = world
        .candidate_with_reference(&qr.reference)
        .ok_or(PairingError::Expired)?;
    let registration = &candidate.registration;
    if registration.noise_key[..] != qr.noise_key[..]
        || registration.identity_key != qr.identity_key
    {
        return Err(PairingError::KeyMismatch);
    }
    // A QR is valid for one scan.
    candidate.references.clear();
    let connection = candidate.connection.id;
    drop(world);
    link_or_ask(server, connection, number, &qr.adv_secret)
}

/// Sends pair-success to a waiting client, or asks it for the account's passkey first. In the latter
/// case the client makes a new secret.
pub(crate) fn link_or_ask(
    server: &Server,
    connection: u64,
    number: &PhoneNumber,
    adv_secret: &[u8],
) -> Result<PairingOutcome, PairingError> {
    {
        let mut world = server.world.lock();
        let account = world.account(number).ok_or(PairingError::ClientGone)?;
        if let Some(passkey) = account.passkey.clone() {
            return passkey::request_passkey(&mut world, connection, number, passkey);
        }
    }
    send_pair_success(server, connection, number, adv_secret)
}

/// Sends pair-success, sealed with the secret both sides share, to a waiting client.
pub(crate) fn send_pair_success(
    server: &Server,
    connection: u64,
    number: &PhoneNumber,
    adv_secret: &[u8],
) -> Result<PairingOutcome, PairingError> {
    if let Err(error) = trust::choose_salt(server, number) {
        tracing::warn!(
            error = format!("{error:#}"),
            "a phone could not choose its account's salt"
        );
    }
    let mut world = server.world.lock();
    let request_id = world.next_stanza_id();
    let device = next_device_number(&world, number)?;
    let key_index = u32::from(device);
    let account = world.account(number).ok_or(PairingError::ClientGone)?;
    let (jid, lid) = (
        account.jid(Addressing::PhoneNumber, device),
        account.jid(Addressing::Lid, device),
    );
    let account_identity = account.signer.clone();
    let is_moved = account.is_moved_to_lids();
    let identity_key = world
        .candidates
        .get(&connection)
        .ok_or(PairingError::Expired)?
        .registration
        .identity_key
        .clone();
    drop(world);

    let corruption = server.options.corruption;
    let sealed = adv::sign_device_identity(
        &account_identity,
        &identity_key,
        key_index,
        adv_secret,
        corruption,
    )
    .map_err(|error| PairingError::InvalidQr(format!("{error:#}")))?;
    let props = wa::ClientPairingProps {
        is_chat_db_lid_migrated: Some(is_moved),
        ..Default::default()
    };
    let pair_success = NodeBuilder::new("pair-success").children([
        leaf_node("device-identity", sealed),
        NodeBuilder::new("device")
            .attr("jid", jid)
            .attr("lid", lid)
            .build(),
        NodeBuilder::new("platform").attr("name", "android").build(),
        leaf_node("client-props", props.encode_to_vec()),
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
    let candidate = world
        .candidates
        .get_mut(&connection)
        .ok_or(PairingError::Expired)?;
    candidate.pending = Some(PendingPairing {
        request_id,
        number: number.clone(),
        device,
        key_index,
        done,
    });
    candidate.connection.send(stanza);
    Ok(outcome)
}

/// Returns the number of the next device: never one that was linked before or is just being linked.
fn next_device_number(world: &World, number: &PhoneNumber) -> Result<u16, PairingError> {
    let last = world
        .account(number)
        .ok_or(PairingError::ClientGone)?
        .last_device;
    let pending = world
        .candidates
        .values()
        .filter_map(|candidate| candidate.pending.as_ref());
    let promised = pending
        .filter(|pending| pending.number == *number)
        .map(|pending| pending.device);
    let next = promised.fold(last, u16::max) + 1;
    if next > MAX_DEVICE_NUMBER {
        Err(PairingError::TooManyDevices)
    } else {
        Ok(next)
    }
}

/// Handles the client's answer to pair-success: its own signature on the device identity, or a
/// refusal.
pub(crate) fn handle_pair_answer(server: &Server, connection: &ConnectionHandle, node: &Node) {
    let mut world = server.world.lock();
    let Some(candidate) = world.candidates.get_mut(&connection.id) else {
        return;
    };
    let is_answer = |pending: &&mut PendingPairing| {
        node.attr_text("id").as_deref() == Some(pending.request_id.as_str())
    };
    if candidate.pending.as_mut().filter(is_answer).is_none() {
        return;
    }
    let Some(candidate) = world.candidates.remove(&connection.id) else {
        return;
    };
    let Some(pending) = candidate.pending else {
        return;
    };
    let outcome = finish_pairing(&mut world, &candidate.registration, &pending, node);
    drop(world);
    connection.end_stream(if outcome.is_ok() {
        StreamEnd::RECONNECT
    } else {
        StreamEnd::Done
    });
    if let Ok(id) = &outcome {
        super::device_list::notify_device_added(server, id);
    }
    // The test that scanned may have stopped waiting; the pairing is valid all the same.
    let _ = pending.done.send(outcome);
    server.changed.notify_waiters();
}

fn finish_pairing(
    world: &mut World,
    registration: &ClientRegistration,
    pending: &PendingPairing,
    answer: &Node,
) -> Result<DeviceId, PairingError> {
    if let Some(error) = answer.child("error") {
        return Err(PairingError::Refused {
            code: error
                .attr_text("code")
                .and_then(|code| code.parse().ok())
                .unwrap_or(0),
            text: error.attr_text("text").unwrap_or_default().into_owned(),
        });
    }
    let signed = answer
        .child("pair-device-sign")
        .and_then(|sign| sign.child_bytes("device-identity"));
    let account_key = world
        .account(&pending.number)
        .ok_or(PairingError::ClientGone)?
        .identity_key;
    let device_identity = signed
        .and_then(|signed| {
            adv::accept_device_signature(signed, &account_key, &registration.identity_key)
        })
        .ok_or(PairingError::DeviceSignature)?;
    let id = DeviceId {
        number: pending.number.clone(),
        device: pending.device,
    };
    let registration = registration.clone();
    let device = Device::new(NewDevice {
        id: id.device,
        noise_key: registration.noise_key,
        registration_id: registration.registration_id,
        identity_key: registration.identity_key,
        signed_prekey: registration.signed_prekey,
        device_identity,
        key_index: pending.key_index,
        takes_inline_history: registration.takes_inline_history,
    });
    world.link_device(&id.number, device);
    Ok(id)
}

/// Forgets a registering client whose socket is closed, and fails its pending pairing.
pub(crate) fn forget_candidate(world: &mut World, connection: u64) {
    if let Some(pending) = world
        .candidates
        .remove(&connection)
        .and_then(|candidate| candidate.pending)
    {
        let _ = pending.done.send(Err(PairingError::ClientGone));
    }
}

/// Sends the phone's first messages to a device it has linked: the key to the account's app state,
/// and its history. Once per device, when it is active and the phone can be reached.
pub(crate) fn greet_device(server: &Arc<Server>, id: &DeviceId) -> anyhow::Result<()> {
    let phone_state = server
        .world
        .lock()
        .account(&id.number)
        .context("no such account")?
        .phone_state
        .clone();
    if phone_state.lock().peer_policy == PeerRequests::Ignored {
        return Ok(());
    }
    let was_greeted = {
        let mut world = server.world.lock();
        let device = world
            .device_mut(&id.number, id.device)
            .context("no such device")?;
        std::mem::replace(&mut device.greeted, true)
    };
    if was_greeted {
        return Ok(());
    }
    let share = phone_state.lock().app_state.key_share_message();
    super::messages::phone_message::send_to_own_device(server, id, &share)?;
    server.own_phone.send_history(server, id)
}
