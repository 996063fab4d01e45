//! Posting of statuses, which WhatsApp shows for a day.

use std::time::Duration;

use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::{Jid, StatusPrivacySetting, StatusSendOptions};

use super::handover::HandoverError;
use crate::model::message::ChatId;
use crate::model::send_failure::SendFailure;
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::queries::contacts::NumberRegistration;
use crate::whatsapp::request_error::RequestError;

impl Link {
    /// Hands a status over, encrypted for all devices of its audience and of the account itself.
    pub(in crate::whatsapp) async fn post_status(
        &self,
        status: wa::Message,
        audience: &[Jid],
        id: &str,
        limit: Duration,
    ) -> Result<(), HandoverError> {
        let audience = self
            .clock
            .timeout(limit, self.resolve_audience(audience, limit))
            .await
            .map_err(|_| HandoverError::Offline)??;
        // The other half is left for the status itself.
        let _ = self
            .clock
            .timeout(limit / 2, self.create_stranger_sessions(&audience))
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
            Ok(Err(error)) => Err(self.classify_error(error, &ChatId::Status)),
            Err(_) => Err(HandoverError::Unconfirmed),
        }
    }

    /// Returns the audience by the numbers that WhatsApp knows. Looks up unknown LIDs: a status is
    /// encrypted for LIDs alone, and the engine leaves out people without one.
    async fn resolve_audience(
        &self,
        audience: &[Jid],
        limit: Duration,
    ) -> Result<Vec<Jid>, HandoverError> {
        let numbers: Vec<_> = audience
            .iter()
            .filter(|it| it.is_pn())
            .map(|it| it.user_base().to_owned())
            .collect();
        self.prefetch_registrations(&numbers, limit).await;
        let mut known: Vec<Jid> = Vec::with_capacity(audience.len());
        for person in audience {
            let person =
                match !person.is_pn() || self.is_own_number(person) || self.has_lid(person).await {
                    true => person.clone(),
                    false => self.resolve_person(person).await?,
                };
            if !known.contains(&person) {
                known.push(person);
            }
        }
        Ok(known)
    }

    /// Returns a person without a known LID by the number that WhatsApp answers with.
    async fn resolve_person(&self, person: &Jid) -> Result<Jid, HandoverError> {
        let user = person.user_base();
        let known = match self.other_number(user) {
            Some(number) => NumberRegistration::OtherForm(number),
            None => {
                self.query_registration(user).await.map_err(|error| {
                    match RequestError::from(error) {
                        RequestError::Offline | RequestError::Timeout(_) => HandoverError::Offline,
                        RequestError::Failed if !self.client.is_logged_in() => {
                            HandoverError::Offline
                        }
                        error => HandoverError::Failed(error.to_string()),
                    }
                })?
            }
        };
        let person = match known {
            NumberRegistration::NotOnWhatsapp => {
                return Err(HandoverError::Rejected(SendFailure::NotOnWhatsapp));
            }
            NumberRegistration::OtherForm(number) => Jid::pn(&number),
            NumberRegistration::AsRequested | NumberRegistration::Unknown => person.clone(),
        };
        match self.is_own_number(&person) || self.has_lid(&person).await {
            true => Ok(person),
            false => Err(HandoverError::Failed(
                "a recipient of a status has no LID".to_owned(),
            )),
        }
    }

    async fn has_lid(&self, person: &Jid) -> bool {
        matches!(self.client.get_lid_pn_entry(person).await, Ok(Some(_)))
    }
}
