//! Phone numbers: their registration with WhatsApp, and the form in which it knows them.

use std::collections::HashMap;
use std::sync::{MutexGuard, PoisonError};
use std::time::Duration;

use whatsapp_rust::{ContactError, IsOnWhatsAppResult, Jid};

use super::asking::{NotAnswered, unsaid};
use super::link::Link;
use crate::message::ChatId;

/// A phone number and its registration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Number {
    /// The requested number: international, digits only.
    pub asked: String,
    /// The number that WhatsApp knows. It differs where a country writes a number in two ways, such
    /// as Brazil, Mexico and Argentina.
    pub phone: String,
    pub exists: bool,
    /// `…@lid`
    pub lid: Option<String>,
}

impl Link {
    /// Checks which of these numbers are on WhatsApp.
    pub async fn check_numbers(
        &self,
        numbers: &[String],
        limit: Duration,
    ) -> Result<Vec<Number>, NotAnswered> {
        self.asked(limit, async { self.numbers(numbers).await.map_err(unsaid) })
            .await
    }

    async fn numbers(&self, numbers: &[String]) -> Result<Vec<Number>, ContactError> {
        let jids: Vec<Jid> = numbers.iter().map(Jid::pn).collect();
        let found = self.client.contacts().is_on_whatsapp(&jids).await?;
        let mut own: Vec<_> = found.iter().filter_map(|it| number(it, None)).collect();
        own.retain(|number| numbers.contains(&number.asked));
        // An answer with another number does not say which request it is for, and that number may
        // have been requested as well. So numbers without an answer of their own are requested
        // alone.
        for asked in numbers {
            if own.iter().any(|number| number.asked == *asked) {
                continue;
            }
            let found = self
                .client
                .contacts()
                .is_on_whatsapp(&[Jid::pn(asked)])
                .await?;
            own.extend(found.first().and_then(|it| number(it, Some(asked))));
        }
        Ok(own)
    }

    /// Returns the registration of a chat's number: the form that WhatsApp answers with, where a
    /// number has two. Asks only for numbers without a known LID, and once for each, since the
    /// answer gives the LID.
    pub async fn registered(&self, chat: &ChatId) -> Registered {
        let ChatId::Phone(phone) = chat else {
            return Registered::AsAsked;
        };
        let jid = Jid::pn(phone);
        if self.is_ours(&jid) || matches!(self.client.get_lid_pn_entry(&jid).await, Ok(Some(_))) {
            return Registered::AsAsked;
        }
        if let Some(known) = self.other_number(phone) {
            return Registered::As(known);
        }
        self.said_of(phone).await.unwrap_or(Registered::Unsaid)
    }

    /// Asks WhatsApp for one number.
    pub(super) async fn said_of(&self, phone: &str) -> Result<Registered, ContactError> {
        let found = self
            .client
            .contacts()
            .is_on_whatsapp(&[Jid::pn(phone)])
            .await?;
        Ok(
            match found.first().map(|it| (it, number(it, Some(phone)))) {
                Some((it, _)) if !it.is_registered && it.contact_error.is_none() => {
                    Registered::Nobody
                }
                Some((it, Some(number))) if it.is_registered && number.phone != *phone => {
                    self.remember(phone.to_owned(), number.phone.clone());
                    Registered::As(number.phone)
                }
                Some((it, _)) if it.is_registered => Registered::AsAsked,
                _ => Registered::Unsaid,
            },
        )
    }

    /// Returns a chat with the number that WhatsApp knows, or in doubt the chat itself.
    pub async fn known_as(&self, chat: &ChatId, limit: Duration) -> ChatId {
        match self.registered_within(chat, limit).await {
            Registered::As(number) => ChatId::Phone(number),
            _ => chat.clone(),
        }
    }

    /// Like [`Self::registered`], within a limit. After a timeout WhatsApp is not asked for a
    /// while, since messages must be accepted all the same.
    pub async fn registered_within(&self, chat: &ChatId, limit: Duration) -> Registered {
        if self.clock.uptime() < *self.unasked_until() {
            return Registered::Unsaid;
        }
        let said = self.clock.timeout(limit, self.registered(chat)).await;
        said.unwrap_or_else(|_| {
            *self.unasked_until() = self.clock.uptime() + UNASKED;
            Registered::Unsaid
        })
    }

    /// Learns with one request the answers that [`Self::registered`] would request one by one.
    pub async fn meet(&self, numbers: &[String], limit: Duration) {
        let mut new = Vec::new();
        for number in numbers {
            let is_known = self.other_numbers().contains_key(number)
                || matches!(
                    self.client.get_lid_pn_entry(&Jid::pn(number)).await,
                    Ok(Some(_))
                );
            if !is_known {
                new.push(number.clone());
            }
        }
        // A single number is requested in its turn.
        if new.len() < 2 || self.clock.uptime() < *self.unasked_until() {
            return;
        }
        match self.check_numbers(&new, limit).await {
            Ok(found) => {
                let others = found
                    .into_iter()
                    .filter(|number| number.exists && number.asked != number.phone);
                others.for_each(|number| self.remember(number.asked, number.phone));
            }
            Err(NotAnswered::Silence(_)) => *self.unasked_until() = self.clock.uptime() + UNASKED,
            Err(_) => {}
        }
    }

    fn remember(&self, asked: String, number: String) {
        let mut known = self.other_numbers();
        if known.len() >= OTHER_NUMBERS {
            known.clear();
        }
        known.insert(asked, number);
    }

    /// Returns the form of a number that WhatsApp knows, where WhatsApp has given another one.
    pub(super) fn other_number(&self, phone: &str) -> Option<String> {
        self.other_numbers().get(phone).cloned()
    }

    fn unasked_until(&self) -> MutexGuard<'_, Duration> {
        self.unasked_until
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }

    fn other_numbers(&self) -> MutexGuard<'_, HashMap<String, String>> {
        self.other_numbers
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
    }
}

/// Registration of a chat's number.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Registered {
    AsAsked,
    /// Under this number, another form of the requested one.
    As(String),
    /// Not on WhatsApp.
    Nobody,
    /// WhatsApp did not say.
    Unsaid,
}

/// Time without requests after WhatsApp did not answer one.
const UNASKED: Duration = Duration::from_secs(60);
/// Most numbers remembered with another form; beyond that, all are requested again.
const OTHER_NUMBERS: usize = 1_000;

/// Converts an answer. `asked`: the requested number, if known.
fn number(it: &IsOnWhatsAppResult, asked: Option<&str>) -> Option<Number> {
    // WhatsApp answers with a LID where it has moved the account.
    let (phone, lid) = match it.jid.is_lid() {
        true => (it.pn_jid.as_ref()?, Some(&it.jid)),
        false => (&it.jid, it.lid.as_ref()),
    };
    let (phone, lid) = (phone.user_base().to_owned(), lid.map(Jid::to_non_ad_string));
    Some(Number {
        asked: asked.unwrap_or(&phone).to_owned(),
        phone,
        exists: it.is_registered,
        lid,
    })
}
