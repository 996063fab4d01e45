//! Disappearing-message timers of chats: setting them, and applying them to messages to send.

use crate::model::message::{ChatId, ChatTimer, Message, MessageContent};
use crate::model::session_name::SessionName;
use crate::sessions::{SessionError, Sessions};
use crate::store::{DisappearingTimer, Life, SendOutcome};
use crate::whatsapp::RequestError;

impl Sessions {
    /// Sets a chat's timer in seconds; 0 turns it off. Returns once WhatsApp has accepted the
    /// change.
    pub async fn set_timer(
        &self,
        name: &SessionName,
        chat: &ChatId,
        seconds: u32,
    ) -> Result<(), SessionError> {
        let life = self.life(name).ok_or(SessionError::NotFound)?;
        match chat {
            ChatId::Group(id) => self.online(name)?.set_group_timer(id, seconds).await?,
            // In a chat of two, the change is a message like any other.
            person => {
                let timer = Message::new(MessageContent::Timer {
                    timer: ChatTimer { seconds },
                });
                let limit = self.whatsapp_timeout();
                let (_, outcome) = self.send_now(name, person.clone(), timer, None).await?;
                match self.wait_for_outcome(outcome, limit).await {
                    Some(SendOutcome::Sent { .. }) => {}
                    Some(SendOutcome::Failed(failure)) => {
                        return Err(SessionError::NotSent(failure));
                    }
                    // It may have been set.
                    _ => return Err(RequestError::Timeout(limit).into()),
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
            .outbox()
            .set_chat_timer(&life, &chats, timer)
            .await?)
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
                let expires_after = self
                    .inner
                    .deps
                    .store
                    .outbox()
                    .chat_timer(life, &chat.to_string());
                Message {
                    expires_after,
                    ..message
                }
            }
            false => message,
        }
    }
}
