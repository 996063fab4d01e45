//! Newsletters on a phone: creates them, follows them, and changes posts.

use std::sync::Arc;

use anyhow::{Context, bail};
use serde::Serialize;
use waproto::buffa::MessageField;
use waproto::whatsapp as wa;

use crate::model::ids::Chat;
use crate::model::newsletter::{Newsletter, NewsletterId, NewsletterRole};
use crate::phone::Phone;
use crate::server::Server;
use crate::server::stanza::messages::{newsletter, phone_message};
use crate::wire::unix_time;

/// A newsletter as its followers see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PhoneNewsletter {
    /// Its address, `…@newsletter`.
    pub id: String,
    pub name: String,
    pub description: String,
    /// Its picture, a JPEG.
    #[serde(skip)]
    pub picture: Option<Vec<u8>>,
    /// The followers who have muted it, by number.
    pub muted: Vec<String>,
    /// Its followers by number, the owner included.
    pub people: Vec<(String, NewsletterRole)>,
    /// The numbers that are invited to be admins.
    pub invited: Vec<String>,
    /// Oldest first.
    pub posts: Vec<PhonePost>,
}

/// A post with its reaction counts.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PhonePost {
    /// Its number among the newsletter's posts.
    pub server_id: u64,
    /// The id its author has chosen.
    pub id: String,
    /// The author's number; readers do not see it.
    pub by: String,
    /// The id of its file, if the author gave one.
    pub media_id: Option<String>,
    pub reactions: Vec<(String, usize)>,
    /// Number of viewers.
    pub views: usize,
}

impl Phone {
    /// Creates a newsletter; returns its address, `…@newsletter`.
    pub fn creates_newsletter(&self, name: &str, description: &str) -> String {
        let newsletter = Newsletter::new(name, description, &self.number, unix_time());
        let id = newsletter.id.clone();
        self.server
            .world
            .lock()
            .newsletters
            .insert(id.clone(), newsletter);
        Chat::Newsletter(id).to_string()
    }

    /// Follows a newsletter: the phone and all linked devices receive its posts from now on.
    pub fn follows_newsletter(&self, address: &str) -> anyhow::Result<()> {
        self.with_newsletter(address, |newsletter| {
            newsletter.add_follower(&self.number, unix_time());
        })
    }

    /// Unfollows a newsletter; fails for its owner.
    pub fn unfollows_newsletter(&self, address: &str) -> anyhow::Result<()> {
        let left = self.with_newsletter(address, |newsletter| {
            newsletter.remove_follower(&self.number, unix_time())
        })?;
        left.map_err(refused)
    }

    /// Makes another account an admin of one of the phone's own newsletters.
    pub fn makes_newsletter_admin(&self, address: &str, whom: &Self) -> anyhow::Result<()> {
        self.with_newsletter(address, |newsletter| {
            let role = newsletter.people.get(&self.number);
            anyhow::ensure!(
                role == Some(&NewsletterRole::Owner),
                "only the owner makes admins"
            );
            newsletter
                .people
                .insert(whom.number.clone(), NewsletterRole::Admin);
            Ok(())
        })?
    }

    /// Invites another account to be an admin of one of the phone's own newsletters, and tells it
    /// so by a message; returns the message's id.
    pub fn invites_newsletter_admin(&self, address: &str, whom: &Self) -> anyhow::Result<String> {
        let (until, name) = self.with_newsletter(address, |newsletter| {
            let until = newsletter.invite_admin(&self.number, &whom.number, unix_time());
            (until, newsletter.name.clone())
        })?;
        let until = until.map_err(refused)?;
        let invite = wa::message::NewsletterAdminInviteMessage {
            newsletter_jid: Some(address.to_owned()),
            newsletter_name: Some(name),
            invite_expiration: i64::try_from(until).ok(),
            ..Default::default()
        };
        let message = wa::Message {
            newsletter_admin_invite_message: MessageField::some(invite),
            ..Default::default()
        };
        self.sends_message(&whom.number, "text", message)
    }

