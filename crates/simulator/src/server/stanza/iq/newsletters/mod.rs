//! Requests about newsletters: metadata and followers by GraphQL, posts by `newsletter` requests.

pub mod admins;
pub mod insights;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{IqAnswer, IqRequest};
use crate::model::ids::PhoneNumber;
use crate::model::newsletter::{
    LIVE_SECONDS, NOT_FOUND, Newsletter, NewsletterPost, NewsletterRole,
};
use crate::server::account::profile::ProfilePicture;
use crate::server::stanza::messages::newsletter::{newsletter_jid, post_node, posts_node};
use crate::wire::{StanzaExt, unix_time};

/// Posts per page: the default, and the maximum.
const PAGE_SIZES: (usize, usize) = (50, 300);

pub(crate) fn create_newsletter(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    // One client has another name for it.
    let input = ["input", "newsletter_input"]
        .map(|name| &variables[name])
        .into_iter()
        .find(|input| input.is_object());
    let word = |name: &str| {
        input
            .and_then(|input| input[name].as_str())
            .unwrap_or_default()
    };
    let reader = &request.device.number;
    let newsletter = Newsletter::new(word("name"), word("description"), reader, unix_time());
    let shown = describe_newsletter(&newsletter, reader);
    request
        .server
        .world
        .lock()
        .newsletters
        .insert(newsletter.id.clone(), newsletter);
    Ok(shown)
}

pub(crate) fn update_newsletter(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    change_newsletter(request, variables, |newsletter, by| {
        if !newsletter.can_post(by) {
            return Err(crate::model::group::FORBIDDEN);
        }
        let updates = &variables["updates"];
        if let Some(name) = updates["name"].as_str() {
            name.clone_into(&mut newsletter.name);
        }
        if let Some(description) = updates["description"].as_str() {
            description.clone_into(&mut newsletter.description);
        }
        if let Some(picture) = updates["picture"].as_str() {
            newsletter.picture = read_picture(picture)?;
        }
        Ok(())
    })
}

/// Reads a picture: a JPEG in base64, or an empty text, which removes it.
fn read_picture(text: &str) -> Result<Option<Vec<u8>>, u16> {
    const BAD_REQUEST: u16 = 400;
    if text.is_empty() {
        return Ok(None);
    }
    let jpeg = STANDARD.decode(text).map_err(|_| BAD_REQUEST)?;
    let picture = ProfilePicture::from_jpeg(jpeg).map_err(|_| BAD_REQUEST)?;
    Ok(Some(picture.full))
}

/// Describes a newsletter, found by its address or by the code of its invite link.
pub(crate) fn get_newsletter(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    let key = variables["input"]["key"].as_str().unwrap_or_default();
    let world = request.server.world.lock();
    let found = match variables["input"]["type"].as_str() {
        Some("INVITE") => world
            .newsletters
            .values()
            .find(|newsletter| newsletter.invite == key),
        _ => world.newsletters.get(newsletter_user(key)),
    };
    found
        .map(|newsletter| describe_newsletter(newsletter, &request.device.number))
        .ok_or(NOT_FOUND)
}

pub(crate) fn list_followed(request: &IqRequest<'_>, _variables: &Value) -> Result<Value, u16> {
    let reader = &request.device.number;
    let world = request.server.world.lock();
    let followed = world
        .newsletters
        .values()
        .filter(|newsletter| newsletter.people.contains_key(reader));
    Ok(followed
        .map(|newsletter| describe_newsletter(newsletter, reader))
        .collect())
}

pub(crate) fn follow_newsletter(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    change_newsletter(request, variables, |newsletter, by| {
        newsletter.add_follower(by, unix_time());
        Ok(())
    })
}

pub(crate) fn unfollow_newsletter(
    request: &IqRequest<'_>,
    variables: &Value,
) -> Result<Value, u16> {
    change_newsletter(request, variables, |newsletter, by| {
        newsletter.remove_follower(by, unix_time())
    })
}

