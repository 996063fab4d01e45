//! Chats of an account: their ids, and marking them as read.

use crate::model::event::Person;
use crate::model::message::ChatId;
use crate::model::session_name::SessionName;
use crate::sessions::{SessionError, Sessions, read_elsewhere};
use crate::store::Life;

impl Sessions {
    /// Returns the id of a chat or person in events and in the history, whichever address is given.
    pub async fn resolve_id(
        &self,
        name: &SessionName,
        life: &Life,
        chat: &ChatId,
    ) -> Result<String, SessionError> {
        let named = chat.to_string();
        if !chat.is_person() {
            return Ok(named);
        }
        let other = self.other_address(name, chat).await;
        let addresses = [Some(named.as_str()), other.as_deref()]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>();
        if let Some(id) = self
            .inner
            .deps
            .store
            .identities()
            .find_identity(life, &addresses)
            .await?
        {
            return Ok(id);
        }
        // The person is unknown, so the id is the one that a first event would give: their phone
        // number.
        Ok(match other {
            Some(other) if matches!(chat, ChatId::Lid(_)) => other,
            _ => named,
        })
    }

    /// Returns whether the session receives a history sync, which it did or did not request when it
    /// was created.
    pub fn receives_history(&self, name: &SessionName) -> Result<bool, SessionError> {
        let session = self.find(name).ok_or(SessionError::NotFound)?;
        Ok(session.read_state(|state| state.sync_progress.is_some()))
    }

    /// Sends read receipts for the messages of a chat: for all received so far that were not marked
    /// before, or up to one of them. Returns the number of messages.
    pub async fn mark_read(
        &self,
        name: &SessionName,
        chat: &ChatId,
        up_to: Option<&str>,
    ) -> Result<usize, SessionError> {
        let store = &self.inner.deps.store;
        let life = self.life(name).ok_or(SessionError::NotFound)?;
        let online = self.online(name)?;
        let addresses = online.chat_addresses(chat).await;
        let unread = store
            .inbound()
            .find_unread(&life, &addresses, up_to)
            .await?
            .ok_or(SessionError::MessageNotFound)?;
        let Some(newest) = unread.first() else {
            return Ok(0);
        };
        online.mark_read(&unread).await?;
        store
            .inbound()
            .mark_read(&life, &addresses[0], newest.seq)
            .await?;
        self.emit_chat_read(name, chat, up_to).await?;
        Ok(unread.len())
    }

    /// Emits `chat.updated`, so that the chat's unread count follows.
    async fn emit_chat_read(
        &self,
        name: &SessionName,
        chat: &ChatId,
        up_to: Option<&str>,
    ) -> Result<(), SessionError> {
        let session = self.find(name).ok_or(SessionError::NotFound)?;
        let id = self.resolve_id(name, &session.life(), chat).await?;
        let (phone, lid) = match chat {
            ChatId::Phone(phone) => (Some(phone.clone()), None),
            ChatId::Lid(_) => (None, Some(chat.to_string())),
            ChatId::Group(_) | ChatId::Status | ChatId::Newsletter(_) => (None, None),
        };
        let chat = Person {
            id,
            phone,
            lid,
            ..Person::default()
        };
        session.emit_chat_event(read_elsewhere::chat_read_event(
            &session,
            chat,
            up_to.map(str::to_owned),
        ));
        Ok(())
    }
}
