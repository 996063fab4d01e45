//! Conversion of the engine's group data and updates. Pure.

use jiff::Timestamp;
use whatsapp_rust::GroupMetadata;
use whatsapp_rust::Jid;
use whatsapp_rust::types::events::GroupUpdate;
use whatsapp_rust::wacore::iq::groups::{
    GroupInfoResponse, MemberAddMode, MemberLinkMode, MemberShareHistoryMode, ParticipantType,
};
use whatsapp_rust::wacore::protocol::ProtocolNode;
use whatsapp_rust::wacore::stanza::groups::{
    GroupNotificationAction as Action, GroupParticipantInfo, MembershipRequestMethod,
};
use whatsapp_rust::wacore::types::message::AddressingMode;
use whatsapp_rust::wacore_binary::{Node, NodeRef};

use super::observer::{ChatEvent, KnownAddresses};
use crate::model::event::{
    AddressForm, EventData, Group, GroupAction, GroupChange, GroupCreated, GroupKind, GroupMember,
    GroupParticipants, GroupRequest, GroupRole, GroupUpdated, MemberRight, Person, RequestAction,
    RequestMethod,
};
use crate::store::DisappearingTimer;

/// The beginning of invite links; the code follows.
pub(in crate::whatsapp) const INVITE_LINK: &str = "https://chat.whatsapp.com/";

/// Converts the metadata of a group. Returns its address and the group.
pub(in crate::whatsapp) fn convert_group(
    found: &GroupMetadata,
    others: &KnownAddresses,
) -> (String, Group) {
    let at = |seconds: u64| {
        i64::try_from(seconds)
            .ok()
            .and_then(|seconds| Timestamp::from_second(seconds).ok())
    };
    let members = found.participants.iter().map(|member| GroupMember {
        person: others
            .build_person(
                &member.jid,
                member.phone_number.as_ref().or(member.lid.as_ref()),
                None,
            )
            .with_username(member.username.as_deref()),
        role: convert_role(member.participant_type),
    });
    let group = Group {
        subject: found.subject.clone(),
        description: found.description.clone().filter(|text| !text.is_empty()),
        created_at: found.creation_time.and_then(at),
        created_by: found
            .creator
            .as_ref()
            .map(|jid| others.build_person(jid, found.creator_pn.as_ref(), None))
            .map(|creator| creator.with_username(found.creator_username.as_deref())),
        announcement: found.is_announcement,
        locked: found.is_locked,
        expires_in: found
            .ephemeral
            .and_then(|settings| settings.expiration)
            .filter(|seconds| *seconds > 0),
        // A community has its own mode, for those who join any of its groups.
        approval: found.membership_approval || found.parent_membership_approval_required,
        member_add: found.member_add_mode.map(|mode| match mode {
            MemberAddMode::AdminAdd => MemberRight::Admins,
            MemberAddMode::AllMemberAdd => MemberRight::All,
        }),
        member_link: found.member_link_mode.map(|mode| match mode {
            MemberLinkMode::AdminLink => MemberRight::Admins,
            MemberLinkMode::AllMemberLink => MemberRight::All,
        }),
        share_history: found.member_share_history_mode.map(|mode| match mode {
            MemberShareHistoryMode::AdminShare => MemberRight::Admins,
            MemberShareHistoryMode::AllMemberShare => MemberRight::All,
        }),
        limit_sharing: found.is_limit_sharing_enabled,
        limit_forwarding: found.no_frequently_forwarded,
        admin_reports: found.allow_admin_reports,
        kind: match found {
            _ if found.is_default_sub_group => GroupKind::Announcements,
            _ if found.is_general_chat => GroupKind::General,
            _ if found.is_parent_group => GroupKind::Community,
            _ => GroupKind::Group,
        },
        community: found.parent_group_jid.as_ref().map(Jid::to_non_ad_string),
        addressing_mode: match found.addressing_mode {
            AddressingMode::Lid => AddressForm::Lid,
            AddressingMode::Pn => AddressForm::Phone,
        },
        suspended: found.is_suspended,
        growth_locked: found.growth_locked.is_some(),
        size: found.size,
        participants: members.collect(),
    };
    (found.id.to_non_ad_string(), group)
}

