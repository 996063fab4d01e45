//! Profiles of businesses.

use whatsapp_rust::wacore::iq::business::BusinessProfileSpec;

use crate::model::account::business::{BusinessCategory, BusinessDay, BusinessProfile};
use crate::model::message::ChatId;
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::request_error::RequestError;
use crate::whatsapp::send::encode;

impl Link {
    /// Returns the profile of a business; `None` for people that are none.
    pub async fn fetch_business(
        &self,
        contact: &ChatId,
    ) -> Result<Option<BusinessProfile>, RequestError> {
        let jid = encode::chat_jid(&self.resolve_chat(contact, self.answer_timeout).await);
        let found = self
            .run_request(self.client.execute(BusinessProfileSpec::new(&jid)))
            .await?;
        let given = |text: String| Some(text).filter(|text| !text.is_empty());
        Ok(found.map(|found| BusinessProfile {
            description: given(found.description),
            address: found.address.and_then(given),
            email: found.email.and_then(given),
            websites: found.website,
            categories: found
                .categories
                .into_iter()
                .map(|it| BusinessCategory {
                    id: it.id,
                    name: it.name,
                })
                .collect(),
            timezone: found.business_hours.timezone.and_then(given),
            hours: found
                .business_hours
                .business_config
                .into_iter()
                .flatten()
                .map(|day| BusinessDay {
                    day: day.day_of_week.as_str().to_owned(),
                    mode: day.mode.as_str().to_owned(),
                    open: day.open_time,
                    close: day.close_time,
                })
                .collect(),
        }))
    }
}
