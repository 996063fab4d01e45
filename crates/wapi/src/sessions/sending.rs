//! Sending messages through a session, and waiting for their outcomes.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::outbox::Haste;
use super::sender::Request;
use super::{SessionName, Sessions, Status};
use crate::media::File;
use crate::message::{ChatId, Message};
use crate::store::{Accepted, IdempotencyKey, Life, Quoted, Rewording, StoreError, Verdict};
use crate::whatsapp::Registered;

/// Time limit for looking up a new number before its message is accepted.
const ASKING: Duration = Duration::from_secs(5);

/// A message to send.
pub struct Wish {
    /// The life of the session in which it was requested. The message leaves in that life or not at
    /// all.
    pub life: Life,
    pub to: ChatId,
    pub message: Message,
    pub send_at: Option<Timestamp>,
    /// Not sent after this time.
    pub expires_at: Option<Timestamp>,
    pub key: Option<IdempotencyKey>,
}

/// A send request resolved to its chat's address and disappearing timer.
pub struct Settled(Wish);

impl Settled {
    pub const fn wish(&self) -> &Wish {
        &self.0
    }
}

/// The answer to a send request.
pub enum Reply {
    /// The message will be sent, even across restarts. The outcome is reported once it is on disk.
    Accepted(Accepted, oneshot::Receiver<Verdict>),
    /// It was accepted before, under the same key; contains the message's id.
    Repeated(String),
    /// A different request used the same key.
    KeyTaken,
}

/// Reasons why a message was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("there is no session of this name")]
    Unknown,
    #[error("the session is not online")]
    NotOnline {
        status: Status,
        reason: Option<String>,
    },
    #[error("the session is not linked to an account")]
    NotPaired,
    /// That many of the session's messages are waiting.
    #[error("{0} messages wait already")]
    Full(usize),
    #[error("the program is ending")]
    Stopping,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reasons why a message was not deleted from the account's own devices.
#[derive(Debug, thiserror::Error)]
pub enum NotDeleted {
    #[error(transparent)]
    NotReady(#[from] SendError),
    #[error("{0}")]
    NoAnswer(String),
}

impl Sessions {
    /// Resolves a request to the message as it would leave now.
    pub async fn settle(&self, name: &SessionName, wish: Wish) -> Result<Settled, SendError> {
        self.find(name).ok_or(SendError::Unknown)?;
        let to = self.registered(name, wish.to).await;
        // Both addresses are equally good to the engine, and a chat continues under the one it
        // began with.
        let to = self.chat_of(name, &wish.life, to).await?;
        let message = self.timed(&wish.life, &to, wish.message);
        Ok(Settled(Wish {
            to,
            message,
            ..wish
        }))
    }

    /// Accepts a message for a session that has a device, whether it is online or not.
    pub async fn send(&self, name: &SessionName, wish: Settled) -> Result<Reply, SendError> {
        self.ask(name, wish, None, Haste::Patient).await
    }

    /// Sends a message only if the session is online, within the timeout for WhatsApp. The
    /// message's file, if any, has been fetched already.
    pub async fn send_now(
        &self,
        name: &SessionName,
        to: ChatId,
        message: Message,
        file: Option<File>,
    ) -> Result<(ChatId, Accepted, oneshot::Receiver<Verdict>), SendError> {
        let expires_at = self
            .inner
            .around
            .clock
            .now()
            .saturating_add(self.inner.around.whatsapp_timeout)
            .ok();
        let life = self.life(name).ok_or(SendError::Unknown)?;
        let wish = Wish {
            life,
            to,
            message,
            send_at: None,
            expires_at,
            key: None,
        };
        let asked = wish.to.clone();
        let wish = self.settle(name, wish).await?;
        // A person's chat may continue under their LID, but the answer must name the number that
        // the caller gave.
        let chat = Some(wish.wish().to.clone())
            .filter(|chat| matches!(chat, ChatId::Phone(_)))
            .unwrap_or(asked);
        match self.ask(name, wish, file, Haste::NowOrNever).await? {
            Reply::Accepted(accepted, verdict) => Ok((chat, accepted, verdict)),
            Reply::Repeated(_) | Reply::KeyTaken => unreachable!("it came without a key"),
        }
    }

