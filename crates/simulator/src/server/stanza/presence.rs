//! Presence and typing: passed on to the accounts that are available at the moment, and not stored.

use std::collections::{BTreeMap, HashMap, HashSet};

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::group::group_jid;
use crate::model::behaviour::{PhoneActivity, TypingState};
use crate::model::ids::{Chat, DeviceId, PhoneNumber};
use crate::model::options::Addressing;
use crate::server::Server;
use crate::wire::{StanzaExt, unix_time};

/// The available devices, the times accounts were last seen, and the watchers of accounts.
#[derive(Default)]
pub(crate) struct PresenceRegistry {
    available: HashSet<DeviceId>,
    last_seen: HashMap<PhoneNumber, u64>,
    /// By watched account: the watching devices, and the address each of them uses.
    watchers: HashMap<PhoneNumber, BTreeMap<DeviceId, Jid>>,
}

impl PresenceRegistry {
    fn is_available(&self, number: &PhoneNumber) -> bool {
        self.available.iter().any(|device| device.number == *number)
    }

    /// Builds the presence for a watcher.
    fn presence_node(&self, number: &PhoneNumber, named: &Jid, shows_last: bool) -> Node {
        let presence = NodeBuilder::new("presence").attr("from", named.clone());
        if self.is_available(number) {
            return presence.attr("type", "available").build();
        }
        let last = self
            .last_seen
            .get(number)
            .filter(|_| shows_last)
            .map_or_else(|| "deny".to_owned(), u64::to_string);
        presence
            .attr("type", "unavailable")
            .attr("last", last)
            .build()
    }
}

/// Handles `<presence>` from a linked device.
pub(crate) fn handle_presence(server: &Server, device: &DeviceId, node: &Node) {
    match (node.attr_text("type").as_deref(), node.attr_jid("to")) {
        (Some("subscribe"), Some(to)) => {
            watch_presence(server, device, &to, node.child_bytes("tctoken"))
        }
        (Some("unsubscribe"), Some(to)) => {
            let mut world = server.world.lock();
            let Some(number) = world.account_of(&to).map(|account| account.number.clone()) else {
                return;
            };
            if let Some(watchers) = world.presences.watchers.get_mut(&number) {
                watchers.remove(device);
            }
        }
        // The default type is "available".
        (kind @ (None | Some("available" | "unavailable")), None) => {
            if let Some(name) = node.attr_text("name").filter(|name| !name.is_empty())
                && let Some(account) = server.world.lock().account_mut(&device.number)
            {
                account.push_name = name.into_owned();
            }
            set_presence(server, device, kind.is_none_or(|kind| kind == "available"));
        }
        _ => server
            .world
            .lock()
            .count_unknown("<presence> of an unknown type".to_owned()),
    }
}

/// Sets the presence of a device or a phone, and notifies the account's watchers of a change.
pub(crate) fn set_presence(server: &Server, device: &DeviceId, available: bool) {
    let mut world = server.world.lock();
    let presences = &mut world.presences;
    let before = presences.is_available(&device.number);
    if available {
        presences.available.insert(device.clone());
    } else if presences.available.remove(device) {
        presences
            .last_seen
            .insert(device.number.clone(), unix_time());
    }
    let after = presences.is_available(&device.number);
    let watchers = presences
        .watchers
        .get(&device.number)
        .cloned()
        .unwrap_or_default();
    drop(world);
    if before != after {
        for (watcher, named) in &watchers {
            notify_watcher(server, watcher, &device.number, named);
        }
    }
    server.changed.notify_waiters();
}

/// Makes a device or a phone a watcher of an account's presence, and sends it the current one; does
/// nothing if the account shows it only for a token that is missing.
pub(crate) fn watch_presence(
    server: &Server,
    watcher: &DeviceId,
    whom: &Jid,
    token: Option<&[u8]>,
) {
    let number = {
        let mut world = server.world.lock();
        let Some(number) = world.account_of(whom).map(|account| account.number.clone()) else {
            return;
        };
        if !world.can_see_presence(&number, &watcher.number, token) {
            return;
        }
        let watchers = world.presences.watchers.entry(number.clone()).or_default();
        watchers.insert(watcher.clone(), whom.to_non_ad());
        number
    };
    notify_watcher(server, watcher, &number, &whom.to_non_ad());
    server.changed.notify_waiters();
}

