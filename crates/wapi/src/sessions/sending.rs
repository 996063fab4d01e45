//! Sending messages through a session, and waiting for their outcomes.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::oneshot;

use super::outbox::SendMode;
use super::sender::SenderRequest;
use super::{SessionError, SessionPhase, Sessions};
use crate::media::MediaFile;
use crate::model::message::{ChatId, Message};
use crate::model::send_hold::SendHold;
use crate::model::session_name::SessionName;
use crate::store::{
    AcceptOutcome, EditOutcome, IdempotencyKey, Life, QueuedMessage, QuotedMessage, SendOutcome,
    SendRequest, StoreError,
};
use crate::whatsapp::NumberRegistration;

/// Time limit for looking up a new number before its message is accepted.
const LOOKUP_TIMEOUT: Duration = Duration::from_secs(5);

impl Sessions {
    /// Resolves a request as it would leave now: to the address under which its chat continues, and
    /// with the chat's disappearing timer. To be called once, before [`Self::send`].
    pub async fn resolve_send(
        &self,
        name: &SessionName,
        request: SendRequest,
    ) -> Result<SendRequest, SessionError> {
        self.find(name).ok_or(SessionError::NotFound)?;
        let to = self.resolve_number(name, request.to).await;
        // Both addresses are equally good to the engine, and a chat continues under the one it
        // began with.
        let to = self.resolve_chat(name, &request.session, to).await?;
        let message = self.apply_timer(&request.session, &to, request.message);
        Ok(SendRequest {
            to,
            message,
            ..request
        })
    }

    /// Accepts a message for a session that has a device, whether it is online or not. An accepted
    /// message is sent even across restarts; its outcome is received once it is on disk.
    pub async fn send(
        &self,
        name: &SessionName,
        request: SendRequest,
    ) -> Result<(AcceptOutcome, oneshot::Receiver<SendOutcome>), SessionError> {
        self.submit_send(name, request, None, SendMode::Queued)
            .await
    }

    /// Sends a message only if the session is online, within the timeout for WhatsApp. The
    /// message's file, if any, has been fetched already.
    pub async fn send_now(
        &self,
        name: &SessionName,
        to: ChatId,
        message: Message,
        file: Option<MediaFile>,
    ) -> Result<(Arc<QueuedMessage>, oneshot::Receiver<SendOutcome>), SessionError> {
        let deps = &self.inner.deps;
        let expires_at = deps.clock.now().saturating_add(deps.whatsapp_timeout).ok();
        let request = SendRequest {
            session: self.life(name).ok_or(SessionError::NotFound)?,
            to,
            message,
            send_at: None,
            expires_at,
            key: None,
        };
        let request = self.resolve_send(name, request).await?;
        match self
            .submit_send(name, request, file, SendMode::Immediate)
            .await?
        {
            (AcceptOutcome::New(message), outcome) => Ok((message, outcome)),
            (AcceptOutcome::Repeated(_) | AcceptOutcome::KeyTaken, _) => {
                unreachable!("it came without a key")
            }
        }
    }

    /// Waits up to `limit` for a message's outcome; `None` if there is none by then.
    pub async fn wait_for_outcome(
        &self,
        outcome: oneshot::Receiver<SendOutcome>,
        limit: Duration,
    ) -> Option<SendOutcome> {
        self.inner
            .deps
            .clock
            .timeout(limit, outcome)
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
        let (waiter, outcome) = oneshot::channel();
        let request = SenderRequest::WatchOutcome {
            id: id.to_owned(),
            waiter,
        };
        self.find(name)?.requests.send(request).ok()?;
        Some(outcome)
    }

    /// Returns the reason why a queued message waits although its turn has come.
    pub fn send_hold(&self, name: &SessionName, id: &str) -> Option<SendHold> {
        self.find(name)?.holds.get(id)
    }

    /// Cancels a message that has not left, and waits until this is on disk. Returns `false` if it
    /// may have left or is settled.
    pub async fn cancel_message(&self, name: &SessionName, id: &str) -> Result<bool, SessionError> {
        let (reply, answer) = oneshot::channel();
        self.request_sender(
            name,
            SenderRequest::Cancel {
                id: id.to_owned(),
                reply,
            },
        )?;
        let Some(outcome) = answer.await.map_err(|_| SessionError::Stopping)? else {
            return Ok(false);
        };
        outcome
            .await
            .map(|outcome| outcome == SendOutcome::Cancelled)
            .map_err(|_| SessionError::Stopping)
    }

    /// Edits a message that has not left, and waits until this is on disk.
    pub async fn edit_message(
        &self,
        name: &SessionName,
        id: &str,
        message: Message,
        key: Option<IdempotencyKey>,
    ) -> Result<EditOutcome, SessionError> {
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
        Ok(answer.await.map_err(|_| SessionError::Stopping)??)
    }

    fn request_sender(
        &self,
        name: &SessionName,
        request: SenderRequest,
    ) -> Result<(), SessionError> {
        let session = self.find(name).ok_or(SessionError::NotFound)?;
        session
            .requests
            .send(request)
            .map_err(|_| SessionError::Stopping)
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
        self.inner
            .deps
            .store
            .outbox()
            .find_quoted(life, &chats, id)
            .await
    }

    async fn submit_send(
        &self,
        name: &SessionName,
        request: SendRequest,
        file: Option<MediaFile>,
        mode: SendMode,
    ) -> Result<(AcceptOutcome, oneshot::Receiver<SendOutcome>), SessionError> {
        let (waiter, outcome) = oneshot::channel();
        let (reply, answer) = oneshot::channel();
        self.request_sender(
            name,
            SenderRequest::Accept {
                request: Arc::new(request),
                file,
                mode,
                waiter,
                reply,
            },
        )?;
        let accepted = answer.await.map_err(|_| SessionError::Stopping)??;
        Ok((accepted, outcome))
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
            .identities()
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
            .identities()
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
    pub fn check_ready(&self, name: &SessionName) -> Result<(), SessionError> {
        let session = self.find(name).ok_or(SessionError::NotFound)?;
        session.read_state(|state| match state.status {
            SessionPhase::Online => Ok(()),
            status => Err(SessionError::NotOnline {
                status,
                reason: state.reason.clone(),
            }),
        })
    }
}