    /// Waits up to `limit` for a message's outcome; `None` if there is none by then.
    pub async fn verdict(
        &self,
        verdict: oneshot::Receiver<Verdict>,
        limit: Duration,
    ) -> Option<Verdict> {
        self.inner
            .around
            .clock
            .timeout(limit, verdict)
            .await
            .ok()?
            .ok()
    }

    /// Returns a receiver for the outcome of an unsettled message.
    pub fn verdict_on(&self, name: &SessionName, id: &str) -> Option<oneshot::Receiver<Verdict>> {
        let (waiter, verdict) = oneshot::channel();
        let request = Request::Watch {
            id: id.to_owned(),
            waiter,
        };
        self.find(name)?.requests.send(request).ok()?;
        Some(verdict)
    }

    /// Cancels a message that has not left, and waits until this is on disk. Returns `false` if it
    /// may have left or is settled.
    pub async fn cancel(&self, name: &SessionName, id: &str) -> Result<bool, SendError> {
        let (reply, answer) = oneshot::channel();
        self.request(
            name,
            Request::Cancel {
                id: id.to_owned(),
                reply,
            },
        )?;
        let Some(verdict) = answer.await.map_err(|_| SendError::Stopping)? else {
            return Ok(false);
        };
        verdict
            .await
            .map(|verdict| verdict == Verdict::Cancelled)
            .map_err(|_| SendError::Stopping)
    }

    /// Edits a message that has not left, and waits until this is on disk.
    pub async fn reword(
        &self,
        name: &SessionName,
        id: &str,
        message: Message,
        key: Option<IdempotencyKey>,
    ) -> Result<Rewording, SendError> {
        let (reply, answer) = oneshot::channel();
        self.request(
            name,
            Request::Reword {
                id: id.to_owned(),
                message: Box::new(message),
                key,
                reply,
            },
        )?;
        Ok(answer.await.map_err(|_| SendError::Stopping)??)
    }

    fn request(&self, name: &SessionName, request: Request) -> Result<(), SendError> {
        let session = self.find(name).ok_or(SendError::Unknown)?;
        session
            .requests
            .send(request)
            .map_err(|_| SendError::Stopping)
    }

    /// Returns the time limit for WhatsApp's answers.
    pub fn whatsapp_timeout(&self) -> Duration {
        self.inner.around.whatsapp_timeout
    }

    /// Finds a sent or received message of a chat, if its content is stored. The chat may be named
    /// by its number or its LID.
    pub async fn quoted(
        &self,
        name: &SessionName,
        life: &Life,
        chat: &ChatId,
        id: &str,
    ) -> Result<Option<Quoted>, StoreError> {
        let chats = self.all_addresses(name, life, chat).await?;
        self.inner.around.store.quoted(life, &chats, id).await
    }

    /// Deletes a message from the account's own devices only. `author` is its sender; `None` means
    /// the account itself.
    pub async fn delete_for_me(
        &self,
        name: &SessionName,
        chat: &ChatId,
        id: &str,
        author: Option<&str>,
    ) -> Result<(), NotDeleted> {
        self.is_ready(name)?;
        let link = self.find(name).and_then(|session| session.link());
        let link = link.ok_or(NotDeleted::NoAnswer("the session went offline".to_owned()))?;
        let deleting = link.delete_for_me(chat, id, author, self.whatsapp_timeout());
        deleting
            .await
            .map_err(|error| NotDeleted::NoAnswer(error.to_string()))
    }

    async fn ask(
        &self,
        name: &SessionName,
        wish: Settled,
        file: Option<File>,
        haste: Haste,
    ) -> Result<Reply, SendError> {
        let session = self.find(name).ok_or(SendError::Unknown)?;
        let (reply, answer) = oneshot::channel();
        let request = Request::Accept {
            wish: Box::new(wish.0),
            file,
            haste,
            reply,
        };
        session
            .requests
            .send(request)
            .map_err(|_| SendError::Stopping)?;
        answer.await.map_err(|_| SendError::Stopping)?
    }

