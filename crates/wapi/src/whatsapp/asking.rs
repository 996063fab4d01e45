//! Requests to WhatsApp over a session's link, besides sending messages.

use std::collections::BTreeMap;
use std::time::Duration;

use whatsapp_rust::request::IqError;
use whatsapp_rust::wacore_binary::JidExt;
use whatsapp_rust::{AppStateError, ChatStateType, GroupError, GroupMetadata, Jid, PresenceStatus};

use super::calls::{self, Call};
use super::link::Link;
use super::observer::Others;
use super::signals::Signal;
use super::{groups, outgoing};
use crate::event::{CallEnd, ChatChange, FOREVER, Group, Presence, Typing};
use crate::message::ChatId;
use crate::store::Unread;

/// Failure of a request to WhatsApp.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum NotAnswered {
    /// The request was not sent, or the connection broke before its answer.
    #[error("the session is not connected to WhatsApp")]
    Offline,
    #[error("WhatsApp did not answer within {0:?}")]
    Silence(Duration),
    /// WhatsApp's code, such as 403 or 404.
    #[error("WhatsApp refused it with code {0}")]
    Refused(u16),
    /// The engine could not send the request, or not read the answer. Its own error text may name
    /// people.
    #[error("the question could not be asked")]
    Failed,
}

impl NotAnswered {
    /// Returns whether WhatsApp answered that the subject of the request does not exist.
    pub const fn is_of_nothing(&self) -> bool {
        matches!(self, Self::Refused(400 | 404))
    }
}

impl Link {
    /// Returns the groups of this account, each with its address.
    pub async fn groups(&self, limit: Duration) -> Result<Vec<(String, Group)>, NotAnswered> {
        let found = self
            .asked(limit, self.client.groups().get_participating())
            .await?;
        let mut shown = Vec::with_capacity(found.len());
        for group in found.values() {
            shown.push(groups::group(group, &self.others(group).await));
        }
        shown.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(shown)
    }

    /// Returns one group, by the part of its address before `@g.us`.
    pub async fn group(&self, id: &str, limit: Duration) -> Result<Group, NotAnswered> {
        let jid = Jid::group(id);
        let found = self
            .asked(limit, self.client.groups().get_metadata(&jid))
            .await?;
        Ok(groups::group(&found, &self.others(&found).await).1)
    }

    /// Sets the seconds after which a group's messages disappear; with 0 they stay.
    pub async fn sets_group_timer(
        &self,
        id: &str,
        seconds: u32,
        limit: Duration,
    ) -> Result<(), NotAnswered> {
        self.asked(
            limit,
            self.client.groups().set_ephemeral(Jid::group(id), seconds),
        )
        .await
    }

    /// Looks up the other addresses that WhatsApp does not name itself, as in old groups.
    async fn others(&self, group: &GroupMetadata) -> Others {
        let unknown = group
            .participants
            .iter()
            .filter(|it| it.phone_number.is_none() && it.lid.is_none());
        Others::of(
            &self.client,
            unknown.map(|it| (it.jid.clone(), None)).collect(),
        )
        .await
    }

    pub(super) async fn asked<T, E: Into<NotAnswered>>(
        &self,
        limit: Duration,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<T, NotAnswered> {
        if !self.client.is_logged_in() {
            return Err(NotAnswered::Offline);
        }
        match self.clock.timeout(limit, question).await {
            Ok(Ok(answer)) => Ok(answer),
            Ok(Err(error)) => match error.into() {
                // A broken connection shows as many different errors.
                NotAnswered::Failed if !self.client.is_logged_in() => Err(NotAnswered::Offline),
                error => Err(error),
            },
            Err(_) => Err(NotAnswered::Silence(limit)),
        }
    }
}

impl From<GroupError> for NotAnswered {
    fn from(error: GroupError) -> Self {
        match error {
            GroupError::Iq(error) => error.into(),
            _ => Self::Failed,
        }
    }
}

impl From<IqError> for NotAnswered {
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
    pub async fn addresses(&self, chat: &ChatId) -> [String; 2] {
        let jid = outgoing::jid(chat);
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
    pub async fn mark_read(&self, messages: &[Unread], limit: Duration) -> Result<(), NotAnswered> {
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
            self.asked(limit, async {
                self.client
                    .mark_as_read(&chat, sender, &ids)
                    .await
                    .map_err(unsaid)
            })
            .await?;
        }
        Ok(())
    }

