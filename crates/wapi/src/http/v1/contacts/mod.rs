//! `/v1/sessions/{session}/contacts/check`: whether phone numbers are on WhatsApp.

pub mod blocklist;
pub mod business;
pub mod reports;

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use crate::http::Gateway;
use crate::http::error::Problem;
use crate::http::request::extract::{JsonFields, SessionPath};
use crate::model::message::ChatId;

/// Maximum number of phone numbers in one request.
const MAX_NUMBERS: usize = 500;

/// WhatsApp's answer for one number.
#[derive(Debug, Serialize)]
struct NumberCheck {
    /// The number as the caller wrote it.
    input: String,
    exists: bool,
    /// The address to send to; `null` if the number is not on WhatsApp.
    id: Option<String>,
    /// The number as WhatsApp knows it, which may differ in form from the requested one.
    phone: String,
    lid: Option<String>,
    /// The username of the account, where it was asked for and WhatsApp tells it.
    #[serde(skip_serializing_if = "Option::is_none")]
    username: Option<String>,
}

#[derive(Debug, Serialize)]
pub(in crate::http) struct NumberCheckList {
    contacts: Vec<NumberCheck>,
}

/// `POST …/contacts/check {phones: […], usernames?}`: checks which numbers are on WhatsApp, in the
/// order of the request, and on request which usernames they have.
pub(in crate::http) async fn check_numbers(
    State(gateway): State<Gateway>,
    SessionPath(session): SessionPath,
    mut fields: JsonFields,
) -> Result<Json<NumberCheckList>, Problem> {
    let phones = fields.required_texts("phones").and_then(|phones| {
        let parsed = parse_numbers(&phones);
        fields.ok_or_record("phones", parsed)
    });
    let with_usernames = fields.flag_or_false("usernames");
    fields.refuse_unknown();
    let requested = fields.finish(phones)?;
    let numbers: Vec<String> = requested.iter().map(|(_, number)| number.clone()).collect();
    let online = gateway.sessions.online(&session)?;
    let mut found = online.check_numbers(&numbers).await?;
    if with_usernames {
        online.add_usernames(&mut found).await?;
    }
    let contacts = requested.into_iter().map(|(input, requested)| {
        let known = found
            .iter()
            .find(|known| known.requested == requested && known.exists);
        let phone = known.map_or(requested, |known| known.phone.clone());
        let id = known.map(|_| ChatId::Phone(phone.clone()).to_string());
        NumberCheck {
            input,
            exists: known.is_some(),
            id,
            lid: known.and_then(|known| known.lid.clone()),
            username: known.and_then(|known| known.username.clone()),
            phone,
        }
    });
    Ok(Json(NumberCheckList {
        contacts: contacts.collect(),
    }))
}

/// Parses each text; returns it with the phone number it names.
fn parse_numbers(phones: &[String]) -> Result<Vec<(String, String)>, String> {
    if phones.is_empty() || phones.len() > MAX_NUMBERS {
        return Err(format!("must have 1 to {MAX_NUMBERS} numbers"));
    }
    let one = |text: &String| match ChatId::parse(text) {
        Ok(ChatId::Phone(number)) => Ok((text.clone(), number)),
        Ok(_) => Err(format!(
            "has `{}`, which is not an international phone number",
            text.chars().take(80).collect::<String>()
        )),
        Err(error) => Err(error.to_string()),
    };
    phones.iter().map(one).collect()
}
