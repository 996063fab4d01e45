//! A newsletter (a channel) as the server knows it: name, followers and posts. Plain data.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;

use serde::Serialize;

use crate::model::group::FORBIDDEN;
use crate::model::ids::{DeviceId, PhoneNumber};

/// The part of a newsletter's address before `@newsletter`.
pub(crate) type NewsletterId = Arc<str>;

/// The code for an unknown newsletter or post.
pub(crate) const NOT_FOUND: u16 = 404;
/// Clients assume that server ids of posts start at 99 or later.
const FIRST_SERVER_ID: u64 = 100;
/// How long a client gets live updates of reaction and view counts after it has subscribed, in
/// seconds.
pub(crate) const LIVE_SECONDS: u64 = 300;
/// How long an invitation to be an admin can be accepted, in seconds.
const INVITE_SECONDS: u64 = 7 * 24 * 60 * 60;

/// The role of an account in a newsletter.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum NewsletterRole {
    /// Reads it.
    Subscriber,
    /// May also post.
    Admin,
    /// The admin who created it.
    Owner,
}

/// A post. Everybody can read it, so it is not encrypted.
#[derive(Clone, Debug)]
pub(crate) struct NewsletterPost {
    /// Its number among the newsletter's posts, by which the server names it.
    pub(crate) server_id: u64,
    /// The id its author has chosen.
    pub(crate) id: String,
    pub(crate) by: PhoneNumber,
    /// Seconds since 1970.
    pub(crate) at: u64,
    /// The stanza's type.
    pub(crate) kind: String,
    pub(crate) media_type: Option<String>,
    /// The id of its file at the media host.
    pub(crate) media_id: Option<String>,
    /// The encoded protobuf.
    pub(crate) message: Vec<u8>,
    pub(crate) reactions: BTreeMap<PhoneNumber, String>,
    pub(crate) viewers: BTreeSet<PhoneNumber>,
    /// When it was last edited, in seconds since 1970.
    pub(crate) edited: Option<u64>,
    /// It was deleted: only its number is left.
    pub(crate) revoked: bool,
}

impl NewsletterPost {
    /// When it last changed, in seconds since 1970.
    pub(crate) fn changed_at(&self) -> u64 {
        self.edited.unwrap_or(self.at)
    }

    /// How often each emoji was used as a reaction.
    pub(crate) fn reaction_counts(&self) -> BTreeMap<&str, usize> {
        let mut counts = BTreeMap::new();
        for emoji in self.reactions.values() {
            *counts.entry(emoji.as_str()).or_default() += 1;
        }
        counts
    }
}

/// A newsletter.
#[derive(Clone, Debug)]
pub(crate) struct Newsletter {
    pub(crate) id: NewsletterId,
    pub(crate) name: String,
    pub(crate) description: String,
    /// A JPEG.
    pub(crate) picture: Option<Vec<u8>>,
    /// The last part of its invite link.
    pub(crate) invite: String,
    /// Seconds since 1970.
    pub(crate) created: u64,
    pub(crate) people: BTreeMap<PhoneNumber, NewsletterRole>,
    /// Accounts that are invited to be admins, and until when in seconds since 1970.
    pub(crate) invites: BTreeMap<PhoneNumber, u64>,
    /// Follows (`true`) and unfollows, with their times in seconds since 1970.
    pub(crate) growth: Vec<(u64, bool)>,
    /// Followers who have muted its posts.
    pub(crate) muted: BTreeSet<PhoneNumber>,
    /// Sorted by server id.
    pub(crate) posts: Vec<NewsletterPost>,
    /// Devices subscribed to live updates of counts, and until when in seconds since 1970.
    pub(crate) live_subscribers: BTreeMap<DeviceId, u64>,
}

/// The update that followers get after a change.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum PostUpdate {
    Nothing,
    /// A post, or a change of one: all followers get it.
    Message,
    /// Changed counts of a post: only subscribers to live updates get them.
    Counts,
}

/// A message to a newsletter.
pub(crate) enum NewsletterAction {
    Post {
        kind: String,
        media_type: Option<String>,
        media_id: Option<String>,
        message: Vec<u8>,
    },
    /// New content for the post with the message's id.
    Edit { message: Vec<u8> },
    /// Deletes the post with the message's id.
    Revoke,
    /// A reaction to a post by its server id; without an emoji it removes the reaction.
    Reaction {
        server_id: u64,
        emoji: Option<String>,
    },
}

impl Newsletter {
    pub(crate) fn new(name: &str, description: &str, owner: &PhoneNumber, now: u64) -> Self {
        Self {
            id: format!("120363{:012}", rand::random_range(0..1_000_000_000_000_u64)).into(),
            name: name.to_owned(),
            description: description.to_owned(),
            picture: None,
            invite: hex::encode_upper(rand::random::<[u8; 11]>()),
            created: now,
            people: BTreeMap::from([(owner.clone(), NewsletterRole::Owner)]),
            invites: BTreeMap::new(),
            growth: Vec::new(),
            muted: BTreeSet::new(),
            posts: Vec::new(),
            live_subscribers: BTreeMap::new(),
        }
    }

    pub(crate) fn can_post(&self, number: &str) -> bool {
        self.people
            .get(number)
            .is_some_and(|role| *role > NewsletterRole::Subscriber)
    }

