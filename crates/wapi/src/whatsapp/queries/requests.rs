//! Requests to WhatsApp over a session's link, besides sending messages.

use std::collections::BTreeMap;

use whatsapp_rust::wacore_binary::JidExt;
use whatsapp_rust::{AppStateError, ChatStateType, Jid, PresenceStatus};

use crate::model::event::{CallEndReason, ChatChange, FOREVER, Presence, TypingState};
use crate::model::message::{ChatId, STATUS};
use crate::store::UnreadMessage;
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::connection::link_events::LinkEvent;
use crate::whatsapp::notifications::calls::{self, RingingCall};
use crate::whatsapp::notifications::observer::KnownAddresses;
use crate::whatsapp::request_error::{RequestError, request_failed};
use crate::whatsapp::send::encode;

impl Link {
    pub(in crate::whatsapp) async fn run_request<T, E: Into<RequestError>>(
        &self,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<T, RequestError> {
        if !self.client.is_logged_in() {
            return Err(RequestError::Offline);
        }
        match self.clock.timeout(self.answer_timeout, question).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => match error.into() {
                // A broken connection shows as many different errors.
                RequestError::Failed if !self.client.is_logged_in() => Err(RequestError::Offline),
                error => Err(error),
            },
            Err(_) => Err(RequestError::Timeout(self.answer_timeout)),
        }
    }
}

/// Receipts, chat states, stars, the chat list, presence and calls.
impl Link {
    /// Returns the addresses of a chat on the wire; the same twice if there is only one.
    pub async fn chat_addresses(&self, chat: &ChatId) -> [String; 2] {
        let jid = encode::chat_jid(chat);
        let known = match chat {
            _ if !chat.is_person() => None,
            _ => self.client.get_lid_pn_entry(&jid).await.ok().flatten(),
        };
        match known {
            Some(known) => [
                Jid::pn(&*known.phone_number).to_string(),
                Jid::lid(&*known.lid).to_string(),
            ],
            None => [jid.to_string(), jid.to_string()],
        }
    }

    /// Sends read receipts for these messages to their authors.
    pub async fn mark_read(&self, messages: &[UnreadMessage]) -> Result<(), RequestError> {
        let mut by_author: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for message in messages {
            by_author
                .entry((&message.chat, &message.sender))
                .or_default()
                .push(&message.id);
        }
        for ((chat, sender), ids) in by_author {
            let (Ok(chat), Ok(sender)) = (chat.parse::<Jid>(), sender.parse::<Jid>()) else {
                continue;
            };
            // In a direct chat there is only one possible author.
            let sender = (chat.is_group() || chat.is_status_broadcast()).then_some(&sender);
            self.run_request(async {
                self.client
                    .mark_as_read(&chat, sender, &ids)
                    .await
                    .map_err(request_failed)
            })
            .await?;
        }
        Ok(())
    }

    /// Sends a read receipt for a status to its author.
    pub async fn view_status(&self, id: &str, author: &str) -> Result<(), RequestError> {
        let seen = UnreadMessage {
            seq: 0,
            chat: STATUS.to_owned(),
            sender: author.to_owned(),
            id: id.to_owned(),
        };
        self.mark_read(std::slice::from_ref(&seen)).await
    }

    /// Shows the others in a chat that the account types or records there, or has paused.
    pub async fn send_chat_state(
        &self,
        chat: &ChatId,
        typing: TypingState,
    ) -> Result<(), RequestError> {
        let kind = match typing {
            TypingState::Composing => ChatStateType::Composing,
            TypingState::Recording => ChatStateType::Recording,
            TypingState::Paused => ChatStateType::Paused,
        };
        let jid = encode::chat_jid(&self.resolve_chat(chat, self.answer_timeout).await);
        self.run_request(async {
            self.client
                .chatstate()
                .send(&jid, kind)
                .await
                .map_err(request_failed)
        })
        .await
    }

    /// Stars a message on all of the account's devices, or removes the star. `author`: the
    /// message's author, or `None` for the account itself.
    pub async fn set_starred(
        &self,
        chat: &ChatId,
        id: &str,
        author: Option<&str>,
        starred: bool,
    ) -> Result<(), RequestError> {
        let is_group = matches!(chat, ChatId::Group(_));
        let (jid, author) = (
            encode::chat_jid(chat),
            author.and_then(|author| author.parse::<Jid>().ok()),
        );
        // In a direct chat, the author of all other messages is the peer.
        let (participant, from_me) = (author.as_ref().filter(|_| is_group), author.is_none());
        let actions = self.client.chat_actions();
        // Boxed, since the engine's own futures are nested so deeply that the compiler gives up on
        // futures that contain them.
        let marking = Box::pin(async {
            match starred {
                true => actions.star_message(&jid, participant, id, from_me).await,
                false => actions.unstar_message(&jid, participant, id, from_me).await,
            }
        });
        self.run_request(async { marking.await.map_err(request_failed) })
            .await
    }

