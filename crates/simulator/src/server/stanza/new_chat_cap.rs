//! The notification of an account's cap on new chats, on a change of its status.

use super::reachout_timelock::notify_limit;
use crate::model::ids::PhoneNumber;
use crate::server::Server;
use crate::server::world::Account;

/// The name of the notification.
const NOTIFICATION_NAME: &str = "MessageCappingInfoNotification";

/// Notifies the account's linked devices of its cap.
pub(crate) fn notify_cap(server: &Server, number: &PhoneNumber) {
    notify_limit(
        server,
        number,
        NOTIFICATION_NAME,
        "xwa2_notify_new_chat_messages_capping_info_update",
        Account::describe_cap_change,
    );
}