    pub(crate) fn add_follower(&mut self, number: &PhoneNumber, now: u64) {
        if !self.people.contains_key(number) {
            let role = NewsletterRole::Subscriber;
            self.people.insert(number.clone(), role);
            self.growth.push((now, true));
        }
    }

    /// Removes a follower. An owner cannot leave.
    pub(crate) fn remove_follower(&mut self, number: &str, now: u64) -> Result<(), u16> {
        match self.people.get(number) {
            Some(NewsletterRole::Owner) => Err(FORBIDDEN),
            _ => {
                if self.people.remove(number).is_some() {
                    self.growth.push((now, false));
                }
                self.muted.remove(number);
                Ok(())
            }
        }
    }

    /// Invites an account to be an admin; returns until when it may accept. Only the owner can, and
    /// nobody is invited who is an admin already.
    pub(crate) fn invite_admin(
        &mut self,
        by: &str,
        whom: &PhoneNumber,
        now: u64,
    ) -> Result<u64, u16> {
        if self.people.get(by) != Some(&NewsletterRole::Owner) || self.can_post(whom) {
            return Err(FORBIDDEN);
        }
        let until = now + INVITE_SECONDS;
        self.invites.insert(whom.clone(), until);
        Ok(until)
    }

    /// Takes an invitation back.
    pub(crate) fn revoke_invite(&mut self, by: &str, whom: &str) -> Result<(), u16> {
        if self.people.get(by) != Some(&NewsletterRole::Owner) {
            return Err(FORBIDDEN);
        }
        self.invites.remove(whom).map(drop).ok_or(NOT_FOUND)
    }

    /// Makes an invited account an admin.
    pub(crate) fn accept_invite(&mut self, by: &PhoneNumber, now: u64) -> Result<(), u16> {
        match self.invites.remove(by) {
            Some(until) if until > now => {
                self.add_follower(by, now);
                self.people.insert(by.clone(), NewsletterRole::Admin);
                Ok(())
            }
            _ => Err(NOT_FOUND),
        }
    }

    /// The code with which the server refuses a message, or `None` if it accepts it. Everybody may
    /// react.
    pub(crate) fn refusal_code(&self, by: &str, id: &str, said: &NewsletterAction) -> Option<u16> {
        let mut there = self.posts.iter().filter(|post| !post.revoked);
        match said {
            NewsletterAction::Reaction { server_id, .. } => {
                (!there.any(|post| post.server_id == *server_id)).then_some(NOT_FOUND)
            }
            _ if !self.can_post(by) => Some(FORBIDDEN),
            NewsletterAction::Post { .. } => None,
            NewsletterAction::Edit { .. } | NewsletterAction::Revoke => {
                (!there.any(|post| post.id == id)).then_some(NOT_FOUND)
            }
        }
    }

    /// Records a view of a post; returns whether it is the account's first.
    pub(crate) fn record_view(&mut self, by: &PhoneNumber, server_id: u64) -> bool {
        let mut posts = self.posts.iter_mut().filter(|post| !post.revoked);
        posts
            .find(|post| post.server_id == server_id)
            .is_some_and(|post| post.viewers.insert(by.clone()))
    }

    /// Applies a message that was not refused; returns the server id of its post and the update for
    /// followers. A repeated post under the same id changes nothing.
    pub(crate) fn apply_action(
        &mut self,
        by: &PhoneNumber,
        id: &str,
        said: NewsletterAction,
        now: u64,
    ) -> Option<(u64, PostUpdate)> {
        let known = self.posts.iter_mut().find(|post| post.id == id);
        match (said, known) {
            (NewsletterAction::Post { .. }, Some(post)) => {
                Some((post.server_id, PostUpdate::Nothing))
            }
            (
                NewsletterAction::Post {
                    kind,
                    media_type,
                    media_id,
                    message,
                },
                None,
            ) => {
                let server_id = self
                    .posts
                    .last()
                    .map_or(FIRST_SERVER_ID, |post| post.server_id + 1);
                self.posts.push(NewsletterPost {
                    server_id,
                    id: id.to_owned(),
                    by: by.clone(),
                    at: now,
                    kind,
                    media_type,
                    media_id,
                    message,
                    reactions: BTreeMap::new(),
                    viewers: BTreeSet::new(),
                    edited: None,
                    revoked: false,
                });
                Some((server_id, PostUpdate::Message))
            }
            (NewsletterAction::Edit { message }, Some(post)) => {
                post.message = message;
                post.edited = Some(now);
                Some((post.server_id, PostUpdate::Message))
            }
            (NewsletterAction::Revoke, Some(post)) => {
                post.message.clear();
                post.reactions.clear();
                (post.media_type, post.media_id, post.edited, post.revoked) =
                    (None, None, None, true);
                Some((post.server_id, PostUpdate::Message))
            }
            (NewsletterAction::Reaction { server_id, emoji }, _) => {
                let post = self
                    .posts
                    .iter_mut()
                    .find(|post| post.server_id == server_id)?;
                match emoji {
                    Some(emoji) => drop(post.reactions.insert(by.clone(), emoji)),
                    None => drop(post.reactions.remove(by)),
                }
                Some((server_id, PostUpdate::Counts))
            }
            (_, None) => None,
        }
    }
}