pub(crate) fn mute_newsletter(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    change_mute(request, &variables["newsletter_id"], true)
}

pub(crate) fn unmute_newsletter(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    change_mute(request, &variables["newsletter_id"], false)
}

/// Mutes or unmutes by the value of the setting.
pub(crate) fn set_mute(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    let input = &variables["input"];
    change_mute(
        request,
        &input["newsletter_id"],
        input["value"].as_str() == Some("ON"),
    )
}

/// Mutes or unmutes a newsletter, which only its followers can do.
fn change_mute(request: &IqRequest<'_>, newsletter: &Value, is_muted: bool) -> Result<Value, u16> {
    change_newsletter(
        request,
        &json!({"newsletter_id": newsletter}),
        |newsletter, by| {
            match (newsletter.people.contains_key(by), is_muted) {
                (false, _) => return Err(NOT_FOUND),
                (true, true) => newsletter.muted.insert(by.clone()),
                (true, false) => newsletter.muted.remove(by),
            };
            Ok(())
        },
    )
}

/// Deletes a newsletter for everybody, at the request of its owner.
pub(crate) fn delete_newsletter(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    let id = newsletter_user(variables["newsletter_id"].as_str().unwrap_or_default());
    let mut world = request.server.world.lock();
    let newsletter = world.newsletters.get(id).ok_or(NOT_FOUND)?;
    if newsletter.people.get(&request.device.number) != Some(&NewsletterRole::Owner) {
        return Err(crate::model::group::FORBIDDEN);
    }
    let address = newsletter_jid(&newsletter.id).to_string();
    world.newsletters.remove(id);
    Ok(json!({"id": address, "state": {"type": "DELETED"}}))
}

/// Lists all newsletters except those the account follows already.
pub(crate) fn list_public(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    let reader = &request.device.number;
    let limit = variables["input"]["limit"]
        .as_u64()
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(PAGE_SIZES.0);
    let wanted = variables["input"]["search_text"]
        .as_str()
        .unwrap_or_default()
        .to_lowercase();
    let world = request.server.world.lock();
    let fits = |newsletter: &&Newsletter| {
        !newsletter.people.contains_key(reader) && newsletter.name.to_lowercase().contains(&wanted)
    };
    let found: Vec<Value> = world
        .newsletters
        .values()
        .filter(fits)
        .take(limit)
        .map(|newsletter| describe_newsletter(newsletter, reader))
        .collect();
    Ok(json!({
        "result": found,
        "page_info": {"has_next_page": false, "has_previous_page": false, "start_cursor": null, "end_cursor": null},
    }))
}

fn change_newsletter(
    request: &IqRequest<'_>,
    variables: &Value,
    change: impl FnOnce(&mut Newsletter, &PhoneNumber) -> Result<(), u16>,
) -> Result<Value, u16> {
    with_newsletter(request, variables, |newsletter, by| {
        change(newsletter, by)?;
        Ok(describe_newsletter(newsletter, by))
    })
}

fn with_newsletter<T>(
    request: &IqRequest<'_>,
    variables: &Value,
    act: impl FnOnce(&mut Newsletter, &PhoneNumber) -> Result<T, u16>,
) -> Result<T, u16> {
    let id = newsletter_user(variables["newsletter_id"].as_str().unwrap_or_default());
    let mut world = request.server.world.lock();
    let newsletter = world.newsletters.get_mut(id).ok_or(NOT_FOUND)?;
    act(newsletter, &request.device.number)
}

fn newsletter_user(address: &str) -> &str {
    address.strip_suffix("@newsletter").unwrap_or_default()
}

