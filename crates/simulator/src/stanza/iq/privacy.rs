//! Privacy settings: queried, changed, and synced to the account's other devices; and the exclusion
//! list of a setting.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{Answer, Request, profile};
use crate::Addressing;
use crate::privacy::BUT_SOME;
use crate::server::Server;
use crate::stanza::Stanza;
use crate::world::{DeviceId, Number};

const WRONG: Answer = Answer::Error(400, "bad-request");

/// Returns all settings, or the exclusion list of one setting.
pub(super) fn list(request: &Request<'_>) -> Answer {
    let world = request.server.world.lock();
    let Some(account) = world.account(&request.device.number) else {
        return Answer::Error(404, "item-not-found");
    };
    let Some(asked) = request.ask.and_then(|ask| ask.child("list")) else {
        let settings = account
            .privacy
            .all()
            .map(|(name, value)| category(name, value).build());
        return Answer::one(
            NodeBuilder::new("privacy")
                .children(settings.collect::<Vec<_>>())
                .build(),
        );
    };
    let Some(name) = asked
        .word("name")
        .filter(|name| account.privacy.get(name).is_some())
    else {
        return WRONG;
    };
    let excluded = account.privacy.excluded(&name);
    let named = excluded
        .numbers
        .iter()
        .filter_map(|number| world.account(number))
        .map(|account| {
            let user = NodeBuilder::new("user").attr("jid", account.jid(Addressing::Lid, 0));
            user.attr("pn_jid", account.jid(Addressing::PhoneNumber, 0))
                .build()
        });
    let list = NodeBuilder::new("list")
        .attr("name", &*name)
        .attr("value", BUT_SOME)
        .attr("dhash", excluded.version.to_string())
        .children(named.collect::<Vec<_>>());
    Answer::one(NodeBuilder::new("privacy").children([list.build()]).build())
}

fn category(name: &str, value: &str) -> NodeBuilder {
    NodeBuilder::new("category")
        .attr("name", name)
        .attr("value", value)
}

/// Changes a setting. A change to an exclusion list names the version that the client knows, and
/// conflicts if another device has changed the list since.
pub(super) fn change(request: &Request<'_>) -> Answer {
    let Some(asked) = request.ask.and_then(|ask| ask.child("category")) else {
        return WRONG;
    };
    let (Some(name), Some(value)) = (asked.word("name"), asked.word("value")) else {
        return WRONG;
    };
    let version_of = |number: &Number| {
        let world = request.server.world.lock();
        world
            .account(number)
            .map(|account| account.privacy.excluded(&name).version.to_string())
            .unwrap_or_default()
    };
    let known = asked
        .word("dhash")
        .filter(|known| !matches!(&**known, "" | "none"));
    if known.is_some_and(|known| known != version_of(&request.device.number)) {
        return Answer::Error(409, "conflict");
    }
    let changes: Option<Vec<_>> = asked
        .all("user")
        .map(|user| excluded(request.server, user))
        .collect();
    let Some(changes) = changes else { return WRONG };
    if !set(request.server, request.device, &name, &value, changes) {
        return WRONG;
    }
    let mut chosen = category(&name, &value);
    if value == BUT_SOME {
        chosen = chosen.attr("dhash", version_of(&request.device.number));
    }
    Answer::one(
        NodeBuilder::new("privacy")
            .children([chosen.build()])
            .build(),
    )
}

/// Reads a named person, and whether to add or remove them.
fn excluded(server: &Server, user: &Node) -> Option<(Number, bool)> {
    let world = server.world.lock();
    let number = world.account_of(&user.jid("jid")?)?.number.clone();
    Some((number, user.word("action").as_deref() != Some("remove")))
}

/// Changes a setting for a device or the phone, and notifies the account's other devices. Returns
/// `false` for an invalid value.
pub(crate) fn set(
    server: &Server,
    by: &DeviceId,
    name: &str,
    value: &str,
    named: Vec<(Number, bool)>,
) -> bool {
    let mut world = server.world.lock();
    let Some(account) = world.account_mut(&by.number) else {
        return false;
    };
    if !account.privacy.set(name, value) {
        return false;
    }
    if !named.is_empty() {
        account.privacy.exclude(name, named);
    }
    drop(world);
    let told = NodeBuilder::new("privacy")
        .children([category(name, value).build()])
        .build();
    profile::tell_own_devices(server, by, &told);
    server.changed.notify_waiters();
    true
}
