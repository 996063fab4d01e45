//! Requests to WhatsApp about the account's own profile, profile pictures, and blocked contacts.

use crate::model::event::{Account, Person};
use crate::model::message::ChatId;
use crate::model::session_name::SessionName;
use crate::sessions::{RequestError, Sessions};
use crate::whatsapp::{BlockOutcome, OwnProfile, PictureSize, RemotePicture};

impl Sessions {
    /// Returns the account's own profile.
    pub async fn own_profile(
        &self,
        name: &SessionName,
    ) -> Result<(Account, OwnProfile), RequestError> {
        let asking = self.run_request(name, async |link, limit| {
            Ok((link.account(), link.fetch_own_profile(limit).await?))
        });
        let (account, profile) = asking.await?;
        Ok((account.ok_or(RequestError::NotPaired)?, profile))
    }

    /// Changes the given parts of the profile.
    pub async fn set_profile(
        &self,
        name: &SessionName,
        called: Option<&str>,
        about: Option<&str>,
    ) -> Result<(), RequestError> {
        if let Some(about) = about {
            self.run_request(name, async |link, limit| link.set_about(about, limit).await)
                .await?;
        }
        let Some(called) = called else { return Ok(()) };
        let link = self.run_request(name, async |link, limit| {
            link.set_name(called, limit).await.map(|()| link)
        });
        let (link, session) = (link.await?, self.find(name).ok_or(RequestError::Unknown)?);
        session.update_state(|state| state.account = link.account());
        // WhatsApp receives a name as part of the presence, so the account has been shown as
        // available.
        if !session.is_available() {
            link.show_unavailable();
        }
        Ok(())
    }

    /// Sets the profile picture, a square JPEG, or removes it.
    pub async fn set_profile_picture(
        &self,
        name: &SessionName,
        jpeg: Option<Vec<u8>>,
    ) -> Result<(), RequestError> {
        self.run_request(name, async |link, limit| {
            link.set_picture(jpeg, limit).await
        })
        .await
    }

    /// Returns a contact's profile picture, if they show one.
    pub async fn find_picture(
        &self,
        name: &SessionName,
        whom: &ChatId,
        size: PictureSize,
    ) -> Result<Option<RemotePicture>, RequestError> {
        self.run_request(name, async |link, limit| {
            link.fetch_picture(whom, size, limit).await
        })
        .await
    }

    /// Downloads a picture, a JPEG.
    pub async fn download_picture(
        &self,
        name: &SessionName,
        picture: &RemotePicture,
    ) -> Result<Vec<u8>, RequestError> {
        self.run_request(name, async |link, limit| {
            link.download_picture(picture, limit).await
        })
        .await
    }

    /// Lists blocked contacts, each by their stable id.
    pub async fn list_blocked(&self, name: &SessionName) -> Result<Vec<Person>, RequestError> {
        let life = self.life(name).ok_or(RequestError::Unknown)?;
        let mut blocked = self
            .run_request(name, async |link, limit| link.fetch_blocklist(limit).await)
            .await?;
        for person in &mut blocked {
            if let Ok(address) = ChatId::parse(&person.id) {
                person.id = self.resolve_id(name, &life, &address).await?;
            }
        }
        Ok(blocked)
    }

    /// Blocks or unblocks a contact.
    pub async fn set_blocked(
        &self,
        name: &SessionName,
        whom: &ChatId,
        is_blocked: bool,
    ) -> Result<BlockOutcome, RequestError> {
        self.run_request(name, async |link, limit| {
            link.set_blocked(whom, is_blocked, limit).await
        })
        .await
    }
}
