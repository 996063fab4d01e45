//! Profiles: names, about texts and profile pictures; and the account's block list.

pub mod business;
pub mod devices;
pub mod privacy;

use whatsapp_rust::Jid;
use whatsapp_rust::features::BlockingError;
use whatsapp_rust::http::HttpRequest;

use crate::model::event::Person;
use crate::model::message::ChatId;
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::notifications::observer::KnownAddresses;
use crate::whatsapp::queries::contacts::NumberRegistration;
use crate::whatsapp::request_error::RequestError;
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
    pub async fn fetch_own_profile(&self) -> Result<OwnProfile, RequestError> {
        let own = self.client.pn().ok_or(RequestError::Offline)?.to_non_ad();
        let request = std::slice::from_ref(&own);
        let found = self
            .run_request(self.client.contacts().get_user_info(request))
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
    pub async fn set_name(&self, name: &str) -> Result<(), RequestError> {
        let profile = self.client.profile();
        // Boxed: the engine's futures are nested too deeply for the compiler.
        let setting = Box::pin(profile.set_push_name(name));
        self.run_request(setting).await
    }

    /// Changes the about text.
    pub async fn set_about(&self, about: &str) -> Result<(), RequestError> {
        self.run_request(self.client.profile().set_status_text(about))
            .await
    }

    /// Sets the profile picture, a square JPEG; `None` removes it.
    pub async fn set_picture(&self, jpeg: Option<Vec<u8>>) -> Result<(), RequestError> {
        let profile = self.client.profile();
        let setting = async {
            match jpeg {
                Some(jpeg) => profile.set_profile_picture(jpeg).await,
                None => profile.remove_profile_picture().await,
            }
        };
        self.run_request(setting).await.map(drop)
    }

    /// Returns a person's profile picture; `None` if there is none or it is hidden from this
    /// account. WhatsApp does not reliably tell these apart.
    pub async fn fetch_picture(
        &self,
        chat: &ChatId,
        size: PictureSize,
    ) -> Result<Option<RemotePicture>, RequestError> {
        let (jid, contacts) = (
            encode::chat_jid(&self.resolve_chat(chat, self.answer_timeout).await),
            self.client.contacts(),
        );
        let found = self
            .run_request(contacts.get_profile_picture(&jid, size == PictureSize::Preview))
            .await?;
        Ok(found.map(|found| RemotePicture {
            id: found.id,
            url: found.url,
        }))
    }

    /// Downloads a profile picture, a JPEG.
    pub async fn download_picture(&self, picture: &RemotePicture) -> Result<Vec<u8>, RequestError> {
        let fetching = self
            .client
            .http_client
            .execute(HttpRequest::get(picture.url.clone()));
        match self.clock.timeout(self.answer_timeout, fetching).await {
            Ok(Ok(answer)) if answer.status_code == 200 => Ok(answer.body),
            Ok(Ok(answer)) => Err(RequestError::Refused(answer.status_code)),
            Ok(Err(_)) => Err(RequestError::Failed),
            Err(_) => Err(RequestError::Timeout(self.answer_timeout)),
        }
    }

    /// Returns the people that the account blocks.
    pub async fn fetch_blocklist(&self) -> Result<Vec<Person>, RequestError> {
        let listed = self
            .run_request(self.client.blocking().get_blocklist())
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
        chat: &ChatId,
        is_blocked: bool,
    ) -> Result<BlockOutcome, RequestError> {
        // WhatsApp requires both addresses; from this answer the engine learns a missing one.
        let jid = match self
            .run_request(async { Ok::<_, RequestError>(self.find_registration(chat).await) })
            .await?
        {
            NumberRegistration::NotOnWhatsapp => return Ok(BlockOutcome::NotOnWhatsapp),
            NumberRegistration::OtherForm(number) => Jid::pn(&number),
            NumberRegistration::AsRequested | NumberRegistration::Unknown => encode::chat_jid(chat),
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
        self.run_request(changing).await
    }
}