/// Reads the modes of a group, which the engine misses: on the wire they are bytes.
pub(in crate::whatsapp) fn read_modes(group: &mut GroupMetadata, node: &NodeRef<'_>) {
    let text = |tag| {
        let child = node.get_optional_child(tag)?;
        child.content_as_string().map(String::from)
    };
    let add = text("member_add_mode").and_then(|mode| mode.as_str().try_into().ok());
    let link = text("member_link_mode").and_then(|mode| mode.as_str().try_into().ok());
    let share = text("member_share_group_history_mode");
    let share = share.and_then(|mode| mode.as_str().try_into().ok());
    group.member_add_mode = group.member_add_mode.or(add);
    group.member_link_mode = group.member_link_mode.or(link);
    group.member_share_history_mode = group.member_share_history_mode.or(share);
}

const fn convert_role(role: ParticipantType) -> GroupRole {
    match role {
        ParticipantType::Member => GroupRole::Member,
        ParticipantType::Admin => GroupRole::Admin,
        ParticipantType::SuperAdmin => GroupRole::SuperAdmin,
    }
}

/// Returns the addresses in an update, each with the same person's other address if the update has
/// it.
pub(in crate::whatsapp) fn update_addresses(update: &GroupUpdate) -> Vec<(Jid, Option<Jid>)> {
    let by = update
        .participant
        .iter()
        .map(|jid| (jid.clone(), update.participant_pn.clone()));
    let mut named: Vec<_> = by.collect();
    match &update.action {
        Action::Add { participants, .. }
        | Action::Remove { participants, .. }
        | Action::Promote { participants }
        | Action::Demote { participants }
        | Action::CreatedMembershipRequests {
            requests: participants,
            ..
        } => {
            let both = |it: &GroupParticipantInfo| {
                (
                    it.jid.clone(),
                    it.phone_number.clone().or_else(|| it.lid.clone()),
                )
            };
            named.extend(participants.iter().map(both));
        }
        Action::RevokedMembershipRequests { participants } => {
            named.extend(participants.iter().map(|jid| (jid.clone(), None)));
        }
        Action::Create { raw } => {
            let created = parse_created_group(raw);
            let members = created.iter().flat_map(|group| &group.participants);
            named.extend(members.map(|it| {
                (
                    it.jid.clone(),
                    it.phone_number.clone().or_else(|| it.lid.clone()),
                )
            }));
        }
        _ => {}
    }
    named
}

fn parse_created_group(raw: &Node) -> Option<GroupMetadata> {
    let group = raw.children()?.iter().find(|child| child.tag == "group")?;
    let node = group.as_node_ref();
    let mut group = GroupInfoResponse::try_from_node_ref(&node).ok()?.into();
    read_modes(&mut group, &node);
    Some(group)
}

/// Converts an update to its events: one for each group that is linked or unlinked, else one; none
/// for unsupported changes.
pub(in crate::whatsapp) fn convert_group_update(
    session: &str,
    update: &GroupUpdate,
    others: &KnownAddresses,
) -> Vec<ChatEvent> {
    let Some(first) = convert_first_change(session, update, others) else {
        return Vec::new();
    };
    let mut events = vec![first];
    for (place, change) in (1..).zip(convert_links(&update.action).into_iter().skip(1)) {
        let Some(mut event) = events.first().cloned() else {
            break;
        };
        if let EventData::GroupUpdated(updated) = &mut event.data {
            updated.change = change;
        }
        event.id = event.id.map(|id| format!("{id}/{place}"));
        events.push(event);
    }
    events
}

