//! Requests to WhatsApp over a session's link, besides sending messages.

use std::collections::BTreeMap;
use std::time::Duration;

use whatsapp_rust::request::IqError;
use whatsapp_rust::wacore_binary::JidExt;
use whatsapp_rust::{AppStateError, ChatStateType, GroupError, GroupMetadata, Jid, PresenceStatus};

use crate::model::event::{CallEndReason, ChatChange, FOREVER, Group, Presence, TypingState};
use crate::model::message::ChatId;
use crate::store::UnreadMessage;
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::connection::link_events::LinkEvent;
use crate::whatsapp::notifications::calls::{self, RingingCall};
use crate::whatsapp::notifications::groups;
use crate::whatsapp::notifications::observer::KnownAddresses;
use crate::whatsapp::send::encode;

/// Failure of a request to WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum LinkRequestError {
    /// The request was not sent, or the connection broke before its answer.
    #[error("the session is not connected to WhatsApp")]
    Offline,
    #[error("WhatsApp did not answer within {0:?}")]
    Timeout(Duration),
    /// WhatsApp's code, such as 403 or 404.
    #[error("WhatsApp refused it with code {0}")]
    Refused(u16),
    /// The engine could not send the request, or not read the answer. Its own error text may name
    /// people.
    #[error("the question could not be asked")]
    Failed,
}

impl LinkRequestError {
    /// Returns whether WhatsApp answered that the subject of the request does not exist.
    pub const fn is_not_found(&self) -> bool {
        matches!(self, Self::Refused(400 | 404))
    }
}

impl Link {
    /// Returns the groups of this account, each with its address.
    pub async fn fetch_groups(
        &self,
        limit: Duration,
    ) -> Result<Vec<(String, Group)>, LinkRequestError> {
        let found = self
            .run_request(limit, self.client.groups().get_participating())
            .await?;
        let mut shown = Vec::with_capacity(found.len());
        for group in found.values() {
            shown.push(groups::convert_group(
                group,
                &self.resolve_members(group).await,
            ));
        }
        shown.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(shown)
    }

    /// Returns one group, by the part of its address before `@g.us`.
    pub async fn fetch_group(&self, id: &str, limit: Duration) -> Result<Group, LinkRequestError> {
        let jid = Jid::group(id);
        let found = self
            .run_request(limit, self.client.groups().get_metadata(&jid))
            .await?;
        Ok(groups::convert_group(&found, &self.resolve_members(&found).await).1)
    }

    /// Sets the seconds after which a group's messages disappear; with 0 they stay.
    pub async fn set_group_timer(
        &self,
        id: &str,
        seconds: u32,
        limit: Duration,
    ) -> Result<(), LinkRequestError> {
        self.run_request(
            limit,
            self.client.groups().set_ephemeral(Jid::group(id), seconds),
        )
        .await
    }

    /// Looks up the other addresses that WhatsApp does not name itself, as in old groups.
    async fn resolve_members(&self, group: &GroupMetadata) -> KnownAddresses {
        let unknown = group
            .participants
            .iter()
            .filter(|it| it.phone_number.is_none() && it.lid.is_none());
        KnownAddresses::look_up(
            &self.client,
            unknown.map(|it| (it.jid.clone(), None)).collect(),
        )
        .await
    }

    pub(in crate::whatsapp) async fn run_request<T, E: Into<LinkRequestError>>(
        &self,
        limit: Duration,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<T, LinkRequestError> {
        if !self.client.is_logged_in() {
            return Err(LinkRequestError::Offline);
        }
        match self.clock.timeout(limit, question).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => match error.into() {
                // A broken connection shows as many different errors.
                LinkRequestError::Failed if !self.client.is_logged_in() => {
                    Err(LinkRequestError::Offline)
                }
                error => Err(error),
            },
            Err(_) => Err(LinkRequestError::Timeout(limit)),
        }
    }
}

impl From<GroupError> for LinkRequestError {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Iq(error) => error.into(),
            _ => Self::Failed,
        }
    }
}

impl From<IqError> for LinkRequestError {
    fn from(error: IqError) -> Self {
        match error {
            IqError::ServerError { code, .. } => Self::Refused(code),
            IqError::NotConnected | IqError::Disconnected(_) => Self::Offline,
            _ => Self::Failed,
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
    pub async fn mark_read(
        &self,
        messages: &[UnreadMessage],
        limit: Duration,
    ) -> Result<(), LinkRequestError> {
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
            self.run_request(limit, async {
                self.client
                    .mark_as_read(&chat, sender, &ids)
                    .await
                    .map_err(request_failed)
            })
            .await?;
        }
        Ok(())
    }

    /// Shows the others in a chat that the account types or records there, or has paused.
    pub async fn send_chat_state(
        &self,
        chat: &ChatId,
        typing: TypingState,
        limit: Duration,
    ) -> Result<(), LinkRequestError> {
        let kind = match typing {
            TypingState::Composing => ChatStateType::Composing,
            TypingState::Recording => ChatStateType::Recording,
            TypingState::Paused => ChatStateType::Paused,
        };
        let jid = encode::chat_jid(&self.resolve_chat(chat, limit).await);
        self.run_request(limit, async {
            self.client
                .chatstate()
                .send(&jid, kind)
                .await
                .map_err(request_failed)
        })
        .await
    }

    /// Stars a message on all of the account's devices, or removes the star. `message_author`: the
    /// message's author, or `None` for the account itself.
    pub async fn set_starred(
        &self,
        chat: &ChatId,
        id: &str,
        author: Option<&str>,
        starred: bool,
        limit: Duration,
    ) -> Result<(), LinkRequestError> {
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
        self.run_request(limit, async { marking.await.map_err(request_failed) })
            .await
    }

    /// Changes a chat's entry in the list of all the account's devices, one property after the
    /// other. Returns when WhatsApp has accepted all of them; if another device was faster, the
    /// engine applies that device's change and writes again.
    pub async fn change_chat(
        &self,
        chat: &ChatId,
        change: &ChatChange,
        limit: Duration,
    ) -> Result<(), LinkRequestError> {
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
        self.run_request(limit, async { changing.await.map_err(request_failed) })
            .await
    }

    /// Shows the account as available or unavailable.
    pub async fn set_presence(
        &self,
        presence: Presence,
        limit: Duration,
    ) -> Result<(), LinkRequestError> {
        let status = match presence {
            Presence::Available => PresenceStatus::Available,
            Presence::Unavailable => PresenceStatus::Unavailable,
        };
        self.run_request(limit, async {
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
        whom: &ChatId,
        watched: bool,
        limit: Duration,
    ) -> Result<(), LinkRequestError> {
        let jid = encode::chat_jid(&self.resolve_chat(whom, limit).await);
        let presence = self.client.presence();
        let asking = async {
            match watched {
                true => presence.subscribe(jid).await,
                false => presence.unsubscribe(&jid).await,
            }
        };
        self.run_request(limit, async { asking.await.map_err(request_failed) })
            .await
    }

    /// Rejects a call. Returns `false` if no such call is ringing.
    pub async fn reject_call(&self, id: &str, limit: Duration) -> Result<bool, LinkRequestError> {
        let Some(RingingCall { id, from, creator }) = self.ringing.take_call(id) else {
            return Ok(false);
        };
        let voip = self.client.voip();
        self.run_request(limit, async {
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

/// Converts a send error: the engine has no single type for them, and lost connections are detected
/// elsewhere.
pub(in crate::whatsapp) fn request_failed<E>(_: E) -> LinkRequestError {
    LinkRequestError::Failed
}
