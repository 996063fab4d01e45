//! Requests about a device's own account: going active and passive, media access, logging out.

use wacore_binary::Jid;
use wacore_binary::builder::NodeBuilder;

use super::{IqAnswer, IqRequest};
use crate::model::ids::DeviceId;
use crate::server::stanza::login;
use crate::server::unlinking::unlink_device;
use crate::wire::{StanzaExt, StreamEnd};

/// How long an upload token is valid, in seconds.
const MEDIA_TTL: u32 = 21_600;

/// The client is ready for stanzas.
pub(crate) fn set_active(request: &IqRequest<'_>) -> IqAnswer {
    // The answer precedes the first offline stanza.
    request.connection.send(super::empty_result(request.iq));
    login::activate_device(request.server, request.device);
    IqAnswer::NoAnswer
}

/// The client wants no stanzas for now.
pub(crate) fn set_passive(request: &IqRequest<'_>) -> IqAnswer {
    if let Some(device) = request
        .server
        .world
        .lock()
        .device_mut(&request.device.number, request.device.device)
    {
        device.pause();
    }
    IqAnswer::empty()
}

/// Returns the media host: this same port, over TLS.
pub(crate) fn get_media_host(request: &IqRequest<'_>) -> IqAnswer {
    let host = NodeBuilder::new("host")
        .attr("hostname", request.server.address.to_string())
        .attr("type", "primary")
        .attr("class", "mms");
    IqAnswer::with_child(
        NodeBuilder::new("media_conn")
            .attr("auth", "simulated-media-auth")
            .attr("ttl", MEDIA_TTL.to_string())
            .attr("auth_ttl", MEDIA_TTL.to_string())
            .attr("max_buckets", "12")
            .attr("max_manual_retry", "3")
            .children([host.build()])
            .build(),
    )
}

/// Unlinks the requesting device, or another device of its account.
pub(crate) fn log_out(request: &IqRequest<'_>) -> IqAnswer {
    let jid = request.operation.and_then(|remove| remove.attr_jid("jid"));
    let owner = |jid: &Jid| {
        request
            .server
            .world
            .lock()
            .account_of(jid)
            .map(|account| account.number.clone())
    };
    let device = match &jid {
        None => request.device.device,
        Some(jid) if owner(jid).is_some_and(|owner| owner == request.device.number) => jid.device,
        Some(_) => return IqAnswer::Error(403, "forbidden"),
    };
    if device == request.device.device {
        unlink_device(request.server, request.device, None);
        return IqAnswer::ResultThenEnd(StreamEnd::Removed);
    }
    let other = DeviceId {
        number: request.device.number.clone(),
        device,
    };
    match unlink_device(request.server, &other, Some(StreamEnd::Removed)) {
        true => IqAnswer::empty(),
        false => IqAnswer::Error(404, "item-not-found"),
    }
}
