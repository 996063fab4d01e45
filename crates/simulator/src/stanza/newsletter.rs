//! Newsletter posts: accepted from accounts that may post, given a server id, and passed on to all
//! followers as plaintext.

use std::sync::Arc;

use anyhow::Context;
use parking_lot::Mutex;
use wacore_binary::builder::NodeBuilder;
use wacore_binary::{Jid, Node, Server as JidServer};
use waproto::buffa::Message;
use waproto::whatsapp as wa;

use super::{Notice, Stanza, notify, unix_time};
use crate::handset::Handset;
use crate::labels::Labels;
use crate::newsletter::{NOT_THERE, News, Newsletter, NewsletterId, Post, Said};
use crate::queue::Class;
use crate::server::Server;
use crate::world::{Chat, DeviceId, Number, World};

/// The attribute `edit` of a stanza about an earlier post.
const EDIT: &str = "3";
const REVOKE: &str = "8";
/// The same for a removed reaction.
const TAKEN_BACK: &str = "7";

pub(crate) fn address(id: &str) -> Jid {
    Jid::new(id, JidServer::Newsletter)
}

/// Reads the action in a message to a newsletter; `None` if newsletters do not support it.
fn said(node: &Node) -> Option<Said> {
    let edit = node.word("edit");
    if let Some(reaction) = node.child("reaction") {
        let server_id = node.word("server_id")?.parse().ok()?;
        let emoji = reaction
            .word("code")
            .filter(|code| !code.is_empty() && edit.as_deref() != Some(TAKEN_BACK));
        return Some(Said::Reaction {
            server_id,
            emoji: emoji.map(std::borrow::Cow::into_owned),
        });
    }
    let plaintext = node.child("plaintext")?;
    let message = plaintext.content().unwrap_or_default().to_vec();
    Some(match edit.as_deref() {
        Some(REVOKE) => Said::Revoke,
        Some(EDIT) => Said::Edit { message },
        _ => Said::Post {
            kind: node.word("type").unwrap_or("text".into()).into_owned(),
            media_type: plaintext
                .word("mediatype")
                .map(std::borrow::Cow::into_owned),
            media_id: node.word("media_id").map(std::borrow::Cow::into_owned),
            message,
        },
    })
}

/// Returns the code with which WhatsApp refuses a message of this device to this newsletter; `None`
/// if it is accepted.
pub(super) fn refusal(
    world: &World,
    sender: &DeviceId,
    to: &Jid,
    id: &str,
    node: &Node,
) -> Option<u16> {
    const BAD_REQUEST: u16 = 400;
    let Some(newsletter) = world.newsletters.get(to.user.as_str()) else {
        return Some(NOT_THERE);
    };
    let Some(said) = said(node) else {
        return Some(BAD_REQUEST);
    };
    newsletter.refusal(&sender.number, id, &said)
}