    /// Accepts an invitation to be an admin of a newsletter.
    pub fn accepts_newsletter_invite(&self, address: &str) -> anyhow::Result<()> {
        let accepted = self.with_newsletter(address, |newsletter| {
            newsletter.accept_invite(&self.number, unix_time())
        })?;
        accepted.map_err(refused)
    }

    /// Replaces the text of a post.
    pub fn edits_post(&self, address: &str, id: &str, text: &str) -> anyhow::Result<()> {
        let words = wa::Message {
            conversation: Some(text.to_owned()),
            ..Default::default()
        };
        newsletter::change_post(
            &self.server,
            &self.number,
            &self.newsletter_id(address)?,
            id,
            Some(&words),
        )
    }

    /// Deletes a post.
    pub fn deletes_post(&self, address: &str, id: &str) -> anyhow::Result<()> {
        newsletter::change_post(
            &self.server,
            &self.number,
            &self.newsletter_id(address)?,
            id,
            None,
        )
    }

    /// Reacts to a post with an emoji; an empty emoji removes the reaction.
    pub fn reacts_to_post(&self, address: &str, server_id: u64, emoji: &str) -> anyhow::Result<()> {
        let id = self.newsletter_id(address)?;
        newsletter::react_to_post(
            &self.server,
            &self.number,
            &id,
            &phone_message::new_message_id(),
            (server_id, emoji),
        )
    }

    /// Views posts, by their server ids. Each account counts once.
    pub fn views_posts(&self, address: &str, server_ids: &[u64]) -> anyhow::Result<()> {
        newsletter::view_posts(
            &self.server,
            &self.number,
            &self.newsletter_id(address)?,
            server_ids,
        );
        Ok(())
    }

    /// The current state of a newsletter.
    pub fn find_newsletter(&self, address: &str) -> anyhow::Result<PhoneNewsletter> {
        self.with_newsletter(address, |newsletter| describe_newsletter(newsletter))
    }

    fn with_newsletter<T>(
        &self,
        address: &str,
        act: impl FnOnce(&mut Newsletter) -> T,
    ) -> anyhow::Result<T> {
        let id = self.newsletter_id(address)?;
        let mut world = self.server.world.lock();
        let newsletter = world.newsletters.get_mut(&id);
        Ok(act(newsletter.with_context(|| {
            format!("there is no newsletter {address:?}")
        })?))
    }

    fn newsletter_id(&self, address: &str) -> anyhow::Result<NewsletterId> {
        match self.find_chat(address)? {
            Chat::Newsletter(id) => Ok(id),
            _ => bail!("{address:?} is no newsletter"),
        }
    }
}

fn refused(code: u16) -> anyhow::Error {
    anyhow::anyhow!("WhatsApp refuses it with code {code}")
}

fn describe_newsletter(newsletter: &Newsletter) -> PhoneNewsletter {
    let posts = newsletter
        .posts
        .iter()
        .filter(|post| !post.revoked)
        .map(|post| PhonePost {
            server_id: post.server_id,
            id: post.id.clone(),
            by: post.by.to_string(),
            media_id: post.media_id.clone(),
            reactions: post
                .reaction_counts()
                .into_iter()
                .map(|(emoji, count)| (emoji.to_owned(), count))
                .collect(),
            views: post.viewers.len(),
        });
    PhoneNewsletter {
        id: Chat::Newsletter(newsletter.id.clone()).to_string(),
        name: newsletter.name.clone(),
        description: newsletter.description.clone(),
        picture: newsletter.picture.clone(),
        muted: newsletter.muted.iter().map(ToString::to_string).collect(),
        people: newsletter
            .people
            .iter()
            .map(|(number, role)| (number.to_string(), *role))
            .collect(),
        invited: newsletter.invites.keys().map(ToString::to_string).collect(),
        posts: posts.collect(),
    }
}

/// Returns all newsletters.
pub(crate) fn all_newsletters(server: &Arc<Server>) -> Vec<PhoneNewsletter> {
    server
        .world
        .lock()
        .newsletters
        .values()
        .map(describe_newsletter)
        .collect()
}
