//! Changes to groups and communities: wishes, and their results. Pure.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::Serialize;

use crate::model::event::{MemberRight, Person};
use crate::model::message::ChatId;

/// Settings to change; the others stay.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct GroupSettings {
    pub announcement: Option<bool>,
    pub locked: Option<bool>,
    pub approval: Option<bool>,
    pub member_add: Option<MemberRight>,
    pub member_link: Option<MemberRight>,
    pub share_history: Option<MemberRight>,
    pub limit_sharing: Option<bool>,
    pub limit_forwarding: Option<bool>,
    pub admin_reports: Option<bool>,
}

/// One setting with its new value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum GroupSetting {
    Announcement(bool),
    Locked(bool),
    Approval(bool),
    MemberAdd(MemberRight),
    MemberLink(MemberRight),
    ShareHistory(MemberRight),
    LimitSharing(bool),
    LimitForwarding(bool),
    AdminReports(bool),
}

impl GroupSettings {
    /// The settings that change, each with its field.
    pub fn changes(&self) -> Vec<(&'static str, GroupSetting)> {
        let all = [
            (
                "announcement",
                self.announcement.map(GroupSetting::Announcement),
            ),
            ("locked", self.locked.map(GroupSetting::Locked)),
            ("approval", self.approval.map(GroupSetting::Approval)),
            ("member_add", self.member_add.map(GroupSetting::MemberAdd)),
            (
                "member_link",
                self.member_link.map(GroupSetting::MemberLink),
            ),
            (
                "share_history",
                self.share_history.map(GroupSetting::ShareHistory),
            ),
            (
                "limit_sharing",
                self.limit_sharing.map(GroupSetting::LimitSharing),
            ),
            (
                "limit_forwarding",
                self.limit_forwarding.map(GroupSetting::LimitForwarding),
            ),
            (
                "admin_reports",
                self.admin_reports.map(GroupSetting::AdminReports),
            ),
        ];
        let changed = all.into_iter();
        changed
            .filter_map(|(field, setting)| Some((field, setting?)))
            .collect()
    }
}

/// A group to be created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewGroup {
    pub subject: String,
    pub description: Option<String>,
    pub settings: GroupSettings,
    /// The community that it belongs to, by the part of its address before `@g.us`.
    pub community: Option<String>,
}

/// A community to be created.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct NewCommunity {
    pub subject: String,
    /// Admins approve the members of its groups.
    pub approval: bool,
    /// Members may add groups to it.
    pub members_create_groups: bool,
    pub general_chat: bool,
}

/// The result of a change for one person.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MemberResult {
    #[serde(flatten)]
    pub person: Person,
    pub status: MemberStatus,
    /// WhatsApp's code where it refused the change.
    pub code: Option<u16>,
    /// An invite that can be sent to the person as a message of type `group_invite`.
    pub invite: Option<MemberInvite>,
}

impl MemberResult {
    /// Returns the result of a change that was not made, with WhatsApp's code if it gave one.
    pub fn refused(person: &ChatId, code: Option<u16>) -> Self {
        let id = person.to_string();
        let (phone, lid) = match person {
            ChatId::Phone(number) => (Some(number.clone()), None),
            ChatId::Lid(_) => (None, Some(id.clone())),
            _ => (None, None),
        };
        Self {
            person: Person {
                id,
                phone,
                lid,
                ..Person::default()
            },
            status: MemberStatus::Refused,
            code,
            invite: None,
        }
    }
}

/// An invite for a person who lets nobody else add them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct MemberInvite {
    pub code: String,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub expires_at: Timestamp,
}

/// The outcome of a change for one person.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum MemberStatus {
    /// They are a member now.
    Added,
    /// They were a member before.
    AlreadyMember,
    /// They do not let this account add them; `invite` can be sent to them.
    InviteRequired,
    /// They are a member as soon as an admin approves it.
    ApprovalRequired,
    /// They have blocked the account.
    Blocked,
    NotOnWhatsapp,
    /// They have left the group, and cannot be added for a while.
    LeftRecently,
    GroupFull,
    /// Their request was approved.
    Approved,
    /// Their request was rejected.
    Rejected,
    /// They have not asked to join.
    NotRequested,
    /// WhatsApp refused it for another reason; see `code`.
    Refused,
}

impl MemberStatus {
    /// Returns the meaning of WhatsApp's code for a person to be added.
    pub const fn of_addition(code: u16) -> Self {
        match code {
            401 => Self::Blocked,
            403 => Self::InviteRequired,
            404 => Self::NotOnWhatsapp,
            408 => Self::LeftRecently,
            409 => Self::AlreadyMember,
            412 | 419 => Self::GroupFull,
            421 => Self::ApprovalRequired,
            _ => Self::Refused,
        }
    }

    /// Returns the meaning of WhatsApp's code for a request to join.
    pub const fn of_decision(code: u16) -> Self {
        match code {
            404 => Self::NotRequested,
            409 => Self::AlreadyMember,
            412 | 419 => Self::GroupFull,
            _ => Self::Refused,
        }
    }
}

/// An invite that came in a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReceivedInvite {
    /// The part of the group's address before `@g.us`.
    pub group: String,
    pub code: String,
    pub expires_at: Option<Timestamp>,
    /// The address of the person that sent it.
    pub from: String,
}

/// The result of joining a group.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum JoinStatus {
    Joined,
    /// An admin has to approve it.
    Pending,
}

/// A person that wants to join a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
pub struct JoinRequest {
    #[serde(flatten)]
    pub person: Person,
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    pub requested_at: Option<Timestamp>,
}
