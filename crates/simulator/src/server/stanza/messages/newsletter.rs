//! Newsletter posts: accepted from accounts that may post, given a server id, and passed on to all
//! followers as plaintext.

use std::sync::Arc;

use anyhow::Context;
use parking_lot::Mutex;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server as JidServer};
use waproto::buffa::Message;
use waproto::whatsapp as wa;

use crate::model::ids::{Chat, DeviceId, PhoneNumber};
use crate::model::message_attributes::MessageAttributes;
use crate::model::newsletter::{
    NOT_FOUND, Newsletter, NewsletterAction, NewsletterId, NewsletterPost, PostUpdate,
};
use crate::model::queue::StanzaClass;
use crate::server::Server;
use crate::server::phone_state::PhoneState;
use crate::server::stanza::{NotificationHeader, notify_device};
use crate::server::world::World;
use crate::wire::{StanzaExt, unix_time};

/// The attribute `edit` of a stanza about an earlier post.
const EDIT: &str = "3";
const REVOKE: &str = "8";
/// The same for a removed reaction, which has no code.
const REMOVE_REACTION: &str = "7";

pub(crate) fn newsletter_jid(id: &str) -> Jid {
    Jid::new(id, JidServer::Newsletter)
}

/// Reads the action in a message to a newsletter; `None` if newsletters do not support it.
fn parse_action(node: &Node) -> Option<NewsletterAction> {
    let edit = node.attr_text("edit");
    if let Some(reaction) = node.child("reaction") {
        let server_id = node.attr_text("server_id")?.parse().ok()?;
        let emoji = reaction.attr_text("code").map(std::borrow::Cow::into_owned);
        let is_complete = match edit.as_deref() {
            None => emoji.as_ref().is_some_and(|code| !code.is_empty()),
            Some(REMOVE_REACTION) => emoji.is_none(),
            Some(_) => false,
        };
        return is_complete.then_some(NewsletterAction::Reaction { server_id, emoji });
    }
    let plaintext = node.child("plaintext")?;
    let message = plaintext.content_bytes().unwrap_or_default().to_vec();
    Some(match edit.as_deref() {
        Some(REVOKE) => NewsletterAction::Revoke,
        Some(EDIT) => NewsletterAction::Edit { message },
        _ => NewsletterAction::Post {
            kind: node.attr_text("type").unwrap_or("text".into()).into_owned(),
            media_type: plaintext
                .attr_text("mediatype")
                .map(std::borrow::Cow::into_owned),
            media_id: node.attr_text("media_id").map(std::borrow::Cow::into_owned),
            message,
        },
    })
}

/// Returns the code with which WhatsApp refuses a message of this device to this newsletter; `None`
/// if it is accepted.
pub(crate) fn refusal_code(
    world: &World,
    sender: &DeviceId,
    to: &Jid,
    id: &str,
    node: &Node,
) -> Option<u16> {
    const BAD_REQUEST: u16 = 400;
    let Some(newsletter) = world.newsletters.get(to.user.as_str()) else {
        return Some(NOT_FOUND);
    };
    let Some(said) = parse_action(node) else {
        return Some(BAD_REQUEST);
    };
    newsletter.refusal_code(&sender.number, id, &said)
}

/// Publishes an accepted message and notifies all followers, except the device it came from.
/// Returns the server id, which goes into the sender's ack.
pub(crate) fn publish_post(server: &Arc<Server>, sender: &DeviceId, node: &Node) -> Option<u64> {
    let (id, to) = (node.attr_text("id")?, node.attr_jid("to")?);
    let (server_id, phones) = {
        let mut world = server.world.lock();
        let newsletter = world.newsletters.get_mut(to.user.as_str())?;
        let (server_id, news) =
            newsletter.apply_action(&sender.number, &id, parse_action(node)?, unix_time())?;
        let newsletter = newsletter.clone();
        let told = NewsletterMessage {
            newsletter: &newsletter,
            id: &id,
            server_id,
            edit: node.attr_text("edit"),
            by: &sender.number,
        };
        let phones = if news == PostUpdate::Message {
            told.enqueue_for_followers(&mut world, sender)
        } else {
            Vec::new()
        };
        drop(world);
        if news == PostUpdate::Counts {
            notify_counts(server, &to.user, &[server_id]);
        }
        (server_id, phones)
    };
    // A revoked post is not shown; it has no content.
    if let Some(plaintext) = node
        .child("plaintext")
        .and_then(StanzaExt::content_bytes)
        .filter(|words| !words.is_empty())
    {
        let message = wa::Message::decode_from_slice(plaintext).unwrap_or_default();
        let chat = Chat::Newsletter(to.user.as_str().into());
        for (phone_state, from_me) in phones {
            phone_state.lock().store_post(
                &chat,
                &id,
                from_me.then_some(sender),
                message.clone(),
                &server.media,
            );
        }
    }
    server.changed.notify_waiters();
    Some(server_id)
}

