//! What accounts show of themselves: names, about texts, pictures; and whom this one blocks.

use std::time::Duration;

use whatsapp_rust::Jid;
use whatsapp_rust::features::{BlockingError, ContactError, ProfileError};
use whatsapp_rust::http::HttpRequest;

use super::asking::NotAnswered;
use super::link::Link;
use super::numbers::Registered;
use super::observer::Others;
use super::outgoing;
use crate::event::Person;
use crate::message::ChatId;

/// What an account's own profile says besides its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnProfile {
    pub about: Option<String>,
    /// The id of its picture, if it shows one.
    pub picture: Option<String>,
}

/// How large a picture is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureSize {
    /// As it was set.
    Full,
    /// 96 pixels or so.
    Preview,
}

/// Where somebody's picture is, for a while.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Picture {
    /// Another one when they change it.
    pub id: String,
    url: String,
}

/// What became of the wish to block somebody, or of taking it back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Blocking {
    Done,
    /// Nobody has this number.
    Nobody,
    /// They are known by their LID alone.
    NoNumber,
}

impl Link {
    /// What the account's own profile says; its name is part of [`Link::account`].
    pub async fn own_profile(&self, limit: Duration) -> Result<OwnProfile, NotAnswered> {
        let own = self.client.pn().ok_or(NotAnswered::Offline)?.to_non_ad();
        let asked = std::slice::from_ref(&own);
        let found = self
            .asked(limit, self.client.contacts().get_user_info(asked))
            .await?;
        // There is one answer, by whichever address.
        let Some(found) = found.into_values().next() else {
            return Ok(OwnProfile::default());
        };
        Ok(OwnProfile {
            about: found.status.filter(|about| !about.is_empty()),
            picture: found.picture_id,
        })
    }

    /// Changes the name that others see.
    pub async fn sets_name(&self, name: &str, limit: Duration) -> Result<(), NotAnswered> {
        let profile = self.client.profile();
        // In a box of its own: the engine's futures are too deep for what is around them.
        let setting = Box::pin(profile.set_push_name(name));
        self.asked(limit, setting).await
    }

    /// Changes the text below it.
    pub async fn sets_about(&self, about: &str, limit: Duration) -> Result<(), NotAnswered> {
        self.asked(limit, self.client.profile().set_status_text(about))
            .await
    }

    /// Shows a picture, a square JPEG, or none.
    pub async fn sets_picture(
        &self,
        jpeg: Option<Vec<u8>>,
        limit: Duration,
    ) -> Result<(), NotAnswered> {
        let profile = self.client.profile();
        let setting = async {
            match jpeg {
                Some(jpeg) => profile.set_profile_picture(jpeg).await,
                None => profile.remove_profile_picture().await,
            }
        };
        self.asked(limit, setting).await.map(drop)
    }

    /// Somebody's picture; `None` if they have none, or do not show it to this account. WhatsApp does not tell these apart for sure.
    pub async fn picture(
        &self,
        whom: &ChatId,
        size: PictureSize,
        limit: Duration,
    ) -> Result<Option<Picture>, NotAnswered> {
        let (jid, contacts) = (
            outgoing::jid(&self.known_as(whom, limit).await),
            self.client.contacts(),
        );
        let found = self
            .asked(
                limit,
                contacts.get_profile_picture(&jid, size == PictureSize::Preview),
            )
            .await?;
        Ok(found.map(|found| Picture {
            id: found.id,
            url: found.url,
        }))
    }

    /// The bytes of a picture, a JPEG.
    pub async fn picture_bytes(
        &self,
        picture: &Picture,
        limit: Duration,
    ) -> Result<Vec<u8>, NotAnswered> {
        let fetching = self
            .client
            .http_client
            .execute(HttpRequest::get(picture.url.clone()));
        match self.clock.timeout(limit, fetching).await {
            Ok(Ok(answer)) if answer.status_code == 200 => Ok(answer.body),
            Ok(Ok(answer)) => Err(NotAnswered::Refused(answer.status_code)),
            Ok(Err(_)) => Err(NotAnswered::Failed),
            Err(_) => Err(NotAnswered::Silence(limit)),
        }
    }

    /// Whom the account blocks.
    pub async fn blocked(&self, limit: Duration) -> Result<Vec<Person>, NotAnswered> {
        let listed = self
            .asked(limit, self.client.blocking().get_blocklist())
            .await?;
        let jids: Vec<Jid> = listed
            .into_iter()
            .map(|entry| entry.jid.to_non_ad())
            .collect();
        let others = Others::of(
            &self.client,
            jids.iter().map(|jid| (jid.clone(), None)).collect(),
        )
        .await;
        Ok(jids
            .iter()
            .map(|jid| others.person(jid, None, None))
            .collect())
    }

    /// Blocks somebody, or lets them through again.
    pub async fn blocks(
        &self,
        whom: &ChatId,
        is_blocked: bool,
        limit: Duration,
    ) -> Result<Blocking, NotAnswered> {
        // WhatsApp wants both addresses; where the engine does not know both, the answer to this teaches it.
        let jid = match self
            .asked(limit, async {
                Ok::<_, NotAnswered>(self.registered(whom).await)
            })
            .await?
        {
            Registered::Nobody => return Ok(Blocking::Nobody),
            Registered::As(number) => Jid::pn(&number),
            Registered::AsAsked | Registered::Unsaid => outgoing::jid(whom),
        };
        let blocking = self.client.blocking();
        let changing = async {
            let changed = match is_blocked {
                true => blocking.block(&jid).await,
                false => blocking.unblock(&jid).await,
            };
            match changed {
                Err(BlockingError::InvalidJid(_)) => Ok(Blocking::NoNumber),
                changed => changed.map(|()| Blocking::Done),
            }
        };
        self.asked(limit, changing).await
    }
}

impl From<ContactError> for NotAnswered {
    fn from(error: ContactError) -> Self {
        match error {
            ContactError::Iq(error) => error.into(),
            _ => Self::Failed,
        }
    }
}

impl From<ProfileError> for NotAnswered {
    fn from(error: ProfileError) -> Self {
        match error {
            ProfileError::Iq(error) => error.into(),
            _ => Self::Failed,
        }
    }
}

impl From<BlockingError> for NotAnswered {
    fn from(error: BlockingError) -> Self {
        match error {
            BlockingError::Iq(error) => error.into(),
            _ => Self::Failed,
        }
    }
}
