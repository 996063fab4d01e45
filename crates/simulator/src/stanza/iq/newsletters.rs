//! Requests about newsletters: metadata and followers by GraphQL, posts by `newsletter`.

use serde_json::{Value, json};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{Answer, Request};
use crate::Addressing;
use crate::newsletter::{LIVE, NOT_THERE, Newsletter, NewsletterRole, Post};
use crate::stanza::newsletter::{address, list_of, listed};
use crate::stanza::{Stanza, unix_time};
use crate::world::Number;

/// Posts per page: the default, and the maximum.
const PAGE: (usize, usize) = (50, 300);

pub(super) fn create(request: &Request<'_>, variables: &Value) -> Result<Value, u16> {
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
    let shown = described(&newsletter, reader);
    request
        .server
        .world
        .lock()
        .newsletters
        .insert(newsletter.id.clone(), newsletter);
    Ok(shown)
}

pub(super) fn update(request: &Request<'_>, variables: &Value) -> Result<Value, u16> {
    changed(request, variables, |newsletter, by| {
        if !newsletter.may_post(by) {
            return Err(crate::group::FORBIDDEN);
        }
        let updates = &variables["updates"];
        if let Some(name) = updates["name"].as_str() {
            name.clone_into(&mut newsletter.name);
        }
        if let Some(description) = updates["description"].as_str() {
            description.clone_into(&mut newsletter.description);
        }
        Ok(())
    })
}

/// Describes a newsletter, found by its address or by the code of its invite link.
pub(super) fn metadata(request: &Request<'_>, variables: &Value) -> Result<Value, u16> {
    let key = variables["input"]["key"].as_str().unwrap_or_default();
    let world = request.server.world.lock();
    let found = match variables["input"]["type"].as_str() {
        Some("INVITE") => world
            .newsletters
            .values()
            .find(|newsletter| newsletter.invite == key),
        _ => world.newsletters.get(user(key)),
    };
    found
        .map(|newsletter| described(newsletter, &request.device.number))
        .ok_or(NOT_THERE)
}

pub(super) fn subscribed(request: &Request<'_>, _variables: &Value) -> Result<Value, u16> {
    let reader = &request.device.number;
    let world = request.server.world.lock();
    let followed = world
        .newsletters
        .values()
        .filter(|newsletter| newsletter.people.contains_key(reader));
    Ok(followed
        .map(|newsletter| described(newsletter, reader))
        .collect())
}

pub(super) fn join(request: &Request<'_>, variables: &Value) -> Result<Value, u16> {
    changed(request, variables, |newsletter, by| {
        newsletter.follow(by);
        Ok(())
    })
}

pub(super) fn leave(request: &Request<'_>, variables: &Value) -> Result<Value, u16> {
    changed(request, variables, |newsletter, by| newsletter.unfollow(by))
}

pub(super) fn mute(request: &Request<'_>, variables: &Value) -> Result<Value, u16> {
    muted(request, &variables["newsletter_id"], true)
}

pub(super) fn unmute(request: &Request<'_>, variables: &Value) -> Result<Value, u16> {
    muted(request, &variables["newsletter_id"], false)
}

/// Mutes or unmutes by the value of the setting.
pub(super) fn set_mute(request: &Request<'_>, variables: &Value) -> Result<Value, u16> {
    let input = &variables["input"];
    muted(
        request,
        &input["newsletter_id"],
        input["value"].as_str() == Some("ON"),
    )
}

/// Mutes or unmutes a newsletter, which only its followers can do.
fn muted(request: &Request<'_>, newsletter: &Value, is_muted: bool) -> Result<Value, u16> {
    changed(
        request,
        &json!({"newsletter_id": newsletter}),
        |newsletter, by| {
            match (newsletter.people.contains_key(by), is_muted) {
                (false, _) => return Err(NOT_THERE),
                (true, true) => newsletter.muted.insert(by.clone()),
                (true, false) => newsletter.muted.remove(by),
            };
            Ok(())
        },
    )
}

/// Lists the followers, for accounts that may post.
pub(super) fn followers(request: &Request<'_>, variables: &Value) -> Result<Value, u16> {
    let input = if variables["input"].is_object() {
        &variables["input"]
    } else {
        variables
    };
    let found = people(request, input)?;
    Ok(json!({"subscribers": found["subscribers"], "followers": found["subscribers"]}))
}

