//! The reachout time lock: the restriction of an account that may start no new chats, as queried
//! and as notified to its devices on a change.

use serde_json::{Value, json};
use wacore_binary::builder::NodeBuilder;

use super::{Notice, notify, server_jid};
use crate::server::Server;
use crate::trust::Restriction;
use crate::world::{Account, DeviceId, Number};

/// The name of the notification.
const CHANGED: &str = "NotificationUserReachoutTimelockUpdate";

/// Describes an account's restriction, in WhatsApp's words.
pub(crate) fn described(account: &Account) -> Value {
    match account.restriction() {
        Restriction::NewChats { until } => {
            json!({"is_active": true, "time_enforcement_ends": until.to_string(), "enforcement_type": "DEFAULT"})
        }
        Restriction::None | Restriction::Unproven => {
            json!({"is_active": false, "time_enforcement_ends": null, "enforcement_type": null})
        }
    }
}

/// Notifies the account's linked devices of its restriction.
pub(crate) fn tell(server: &Server, number: &Number) {
    let (devices, news) = {
        let world = server.world.lock();
        let Some(account) = world.account(number) else {
            return;
        };
        (
            account.linked().collect::<Vec<DeviceId>>(),
            described(account),
        )
    };
    let body = json!({"data": {"xwa2_notify_account_reachout_timelock": news}}).to_string();
    for device in devices {
        let notice = Notice {
            kind: "mex",
            from: server_jid(),
            lid: None,
        };
        let update = NodeBuilder::new("update")
            .attr("op_name", CHANGED)
            .bytes(body.clone().into_bytes());
        notify(server, &device, notice, update.build());
    }
    server.changed.notify_waiters();
}