/// A message of a newsletter to its followers.
struct NewsletterMessage<'a> {
    newsletter: &'a Newsletter,
    id: &'a str,
    server_id: u64,
    edit: Option<std::borrow::Cow<'a, str>>,
    by: &'a PhoneNumber,
}

impl NewsletterMessage<'_> {
    /// Queues it for every linked device of the followers. Returns their phones, each with whether
    /// it is the author's.
    fn enqueue_for_followers(
        &self,
        world: &mut World,
        sender: &DeviceId,
    ) -> Vec<(Arc<Mutex<PhoneState>>, bool)> {
        let (fault, lost) = (world.switches.delivery, world.switches.lose_posts);
        let mut phones = Vec::new();
        for number in self.newsletter.people.keys() {
            let Some(account) = world.account(number) else {
                continue;
            };
            if sender.device != 0 || number != self.by {
                phones.push((account.phone_state.clone(), number == self.by));
            }
            let devices: Vec<DeviceId> = account
                .linked_devices()
                .filter(|device| device != sender)
                .collect();
            let stanza = self.build_stanza();
            for device in devices.iter().filter(|_| !lost) {
                if let Some(device) = world.device_mut(&device.number, device.device) {
                    device.enqueue(
                        StanzaClass::Message,
                        self.id,
                        newsletter_jid(&self.newsletter.id),
                        stanza.clone(),
                        fault,
                    );
                }
            }
        }
        phones
    }

    fn build_stanza(&self) -> Node {
        let post = self
            .newsletter
            .posts
            .iter()
            .find(|post| post.server_id == self.server_id);
        let (kind, words) = match post.filter(|post| !post.revoked) {
            Some(post) => (post.kind.as_str(), post_plaintext(post)),
            None => ("text", NodeBuilder::new("plaintext").build()),
        };
        let mut stanza = NodeBuilder::new("message")
            .attr("from", newsletter_jid(&self.newsletter.id))
            .attr("id", self.id)
            .attr("t", unix_time().to_string())
            .attr("type", kind)
            .attr("server_id", self.server_id.to_string());
        if let Some(edit) = &self.edit {
            stanza = stanza.attr("edit", edit.to_string());
        }
        let content = [words].into_iter().chain(post.and_then(edit_times_node));
        stanza.children(content.collect::<Vec<_>>()).build()
    }
}

/// The posting time of a changed post, in seconds, and the time of its last edit, in milliseconds.
fn edit_times_node(post: &NewsletterPost) -> Option<Node> {
    let meta = NodeBuilder::new("meta").attr("original_msg_t", post.at.to_string());
    match post.edited {
        Some(edited) => Some(meta.attr("msg_edit_t", (edited * 1000).to_string()).build()),
        None => post.revoked.then(|| meta.build()),
    }
}

fn post_plaintext(post: &NewsletterPost) -> Node {
    let node = NodeBuilder::new("plaintext").bytes(post.message.clone());
    match &post.media_type {
        Some(kind) => node.attr("mediatype", kind.as_str()).build(),
        None => node.build(),
    }
}

/// The stanza with the identifying attributes of a post.
fn post_header(post: &NewsletterPost) -> NodeBuilder {
    NodeBuilder::new("message")
        .attr("id", post.id.as_str())
        .attr("server_id", post.server_id.to_string())
        .attr("t", post.changed_at().to_string())
        .attr("type", post.kind.as_str())
}

