//! Statistics of newsletters, for their admins.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::{Value, json};

use super::newsletter_user;
use crate::model::group::FORBIDDEN;
use crate::model::ids::PhoneNumber;
use crate::model::newsletter::{NOT_FOUND, Newsletter};
use crate::server::stanza::iq::IqRequest;
use crate::server::stanza::messages::newsletter::newsletter_jid;
use crate::wire::unix_time;

const DAY_SECONDS: u64 = 24 * 60 * 60;
/// Prefixes of phone numbers, and the countries they belong to.
const COUNTRIES: [(&str, &str); 6] = [
    ("375", "by"),
    ("380", "ua"),
    ("48", "pl"),
    ("49", "de"),
    ("1", "us"),
    ("7", "ru"),
];

/// Shows the requested figures of a newsletter, for accounts that may post in it. Each has the
/// number that the client gives it.
pub(crate) fn show_insights(request: &IqRequest<'_>, variables: &Value) -> Result<Value, u16> {
    const BAD_REQUEST: u16 = 400;
    let input = &variables["input"];
    let id = newsletter_user(input["newsletter_id"].as_str().unwrap_or_default());
    let world = request.server.world.lock();
    let newsletter = world.newsletters.get(id).ok_or(NOT_FOUND)?;
    if !newsletter.can_post(&request.device.number) {
        return Err(FORBIDDEN);
    }
    let metrics = input["metrics"].as_array().ok_or(BAD_REQUEST)?;
    let now = unix_time();
    let mut result = Vec::with_capacity(metrics.len());
    for metric in metrics {
        let values = count_metric(newsletter, metric, now).ok_or(BAD_REQUEST)?;
        result.push(json!({"id": metric["id"], "values": values}));
    }
    Ok(json!({
        "newsletter_id": newsletter_jid(&newsletter.id).to_string(),
        "state": {"type": "ACTIVE"},
        "last_update_time": now.to_string(),
        "metrics_status": "OK",
        "result": result,
    }))
}

/// Returns the values of a figure; `None` if there is no such figure.
fn count_metric(newsletter: &Newsletter, metric: &Value, now: u64) -> Option<Vec<Value>> {
    let group = &metric["group_by"];
    let days = group["number_of_days"].as_u64()?;
    let followers: BTreeSet<&PhoneNumber> = newsletter.people.keys().collect();
    let viewers = newsletter.posts.iter().flat_map(|post| &post.viewers);
    let viewers: BTreeSet<&PhoneNumber> = viewers.collect();
    let since = now.saturating_sub(days * DAY_SECONDS);
    let of_period = newsletter.growth.iter().filter(|(at, _)| *at >= since);
    Some(match metric["type"].as_str()? {
        "FOLLOWER" if group["country"] == true => count_countries(&followers),
        "FOLLOWER" => vec![json!({"value": followers.len()})],
        "NET_FOLLOWS" => {
            let net: i64 = of_period
                .map(|(_, follow)| if *follow { 1 } else { -1 })
                .sum();
            vec![json!({"value": net})]
        }
        "UNIQUE_VISITORS" if group["country"] == true => count_countries(&viewers),
        "UNIQUE_VISITORS" if group["role"] == true => {
            let following = viewers.intersection(&followers).count();
            vec![
                json!({"role": "SUBSCRIBER", "value": following}),
                json!({"role": "GUEST", "value": viewers.len() - following}),
            ]
        }
        // Nobody has seen a post before there were any.
        "UNIQUE_VISITORS" | "NEW_UNIQUE_VISITORS" => vec![json!({"value": viewers.len()})],
        "FOLLOWS" => count_days(newsletter, true),
        "UNFOLLOWS" => count_days(newsletter, false),
        _ => return None,
    })
}

fn count_countries(people: &BTreeSet<&PhoneNumber>) -> Vec<Value> {
    let mut counts: BTreeMap<&str, u64> = BTreeMap::new();
    for number in people {
        let country = COUNTRIES
            .iter()
            .find(|(prefix, _)| number.starts_with(prefix));
        if let Some((_, country)) = country {
            *counts.entry(country).or_default() += 1;
        }
    }
    let values = counts.into_iter();
    values
        .map(|(country, count)| json!({"country": country, "value": count}))
        .collect()
}

fn count_days(newsletter: &Newsletter, follows: bool) -> Vec<Value> {
    let mut days: BTreeMap<u64, u64> = BTreeMap::new();
    for (at, is_follow) in &newsletter.growth {
        *days.entry(at - at % DAY_SECONDS).or_default() += u64::from(*is_follow == follows);
    }
    let values = days.into_iter();
    values
        .map(|(day, count)| json!({"timestamp": day, "value": count}))
        .collect()
}
