//! Pairing by code, the client's half: it asks for a reference, and sends its sealed keys once the code was typed on the phone.

use std::sync::Arc;

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;
use wacore_libsignal::protocol::KeyPair;

use super::Answer;
use crate::device::Connection;
use crate::linkcode::{self, LinkCode};
use crate::server::Server;
use crate::stanza::{Stanza, leaf, pairing, server_jid, unix_time};
use crate::world::{Number, PairingError};

/// What a client that is not linked yet may ask.
pub(super) fn answer(server: &Arc<Server>, connection: &Connection, iq: &Node) -> Answer {
    if iq.word("xmlns").as_deref() == Some("w:p") {
        return Answer::empty();
    }
    let Some(registration) = iq.child("link_code_companion_reg") else {
        return Answer::Unknown;
    };
    match registration.word("stage").as_deref() {
        Some("companion_hello") => hello(server, connection, registration),
        Some("companion_finish") => finish(server, connection, registration),
        _ => Answer::Unknown,
    }
}

fn hello(server: &Server, connection: &Connection, registration: &Node) -> Answer {
    let wrapped = registration.bytes("link_code_pairing_wrapped_companion_ephemeral_pub");
    let (Some(phone), Some(wrapped)) = (
        registration.jid("jid"),
        wrapped.filter(|bytes| bytes.len() == 80),
    ) else {
        return Answer::Error(400, "bad-request");
    };
    let reference = rand::random::<[u8; 16]>().to_vec();
    let mut world = server.world.lock();
    let Some(waiting) = world.waiting.get_mut(&connection.id) else {
        return Answer::Error(400, "bad-request");
    };
    waiting.link_code = Some(LinkCode {
        number: phone.user.to_string(),
        reference: reference.clone(),
        wrapped_ephemeral: wrapped.to_vec(),
        phone_ephemeral: None,
        companion_ephemeral: None,
    });
    drop(world);
    server.changed.notify_waiters();
    Answer::one(
        NodeBuilder::new("link_code_companion_reg")
            .attr("stage", "companion_hello")
            .children([leaf("link_code_pairing_ref", reference)])
            .build(),
    )
}

/// The code is typed on a phone: its own sealed key goes to the client that asked for this number.
///
/// Nobody can tell yet whether the code is right; that shows when the client's key bundle opens, or does not.
pub(crate) fn type_code(server: &Server, number: &Number, code: &str) -> Result<u64, PairingError> {
    let asks_for_us = |code: &LinkCode| code.number == **number;
    let (connection, reference, wrapped) = {
        let world = server.world.lock();
        let waiting = world
            .waiting
            .values()
            .filter(|waiting| waiting.link_code.as_ref().is_some_and(asks_for_us));
        // The newest request counts; an older one has been given up.
        let waiting = waiting
            .max_by_key(|waiting| waiting.connection.id)
            .ok_or(PairingError::Expired)?;
        let asked = waiting.link_code.as_ref().ok_or(PairingError::Expired)?;
        (
            waiting.connection.clone(),
            asked.reference.clone(),
            asked.wrapped_ephemeral.clone(),
        )
    };
    let code = code.replace('-', "").to_ascii_uppercase();
    let ephemeral = KeyPair::generate(&mut rand::rng());
    let companion_ephemeral =
        linkcode::unwrap_ephemeral(&code, &wrapped).map_err(|_| PairingError::WrongCode)?;
    let sealed = linkcode::wrap_ephemeral(&code, ephemeral.public_key.public_key_bytes());
    let sealed = sealed.map_err(|_| PairingError::WrongCode)?;
    let mut world = server.world.lock();
    let identity = world
        .account(number)
        .ok_or(PairingError::Gone)?
        .identity_key;
    let id = world.next_stanza_id();
    let waiting = world
        .waiting
        .get_mut(&connection.id)
        .ok_or(PairingError::Gone)?;
    let asked = waiting.link_code.as_mut().ok_or(PairingError::Gone)?;
    asked.phone_ephemeral = Some(ephemeral);
    asked.companion_ephemeral = Some(companion_ephemeral);
    connection.send(primary_hello(&id, &reference, sealed, &identity));
    Ok(connection.id)
}

fn primary_hello(id: &str, reference: &[u8], sealed: Vec<u8>, identity: &[u8]) -> Node {
    let registration = NodeBuilder::new("link_code_companion_reg")
        .attr("stage", "primary_hello")
        .children([
            leaf("link_code_pairing_wrapped_primary_ephemeral_pub", sealed),
            leaf("primary_identity_pub", identity),
            leaf("link_code_pairing_ref", reference),
        ]);
    NodeBuilder::new("notification")
        .attr("from", server_jid())
        .attr("id", id)
        .attr("type", "link_code_companion_reg")
        .attr("t", unix_time().to_string())
        .children([registration.build()])
        .build()
}

/// The client's key bundle: if the code was right it opens, and pair-success follows under the secret it yields.
fn finish(server: &Arc<Server>, connection: &Connection, registration: &Node) -> Answer {
    let bundle = registration.bytes("link_code_pairing_wrapped_key_bundle");
    let identity = registration.bytes("companion_identity_public");
    let (Some(bundle), Some(identity)) = (bundle, identity) else {
        return Answer::Error(400, "bad-request");
    };
    let opened = open(server, connection, identity, bundle);
    let outcome = match opened {
        Ok((number, secret)) => {
            // The answer comes first, then pair-success.
            let (server, connection) = (server.clone(), connection.id);
            server
                .clone()
                .tasks
                .spawn(async move { link(&server, connection, &number, &secret).await });
            Answer::empty()
        }
        Err(()) => Answer::Error(400, "bad-request"),
    };
    if matches!(outcome, Answer::Error(..)) {
        settle(server, connection.id, Err(PairingError::WrongCode));
    }
    outcome
}

fn open(
    server: &Server,
    connection: &Connection,
    identity: &[u8],
    bundle: &[u8],
) -> Result<(Number, [u8; 32]), ()> {
    let (number, ephemeral, companion, handset) = {
        let mut world = server.world.lock();
        let asked = world
            .waiting
            .get_mut(&connection.id)
            .and_then(|waiting| waiting.link_code.as_mut())
            .ok_or(())?;
        let ephemeral = asked.phone_ephemeral.take().ok_or(())?;
        let companion = asked.companion_ephemeral.ok_or(())?;
        let number: Number = asked.number.as_str().into();
        let handset = world.account(&number).ok_or(())?.handset.clone();
        (number, ephemeral, companion, handset)
    };
    let phone = handset.lock().signal.identity().clone();
    let secret = linkcode::adv_secret(&phone, &ephemeral, &companion, identity, bundle).map_err(
        |error| {
            tracing::debug!(
                error = format!("{error:#}"),
                "a link code did not open the key bundle"
            );
        },
    )?;
    Ok((number, secret))
}

async fn link(server: &Server, connection: u64, number: &Number, secret: &[u8; 32]) {
    let outcome = match pairing::offer(server, connection, number, secret) {
        Ok(outcome) => outcome.await.unwrap_or(Err(PairingError::Gone)),
        Err(error) => Err(error),
    };
    settle(server, connection, outcome);
}

fn settle(server: &Server, connection: u64, outcome: Result<crate::world::DeviceId, PairingError>) {
    server.world.lock().typed_codes.insert(connection, outcome);
    server.changed.notify_waiters();
}
