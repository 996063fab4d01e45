//! Disappearing-message timers of chats: setting them, and applying them to messages to send.

use super::{AskError, SendError, SessionName, Sessions};
use crate::event::Failure;
use crate::message::{ChatId, ChatTimer, Content, Message};
use crate::store::{Life, Timer, Verdict};

/// Reasons why a timer was not set.
#[derive(Debug, thiserror::Error)]
pub enum NotSet {
    #[error(transparent)]
    NotAsked(#[from] AskError),
    #[error(transparent)]
    NotSent(#[from] SendError),
    #[error("{}", .0.detail)]
    Failed(Failure),
    /// It may have been set.
    #[error("WhatsApp did not answer in time")]
    NoAnswer,
}

impl Sessions {
    /// Sets a chat's timer in seconds; 0 turns it off. Returns once WhatsApp has accepted the
    /// change.
    pub async fn set_timer(
        &self,
        name: &SessionName,
        chat: &ChatId,
        seconds: u32,
    ) -> Result<(), NotSet> {
        let life = self.life(name).ok_or(AskError::Unknown)?;
        match chat {
            ChatId::Group(id) => {
                self.ask_whatsapp(name, async |link, limit| {
                    link.sets_group_timer(id, seconds, limit).await
                })
                .await?;
            }
            // In a chat of two, the change is a message like any other.
            person => {
                let timer = Message::new(Content::Timer {
                    timer: ChatTimer { seconds },
                });
                let (_, _, verdict) = self.send_now(name, person.clone(), timer, None).await?;
                match self.verdict(verdict, self.whatsapp_timeout()).await {
                    Some(Verdict::Sent { .. }) => {}
                    Some(Verdict::Failed(failure)) => return Err(NotSet::Failed(failure)),
                    _ => return Err(NotSet::NoAnswer),
                }
            }
        }
        let chats = self.addresses(name, chat).await;
        let timer = Timer {
            seconds,
            set_at: self.inner.around.clock.now().as_second(),
        };
        Ok(self
            .inner
            .around
            .store
            .set_timer(&life, &chats, timer)
            .await
            .map_err(AskError::Store)?)
    }

    /// Applies the chat's timer to a message, if messages of its kind disappear.
    pub(super) fn timed(&self, life: &Life, chat: &ChatId, message: Message) -> Message {
        match message.content.stands_alone() {
            true => {
                let expires_after = self.inner.around.store.timer(life, &chat.to_string());
                Message {
                    expires_after,
                    ..message
                }
            }
            false => message,
        }
    }
}
