//! Privacy settings: queried, changed, and synced to the account's other devices; and the exclusion
//! list of a setting.

use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{IqAnswer, IqRequest, profile};
use crate::model::ids::{DeviceId, PhoneNumber};
use crate::model::options::Addressing;
use crate::server::Server;
use crate::server::account::privacy::EXCEPT_SOME;
use crate::wire::StanzaExt;

const BAD_REQUEST: IqAnswer = IqAnswer::Error(400, "bad-request");

/// Returns all settings, or the exclusion list of one setting.
pub(crate) fn list_settings(request: &IqRequest<'_>) -> IqAnswer {
    let world = request.server.world.lock();
    let Some(account) = world.account(&request.device.number) else {
        return IqAnswer::Error(404, "item-not-found");
    };
    let Some(asked) = request.operation.and_then(|ask| ask.child("list")) else {
        let settings = account
            .privacy
            .all_settings()
            .map(|(name, value)| category_node(name, value).build());
        return IqAnswer::with_child(
            NodeBuilder::new("privacy")
                .children(settings.collect::<Vec<_>>())
                .build(),
        );
    };
    let Some(name) = asked
        .attr_text("name")
        .filter(|name| account.privacy.get_setting(name).is_some())
    else {
        return BAD_REQUEST;
    };
    let excluded = account.privacy.exclusion_list(&name);
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
        .attr("value", EXCEPT_SOME)
        .attr("dhash", excluded.version.to_string())
        .children(named.collect::<Vec<_>>());
    IqAnswer::with_child(NodeBuilder::new("privacy").children([list.build()]).build())
}

fn category_node(name: &str, value: &str) -> NodeBuilder {
    NodeBuilder::new("category")
        .attr("name", name)
        .attr("value", value)
}

/// Changes a setting. A change to an exclusion list names the version that the client knows, and
/// conflicts if another device has changed the list since.
pub(crate) fn change_setting(request: &IqRequest<'_>) -> IqAnswer {
    let Some(asked) = request.operation.and_then(|ask| ask.child("category")) else {
        return BAD_REQUEST;
    };
    let (Some(name), Some(value)) = (asked.attr_text("name"), asked.attr_text("value")) else {
        return BAD_REQUEST;
    };
    let version_of = |number: &PhoneNumber| {
        let world = request.server.world.lock();
        world
            .account(number)
            .map(|account| account.privacy.exclusion_list(&name).version.to_string())
            .unwrap_or_default()
    };
    let known = asked
        .attr_text("dhash")
        .filter(|known| !matches!(&**known, "" | "none"));
    if known.is_some_and(|known| known != version_of(&request.device.number)) {
        return IqAnswer::Error(409, "conflict");
    }
    let changes: Option<Vec<_>> = asked
        .children_named("user")
        .map(|user| read_exclusion(request.server, user))
        .collect();
    let Some(changes) = changes else {
        return BAD_REQUEST;
    };
    if !set_privacy(request.server, request.device, &name, &value, changes) {
        return BAD_REQUEST;
    }
    let mut chosen = category_node(&name, &value);
    if value == EXCEPT_SOME {
        chosen = chosen.attr("dhash", version_of(&request.device.number));
    }
    IqAnswer::with_child(
        NodeBuilder::new("privacy")
            .children([chosen.build()])
            .build(),
    )
}

/// Reads a named person, and whether to add or remove them.
fn read_exclusion(server: &Server, user: &Node) -> Option<(PhoneNumber, bool)> {
    let world = server.world.lock();
    let number = world.account_of(&user.attr_jid("jid")?)?.number.clone();
    Some((
        number,
        user.attr_text("action").as_deref() != Some("remove"),
    ))
}

/// Changes a setting for a device or the phone, and notifies the account's other devices. Returns
/// `false` for an invalid value.
pub(crate) fn set_privacy(
    server: &Server,
    by: &DeviceId,
    name: &str,
    value: &str,
    named: Vec<(PhoneNumber, bool)>,
) -> bool {
    let mut world = server.world.lock();
    let Some(account) = world.account_mut(&by.number) else {
        return false;
    };
    if !account.privacy.set_setting(name, value) {
        return false;
    }
    if !named.is_empty() {
        account.privacy.change_exclusions(name, named);
    }
    drop(world);
    let notification = NodeBuilder::new("privacy")
        .children([category_node(name, value).build()])
        .build();
    profile::notify_own_devices(server, by, &notification);
    server.changed.notify_waiters();
    true
}
