//! What is told of newsletters, which phones call channels. A public contract.

use jiff::Timestamp;
use serde::Serialize;

/// A newsletter, as the account sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Newsletter {
    /// `…@newsletter`
    pub id: String,
    pub name: String,
    /// `null` when it has none.
    pub description: Option<String>,
    pub role: NewsletterRole,
    /// How many follow it.
    pub followers: u64,
    /// Whether WhatsApp vouches for whose it is.
    pub verified: bool,
    /// Where people find it: `https://whatsapp.com/channel/…`.
    pub link: Option<String>,
    #[serde(serialize_with = "crate::stamp::optional")]
    pub created_at: Option<Timestamp>,
}

/// What the account is in a newsletter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NewsletterRole {
    /// Does not follow it.
    Guest,
    Follower,
    /// May post.
    Admin,
    /// The admin whose it is.
    Owner,
}

impl NewsletterRole {
    pub fn may_post(self) -> bool {
        self >= Self::Admin
    }
}
