//! Older messages of a chat, asked of the account's phone.

use crate::model::message::ChatId;
use crate::store::history::OldestMessage;
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::request_error::{RequestError, request_failed};
use crate::whatsapp::send::encode;

impl Link {
    /// Asks the phone for messages of a chat before this one. They come as a chunk of a history
    /// sync; a phone that is off answers when it is back.
    pub async fn request_older_messages(
        &self,
        chat: &ChatId,
        oldest: &OldestMessage,
        count: u32,
    ) -> Result<(), RequestError> {
        let jid = encode::chat_jid(&self.resolve_chat(chat, self.answer_timeout).await);
        let OldestMessage { id, from_me, at } = oldest;
        let count = i32::try_from(count).unwrap_or(i32::MAX);
        // Boxed: the engine's futures are nested too deeply for the compiler.
        let asking = Box::pin(self.client.fetch_message_history(
            &jid,
            id,
            *from_me,
            at.as_millisecond(),
            count,
        ));
        self.run_request(async { asking.await.map(drop).map_err(request_failed) })
            .await
    }
}
