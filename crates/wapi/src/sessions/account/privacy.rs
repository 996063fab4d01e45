//! The account's privacy settings, with people by their stable ids.

use crate::model::account::privacy::{AccountPrivacy, PrivacyValue};
use crate::model::event::Person;
use crate::model::message::ChatId;
use crate::model::session_name::SessionName;
use crate::sessions::{SessionError, Sessions};

impl Sessions {
    /// Returns the account's privacy settings.
    pub async fn show_privacy(
        &self,
        name: &SessionName,
    ) -> Result<AccountPrivacy<Person>, SessionError> {
        let online = self.online(name)?;
        let life = online.session.life();
        let mut privacy = online.fetch_privacy().await?;
        for value in privacy.topics.values_mut() {
            let PrivacyValue::Except(people) = value else {
                continue;
            };
            for person in people {
                if let Ok(address) = ChatId::parse(&person.id) {
                    person.id = self.resolve_id(name, &life, &address).await?;
                }
            }
        }
        Ok(privacy)
    }
}
