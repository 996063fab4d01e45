//! Requests to WhatsApp about the account's own profile, profile pictures, and blocked contacts.

use super::{AskError, SessionName, Sessions};
use crate::event::{Account, Person};
use crate::message::ChatId;
use crate::whatsapp::{Blocking, OwnProfile, Picture, PictureSize};

impl Sessions {
    /// Returns the account's own profile.
    pub async fn profile(&self, name: &SessionName) -> Result<(Account, OwnProfile), AskError> {
        let asking = self.ask_whatsapp(name, async |link, limit| {
            Ok((link.account(), link.own_profile(limit).await?))
        });
        let (account, profile) = asking.await?;
        Ok((account.ok_or(AskError::NotPaired)?, profile))
    }

    /// Changes the given parts of the profile.
    pub async fn set_profile(
        &self,
        name: &SessionName,
        called: Option<&str>,
        about: Option<&str>,
    ) -> Result<(), AskError> {
        if let Some(about) = about {
            self.ask_whatsapp(name, async |link, limit| {
                link.sets_about(about, limit).await
            })
            .await?;
        }
        let Some(called) = called else { return Ok(()) };
        let link = self.ask_whatsapp(name, async |link, limit| {
            link.sets_name(called, limit).await.map(|()| link)
        });
        let (link, session) = (link.await?, self.find(name).ok_or(AskError::Unknown)?);
        session.update(|state| state.account = link.account());
        // WhatsApp receives a name as part of the presence, so the account has been shown as
        // available.
        if !session.is_shown() {
            link.look_away();
        }
        Ok(())
    }

    /// Sets the profile picture, a square JPEG, or removes it.
    pub async fn set_picture(
        &self,
        name: &SessionName,
        jpeg: Option<Vec<u8>>,
    ) -> Result<(), AskError> {
        self.ask_whatsapp(name, async |link, limit| {
            link.sets_picture(jpeg, limit).await
        })
        .await
    }

    /// Returns a contact's profile picture, if they show one.
    pub async fn picture(
        &self,
        name: &SessionName,
        whom: &ChatId,
        size: PictureSize,
    ) -> Result<Option<Picture>, AskError> {
        self.ask_whatsapp(name, async |link, limit| {
            link.picture(whom, size, limit).await
        })
        .await
    }

    /// Downloads a picture, a JPEG.
    pub async fn picture_bytes(
        &self,
        name: &SessionName,
        picture: &Picture,
    ) -> Result<Vec<u8>, AskError> {
        self.ask_whatsapp(name, async |link, limit| {
            link.picture_bytes(picture, limit).await
        })
        .await
    }

    /// Lists blocked contacts, each by their stable id.
    pub async fn blocked(&self, name: &SessionName) -> Result<Vec<Person>, AskError> {
        let life = self.life(name).ok_or(AskError::Unknown)?;
        let mut blocked = self
            .ask_whatsapp(name, async |link, limit| link.blocked(limit).await)
            .await?;
        for person in &mut blocked {
            if let Ok(address) = ChatId::parse(&person.id) {
                person.id = self.id_of(name, &life, &address).await?;
            }
        }
        Ok(blocked)
    }

    /// Blocks or unblocks a contact.
    pub async fn block(
        &self,
        name: &SessionName,
        whom: &ChatId,
        is_blocked: bool,
    ) -> Result<Blocking, AskError> {
        self.ask_whatsapp(name, async |link, limit| {
            link.blocks(whom, is_blocked, limit).await
        })
        .await
    }
}