fn convert_first_change(
    session: &str,
    update: &GroupUpdate,
    others: &KnownAddresses,
) -> Option<ChatEvent> {
    let chat = update.group_jid.to_non_ad_string();
    let name = update.notify.as_deref();
    let by = update
        .participant
        .as_ref()
        .map(|jid| others.build_person(jid, update.participant_pn.as_ref(), name))
        .map(|by| by.with_username(update.participant_username.as_deref()));
    let timestamp = Timestamp::from_second(update.timestamp.timestamp()).unwrap_or_default();
    let base = GroupEventBase {
        session,
        chat: &chat,
        by,
        timestamp,
    };
    let data = match &update.action {
        Action::Create { raw } => {
            let (_, group) = convert_group(&parse_created_group(raw)?, others);
            let GroupEventBase { by, timestamp, .. } = base;
            let (session, chat) = (session.to_owned(), chat.clone());
            EventData::GroupCreated(Box::new(GroupCreated {
                session,
                chat,
                by,
                timestamp,
                group,
            }))
        }
        Action::Add { participants, .. } => {
            base.build_participants(GroupAction::Add, participants, others)
        }
        Action::Remove { participants, .. } => {
            base.build_participants(GroupAction::Remove, participants, others)
        }
        Action::Promote { participants } => {
            base.build_participants(GroupAction::Promote, participants, others)
        }
        Action::Demote { participants } => {
            base.build_participants(GroupAction::Demote, participants, others)
        }
        Action::CreatedMembershipRequests {
            request_method,
            requests,
            ..
        } => {
            let person = |it: &GroupParticipantInfo| {
                let other = it.phone_number.as_ref().or(it.lid.as_ref());
                let person = others.build_person(&it.jid, other, None);
                person.with_username(it.username.as_deref())
            };
            let people = requests.iter().map(person).collect();
            base.build_request(RequestAction::Created, people, Some(request_method))
        }
        Action::RevokedMembershipRequests { participants } => {
            let person = |jid: &Jid| others.build_person(jid, None, None);
            let people = participants.iter().map(person).collect();
            base.build_request(RequestAction::Revoked, people, None)
        }
        action => base.build_updated(convert_group_change(action)?),
    };
    // The same notification may come again, and is recognised by its id.
    let id = update
        .notification_id
        .as_ref()
        .map(|id| format!("{id}/{}", update.action_index));
    Some(ChatEvent { chat, id, data })
}

fn convert_group_change(action: &Action) -> Option<GroupChange> {
    Some(match action {
        Action::Subject { subject, .. } => GroupChange::Subject(subject.clone()),
        Action::Description { description, .. } => GroupChange::Description(description.clone()),
        Action::Announce => GroupChange::Announcement(true),
        Action::NotAnnounce => GroupChange::Announcement(false),
        Action::Locked { .. } => GroupChange::Locked(true),
        Action::Unlocked => GroupChange::Locked(false),
        Action::Ephemeral { expiration, .. } => {
            GroupChange::ExpiresIn(Some(*expiration).filter(|seconds| *seconds > 0))
        }
        Action::MembershipApprovalMode { enabled } => GroupChange::Approval(*enabled),
        Action::MemberAddMode { mode } => GroupChange::MemberAdd(match mode.as_str() {
            "all_member_add" => MemberRight::All,
            _ => MemberRight::Admins,
        }),
        Action::NoFrequentlyForwarded => GroupChange::LimitForwarding(true),
        Action::FrequentlyForwardedOk => GroupChange::LimitForwarding(false),
        Action::LimitSharingEnabled { .. } => GroupChange::LimitSharing(true),
        Action::AllowAdminReports => GroupChange::AdminReports(true),
        Action::NotAllowAdminReports => GroupChange::AdminReports(false),
        Action::Suspended => GroupChange::Suspended(true),
        Action::Unsuspended => GroupChange::Suspended(false),
        Action::GrowthLocked { .. } => GroupChange::GrowthLocked(true),
        Action::GrowthUnlocked => GroupChange::GrowthLocked(false),
        Action::Invite { code } => GroupChange::InviteLink(format!("{INVITE_LINK}{code}")),
        Action::Delete { .. } => GroupChange::Deleted(true),
        Action::Link { link_type, raw } => match link_type.as_str() {
            "parent_group" => GroupChange::Community(Some(named_groups(raw).next()?)),
            _ => return convert_links(action).into_iter().next(),
        },
        Action::Unlink { unlink_type, .. } => match unlink_type.as_str() {
            "parent_group" => GroupChange::Community(None),
            _ => return convert_links(action).into_iter().next(),
        },
        _ => return None,
    })
}

/// Returns the changes of a community whose groups are linked or unlinked, several at once.
fn convert_links(action: &Action) -> Vec<GroupChange> {
    match action {
        Action::Link { link_type, raw } if link_type == "sub_group" => {
            named_groups(raw).map(GroupChange::GroupLinked).collect()
        }
        Action::Unlink {
            unlink_type, raw, ..
        } if unlink_type == "sub_group" => {
            named_groups(raw).map(GroupChange::GroupUnlinked).collect()
        }
        _ => Vec::new(),
    }
}

