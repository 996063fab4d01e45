//! usync: which devices an account has, its LID, whether a number is on WhatsApp, and small facts about a contact.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::{Answer, Request};
use crate::adv;
use crate::server::Server;
use crate::stanza::{Stanza, leaf, notify, unix_time};
use crate::world::{Account, DeviceId};

pub(super) fn answer(request: &Request<'_>) -> Answer {
    let Some(usync) = request.ask else {
        return Answer::Error(400, "bad-request");
    };
    let (Some(query), Some(list)) = (usync.child("query"), usync.child("list")) else {
        return Answer::Error(400, "bad-request");
    };
    let asked: Vec<&str> = query.children().unwrap_or_default().iter().map(|child| child.tag.as_ref()).collect();
    let users: Vec<Node> = list.all("user").filter_map(|user| about(request.server, user, &asked)).collect();
    let mut answer = NodeBuilder::new("usync");
    for name in ["sid", "mode", "last", "index", "context"] {
        if let Some(value) = usync.word(name) {
            answer = answer.attr(name, value.into_owned());
        }
    }
    let results = asked.iter().map(|tag| NodeBuilder::new_dynamic((*tag).to_owned()).build());
    Answer::one(
        answer
            .children([
                NodeBuilder::new("result").children(results.collect::<Vec<_>>()).build(),
                NodeBuilder::new("list").children(users).build(),
            ])
            .build(),
    )
}

/// Whom a `<user>` of the list asks about: an address, or a number to look up.
enum Asked {
    Address(Jid),
    Contact(String),
}

impl Asked {
    fn read(user: &Node) -> Option<Self> {
        let contact = user.bytes("contact").map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        match (user.jid("jid"), contact) {
            (Some(jid), _) => Some(Self::Address(jid)),
            (None, Some(contact)) => Some(Self::Contact(contact)),
            (None, None) => None,
        }
    }

    /// The address the answer is about; for a number without an account, the one it would have.
    fn address(&self) -> Jid {
        match self {
            Self::Address(jid) => jid.to_non_ad(),
            Self::Contact(contact) => {
                let number = contact.split('@').next().unwrap_or_default();
                Jid::pn(number.chars().filter(char::is_ascii_digit).collect::<String>())
            }
        }
    }
}

fn about(server: &Server, user: &Node, asked: &[&str]) -> Option<Node> {
    let whom = Asked::read(user)?;
    let address = whom.address();
    let world = server.world.lock();
    let account = world.account_of(&address);
    let by_number = matches!(whom, Asked::Contact(_));
    // Whoever asks by LID has it; one client takes it for a wrong mapping when it is told again.
    let asked = asked.iter().filter(|fact| !(**fact == "lid" && address.is_lid()));
    let facts = asked.filter_map(|fact| fact_node(server, account, fact, by_number)).collect::<Vec<_>>();
    let mut answer = NodeBuilder::new("user").attr("jid", address.clone());
    if let (Some(account), true) = (account, by_number) {
        answer = answer.attr("pn_jid", account.jid(false, 0));
    }
    Some(answer.children(facts).build())
}

fn fact_node(server: &Server, account: Option<&Account>, fact: &str, by_number: bool) -> Option<Node> {
    let Some(account) = account else {
        return (fact == "contact" && by_number).then(|| NodeBuilder::new("contact").attr("type", "out").build());
    };
    match fact {
        "devices" => device_list(server, account),
        "lid" => Some(NodeBuilder::new("lid").attr("val", account.jid(true, 0)).build()),
        "contact" => Some(NodeBuilder::new("contact").attr("type", "in").build()),
        "status" => Some(leaf("status", account.about.as_bytes())),
        // No picture, no business profile, no disappearing messages: an empty element says so.
        other => Some(NodeBuilder::new_dynamic(other.to_owned()).build()),
    }
}

fn device_list(server: &Server, account: &Account) -> Option<Node> {
    let mut devices = vec![NodeBuilder::new("device").attr("id", "0").build()];
    devices.extend(account.devices.values().map(|device| {
        let id = NodeBuilder::new("device").attr("id", device.id.to_string());
        id.attr("key-index", device.key_index.to_string()).build()
    }));
    let mut children = vec![NodeBuilder::new("device-list").children(devices).build()];
    if !account.devices.is_empty() {
        children.push(key_index_list(server, account)?);
    }
    Some(NodeBuilder::new("devices").children(children).build())
}

fn key_index_list(server: &Server, account: &Account) -> Option<Node> {
    let valid = account.devices.values().map(|device| device.key_index).collect();
    let signed = adv::key_index_list(&account.signer, valid, server.options.corruption).ok()?;
    Some(NodeBuilder::new("key-index-list").attr("ts", unix_time().to_string()).bytes(signed).build())
}

/// Tells the account's other linked devices that one was added (`add`) or removed (`remove`). Peers learn it from usync or
/// from a message that names the device.
pub(crate) fn tell_device_list_changed(server: &Server, changed: &DeviceId, what: &'static str) {
    let (own, others, list) = {
        let world = server.world.lock();
        let Some(account) = world.account(&changed.number) else {
            return;
        };
        let own = account.jid(false, 0);
        let index = account.devices.get(&changed.device).map_or(0, |device| device.key_index);
        let device = NodeBuilder::new("device").attr("jid", account.jid(false, changed.device));
        let device = device.attr("key-index", index.to_string()).build();
        let Some(list) = key_index_list(server, account) else {
            return;
        };
        let change = NodeBuilder::new(what).children([device, list]).build();
        let others = account.devices.keys().copied().filter(|&other| other != changed.device);
        let others = others.map(|device| DeviceId { number: account.number.clone(), device });
        (own, others.collect::<Vec<_>>(), change)
    };
    for other in &others {
        notify(server, other, "devices", own.clone(), list.clone());
    }
}
