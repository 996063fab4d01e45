//! Linking with a passkey, for the client: it answers WhatsApp's request with an assertion, agrees
//! on a code with the phone, and sends its keys encrypted.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::iq::{IqAnswer, empty_result};
use crate::crypto::passkey_link::{CompanionPrologue, PairingSecrets, PhonePart};
use crate::crypto::webauthn::Passkey;
use crate::model::device::ConnectionHandle;
use crate::model::ids::{DeviceId, PairingError, PhoneNumber};
use crate::server::Server;
use crate::server::stanza::pairing;
use crate::server::world::World;
use crate::wire::{StanzaExt, leaf_node, server_jid, unix_time};

/// The time in which a phone answers: it is asked over a connection of its own. Clients change their
/// own state after the server's answer to each step, so nothing comes right behind that.
const PHONE_LATENCY: Duration = Duration::from_millis(250);

/// A link that waits for a passkey, or for the handshake after it.
pub(crate) struct PasskeyLink {
    number: PhoneNumber,
    passkey: Arc<Passkey>,
    challenge: [u8; 32],
    /// The reference that the client must name in its prologue.
    reference: Option<String>,
    handshake: Option<PhoneHandshake>,
    done: oneshot::Sender<Result<DeviceId, PairingError>>,
}

/// The handshake between the client and the phone.
struct PhoneHandshake {
    companion: CompanionPrologue,
    phone: PhonePart,
    /// The code that the phone shows, once the client has shown its nonce.
    code: Option<String>,
}

/// The result of a pairing, once it has ended.
type PasskeyOutcome = oneshot::Receiver<Result<DeviceId, PairingError>>;

/// Asks a waiting client for the account's passkey, instead of linking it.
pub(crate) fn request_passkey(
    world: &mut World,
    connection: u64,
    number: &PhoneNumber,
    passkey: Arc<Passkey>,
) -> Result<PasskeyOutcome, PairingError> {
    let id = world.next_stanza_id();
    let candidate = world
        .candidates
        .get_mut(&connection)
        .ok_or(PairingError::Expired)?;
    let challenge = rand::random();
    let options = passkey.request_options(&challenge).to_string();
    let request = NodeBuilder::new("notification")
        .attr("from", server_jid())
        .attr("id", id)
        .attr("type", "passkey_prologue_request")
        .attr("t", unix_time().to_string())
        .children([leaf_node("passkey_request_options", options)])
        .build();
    let (done, outcome) = oneshot::channel();
    candidate.passkey = Some(PasskeyLink {
        number: number.clone(),
        passkey,
        challenge,
        reference: None,
        handshake: None,
        done,
    });
    candidate.connection.send(request);
    Ok(outcome)
}

/// Returns the code that the phone of this number shows.
pub(crate) fn shown_code(world: &World, number: &str) -> Option<String> {
    let mut links = world
        .candidates
        .values()
        .filter_map(|candidate| candidate.passkey.as_ref());
    let link = links.find(|link| *link.number == *number)?;
    link.handshake.as_ref()?.code.clone()
}

/// Answers a request of a client that is asked for a passkey; `None` for requests about something
/// else.
pub(crate) fn answer_passkey_step(
    server: &Arc<Server>,
    connection: &ConnectionHandle,
    iq: &Node,
) -> Option<IqAnswer> {
    if iq.attr_text("xmlns").as_deref() != Some("md") {
        return None;
    }
    let kind = iq.attr_text("type").unwrap_or_default();
    let asked = iq.children().unwrap_or_default().first()?;
    Some(match (&*kind, &*asked.tag) {
        ("get", "ref") => give_reference(server, connection),
        ("get", "passkey_request_options") => repeat_options(server, connection),
        ("set", "passkey_prologue") => {
            let opened = open_handshake(server, connection, asked);
            answer_step(server, connection, opened)
        }
        ("set", "companion_nonce") => {
            let shown = show_code(server, connection, asked);
            answer_step(server, connection, shown)
        }
        ("set", "encrypted_pairing_request") => match accept_keys(server, connection, asked) {
            Ok((link, secrets)) => {
                // The answer to this request precedes pair-success.
                connection.send(empty_result(iq));
                finish_link(server, connection.id, link, secrets);
                IqAnswer::NoAnswer
            }
            Err(error) => answer_step(server, connection, Err(error)),
        },
        _ => return None,
    })
}

fn give_reference(server: &Server, connection: &ConnectionHandle) -> IqAnswer {
    let mut world = server.world.lock();
    let Some(link) = find_link(&mut world, connection) else {
        return IqAnswer::Error(400, "bad-request");
    };
    let reference = pairing::new_reference();
    link.reference = Some(reference.clone());
    IqAnswer::with_child(leaf_node("ref", reference))
}

fn repeat_options(server: &Server, connection: &ConnectionHandle) -> IqAnswer {
    let mut world = server.world.lock();
    let Some(link) = find_link(&mut world, connection) else {
        return IqAnswer::Error(400, "bad-request");
    };
    let options = link.passkey.request_options(&link.challenge).to_string();
    IqAnswer::with_child(leaf_node("passkey_request_options", options))
}

fn find_link<'a>(
    world: &'a mut World,
    connection: &ConnectionHandle,
) -> Option<&'a mut PasskeyLink> {
    world.candidates.get_mut(&connection.id)?.passkey.as_mut()
}

/// The end of a link that went wrong. A challenge is good for one answer.
enum StepError {
    /// Nothing was asked, or something else.
    OutOfOrder,
    Refused(String),
}

