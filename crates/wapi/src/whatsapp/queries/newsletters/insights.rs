//! Statistics of newsletters, for their admins.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde_json::{Value, json};
use whatsapp_rust::wacore::iq::mex::MexDoc;
use whatsapp_rust::wacore::iq::mex_operations::fetch_newsletter_insights;

use super::newsletter_address;
use crate::model::account::newsletter_insights::{
    CountryFigure, FollowerFigures, GrowthOfDay, NewsletterInsights, ReachFigures,
};
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::request_error::RequestError;

/// Days that the figures cover, as in WhatsApp's own clients.
const DAYS: u32 = 30;
/// Countries per figure.
const COUNTRIES: u32 = 10;

// The figures by the numbers that WhatsApp's web client gives them in its request. The answer
// repeats these numbers.
const REACH: u64 = 1;
const NEW_REACH: u64 = 2;
const NET_FOLLOWS: u64 = 3;
const REACH_BY_ROLE: u64 = 4;
const REACH_BY_COUNTRY: u64 = 5;
const FOLLOWERS: u64 = 6;
const FOLLOWERS_BY_COUNTRY: u64 = 7;
const FOLLOWS: u64 = 8;
const UNFOLLOWS: u64 = 9;

impl Link {
    /// Returns the statistics of a newsletter; only its admins may ask.
    pub async fn fetch_newsletter_insights(
        &self,
        id: &str,
    ) -> Result<NewsletterInsights, RequestError> {
        let document = MexDoc {
            name: fetch_newsletter_insights::NAME,
            id: fetch_newsletter_insights::DOC_ID,
        };
        let input =
            json!({"newsletter_id": newsletter_address(id), "metrics": requested_figures()});
        let path = "xwa2_newsletter_admin_insights";
        let found = self
            .run_newsletter_query(document, &json!({"input": input}), path)
            .await?;
        parse_insights(&found).ok_or(RequestError::Changed)
    }
}

fn requested_figures() -> Value {
    let whole = || json!({"number_of_days": DAYS});
    let by = |what: &str| json!({"number_of_days": DAYS, what: true});
    let day = || json!({"number_of_days": 1});
    json!([
        {"id": REACH, "type": "UNIQUE_VISITORS", "group_by": whole()},
        {"id": NEW_REACH, "type": "NEW_UNIQUE_VISITORS", "group_by": whole()},
        {"id": NET_FOLLOWS, "type": "NET_FOLLOWS", "group_by": whole()},
        {"id": REACH_BY_ROLE, "type": "UNIQUE_VISITORS", "group_by": by("role")},
        {"id": REACH_BY_COUNTRY, "type": "UNIQUE_VISITORS", "group_by": by("country"), "limit": COUNTRIES},
        {"id": FOLLOWERS, "type": "FOLLOWER", "group_by": whole()},
        {"id": FOLLOWERS_BY_COUNTRY, "type": "FOLLOWER", "group_by": by("country"), "limit": COUNTRIES},
        {"id": FOLLOWS, "type": "FOLLOWS", "group_by": day(), "limit": DAYS},
        {"id": UNFOLLOWS, "type": "UNFOLLOWS", "group_by": day(), "limit": DAYS},
    ])
}

fn parse_insights(found: &Value) -> Option<NewsletterInsights> {
    let status = found["metrics_status"].as_str()?;
    let mut figures = BTreeMap::new();
    for figure in found["result"].as_array().into_iter().flatten() {
        let id = u64::try_from(parse_number(&figure["id"])?).ok()?;
        let values = figure["values"].as_array();
        figures.insert(id, values.cloned().unwrap_or_default());
    }
    let values = |id| figures.get(&id).map(Vec::as_slice).unwrap_or_default();
    let only = |id| parse_number(&values(id).first()?["value"]);
    let of_role = |role: &str| {
        let mut values = values(REACH_BY_ROLE).iter();
        parse_number(&values.find(|value| value["role"] == role)?["value"])
    };
    let time = parse_number(&found["last_update_time"]);
    Some(NewsletterInsights {
        available: status == "OK",
        updated_at: time.and_then(|seconds| Timestamp::from_second(seconds).ok()),
        days: DAYS,
        followers: FollowerFigures {
            count: only(FOLLOWERS),
            net_follows: only(NET_FOLLOWS),
            countries: parse_countries(values(FOLLOWERS_BY_COUNTRY)),
        },
        reach: ReachFigures {
            count: only(REACH),
            new: only(NEW_REACH),
            followers: of_role("SUBSCRIBER"),
            guests: of_role("GUEST"),
            countries: parse_countries(values(REACH_BY_COUNTRY)),
        },
        growth: parse_growth(values(FOLLOWS), values(UNFOLLOWS)),
    })
}