fn notify_watcher(server: &Server, watcher: &DeviceId, number: &PhoneNumber, named: &Jid) {
    let mut world = server.world.lock();
    if world.has_blocked(number, &watcher.number) {
        return;
    }
    let Some(account) = world.account(number) else {
        return;
    };
    let shows_last = account.is_shown_to("last", &watcher.number);
    if !shows_last && account.privacy.get_setting("online") == Some("match_last_seen") {
        return;
    }
    let stanza = world.presences.presence_node(number, named, shows_last);
    let available = world.presences.is_available(number);
    if watcher.device != 0 {
        if let Some(device) = world.device_mut(&watcher.number, watcher.device) {
            device.send_now(stanza);
        }
        return;
    }
    let phone_state = world
        .account(&watcher.number)
        .map(|account| account.phone_state.clone());
    drop(world);
    if let Some(phone_state) = phone_state {
        let from = format!("{number}@s.whatsapp.net");
        phone_state
            .lock()
            .activity
            .push(PhoneActivity::Presence { from, available });
    }
}

/// Removes a closed connection from the available devices and from the watchers.
pub(crate) fn forget_device(server: &Server, device: &DeviceId) {
    for watchers in server.world.lock().presences.watchers.values_mut() {
        watchers.remove(device);
    }
    set_presence(server, device, false);
}

/// Handles `<chatstate>` from a linked device.
pub(crate) fn handle_chatstate(server: &Server, device: &DeviceId, node: &Node) {
    let typing = if node.child("paused").is_some() {
        Some(TypingState::Paused)
    } else {
        let is_audio = |composing: &Node| composing.attr_text("media").as_deref() == Some("audio");
        node.child("composing").map(|it| {
            if is_audio(it) {
                TypingState::Recording
            } else {
                TypingState::Composing
            }
        })
    };
    let (Some(typing), Some(to)) = (typing, node.attr_jid("to")) else {
        return server
            .world
            .lock()
            .count_unknown("<chatstate> of an unknown kind".to_owned());
    };
    let chat = {
        let world = server.world.lock();
        match world.group_of(&to) {
            Some(group) => Some(Chat::Group(group.id.clone())),
            None => world
                .account_of(&to)
                .map(|account| Chat::Person(account.number.clone())),
        }
    };
    if let Some(chat) = chat {
        show_typing(server, device, &chat, typing, Addressing::from_jid(&to));
    }
}

/// Shows the typing of a device or a phone to the others in a chat. WhatsApp shows it only to
/// devices that are available.
pub(crate) fn show_typing(
    server: &Server,
    by: &DeviceId,
    chat: &Chat,
    typing: TypingState,
    addressing: Addressing,
) {
    let mut world = server.world.lock();
    let (from, others) = match chat {
        Chat::Person(number) if world.has_blocked(number, &by.number) => return,
        Chat::Person(number) => (None, vec![number.clone()]),
        Chat::Status | Chat::Newsletter(_) => return,
        Chat::Group(id) => {
            let Some(group) = world.groups.get(id) else {
                return;
            };
            if !group.members.contains_key(&by.number) {
                return;
            }
            let others = group
                .members
                .keys()
                .filter(|number| **number != by.number)
                .cloned()
                .collect();
            (Some((group_jid(id), group.addressing)), others)
        }
    };
    let Some(account) = world.account(&by.number) else {
        return;
    };
    let stanza = NodeBuilder::new("chatstate");
    let stanza = match from {
        Some((group, addressing)) => stanza
            .attr("from", group)
            .attr("participant", account.jid(addressing, 0)),
        None => stanza.attr("from", account.jid(addressing, 0)),
    };
    let stanza = stanza.children([typing.chatstate_node()]).build();
    let mut phones = Vec::new();
    for number in others {
        let Some(account) = world.account(&number) else {
            continue;
        };
        phones.push(account.phone_state.clone());
        let devices: Vec<DeviceId> = account.linked_devices().collect();
        for device in devices
            .into_iter()
            .filter(|device| world.presences.available.contains(device))
            .collect::<Vec<_>>()
        {
            if let Some(device) = world.device_mut(&device.number, device.device) {
                device.send_now(stanza.clone());
            }
        }
    }
    drop(world);
    let shown = match chat {
        Chat::Group(_) | Chat::Status | Chat::Newsletter(_) => chat.to_string(),
        Chat::Person(_) => Chat::Person(by.number.clone()).to_string(),
    };
    for phone in phones {
        let from = format!("{}@s.whatsapp.net", by.number);
        phone.lock().activity.push(PhoneActivity::Typing {
            chat: shown.clone(),
            from,
            state: typing,
        });
    }
    server.changed.notify_waiters();
}