impl From<anyhow::Error> for StepError {
    fn from(error: anyhow::Error) -> Self {
        Self::Refused(format!("{error:#}"))
    }
}

fn answer_step(
    server: &Server,
    connection: &ConnectionHandle,
    step: Result<(), StepError>,
) -> IqAnswer {
    match step {
        Ok(()) => IqAnswer::empty(),
        Err(StepError::OutOfOrder) => IqAnswer::Error(400, "bad-request"),
        Err(StepError::Refused(reason)) => {
            let link = server
                .world
                .lock()
                .candidates
                .get_mut(&connection.id)
                .and_then(|candidate| candidate.passkey.take());
            if let Some(link) = link {
                // The test that scanned may have stopped waiting.
                let _ = link.done.send(Err(PairingError::Passkey(reason)));
            }
            IqAnswer::Error(403, "forbidden")
        }
    }
}

/// Checks the assertion, and hands the client's opening to the phone.
fn open_handshake(
    server: &Arc<Server>,
    connection: &ConnectionHandle,
    prologue: &Node,
) -> Result<(), StepError> {
    let part = |name: &str| prologue.child_bytes(name).ok_or(StepError::OutOfOrder);
    let (credential_id, assertion, payload) = (
        part("credential_id")?,
        part("webauthn_assertion")?,
        part("prologue_payload")?,
    );
    let mut world = server.world.lock();
    let link = find_link(&mut world, connection).ok_or(StepError::OutOfOrder)?;
    if link.handshake.is_some() {
        return Err(StepError::OutOfOrder);
    }
    link.passkey
        .check_assertion(credential_id, assertion, &link.challenge)?;
    let companion = CompanionPrologue::parse(payload)?;
    if link.reference.as_ref() != Some(&companion.reference) {
        return Err(StepError::Refused("it names another reference".to_owned()));
    }
    let phone = PhonePart::generate();
    let identity = phone.encode();
    link.handshake = Some(PhoneHandshake {
        companion,
        phone,
        code: None,
    });
    let id = world.next_stanza_id();
    drop(world);
    let answer = NodeBuilder::new("notification")
        .attr("from", server_jid())
        .attr("id", id)
        .attr("type", "crsc_continuation")
        .attr("t", unix_time().to_string())
        .children([leaf_node("primary_ephemeral_identity", identity)])
        .build();
    let (stop, connection) = (server.stop.clone(), connection.clone());
    server.tasks.spawn(async move {
        tokio::select! {
            () = stop.cancelled() => {}
            () = tokio::time::sleep(PHONE_LATENCY) => connection.send(answer),
        }
    });
    Ok(())
}

/// Checks the client's nonce. From here on, the phone shows the code.
fn show_code(
    server: &Server,
    connection: &ConnectionHandle,
    nonce: &Node,
) -> Result<(), StepError> {
    let nonce = nonce.content_bytes().ok_or(StepError::OutOfOrder)?;
    let mut world = server.world.lock();
    let link = find_link(&mut world, connection).ok_or(StepError::OutOfOrder)?;
    let handshake = link.handshake.as_mut().ok_or(StepError::OutOfOrder)?;
    if handshake.code.is_some() {
        return Err(StepError::OutOfOrder);
    }
    handshake.code = Some(handshake.phone.check_nonce(&handshake.companion, nonce)?);
    drop(world);
    server.changed.notify_waiters();
    Ok(())
}

/// Takes the keys from the client's pairing request, which must be those it registered with.
fn accept_keys(
    server: &Server,
    connection: &ConnectionHandle,
    request: &Node,
) -> Result<(PasskeyLink, PairingSecrets), StepError> {
    let sealed = request.content_bytes().ok_or(StepError::OutOfOrder)?;
    let mut world = server.world.lock();
    let candidate = world.candidates.get_mut(&connection.id);
    let candidate = candidate.ok_or(StepError::OutOfOrder)?;
    let link = candidate.passkey.as_ref().ok_or(StepError::OutOfOrder)?;
    let handshake = link.handshake.as_ref().ok_or(StepError::OutOfOrder)?;
    if handshake.code.is_none() {
        return Err(StepError::OutOfOrder);
    }
    let secrets = handshake.phone.open_request(&handshake.companion, sealed)?;
    let registration = &candidate.registration;
    if registration.noise_key[..] != secrets.noise_key[..]
        || registration.identity_key != secrets.identity_key
    {
        let reason = "its keys are not those it registered with";
        return Err(StepError::Refused(reason.to_owned()));
    }
    let link = candidate.passkey.take().ok_or(StepError::OutOfOrder)?;
    Ok((link, secrets))
}

/// Sends pair-success under the secret from the pairing request.
fn finish_link(server: &Arc<Server>, connection: u64, link: PasskeyLink, secrets: PairingSecrets) {
    let server = server.clone();
    server.tasks.clone().spawn(async move {
        tokio::select! {
            () = server.stop.cancelled() => return,
            () = tokio::time::sleep(PHONE_LATENCY) => {}
        }
        let sent =
            pairing::send_pair_success(&server, connection, &link.number, &secrets.adv_secret);
        let outcome = match sent {
            Ok(outcome) => outcome.await.unwrap_or(Err(PairingError::ClientGone)),
            Err(error) => Err(error),
        };
        // The test that scanned may have stopped waiting; the pairing is valid all the same.
        let _ = link.done.send(outcome);
    });
}
