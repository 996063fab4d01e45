//! Group events. A public contract. They are delivered at most once: WhatsApp does not offer them
//! again.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Person;

/// A group or community as its members see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Group {
    pub subject: String,
    /// `null` when it has none.
    pub description: Option<String>,
    /// `null` where WhatsApp does not say, like `created_by`.
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    pub created_at: Option<Timestamp>,
    pub created_by: Option<Person>,
    /// Only admins may write.
    #[serde(default)]
    pub announcement: bool,
    /// Only admins may change subject and description.
    #[serde(default)]
    pub locked: bool,
    /// Seconds after which messages disappear; `null`: they stay.
    pub expires_in: Option<u32>,
    /// Members are asked for, and admins approve them.
    #[serde(default)]
    pub approval: bool,
    /// Members that may add others; `null` where WhatsApp does not say, like the next two.
    #[serde(default)]
    pub member_add: Option<MemberRight>,
    /// Members that may share the invite link.
    #[serde(default)]
    pub member_link: Option<MemberRight>,
    /// Members that may share earlier messages with new members.
    #[serde(default)]
    pub share_history: Option<MemberRight>,
    /// Members cannot take content out of the chat.
    #[serde(default)]
    pub limit_sharing: bool,
    /// Messages that were forwarded often are refused.
    #[serde(default)]
    pub limit_forwarding: bool,
    /// Members may report messages to admins.
    #[serde(default)]
    pub admin_reports: bool,
    #[serde(default)]
    pub kind: GroupKind,
    /// The community that the group belongs to, `…@g.us`.
    #[serde(default)]
    pub community: Option<String>,
    /// The form in which WhatsApp addresses the members.
    #[serde(default)]
    pub addressing_mode: AddressForm,
    /// WhatsApp has suspended the group: nobody can write or join.
    #[serde(default)]
    pub suspended: bool,
    /// WhatsApp has closed the invite link for a while.
    #[serde(default)]
    pub growth_locked: bool,
    /// The number of members, where WhatsApp says it; people outside the group see no others.
    #[serde(default)]
    pub size: Option<u32>,
    #[serde(default)]
    pub participants: Vec<GroupMember>,
}

/// The purpose of a group.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupKind {
    #[default]
    Group,
    /// A group of groups, in which nobody writes.
    Community,
    /// The group of a community in which only admins write.
    Announcements,
    /// The general chat of a community.
    General,
}

/// The form in which WhatsApp addresses people.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum AddressForm {
    #[default]
    Phone,
    Lid,
}

/// The members that have a right.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum MemberRight {
    Admins,
    All,
}

impl Group {
    /// Returns every person in the group's data.
    pub fn people_mut(&mut self) -> impl Iterator<Item = &mut Person> {
        self.created_by.iter_mut().chain(
            self.participants
                .iter_mut()
                .map(|member| &mut member.person),
        )
    }
}

/// A participant of a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct GroupMember {
    #[serde(flatten)]
    pub person: Person,
    pub role: GroupRole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupRole {
    Member,
    Admin,
    /// The admin that created the group.
    SuperAdmin,
}

/// `group.created`: a group was created with this session's account, or the account was added to
/// one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupCreated {
    #[serde(default)]
    pub session: String,
    /// `…@g.us`
    pub chat: String,
    /// The person that did it; `null` where WhatsApp does not say.
    pub by: Option<Person>,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub timestamp: Timestamp,
    #[serde(flatten)]
    pub group: Group,
}

/// `group.updated`: a property of a group changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupUpdated {
    #[serde(default)]
    pub session: String,
    /// `…@g.us`
    pub chat: String,
    /// The person that did it; `null` where WhatsApp does not say.
    pub by: Option<Person>,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub timestamp: Timestamp,
    /// The new value, under the name that it has in a group: `{"subject": "…"}`.
    pub change: GroupChange,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum GroupChange {
    Subject(String),
    Description(Option<String>),
    Announcement(bool),
    Locked(bool),
    ExpiresIn(Option<u32>),
    Approval(bool),
    MemberAdd(MemberRight),
    LimitForwarding(bool),
    LimitSharing(bool),
    AdminReports(bool),
    Suspended(bool),
    GrowthLocked(bool),
    /// The new invite link; the former one is no longer valid.
    InviteLink(String),
    /// The community it belongs to now; `null`: none.
    Community(Option<String>),
    /// A group that was linked to this community.
    GroupLinked(String),
    /// A group that was taken out of this community.
    GroupUnlinked(String),
    /// The community, or its group of announcements, was dissolved.
    Deleted(bool),
}

/// `group.request`: people want to join a group that admins let people into, or no longer do. Only
/// admins receive it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupRequest {
    pub session: String,
    /// `…@g.us`
    pub chat: String,
    /// The person that did it; `null` where WhatsApp does not say.
    pub by: Option<Person>,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub timestamp: Timestamp,
    pub action: RequestAction,
    /// The people that want to join.
    pub participants: Vec<Person>,
    /// Their way; `null` for a request that ended.
    pub method: Option<RequestMethod>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum RequestAction {
    /// They ask to be let in.
    Created,
    /// They have withdrawn the request, or an admin has rejected it.
    Revoked,
}

/// The way of people who want to join.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum RequestMethod {
    InviteLink,
    /// They are in the group's community.
    Community,
    /// A member wanted to add them.
    Member,
}

/// `group.participants`: participants joined, left, or changed their role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct GroupParticipants {
    pub session: String,
    /// `…@g.us`
    pub chat: String,
    /// The person that did it; `null` where WhatsApp does not say.
    pub by: Option<Person>,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub timestamp: Timestamp,
    pub action: GroupAction,
    /// The affected people.
    pub participants: Vec<Person>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
pub enum GroupAction {
    /// Somebody added participants, or they joined.
    Add,
    /// An admin removed participants.
    Remove,
    /// A participant left the group.
    Leave,
    /// Participants became admins.
    Promote,
    /// Admins became participants.
    Demote,
}