    /// Deletes a message on all of the account's devices, for the account alone. `author`: as in
    /// [`Self::set_starred`].
    pub async fn delete_for_me(
        &self,
        chat: &ChatId,
        id: &str,
        author: Option<&str>,
    ) -> Result<(), RequestError> {
        let is_group = matches!(chat, ChatId::Group(_));
        let (chat, author) = (
            encode::chat_jid(chat),
            author.and_then(|author| author.parse::<Jid>().ok()),
        );
        // In a direct chat, the author of all other messages is the peer.
        let (participant, from_me) = (author.as_ref().filter(|_| is_group), author.is_none());
        let actions = self.client.chat_actions();
        let deleting =
            Box::pin(actions.delete_message_for_me(&chat, participant, id, from_me, true, None));
        self.run_request(async { deleting.await.map_err(request_failed) })
            .await
    }

    /// Changes a chat's entry in the list of all the account's devices, one property after the
    /// other. Returns when WhatsApp has accepted all of them; if another device was faster, the
    /// engine applies that device's change and writes again.
    pub async fn change_chat(
        &self,
        chat: &ChatId,
        change: &ChatChange,
    ) -> Result<(), RequestError> {
        let (jid, actions) = (encode::chat_jid(chat), self.client.chat_actions());
        // Boxed: the engine's futures are too deep for the one around them.
        let changing = Box::pin(async {
            match change.archived {
                Some(true) => actions.archive_chat(&jid, None).await?,
                Some(false) => actions.unarchive_chat(&jid, None).await?,
                None => {}
            }
            match change.pinned {
                Some(true) => actions.pin_chat(&jid).await?,
                Some(false) => actions.unpin_chat(&jid).await?,
                None => {}
            }
            match change.muted_until {
                Some(Some(end)) if end >= FOREVER => actions.mute_chat(&jid).await?,
                Some(Some(end)) => actions.mute_chat_until(&jid, end.as_millisecond()).await?,
                Some(None) => actions.unmute_chat(&jid).await?,
                None => {}
            }
            if let Some(unread) = change.unread {
                actions.mark_chat_as_read(&jid, !unread, None).await?;
            }
            Ok::<(), AppStateError>(())
        });
        self.run_request(async { changing.await.map_err(request_failed) })
            .await
    }

    /// Shows the account as available or unavailable.
    pub async fn set_presence(&self, presence: Presence) -> Result<(), RequestError> {
        let status = match presence {
            Presence::Available => PresenceStatus::Available,
            Presence::Unavailable => PresenceStatus::Unavailable,
        };
        self.run_request(async {
            self.client
                .presence()
                .set(status)
                .await
                .map_err(request_failed)
        })
        .await
    }

    /// Subscribes to a person's presence until this link ends, or unsubscribes from it.
    pub async fn set_presence_watch(
        &self,
        chat: &ChatId,
        watched: bool,
    ) -> Result<(), RequestError> {
        let jid = encode::chat_jid(&self.resolve_chat(chat, self.answer_timeout).await);
        let presence = self.client.presence();
        let asking = async {
            match watched {
                true => presence.subscribe(jid).await,
                false => presence.unsubscribe(&jid).await,
            }
        };
        self.run_request(async { asking.await.map_err(request_failed) })
            .await
    }

    /// Rejects a call. Returns `false` if no such call is ringing.
    pub async fn reject_call(&self, id: &str) -> Result<bool, RequestError> {
        let Some(RingingCall { id, from, creator }) = self.ringing.take_call(id) else {
            return Ok(false);
        };
        let voip = self.client.voip();
        self.run_request(async {
            voip.reject_call(&id, &from, &creator)
                .await
                .map_err(request_failed)
        })
        .await?;
        let others = KnownAddresses::look_up(&self.client, vec![(from.clone(), None)]).await;
        let ended = calls::build_call_ended(
            &self.session,
            &id,
            &from,
            CallEndReason::Rejected,
            self.clock.now(),
            &others,
        );
        self.reports.send(LinkEvent::Chat(Box::new(ended)));
        Ok(true)
    }
}
