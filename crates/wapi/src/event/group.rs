//! What is told of groups. A public contract. Group events come at most once: WhatsApp does not offer them again.

use jiff::Timestamp;
use serde::Serialize;

use super::Person;

/// A group, as its members see it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Group {
    pub subject: String,
    /// `null` when it has none.
    pub description: Option<String>,
    /// `null` where WhatsApp does not say, like `created_by`.
    #[serde(serialize_with = "crate::stamp::optional")]
    pub created_at: Option<Timestamp>,
    pub created_by: Option<Person>,
    /// Only admins may write.
    pub announcement: bool,
    /// Only admins may change subject and description.
    pub locked: bool,
    /// Messages disappear after so many seconds; `null`: they stay.
    pub expires_in: Option<u32>,
    pub participants: Vec<Member>,
}

impl Group {
    /// Everybody it names.
    pub fn people_mut(&mut self) -> impl Iterator<Item = &mut Person> {
        self.created_by.iter_mut().chain(
            self.participants
                .iter_mut()
                .map(|member| &mut member.person),
        )
    }
}

/// Somebody in a group.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Member {
    #[serde(flatten)]
    pub person: Person,
    pub role: Role,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    Member,
    Admin,
    /// The admin who founded the group.
    SuperAdmin,
}

/// `group.created`: somebody founded a group with this session's account, or added the account to one.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupCreated {
    pub session: String,
    /// `…@g.us`
    pub chat: String,
    /// Who did it; `null` where WhatsApp does not say.
    pub by: Option<Person>,
    #[serde(serialize_with = "crate::stamp::serialize")]
    pub timestamp: Timestamp,
    #[serde(flatten)]
    pub group: Group,
}

/// `group.updated`: a group is another than it was.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupUpdated {
    pub session: String,
    /// As in [`GroupCreated`], like `by` and `timestamp`.
    pub chat: String,
    pub by: Option<Person>,
    #[serde(serialize_with = "crate::stamp::serialize")]
    pub timestamp: Timestamp,
    /// What it is now, by the names of [`Group`]: `{"subject": "…"}`.
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

/// `group.participants`: somebody came, went, or may do more or less than before.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct GroupParticipants {
    pub session: String,
    /// As in [`GroupCreated`], like `by` and `timestamp`.
    pub chat: String,
    pub by: Option<Person>,
    #[serde(serialize_with = "crate::stamp::serialize")]
    pub timestamp: Timestamp,
    pub action: GroupAction,
    /// Whom it is about.
    pub participants: Vec<Person>,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupAction {
    Add,
    Remove,
    /// Somebody took themselves out.
    Leave,
    Promote,
    Demote,
}
