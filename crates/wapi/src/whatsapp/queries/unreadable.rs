//! Messages that could not be read, asked for once more on request.

use whatsapp_rust::Jid;
use whatsapp_rust::features::{RetryRequestError, RetryRequestOptions, RetryRequestOutcome};
use whatsapp_rust::wacore_binary::builder::NodeBuilder;
use whatsapp_rust::wacore_binary::{JidExt, Node};

use crate::store::UndecryptedMessage;
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::request_error::RequestError;

impl Link {
    /// Asks the device that sent a message for it once more. Returns `false` if this connection has
    /// asked for it as often as WhatsApp's clients do.
    pub async fn request_again(&self, message: &UndecryptedMessage) -> Result<bool, RequestError> {
        let stanza = rebuild_stanza(message).ok_or(RequestError::Failed)?;
        let asking = async {
            let node = stanza.as_node_ref();
            // Boxed: the engine's futures are nested too deeply for the compiler.
            let options = RetryRequestOptions::new();
            Box::pin(self.client.request_message_retry(&node, options)).await
        };
        let outcome = self.run_request(async { asking.await.map_err(request_error) });
        Ok(matches!(outcome.await?, RetryRequestOutcome::Sent { .. }))
    }
}

fn request_error(error: RetryRequestError) -> RequestError {
    match error {
        RetryRequestError::Client(_) => RequestError::Offline,
        _ => RequestError::Failed,
    }
}

/// Builds the stanza of a message as WhatsApp delivered it, without its contents: the engine reads
/// from it whom to ask.
fn rebuild_stanza(message: &UndecryptedMessage) -> Option<Node> {
    let chat: Jid = message.key.chat.parse().ok()?;
    let sender: Jid = message.key.sender.parse().ok()?;
    let sender = sender.with_device(message.device);
    let stanza = NodeBuilder::new("message")
        .attr("id", message.key.id.as_str())
        .attr("t", message.sent_at.as_second());
    let stanza = match (
        chat.is_group() || chat.is_status_broadcast(),
        message.from_me,
    ) {
        (true, _) => stanza.attr("from", chat).attr("participant", sender),
        (false, true) => stanza.attr("from", sender).attr("recipient", chat),
        (false, false) => stanza.attr("from", sender),
    };
    Some(stanza.build())
}