/// Returns the addresses of the groups that a notification names.
fn named_groups(raw: &Node) -> impl Iterator<Item = String> {
    let children = raw.children().unwrap_or_default().iter();
    let groups = children.filter(|child| child.tag == "group");
    groups.filter_map(|group| {
        let node = group.as_node_ref();
        let jid = node.attrs().optional_jid("jid");
        Some(jid?.to_non_ad_string())
    })
}

/// Returns the timer that an event sets for a group.
pub(in crate::whatsapp) fn group_timer(data: &EventData) -> Option<DisappearingTimer> {
    let EventData::GroupUpdated(update) = data else {
        return None;
    };
    let GroupChange::ExpiresIn(seconds) = update.change else {
        return None;
    };
    Some(DisappearingTimer {
        seconds: seconds.unwrap_or_default(),
        set_at: update.timestamp.as_second(),
    })
}

/// Fields that all events of a group have.
struct GroupEventBase<'a> {
    session: &'a str,
    chat: &'a str,
    by: Option<Person>,
    timestamp: Timestamp,
}

impl GroupEventBase<'_> {
    fn build_updated(self, change: GroupChange) -> EventData {
        let Self {
            session,
            chat,
            by,
            timestamp,
        } = self;
        let (session, chat) = (session.to_owned(), chat.to_owned());
        EventData::GroupUpdated(Box::new(GroupUpdated {
            session,
            chat,
            by,
            timestamp,
            change,
        }))
    }

    fn build_request(
        self,
        action: RequestAction,
        participants: Vec<Person>,
        method: Option<&MembershipRequestMethod>,
    ) -> EventData {
        let Self {
            session,
            chat,
            by,
            timestamp,
        } = self;
        let method = method.map(|method| match method {
            MembershipRequestMethod::InviteLink => RequestMethod::InviteLink,
            MembershipRequestMethod::LinkedGroupJoin => RequestMethod::Community,
            MembershipRequestMethod::NonAdminAdd => RequestMethod::Member,
        });
        EventData::GroupRequest(Box::new(GroupRequest {
            session: session.to_owned(),
            chat: chat.to_owned(),
            by,
            timestamp,
            action,
            participants,
            method,
        }))
    }

    fn build_participants(
        self,
        action: GroupAction,
        named: &[GroupParticipantInfo],
        others: &KnownAddresses,
    ) -> EventData {
        let Self {
            session,
            chat,
            by,
            timestamp,
        } = self;
        let person = |it: &GroupParticipantInfo| {
            let other = it.phone_number.as_ref().or(it.lid.as_ref());
            let person = others.build_person(&it.jid, other, it.display_name.as_deref());
            person.with_username(it.username.as_deref())
        };
        let participants: Vec<Person> = named.iter().map(person).collect();
        let is_own_doing = by
            .as_ref()
            .is_some_and(|by| participants.iter().all(|gone| gone.id == by.id));
        let action = if action == GroupAction::Remove && is_own_doing {
            GroupAction::Leave
        } else {
            action
        };
        let (session, chat) = (session.to_owned(), chat.to_owned());
        let event = GroupParticipants {
            session,
            chat,
            by,
            timestamp,
            action,
            participants,
        };
        EventData::GroupParticipants(Box::new(event))
    }
}

#[cfg(test)]
mod tests {
    use whatsapp_rust::wacore_binary::builder::NodeBuilder;

    use super::*;

    #[test]
    fn each_group_that_is_linked_at_once_is_told() {
        let group = |id: &str| {
            NodeBuilder::new("group")
                .attr("jid", format!("{id}@g.us"))
                .build()
        };
        let raw = NodeBuilder::new("link")
            .children([group("120363000000000001"), group("120363000000000002")])
            .build();
        let linked = convert_links(&Action::Link {
            link_type: "sub_group".to_owned(),
            raw: raw.clone(),
        });
        let ids = ["120363000000000001@g.us", "120363000000000002@g.us"].map(str::to_owned);
        assert_eq!(linked, ids.clone().map(GroupChange::GroupLinked));
        let unlinked = convert_links(&Action::Unlink {
            unlink_type: "sub_group".to_owned(),
            unlink_reason: None,
            raw,
        });
        assert_eq!(unlinked, ids.map(GroupChange::GroupUnlinked));
    }
}
