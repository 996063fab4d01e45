//! Disappearing-message timers of chats: setting them, and applying them to messages to send.

use crate::model::event::SendFailure;
use crate::model::message::{ChatId, ChatTimer, Message, MessageContent};
use crate::model::session_name::SessionName;
use crate::sessions::{RequestError, SendError, Sessions};
use crate::store::{DisappearingTimer, Life, SendOutcome};

/// Reasons why a timer was not set.
#[derive(Debug, thiserror::Error)]
pub enum ChatTimerError {
    #[error(transparent)]
    Request(#[from] RequestError),
    #[error(transparent)]
    Send(#[from] SendError),
    #[error("{}", .0.detail)]
    Failed(SendFailure),
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
    ) -> Result<(), ChatTimerError> {
        let life = self.life(name).ok_or(RequestError::Unknown)?;
        match chat {
            ChatId::Group(id) => {
                self.run_request(name, async |link, limit| {
                    link.set_group_timer(id, seconds, limit).await
                })
                .await?;
            }
            // In a chat of two, the change is a message like any other.
            person => {
                let timer = Message::new(MessageContent::Timer {
                    timer: ChatTimer { seconds },
                });
                let (_, _, verdict) = self.send_now(name, person.clone(), timer, None).await?;
                match self
                    .wait_for_outcome(verdict, self.whatsapp_timeout())
                    .await
                {
                    Some(SendOutcome::Sent { .. }) => {}
                    Some(SendOutcome::Failed(failure)) => {
                        return Err(ChatTimerError::Failed(failure));
                    }
                    _ => return Err(ChatTimerError::NoAnswer),
                }
            }
        }
        let chats = self.chat_addresses(name, chat).await;
        let timer = DisappearingTimer {
            seconds,
            set_at: self.inner.deps.clock.now().as_second(),
        };
        Ok(self
            .inner
            .deps
            .store
            .set_chat_timer(&life, &chats, timer)
            .await
            .map_err(RequestError::Store)?)
    }

    /// Applies the chat's timer to a message, if messages of its kind disappear.
    pub(in crate::sessions) fn apply_timer(
        &self,
        life: &Life,
        chat: &ChatId,
        message: Message,
    ) -> Message {
        match message.content.is_standalone() {
            true => {
                let expires_after = self.inner.deps.store.chat_timer(life, &chat.to_string());
                Message {
                    expires_after,
                    ..message
                }
            }
            false => message,
        }
    }
}
