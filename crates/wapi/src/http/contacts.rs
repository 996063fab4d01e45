//! `/v1/sessions/{session}/contacts/check`: whether phone numbers are on WhatsApp.

use axum::Json;
use axum::extract::State;
use serde::Serialize;

use super::Gateway;
use super::error::Problem;
use super::extract::{Fields, Named};
use crate::message::ChatId;

/// Maximum number of phone numbers in one request.
const MOST: usize = 500;

/// WhatsApp's answer for one number.
#[derive(Debug, Serialize)]
struct Checked {
    /// The number as the caller wrote it.
    input: String,
    exists: bool,
    /// The address to send to; `null` if the number is not on WhatsApp.
    id: Option<String>,
    /// The number as WhatsApp knows it, which may differ in form from the requested one.
    phone: String,
    lid: Option<String>,
}

#[derive(Debug, Serialize)]
pub(super) struct CheckedList {
    contacts: Vec<Checked>,
}

/// `POST …/contacts/check {phones: […]}`: checks which numbers are on WhatsApp, in the order of the
/// request.
pub(super) async fn check(
    State(gateway): State<Gateway>,
    Named(session): Named,
    mut fields: Fields,
) -> Result<Json<CheckedList>, Problem> {
    let phones = fields.texts("phones").and_then(|phones| {
        let judged = read(&phones);
        fields.judged("phones", judged)
    });
    fields.refuse_unknown();
    let asked = fields.done(phones)?;
    let numbers: Vec<String> = asked.iter().map(|(_, number)| number.clone()).collect();
    let found = gateway.sessions.check_numbers(&session, &numbers).await?;
    let contacts = asked.into_iter().map(|(input, asked)| {
        let known = found
            .iter()
            .find(|known| known.asked == asked && known.exists);
        let phone = known.map_or(asked, |known| known.phone.clone());
        let id = known.map(|_| ChatId::Phone(phone.clone()).to_string());
        Checked {
            input,
            exists: known.is_some(),
            id,
            lid: known.and_then(|known| known.lid.clone()),
            phone,
        }
    });
    Ok(Json(CheckedList {
        contacts: contacts.collect(),
    }))
}

/// Parses each text; returns it with the phone number it names.
fn read(phones: &[String]) -> Result<Vec<(String, String)>, String> {
    if phones.is_empty() || phones.len() > MOST {
        return Err(format!("must have 1 to {MOST} numbers"));
    }
    let one = |text: &String| match ChatId::parse(text) {
        Ok(ChatId::Phone(number)) => Ok((text.clone(), number)),
        Ok(_) => Err(format!(
            "has `{}`, which is no international phone number",
            text.chars().take(80).collect::<String>()
        )),
        Err(error) => Err(error.to_string()),
    };
    phones.iter().map(one).collect()
}