    /// Shows the others in a chat that the account types or records there, or has paused.
    pub async fn shows_typing(
        &self,
        chat: &ChatId,
        typing: Typing,
        limit: Duration,
    ) -> Result<(), NotAnswered> {
        let kind = match typing {
            Typing::Composing => ChatStateType::Composing,
            Typing::Recording => ChatStateType::Recording,
            Typing::Paused => ChatStateType::Paused,
        };
        let jid = outgoing::jid(&self.known_as(chat, limit).await);
        self.asked(limit, async {
            self.client
                .chatstate()
                .send(&jid, kind)
                .await
                .map_err(unsaid)
        })
        .await
    }

    /// Stars a message on all of the account's devices, or removes the star. `author`: the
    /// message's author, or `None` for the account itself.
    pub async fn stars(
        &self,
        chat: &ChatId,
        id: &str,
        author: Option<&str>,
        starred: bool,
        limit: Duration,
    ) -> Result<(), NotAnswered> {
        let is_group = matches!(chat, ChatId::Group(_));
        let (jid, author) = (
            outgoing::jid(chat),
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
        self.asked(limit, async { marking.await.map_err(unsaid) })
            .await
    }

    /// Changes a chat's entry in the list of all the account's devices, one property after the
    /// other. Returns when WhatsApp has accepted all of them; if another device was faster, the
    /// engine applies that device's change and writes again.
    pub async fn changes_chat(
        &self,
        chat: &ChatId,
        change: &ChatChange,
        limit: Duration,
    ) -> Result<(), NotAnswered> {
        let (jid, actions) = (outgoing::jid(chat), self.client.chat_actions());
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
        self.asked(limit, async { changing.await.map_err(unsaid) })
            .await
    }

    /// Shows the account as available or unavailable.
    pub async fn shows_presence(
        &self,
        presence: Presence,
        limit: Duration,
    ) -> Result<(), NotAnswered> {
        let status = match presence {
            Presence::Available => PresenceStatus::Available,
            Presence::Unavailable => PresenceStatus::Unavailable,
        };
        self.asked(limit, async {
            self.client.presence().set(status).await.map_err(unsaid)
        })
        .await
    }

    /// Subscribes to a person's presence until this link ends, or unsubscribes from it.
    pub async fn watches(
        &self,
        whom: &ChatId,
        watched: bool,
        limit: Duration,
    ) -> Result<(), NotAnswered> {
        let jid = outgoing::jid(&self.known_as(whom, limit).await);
        let presence = self.client.presence();
        let asking = async {
            match watched {
                true => presence.subscribe(jid).await,
                false => presence.unsubscribe(&jid).await,
            }
        };
        self.asked(limit, async { asking.await.map_err(unsaid) })
            .await
    }

    /// Rejects a call. Returns `false` if no such call is ringing.
    pub async fn reject_call(&self, id: &str, limit: Duration) -> Result<bool, NotAnswered> {
        let Some(Call { id, from, creator }) = self.ringing.take(id) else {
            return Ok(false);
        };
        let voip = self.client.voip();
        self.asked(limit, async {
            voip.reject_call(&id, &from, &creator).await.map_err(unsaid)
        })
        .await?;
        let others = Others::of(&self.client, vec![(from.clone(), None)]).await;
        let ended = calls::ended(
            &self.session,
            &id,
            &from,
            CallEnd::Rejected,
            self.clock.now(),
            &others,
        );
        self.reports.send(Signal::Happened(Box::new(ended)));
        Ok(true)
    }
}

/// Converts a send error: the engine has no single type for them, and lost connections are detected
/// elsewhere.
pub(super) fn unsaid<E>(_: E) -> NotAnswered {
    NotAnswered::Failed
}
