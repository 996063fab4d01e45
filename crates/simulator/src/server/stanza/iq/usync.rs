//! usync: the devices and the LID of an account, whether a number is on WhatsApp, and small facts
//! about a contact.

use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node};

use super::{IqAnswer, IqRequest, bots, preferences};
use crate::model::ids::PhoneNumber;
use crate::model::options::Addressing;
use crate::server::Server;
use crate::server::account::profile::VisiblePicture;
use crate::server::stanza::device_list::{device_nodes, key_index_node};
use crate::server::stanza::trust;
use crate::server::world::Account;
use crate::wire::{StanzaExt, leaf_node};

pub(crate) fn answer_usync(request: &IqRequest<'_>) -> IqAnswer {
    let Some(usync) = request.operation else {
        return IqAnswer::Error(400, "bad-request");
    };
    let (Some(query), Some(list)) = (usync.child("query"), usync.child("list")) else {
        return IqAnswer::Error(400, "bad-request");
    };
    let asked: Vec<&str> = query
        .children()
        .unwrap_or_default()
        .iter()
        .map(|child| child.tag.as_ref())
        .collect();
    let asker = &request.device.number;
    // Selects the address by which the answer names an account that is looked up.
    let by_lid = query
        .child("contact")
        .and_then(|contact| contact.attr_text("addressing_mode"))
        .as_deref()
        == Some("lid");
    let about = |user| describe_user(request.server, user, &asked, by_lid, asker);
    let users: Vec<Node> = list.children_named("user").filter_map(about).collect();
    let mut answer = NodeBuilder::new("usync");
    for name in ["sid", "mode", "last", "index", "context"] {
        if let Some(value) = usync.attr_text(name) {
            answer = answer.attr(name, value.into_owned());
        }
    }
    let results = asked
        .iter()
        .map(|tag| NodeBuilder::new_dynamic((*tag).to_owned()).build());
    IqAnswer::with_child(
        answer
            .children([
                NodeBuilder::new("result")
                    .children(results.collect::<Vec<_>>())
                    .build(),
                NodeBuilder::new("list").children(users).build(),
            ])
            .build(),
    )
}

/// The subject of a `<user>` in the list: an address, or a number to look up.
enum UsyncSubject {
    Address(Jid),
    Contact(String),
}

impl UsyncSubject {
    fn parse(user: &Node) -> Option<Self> {
        let contact = user
            .child_bytes("contact")
            .map(|bytes| String::from_utf8_lossy(bytes).into_owned());
        match (user.attr_jid("jid"), contact) {
            (Some(jid), _) => Some(Self::Address(jid)),
            (None, Some(contact)) => Some(Self::Contact(contact)),
            (None, None) => None,
        }
    }

    /// Returns the number as the client wrote it, for a lookup.
    fn written_number(&self) -> Option<&str> {
        match self {
            Self::Address(_) => None,
            Self::Contact(contact) => Some(contact),
        }
    }

    /// Returns the address the answer is about; for a number without an account, the one it would
    /// have.
    fn answer_jid(&self) -> Jid {
        match self {
            Self::Address(jid) => jid.to_non_ad(),
            Self::Contact(contact) => {
                let number = contact.split('@').next().unwrap_or_default();
                Jid::pn(
                    number
                        .chars()
                        .filter(char::is_ascii_digit)
                        .collect::<String>(),
                )
            }
        }
    }
}

