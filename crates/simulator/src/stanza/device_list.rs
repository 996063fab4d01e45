//! Which devices accounts have, as others keep it in lists of their own: who is told of a change, and how a list that is out of date shows.

use std::collections::BTreeSet;

use base64::Engine;
use base64::engine::general_purpose::STANDARD_NO_PAD;
use sha2::{Digest, Sha256};
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::{Notice, Stanza, notify, unix_time};
use crate::Addressing;
use crate::adv;
use crate::server::Server;
use crate::world::{Account, DeviceId, World};

/// The hash of the devices that a message should have gone to, when its sender left one out or wrote to one that is gone: the ack tells
/// it so, and the sender asks for the lists anew.
///
/// WhatsApp says nothing where the lists agree: its own web client takes the hash, whatever it is, for the news that they do not.
pub(super) fn correction(
    world: &World,
    sender: &DeviceId,
    to: &Jid,
    message: &Node,
) -> Option<String> {
    if let Some(group) = world.group_of(to) {
        // Whom a message to a group was sealed for does not show, so clients say which devices they know.
        let known = message.word("phash")?;
        let right = hash(addresses(
            world,
            &world.group_devices(group),
            group.addressing,
        ));
        return (known != right).then_some(right);
    }
    // What goes to one device alone, as when it is sent again, says nothing about the others.
    let alone =
        message.child("enc").is_some() || message.word("device_fanout").as_deref() == Some("false");
    let participants = message.child("participants").filter(|_| !alone)?;
    let written_to = participants
        .all("to")
        .filter_map(|to| device(world, &to.jid("jid")?))
        .chain([sender.clone()]);
    let both = [world.account_of(to)?, world.account(&sender.number)?];
    let right: BTreeSet<DeviceId> = both.into_iter().flat_map(Account::all_devices).collect();
    if written_to.collect::<BTreeSet<_>>() == right {
        return None;
    }
    Some(hash(addresses(
        world,
        &Vec::from_iter(right),
        Addressing::of(to),
    )))
}

fn device(world: &World, jid: &Jid) -> Option<DeviceId> {
    Some(DeviceId {
        number: world.account_of(jid)?.number.clone(),
        device: jid.device,
    })
}

fn addresses(world: &World, devices: &[DeviceId], addressing: Addressing) -> Vec<Jid> {
    devices
        .iter()
        .filter_map(|id| Some(world.account(&id.number)?.jid(addressing, id.device)))
        .collect()
}

/// A short name for a set of devices, by which a client sees whether its own list is the same.
fn hash(devices: Vec<Jid>) -> String {
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
fn hash_of(account: &Account, addressing: Addressing) -> String {
    hash(
        account
            .all_devices()
            .map(|id| account.jid(addressing, id.device))
            .collect(),
    )
}

/// A node for each device of an account, begun by `begin`; those of linked ones have their key index.
pub(super) fn listed(account: &Account, begin: impl Fn(u16) -> NodeBuilder) -> Vec<Node> {
    let linked = account.devices.values();
    let linked = linked.map(|device| {
        begin(device.id)
            .attr("key-index", device.key_index.to_string())
            .build()
    });
    std::iter::once(begin(0).build()).chain(linked).collect()
}

/// The account's signed list of the devices that are its own.
pub(super) fn key_index_list(server: &Server, account: &mut Account) -> Option<Node> {
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
                adv::key_index_list(&account.signer, newest, valid, server.options.corruption)
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

/// A device was linked: the account's other devices and everybody it has written with keep a list of its devices.
pub(crate) fn tell_device_added(server: &Server, added: &DeviceId) {
    let key_index = server
        .world
        .lock()
        .device(added)
        .map_or(0, |device| device.key_index);
    tell(server, added, "add", key_index);
}

/// A device that had this key index was removed.
pub(crate) fn tell_device_removed(server: &Server, removed: &DeviceId, key_index: u32) {
    tell(server, removed, "remove", key_index);
}

/// The account's own devices hear which there are now; the others hear what has changed, and by the hashes whether they missed something.
fn tell(server: &Server, changed: &DeviceId, what: &'static str, key_index: u32) {
    let mut world = server.world.lock();
    let Some(account) = world.account_mut(&changed.number) else {
        return;
    };
    let (from, lid) = (
        account.jid(Addressing::PhoneNumber, 0),
        account.jid(Addressing::Lid, 0),
    );
    let Some(list) = key_index_list(server, account) else {
        return;
    };
    let device = NodeBuilder::new("device")
        .attr("jid", account.jid(Addressing::PhoneNumber, changed.device))
        .attr("lid", account.jid(Addressing::Lid, changed.device))
        .attr("key-index", key_index.to_string())
        .build();
    let change = NodeBuilder::new(what)
        .attr("device_hash", hash_of(account, Addressing::PhoneNumber))
        .attr("device_lid_hash", hash_of(account, Addressing::Lid))
        .children([device, list.clone()])
        .build();
    let mut own = listed(account, |device| {
        NodeBuilder::new("device").attr("jid", account.jid(Addressing::PhoneNumber, device))
    });
    own.push(list);
    let devices = NodeBuilder::new("devices")
        .attr("dhash", hash_of(account, Addressing::PhoneNumber))
        .children(own);
    let devices = devices.build();
    let (others, mut peers) = (account.others(changed.device), account.peers.clone());
    peers.extend(world.companions(&changed.number));
    peers.remove(&changed.number);
    let theirs: Vec<DeviceId> = peers
        .iter()
        .filter_map(|peer| world.account(peer))
        .flat_map(Account::linked)
        .collect();
    drop(world);
    for device in &others {
        notify(
            server,
            device,
            Notice {
                kind: "account_sync",
                from: from.clone(),
                lid: None,
            },
            devices.clone(),
        );
    }
    for device in &theirs {
        let notice = Notice {
            kind: "devices",
            from: from.clone(),
            lid: Some(lid.clone()),
        };
        notify(server, device, notice, change.clone());
    }
}
