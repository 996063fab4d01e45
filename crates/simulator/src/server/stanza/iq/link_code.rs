//! Pairing by code, for the client: it requests a reference, and sends its encrypted keys after the
//! code was typed on the phone.

use std::sync::Arc;

use tokio::sync::oneshot;
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wacore_libsignal::protocol::KeyPair;

use super::IqAnswer;
use crate::crypto::link_code::{self, LinkCode, TypedCode};
use crate::model::device::ConnectionHandle;
use crate::model::ids::{DeviceId, PairingError, PhoneNumber};
use crate::server::Server;
use crate::server::stanza::pairing;
use crate::wire::{StanzaExt, leaf_node, server_jid, unix_time};

/// Answers a request of a client that is not linked yet.
pub(crate) fn answer_unlinked(
    server: &Arc<Server>,
    connection: &ConnectionHandle,
    iq: &Node,
) -> IqAnswer {
    if iq.attr_text("xmlns").as_deref() == Some("w:p") {
        return IqAnswer::empty();
    }
    let Some(registration) = iq.child("link_code_companion_reg") else {
        return IqAnswer::Unknown;
    };
    match registration.attr_text("stage").as_deref() {
        Some("companion_hello") => handle_hello(server, connection, registration),
        Some("companion_finish") => handle_finish(server, connection, iq, registration),
        _ => IqAnswer::Unknown,
    }
}

fn handle_hello(server: &Server, connection: &ConnectionHandle, registration: &Node) -> IqAnswer {
    let wrapped = registration.child_bytes("link_code_pairing_wrapped_companion_ephemeral_pub");
    let (Some(phone), Some(wrapped)) = (
        registration.attr_jid("jid"),
        wrapped.filter(|bytes| bytes.len() == 80),
    ) else {
        return IqAnswer::Error(400, "bad-request");
    };
    let platform = registration
        .child_bytes("companion_platform_id")
        .unwrap_or_default();
    let display = registration
        .child_bytes("companion_platform_display")
        .and_then(|bytes| std::str::from_utf8(bytes).ok());
    let reference = rand::random::<[u8; 16]>().to_vec();
    let mut world = server.world.lock();
    if matches!(platform, b"" | b"0")
        || !display.is_some_and(is_browser_name)
        || world.account_of(&phone).is_none()
    {
        return IqAnswer::Error(400, "bad-request");
    }
    let Some(candidate) = world.candidates.get_mut(&connection.id) else {
        return IqAnswer::Error(400, "bad-request");
    };
    candidate.link_code = Some(LinkCode {
        number: phone.user.to_string(),
        reference: reference.clone(),
        wrapped_ephemeral: wrapped.to_vec(),
        typed: None,
    });
    drop(world);
    server.changed.notify_waiters();
    IqAnswer::with_child(
        NodeBuilder::new("link_code_companion_reg")
            .attr("stage", "companion_hello")
            .children([leaf_node("link_code_pairing_ref", reference)])
            .build(),
    )
}

/// Whether it is a browser on an operating system in WhatsApp's form, such as `Chrome (Linux)`.
fn is_browser_name(display: &str) -> bool {
    const BROWSERS: [&str; 7] = [
        "Chrome", "Edge", "Firefox", "IE", "Opera", "Safari", "Android",
    ];
    const SYSTEMS: [&str; 10] = [
        "Windows", "Mac OS", "macOS", "Mac", "Linux", "Ubuntu", "Fedora", "Debian", "Android",
        "iOS",
    ];
    let parts = display
        .strip_suffix(')')
        .and_then(|display| display.split_once(" ("));
    parts.is_some_and(|(browser, system)| BROWSERS.contains(&browser) && SYSTEMS.contains(&system))
}

/// The result of a pairing by code, once it has ended.
type LinkCodeOutcome = oneshot::Receiver<Result<DeviceId, PairingError>>;

