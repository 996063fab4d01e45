//! Posts of newsletters: reading them back, changing own ones, reacting, and following the counts
//! of reactions.

use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use whatsapp_rust::Jid;
use whatsapp_rust::types::message::EditAttribute;
use whatsapp_rust::wacore::iq::newsletter::NEWSLETTER_XMLNS;
use whatsapp_rust::wacore::iq::spec::IqSpec;
use whatsapp_rust::wacore::request::InfoQuery;
use whatsapp_rust::wacore::send::{media_type_from_message, stanza_type_from_message};
use whatsapp_rust::wacore_binary::builder::NodeBuilder;
use whatsapp_rust::wacore_binary::{NodeContent, NodeContentRef, NodeRef};
use whatsapp_rust::waproto::{codec, whatsapp as wa};

use crate::model::event::{NewsletterPost, PostReaction};
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::receive::decode::content;
use crate::whatsapp::request_error::RequestError;

/// Posts among which one is looked for by its id: the newest.
const SEARCHED_POSTS: u32 = 100;

/// A post with its protobuf.
struct ListedPost {
    shown: NewsletterPost,
    message: Option<wa::Message>,
}

impl Link {
    /// Returns posts of a newsletter, the newest first: the newest, or those before a post.
    pub async fn fetch_posts(
        &self,
        id: &str,
        before: Option<u64>,
        count: u32,
    ) -> Result<Vec<NewsletterPost>, RequestError> {
        let mut posts = self.list_posts(id, before, count).await?;
        posts.sort_by_key(|post| std::cmp::Reverse(post.shown.post));
        Ok(posts.into_iter().map(|post| post.shown).collect())
    }

    async fn list_posts(
        &self,
        id: &str,
        before: Option<u64>,
        count: u32,
    ) -> Result<Vec<ListedPost>, RequestError> {
        let newsletter = Jid::newsletter(id);
        self.run_request(self.client.execute(PostsQuery {
            newsletter,
            before,
            count,
        }))
        .await
    }

    /// Finds a post by its number or its id. Returns `None` if there is no such post.
    async fn find_post(&self, id: &str, post: &str) -> Result<Option<ListedPost>, RequestError> {
        let (before, count) = match post.parse::<u64>() {
            Ok(number) => (number.checked_add(1), 1),
            Err(_) => (None, SEARCHED_POSTS),
        };
        let found = self.list_posts(id, before, count).await?;
        Ok(found.into_iter().find(|it| {
            let is_meant = it.shown.post.to_string() == post || it.shown.id == post;
            is_meant && it.message.is_some()
        }))
    }

    /// Replaces the text of a post, or the caption of its file. Returns `false` if there is no such
    /// post.
    pub async fn edit_post(&self, id: &str, post: &str, text: &str) -> Result<bool, RequestError> {
        let Some(found) = self.find_post(id, post).await? else {
            return Ok(false);
        };
        let Some(changed) = found.message.map(|message| with_text(message, text)) else {
            return Ok(false);
        };
        let mut plaintext = NodeBuilder::new("plaintext");
        if let Some(media) = media_type_from_message(&changed) {
            plaintext = plaintext.attr("mediatype", media);
        }
        let node = NodeBuilder::new("message")
            .attr("to", Jid::newsletter(id))
            .attr("id", found.shown.id.as_str())
            .attr("type", stanza_type_from_message(&changed))
            .attr("edit", EditAttribute::AdminEdit.to_string_val())
            .children([plaintext.bytes(codec::message_to_vec(&changed)).build()]);
        self.send_acked(&found.shown.id, node.build()).await?;
        Ok(true)
    }

    /// Deletes a post for everybody. Returns `false` if there is no such post.
    pub async fn delete_post(&self, id: &str, post: &str) -> Result<bool, RequestError> {
        let Some(found) = self.find_post(id, post).await? else {
            return Ok(false);
        };
        let node = NodeBuilder::new("message")
            .attr("to", Jid::newsletter(id))
            .attr("id", found.shown.id.as_str())
            .attr("type", "text")
            .attr("edit", EditAttribute::AdminRevoke.to_string_val())
            .children([NodeBuilder::new("plaintext").bytes(Vec::new()).build()]);
        self.send_acked(&found.shown.id, node.build()).await?;
        Ok(true)
    }

