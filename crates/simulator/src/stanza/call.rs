//! Calls, as far as ringing: offered to every linked device, terminated, rejected. No audio is ever
//! exchanged.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::{Stanza, enqueue, server_jid, unix_time};
use crate::Addressing;
use crate::device::Connection;
use crate::queue::Class;
use crate::server::Server;
use crate::signals::PhoneSignal;
use crate::world::{DeviceId, Number};

/// The caller's platform as announced by the server: clients that answer take it into account.
const PLATFORM: &str = "android";
const VERSION: &str = "2.26.34.76";

/// One call between two accounts.
pub(crate) struct Call<'a> {
    pub(crate) id: &'a str,
    pub(crate) caller: &'a Number,
    pub(crate) callee: &'a Number,
}

impl Call<'_> {
    /// Rings on all of the callee's linked devices; devices that are offline receive it when they
    /// reconnect.
    pub(crate) fn offer(&self, server: &Server, video: bool) {
        let Some(caller_pn) = self.caller_jid(server, Some(Addressing::PhoneNumber)) else {
            return;
        };
        let mut media = vec![
            NodeBuilder::new("audio")
                .attr("enc", "opus")
                .attr("rate", "16000")
                .build(),
        ];
        if video {
            media.push(
                NodeBuilder::new("video")
                    .attr("enc", "h264")
                    .attr("dec", "h264")
                    .build(),
            );
        }
        self.say(
            server,
            |action| action.attr("caller_pn", caller_pn).children(media).build(),
            "offer",
            None,
        );
    }

    /// Stops the ringing. A reason means that one of the callee's devices (`but`) has handled the
    /// call, and only the others are notified.
    pub(crate) fn terminate(
        &self,
        server: &Server,
        reason: Option<&'static str>,
        but: Option<u16>,
    ) {
        let with_reason = |action: NodeBuilder| match reason {
            Some(reason) => action.attr("reason", reason).build(),
            None => action.build(),
        };
        self.say(server, with_reason, "terminate", but);
    }

    /// Returns the caller's address; `None` uses the account's own addressing.
    fn caller_jid(&self, server: &Server, addressing: Option<Addressing>) -> Option<Jid> {
        let world = server.world.lock();
        world
            .account(self.caller)
            .map(|account| account.jid(addressing.unwrap_or(account.addressing), 0))
    }

    fn say(
        &self,
        server: &Server,
        fill: impl FnOnce(NodeBuilder) -> Node,
        action: &'static str,
        but: Option<u16>,
    ) {
        let Some(from) = self.caller_jid(server, None) else {
            return;
        };
        let (devices, name, stanza_id) = {
            let mut world = server.world.lock();
            let id = world.next_stanza_id();
            let callee = world
                .account(self.callee)
                .filter(|callee| !callee.has_blocked(self.caller));
            let Some(callee) = callee else { return };
            let devices: Vec<DeviceId> = callee
                .linked()
                .filter(|device| Some(device.device) != but)
                .collect();
            (
                devices,
                world
                    .account(self.caller)
                    .map(|it| it.push_name.clone())
                    .unwrap_or_default(),
                id,
            )
        };
        let action = NodeBuilder::new(action)
            .attr("call-id", self.id)
            .attr("call-creator", from.clone());
        let stanza = NodeBuilder::new("call")
            .attr("from", from.clone())
            .attr("id", stanza_id.as_str())
            .attr("t", unix_time().to_string())
            .attr("notify", name)
            .attr("platform", PLATFORM)
            .attr("version", VERSION)
            .children([fill(action)])
            .build();
        for device in &devices {
            enqueue(
                server,
                device,
                Class::Call,
                &stanza_id,
                from.clone(),
                stanza.clone(),
            );
        }
        server.changed.notify_waiters();
    }
}

/// Handles `<call>` from a linked device, which rejects a call.
pub(super) fn take(server: &Server, connection: &Connection, device: &DeviceId, node: &Node) {
    let (Some(reject), Some(to), Some(id)) =
        (node.child("reject"), node.jid("to"), node.word("id"))
    else {
        return server
            .world
            .lock()
            .count_unknown("<call> other than a rejection".to_owned());
    };
    let ack = NodeBuilder::new("ack")
        .attr("class", "call")
        .attr("type", "reject")
        .attr("id", id.into_owned());
    connection.send(ack.attr("from", server_jid()).build());
    let caller = {
        let world = server.world.lock();
        world
            .account_of(&to)
            .map(|account| (account.number.clone(), account.handset.clone()))
    };
    let (Some((caller, handset)), Some(call_id)) = (caller, reject.word("call-id")) else {
        return;
    };
    let by = format!("{}@s.whatsapp.net", device.number);
    handset.lock().signals.push(PhoneSignal::Rejected {
        call: call_id.clone().into_owned(),
        by,
    });
    let call = Call {
        id: &call_id,
        caller: &caller,
        callee: &device.number,
    };
    call.terminate(server, Some("rejected_elsewhere"), Some(device.device));
    server.changed.notify_waiters();
}