/// Lists the followers, and the invited admins, of which the simulator has none.
pub(super) fn people(request: &Request<'_>, variables: &Value) -> Result<Value, u16> {
    let id = user(variables["newsletter_id"].as_str().unwrap_or_default());
    let world = request.server.world.lock();
    let newsletter = world.newsletters.get(id).ok_or(NOT_THERE)?;
    if !newsletter.may_post(&request.device.number) {
        return Err(crate::group::FORBIDDEN);
    }
    let edges = newsletter.people.iter().filter_map(|(number, role)| {
        let account = world.account(number)?;
        let [pn, lid] =
            [Addressing::PhoneNumber, Addressing::Lid].map(|it| account.jid(it, 0).to_string());
        Some(
            json!({"role": role, "node": {"id": lid, "pn": pn, "display_name": account.push_name}}),
        )
    });
    let edges: Vec<Value> = edges.collect();
    Ok(
        json!({"id": address(&newsletter.id).to_string(), "pending_admin_invites": [], "subscribers": {"edges": edges}}),
    )
}

/// Counts the accounts that may post.
pub(super) fn admins(request: &Request<'_>, variables: &Value) -> Result<Value, u16> {
    let id = user(variables["newsletter_id"].as_str().unwrap_or_default());
    let world = request.server.world.lock();
    let newsletter = world.newsletters.get(id).ok_or(NOT_THERE)?;
    let count = newsletter
        .people
        .keys()
        .filter(|number| newsletter.may_post(number))
        .count();
    Ok(json!({
        "id": address(&newsletter.id).to_string(),
        "admin_count": count,
        "admin_profile": null,
        "admin_settings": {"admin_profiles_enabled": false},
    }))
}

/// Transfers the newsletter from its owner to one of its admins.
pub(super) fn change_owner(request: &Request<'_>, variables: &Value) -> Result<Value, u16> {
    let whom = whom(request, variables)?;
    changed(request, variables, |newsletter, by| {
        let is_admin = newsletter.people.get(&whom) == Some(&NewsletterRole::Admin);
        match newsletter.people.get(by) {
            Some(NewsletterRole::Owner) if is_admin => {
                newsletter.people.insert(by.clone(), NewsletterRole::Admin);
                newsletter.people.insert(whom, NewsletterRole::Owner);
                Ok(())
            }
            _ => Err(crate::group::FORBIDDEN),
        }
    })
}

/// Makes an admin a plain follower, at the request of the owner or of the admin.
pub(super) fn demote(request: &Request<'_>, variables: &Value) -> Result<Value, u16> {
    let whom = whom(request, variables)?;
    changed(request, variables, |newsletter, by| {
        let may = *by == whom || newsletter.people.get(by) == Some(&NewsletterRole::Owner);
        match newsletter.people.get(&whom) {
            Some(NewsletterRole::Admin) if may => {
                newsletter.people.insert(whom, NewsletterRole::Subscriber);
                Ok(())
            }
            _ => Err(crate::group::FORBIDDEN),
        }
    })
}

/// Deletes a newsletter for everybody, at the request of its owner.
pub(super) fn delete(request: &Request<'_>, variables: &Value) -> Result<Value, u16> {
    let id = user(variables["newsletter_id"].as_str().unwrap_or_default());
    let mut world = request.server.world.lock();
    let newsletter = world.newsletters.get(id).ok_or(NOT_THERE)?;
    if newsletter.people.get(&request.device.number) != Some(&NewsletterRole::Owner) {
        return Err(crate::group::FORBIDDEN);
    }
    let address = address(&newsletter.id).to_string();
    world.newsletters.remove(id);
    Ok(json!({"id": address, "state": {"type": "DELETED"}}))
}

/// Lists all newsletters except those the account follows already.
pub(super) fn listed_publicly(request: &Request<'_>, variables: &Value) -> Result<Value, u16> {
    let reader = &request.device.number;
    let limit = variables["input"]["limit"]
        .as_u64()
        .and_then(|limit| usize::try_from(limit).ok())
        .unwrap_or(PAGE.0);
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
        .map(|newsletter| described(newsletter, reader))
        .collect();
    Ok(json!({
        "result": found,
        "page_info": {"has_next_page": false, "has_previous_page": false, "start_cursor": null, "end_cursor": null},
    }))
}

