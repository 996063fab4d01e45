//! Privacy settings of an account, with their words in the API and on the wire. Pure.

use std::collections::BTreeMap;

/// Everybody who is saved as a contact, but for named people.
const EXCEPT_SOME: &str = "contact_blacklist";

/// A privacy setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum PrivacyTopic {
    LastSeen,
    Online,
    ProfilePicture,
    About,
    GroupsAdd,
    ReadReceipts,
    Calls,
    Messages,
    Defense,
}

impl PrivacyTopic {
    pub const ALL: [Self; 9] = [
        Self::LastSeen,
        Self::Online,
        Self::ProfilePicture,
        Self::About,
        Self::GroupsAdd,
        Self::ReadReceipts,
        Self::Calls,
        Self::Messages,
        Self::Defense,
    ];

    /// Its field in JSON.
    pub const fn field(self) -> &'static str {
        match self {
            Self::LastSeen => "last_seen",
            Self::Online => "online",
            Self::ProfilePicture => "profile_picture",
            Self::About => "about",
            Self::GroupsAdd => "groups_add",
            Self::ReadReceipts => "read_receipts",
            Self::Calls => "calls",
            Self::Messages => "messages",
            Self::Defense => "defense",
        }
    }

    /// WhatsApp's name of it.
    pub const fn wire_name(self) -> &'static str {
        match self {
            Self::LastSeen => "last",
            Self::Online => "online",
            Self::ProfilePicture => "profile",
            Self::About => "status",
            Self::GroupsAdd => "groupadd",
            Self::ReadReceipts => "readreceipts",
            Self::Calls => "calladd",
            Self::Messages => "messages",
            Self::Defense => "defense",
        }
    }

    /// The words that it can be set to, the same here as on the wire.
    pub const fn words(self) -> &'static [&'static str] {
        match self {
            Self::LastSeen | Self::ProfilePicture | Self::About | Self::GroupsAdd => {
                &["all", "contacts", "none"]
            }
            Self::Online => &["all", "match_last_seen"],
            Self::ReadReceipts => &["all", "none"],
            Self::Calls => &["all", "known", "contacts"],
            Self::Messages => &["all", "contacts"],
            Self::Defense => &["off", "on_standard"],
        }
    }

    /// Whether it can be the contacts except some people.
    pub const fn has_exceptions(self) -> bool {
        matches!(
            self,
            Self::LastSeen | Self::ProfilePicture | Self::About | Self::GroupsAdd
        )
    }

    /// The description in the reference.
    pub const fn description(self) -> &'static str {
        match self {
            Self::LastSeen => "People who see when the account was last online.",
            Self::Online => "People who see that it is online.",
            Self::ProfilePicture => "People who see its picture.",
            Self::About => "People who see its about text.",
            Self::GroupsAdd => "People who may add it to groups; others can send an invitation.",
            Self::ReadReceipts => {
                "Whether people learn in direct chats that their messages were read, and the \
                 account that its own were."
            }
            Self::Calls => "People who may call it; calls of others are silenced.",
            Self::Messages => "People who may write to it.",
            Self::Defense => "WhatsApp's strict settings against attacks.",
        }
    }
}

/// The value of a setting; `P` is a person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrivacyValue<P> {
    /// One of [`PrivacyTopic::words`], or a word that WhatsApp has added since.
    Word(String),
    /// Contacts, except these people.
    Except(Vec<P>),
}

impl<P> PrivacyValue<P> {
    /// Reads WhatsApp's word; the exceptions are named elsewhere.
    pub fn from_wire(word: &str) -> Self {
        match word {
            EXCEPT_SOME => Self::Except(Vec::new()),
            word => Self::Word(word.to_owned()),
        }
    }
}

/// All settings that WhatsApp has named, and the default timer of new chats.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct AccountPrivacy<P> {
    pub topics: BTreeMap<PrivacyTopic, PrivacyValue<P>>,
    /// Seconds after which messages of new chats disappear; 0: never.
    pub default_timer: Option<u32>,
}
