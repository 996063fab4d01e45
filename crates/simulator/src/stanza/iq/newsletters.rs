//! What a device asks about newsletters: by `w:mex`, WhatsApp's GraphQL, what they are and who follows them; by `newsletter`, what
//! was posted.

use serde_json::{Value, json};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use super::{Answer, Request};
use crate::newsletter::{NOT_THERE, Newsletter, NewsletterRole, Post};
use crate::stanza::newsletter::{address, listed};
use crate::stanza::{Stanza, leaf, unix_time};
use crate::world::Number;

/// How many posts are handed out when a client does not say, and at most.
const PAGE: (usize, usize) = (50, 300);
/// How long a client is told of changes to posts, in seconds.
const LIVE: &str = "300";

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
    page(request, "messages", |post, number| number("before").is_none_or(|before| post.server_id < before))
}

/// Posts that are new, or that something happened to, after one of them.
pub(super) fn message_updates(request: &Request<'_>) -> Answer {
    page(request, "message_updates", |post, number| {
        number("after").is_none_or(|after| post.server_id > after)
            && number("since").is_none_or(|since| post.at >= since)
    })
}

fn page(
    request: &Request<'_>,
    tag: &'static str,
    is_meant: impl Fn(&Post, &dyn Fn(&str) -> Option<u64>) -> bool,
) -> Answer {
    let Some(ask) = request.ask else { return Answer::Error(400, "bad-request") };
    let world = request.server.world.lock();
    if world.switches.hide_posts {
        return Answer::Error(429, "rate-overlimit");
    }
    // One client names it in the question, another one addresses the question to it.
    let jid = ask.jid("jid").or_else(|| request.iq.jid("to"));
    let Some(newsletter) = jid.and_then(|jid| world.newsletters.get(jid.user.as_str())) else {
        return Answer::Error(NOT_THERE, "item-not-found");
    };
    let number = |name: &str| ask.word(name).and_then(|word| word.parse().ok());
    let count = number("count").and_then(|count| usize::try_from(count).ok()).unwrap_or(PAGE.0).min(PAGE.1);
    let meant: Vec<&Post> = newsletter.posts.iter().filter(|post| is_meant(post, &number)).collect();
    let posts: Vec<Node> =
        meant[meant.len().saturating_sub(count)..].iter().map(|post| listed(post, &request.device.number)).collect();
    let answer = NodeBuilder::new(tag).attr("jid", address(&newsletter.id)).attr("t", unix_time().to_string());
    Answer::one(answer.children(posts).build())
}

/// A client wants to be told at once of what happens to posts, for a while.
pub(super) fn live_updates(request: &Request<'_>) -> Answer {
    let to = request.iq.jid("to");
    let is_known = to.is_some_and(|to| request.server.world.lock().newsletters.contains_key(to.user.as_str()));
    match is_known {
        true => Answer::one(NodeBuilder::new("live_updates").attr("duration", LIVE).build()),
        false => Answer::Error(NOT_THERE, "item-not-found"),
    }
}
