//! Phone numbers: their registration with WhatsApp, and the form in which it knows them.

use std::collections::HashMap;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::MutexGuard;
use whatsapp_rust::usync::{
    UsyncContext, UsyncMode, UsyncOutcome, UsyncProtocol, UsyncProtocolKind, UsyncProtocolResult,
    UsyncQuery, UsyncUser,
};
use whatsapp_rust::{ContactError, IsOnWhatsAppResult, Jid, SpamFlow, SpamReportRequest};

use crate::model::message::ChatId;
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::request_error::{RequestError, request_failed};

/// A phone number and its registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NumberLookup {
    /// The requested number: international, digits only.
    pub requested: String,
    /// The number that WhatsApp knows. It differs where a country writes a number in two ways, such
    /// as Brazil, Mexico and Argentina.
    pub phone: String,
    pub exists: bool,
    /// `…@lid`
    pub lid: Option<String>,
    /// The username of the account, where WhatsApp tells it.
    pub username: Option<String>,
}

impl Link {
    /// Reports a message to WhatsApp as spam. `author`: the address of the person that sent it.
    pub async fn report_message(
        &self,
        author: &str,
        id: &str,
        sent_at: Timestamp,
    ) -> Result<(), RequestError> {
        let from: Jid = author.parse().map_err(|_| RequestError::Failed)?;
        let report = SpamReportRequest {
            message_id: id.to_owned(),
            message_timestamp: u64::try_from(sent_at.as_second()).unwrap_or_default(),
            from_jid: Some(from.to_non_ad()),
            spam_flow: SpamFlow::MessageMenu,
            ..SpamReportRequest::default()
        };
        self.run_request(self.client.send_spam_report(report))
            .await
            .map(drop)
    }

    /// Checks which of these numbers are on WhatsApp.
    pub async fn check_numbers(
        &self,
        numbers: &[String],
    ) -> Result<Vec<NumberLookup>, RequestError> {
        self.run_request(async { self.query_numbers(numbers).await.map_err(request_failed) })
            .await
    }

    /// Adds the usernames of these people, as far as WhatsApp tells them.
    pub async fn add_usernames(&self, people: &mut [NumberLookup]) -> Result<(), RequestError> {
        let users: Vec<_> = people
            .iter()
            .filter(|person| person.exists)
            .map(|person| UsyncUser::from_jid(Jid::pn(&*person.phone)))
            .collect();
        if users.is_empty() {
            return Ok(());
        }
        let protocols = vec![UsyncProtocol::Username];
        let query = UsyncQuery::new(
            UsyncMode::Query,
            UsyncContext::Interactive,
            protocols,
            users,
        );
        let query = query.map_err(|_| RequestError::Failed)?;
        let answer = self.run_request(self.client.query_usync(query)).await?;
        for user in &answer.users {
            let Some(UsyncProtocolResult::Username(UsyncOutcome::Value(username))) =
                user.protocol(UsyncProtocolKind::Username)
            else {
                continue;
            };
            let number = user.id.as_ref().map(Jid::user_base);
            let person = people
                .iter_mut()
                .find(|person| number.is_some_and(|number| number == person.phone));
            if let (Some(person), Some(username)) = (person, username) {
                person.username = Some(username.to_string());
            }
        }
        Ok(())
    }

    async fn query_numbers(&self, numbers: &[String]) -> Result<Vec<NumberLookup>, ContactError> {
        let jids: Vec<Jid> = numbers.iter().map(Jid::pn).collect();
        let found = self.client.contacts().is_on_whatsapp(&jids).await?;
        let mut own: Vec<_> = found
            .iter()
            .filter_map(|it| convert_answer(it, None))
            .collect();
        own.retain(|number| numbers.contains(&number.requested));
        // An answer with another number does not say which request it is for, and that number may
        // have been requested as well. So numbers without an answer of their own are requested
        // alone.
        for requested in numbers {
            if own.iter().any(|number| number.requested == *requested) {
                continue;
            }
            let found = self
                .client
                .contacts()
                .is_on_whatsapp(&[Jid::pn(requested)])
                .await?;
            own.extend(
                found
                    .first()
                    .and_then(|it| convert_answer(it, Some(requested))),
            );
        }
        Ok(own)
    }

    /// Returns the registration of a chat's number: the form that WhatsApp answers with, where a
    /// number has two. Asks only for numbers without a known LID, and once for each, since the
    /// answer gives the LID.
    pub async fn find_registration(&self, chat: &ChatId) -> NumberRegistration {
        let ChatId::Phone(phone) = chat else {
            return NumberRegistration::AsRequested;
        };
        let jid = Jid::pn(phone);
        if self.is_own_number(&jid)
            || matches!(self.client.get_lid_pn_entry(&jid).await, Ok(Some(_)))
        {
            return NumberRegistration::AsRequested;
        }
        if let Some(known) = self.other_number(phone) {
            return NumberRegistration::OtherForm(known);
        }
        self.query_registration(phone)
            .await
            .unwrap_or(NumberRegistration::Unknown)
    }

