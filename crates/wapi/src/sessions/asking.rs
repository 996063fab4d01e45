//! Requests to WhatsApp through a session that is online, besides sending: groups, chats, presence,
//! calls.

use std::sync::Arc;
use std::time::Duration;

use super::{SessionName, SessionState, Sessions, Status, reading};
use crate::event::{ChatChange, Group, Person, Presence, Typing};
use crate::identity;
use crate::message::ChatId;
use crate::store::{Life, StoreError};
use crate::whatsapp::{Link, NotAnswered, Number};

/// Reasons why a request to WhatsApp failed.
#[derive(Debug, thiserror::Error)]
pub enum AskError {
    #[error("there is no session of this name")]
    Unknown,
    #[error("no phone has linked the session")]
    NotPaired,
    #[error("the session is not online")]
    NotOnline {
        status: Status,
        reason: Option<String>,
    },
    /// There is no such message in the chat.
    #[error("no such message was received in this chat")]
    NoMessage,
    #[error(transparent)]
    NotAnswered(NotAnswered),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Sessions {
    /// Lists the groups of the session's account, each with its address.
    pub async fn groups(&self, name: &SessionName) -> Result<Vec<(String, Group)>, AskError> {
        let mut groups = self
            .ask_whatsapp(name, async |link, limit| link.groups(limit).await)
            .await?;
        for (_, group) in &mut groups {
            self.name_members(name, group).await?;
        }
        Ok(groups)
    }

    /// Returns one group, by the part of its address before `@g.us`.
    pub async fn group(&self, name: &SessionName, id: &str) -> Result<Group, AskError> {
        let mut group = self
            .ask_whatsapp(name, async |link, limit| link.group(id, limit).await)
            .await?;
        self.name_members(name, &mut group).await?;
        Ok(group)
    }

    /// Resolves the group's members to their stable ids.
    async fn name_members(&self, name: &SessionName, group: &mut Group) -> Result<(), StoreError> {
        let life = self.life(name);
        let life = life.ok_or_else(|| StoreError::new("the session is being removed"))?;
        identity::mention_all(&self.inner.around.store, &life, group.people_mut()).await
    }

    /// Returns the id of a chat or person in events and in the history, whichever address is given.
    pub async fn id_of(
        &self,
        name: &SessionName,
        life: &Life,
        chat: &ChatId,
    ) -> Result<String, AskError> {
        let named = chat.to_string();
        if !chat.is_person() {
            return Ok(named);
        }
        let other = self.other_address(name, chat).await;
        let addresses = [Some(named.as_str()), other.as_deref()]
            .into_iter()
            .flatten()
            .collect::<Vec<_>>();
        if let Some(id) = self.inner.around.store.known_id(life, &addresses).await? {
            return Ok(id);
        }
        // The person is unknown, so the id is the one that a first event would give: their phone
        // number.
        Ok(match other {
            Some(other) if matches!(chat, ChatId::Lid(_)) => other,
            _ => named,
        })
    }

    /// Sends read receipts for the messages of a chat: for all received so far that were not marked
    /// before, or up to one of them. Returns the number of messages.
    pub async fn mark_read(
        &self,
        name: &SessionName,
        chat: &ChatId,
        up_to: Option<&str>,
    ) -> Result<usize, AskError> {
        let store = &self.inner.around.store;
        let life = self.life(name).ok_or(AskError::Unknown)?;
        let addresses = self
            .ask_whatsapp(name, async |link, _| Ok(link.addresses(chat).await))
            .await?;
        let unread = store
            .unread(&life, &addresses, up_to)
            .await?
            .ok_or(AskError::NoMessage)?;
        let Some(newest) = unread.first() else {
            return Ok(0);
        };
        self.ask_whatsapp(name, async |link, limit| {
            link.mark_read(&unread, limit).await
        })
        .await?;
        store.mark_read(&life, &addresses[0], newest.seq).await?;
        self.tell_of_reading(name, chat, up_to).await?;
        Ok(unread.len())
    }

    /// Emits `chat.updated`, so that the chat's unread count follows.
    async fn tell_of_reading(
        &self,
        name: &SessionName,
        chat: &ChatId,
        up_to: Option<&str>,
    ) -> Result<(), AskError> {
        let session = self.find(name).ok_or(AskError::Unknown)?;
        let id = self.id_of(name, &session.life(), chat).await?;
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
        session.tell_of(reading::read(&session, chat, up_to.map(str::to_owned)));
        Ok(())
    }

    /// Shows a typing or recording indicator in a chat.
    pub async fn show_typing(
        &self,
        name: &SessionName,
        chat: &ChatId,
        typing: Typing,
    ) -> Result<(), AskError> {
        self.ask_whatsapp(name, async |link, limit| {
            link.shows_typing(chat, typing, limit).await
        })
        .await
    }

    /// Stars or unstars a message of a chat. `author` is its sender; `None` means the account
    /// itself.
    pub async fn star(
        &self,
        name: &SessionName,
        chat: &ChatId,
        id: &str,
        author: Option<&str>,
        starred: bool,
    ) -> Result<(), AskError> {
        self.ask_whatsapp(name, async |link, limit| {
            link.stars(chat, id, author, starred, limit).await
        })
        .await
    }

    /// Changes a chat's settings (archived, pinned, muted) on all devices of the account.
    pub async fn change_chat(
        &self,
        name: &SessionName,
        chat: &ChatId,
        change: &ChatChange,
    ) -> Result<(), AskError> {
        self.ask_whatsapp(name, async |link, limit| {
            link.changes_chat(chat, change, limit).await
        })
        .await
    }

    /// Shows the account as available or unavailable, now and after each reconnect.
    pub async fn show_presence(
        &self,
        name: &SessionName,
        presence: Presence,
    ) -> Result<(), AskError> {
        let session = self.find(name).ok_or(AskError::Unknown)?;
        let before = session.is_shown();
        // Set first, so that a login at this very moment does the same.
        session.shows(presence == Presence::Available);
        let shown = self
            .ask_whatsapp(name, async |link, limit| {
                link.shows_presence(presence, limit).await
            })
            .await;
        if shown.is_err() {
            session.shows(before);
        }
        shown
    }

    /// Subscribes to a contact's presence, or unsubscribes.
    pub async fn watch(
        &self,
        name: &SessionName,
        whom: &ChatId,
        watched: bool,
    ) -> Result<(), AskError> {
        self.ask_whatsapp(name, async |link, limit| {
            link.watches(whom, watched, limit).await
        })
        .await
    }

    /// Looks up which of these numbers are on WhatsApp.
    pub async fn check_numbers(
        &self,
        name: &SessionName,
        numbers: &[String],
    ) -> Result<Vec<Number>, AskError> {
        self.ask_whatsapp(name, async |link, limit| {
            link.check_numbers(numbers, limit).await
        })
        .await
    }

    /// Rejects a call. Returns `false` if no such call is ringing.
    pub async fn reject_call(&self, name: &SessionName, call: &str) -> Result<bool, AskError> {
        self.ask_whatsapp(name, async |link, limit| {
            link.reject_call(call, limit).await
        })
        .await
    }

    /// Runs a request on the session's link, if the session is online.
    pub(super) async fn ask_whatsapp<T>(
        &self,
        name: &SessionName,
        question: impl AsyncFnOnce(Arc<Link>, Duration) -> Result<T, NotAnswered>,
    ) -> Result<T, AskError> {
        let session = self.find(name).ok_or(AskError::Unknown)?;
        let not_online = || {
            let SessionState {
                status,
                reason,
                paired,
                ..
            } = session.state();
            if paired {
                AskError::NotOnline { status, reason }
            } else {
                AskError::NotPaired
            }
        };
        let link = session
            .link()
            .filter(|_| session.state().status == Status::Online)
            .ok_or_else(not_online)?;
        match question(link, self.inner.around.whatsapp_timeout).await {
            Ok(answer) => Ok(answer),
            Err(NotAnswered::Offline) => Err(not_online()),
            Err(error) => Err(AskError::NotAnswered(error)),
        }
    }
}
