//! Requests to WhatsApp through a session that is online, besides sending: groups, chats, presence,
//! calls.

use std::sync::Arc;
use std::time::Duration;

use crate::inbound::identity;
use crate::model::event::{ChatChange, Group, Person, Presence, TypingState};
use crate::model::message::ChatId;
use crate::model::session_name::SessionName;
use crate::sessions::{SessionPhase, SessionState, Sessions, read_elsewhere};
use crate::store::{Life, StoreError};
use crate::whatsapp::{Link, LinkRequestError, NumberLookup};

/// Reasons why a request to WhatsApp failed.
#[derive(Debug, thiserror::Error)]
pub enum RequestError {
    #[error("there is no session of this name")]
    Unknown,
    #[error("no phone has linked the session")]
    NotPaired,
    #[error("the session is not online")]
    NotOnline {
        status: SessionPhase,
        reason: Option<String>,
    },
    /// There is no such message in the chat.
    #[error("no such message was received in this chat")]
    MessageNotFound,
    #[error(transparent)]
    Link(LinkRequestError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

impl Sessions {
    /// Lists the groups of the session's account, each with its address.
    pub async fn list_groups(
        &self,
        name: &SessionName,
    ) -> Result<Vec<(String, Group)>, RequestError> {
        let mut groups = self
            .run_request(name, async |link, limit| link.fetch_groups(limit).await)
            .await?;
        for (_, group) in &mut groups {
            self.resolve_members(name, group).await?;
        }
        Ok(groups)
    }

    /// Returns one group, by the part of its address before `@g.us`.
    pub async fn find_group(&self, name: &SessionName, id: &str) -> Result<Group, RequestError> {
        let mut group = self
            .run_request(name, async |link, limit| link.fetch_group(id, limit).await)
            .await?;
        self.resolve_members(name, &mut group).await?;
        Ok(group)
    }

    /// Resolves the group's members to their stable ids.
    async fn resolve_members(
        &self,
        name: &SessionName,
        group: &mut Group,
    ) -> Result<(), StoreError> {
        let life = self.life(name);
        let life = life.ok_or_else(|| StoreError::new("the session is being removed"))?;
        identity::resolve_all_mentioned(&self.inner.deps.store, &life, group.people_mut()).await
    }

    /// Returns the id of a chat or person in events and in the history, whichever address is given.
    pub async fn resolve_id(
        &self,
        name: &SessionName,
        life: &Life,
        chat: &ChatId,
    ) -> Result<String, RequestError> {
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

    /// Sends read receipts for the messages of a chat: for all received so far that were not marked
    /// before, or up to one of them. Returns the number of messages.
    pub async fn mark_read(
        &self,
        name: &SessionName,
        chat: &ChatId,
        up_to: Option<&str>,
    ) -> Result<usize, RequestError> {
        let store = &self.inner.deps.store;
        let life = self.life(name).ok_or(RequestError::Unknown)?;
        let addresses = self
            .run_request(name, async |link, _| Ok(link.chat_addresses(chat).await))
            .await?;
        let unread = store
            .find_unread(&life, &addresses, up_to)
            .await?
            .ok_or(RequestError::MessageNotFound)?;
        let Some(newest) = unread.first() else {
            return Ok(0);
        };
        self.run_request(name, async |link, limit| {
            link.mark_read(&unread, limit).await
        })
        .await?;
        store.mark_read(&life, &addresses[0], newest.seq).await?;
        self.emit_chat_read(name, chat, up_to).await?;
        Ok(unread.len())
    }

    /// Emits `chat.updated`, so that the chat's unread count follows.
    async fn emit_chat_read(
        &self,
        name: &SessionName,
        chat: &ChatId,
        up_to: Option<&str>,
    ) -> Result<(), RequestError> {
        let session = self.find(name).ok_or(RequestError::Unknown)?;
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

    /// Shows a typing or recording indicator in a chat.
    pub async fn show_typing(
        &self,
        name: &SessionName,
        chat: &ChatId,
        typing: TypingState,
    ) -> Result<(), RequestError> {
        self.run_request(name, async |link, limit| {
            link.send_chat_state(chat, typing, limit).await
        })
        .await
    }

    /// Stars or unstars a message of a chat. `message_author` is its sender; `None` means the account
    /// itself.
    pub async fn set_starred(
        &self,
        name: &SessionName,
        chat: &ChatId,
        id: &str,
        author: Option<&str>,
        starred: bool,
    ) -> Result<(), RequestError> {
        self.run_request(name, async |link, limit| {
            link.set_starred(chat, id, author, starred, limit).await
        })
        .await
    }

    /// Changes a chat's settings (archived, pinned, muted) on all devices of the account.
    pub async fn change_chat(
        &self,
        name: &SessionName,
        chat: &ChatId,
        change: &ChatChange,
    ) -> Result<(), RequestError> {
        self.run_request(name, async |link, limit| {
            link.change_chat(chat, change, limit).await
        })
        .await
    }

    /// Shows the account as available or unavailable, now and after each reconnect.
    pub async fn set_presence(
        &self,
        name: &SessionName,
        presence: Presence,
    ) -> Result<(), RequestError> {
        let session = self.find(name).ok_or(RequestError::Unknown)?;
        let before = session.is_available();
        // Set first, so that a login at this very moment does the same.
        session.set_available(presence == Presence::Available);
        let shown = self
            .run_request(name, async |link, limit| {
                link.set_presence(presence, limit).await
            })
            .await;
        if shown.is_err() {
            session.set_available(before);
        }
        shown
    }

    /// Subscribes to a contact's presence, or unsubscribes.
    pub async fn watch_presence(
        &self,
        name: &SessionName,
        whom: &ChatId,
        watched: bool,
    ) -> Result<(), RequestError> {
        self.run_request(name, async |link, limit| {
            link.set_presence_watch(whom, watched, limit).await
        })
        .await
    }

    /// Looks up which of these numbers are on WhatsApp.
    pub async fn check_numbers(
        &self,
        name: &SessionName,
        numbers: &[String],
    ) -> Result<Vec<NumberLookup>, RequestError> {
        self.run_request(name, async |link, limit| {
            link.check_numbers(numbers, limit).await
        })
        .await
    }

    /// Rejects a call. Returns `false` if no such call is ringing.
    pub async fn reject_call(&self, name: &SessionName, call: &str) -> Result<bool, RequestError> {
        self.run_request(name, async |link, limit| {
            link.reject_call(call, limit).await
        })
        .await
    }

    /// Runs a request on the session's link, if the session is online.
    pub(in crate::sessions) async fn run_request<T>(
        &self,
        name: &SessionName,
        question: impl AsyncFnOnce(Arc<Link>, Duration) -> Result<T, LinkRequestError>,
    ) -> Result<T, RequestError> {
        let session = self.find(name).ok_or(RequestError::Unknown)?;
        let not_online = || {
            let SessionState {
                status,
                reason,
                paired,
                ..
            } = session.state();
            if paired {
                RequestError::NotOnline { status, reason }
            } else {
                RequestError::NotPaired
            }
        };
        let link = session
            .link()
            .filter(|_| session.state().status == SessionPhase::Online)
            .ok_or_else(not_online)?;
        match question(link, self.inner.deps.whatsapp_timeout).await {
            Ok(answer) => Ok(answer),
            Err(LinkRequestError::Offline) => Err(not_online()),
            Err(error) => Err(RequestError::Link(error)),
        }
    }
}