    /// Reacts to a post; an empty emoji removes the reaction. Returns `false` if there is no such
    /// post.
    pub async fn react_to_post(
        &self,
        id: &str,
        post: &str,
        emoji: &str,
    ) -> Result<bool, RequestError> {
        let Some(found) = self.find_post(id, post).await? else {
            return Ok(false);
        };
        let reaction_id = self.client.generate_message_id();
        let mut reaction = NodeBuilder::new("reaction");
        if !emoji.is_empty() {
            reaction = reaction.attr("code", emoji);
        }
        let mut node = NodeBuilder::new("message")
            .attr("to", Jid::newsletter(id))
            .attr("type", "reaction")
            .attr("id", reaction_id.as_str())
            .attr("server_id", found.shown.post.to_string())
            .children([reaction.build()]);
        if emoji.is_empty() {
            node = node.attr("edit", EditAttribute::SenderRevoke.to_string_val());
        }
        self.send_acked(&reaction_id, node.build()).await?;
        Ok(true)
    }

    /// Subscribes to the counts of reactions of a newsletter's posts; returns for how long.
    pub async fn watch_counts(&self, id: &str) -> Result<Duration, RequestError> {
        let newsletters = self.client.newsletter();
        let asking = Box::pin(newsletters.subscribe_live_updates(Jid::newsletter(id)));
        let seconds = self.run_request(asking).await?;
        Ok(Duration::from_secs(seconds))
    }
}

/// Replaces the text of a message, or the caption of its file.
fn with_text(mut message: wa::Message, text: &str) -> wa::Message {
    let text = Some(text.to_owned());
    if let Some(image) = message.image_message.as_option_mut() {
        image.caption = text;
    } else if let Some(video) = message.video_message.as_option_mut() {
        video.caption = text;
    } else if let Some(document) = message.document_message.as_option_mut() {
        document.caption = text;
    } else if let Some(extended) = message.extended_text_message.as_option_mut() {
        extended.text = text;
    } else {
        message.conversation = text;
    }
    message
}

/// Asks for a page of posts. The engine's own form drops the edits and the number of views.
struct PostsQuery {
    newsletter: Jid,
    before: Option<u64>,
    count: u32,
}

impl IqSpec for PostsQuery {
    type Response = Vec<ListedPost>;

    fn build_iq(&self) -> InfoQuery<'static> {
        let mut messages = NodeBuilder::new("messages").attr("count", self.count);
        if let Some(before) = self.before {
            messages = messages.attr("before", before);
        }
        InfoQuery::get(
            NEWSLETTER_XMLNS,
            self.newsletter.clone(),
            Some(NodeContent::Nodes(vec![messages.build()])),
        )
    }

    fn parse_response(&self, response: &NodeRef<'_>) -> Result<Self::Response, anyhow::Error> {
        let messages = response
            .get_optional_child("messages")
            .context("the answer has no posts")?;
        Ok(messages
            .get_children_by_tag("message")
            .filter_map(parse_post)
            .collect())
    }
}

fn parse_post(node: &NodeRef<'_>) -> Option<ListedPost> {
    let text = |node: &NodeRef<'_>, name: &str| Some(node.get_attr(name)?.as_str().into_owned());
    let number = |node: &NodeRef<'_>, name: &str| text(node, name)?.parse::<i64>().ok();
    let meta = node.get_optional_child("meta");
    let posted = meta.and_then(|meta| number(meta, "original_msg_t"));
    let edited = meta.and_then(|meta| number(meta, "msg_edit_t"));
    let message = node.get_optional_child("plaintext").and_then(|plaintext| {
        match plaintext.content.as_ref()? {
            NodeContentRef::Bytes(bytes) => codec::message_decode(bytes.as_ref()).ok(),
            _ => None,
        }
    });
    let reactions = node.get_optional_child("reactions").map(|reactions| {
        let counts = reactions.get_children_by_tag("reaction");
        counts
            .filter_map(|it| {
                Some(PostReaction {
                    emoji: text(it, "code")?,
                    count: number(it, "count").and_then(|count| u64::try_from(count).ok())?,
                })
            })
            .collect::<Vec<_>>()
    });
    let views = node
        .get_optional_child("views_count")
        .and_then(|views| u64::try_from(number(views, "count")?).ok());
    let seconds = posted.or_else(|| number(node, "t"))?;
    let shown = NewsletterPost {
        id: text(node, "id").unwrap_or_default(),
        post: u64::try_from(number(node, "server_id")?).ok()?,
        timestamp: Timestamp::from_second(seconds).ok()?,
        from_me: text(node, "is_sender").as_deref() == Some("true"),
        message: message.as_ref().and_then(content::decode_body),
        reactions: reactions.unwrap_or_default(),
        views,
        edited_at: edited.and_then(|time| Timestamp::from_millisecond(time).ok()),
    };
    Some(ListedPost { shown, message })
}
