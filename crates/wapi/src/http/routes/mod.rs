//! The route table: every route with the scope that its key needs.

mod account;
mod chats;
mod groups;
mod messages;
mod newsletters;
mod service;
mod sessions;
mod webhooks;

use super::access::table::RouteTable;

/// Every route, with and without its trailing slash.
///
/// A session-restricted key may only use routes whose path names one of its sessions, and the
/// routes that are `narrowed`: their handlers check the caller's sessions themselves.
pub(super) fn route_table() -> RouteTable {
    let parts = [
        service::add_service_routes,
        sessions::add_session_routes,
        messages::add_message_routes,
        chats::add_chat_routes,
        account::add_account_routes,
        groups::add_group_routes,
        newsletters::add_newsletter_routes,
        webhooks::add_webhook_routes,
    ];
    parts
        .into_iter()
        .fold(RouteTable::new(), |table, add_routes| add_routes(table))
}
