//! Privacy settings, devices of the account, and profiles of businesses. Pure.

use serde_json::{Value, json};

use super::super::groups::REQUEST_PROBLEMS;
use crate::http::openapi::operation::{Operation, describe_route};
use crate::http::openapi::schema::{
    count, list_of, object, or_null, schema_reference, string_enum, text, with_description,
    with_keyword,
};
use crate::http::openapi::type_schemas::answer_schema;
use crate::http::v1::profile::privacy::MAX_EXCEPTIONS;
use crate::model::account::business::BusinessProfile;
use crate::model::account::privacy::PrivacyTopic;
use crate::model::event::AccountDevice;
use crate::model::message::ChatTimer;

const DEFAULT_TIMER: &str = "Seconds after which messages of new chats disappear; 0: they stay.";

pub fn describe_operations() -> Vec<Operation> {
    vec![
        describe_route(
            "GET",
            "/v1/sessions/{session}/privacy",
            "Retrieve the privacy settings of the account",
        )
        .with_answer(
            200,
            "The settings; `null` where WhatsApp names none.",
            settings_schema(),
        )
        .with_problems(&REQUEST_PROBLEMS),
        describe_route(
            "PATCH",
            "/v1/sessions/{session}/privacy",
            "Update privacy settings; give at least one",
        )
        .with_body(with_keyword(change_schema(), "minProperties", json!(1)))
        .with_empty_answer(
            204,
            "The settings are changed for all of the account's devices.",
        )
        .with_problems(&REQUEST_PROBLEMS),
        describe_route(
            "GET",
            "/v1/sessions/{session}/devices",
            "List the devices of the account",
        )
        .with_answer(
            200,
            "The devices, the phone first. WhatsApp does not tell their names.",
            object(&[("devices", list_of(answer_schema::<AccountDevice>()))]),
        )
        .with_problems(&REQUEST_PROBLEMS),
        describe_route(
            "GET",
            "/v1/sessions/{session}/contacts/{contact}/business",
            "Retrieve the profile of a business",
        )
        .with_answer(200, "The profile.", answer_schema::<BusinessProfile>())
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[(404, "business_not_found")]),
    ]
}

fn settings_schema() -> Value {
    // WhatsApp may add words.
    let people = object(&[("except", list_of(schema_reference("Contact")))]);
    let mut members: Vec<_> = PrivacyTopic::ALL
        .into_iter()
        .map(|topic| {
            let mut choices = vec![text(), json!({"type": "null"})];
            if topic.has_exceptions() {
                choices.push(people.clone());
            }
            let value = json!({"anyOf": choices});
            (topic.field(), with_description(value, topic.description()))
        })
        .collect();
    members.push((
        "disappearing",
        or_null(with_description(count(), DEFAULT_TIMER)),
    ));
    object(&members)
}

fn change_schema() -> Value {
    let people = json!({
        "type": "array", "items": text(), "minItems": 1, "maxItems": MAX_EXCEPTIONS,
        "description": "Contacts who are excepted, by number or address; replaces the former list.",
    });
    let exceptions = object(&[("except", people)]);
    let mut members: Vec<_> = PrivacyTopic::ALL
        .into_iter()
        .map(|topic| {
            let words = string_enum(topic.words());
            let value = match topic.has_exceptions() {
                true => json!({"anyOf": [words, exceptions]}),
                false => words,
            };
            (
                format!("{}?", topic.field()),
                with_description(value, topic.description()),
            )
        })
        .collect();
    let timer = json!({"type": "integer", "enum": ChatTimer::CHOICES});
    members.push((
        "disappearing?".to_owned(),
        with_description(timer, DEFAULT_TIMER),
    ));
    let members: Vec<_> = members
        .iter()
        .map(|(name, schema)| (name.as_str(), schema.clone()))
        .collect();
    object(&members)
}
