//! The account's own profile and presence, and the contacts that it blocks.

use crate::model::event::{Account, Person, Presence};
use crate::model::message::ChatId;
use crate::model::session_name::SessionName;
use crate::sessions::{SessionError, Sessions};
use crate::whatsapp::OwnProfile;

impl Sessions {
    /// Returns the account's own profile.
    pub async fn own_profile(
        &self,
        name: &SessionName,
    ) -> Result<(Account, OwnProfile), SessionError> {
        let online = self.online(name)?;
        let profile = online.fetch_own_profile().await?;
        Ok((online.account().ok_or(SessionError::NotPaired)?, profile))
    }

    /// Changes the given parts of the profile.
    pub async fn set_profile(
        &self,
        name: &SessionName,
        called: Option<&str>,
        about: Option<&str>,
    ) -> Result<(), SessionError> {
        let online = self.online(name)?;
        if let Some(about) = about {
            online.set_about(about).await?;
        }
        let Some(called) = called else { return Ok(()) };
        online.set_name(called).await?;
        online
            .session
            .update_state(|state| state.account = online.account());
        // WhatsApp receives a name as part of the presence, so the account has been shown as
        // available.
        if !online.session.is_available() {
            online.show_unavailable();
        }
        Ok(())
    }

    /// Shows the account as available or unavailable, now and after each reconnect.
    pub async fn set_presence(
        &self,
        name: &SessionName,
        presence: Presence,
    ) -> Result<(), SessionError> {
        let online = self.online(name)?;
        let session = &online.session;
        let before = session.is_available();
        // Set first, so that a login at this very moment does the same.
        session.set_available(presence == Presence::Available);
        let shown = online.set_presence(presence).await;
        if shown.is_err() {
            session.set_available(before);
        }
        Ok(shown?)
    }

    /// Lists blocked contacts, each by their stable id.
    pub async fn list_blocked(&self, name: &SessionName) -> Result<Vec<Person>, SessionError> {
        let online = self.online(name)?;
        let life = online.session.life();
        let mut blocked = online.fetch_blocklist().await?;
        for person in &mut blocked {
            if let Ok(address) = ChatId::parse(&person.id) {
                person.id = self.resolve_id(name, &life, &address).await?;
            }
        }
        Ok(blocked)
    }
}
