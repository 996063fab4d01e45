//! Sending messages through a session, and waiting for their outcomes.

use std::time::Duration;

use jiff::Timestamp;
use tokio::sync::oneshot;

use super::outbox::SendMode;
use super::sender::SenderRequest;
use super::{SessionPhase, Sessions};
use crate::media::MediaFile;
use crate::model::message::{ChatId, Message};
use crate::model::session_name::SessionName;
use crate::store::{
    AcceptedMessage, EditOutcome, IdempotencyKey, Life, QuotedMessage, SendOutcome, StoreError,
};
use crate::whatsapp::NumberRegistration;

/// Time limit for looking up a new number before its message is accepted.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

/// A message to send.
pub struct SendRequest {
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
pub struct ResolvedSend(SendRequest);

impl ResolvedSend {
    pub const fn send_request(&self) -> &SendRequest {
        &self.0
    }
}

/// The answer to a send request.
pub enum SendReply {
    /// The message will be sent, even across restarts. The outcome is reported once it is on disk.
    Accepted(AcceptedMessage, oneshot::Receiver<SendOutcome>),
    /// It was accepted before, under the same key; contains the message's id.
    Repeated(String),
    /// A different request used the same key.
    KeyReused,
}

/// Reasons why a message was not accepted.
#[derive(Debug, thiserror::Error)]
pub enum SendError {
    #[error("there is no session of this name")]
    Unknown,
    #[error("the session is not online")]
    NotOnline {
        status: SessionPhase,
        reason: Option<String>,
    },
    #[error("the session is not linked to an account")]
    NotPaired,
    /// That many of the session's messages are waiting.
    #[error("{0} messages wait already")]
    QueueFull(usize),
    #[error("the program is ending")]
    Stopping,
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reasons why a message was not deleted from the account's own devices.
#[derive(Debug, thiserror::Error)]
pub enum DeleteMessageError {
    #[error(transparent)]
    NotReady(#[from] SendError),
    #[error("{0}")]
    NoAnswer(String),
}

impl Sessions {
    /// Resolves a request to the message as it would leave now.
    pub async fn resolve_send(
        &self,
        name: &SessionName,
        wish: SendRequest,
    ) -> Result<ResolvedSend, SendError> {
        self.find(name).ok_or(SendError::Unknown)?;
        let to = self.resolve_number(name, wish.to).await;
        // Both addresses are equally good to the engine, and a chat continues under the one it
        // began with.
        let to = self.resolve_chat(name, &wish.life, to).await?;
        let message = self.apply_timer(&wish.life, &to, wish.message);
        Ok(ResolvedSend(SendRequest {
            to,
            message,
            ..wish
        }))
    }

    /// Accepts a message for a session that has a device, whether it is online or not.
    pub async fn send(
        &self,
        name: &SessionName,
        wish: ResolvedSend,
    ) -> Result<SendReply, SendError> {
        self.submit_send(name, wish, None, SendMode::Queued).await
    }

    /// Sends a message only if the session is online, within the timeout for WhatsApp. The
    /// message's file, if any, has been fetched already.
    pub async fn send_now(
        &self,
        name: &SessionName,
        to: ChatId,
        message: Message,
        file: Option<MediaFile>,
    ) -> Result<(ChatId, AcceptedMessage, oneshot::Receiver<SendOutcome>), SendError> {
        let expires_at = self
            .inner
            .deps
            .clock
            .now()
            .saturating_add(self.inner.deps.whatsapp_timeout)
            .ok();
        let life = self.life(name).ok_or(SendError::Unknown)?;
        let wish = SendRequest {
            life,
            to,
            message,
            send_at: None,
            expires_at,
            key: None,
        };
        let asked = wish.to.clone();
        let wish = self.resolve_send(name, wish).await?;
        // A person's chat may continue under their LID, but the answer must name the number that
        // the caller gave.
        let chat = Some(wish.send_request().to.clone())
            .filter(|chat| matches!(chat, ChatId::Phone(_)))
            .unwrap_or(asked);
        match self
            .submit_send(name, wish, file, SendMode::Immediate)
            .await?
        {
            SendReply::Accepted(accepted, verdict) => Ok((chat, accepted, verdict)),
            SendReply::Repeated(_) | SendReply::KeyReused => unreachable!("it came without a key"),
        }
    }

    /// Waits up to `limit` for a message's outcome; `None` if there is none by then.
    pub async fn wait_for_outcome(
        &self,
        verdict: oneshot::Receiver<SendOutcome>,
        limit: Duration,
    ) -> Option<SendOutcome> {
        self.inner
            .deps
            .clock
            .timeout(limit, verdict)
            .await
            .ok()?
            .ok()
    }

    /// Returns a receiver for the outcome of an unsettled message.
    pub fn watch_outcome(
        &self,
        name: &SessionName,
        id: &str,
    ) -> Option<oneshot::Receiver<SendOutcome>> {
        let (waiter, verdict) = oneshot::channel();
        let request = SenderRequest::WatchOutcome {
            id: id.to_owned(),
            waiter,
        };
        self.find(name)?.requests.send(request).ok()?;
        Some(verdict)
    }

    /// Cancels a message that has not left, and waits until this is on disk. Returns `false` if it
    /// may have left or is settled.
    pub async fn cancel_message(&self, name: &SessionName, id: &str) -> Result<bool, SendError> {
        let (reply, answer) = oneshot::channel();
        self.request_sender(
            name,
            SenderRequest::Cancel {
                id: id.to_owned(),
                reply,
            },
        )?;
        let Some(verdict) = answer.await.map_err(|_| SendError::Stopping)? else {
            return Ok(false);
        };
        verdict
            .await
            .map(|verdict| verdict == SendOutcome::Cancelled)
            .map_err(|_| SendError::Stopping)
    }

