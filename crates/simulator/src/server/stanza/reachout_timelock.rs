//! The reachout time lock: the restriction of an account that may start no new chats, as queried
//! and as notified to its devices on a change.

use serde_json::{Value, json};
use wacore_binary::builder::NodeBuilder;

use super::{NotificationHeader, notify_device};
use crate::model::ids::{DeviceId, PhoneNumber};
use crate::server::Server;
use crate::server::account::trust::AccountRestriction;
use crate::server::world::Account;
use crate::wire::server_jid;

/// The name of the notification.
const NOTIFICATION_NAME: &str = "NotificationUserReachoutTimelockUpdate";

/// Describes an account's restriction, in WhatsApp's words.
pub(crate) fn describe_restriction(account: &Account) -> Value {
    match account.current_restriction() {
        AccountRestriction::NewChats { until } => {
            json!({"is_active": true, "time_enforcement_ends": until.to_string(), "enforcement_type": "DEFAULT"})
        }
        AccountRestriction::None | AccountRestriction::Unproven => {
            json!({"is_active": false, "time_enforcement_ends": null, "enforcement_type": null})
        }
    }
}

/// Notifies the account's linked devices of its restriction.
pub(crate) fn notify_restriction(server: &Server, number: &PhoneNumber) {
    notify_limit(
        server,
        number,
        NOTIFICATION_NAME,
        "xwa2_notify_account_reachout_timelock",
        describe_restriction,
    );
}

/// Notifies the account's linked devices of a limit, by the name of the notification and of its
/// content.
pub(super) fn notify_limit(
    server: &Server,
    number: &PhoneNumber,
    name: &'static str,
    path: &str,
    describe: impl FnOnce(&Account) -> Value,
) {
    let (devices, update) = {
        let world = server.world.lock();
        let Some(account) = world.account(number) else {
            return;
        };
        (
            account.linked_devices().collect::<Vec<DeviceId>>(),
            describe(account),
        )
    };
    let body = json!({"data": {path: update}}).to_string();
    for device in devices {
        let notice = NotificationHeader {
            kind: "mex",
            from: server_jid(),
            lid: None,
        };
        let update = NodeBuilder::new("update")
            .attr("op_name", name)
            .bytes(body.clone().into_bytes());
        notify_device(server, &device, notice, update.build());
    }
    server.changed.notify_waiters();
}
