//! Calls, as far as ringing: offered to every linked device, terminated, rejected. No audio is ever
//! exchanged.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::enqueue_stanza;
use crate::model::behaviour::{CallLink, PhoneActivity};
use crate::model::device::ConnectionHandle;
use crate::model::ids::{DeviceId, PhoneNumber};
use crate::model::options::Addressing;
use crate::model::queue::StanzaClass;
use crate::server::Server;
use crate::wire::{StanzaExt, server_jid, unix_time};

/// The caller's platform as announced by the server: clients that answer take it into account.
const CALLER_PLATFORM: &str = "android";
const CALLER_VERSION: &str = "2.26.34.76";

/// One call between two accounts.
pub(crate) struct RingingCall<'a> {
    pub(crate) id: &'a str,
    pub(crate) caller: &'a PhoneNumber,
    pub(crate) callee: &'a PhoneNumber,
}

impl RingingCall<'_> {
    /// Rings on all of the callee's linked devices; devices that are offline receive it when they
    /// reconnect.
    pub(crate) fn start_ringing(&self, server: &Server, video: bool) {
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
        self.send_stanza(
            server,
            |action| action.attr("caller_pn", caller_pn).children(media).build(),
            "offer",
            None,
        );
    }

    /// Stops the ringing. A reason means that one of the callee's devices (`but`) has handled the
    /// call, and only the others are notified.
    pub(crate) fn stop_ringing(
        &self,
        server: &Server,
        reason: Option<&'static str>,
        but: Option<u16>,
    ) {
        let with_reason = |action: NodeBuilder| match reason {
            Some(reason) => action.attr("reason", reason).build(),
            None => action.build(),
        };
        self.send_stanza(server, with_reason, "terminate", but);
    }

    /// Returns the caller's address; `None` uses the account's own addressing.
    fn caller_jid(&self, server: &Server, addressing: Option<Addressing>) -> Option<Jid> {
        let world = server.world.lock();
        world
            .account(self.caller)
            .map(|account| account.jid(addressing.unwrap_or(account.addressing), 0))
    }

    fn send_stanza(
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
                .linked_devices()
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
            .attr("platform", CALLER_PLATFORM)
            .attr("version", CALLER_VERSION)
            .children([fill(action)])
            .build();
        for device in &devices {
            enqueue_stanza(
                server,
                device,
                StanzaClass::Call,
                &stanza_id,
                from.clone(),
                stanza.clone(),
            );
        }
        server.changed.notify_waiters();
    }
}

/// The address of the server for calls that nobody is called in yet.
const CALL_SERVER: &str = "call";

/// Creates a link to a call.
fn create_link(
    server: &Server,
    connection: &ConnectionHandle,
    device: &DeviceId,
    node: &Node,
    create: &Node,
) {
    let (id, media) = (node.attr_text("id"), create.attr_text("media"));
    let ack = NodeBuilder::new("ack")
        .attr("class", "call")
        .attr("type", "link_create")
        .attr("id", id.unwrap_or_default().into_owned())
        .attr("from", Jid::new("", wacore_binary::Server::Call));
    let is_for_server = node
        .attr_text("to")
        .is_some_and(|to| to.trim_start_matches('@') == CALL_SERVER);
    let media = media.filter(|media| matches!(&**media, "audio" | "video") && is_for_server);
    let Some(media) = media else {
        return connection.send(ack.attr("error", "400").build());
    };
    let token = hex::encode_upper(rand::random::<[u8; 11]>());
    let link = NodeBuilder::new("link_create")
        .attr("token", token.as_str())
        .attr("media", media.to_string())
        .build();
    server.world.lock().call_links.push(CallLink {
        creator: device.number.to_string(),
        token,
        video: media == "video",
    });
    connection.send(ack.children([link]).build());
}

/// Handles `<call>` from a linked device, which rejects a call, or creates a link to one.
pub(crate) fn handle_call(
    server: &Server,
    connection: &ConnectionHandle,
    device: &DeviceId,
    node: &Node,
) {
    if let Some(create) = node.child("link_create") {
        return create_link(server, connection, device, node, create);
    }
    let (Some(reject), Some(to), Some(id)) = (
        node.child("reject"),
        node.attr_jid("to"),
        node.attr_text("id"),
    ) else {
        return server
            .world
            .lock()
            .count_unknown("<call> other than a rejection or a link".to_owned());
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
            .map(|account| (account.number.clone(), account.phone_state.clone()))
    };
    let (Some((caller, phone_state)), Some(call_id)) = (caller, reject.attr_text("call-id")) else {
        return;
    };
    let by = format!("{}@s.whatsapp.net", device.number);
    phone_state.lock().activity.push(PhoneActivity::Rejected {
        call: call_id.clone().into_owned(),
        by,
    });
    let call = RingingCall {
        id: &call_id,
        caller: &caller,
        callee: &device.number,
    };
    call.stop_ringing(server, Some("rejected_elsewhere"), Some(device.device));
    server.changed.notify_waiters();
}