/// Reads a number, which WhatsApp writes as one or as a text.
fn parse_number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

/// Reads the countries, the one with the highest figure first.
fn parse_countries(values: &[Value]) -> Vec<CountryFigure> {
    let mut countries: Vec<_> = values
        .iter()
        .filter_map(|value| {
            Some(CountryFigure {
                country: value["country"].as_str()?.to_ascii_uppercase(),
                count: parse_number(&value["value"])?,
            })
        })
        .collect();
    countries.sort_by(|one, other| {
        let by_count = other.count.cmp(&one.count);
        by_count.then_with(|| one.country.cmp(&other.country))
    });
    countries
}

fn parse_growth(follows: &[Value], unfollows: &[Value]) -> Vec<GrowthOfDay> {
    let mut days: BTreeMap<Timestamp, GrowthOfDay> = BTreeMap::new();
    let counts = follows.iter().map(|value| (value, true));
    for (value, is_follow) in counts.chain(unfollows.iter().map(|value| (value, false))) {
        let day = parse_number(&value["timestamp"])
            .and_then(|seconds| Timestamp::from_second(seconds).ok());
        let (Some(day), Some(count)) = (day, parse_number(&value["value"])) else {
            continue;
        };
        let growth = days.entry(day).or_insert(GrowthOfDay {
            day,
            follows: 0,
            unfollows: 0,
        });
        match is_follow {
            true => growth.follows = count,
            false => growth.unfollows = count,
        }
    }
    days.into_values().collect()
}

#[cfg(test)]
mod tests {
    use crate::whatsapp::queries::newsletters::insights::*;

    #[test]
    fn figures_are_read_as_numbers_and_as_texts_and_may_be_missing() {
        let found = json!({
            "last_update_time": "1700000000", "metrics_status": "OK",
            "result": [
                {"id": "1", "values": [{"value": "12"}]},
                {"id": 4, "values": [{"role": "GUEST", "value": 5}, {"role": "SUBSCRIBER", "value": 7}]},
                {"id": 7, "values": [{"country": "pl", "value": 1}, {"country": "by", "value": 3}]},
                {"id": 8, "values": [{"timestamp": 86400, "value": 2}]},
                {"id": 9, "values": [{"timestamp": 86400, "value": 1}, {"timestamp": 0, "value": 4}]},
                {"id": 3, "values": null},
            ],
        });
        let insights = parse_insights(&found).unwrap();
        assert!(insights.available);
        assert_eq!(insights.updated_at.unwrap().as_second(), 1_700_000_000);
        let reach = &insights.reach;
        assert_eq!(
            [reach.count, reach.followers, reach.guests, reach.new],
            [Some(12), Some(7), Some(5), None]
        );
        let countries = insights.followers.countries.iter();
        let countries: Vec<_> = countries
            .map(|it| (it.country.as_str(), it.count))
            .collect();
        assert_eq!(countries, [("BY", 3), ("PL", 1)]);
        let growth = insights.growth.iter();
        let growth: Vec<_> = growth
            .map(|it| (it.day.as_second(), it.follows, it.unfollows))
            .collect();
        assert_eq!(growth, [(0, 0, 4), (86_400, 2, 1)]);
        assert_eq!(insights.followers.net_follows, None);
        let missing = parse_insights(&json!({"metrics_status": "MISSING", "result": null}));
        assert!(!missing.unwrap().available);
        assert_eq!(parse_insights(&json!({"result": []})), None);
    }
}
