//! What a device asks about newsletters: by `w:mex`, WhatsApp's GraphQL, what they are and who follows them; by `newsletter`, what
//! was posted.

use serde_json::{Value, json};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{Answer, Request};
use crate::newsletter::{LIVE, NOT_THERE, Newsletter, NewsletterRole, Post};
use crate::stanza::newsletter::{address, list_of, listed};
use crate::stanza::{Stanza, leaf, unix_time};
use crate::world::Number;

/// How many posts are handed out when a client does not say, and at most.
const PAGE: (usize, usize) = (50, 300);

/// What the stored questions ask, by the numbers that clients know them by.
fn asked(query: &str) -> Option<Ask> {
    Some(match query {
        "25149874324715067" | "8823471724422422" => ("xwa2_newsletter_create", create),
        "24250201037901610" => ("xwa2_newsletter_update", update),
        "27456920720571478" | "6563316087068696" => ("xwa2_newsletter", metadata),
        "25399611239711790" => ("xwa2_newsletter_subscribed", subscribed),
        "24404358912487870" => ("xwa2_newsletter_join_v2", join),
        "9767147403369991" => ("xwa2_newsletter_leave_v2", leave),
        _ => return None,
    })
}

/// The name of the answer, and who gives it.
type Ask = (&'static str, fn(&Request<'_>, &Value) -> Result<Value, u16>);

/// A question in GraphQL.
pub(super) fn mex(request: &Request<'_>) -> Answer {
    let Some((path, ask)) = request.ask.and_then(|query| asked(&query.word("query_id")?)) else {
        return Answer::Unknown;
    };
    let body = request.ask.and_then(Stanza::content).and_then(|body| serde_json::from_slice::<Value>(body).ok());
    let Some(body) = body else { return Answer::Error(400, "bad-request") };
    let answer = match ask(request, &body["variables"]) {
        Ok(found) => json!({"data": {path: found}}),
        Err(code) => json!({
            "data": {path: null},
            "errors": [{
                "message": if code == NOT_THERE { "Not Found" } else { "Forbidden" },
                "path": [path],
                "extensions": {"error_code": code, "is_summary": true, "is_retryable": false, "severity": "CRITICAL"},
            }],
        }),
    };
    Answer::one(leaf("result", answer.to_string().into_bytes()))
}

fn create(request: &Request<'_>, variables: &Value) -> Result<Value, u16> {
    let word = |name: &str| variables["input"][name].as_str().unwrap_or_default();
    let reader = &request.device.number;
    let newsletter = Newsletter::new(word("name"), word("description"), reader, unix_time());
    let shown = described(&newsletter, reader);
    request.server.world.lock().newsletters.insert(newsletter.id.clone(), newsletter);
    Ok(shown)
}

fn update(request: &Request<'_>, variables: &Value) -> Result<Value, u16> {
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

/// By its address, or by what its link ends with.
fn metadata(request: &Request<'_>, variables: &Value) -> Result<Value, u16> {
    let key = variables["input"]["key"].as_str().unwrap_or_default();
    let world = request.server.world.lock();
    let found = match variables["input"]["type"].as_str() {
        Some("INVITE") => world.newsletters.values().find(|newsletter| newsletter.invite == key),
        _ => world.newsletters.get(user(key)),
    };
    found.map(|newsletter| described(newsletter, &request.device.number)).ok_or(NOT_THERE)
}

fn subscribed(request: &Request<'_>, _variables: &Value) -> Result<Value, u16> {
    let reader = &request.device.number;
    let world = request.server.world.lock();
    let followed = world.newsletters.values().filter(|newsletter| newsletter.people.contains_key(reader));
    Ok(followed.map(|newsletter| described(newsletter, reader)).collect())
}

fn join(request: &Request<'_>, variables: &Value) -> Result<Value, u16> {
    changed(request, variables, |newsletter, by| {
        newsletter.follow(by);
        Ok(())
    })
}

fn leave(request: &Request<'_>, variables: &Value) -> Result<Value, u16> {
    changed(request, variables, |newsletter, by| newsletter.unfollow(by))
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

/// In WhatsApp's words: numbers are texts, and roles are in capitals.
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
        "viewer_metadata": {"mute": "OFF", "role": role},
    })
}

/// The last posts, or the last ones before one of them.
pub(super) fn messages(request: &Request<'_>) -> Answer {
    match page(request, |post, number| number("before").is_none_or(|before| post.server_id < before)) {
        Ok(posts) => Answer::one(posts),
        Err(refused) => refused,
    }
}

/// Posts that are new, or that something happened to, after one of them.
pub(super) fn message_updates(request: &Request<'_>) -> Answer {
    let posts = page(request, |post, number| {
        number("after").is_none_or(|after| post.server_id > after)
            && number("since").is_none_or(|since| post.changed() >= since)
    });
    match posts {
        Ok(posts) => Answer::one(NodeBuilder::new("message_updates").children([posts]).build()),
        Err(refused) => refused,
    }
}

fn page(request: &Request<'_>, is_meant: impl Fn(&Post, &dyn Fn(&str) -> Option<u64>) -> bool) -> Result<Node, Answer> {
    let Some(ask) = request.ask else { return Err(Answer::Error(400, "bad-request")) };
    let world = request.server.world.lock();
    if world.switches.hide_posts {
        return Err(Answer::Error(429, "rate-overlimit"));
    }
    // One client names it in the question, another one addresses the question to it.
    let jid = ask.jid("jid").or_else(|| request.iq.jid("to"));
    let Some(newsletter) = jid.and_then(|jid| world.newsletters.get(jid.user.as_str())) else {
        return Err(Answer::Error(NOT_THERE, "item-not-found"));
    };
    let number = |name: &str| ask.word(name).and_then(|word| word.parse().ok());
    let count = number("count").and_then(|count| usize::try_from(count).ok()).unwrap_or(PAGE.0).min(PAGE.1);
    let meant: Vec<&Post> = newsletter.posts.iter().filter(|post| is_meant(post, &number)).collect();
    let last = &meant[meant.len().saturating_sub(count)..];
    Ok(list_of(newsletter, last.iter().map(|post| listed(post, &request.device.number)).collect()))
}

/// A client wants to be told at once of what happens to posts, for a while.
pub(super) fn live_updates(request: &Request<'_>) -> Answer {
    let mut world = request.server.world.lock();
    let newsletter = request.iq.jid("to").and_then(|to| world.newsletters.get_mut(to.user.as_str()));
    let Some(newsletter) = newsletter else { return Answer::Error(NOT_THERE, "item-not-found") };
    newsletter.live.insert(request.device.clone(), unix_time() + LIVE);
    Answer::one(NodeBuilder::new("live_updates").attr("duration", LIVE.to_string()).build())
}
