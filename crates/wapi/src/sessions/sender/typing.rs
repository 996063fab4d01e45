//! Typing: the recipient of a text sees the account write it. Nothing has left meanwhile.

use std::time::Duration;

use super::work::{SendWork, WorkResult};
use crate::model::event::TypingState;
use crate::model::message::MessageContent;

/// Time to type a character, and the shortest and the longest time that the account types.
const TYPING_EACH: Duration = Duration::from_millis(50);
const TYPING_TIME: (Duration, Duration) = (Duration::from_secs(1), Duration::from_secs(5));

impl SendWork {
    /// Shows the recipient that the account types, for as long as the text deserves.
    pub async fn type_message(mut self) -> WorkResult {
        let content = self.load_message().await.map(|message| message.content);
        let length = match content {
            Ok(MessageContent::Text { text }) => text.body.chars().count(),
            _ => 0,
        };
        if length > 0
            && let Some(link) = self.session.link()
        {
            // A recipient who does not see it gets the message all the same.
            let _ = link
                .send_chat_state(&self.message.to, TypingState::Composing)
                .await;
            let time = TYPING_EACH.saturating_mul(u32::try_from(length).unwrap_or(u32::MAX));
            let pause = time.clamp(TYPING_TIME.0, TYPING_TIME.1);
            self.deps.clock.sleep(pause).await;
        }
        WorkResult::Typed(self.attempt)
    }
}
