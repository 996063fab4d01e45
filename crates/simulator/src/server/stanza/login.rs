//! Login: after the handshake, a client that wants to be linked gets references for a QR, and a
//! linked device is logged in.

use std::sync::Arc;
use std::time::Duration;

use wacore_binary::builder::NodeBuilder;
use waproto::whatsapp as wa;

use super::messages::newsletter;
use super::{ClientRole, ClientSession, pairing};
use crate::model::device::{ConnectionHandle, Device};
use crate::model::ids::DeviceId;
use crate::model::options::Addressing;
use crate::server::Server;
use crate::wire::{StreamEnd, unix_time};

/// How long WhatsApp takes to find the queued stanzas of a device that logs in active.
const BACKLOG_DELAY: Duration = Duration::from_millis(300);

/// Determines the client's role. A linked device is identified by its Noise key alone, as on
/// WhatsApp.
pub(crate) fn admit_client(
    server: &Arc<Server>,
    connection: ConnectionHandle,
    noise_key: [u8; 32],
    payload: &wa::ClientPayload,
) -> ClientSession {
    let role = match payload.device_pairing_data.as_option() {
        Some(data) => pairing::begin_pairing(server, &connection, noise_key, payload, data),
        None => log_in(server, &connection, &noise_key, payload),
    };
    ClientSession { connection, role }
}

fn log_in(
    server: &Arc<Server>,
    connection: &ConnectionHandle,
    noise_key: &[u8; 32],
    payload: &wa::ClientPayload,
) -> ClientRole {
    let mut world = server.world.lock();
    let Some(id) = world.device_by_noise_key(noise_key).cloned() else {
        connection.end_stream(StreamEnd::Failure(401));
        return ClientRole::Ignored;
    };
    let claimed = (
        payload.username.map(|user| user.to_string()),
        payload.device.unwrap_or(0),
    );
    if claimed != (Some(id.number.to_string()), u32::from(id.device)) {
        connection.end_stream(StreamEnd::Failure(401));
        return ClientRole::Ignored;
    }
    let Some(lid) = world
        .account(&id.number)
        .map(|account| account.jid(Addressing::Lid, id.device))
    else {
        return ClientRole::Ignored;
    };
    newsletter::stop_live_updates(&mut world, &id);
    let Some(device) = world.device_mut(&id.number, id.device) else {
        return ClientRole::Ignored;
    };
    let success = NodeBuilder::new("success")
        .attr("t", unix_time().to_string())
        .attr("lid", lid)
        .attr("props", "27")
        .attr("location", "sim")
        .build();
    // Most clients log in passive, and report when they are ready.
    let is_active = !payload.passive.unwrap_or(false);
    device.connect(connection.clone(), success, is_active);
    let is_in = !device.frozen;
    drop(world);
    server.changed.notify_waiters();
    if is_active && is_in {
        server
            .tasks
            .spawn(activate_soon(server.clone(), id.clone(), connection.id));
    }
    ClientRole::Device(id)
}

/// Activates a client that logged in active, and need not send the request. A client that sends it
/// all the same expects queued stanzas only then, and gets them sooner.
async fn activate_soon(server: Arc<Server>, id: DeviceId, connection: u64) {
    tokio::select! {
        () = server.stop.cancelled() => return,
        () = tokio::time::sleep(BACKLOG_DELAY) => {}
    }
    let is_here = |device: &Device| {
        !device.frozen
            && device
                .connection
                .as_ref()
                .is_some_and(|present| present.id == connection)
    };
    if server.world.lock().device(&id).is_some_and(is_here) {
        activate_device(&server, &id);
    }
}

/// Activates a client that is ready: its queued stanzas are sent, and a newly linked device is
/// greeted by its phone.
pub(crate) fn activate_device(server: &Arc<Server>, id: &DeviceId) {
    if let Some(device) = server.world.lock().device_mut(&id.number, id.device) {
        device.activate();
    }
    server.changed.notify_waiters();
    if let Err(error) = pairing::greet_device(server, id) {
        tracing::warn!(
            error = format!("{error:#}"),
            "a phone could not greet the device it linked"
        );
    }
}
