//! Changes that the gateway makes to groups and communities.

mod communities;
mod joining;
mod members;
mod refusals;
mod settings;

use serde_json::{Value, json};
use wapi_simulator::{Phone, PhoneGroup};

use crate::harness::TestApp;

pub const GROUPS: &str = "/v1/sessions/shop/groups";

/// Creates a group with these people; returns its address.
pub async fn create(app: &TestApp, subject: &str, people: &[&Phone]) -> String {
    let people: Vec<_> = people.iter().map(|phone| phone.number()).collect();
    let wish = json!({"subject": subject, "participants": people});
    let made = app.post(GROUPS, wish).await.expect(201).json();
    made["group"]["id"].as_str().unwrap().to_owned()
}

/// A group as a phone in it sees it.
pub fn seen(phone: &Phone, id: &str) -> Option<PhoneGroup> {
    phone.groups().into_iter().find(|group| group.id == id)
}

/// The numbers and statuses in an answer.
pub fn results(answer: &Value) -> Vec<(String, String)> {
    let people = answer["participants"].as_array().unwrap().iter();
    let word = |value: &Value| value.as_str().unwrap_or_default().to_owned();
    let mut results: Vec<_> = people
        .map(|person| (word(&person["phone"]), word(&person["status"])))
        .collect();
    results.sort();
    results
}
