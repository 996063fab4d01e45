//! Profiles: names, about texts and profile pictures; and the account's block list.

use std::time::Duration;

use whatsapp_rust::Jid;
use whatsapp_rust::features::{BlockingError, ContactError, ProfileError};
use whatsapp_rust::http::HttpRequest;

use super::contacts::NumberRegistration;
use super::requests::LinkRequestError;
use crate::model::event::Person;
use crate::model::message::ChatId;
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::notifications::observer::KnownAddresses;
use crate::whatsapp::send::encode;

/// The account's own profile, without its name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct OwnProfile {
    pub about: Option<String>,
    /// Id of the profile picture, if there is one.
    pub picture: Option<String>,
}

/// Size of a profile picture.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PictureSize {
    /// As uploaded.
    Full,
    /// About 96 pixels.
    Preview,
}

/// A profile picture and its temporary location.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RemotePicture {
    /// Changes with the picture.
    pub id: String,
    url: String,
}

/// Result of blocking or unblocking a person.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BlockOutcome {
    Done,
    /// The number is not on WhatsApp.
    NotOnWhatsapp,
    /// Only the LID of the person is known.
    NoNumber,
}

impl Link {
    /// Returns the account's own profile; its name is part of [`Link::account`].
    pub async fn fetch_own_profile(&self, limit: Duration) -> Result<OwnProfile, LinkRequestError> {
        let own = self
            .client
            .pn()
            .ok_or(LinkRequestError::Offline)?
            .to_non_ad();
        let asked = std::slice::from_ref(&own);
        let found = self
            .run_request(limit, self.client.contacts().get_user_info(asked))
            .await?;
        // There is one answer, under either address.
        let Some(found) = found.into_values().next() else {
            return Ok(OwnProfile::default());
        };
        Ok(OwnProfile {
            about: found.status.filter(|about| !about.is_empty()),
            picture: found.picture_id,
        })
    }

    /// Changes the name that others see.
    pub async fn set_name(&self, name: &str, limit: Duration) -> Result<(), LinkRequestError> {
        let profile = self.client.profile();
        // Boxed: the engine's futures are nested too deeply for the compiler.
        let setting = Box::pin(profile.set_push_name(name));
        self.run_request(limit, setting).await
    }

    /// Changes the about text.
    pub async fn set_about(&self, about: &str, limit: Duration) -> Result<(), LinkRequestError> {
        self.run_request(limit, self.client.profile().set_status_text(about))
            .await
    }

    /// Sets the profile picture, a square JPEG; `None` removes it.
    pub async fn set_picture(
        &self,
        jpeg: Option<Vec<u8>>,
        limit: Duration,
    ) -> Result<(), LinkRequestError> {
        let profile = self.client.profile();
        let setting = async {
            match jpeg {
                Some(jpeg) => profile.set_profile_picture(jpeg).await,
                None => profile.remove_profile_picture().await,
            }
        };
        self.run_request(limit, setting).await.map(drop)
    }

    /// Returns a person's profile picture; `None` if there is none or it is hidden from this
    /// account. WhatsApp does not reliably tell these apart.
    pub async fn fetch_picture(
        &self,
        whom: &ChatId,
        size: PictureSize,
        limit: Duration,
    ) -> Result<Option<RemotePicture>, LinkRequestError> {
        let (jid, contacts) = (
            encode::chat_jid(&self.resolve_chat(whom, limit).await),
            self.client.contacts(),
        );
        let found = self
            .run_request(
                limit,
                contacts.get_profile_picture(&jid, size == PictureSize::Preview),
            )
            .await?;
        Ok(found.map(|found| RemotePicture {
            id: found.id,
            url: found.url,
        }))
    }

    /// Downloads a profile picture, a JPEG.
    pub async fn download_picture(
        &self,
        picture: &RemotePicture,
        limit: Duration,
    ) -> Result<Vec<u8>, LinkRequestError> {
        let fetching = self
            .client
            .http_client
            .execute(HttpRequest::get(picture.url.clone()));
        match self.clock.timeout(limit, fetching).await {
            Ok(Ok(answer)) if answer.status_code == 200 => Ok(answer.body),
            Ok(Ok(answer)) => Err(LinkRequestError::Refused(answer.status_code)),
            Ok(Err(_)) => Err(LinkRequestError::Failed),
            Err(_) => Err(LinkRequestError::Timeout(limit)),
        }
    }

    /// Returns the people that the account blocks.
    pub async fn fetch_blocklist(&self, limit: Duration) -> Result<Vec<Person>, LinkRequestError> {
        let listed = self
            .run_request(limit, self.client.blocking().get_blocklist())
            .await?;
        let jids: Vec<Jid> = listed
            .into_iter()
            .map(|entry| entry.jid.to_non_ad())
            .collect();
        let others = KnownAddresses::look_up(
            &self.client,
            jids.iter().map(|jid| (jid.clone(), None)).collect(),
        )
        .await;
        Ok(jids
            .iter()
            .map(|jid| others.build_person(jid, None, None))
            .collect())
    }

    /// Blocks or unblocks a person.
    pub async fn set_blocked(
        &self,
        whom: &ChatId,
        is_blocked: bool,
        limit: Duration,
    ) -> Result<BlockOutcome, LinkRequestError> {
        // WhatsApp requires both addresses; from this answer the engine learns a missing one.
        let jid = match self
            .run_request(limit, async {
                Ok::<_, LinkRequestError>(self.find_registration(whom).await)
            })
            .await?
        {
            NumberRegistration::NotOnWhatsapp => return Ok(BlockOutcome::NotOnWhatsapp),
            NumberRegistration::OtherForm(number) => Jid::pn(&number),
            NumberRegistration::AsRequested | NumberRegistration::Unknown => encode::chat_jid(whom),
        };
        let blocking = self.client.blocking();
        let changing = async {
            let changed = match is_blocked {
                true => blocking.block(&jid).await,
                false => blocking.unblock(&jid).await,
            };
            match changed {
                Err(BlockingError::InvalidJid(_)) => Ok(BlockOutcome::NoNumber),
                changed => changed.map(|()| BlockOutcome::Done),
            }
        };
        self.run_request(limit, changing).await
    }
}

impl From<ContactError> for LinkRequestError {
    fn from(error: ContactError) -> Self {
        match error {
            ContactError::Iq(error) => error.into(),
            _ => Self::Failed,
        }
    }
}

impl From<ProfileError> for LinkRequestError {
    fn from(error: ProfileError) -> Self {
        match error {
            ProfileError::Iq(error) => error.into(),
            _ => Self::Failed,
        }
    }
}

impl From<BlockingError> for LinkRequestError {
    fn from(error: BlockingError) -> Self {
        match error {
            BlockingError::Iq(error) => error.into(),
            _ => Self::Failed,
        }
    }
}
