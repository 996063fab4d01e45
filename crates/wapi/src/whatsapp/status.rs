//! Posts what is shown for a day.

use std::time::Duration;

use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::{IsOnWhatsAppResult, Jid, StatusPrivacySetting, StatusSendOptions};

use super::link::Link;
use super::sending::NotHandedOver;
use crate::message::ChatId;

impl Link {
    /// Hands a status over, sealed for all devices of its audience and of the account itself.
    pub(super) async fn post(
        &self,
        status: wa::Message,
        audience: &[Jid],
        id: &str,
        limit: Duration,
    ) -> Result<(), NotHandedOver> {
        self.clock.timeout(limit, self.know(audience)).await.map_err(|_| NotHandedOver::Offline)??;
        let options = StatusSendOptions {
            // That is what phones call a list of people who were chosen.
            privacy: StatusPrivacySetting::AllowList,
            message_id: Some(id.to_owned()),
            ..StatusSendOptions::default()
        };
        // Boxed, since the engine's own futures are nested so deeply that the compiler gives up on what contains them.
        let statuses = self.client.status();
        let posting = Box::pin(statuses.send_raw(status, audience, options));
        match self.clock.timeout(limit, posting).await {
            Ok(Ok(_)) => Ok(()),
            Ok(Err(error)) => Err(self.reason(error, &ChatId::Status)),
            Err(_) => Err(NotHandedOver::Unclear),
        }
    }

    /// Looks up the LIDs that are not known yet: a status is sealed for LIDs alone, and the engine leaves out whoever has none.
    async fn know(&self, audience: &[Jid]) -> Result<(), NotHandedOver> {
        let mut unknown = Vec::new();
        for person in audience.iter().filter(|person| person.is_pn()) {
            if !self.is_ours(person) && !self.has_lid(person).await {
                unknown.push(person.clone());
            }
        }
        if unknown.is_empty() {
            return Ok(());
        }
        let found = self.client.contacts().is_on_whatsapp(&unknown).await;
        let found = found.map_err(|_| NotHandedOver::Offline)?;
        for person in &unknown {
            let about = |it: &&IsOnWhatsAppResult| it.jid.user_base() == person.user_base();
            let found = found.iter().find(about);
            if found.is_some_and(|it| !it.is_registered && it.contact_error.is_none()) {
                return Err(NotHandedOver::NotOnWhatsapp);
            }
            if !self.has_lid(person).await {
                return Err(NotHandedOver::Failed("somebody who shall see a status has no LID".to_owned()));
            }
        }
        Ok(())
    }

    async fn has_lid(&self, person: &Jid) -> bool {
        matches!(self.client.get_lid_pn_entry(person).await, Ok(Some(_)))
    }
}
