//! Newsletters, which phones call channels. A public contract.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::model::message::Message;

/// A newsletter as the account sees it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct Newsletter {
    /// `…@newsletter`; posts are sent to it.
    pub id: String,
    pub name: String,
    /// `null` when it has none.
    pub description: Option<String>,
    pub role: NewsletterRole,
    /// Whether the account has muted it.
    pub muted: bool,
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
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize, JsonSchema)]
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

/// A post of a newsletter, as WhatsApp lists it.
#[derive(Debug, Clone, PartialEq, Serialize, JsonSchema)]
pub struct NewsletterPost {
    pub id: String,
    /// Number of the post in its newsletter; later posts have higher numbers.
    pub post: u64,
    #[serde(serialize_with = "crate::model::timestamp::serialize")]
    pub timestamp: Timestamp,
    /// Whether the account wrote it.
    pub from_me: bool,
    /// Absent if it was deleted.
    #[serde(flatten)]
    pub message: Option<Message>,
    /// How often each emoji was used.
    pub reactions: Vec<PostReaction>,
    /// Number of viewers; `null` where WhatsApp does not say.
    pub views: Option<u64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    pub edited_at: Option<Timestamp>,
}

/// The use of one emoji as a reaction to a post.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PostReaction {
    pub emoji: String,
    pub count: u64,
}

/// `newsletter.counts`: the reactions to posts of a watched newsletter changed. Delivered at most
/// once.
///
/// `{"session": "shop", "newsletter": "…@newsletter", "posts": [{"post": 100, "reactions":
/// [{"emoji": "👍", "count": 3}]}]}`
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct NewsletterCounts {
    pub session: String,
    pub newsletter: String,
    pub posts: Vec<PostCounts>,
}

/// The reactions to a post, all of them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct PostCounts {
    /// Number of the post in its newsletter.
    pub post: u64,
    pub reactions: Vec<PostReaction>,
}
