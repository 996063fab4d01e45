//! After how long the messages of a chat disappear: set it, and know it when a message is sent.

use super::{AskError, SendError, SessionName, Sessions};
use crate::event::Failure;
use crate::message::{ChatId, ChatTimer, Content, Message};
use crate::store::{Life, Timer, Verdict};

/// Why a timer was not set.
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
    /// Sets after how many seconds the messages of a chat disappear; 0: they stay. WhatsApp has taken it when this is done.
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
            // In a chat of two it is a message like others.
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

    /// A message as it leaves for a chat: it disappears where others do.
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
