//! Newsletters, which phones call channels. A public contract.

use jiff::Timestamp;
use serde::Serialize;

/// A newsletter as the account sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Newsletter {
    /// `…@newsletter`
    pub id: String,
    pub name: String,
    /// `null` when it has none.
    pub description: Option<String>,
    pub role: NewsletterRole,
    /// Number of followers.
    pub followers: u64,
    /// Whether WhatsApp has verified the owner.
    pub verified: bool,
    /// The public link: `https://whatsapp.com/channel/…`.
    pub link: Option<String>,
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    pub created_at: Option<Timestamp>,
}

/// The account's role in a newsletter.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum NewsletterRole {
    /// Does not follow the newsletter.
    Guest,
    Follower,
    /// May post.
    Admin,
    /// The admin that owns the newsletter.
    Owner,
}

impl NewsletterRole {
    pub fn can_post(self) -> bool {
        self >= Self::Admin
    }
}