    /// Replaces a phone number by the form under which WhatsApp knows it. If WhatsApp does not
    /// answer in time, it is asked again when the message leaves.
    async fn registered(&self, name: &SessionName, chat: ChatId) -> ChatId {
        let link = self
            .find(name)
            .filter(|_| self.is_ready(name).is_ok())
            .and_then(|session| session.link());
        let Some(link) = link else { return chat };
        match link.registered_within(&chat, ASKING).await {
            Registered::As(number) => ChatId::Phone(number),
            _ => chat,
        }
    }

    /// Looks up all these chats in one request, which would otherwise be done for each message when
    /// it is accepted.
    pub async fn meet(&self, name: &SessionName, chats: impl Iterator<Item = &ChatId>) {
        let numbers = chats.filter_map(|chat| match chat {
            ChatId::Phone(number) => Some(number.clone()),
            _ => None,
        });
        let numbers: Vec<String> = numbers.collect();
        let link = self
            .find(name)
            .filter(|_| self.is_ready(name).is_ok())
            .and_then(|session| session.link());
        if let Some(link) = link {
            link.meet(&numbers, ASKING).await;
        }
    }

    /// Returns the address under which a chat continues: the one it began with.
    async fn chat_of(
        &self,
        name: &SessionName,
        life: &Life,
        chat: ChatId,
    ) -> Result<ChatId, StoreError> {
        if !chat.is_person() {
            return Ok(chat);
        }
        let (named, other) = (chat.to_string(), self.other_address(name, &chat).await);
        let (number, lid) = match &chat {
            ChatId::Lid(_) => (other.as_deref(), Some(named.as_str())),
            _ => (Some(named.as_str()), other.as_deref()),
        };
        let id = self.inner.around.store.identify(life, number, lid).await?;
        Ok(id.and_then(|id| ChatId::parse(&id).ok()).unwrap_or(chat))
    }

    /// Returns a person's LID for their number, or their number for their LID, if the session's
    /// account knows it.
    pub(super) async fn other_address(&self, name: &SessionName, chat: &ChatId) -> Option<String> {
        self.find(name)?.link()?.other_address(chat).await
    }

    /// Returns the number of a chat's person, if it is known.
    pub async fn number_of(&self, name: &SessionName, chat: &ChatId) -> Option<String> {
        let other = match chat {
            ChatId::Phone(number) => return Some(number.clone()),
            ChatId::Lid(_) => self.other_address(name, chat).await?,
            ChatId::Group(_) | ChatId::Status | ChatId::Newsletter(_) => return None,
        };
        if let Ok(ChatId::Phone(number)) = ChatId::parse(&other) {
            Some(number)
        } else {
            None
        }
    }

    /// Returns the chat's addresses that the connection knows, the given one first.
    pub async fn addresses(&self, name: &SessionName, chat: &ChatId) -> Vec<String> {
        [Some(chat.to_string()), self.other_address(name, chat).await]
            .into_iter()
            .flatten()
            .collect()
    }

    /// Returns all known addresses of a chat, including stored ones, which are known without a
    /// connection.
    pub async fn all_addresses(
        &self,
        name: &SessionName,
        life: &Life,
        chat: &ChatId,
    ) -> Result<Vec<String>, StoreError> {
        let mut chats = self.addresses(name, chat).await;
        let known = self
            .inner
            .around
            .store
            .known_addresses(life, &chat.to_string())
            .await?;
        let new: Vec<_> = known
            .into_iter()
            .filter(|known| !chats.contains(known))
            .collect();
        chats.extend(new);
        Ok(chats)
    }

    /// Whether a message could be sent right now. Worth checking before fetching its file.
    pub fn is_ready(&self, name: &SessionName) -> Result<(), SendError> {
        let session = self.find(name).ok_or(SendError::Unknown)?;
        session.look(|state| match state.status {
            Status::Online => Ok(()),
            status => Err(SendError::NotOnline {
                status,
                reason: state.reason.clone(),
            }),
        })
    }
}