    /// Asks WhatsApp for one number.
    pub(in crate::whatsapp) async fn query_registration(
        &self,
        phone: &str,
    ) -> Result<NumberRegistration, ContactError> {
        let found = self
            .client
            .contacts()
            .is_on_whatsapp(&[Jid::pn(phone)])
            .await?;
        Ok(
            match found
                .first()
                .map(|it| (it, convert_answer(it, Some(phone))))
            {
                Some((it, _)) if !it.is_registered && it.contact_error.is_none() => {
                    NumberRegistration::NotOnWhatsapp
                }
                Some((it, Some(number))) if it.is_registered && number.phone != *phone => {
                    self.remember_number(phone.to_owned(), number.phone.clone());
                    NumberRegistration::OtherForm(number.phone)
                }
                Some((it, _)) if it.is_registered => NumberRegistration::AsRequested,
                _ => NumberRegistration::Unknown,
            },
        )
    }

    /// Returns a chat with the number that WhatsApp knows, or in doubt the chat itself.
    pub async fn resolve_chat(&self, chat: &ChatId, limit: Duration) -> ChatId {
        match self.find_registration_within(chat, limit).await {
            NumberRegistration::OtherForm(number) => ChatId::Phone(number),
            _ => chat.clone(),
        }
    }

    /// Like [`Self::find_registration`], within a limit. After a timeout WhatsApp is not asked for a
    /// while, since messages must be accepted all the same.
    pub async fn find_registration_within(
        &self,
        chat: &ChatId,
        limit: Duration,
    ) -> NumberRegistration {
        if self.clock.uptime() < *self.lock_query_pause() {
            return NumberRegistration::Unknown;
        }
        let answer = self
            .clock
            .timeout(limit, self.find_registration(chat))
            .await;
        answer.unwrap_or_else(|_| {
            *self.lock_query_pause() = self.clock.uptime() + QUERY_PAUSE;
            NumberRegistration::Unknown
        })
    }

    /// Learns with one request the answers that [`Self::find_registration`] would request one by one.
    pub async fn prefetch_registrations(&self, numbers: &[String], limit: Duration) {
        let mut new = Vec::new();
        for number in numbers {
            let is_known = self.lock_other_numbers().contains_key(number)
                || matches!(
                    self.client.get_lid_pn_entry(&Jid::pn(number)).await,
                    Ok(Some(_))
                );
            if !is_known {
                new.push(number.clone());
            }
        }
        // A single number is requested in its turn.
        if new.len() < 2 || self.clock.uptime() < *self.lock_query_pause() {
            return;
        }
        match self.clock.timeout(limit, self.check_numbers(&new)).await {
            Ok(Ok(found)) => {
                let others = found
                    .into_iter()
                    .filter(|number| number.exists && number.requested != number.phone);
                others.for_each(|number| self.remember_number(number.requested, number.phone));
            }
            Ok(Err(RequestError::Timeout(_))) | Err(_) => {
                *self.lock_query_pause() = self.clock.uptime() + QUERY_PAUSE
            }
            Ok(Err(_)) => {}
        }
    }

    fn remember_number(&self, requested: String, number: String) {
        let mut known = self.lock_other_numbers();
        if known.len() >= MAX_OTHER_NUMBERS {
            known.clear();
        }
        known.insert(requested, number);
    }

    /// Returns the form of a number that WhatsApp knows, where WhatsApp has given another one.
    pub(in crate::whatsapp) fn other_number(&self, phone: &str) -> Option<String> {
        self.lock_other_numbers().get(phone).cloned()
    }

    fn lock_query_pause(&self) -> MutexGuard<'_, Duration> {
        self.query_paused_until.lock()
    }

    fn lock_other_numbers(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.other_numbers.lock()
    }
}

/// Registration of a chat's number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NumberRegistration {
    AsRequested,
    /// Under this number, another form of the requested one.
    OtherForm(String),
    /// Not on WhatsApp.
    NotOnWhatsapp,
    /// WhatsApp did not say.
    Unknown,
}

/// Time without requests after WhatsApp did not answer one.
const QUERY_PAUSE: Duration = Duration::from_secs(60);
/// Most numbers remembered with another form; beyond that, all are requested again.
const MAX_OTHER_NUMBERS: usize = 1_000;

/// Converts an answer. `requested`: the requested number, if known.
fn convert_answer(it: &IsOnWhatsAppResult, requested: Option<&str>) -> Option<NumberLookup> {
    // WhatsApp answers with a LID where it has moved the account.
    let (phone, lid) = match it.jid.is_lid() {
        true => (it.pn_jid.as_ref()?, Some(&it.jid)),
        false => (&it.jid, it.lid.as_ref()),
    };
    let (phone, lid) = (phone.user_base().to_owned(), lid.map(Jid::to_non_ad_string));
    Some(NumberLookup {
        requested: requested.unwrap_or(&phone).to_owned(),
        phone,
        exists: it.is_registered,
        lid,
        username: None,
    })
}
