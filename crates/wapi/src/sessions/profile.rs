//! What callers ask and change of what an account shows of itself, and whom it blocks.

use super::{AskError, SessionName, Sessions};
use crate::event::{Account, Person};
use crate::message::ChatId;
use crate::whatsapp::{Blocking, OwnProfile, Picture, PictureSize};

impl Sessions {
    /// The account's own profile.
    pub async fn profile(&self, name: &SessionName) -> Result<(Account, OwnProfile), AskError> {
        let asking = self.ask_whatsapp(name, async |link, limit| {
            Ok((link.account(), link.own_profile(limit).await?))
        });
        let (account, profile) = asking.await?;
        Ok((account.ok_or(AskError::NotPaired)?, profile))
    }

    /// Changes what of it is given.
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
        // A name is told as part of being there.
        if !session.is_shown() {
            link.look_away();
        }
        Ok(())
    }

    /// Shows a picture, a square JPEG, or none.
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

    /// Somebody's picture, if they show one.
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

    /// Its bytes, a JPEG.
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

    /// Whom the account blocks, each by their one id.
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

    /// Blocks somebody, or lets them through again.
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
