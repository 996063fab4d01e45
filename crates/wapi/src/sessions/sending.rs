//! What callers can do with messages they send: have them accepted, and learn what became of them.

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

/// How long WhatsApp is asked about a new number before its message is accepted.
const ASKING: Duration = Duration::from_secs(5);

/// A message that somebody wants to have sent.
pub struct Wish {
    /// For which life of the session it is. It leaves in that one or not at all.
    pub life: Life,
    pub to: ChatId,
    pub message: Message,
    pub send_at: Option<Timestamp>,
    /// Not sent after this.
    pub expires_at: Option<Timestamp>,
    pub key: Option<IdempotencyKey>,
}

/// A wish as it leaves: to the address its chat goes on under, and disappearing where others do.
pub struct Settled(Wish);

impl Settled {
    pub const fn wish(&self) -> &Wish {
        &self.0
    }
}

/// What became of a wish.
pub enum Reply {
    /// It will be sent, whatever happens to this program; the verdict comes when it is on the disk.
    Accepted(Accepted, oneshot::Receiver<Verdict>),
    /// It was accepted before, under the same key; the message's id.
    Repeated(String),
    /// Another wish came with the same key.
    KeyTaken,
}

/// Why a message was not accepted.
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
    /// So many of the session's messages wait.
    #[error("{0} messages wait already")]
    Full(usize),
    #[error("the program is ending")]
    Stopping,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Why a message was not deleted from the own devices.
#[derive(Debug, thiserror::Error)]
pub enum NotDeleted {
    #[error(transparent)]
    NotReady(#[from] SendError),
    #[error("{0}")]
    NoAnswer(String),
}

impl Sessions {
    /// What somebody wants to have sent, as it would leave now.
    pub async fn settle(&self, name: &SessionName, wish: Wish) -> Result<Settled, SendError> {
        self.find(name).ok_or(SendError::Unknown)?;
        let to = self.registered(name, wish.to).await;
        // Their other address is as good to the engine, and a chat goes on under the one it began with.
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

    /// Sends a message if the session is online, within `limit`, or not at all; its file, if it carries one, is there already.
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
        // A person's chat may go on under their LID, which is not what whoever asked for a number wants to hear.
        let chat = Some(wish.wish().to.clone())
            .filter(|chat| matches!(chat, ChatId::Phone(_)))
            .unwrap_or(asked);
        match self.ask(name, wish, file, Haste::NowOrNever).await? {
            Reply::Accepted(accepted, verdict) => Ok((chat, accepted, verdict)),
            Reply::Repeated(_) | Reply::KeyTaken => unreachable!("it came without a key"),
        }
    }

    /// Waits at most `limit` for the verdict on a message; `None` when there is none by then.
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

    /// The verdict on a message that is still open.
    pub fn verdict_on(&self, name: &SessionName, id: &str) -> Option<oneshot::Receiver<Verdict>> {
        let (waiter, verdict) = oneshot::channel();
        let request = Request::Watch {
            id: id.to_owned(),
            waiter,
        };
        self.find(name)?.requests.send(request).ok()?;
        Some(verdict)
    }

    /// Takes a message back that has not left: done when that is on the disk. `false`: it may have left, or is settled.
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

    /// Gives a message that has not left other words; the same way.
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

    /// How long WhatsApp may take.
    pub fn whatsapp_timeout(&self) -> Duration {
        self.inner.around.whatsapp_timeout
    }

    /// A message of a chat, sent or received, if it is known and somebody has it; the chat may be named by its number or its LID.
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

    /// Deletes a message from the account's own devices alone. `author`: who wrote it; `None`: the account itself.
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

    /// The number that WhatsApp knows somebody by, where the one that is asked for is another form of it. What it does not say now, it is
    /// asked when the message leaves.
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

    /// Learns of all these chats at once what would be asked of each when its message is accepted.
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

    /// The address under which a chat goes on: the one it began with.
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

    /// Somebody's LID when their number is given, and the other way round, if the session's account knows it.
    pub(super) async fn other_address(&self, name: &SessionName, chat: &ChatId) -> Option<String> {
        self.find(name)?.link()?.other_address(chat).await
    }

    /// The number of whoever a chat is with, if it is known.
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

    /// All addresses a chat is known by, the one it is named by first.
    pub async fn addresses(&self, name: &SessionName, chat: &ChatId) -> Vec<String> {
        [Some(chat.to_string()), self.other_address(name, chat).await]
            .into_iter()
            .flatten()
            .collect()
    }

    /// The same with those that were told before, which are known without a connection, too.
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

    /// Whether a message could be sent right now; worth asking before fetching what to send.
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