/// Types the code on a phone, which sends its own encrypted key to the client that requested this
/// number.
///
/// The code cannot be verified yet: only the decryption of the client's key bundle shows whether it
/// is right.
pub(crate) fn type_code(
    server: &Server,
    number: &PhoneNumber,
    code: &str,
) -> Result<LinkCodeOutcome, PairingError> {
    let (connection, wrapped) = newest_request(server, number).ok_or(PairingError::Expired)?;
    let code = code.replace('-', "").to_ascii_uppercase();
    let ephemeral = KeyPair::generate(&mut rand::rng());
    let companion_ephemeral =
        link_code::unwrap_ephemeral(&code, &wrapped).map_err(|_| PairingError::WrongCode)?;
    let sealed = link_code::wrap_ephemeral(&code, ephemeral.public_key.public_key_bytes());
    let sealed = sealed.map_err(|_| PairingError::WrongCode)?;
    let (done, outcome) = oneshot::channel();
    let mut world = server.world.lock();
    let identity = world
        .account(number)
        .ok_or(PairingError::ClientGone)?
        .identity_key;
    let id = world.next_stanza_id();
    let candidate = world
        .candidates
        .get_mut(&connection)
        .ok_or(PairingError::ClientGone)?;
    let asked = candidate
        .link_code
        .as_mut()
        .ok_or(PairingError::ClientGone)?;
    asked.typed = Some(TypedCode {
        phone_ephemeral: ephemeral,
        companion_ephemeral,
        done,
    });
    let hello = primary_hello(&id, &asked.reference, sealed, &identity);
    candidate.connection.send(hello);
    Ok(outcome)
}

/// Returns the client that last requested a link to this number, and its encrypted key. Earlier
/// requests count as abandoned.
fn newest_request(server: &Server, number: &PhoneNumber) -> Option<(u64, Vec<u8>)> {
    let world = server.world.lock();
    let asking = world
        .candidates
        .values()
        .filter_map(|candidate| Some((candidate, candidate.link_code.as_ref()?)));
    let for_us = asking.filter(|(_, code)| code.number == **number);
    let (candidate, code) = for_us.max_by_key(|(candidate, _)| candidate.connection.id)?;
    Some((candidate.connection.id, code.wrapped_ephemeral.clone()))
}

fn primary_hello(id: &str, reference: &[u8], sealed: Vec<u8>, identity: &[u8]) -> Node {
    let registration = NodeBuilder::new("link_code_companion_reg")
        .attr("stage", "primary_hello")
        .children([
            leaf_node("link_code_pairing_wrapped_primary_ephemeral_pub", sealed),
            leaf_node("primary_identity_pub", identity),
            leaf_node("link_code_pairing_ref", reference),
        ]);
    NodeBuilder::new("notification")
        .attr("from", server_jid())
        .attr("id", id)
        .attr("type", "link_code_companion_reg")
        .attr("t", unix_time().to_string())
        .children([registration.build()])
        .build()
}

/// Decrypts the client's key bundle, which succeeds if the code was right; pair-success follows,
/// under the secret from the bundle.
fn handle_finish(
    server: &Arc<Server>,
    connection: &ConnectionHandle,
    iq: &Node,
    registration: &Node,
) -> IqAnswer {
    let bundle = registration.child_bytes("link_code_pairing_wrapped_key_bundle");
    let identity = registration.child_bytes("companion_identity_public");
    let (Some(bundle), Some(identity)) = (bundle, identity) else {
        return IqAnswer::Error(400, "bad-request");
    };
    let Some((number, typed)) = take_typed_code(server, connection) else {
        return IqAnswer::Error(400, "bad-request");
    };
    let Some(phone) = server
        .world
        .lock()
        .account(&number)
        .map(|account| account.signer.clone())
    else {
        return IqAnswer::Error(404, "item-not-found");
    };
    let TypedCode {
        phone_ephemeral,
        companion_ephemeral,
        done,
    } = typed;
    match link_code::derive_adv_secret(
        &phone,
        &phone_ephemeral,
        &companion_ephemeral,
        identity,
        bundle,
    ) {
        Ok(secret) => {
            // The answer to this request precedes pair-success.
            connection.send(super::empty_result(iq));
            let (server, connection) = (server.clone(), connection.id);
            server.tasks.clone().spawn(async move {
                let _ = done.send(await_pairing(&server, connection, &number, &secret).await);
            });
            IqAnswer::NoAnswer
        }
        Err(error) => {
            tracing::debug!(
                error = format!("{error:#}"),
                "a link code did not open the key bundle"
            );
            let _ = done.send(Err(PairingError::WrongCode));
            IqAnswer::Error(400, "bad-request")
        }
    }
}

fn take_typed_code(
    server: &Server,
    connection: &ConnectionHandle,
) -> Option<(PhoneNumber, TypedCode)> {
    let mut world = server.world.lock();
    let asked = world
        .candidates
        .get_mut(&connection.id)?
        .link_code
        .as_mut()?;
    Some((asked.number.as_str().into(), asked.typed.take()?))
}

async fn await_pairing(
    server: &Server,
    connection: u64,
    number: &PhoneNumber,
    secret: &[u8; 32],
) -> Result<DeviceId, PairingError> {
    pairing::link_or_ask(server, connection, number, secret)?
        .await
        .unwrap_or(Err(PairingError::ClientGone))
}
