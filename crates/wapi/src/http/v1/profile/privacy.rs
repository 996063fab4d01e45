//! `/v1/sessions/{session}/privacy`: the account's privacy settings.

use std::collections::BTreeMap;

use axum::Json;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::{Map, Value, json};

use crate::http::Gateway;
use crate::http::error::{FieldError, Problem};
use crate::http::request::extract::{JsonFields, SessionPath};
use crate::http::request::query::QueryParameters;
use crate::http::v1::chats::read_chat_timer;
use crate::model::account::privacy::{AccountPrivacy, PrivacyTopic, PrivacyValue};
use crate::model::message::ChatId;
use crate::model::suggestions::format_suggestion;
use crate::whatsapp::PrivacyOutcome;

/// Most exceptions of one setting in a request.
pub(in crate::http) const MAX_EXCEPTIONS: usize = 500;

/// `GET …/privacy`: shows the settings, querying WhatsApp each time. A setting of which WhatsApp
/// says nothing is `null`.
pub(in crate::http) async fn show_privacy(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    query: QueryParameters,
) -> Result<Json<Value>, Problem> {
    query.finish()?;
    let AccountPrivacy {
        mut topics,
        default_timer,
    } = gateway.sessions.show_privacy(&session).await?;
    let mut shown = Map::new();
    for topic in PrivacyTopic::ALL {
        let value = match topics.remove(&topic) {
            Some(PrivacyValue::Word(word)) => json!(word),
            Some(PrivacyValue::Except(people)) => json!({"except": people}),
            None => Value::Null,
        };
        shown.insert(topic.field().to_owned(), value);
    }
    shown.insert("disappearing".to_owned(), json!(default_timer));
    Ok(Json(Value::Object(shown)))
}

/// `PATCH …/privacy`: changes the given settings and keeps the others.
pub(in crate::http) async fn change_privacy(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    mut fields: JsonFields,
) -> Result<StatusCode, Problem> {
    const NOTHING: &str = "nothing is changed; give at least one setting";
    let mut topics = BTreeMap::new();
    for topic in PrivacyTopic::ALL {
        if let Some(value) = read_privacy_value(&mut fields, topic) {
            topics.insert(topic, value);
        }
    }
    let default_timer = read_chat_timer(&mut fields);
    fields.refuse_unknown();
    let change = fields.finish(Some(AccountPrivacy {
        topics,
        default_timer,
    }))?;
    if change.topics.is_empty() && change.default_timer.is_none() {
        return Err(Problem::invalid_field(
            PrivacyTopic::LastSeen.field(),
            NOTHING,
        ));
    }
    match gateway
        .sessions
        .online(&session)?
        .change_privacy(&change)
        .await?
    {
        PrivacyOutcome::Done => Ok(StatusCode::NO_CONTENT),
        PrivacyOutcome::Impossible {
            topic,
            person,
            reason,
        } => Err(Problem::InvalidFields(vec![FieldError {
            field: format!("{}.except", topic.field()).into(),
            detail: format!("has `{person}`, which {reason}"),
        }])),
    }
}

/// Reads a setting: one of its words, or `{"except": […]}`.
fn read_privacy_value(
    fields: &mut JsonFields,
    topic: PrivacyTopic,
) -> Option<PrivacyValue<ChatId>> {
    let field = topic.field();
    if !fields.is_object(field) {
        let parse = |word: &str| parse_word(topic, word).map(PrivacyValue::Word);
        return fields.parse_optional(field, parse);
    }
    if !topic.has_exceptions() {
        fields.refuse_field(field, format!("has no exceptions; {}", list_words(topic)));
        return None;
    }
    let mut inner = fields.nested_fields(field)?;
    let people = inner.required_texts("except").and_then(|people| {
        let parsed = parse_people(&people);
        inner.ok_or_record("except", parsed)
    });
    fields.absorb_errors(field, inner);
    people.map(PrivacyValue::Except)
}

fn parse_word(topic: PrivacyTopic, word: &str) -> Result<String, String> {
    let words = topic.words();
    match words.contains(&word) {
        true => Ok(word.to_owned()),
        false => Err(format!(
            "{}{}",
            list_words(topic),
            format_suggestion(word, words.iter().copied())
        )),
    }
}

fn list_words(topic: PrivacyTopic) -> String {
    let exceptions = match topic.has_exceptions() {
        true => ", or {\"except\": […]}",
        false => "",
    };
    format!("must be {}{exceptions}", topic.words().join(", "))
}

fn parse_people(people: &[String]) -> Result<Vec<ChatId>, String> {
    if people.is_empty() || people.len() > MAX_EXCEPTIONS {
        return Err(format!("must have 1 to {MAX_EXCEPTIONS} people"));
    }
    let one = |text: &String| match ChatId::parse(text) {
        Ok(person) if person.is_person() => Ok(person),
        Ok(_) => Err(format!("has `{text}`, which is not a person")),
        Err(error) => Err(format!("has an address that {error}")),
    };
    people.iter().map(one).collect()
}
