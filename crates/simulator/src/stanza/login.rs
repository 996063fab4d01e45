//! What happens after the handshake: a client that wants to be linked gets references for a QR, a linked device is logged in.

use std::sync::Arc;

use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp as wa;

use super::{Role, Session, StreamEnd, pairing, unix_time};
use crate::Addressing;
use crate::device::Connection;
use crate::server::Server;

/// Decides who the client is. A linked device is known by its Noise key alone, as on WhatsApp.
pub(crate) fn enter(
    server: &Arc<Server>,
    connection: Connection,
    noise_key: [u8; 32],
    payload: &wa::ClientPayload,
) -> Session {
    let role = match payload.device_pairing_data.as_option() {
        Some(data) => pairing::begin(server, &connection, noise_key, payload, data),
        None => log_in(server, &connection, &noise_key, payload),
    };
    Session { connection, role }
}

fn log_in(server: &Server, connection: &Connection, noise_key: &[u8; 32], payload: &wa::ClientPayload) -> Role {
    let mut world = server.world.lock();
    let Some(id) = world.device_by_noise_key(noise_key).cloned() else {
        connection.end(StreamEnd::Failure(401));
        return Role::Nobody;
    };
    let claimed = (payload.username.map(|user| user.to_string()), payload.device.unwrap_or(0));
    if claimed != (Some(id.number.to_string()), u32::from(id.device)) {
        connection.end(StreamEnd::Failure(401));
        return Role::Nobody;
    }
    let Some(lid) = world.account(&id.number).map(|account| account.jid(Addressing::Lid, id.device)) else {
        return Role::Nobody;
    };
    let Some(device) = world.device_mut(&id.number, id.device) else {
        return Role::Nobody;
    };
    let success = NodeBuilder::new("success")
        .attr("t", unix_time().to_string())
        .attr("lid", lid)
        .attr("props", "27")
        .attr("location", "sim")
        .build();
    device.connect(connection.clone(), success);
    drop(world);
    server.changed.notify_waiters();
    Role::Device(id)
}
