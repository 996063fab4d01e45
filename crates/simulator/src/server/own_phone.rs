//! The phone of an account, as far as the server needs it: a phone acts by itself when one of its
//! account's linked devices is new or asks it.

use std::sync::Arc;

use waproto::whatsapp::message::PeerDataOperationRequestMessage;

use super::Server;
use crate::model::ids::DeviceId;

/// Implemented above the server, by the phones.
pub(crate) trait OwnPhone: Send + Sync {
    /// Sends the history to a device that the phone has just linked, if there is any.
    fn send_history(&self, server: &Arc<Server>, device: &DeviceId) -> anyhow::Result<()>;

    /// Answers a device's request, which came in the message with this id.
    fn answer_request(
        &self,
        server: &Arc<Server>,
        device: &DeviceId,
        id: &str,
        request: &PeerDataOperationRequestMessage,
    ) -> anyhow::Result<()>;
}
