//! The blocklist of an account. It names people by LID, as WhatsApp's does since accounts moved to
//! LIDs.

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{Answer, Request, profile};
use crate::Addressing;
use crate::server::Server;
use crate::stanza::Stanza;
use crate::world::{DeviceId, Number, World};

pub(super) fn list(request: &Request<'_>) -> Answer {
    Answer::one(node(&request.server.world.lock(), &request.device.number))
}

/// Blocks or unblocks a contact for a device. A contact to block must be named by both addresses.
pub(super) fn change(request: &Request<'_>) -> Answer {
    const WRONG: Answer = Answer::Error(400, "bad-request");
    let Some((item, lid)) = request.ask.and_then(|item| Some((item, item.jid("jid")?))) else {
        return WRONG;
    };
    let is_blocked = match item.word("action").as_deref() {
        Some("block") if item.jid("pn_jid").is_some_and(|number| number.is_pn()) => true,
        Some("unblock") => false,
        _ => return WRONG,
    };
    if !lid.is_lid() {
        return WRONG;
    }
    let whom = request
        .server
        .world
        .lock()
        .account_of(&lid)
        .map(|account| account.number.clone());
    let Some(whom) = whom else {
        return Answer::Error(404, "item-not-found");
    };
    set(request.server, request.device, &whom, is_blocked);
    list(request)
}

/// Blocks or unblocks a contact for a device or the phone, and notifies the account's other devices
/// of a change.
pub(crate) fn set(server: &Server, by: &DeviceId, whom: &Number, is_blocked: bool) {
    let mut world = server.world.lock();
    let Some(lid) = world
        .account(whom)
        .map(|account| account.jid(Addressing::Lid, 0))
    else {
        return;
    };
    let before = hash(&world, &by.number);
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
        .attr("dhash", hash(&world, &by.number));
    drop(world);
    if is_news {
        profile::tell_own_devices(server, by, &list.children([item.build()]).build());
    }
    server.changed.notify_waiters();
}

fn node(world: &World, number: &Number) -> Node {
    let blocked = world
        .account(number)
        .into_iter()
        .flat_map(|account| &account.blocked);
    let item = |number: &Number| {
        Some(
            NodeBuilder::new("item")
                .attr("jid", world.account(number)?.jid(Addressing::Lid, 0))
                .build(),
        )
    };
    let items = blocked.filter_map(item).collect::<Vec<_>>();
    NodeBuilder::new("list")
        .attr("dhash", hash(world, number))
        .children(items)
        .build()
}

/// A short hash of the list, by which a client compares its own.
fn hash(world: &World, number: &Number) -> String {
    let blocked = world
        .account(number)
        .into_iter()
        .flat_map(|account| &account.blocked);
    let names: String = blocked.map(|number| format!("{number} ")).collect();
    STANDARD_NO_PAD.encode(&Sha256::digest(names)[..6])
}
