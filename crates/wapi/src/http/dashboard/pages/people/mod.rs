//! People and groups of a session: contacts, groups, their members, links, and requests.

mod contacts;
mod group;
mod group_actions;
mod groups;
mod members;
mod texts;

use crate::http::access::table::RouteTable;
use crate::model::access::Scope::{Manage, Read, Send};

pub fn add_routes(table: RouteTable) -> RouteTable {
    table
        .get(
            "/dashboard/sessions/{session}/contacts",
            Read,
            contacts::show_contacts,
        )
        .get(
            "/dashboard/sessions/{session}/contacts/{contact}",
            Read,
            contacts::show_contact,
        )
        .get(
            "/dashboard/sessions/{session}/contacts/{contact}/picture",
            Read,
            contacts::show_picture,
        )
        .post(
            "/dashboard/sessions/{session}/contacts/{contact}/block",
            Send,
            contacts::block_contact,
        )
        .post(
            "/dashboard/sessions/{session}/contacts/{contact}/unblock",
            Send,
            contacts::unblock_contact,
        )
        .get(
            "/dashboard/sessions/{session}/groups",
            Read,
            groups::show_groups,
        )
        .post(
            "/dashboard/sessions/{session}/groups",
            Manage,
            groups::create_group,
        )
        .post(
            "/dashboard/sessions/{session}/groups/join",
            Manage,
            groups::join_group,
        )
        .get(
            "/dashboard/sessions/{session}/groups/{group}",
            Read,
            group::show_group,
        )
        .get(
            "/dashboard/sessions/{session}/groups/{group}/invite",
            Manage,
            group::show_invite,
        )
        .post(
            "/dashboard/sessions/{session}/groups/{group}/invite",
            Manage,
            group_actions::revoke_invite,
        )
        .post(
            "/dashboard/sessions/{session}/groups/{group}/change",
            Manage,
            group_actions::change_group,
        )
        .post(
            "/dashboard/sessions/{session}/groups/{group}/members",
            Manage,
            group_actions::add_members,
        )
        .post(
            "/dashboard/sessions/{session}/groups/{group}/member",
            Manage,
            group_actions::change_member,
        )
        .post(
            "/dashboard/sessions/{session}/groups/{group}/requests",
            Manage,
            group_actions::decide_request,
        )
        .post(
            "/dashboard/sessions/{session}/groups/{group}/leave",
            Manage,
            group_actions::leave_group,
        )
}