/// The person that a change is about.
fn whom(request: &Request<'_>, variables: &Value) -> Result<Number, u16> {
    let jid = variables["user_id"]
        .as_str()
        .and_then(|address| address.parse().ok())
        .ok_or(400_u16)?;
    request
        .server
        .world
        .lock()
        .account_of(&jid)
        .map(|account| account.number.clone())
        .ok_or(NOT_THERE)
}

fn changed(
    request: &Request<'_>,
    variables: &Value,
    change: impl FnOnce(&mut Newsletter, &Number) -> Result<(), u16>,
) -> Result<Value, u16> {
    let id = user(variables["newsletter_id"].as_str().unwrap_or_default());
    let mut world = request.server.world.lock();
    let newsletter = world.newsletters.get_mut(id).ok_or(NOT_THERE)?;
    change(newsletter, &request.device.number)?;
    Ok(described(newsletter, &request.device.number))
}

fn user(address: &str) -> &str {
    address.strip_suffix("@newsletter").unwrap_or_default()
}

/// Describes a newsletter as WhatsApp does: numbers are strings, and roles are in capitals.
fn described(newsletter: &Newsletter, reader: &Number) -> Value {
    let role = newsletter.people.get(reader);
    let role = role.map_or(json!("GUEST"), |role: &NewsletterRole| json!(role));
    let text = |text: &str| json!({"id": "1", "text": text, "update_time": newsletter.created.to_string()});
    json!({
        "id": address(&newsletter.id).to_string(),
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
pub(super) fn messages(request: &Request<'_>) -> Answer {
    match page(request, |post, number| {
        number("before").is_none_or(|before| post.server_id < before)
    }) {
        Ok(posts) => Answer::one(posts),
        Err(refused) => refused,
    }
}

/// Returns posts that are new or have changed, after a given post.
pub(super) fn message_updates(request: &Request<'_>) -> Answer {
    let posts = page(request, |post, number| {
        number("after").is_none_or(|after| post.server_id > after)
            && number("since").is_none_or(|since| post.changed() >= since)
    });
    match posts {
        Ok(posts) => Answer::one(
            NodeBuilder::new("message_updates")
                .children([posts])
                .build(),
        ),
        Err(refused) => refused,
    }
}

fn page(
    request: &Request<'_>,
    is_meant: impl Fn(&Post, &dyn Fn(&str) -> Option<u64>) -> bool,
) -> Result<Node, Answer> {
    let Some(ask) = request.ask else {
        return Err(Answer::Error(400, "bad-request"));
    };
    let world = request.server.world.lock();
    if world.switches.hide_posts {
        return Err(Answer::Error(429, "rate-overlimit"));
    }
    // One client names the newsletter in the request, another addresses the request to it.
    let jid = ask.jid("jid").or_else(|| request.iq.jid("to"));
    let Some(newsletter) = jid.and_then(|jid| world.newsletters.get(jid.user.as_str())) else {
        return Err(Answer::Error(NOT_THERE, "item-not-found"));
    };
    let number = |name: &str| ask.word(name).and_then(|word| word.parse().ok());
    let count = number("count")
        .and_then(|count| usize::try_from(count).ok())
        .unwrap_or(PAGE.0)
        .min(PAGE.1);
    let meant: Vec<&Post> = newsletter
        .posts
        .iter()
        .filter(|post| is_meant(post, &number))
        .collect();
    let last = &meant[meant.len().saturating_sub(count)..];
    Ok(list_of(
        newsletter,
        last.iter()
            .map(|post| listed(post, &request.device.number))
            .collect(),
    ))
}

/// Subscribes a client to live updates of posts, for a while.
pub(super) fn live_updates(request: &Request<'_>) -> Answer {
    let mut world = request.server.world.lock();
    let newsletter = request
        .iq
        .jid("to")
        .and_then(|to| world.newsletters.get_mut(to.user.as_str()));
    let Some(newsletter) = newsletter else {
        return Answer::Error(NOT_THERE, "item-not-found");
    };
    newsletter
        .live
        .insert(request.device.clone(), unix_time() + LIVE);
    Answer::one(
        NodeBuilder::new("live_updates")
            .attr("duration", LIVE.to_string())
            .build(),
    )
}