    /// Edits a message that has not left, and waits until this is on disk.
    pub async fn edit_message(
        &self,
        name: &SessionName,
        id: &str,
        message: Message,
        key: Option<IdempotencyKey>,
    ) -> Result<EditOutcome, SendError> {
        let (reply, answer) = oneshot::channel();
        self.request_sender(
            name,
            SenderRequest::Edit {
                id: id.to_owned(),
                message: Box::new(message),
                key,
                reply,
            },
        )?;
        Ok(answer.await.map_err(|_| SendError::Stopping)??)
    }

    fn request_sender(&self, name: &SessionName, request: SenderRequest) -> Result<(), SendError> {
        let session = self.find(name).ok_or(SendError::Unknown)?;
        session
            .requests
            .send(request)
            .map_err(|_| SendError::Stopping)
    }

    /// Returns the time limit for WhatsApp's answers.
    pub fn whatsapp_timeout(&self) -> Duration {
        self.inner.deps.whatsapp_timeout
    }

    /// Finds a sent or received message of a chat, if its content is stored. The chat may be named
    /// by its number or its LID.
    pub async fn find_quoted(
        &self,
        name: &SessionName,
        life: &Life,
        chat: &ChatId,
        id: &str,
    ) -> Result<Option<QuotedMessage>, StoreError> {
        let chats = self.all_addresses(name, life, chat).await?;
        self.inner.deps.store.find_quoted(life, &chats, id).await
    }

    /// Deletes a message from the account's own devices only. `message_author` is its sender; `None` means
    /// the account itself.
    pub async fn delete_for_me(
        &self,
        name: &SessionName,
        chat: &ChatId,
        id: &str,
        author: Option<&str>,
    ) -> Result<(), DeleteMessageError> {
        self.check_ready(name)?;
        let link = self.find(name).and_then(|session| session.link());
        let link = link.ok_or(DeleteMessageError::NoAnswer(
            "the session went offline".to_owned(),
        ))?;
        let deleting = link.delete_for_me(chat, id, author, self.whatsapp_timeout());
        deleting
            .await
            .map_err(|error| DeleteMessageError::NoAnswer(error.to_string()))
    }

    async fn submit_send(
        &self,
        name: &SessionName,
        wish: ResolvedSend,
        file: Option<MediaFile>,
        haste: SendMode,
    ) -> Result<SendReply, SendError> {
        let session = self.find(name).ok_or(SendError::Unknown)?;
        let (reply, answer) = oneshot::channel();
        let request = SenderRequest::Accept {
            request: Box::new(wish.0),
            file,
            mode: haste,
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
    async fn resolve_number(&self, name: &SessionName, chat: ChatId) -> ChatId {
        let link = self
            .find(name)
            .filter(|_| self.check_ready(name).is_ok())
            .and_then(|session| session.link());
        let Some(link) = link else { return chat };
        match link.find_registration_within(&chat, LOOKUP_TIMEOUT).await {
            NumberRegistration::OtherForm(number) => ChatId::Phone(number),
            _ => chat,
        }
    }

    /// Looks up all these chats in one request, which would otherwise be done for each message when
    /// it is accepted.
    pub async fn prefetch_registrations(
        &self,
        name: &SessionName,
        chats: impl Iterator<Item = &ChatId>,
    ) {
        let numbers = chats.filter_map(|chat| match chat {
            ChatId::Phone(number) => Some(number.clone()),
            _ => None,
        });
        let numbers: Vec<String> = numbers.collect();
        let link = self
            .find(name)
            .filter(|_| self.check_ready(name).is_ok())
            .and_then(|session| session.link());
        if let Some(link) = link {
            link.prefetch_registrations(&numbers, LOOKUP_TIMEOUT).await;
        }
    }

    /// Returns the address under which a chat continues: the one it began with.
    async fn resolve_chat(
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
        let id = self
            .inner
            .deps
            .store
            .resolve_identity(life, number, lid)
            .await?;
        Ok(id.and_then(|id| ChatId::parse(&id).ok()).unwrap_or(chat))
    }

    /// Returns a person's LID for their number, or their number for their LID, if the session's
    /// account knows it.
    pub(super) async fn other_address(&self, name: &SessionName, chat: &ChatId) -> Option<String> {
        self.find(name)?.link()?.find_other_address(chat).await
    }

    /// Returns the number of a chat's person, if it is known.
    pub async fn phone_number(&self, name: &SessionName, chat: &ChatId) -> Option<String> {
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
    pub async fn chat_addresses(&self, name: &SessionName, chat: &ChatId) -> Vec<String> {
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
        let mut chats = self.chat_addresses(name, chat).await;
        let known = self
            .inner
            .deps
            .store
            .find_addresses(life, &chat.to_string())
            .await?;
        let new: Vec<_> = known
            .into_iter()
            .filter(|known| !chats.contains(known))
            .collect();
        chats.extend(new);
        Ok(chats)
    }

    /// Whether a message could be sent right now. Worth checking before fetching its file.
    pub fn check_ready(&self, name: &SessionName) -> Result<(), SendError> {
        let session = self.find(name).ok_or(SendError::Unknown)?;
        session.read_state(|state| match state.status {
            SessionPhase::Online => Ok(()),
            status => Err(SendError::NotOnline {
                status,
                reason: state.reason.clone(),
            }),
        })
    }
}