/// Publishes an accepted message and notifies all followers, except the device it came from.
/// Returns the server id, which goes into the sender's ack.
pub(super) fn publish(server: &Arc<Server>, sender: &DeviceId, node: &Node) -> Option<u64> {
    let (id, to) = (node.word("id")?, node.jid("to")?);
    let (server_id, phones) = {
        let mut world = server.world.lock();
        let newsletter = world.newsletters.get_mut(to.user.as_str())?;
        let (server_id, news) = newsletter.take(&sender.number, &id, said(node)?, unix_time())?;
        let newsletter = newsletter.clone();
        let told = Told {
            newsletter: &newsletter,
            id: &id,
            server_id,
            edit: node.word("edit"),
            by: &sender.number,
        };
        let phones = if news == News::Message {
            told.to_all(&mut world, sender)
        } else {
            Vec::new()
        };
        drop(world);
        if news == News::Counts {
            tell_counts(server, &to.user, &[server_id]);
        }
        (server_id, phones)
    };
    // A revoked post is not shown; it has no content.
    if let Some(plaintext) = node
        .child("plaintext")
        .and_then(Stanza::content)
        .filter(|words| !words.is_empty())
    {
        let message = wa::Message::decode_from_slice(plaintext).unwrap_or_default();
        let chat = Chat::Newsletter(to.user.as_str().into());
        for (handset, from_me) in phones {
            handset.lock().keep_post(
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
struct Told<'a> {
    newsletter: &'a Newsletter,
    id: &'a str,
    server_id: u64,
    edit: Option<std::borrow::Cow<'a, str>>,
    by: &'a Number,
}

impl Told<'_> {
    /// Queues it for every linked device of the followers. Returns their phones, each with whether
    /// it is the author's.
    fn to_all(&self, world: &mut World, sender: &DeviceId) -> Vec<(Arc<Mutex<Handset>>, bool)> {
        let (fault, lost) = (world.switches.delivery, world.switches.lose_posts);
        let mut phones = Vec::new();
        for number in self.newsletter.people.keys() {
            let Some(account) = world.account(number) else {
                continue;
            };
            if sender.device != 0 || number != self.by {
                phones.push((account.handset.clone(), number == self.by));
            }
            let devices: Vec<DeviceId> =
                account.linked().filter(|device| device != sender).collect();
            let stanza = self.stanza();
            for device in devices.iter().filter(|_| !lost) {
                if let Some(device) = world.device_mut(&device.number, device.device) {
                    device.enqueue(
                        Class::Message,
                        self.id,
                        address(&self.newsletter.id),
                        stanza.clone(),
                        fault,
                    );
                }
            }
        }
        phones
    }

    fn stanza(&self) -> Node {
        let post = self
            .newsletter
            .posts
            .iter()
            .find(|post| post.server_id == self.server_id);
        let (kind, words) = match post.filter(|post| !post.revoked) {
            Some(post) => (post.kind.as_str(), plaintext(post)),
            None => ("text", NodeBuilder::new("plaintext").build()),
        };
        let mut stanza = NodeBuilder::new("message")
            .attr("from", address(&self.newsletter.id))
            .attr("id", self.id)
            .attr("t", unix_time().to_string())
            .attr("type", kind)
            .attr("server_id", self.server_id.to_string());
        if let Some(edit) = &self.edit {
            stanza = stanza.attr("edit", edit.to_string());
        }
        let content = [words].into_iter().chain(post.and_then(history));
        stanza.children(content.collect::<Vec<_>>()).build()
    }
}

/// The posting time of a changed post, in seconds, and the time of its last edit, in milliseconds.
fn history(post: &Post) -> Option<Node> {
    let meta = NodeBuilder::new("meta").attr("original_msg_t", post.at.to_string());
    match post.edited {
        Some(edited) => Some(meta.attr("msg_edit_t", (edited * 1000).to_string()).build()),
        None => post.revoked.then(|| meta.build()),
    }
}

fn plaintext(post: &Post) -> Node {
    let node = NodeBuilder::new("plaintext").bytes(post.message.clone());
    match &post.media_type {
        Some(kind) => node.attr("mediatype", kind.as_str()).build(),
        None => node.build(),
    }
}

/// The stanza with the identifying attributes of a post.
fn row(post: &Post) -> NodeBuilder {
    NodeBuilder::new("message")
        .attr("id", post.id.as_str())
        .attr("server_id", post.server_id.to_string())
        .attr("t", post.changed().to_string())
        .attr("type", post.kind.as_str())
}

/// Builds a post as listed for a client that pages through a newsletter.
pub(super) fn listed(post: &Post, reader: &Number) -> Node {
    let mut node = row(post);
    if post.by == *reader {
        node = node.attr("is_sender", "true");
    }
    if post.edited.is_some() || post.revoked {
        node = node.attr("edit", if post.revoked { REVOKE } else { EDIT });
    }
    let words = (!post.revoked).then(|| plaintext(post));
    node.children(
        words
            .into_iter()
            .chain(history(post))
            .chain(counts(post))
            .collect::<Vec<_>>(),
    )
    .build()
}

/// The engagement with a post: its reactions, and its number of viewers.
fn counts(post: &Post) -> impl Iterator<Item = Node> {
    let counts = post.counts();
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
pub(super) fn list_of(newsletter: &Newsletter, posts: Vec<Node>) -> Node {
    let list = NodeBuilder::new("messages")
        .attr("jid", address(&newsletter.id))
        .attr("t", unix_time().to_string());
    list.children(posts).build()
}

/// Sends the engagement with posts to the devices whose live updates have not expired.
fn tell_counts(server: &Server, newsletter: &str, server_ids: &[u64]) {
    let told: Vec<(DeviceId, Node)> = {
        let mut world = server.world.lock();
        let Some(newsletter) = world.newsletters.get_mut(newsletter) else {
            return;
        };
        newsletter.live.retain(|_, until| *until > unix_time());
        let posts = newsletter
            .posts
            .iter()
            .filter(|post| server_ids.contains(&post.server_id));
        let rows: Vec<Node> = posts
            .map(|post| row(post).children(counts(post).collect::<Vec<_>>()).build())
            .collect();
        let live = NodeBuilder::new("live_updates")
            .children([list_of(newsletter, rows)])
            .build();
        newsletter
            .live
            .keys()
            .map(|device| (device.clone(), live.clone()))
            .collect()
    };
    for (device, live) in told {
        notify(
            server,
            &device,
            Notice {
                kind: "newsletter",
                from: address(newsletter),
                lid: None,
            },
            live,
        );
    }
}

/// Records views of posts.
pub(crate) fn view(server: &Server, by: &Number, newsletter: &str, server_ids: &[u64]) {
    let seen: Vec<u64> = {
        let mut world = server.world.lock();
        let Some(newsletter) = world.newsletters.get_mut(newsletter) else {
            return;
        };
        server_ids
            .iter()
            .copied()
            .filter(|server_id| newsletter.view(by, *server_id))
            .collect()
    };
    if !seen.is_empty() {
        tell_counts(server, newsletter, &seen);
    }
    server.changed.notify_waiters();
}

/// Records the views of posts that a device reports.
pub(super) fn take_views(server: &Server, device: &DeviceId, newsletter: &Jid, receipt: &Node) {
    let items = receipt
        .child("list")
        .into_iter()
        .flat_map(|list| list.all("item"));
    let places: Vec<u64> = items
        .filter_map(|item| item.word("server_id")?.parse().ok())
        .collect();
    view(server, &device.number, &newsletter.user, &places);
}

/// Removes the live updates of a device whose connection is closed.
pub(super) fn forget(world: &mut World, device: &DeviceId) {
    for newsletter in world.newsletters.values_mut() {
        newsletter.live.remove(device);
    }
}

/// Posts a phone's message in a newsletter.
pub(crate) fn send(
    server: &Arc<Server>,
    from: &Number,
    to: &NewsletterId,
    id: &str,
    kind: &'static str,
    message: &wa::Message,
) -> anyhow::Result<()> {
    let node = NodeBuilder::new("message")
        .attr("type", kind)
        .children([in_plain_words(Some(message))]);
    say(server, from, to, id, node)
}

/// Edits a post for a phone, or revokes it if `words` is `None`.
pub(crate) fn change(
    server: &Arc<Server>,
    from: &Number,
    to: &NewsletterId,
    id: &str,
    words: Option<&wa::Message>,
) -> anyhow::Result<()> {
    let edit = if words.is_some() { EDIT } else { REVOKE };
    let node = NodeBuilder::new("message")
        .attr("type", "text")
        .attr("edit", edit)
        .children([in_plain_words(words)]);
    say(server, from, to, id, node)
}

fn in_plain_words(message: Option<&wa::Message>) -> Node {
    let node = NodeBuilder::new("plaintext")
        .bytes(message.map(Message::encode_to_vec).unwrap_or_default());
    match message.and_then(|message| Labels::of(message).media) {
        Some(media) => node.attr("mediatype", media).build(),
        None => node.build(),
    }
}

/// Sets or removes a phone's reaction to a post.
pub(crate) fn react(
    server: &Arc<Server>,
    from: &Number,
    to: &NewsletterId,
    id: &str,
    (server_id, emoji): (u64, &str),
) -> anyhow::Result<()> {
    let reaction = NodeBuilder::new("reaction").attr("code", emoji).build();
    let node = NodeBuilder::new("message")
        .attr("type", "reaction")
        .attr("server_id", server_id.to_string());
    say(server, from, to, id, node.children([reaction]))
}

fn say(
    server: &Arc<Server>,
    from: &Number,
    to: &NewsletterId,
    id: &str,
    node: NodeBuilder,
) -> anyhow::Result<()> {
    let (phone, address) = (
        DeviceId {
            number: from.clone(),
            device: 0,
        },
        address(to),
    );
    let node = node.attr("to", address.clone()).attr("id", id).build();
    let refused = refusal(&server.world.lock(), &phone, &address, id, &node);
    anyhow::ensure!(
        refused.is_none(),
        "WhatsApp refuses it with code {}",
        refused.unwrap_or_default()
    );
    publish(server, &phone, &node).context("it came to nothing")?;
    Ok(())
}
