//! Unlinking of devices.

use crate::model::ids::DeviceId;
use crate::server::Server;
use crate::server::stanza::device_list;
use crate::wire::StreamEnd;

/// Removes a linked device and notifies the account's other devices; its connection, if any, ends
/// as given. Returns `false` if there is no such device.
pub(crate) fn unlink_device(server: &Server, id: &DeviceId, end: Option<StreamEnd>) -> bool {
    let Some(device) = server.world.lock().unlink_device(id) else {
        return false;
    };
    if let (Some(connection), Some(end)) = (device.connection, end) {
        connection.end_stream(end);
    }
    device_list::notify_device_removed(server, id, device.key_index);
    server.changed.notify_waiters();
    true
}