/// Builds a post as listed for a client that pages through a newsletter.
pub(crate) fn post_node(post: &NewsletterPost, reader: &PhoneNumber) -> Node {
    let mut node = post_header(post);
    if post.by == *reader {
        node = node.attr("is_sender", "true");
    }
    if post.edited.is_some() || post.revoked {
        node = node.attr("edit", if post.revoked { REVOKE } else { EDIT });
    }
    let words = (!post.revoked).then(|| post_plaintext(post));
    node.children(
        words
            .into_iter()
            .chain(edit_times_node(post))
            .chain(count_nodes(post))
            .collect::<Vec<_>>(),
    )
    .build()
}

/// The engagement with a post: its reactions, and its number of viewers.
fn count_nodes(post: &NewsletterPost) -> impl Iterator<Item = Node> {
    let counts = post.reaction_counts();
    let reaction = |(code, count): (&&str, &usize)| {
        NodeBuilder::new("reaction")
            .attr("code", *code)
            .attr("count", count.to_string())
            .build()
    };
    let reactions = (!counts.is_empty()).then(|| {
        let reactions: Vec<Node> = counts.iter().map(reaction).collect();
        NodeBuilder::new("reactions").children(reactions).build()
    });
    let views = NodeBuilder::new("views_count")
        .attr("count", post.viewers.len().to_string())
        .build();
    reactions.into_iter().chain([views])
}

/// Builds a list of posts.
pub(crate) fn posts_node(newsletter: &Newsletter, posts: Vec<Node>) -> Node {
    let list = NodeBuilder::new("messages")
        .attr("jid", newsletter_jid(&newsletter.id))
        .attr("t", unix_time().to_string());
    list.children(posts).build()
}

/// Sends the engagement with posts to the devices whose live updates have not expired.
fn notify_counts(server: &Server, newsletter: &str, server_ids: &[u64]) {
    let told: Vec<(DeviceId, Node)> = {
        let mut world = server.world.lock();
        let Some(newsletter) = world.newsletters.get_mut(newsletter) else {
            return;
        };
        newsletter
            .live_subscribers
            .retain(|_, until| *until > unix_time());
        let posts = newsletter
            .posts
            .iter()
            .filter(|post| server_ids.contains(&post.server_id));
        let rows: Vec<Node> = posts
            .map(|post| {
                post_header(post)
                    .children(count_nodes(post).collect::<Vec<_>>())
                    .build()
            })
            .collect();
        let live = NodeBuilder::new("live_updates")
            .children([posts_node(newsletter, rows)])
            .build();
        newsletter
            .live_subscribers
            .keys()
            .map(|device| (device.clone(), live.clone()))
            .collect()
    };
    for (device, live) in told {
        notify_device(
            server,
            &device,
            NotificationHeader {
                kind: "newsletter",
                from: newsletter_jid(newsletter),
                lid: None,
            },
            live,
        );
    }
}

/// Records views of posts.
pub(crate) fn view_posts(server: &Server, by: &PhoneNumber, newsletter: &str, server_ids: &[u64]) {
    let seen: Vec<u64> = {
        let mut world = server.world.lock();
        let Some(newsletter) = world.newsletters.get_mut(newsletter) else {
            return;
        };
        server_ids
            .iter()
            .copied()
            .filter(|server_id| newsletter.record_view(by, *server_id))
            .collect()
    };
    if !seen.is_empty() {
        notify_counts(server, newsletter, &seen);
    }
    server.changed.notify_waiters();
}

/// Records the views of posts that a device reports.
pub(crate) fn handle_views(server: &Server, device: &DeviceId, newsletter: &Jid, receipt: &Node) {
    let items = receipt
        .child("list")
        .into_iter()
        .flat_map(|list| list.children_named("item"));
    let places: Vec<u64> = items
        .filter_map(|item| item.attr_text("server_id")?.parse().ok())
        .collect();
    view_posts(server, &device.number, &newsletter.user, &places);
}

