//! Group events. A public contract. They are delivered at most once: WhatsApp does not offer them
//! again.

use jiff::Timestamp;
use serde::Serialize;

use super::Person;

/// A group as its members see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    pub subject: String,
    /// `null` when it has none.
    pub description: Option<String>,
    /// `null` where WhatsApp does not say, like `created_by`.
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    pub created_at: Option<Timestamp>,
    pub created_by: Option<Person>,
    /// Only admins may write.
    pub announcement: bool,
    /// Only admins may change subject and description.
    pub locked: bool,
    /// Seconds after which messages disappear; `null`: they stay.
    pub expires_in: Option<u32>,
    pub participants: Vec<GroupMember>,
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupMember {
    #[serde(flatten)]
    pub person: Person,
    pub role: GroupRole,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupRole {
    Member,
    Admin,
    /// The admin that created the group.
    SuperAdmin,
}

/// `group.created`: a group was created with this session's account, or the account was added to
/// one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupCreated {
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
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupUpdated {
    pub session: String,
    /// As in [`GroupCreated`], like `by` and `message_timestamp`.
    pub chat: String,
    pub by: Option<Person>,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub timestamp: Timestamp,
    /// The new value, under the field's name in [`Group`]: `{"subject": "…"}`.
    pub change: GroupChange,
}

#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum GroupChange {
    Subject(String),
    Description(Option<String>),
    Announcement(bool),
    Locked(bool),
    ExpiresIn(Option<u32>),
}

/// `group.participants`: participants joined, left, or changed their role.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupParticipants {
    pub session: String,
    /// As in [`GroupCreated`], like `by` and `message_timestamp`.
    pub chat: String,
    pub by: Option<Person>,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub timestamp: Timestamp,
    pub action: GroupAction,
    /// The affected people.
    pub participants: Vec<Person>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupAction {
    Add,
    Remove,
    /// A participant left the group.
    Leave,
    Promote,
    Demote,
}
