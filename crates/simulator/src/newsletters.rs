//! What a phone's owner does with newsletters: makes them, follows them, posts in them.

use std::sync::Arc;

use anyhow::{Context, bail};
use serde::Serialize;
use waproto::whatsapp as wa;

use crate::newsletter::{Newsletter, NewsletterId, NewsletterRole};
use crate::phone::Phone;
use crate::server::Server;
use crate::stanza::{newsletter, phone_message, unix_time};
use crate::world::Chat;

/// A newsletter as whoever follows it sees it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PhoneNewsletter {
    /// Its address, `…@newsletter`.
    pub id: String,
    pub name: String,
    pub description: String,
    /// Those who follow it, by number, its owner included.
    pub people: Vec<(String, NewsletterRole)>,
    /// Oldest first.
    pub posts: Vec<PhonePost>,
}

/// A post, and how often each emoji was put to it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PhonePost {
    /// Its place among the newsletter's posts.
    pub server_id: u64,
    /// How its author names it.
    pub id: String,
    /// Who posted it, by number; readers are not told.
    pub by: String,
    /// What its file is known by, if its author said so.
    pub media_id: Option<String>,
    pub reactions: Vec<(String, usize)>,
    /// How many have looked at it.
    pub views: usize,
}

impl Phone {
    /// Makes a newsletter; returns its address, `…@newsletter`.
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

    /// Follows a newsletter: what is posted from now on comes to the phone and to all linked devices.
    pub fn follows(&self, address: &str) -> anyhow::Result<()> {
        self.with_newsletter(address, |newsletter| newsletter.follow(&self.number))
    }

    /// Follows it no more; not for its owner.
    pub fn unfollows(&self, address: &str) -> anyhow::Result<()> {
        let left = self.with_newsletter(address, |newsletter| newsletter.unfollow(&self.number))?;
        left.map_err(|code| anyhow::anyhow!("WhatsApp refuses it with code {code}"))
    }

    /// Makes somebody an admin of a newsletter of its own.
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

    /// Gives a post other words.
    pub fn edits_post(&self, address: &str, id: &str, text: &str) -> anyhow::Result<()> {
        let words = wa::Message {
            conversation: Some(text.to_owned()),
            ..Default::default()
        };
        newsletter::change(
            &self.server,
            &self.number,
            &self.newsletter_id(address)?,
            id,
            Some(&words),
        )
    }

    /// Takes a post back.
    pub fn deletes_post(&self, address: &str, id: &str) -> anyhow::Result<()> {
        newsletter::change(
            &self.server,
            &self.number,
            &self.newsletter_id(address)?,
            id,
            None,
        )
    }

    /// Puts an emoji to a post; an empty one takes it back.
    pub fn reacts_to_post(&self, address: &str, server_id: u64, emoji: &str) -> anyhow::Result<()> {
        let id = self.newsletter_id(address)?;
        newsletter::react(
            &self.server,
            &self.number,
            &id,
            &phone_message::new_id(),
            (server_id, emoji),
        )
    }

    /// Looks at posts, by their places. Everybody counts once.
    pub fn views_posts(&self, address: &str, server_ids: &[u64]) -> anyhow::Result<()> {
        newsletter::view(
            &self.server,
            &self.number,
            &self.newsletter_id(address)?,
            server_ids,
        );
        Ok(())
    }

    /// A newsletter as it is now.
    pub fn newsletter(&self, address: &str) -> anyhow::Result<PhoneNewsletter> {
        self.with_newsletter(address, |newsletter| shown(newsletter))
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
        match self.chat(address)? {
            Chat::Newsletter(id) => Ok(id),
            _ => bail!("{address:?} is no newsletter"),
        }
    }
}

fn shown(newsletter: &Newsletter) -> PhoneNewsletter {
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
                .counts()
                .into_iter()
                .map(|(emoji, count)| (emoji.to_owned(), count))
                .collect(),
            views: post.viewers.len(),
        });
    PhoneNewsletter {
        id: Chat::Newsletter(newsletter.id.clone()).to_string(),
        name: newsletter.name.clone(),
        description: newsletter.description.clone(),
        people: newsletter
            .people
            .iter()
            .map(|(number, role)| (number.to_string(), *role))
            .collect(),
        posts: posts.collect(),
    }
}

/// Every newsletter there is.
pub(crate) fn all_newsletters(server: &Arc<Server>) -> Vec<PhoneNewsletter> {
    server
        .world
        .lock()
        .newsletters
        .values()
        .map(shown)
        .collect()
}
