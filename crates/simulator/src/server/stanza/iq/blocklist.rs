//! The blocklist of an account, and reports of messages as spam. The list names people by LID, as
//! WhatsApp's does since accounts moved to LIDs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{IqAnswer, IqRequest, profile};
use crate::model::ids::{DeviceId, PhoneNumber};
use crate::model::options::Addressing;
use crate::server::Server;
use crate::server::world::World;
use crate::wire::{StanzaExt, leaf_node};

pub(crate) fn get_blocklist(request: &IqRequest<'_>) -> IqAnswer {
    IqAnswer::with_child(blocklist_node(
        &request.server.world.lock(),
        &request.device.number,
    ))
}

/// Blocks or unblocks a contact for a device. A contact to block must be named by both addresses.
pub(crate) fn change_blocklist(request: &IqRequest<'_>) -> IqAnswer {
    const BAD_REQUEST: IqAnswer = IqAnswer::Error(400, "bad-request");
    let Some((item, lid)) = request
        .operation
        .and_then(|item| Some((item, item.attr_jid("jid")?)))
    else {
        return BAD_REQUEST;
    };
    let is_blocked = match item.attr_text("action").as_deref() {
        Some("block") if item.attr_jid("pn_jid").is_some_and(|number| number.is_pn()) => true,
        Some("unblock") => false,
        _ => return BAD_REQUEST,
    };
    if !lid.is_lid() {
        return BAD_REQUEST;
    }
    let whom = request
        .server
        .world
        .lock()
        .account_of(&lid)
        .map(|account| account.number.clone());
    let Some(whom) = whom else {
        return IqAnswer::Error(404, "item-not-found");
    };
    set_blocked(request.server, request.device, &whom, is_blocked);
    get_blocklist(request)
}

/// The places in an app from which somebody reports.
const REPORT_FLOWS: [&str; 5] = [
    "GroupSpamBannerReport",
    "GroupInfoReport",
    "MessageMenu",
    "ContactInfo",
    "StatusReport",
];

/// Takes a report of messages as spam. Each names its author, its id, and its time.
pub(crate) fn take_report(request: &IqRequest<'_>) -> IqAnswer {
    const BAD_REQUEST: IqAnswer = IqAnswer::Error(400, "bad-request");
    let Some(list) = request.operation else {
        return BAD_REQUEST;
    };
    let flow = list.attr_text("spam_flow").unwrap_or_default();
    let mut world = request.server.world.lock();
    let own = &request.device.number;
    let mut reports = Vec::new();
    for message in list.children_named("message") {
        let is_timed = message
            .attr_text("t")
            .is_some_and(|time| time.parse::<u64>().is_ok_and(|time| time > 0));
        // In a group, `from` is the group.
        let author = message
            .attr_jid("participant")
            .or_else(|| message.attr_jid("from"));
        let author = author.and_then(|author| Some(world.account_of(&author)?.number.clone()));
        let id = message.attr_text("id").filter(|id| !id.is_empty());
        match (author, id) {
            (Some(author), Some(id)) if is_timed && author != *own => {
                reports.push((author, id.into_owned()));
            }
            _ => return BAD_REQUEST,
        }
    }
    if reports.is_empty() || !REPORT_FLOWS.contains(&&*flow) {
        return BAD_REQUEST;
    }
    let Some(account) = world.account_mut(own) else {
        return BAD_REQUEST;
    };
    account.reports.extend(reports);
    let report = format!("{:016x}", rand::random::<u64>());
    IqAnswer::with_child(leaf_node("report_id", report))
}

/// Blocks or unblocks a contact for a device or the phone, and notifies the account's other devices
/// of a change.
pub(crate) fn set_blocked(server: &Server, by: &DeviceId, whom: &PhoneNumber, is_blocked: bool) {
    let mut world = server.world.lock();
    let Some(lid) = world
        .account(whom)
        .map(|account| account.jid(Addressing::Lid, 0))
    else {
        return;
    };
    let before = hash_blocklist(&world, &by.number);
    let Some(account) = world.account_mut(&by.number) else {
        return;
    };
    let is_news = if is_blocked {
        account.blocked.insert(whom.clone())
    } else {
        account.blocked.remove(whom)
    };
    let item = NodeBuilder::new("item")
        .attr("jid", lid)
        .attr("action", if is_blocked { "block" } else { "unblock" });
    let list = NodeBuilder::new("blocklist")
        .attr("prev_dhash", before)
        .attr("dhash", hash_blocklist(&world, &by.number));
    drop(world);
    if is_news {
        profile::notify_own_devices(server, by, &list.children([item.build()]).build());
    }
    server.changed.notify_waiters();
}

fn blocklist_node(world: &World, number: &PhoneNumber) -> Node {
    let blocked = world
        .account(number)
        .into_iter()
        .flat_map(|account| &account.blocked);
    let item = |number: &PhoneNumber| {
        Some(
            NodeBuilder::new("item")
                .attr("jid", world.account(number)?.jid(Addressing::Lid, 0))
                .build(),
        )
    };
    let items = blocked.filter_map(item).collect::<Vec<_>>();
    NodeBuilder::new("list")
        .attr("dhash", hash_blocklist(world, number))
        .children(items)
        .build()
}

/// A short hash of the list, by which a client compares its own.
fn hash_blocklist(world: &World, number: &PhoneNumber) -> String {
    let blocked = world
        .account(number)
        .into_iter()
        .flat_map(|account| &account.blocked);
    let names: String = blocked.map(|number| format!("{number} ")).collect();
    STANDARD_NO_PAD.encode(&Sha256::digest(names)[..6])
}
