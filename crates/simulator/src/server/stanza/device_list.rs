//! Device lists: the notifications when an account's devices change, and the hash by which a client
//! finds its own copy of a list out of date.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::{NotificationHeader, notify_device};
use crate::crypto::adv;
use crate::model::ids::DeviceId;
use crate::model::options::Addressing;
use crate::server::Server;
use crate::server::world::{Account, World};
use crate::wire::{StanzaExt, unix_time};

/// Returns the hash of the devices a message should have gone to, if its sender left one out or
/// wrote to one that is gone. It goes into the ack, and the sender fetches the lists again.
///
/// WhatsApp sends no hash if the lists agree: its own web client takes any hash as a sign that they
/// do not.
pub(crate) fn corrected_hash(
    world: &World,
    sender: &DeviceId,
    to: &Jid,
    message: &Node,
) -> Option<String> {
    if let Some(group) = world.group_of(to) {
        // The recipients of a group message's sender key do not show, so clients state the devices
        // they know.
        let known = message.attr_text("phash")?;
        let right = hash_devices(device_jids(
            world,
            &world.group_devices(group),
            group.addressing,
        ));
        return (known != right).then_some(right);
    }
    // A message to a single device, such as a resent one, says nothing about the others.
    let alone = message.child("enc").is_some()
        || message.attr_text("device_fanout").as_deref() == Some("false");
    let participants = message.child("participants").filter(|_| !alone)?;
    let written_to = participants
        .children_named("to")
        .filter_map(|to| device_id(world, &to.attr_jid("jid")?))
        .chain([sender.clone()]);
    let both = [world.account_of(to)?, world.account(&sender.number)?];
    let right: BTreeSet<DeviceId> = both.into_iter().flat_map(Account::all_devices).collect();
    if written_to.collect::<BTreeSet<_>>() == right {
        return None;
    }
    Some(hash_devices(device_jids(
        world,
        &Vec::from_iter(right),
        Addressing::from_jid(to),
    )))
}

fn device_id(world: &World, jid: &Jid) -> Option<DeviceId> {
    Some(DeviceId {
        number: world.account_of(jid)?.number.clone(),
        device: jid.device,
    })
}

fn device_jids(world: &World, devices: &[DeviceId], addressing: Addressing) -> Vec<Jid> {
    devices
        .iter()
        .filter_map(|id| Some(world.account(&id.number)?.jid(addressing, id.device)))
        .collect()
}

/// A short hash of a set of devices, by which a client compares its own list.
fn hash_devices(devices: Vec<Jid>) -> String {
    let mut names: Vec<String> = devices
        .iter()
        .map(|jid| format!("{}.0:{}@{}", jid.user, jid.device, jid.server))
        .collect();
    names.sort();
    format!(
        "2:{}",
        STANDARD_NO_PAD.encode(&Sha256::digest(names.concat())[..6])
    )
}

/// The hash of one account's devices.
fn hash_account_devices(account: &Account, addressing: Addressing) -> String {
    hash_devices(
        account
            .all_devices()
            .map(|id| account.jid(addressing, id.device))
            .collect(),
    )
}

/// Builds a node for each device of an account, begun by `begin`; those of linked devices carry
/// their key index.
pub(crate) fn device_nodes(account: &Account, begin: impl Fn(u16) -> NodeBuilder) -> Vec<Node> {
    let linked = account.devices.values();
    let linked = linked.map(|device| {
        begin(device.id)
            .attr("key-index", device.key_index.to_string())
            .build()
    });
    std::iter::once(begin(0).build()).chain(linked).collect()
}

/// Returns the account's signed list of its own devices.
pub(crate) fn key_index_node(server: &Server, account: &mut Account) -> Option<Node> {
    let signed = match &account.key_index_list {
        Some(signed) => signed.clone(),
        None => {
            let valid = account
                .devices
                .values()
                .map(|device| device.key_index)
                .collect();
            let newest = u32::from(account.last_device);
            let signed =
                adv::sign_key_index_list(&account.signer, newest, valid, server.options.corruption)
                    .ok()?;
            account.key_index_list.insert(signed).clone()
        }
    };
    Some(
        NodeBuilder::new("key-index-list")
            .attr("ts", unix_time().to_string())
            .bytes(signed)
            .build(),
    )
}

/// Notifies the account's other devices, and its peers, of a newly linked device: they keep a list
/// of the account's devices.
pub(crate) fn notify_device_added(server: &Server, added: &DeviceId) {
    let key_index = server
        .world
        .lock()
        .device(added)
        .map_or(0, |device| device.key_index);
    notify_change(server, added, "add", key_index);
}

/// Notifies the same devices that the device with this key index was removed.
pub(crate) fn notify_device_removed(server: &Server, removed: &DeviceId, key_index: u32) {
    notify_change(server, removed, "remove", key_index);
}

/// Sends the full list to the account's own devices; the others get the change, and hashes by which
/// they detect missed changes.
fn notify_change(server: &Server, changed: &DeviceId, what: &'static str, key_index: u32) {
    let mut world = server.world.lock();
    let Some(account) = world.account_mut(&changed.number) else {
        return;
    };
    let (from, lid) = (
        account.jid(Addressing::PhoneNumber, 0),
        account.jid(Addressing::Lid, 0),
    );
    let Some(list) = key_index_node(server, account) else {
        return;
    };
    let device = NodeBuilder::new("device")
        .attr("jid", account.jid(Addressing::PhoneNumber, changed.device))
        .attr("lid", account.jid(Addressing::Lid, changed.device))
        .attr("key-index", key_index.to_string())
        .build();
    let change = NodeBuilder::new(what)
        .attr(
            "device_hash",
            hash_account_devices(account, Addressing::PhoneNumber),
        )
        .attr(
            "device_lid_hash",
            hash_account_devices(account, Addressing::Lid),
        )
        .children([device, list.clone()])
        .build();
    let mut own = device_nodes(account, |device| {
        NodeBuilder::new("device").attr("jid", account.jid(Addressing::PhoneNumber, device))
    });
    own.push(list);
    let devices = NodeBuilder::new("devices")
        .attr(
            "dhash",
            hash_account_devices(account, Addressing::PhoneNumber),
        )
        .children(own);
    let devices = devices.build();
    let (others, mut peers) = (account.other_devices(changed.device), account.peers.clone());
    peers.extend(world.group_peers(&changed.number));
    peers.remove(&changed.number);
    let theirs: Vec<DeviceId> = peers
        .iter()
        .filter_map(|peer| world.account(peer))
        .flat_map(Account::linked_devices)
        .collect();
    drop(world);
    for device in &others {
        notify_device(
            server,
            device,
            NotificationHeader {
                kind: "account_sync",
                from: from.clone(),
                lid: None,
            },
            devices.clone(),
        );
    }
    for device in &theirs {
        let notice = NotificationHeader {
            kind: "devices",
            from: from.clone(),
            lid: Some(lid.clone()),
        };
        notify_device(server, device, notice, change.clone());
    }
}