/// Describes a newsletter as WhatsApp does: numbers are strings, and roles are in capitals.
fn describe_newsletter(newsletter: &Newsletter, reader: &PhoneNumber) -> Value {
    let role = newsletter.people.get(reader);
    let role = role.map_or(json!("GUEST"), |role: &NewsletterRole| json!(role));
    let text = |text: &str| json!({"id": "1", "text": text, "update_time": newsletter.created.to_string()});
    json!({
        "id": newsletter_jid(&newsletter.id).to_string(),
        "state": {"type": "ACTIVE"},
        "thread_metadata": {
            "name": text(&newsletter.name),
            "description": text(&newsletter.description),
            "creation_time": newsletter.created.to_string(),
            "invite": newsletter.invite,
            "subscribers_count": newsletter.people.len().to_string(),
            "verification": "UNVERIFIED",
            "picture": {"id": null, "type": "IMAGE", "direct_path": null},
            "preview": {"id": null, "type": "PREVIEW", "direct_path": null},
            "settings": {"reaction_codes": {"value": "ALL"}},
        },
        "viewer_metadata": {"mute": if newsletter.muted.contains(reader) { "ON" } else { "OFF" }, "role": role},
    })
}

/// Returns the latest posts, or the latest before a given post.
pub(crate) fn list_posts(request: &IqRequest<'_>) -> IqAnswer {
    match posts_page(request, |post, number| {
        number("before").is_none_or(|before| post.server_id < before)
    }) {
        Ok(posts) => IqAnswer::with_child(posts),
        Err(refused) => refused,
    }
}

/// Returns posts that are new or have changed, after a given post.
pub(crate) fn list_post_updates(request: &IqRequest<'_>) -> IqAnswer {
    let posts = posts_page(request, |post, number| {
        number("after").is_none_or(|after| post.server_id > after)
            && number("since").is_none_or(|since| post.changed_at() >= since)
    });
    match posts {
        Ok(posts) => IqAnswer::with_child(
            NodeBuilder::new("message_updates")
                .children([posts])
                .build(),
        ),
        Err(refused) => refused,
    }
}

fn posts_page(
    request: &IqRequest<'_>,
    is_meant: impl Fn(&NewsletterPost, &dyn Fn(&str) -> Option<u64>) -> bool,
) -> Result<Node, IqAnswer> {
    let Some(ask) = request.operation else {
        return Err(IqAnswer::Error(400, "bad-request"));
    };
    let world = request.server.world.lock();
    if world.switches.hide_posts {
        return Err(IqAnswer::Error(429, "rate-overlimit"));
    }
    // One client names the newsletter in the request, another addresses the request to it.
    let jid = ask.attr_jid("jid").or_else(|| request.iq.attr_jid("to"));
    let Some(newsletter) = jid.and_then(|jid| world.newsletters.get(jid.user.as_str())) else {
        return Err(IqAnswer::Error(NOT_FOUND, "item-not-found"));
    };
    let number = |name: &str| ask.attr_text(name).and_then(|word| word.parse().ok());
    let count = number("count")
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or(PAGE_SIZES.0)
        .min(PAGE_SIZES.1);
    let meant: Vec<&NewsletterPost> = newsletter
        .posts
        .iter()
        .filter(|post| is_meant(post, &number))
        .collect();
    let last = &meant[meant.len().saturating_sub(count)..];
    Ok(posts_node(
        newsletter,
        last.iter()
            .map(|post| post_node(post, &request.device.number))
            .collect(),
    ))
}

/// Subscribes a client to live updates of posts, for a while.
pub(crate) fn start_live_updates(request: &IqRequest<'_>) -> IqAnswer {
    let mut world = request.server.world.lock();
    let newsletter = request
        .iq
        .attr_jid("to")
        .and_then(|to| world.newsletters.get_mut(to.user.as_str()));
    let Some(newsletter) = newsletter else {
        return IqAnswer::Error(NOT_FOUND, "item-not-found");
    };
    newsletter
        .live_subscribers
        .insert(request.device.clone(), unix_time() + LIVE_SECONDS);
    IqAnswer::with_child(
        NodeBuilder::new("live_updates")
            .attr("duration", LIVE_SECONDS.to_string())
            .build(),
    )
}
