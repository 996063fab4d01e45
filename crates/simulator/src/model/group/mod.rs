//! A group as the server knows it: subject, members and permissions. Plain data.

mod changes;
mod joining;
#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use crate::model::ids::PhoneNumber;
use crate::model::options::Addressing;

/// The part of a group's address before `@g.us`.
pub(crate) type GroupId = Arc<str>;

/// WhatsApp's result codes for a change, or for one member in it.
pub(crate) const FORBIDDEN: u16 = 403;
pub(crate) const BAD_REQUEST: u16 = 400;
/// The person has blocked the one who wants to add them.
pub(crate) const NOT_AUTHORIZED: u16 = 401;
pub(crate) const NOT_FOUND: u16 = 404;
/// An admin has removed the person, who therefore cannot join by link.
pub(crate) const NOT_ALLOWED: u16 = 405;
/// A text is too long, or an invite code never existed.
pub(crate) const NOT_ACCEPTABLE: u16 = 406;
/// The person has left the group again and again.
const LEFT_RECENTLY: u16 = 408;
/// Already a member; or, the description to be replaced is no longer the current one.
pub(crate) const CONFLICT: u16 = 409;
/// The invite link was revoked.
pub(crate) const GONE: u16 = 410;
pub(crate) const GROUP_FULL: u16 = 419;
/// An admin has to approve the person whom a member wants to add.
pub(crate) const APPROVAL_NEEDED: u16 = 421;

/// The most members of a group.
pub(crate) const MEMBER_LIMIT: usize = 1_024;
/// The most characters of a subject, and of a description.
pub(crate) const SUBJECT_LIMIT: usize = 100;
const DESCRIPTION_LIMIT: usize = 2_048;

/// The allowed disappearing-message timers, in seconds; 0 is off.
pub(crate) const TIMERS: [u32; 4] = [0, 86_400, 604_800, 7_776_000];

/// The role of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupRole {
    /// May write, and add others.
    Member,
    /// May remove others, and change the group's settings.
    Admin,
    /// The admin who created the group; others cannot remove them.
    SuperAdmin,
}

impl GroupRole {
    /// The attribute `type` of a `<participant>`; members have none.
    pub(crate) const fn type_attribute(self) -> Option<&'static str> {
        match self {
            Self::Member => None,
            Self::Admin => Some("admin"),
            Self::SuperAdmin => Some("superadmin"),
        }
    }
}

/// A text that members can change, with the author of the last change.
#[derive(Clone, Debug)]
pub(crate) struct AuthoredText {
    pub(crate) text: String,
    /// Every description has its own id, by which clients notice that theirs is out of date.
    pub(crate) id: String,
    pub(crate) by: PhoneNumber,
    /// Seconds since 1970.
    pub(crate) at: u64,
}

/// A group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    /// How members are named on the wire.
    pub(crate) addressing: Addressing,
    pub(crate) subject: AuthoredText,
    pub(crate) description: Option<AuthoredText>,
    pub(crate) creator: PhoneNumber,
    pub(crate) created: u64,
    /// Only admins may write.
    pub(crate) announcement: bool,
    /// Only admins may change subject and description.
    pub(crate) locked: bool,
    /// Seconds after which messages disappear; 0: they stay.
    pub(crate) timer: u32,
    /// People who join by link need the approval of an admin.
    pub(crate) approval: bool,
    /// Every member may add others, not only admins.
    pub(crate) all_add: bool,
    /// Every member may share the invite link, not only admins.
    pub(crate) all_link: bool,
    /// Every member may share earlier messages with new ones, not only admins.
    pub(crate) all_share: bool,
    /// The settings that are on, in WhatsApp's words.
    pub(crate) flags: BTreeSet<GroupFlag>,
    /// The code of its invite link.
    pub(crate) invite_code: String,
    /// People who want to join.
    pub(crate) requests: BTreeMap<PhoneNumber, JoinRequest>,
    /// Invites for people who may not be added.
    pub(crate) invites: BTreeMap<PhoneNumber, PersonalInvite>,
    /// People whom admins have removed.
    pub(crate) removed: BTreeSet<PhoneNumber>,
    /// How often people have left, and when they did last.
    pub(crate) departures: BTreeMap<PhoneNumber, (u32, u64)>,
    /// Set if it is a community: how people join its groups, in WhatsApp's words.
    pub(crate) community: Option<String>,
    /// The community it belongs to.
    pub(crate) parent: Option<GroupId>,
    /// The group of a community that all of its members are in.
    pub(crate) part: CommunityPart,
    /// Increases with each change of the members or their roles.
    pub(crate) members_version: u64,
    /// Increases when the permission to write changes.
    pub(crate) announcement_version: u64,
    pub(crate) members: BTreeMap<PhoneNumber, GroupRole>,
}

/// A new description; `None` removes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DescriptionChange {
    pub(crate) text: Option<String>,
    /// The id its author has chosen.
    pub(crate) id: Option<String>,
    /// The id of the description it replaces, as far as its author knows; `None`: any.
    pub(crate) replaces: Option<Option<String>>,
}

/// A change to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GroupChange {
    Add(Vec<PhoneNumber>),
    Remove(Vec<PhoneNumber>),
    Promote(Vec<PhoneNumber>),
    Demote(Vec<PhoneNumber>),
    Leave,
    Subject(String),
    Description(DescriptionChange),
    Announcement(bool),
    Locked(bool),
    Timer(u32),
    Approval(bool),
    AllAdd(bool),
    AllLink(bool),
    AllShare(bool),
    Flag(GroupFlag, bool),
}

/// A setting of a group that is on or off.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub(crate) enum GroupFlag {
    /// Often forwarded messages are refused.
    NoFrequentlyForwarded,
    /// Members may report messages to admins.
    AdminReports,
    /// New members may be given earlier messages.
    History,
    /// Members cannot take content out of the chat.
    LimitSharing,
    /// Members of the community may add groups to it.
    MembersCreateGroups,
    /// WhatsApp has suspended the group.
    Suspended,
    /// WhatsApp has closed the invite link for a while.
    GrowthLocked,
}

/// The purpose of a group in its community.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) enum CommunityPart {
    /// One that people join, or a group without a community.
    #[default]
    Joined,
    /// All members of the community are in it, and only admins write.
    Announcements,
    /// All members of the community are in it.
    General,
}

/// How somebody came to want to join, in WhatsApp's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum RequestMethod {
    InviteLink,
    LinkedGroupJoin,
    /// A member who is no admin wants to add them.
    NonAdminAdd,
}

/// Somebody who wants to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct JoinRequest {
    /// Seconds since 1970.
    pub(crate) at: u64,
    pub(crate) method: RequestMethod,
}

/// An invite for one person who may not be added.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct PersonalInvite {
    pub(crate) code: String,
    /// The member who wanted to add them.
    pub(crate) by: PhoneNumber,
    /// Seconds since 1970.
    pub(crate) expires: u64,
}

pub(crate) use joining::{JoinOutcome, new_invite_code};

/// A member named by a change, and WhatsApp's code if nothing was changed about them.
pub(crate) type MemberOutcome = (PhoneNumber, Option<u16>);

pub(crate) fn authored_text(text: &str, by: &PhoneNumber, at: u64) -> AuthoredText {
    AuthoredText {
        text: text.to_owned(),
        id: hex::encode_upper(rand::random::<[u8; 8]>()),
        by: by.clone(),
        at,
    }
}
