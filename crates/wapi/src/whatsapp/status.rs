//! Posting of statuses, which WhatsApp shows for a day.

use std::time::Duration;

use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::{Jid, StatusPrivacySetting, StatusSendOptions};

use super::link::Link;
use super::numbers::Registered;
use super::sending::NotHandedOver;
use crate::message::ChatId;

impl Link {
    /// Hands a status over, encrypted for all devices of its audience and of the account itself.
    pub(super) async fn post(
        &self,
        status: wa::Message,
        audience: &[Jid],
        id: &str,
        limit: Duration,
    ) -> Result<(), NotHandedOver> {
        let audience = self
            .clock
            .timeout(limit, self.know(audience, limit))
            .await
            .map_err(|_| NotHandedOver::Offline)??;
        // The other half is left for the status itself.
        let _ = self
            .clock
            .timeout(limit / 2, self.meet_strangers(&audience))
            .await;
        let options = StatusSendOptions {
            // The name that phones use for a list of chosen people.
            privacy: StatusPrivacySetting::AllowList,
            message_id: Some(id.to_owned()),
            ..StatusSendOptions::default()
        };
        // Boxed: the engine's futures are nested too deeply for the compiler.
        let statuses = self.client.status();
        let posting = Box::pin(statuses.send_raw(status, &audience, options));
        match self.clock.timeout(limit, posting).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.reason(error, &ChatId::Status)),
            Err(_) => Err(NotHandedOver::Unclear),
        }
    }

    /// Returns the audience by the numbers that WhatsApp knows. Looks up unknown LIDs: a status is
    /// encrypted for LIDs alone, and the engine leaves out people without one.
    async fn know(&self, audience: &[Jid], limit: Duration) -> Result<Vec<Jid>, NotHandedOver> {
        let numbers: Vec<_> = audience
            .iter()
            .filter(|it| it.is_pn())
            .map(|it| it.user_base().to_owned())
            .collect();
        self.meet(&numbers, limit).await;
        let mut known: Vec<Jid> = Vec::with_capacity(audience.len());
        for person in audience {
            let person = match !person.is_pn() || self.is_ours(person) || self.has_lid(person).await
            {
                true => person.clone(),
                false => self.registered_person(person).await?,
            };
            if !known.contains(&person) {
                known.push(person);
            }
        }
        Ok(known)
    }

    /// Returns a person without a known LID by the number that WhatsApp answers with.
    async fn registered_person(&self, person: &Jid) -> Result<Jid, NotHandedOver> {
        let asked = person.user_base();
        let known = match self.other_number(asked) {
            Some(number) => Registered::As(number),
            None => self
                .said_of(asked)
                .await
                .map_err(|_| NotHandedOver::Offline)?,
        };
        let person = match known {
            Registered::Nobody => return Err(NotHandedOver::NotOnWhatsapp),
            Registered::As(number) => Jid::pn(&number),
            Registered::AsAsked | Registered::Unsaid => person.clone(),
        };
        match self.is_ours(&person) || self.has_lid(&person).await {
            true => Ok(person),
            false => Err(NotHandedOver::Failed(
                "somebody who shall see a status has no LID".to_owned(),
            )),
        }
    }

    async fn has_lid(&self, person: &Jid) -> bool {
        matches!(self.client.get_lid_pn_entry(person).await, Ok(Some(_)))
    }
}