fn describe_user(
    server: &Server,
    user: &Node,
    asked: &[&str],
    by_lid: bool,
    asker: &PhoneNumber,
) -> Option<Node> {
    let whom = UsyncSubject::parse(user)?;
    let mut address = whom.answer_jid();
    if let Some(bot) = bots::bot_profile(&address) {
        return Some(bot);
    }
    if whom.written_number().is_some()
        && let Some(number) = server.world.lock().number_by_alias(&address.user)
    {
        address = Jid::pn(&**number);
    }
    // A client that asks by LID knows the LID; one client takes a repeated LID for a wrong mapping.
    let asked = asked
        .iter()
        .filter(|fact| !(**fact == "lid" && address.is_lid()));
    let mut world = server.world.lock();
    let number = world
        .account_of(&address)
        .map(|account| account.number.clone());
    let sees_picture = number
        .as_ref()
        .is_some_and(|number| world.can_see_picture(number, asker, trust::find_token(user)));
    let account = number.and_then(|number| world.account_mut(&number));
    let is_named_by_lid = by_lid && whom.written_number().is_some();
    let mut answer = NodeBuilder::new("user");
    let Some(account) = account else {
        // Without an account there is no LID either.
        answer = answer.attr(
            if is_named_by_lid { "pn_jid" } else { "jid" },
            address.clone(),
        );
        let contact = whom
            .written_number()
            .filter(|_| asked.into_iter().any(|fact| *fact == "contact"));
        let out = contact.map(|contact| contact_node("out", contact));
        return Some(answer.children(out).build());
    };
    answer = answer.attr(
        "jid",
        if is_named_by_lid {
            account.jid(Addressing::Lid, 0)
        } else {
            address.clone()
        },
    );
    if whom.written_number().is_some() {
        answer = answer.attr("pn_jid", account.jid(Addressing::PhoneNumber, 0));
    }
    let facts = asked
        .filter_map(|fact| fact_node(server, account, fact, &whom, (asker, sees_picture)))
        .collect::<Vec<_>>();
    Some(answer.children(facts).build())
}

/// `asker` is the requesting account, and whether it may see the picture.
fn fact_node(
    server: &Server,
    account: &mut Account,
    fact: &str,
    whom: &UsyncSubject,
    asker: (&PhoneNumber, bool),
) -> Option<Node> {
    match fact {
        "devices" => devices_node(server, account),
        "lid" => Some(
            NodeBuilder::new("lid")
                .attr("val", account.jid(Addressing::Lid, 0))
                .build(),
        ),
        "contact" => Some(contact_node(
            "in",
            whom.written_number().unwrap_or_default(),
        )),
        "status" => Some(leaf_node("status", account.about_for(asker.0).as_bytes())),
        "username" => {
            let username = account.profile.username.as_deref()?;
            Some(leaf_node("username", username.as_bytes()))
        }
        "picture" => Some(picture_node(account, asker)),
        "disappearing_mode" => Some(preferences::default_timer_node(account)),
        // An empty element says that there is nothing.
        other => Some(NodeBuilder::new_dynamic(other.to_owned()).build()),
    }
}

/// Returns the id of an account's picture, or an error if it is hidden or missing.
fn picture_node(account: &Account, (asker, is_for_them): (&PhoneNumber, bool)) -> Node {
    let error = |code: &'static str, text: &'static str| {
        let error = NodeBuilder::new("error")
            .attr("code", code)
            .attr("text", text)
            .build();
        NodeBuilder::new("picture").children([error]).build()
    };
    match account.picture_for(asker, is_for_them) {
        VisiblePicture::Picture(picture) => NodeBuilder::new("picture")
            .attr("id", picture.id.as_str())
            .build(),
        VisiblePicture::Hidden => error("401", "not-authorized"),
        VisiblePicture::Nothing => error("404", "item-not-found"),
    }
}

/// Says whether a number is on WhatsApp, and repeats it as it was written: one client matches
/// answers to queries by it.
fn contact_node(found: &'static str, asked: &str) -> Node {
    NodeBuilder::new("contact")
        .attr("type", found)
        .bytes(asked.as_bytes())
        .build()
}

fn devices_node(server: &Server, account: &mut Account) -> Option<Node> {
    let devices = device_nodes(account, |device| {
        NodeBuilder::new("device").attr("id", device.to_string())
    });
    let mut children = vec![NodeBuilder::new("device-list").children(devices).build()];
    if !account.devices.is_empty() {
        children.push(key_index_node(server, account)?);
    }
    Some(NodeBuilder::new("devices").children(children).build())
}
