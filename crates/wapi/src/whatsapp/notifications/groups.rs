//! Conversion of the engine's group data and updates. Pure.

use jiff::Timestamp;
use whatsapp_rust::GroupMetadata;
use whatsapp_rust::Jid;
use whatsapp_rust::types::events::GroupUpdate;
use whatsapp_rust::wacore::iq::groups::{GroupInfoResponse, ParticipantType};
use whatsapp_rust::wacore::protocol::ProtocolNode;
use whatsapp_rust::wacore::stanza::groups::{
    GroupNotificationAction as Action, GroupParticipantInfo,
};
use whatsapp_rust::wacore_binary::Node;

use super::observer::{ChatEvent, KnownAddresses};
use crate::model::event::{
    EventData, Group, GroupAction, GroupChange, GroupCreated, GroupMember, GroupParticipants,
    GroupRole, GroupUpdated, Person,
};
use crate::store::DisappearingTimer;

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
        person: others.build_person(
            &member.jid,
            member.phone_number.as_ref().or(member.lid.as_ref()),
            None,
        ),
        role: convert_role(member.participant_type),
    });
    let group = Group {
        subject: found.subject.clone(),
        description: found.description.clone().filter(|text| !text.is_empty()),
        created_at: found.creation_time.and_then(at),
        created_by: found
            .creator
            .as_ref()
            .map(|jid| others.build_person(jid, found.creator_pn.as_ref(), None)),
        announcement: found.is_announcement,
        locked: found.is_locked,
        expires_in: found
            .ephemeral
            .and_then(|settings| settings.expiration)
            .filter(|seconds| *seconds > 0),
        participants: members.collect(),
    };
    (found.id.to_non_ad_string(), group)
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
        | Action::Demote { participants } => {
            let both = |it: &GroupParticipantInfo| {
                (
                    it.jid.clone(),
                    it.phone_number.clone().or_else(|| it.lid.clone()),
                )
            };
            named.extend(participants.iter().map(both));
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
    GroupInfoResponse::try_from_node_ref(&group.as_node_ref())
        .ok()
        .map(Into::into)
}

/// Converts an update to its event; `None` for unsupported changes.
pub(in crate::whatsapp) fn convert_group_update(
    session: &str,
    update: &GroupUpdate,
    others: &KnownAddresses,
) -> Option<ChatEvent> {
    let chat = update.group_jid.to_non_ad_string();
    let name = update.notify.as_deref();
    let by = update
        .participant
        .as_ref()
        .map(|jid| others.build_person(jid, update.participant_pn.as_ref(), name));
    let timestamp = Timestamp::from_second(update.timestamp.timestamp()).unwrap_or_default();
    let news = GroupEventBase {
        session,
        chat: &chat,
        by,
        timestamp,
    };
    let data = match &update.action {
        Action::Create { raw } => {
            let (_, group) = convert_group(&parse_created_group(raw)?, others);
            let GroupEventBase { by, timestamp, .. } = news;
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
            news.build_participants(GroupAction::Add, participants, others)
        }
        Action::Remove { participants, .. } => {
            news.build_participants(GroupAction::Remove, participants, others)
        }
        Action::Promote { participants } => {
            news.build_participants(GroupAction::Promote, participants, others)
        }
        Action::Demote { participants } => {
            news.build_participants(GroupAction::Demote, participants, others)
        }
        action => news.build_updated(convert_group_change(action)?),
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
        _ => return None,
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
            others.build_person(
                &it.jid,
                it.phone_number.as_ref().or(it.lid.as_ref()),
                it.display_name.as_deref(),
            )
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