/// Removes the live updates of a device whose connection is closed.
pub(crate) fn stop_live_updates(world: &mut World, device: &DeviceId) {
    for newsletter in world.newsletters.values_mut() {
        newsletter.live_subscribers.remove(device);
    }
}

/// Posts a phone's message in a newsletter.
pub(crate) fn send_post(
    server: &Arc<Server>,
    from: &PhoneNumber,
    to: &NewsletterId,
    id: &str,
    kind: &'static str,
    message: &wa::Message,
) -> anyhow::Result<()> {
    let node = NodeBuilder::new("message")
        .attr("type", kind)
        .children([message_plaintext(Some(message))]);
    publish_from_phone(server, from, to, id, node)
}

/// Edits a post for a phone, or revokes it if `words` is `None`.
pub(crate) fn change_post(
    server: &Arc<Server>,
    from: &PhoneNumber,
    to: &NewsletterId,
    id: &str,
    words: Option<&wa::Message>,
) -> anyhow::Result<()> {
    let edit = if words.is_some() { EDIT } else { REVOKE };
    let node = NodeBuilder::new("message")
        .attr("type", "text")
        .attr("edit", edit)
        .children([message_plaintext(words)]);
    publish_from_phone(server, from, to, id, node)
}

fn message_plaintext(message: Option<&wa::Message>) -> Node {
    let node = NodeBuilder::new("plaintext")
        .bytes(message.map(Message::encode_to_vec).unwrap_or_default());
    match message.and_then(|message| MessageAttributes::from_message(message).media) {
        Some(media) => node.attr("mediatype", media).build(),
        None => node.build(),
    }
}

/// Sets or removes a phone's reaction to a post.
pub(crate) fn react_to_post(
    server: &Arc<Server>,
    from: &PhoneNumber,
    to: &NewsletterId,
    id: &str,
    (server_id, emoji): (u64, &str),
) -> anyhow::Result<()> {
    let mut reaction = NodeBuilder::new("reaction");
    let mut node = NodeBuilder::new("message")
        .attr("type", "reaction")
        .attr("server_id", server_id.to_string());
    if emoji.is_empty() {
        node = node.attr("edit", REMOVE_REACTION);
    } else {
        reaction = reaction.attr("code", emoji);
    }
    publish_from_phone(server, from, to, id, node.children([reaction.build()]))
}

fn publish_from_phone(
    server: &Arc<Server>,
    from: &PhoneNumber,
    to: &NewsletterId,
    id: &str,
    node: NodeBuilder,
) -> anyhow::Result<()> {
    let (phone, address) = (
        DeviceId {
            number: from.clone(),
            device: 0,
        },
        newsletter_jid(to),
    );
    let node = node.attr("to", address.clone()).attr("id", id).build();
    let refused = refusal_code(&server.world.lock(), &phone, &address, id, &node);
    anyhow::ensure!(
        refused.is_none(),
        "WhatsApp refuses it with code {}",
        refused.unwrap_or_default()
    );
    publish_post(server, &phone, &node).context("it came to nothing")?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_reaction_has_a_code_and_a_removed_one_has_none() {
        let reaction = |edit: Option<&'static str>, code: Option<&'static str>| {
            let mut reaction = NodeBuilder::new("reaction");
            if let Some(code) = code {
                reaction = reaction.attr("code", code);
            }
            let mut message = NodeBuilder::new("message")
                .attr("server_id", "100")
                .children([reaction.build()]);
            if let Some(edit) = edit {
                message = message.attr("edit", edit);
            }
            match parse_action(&message.build()) {
                Some(NewsletterAction::Reaction { server_id, emoji }) => {
                    assert_eq!(server_id, 100);
                    Some(emoji)
                }
                _ => None,
            }
        };
        assert_eq!(reaction(None, Some("👍")), Some(Some("👍".to_owned())));
        assert_eq!(reaction(Some("7"), None), Some(None));
        for (edit, code) in [
            (None, None),
            (None, Some("")),
            (Some("7"), Some("")),
            (Some("7"), Some("👍")),
            (Some("8"), None),
            (Some("3"), Some("👍")),
        ] {
            assert_eq!(reaction(edit, code), None, "{edit:?} {code:?}");
        }
    }
}
