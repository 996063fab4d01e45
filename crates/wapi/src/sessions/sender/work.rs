//! The slow parts of sending, each on one message.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use super::super::outbox::{ChatFamiliarity, SendAttempt};
use super::super::{Session, SessionDeps};
use super::RETRY_PAUSE;
use crate::media::link_download::{FetchError, FetchRequester};
use crate::media::{MediaFile, MediaProperties};
use crate::model::event::{Account, AccountLimits};
use crate::model::message::{ChatId, EditContent, Message, MessageContent, STATUS};
use crate::store::{
    AttemptMark, Life, MediaFacts, MediaRecord, MediaState, MessageSeq, QueuedMessage, Store,
    StoreError, StoredPoll,
};
use crate::system::clock::Clock;
use crate::whatsapp::{
    AttachedFile, HandoverError, KnownFile, LimitsUpdate, Link, PrepareError, PreparedMessage,
    Quote, SendContext,
};

/// Longest wait per attempt for a file that WhatsApp has deleted and the phone uploads again.
const REUPLOAD_TIMEOUT: Duration = Duration::from_secs(60);

/// The result of one part.
pub(super) enum WorkResult {
    Prepared(SendAttempt, Result<PreparedMessage, PrepareError>),
    Typed(SendAttempt),
    Recorded(Vec<MessageSeq>, Result<(), ()>),
    Cleared(Vec<MessageSeq>),
    HandedOver(SendAttempt, Result<(), HandoverError>),
    /// Whether a person to whom the account may not write first has written to it meanwhile.
    TrustChecked(SendAttempt, bool),
    /// The limits of the account of this life, as far as WhatsApp answered.
    LimitsFetched(Life, LimitsUpdate),
    /// The limits that were saved; `None` if that failed.
    LimitsSaved(Life, Option<AccountLimits>),
    /// Whether the persons of these messages have written to the account; `None` if that could not
    /// be found out.
    ChatsChecked(Vec<(MessageSeq, Option<ChatFamiliarity>)>),
    /// All addresses of a person who has written; `None` if they could not be found out.
    WriterFound(Option<Vec<String>>),
}

/// Everything needed to work on a message.
pub(super) struct SendWork {
    pub attempt: SendAttempt,
    pub message: Arc<QueuedMessage>,
    pub session: Arc<Session>,
    pub deps: SessionDeps,
    /// `None` if it is read from the store.
    pub content: Option<Message>,
    pub file: Option<MediaFile>,
    pub prepared: Option<PreparedMessage>,
}

pub(super) async fn record_attempts(store: Store, marks: Vec<AttemptMark>) -> WorkResult {
    let seqs = marks.iter().map(|mark| mark.seq).collect();
    let marked = store.outbox().record_attempts(marks).await.map_err(drop);
    WorkResult::Recorded(seqs, marked)
}

/// Takes back such marks. Until that has succeeded, nobody knows whether they are set.
pub(super) async fn clear_attempts(
    store: Store,
    clock: Clock,
    seqs: Vec<MessageSeq>,
) -> WorkResult {
    while let Err(error) = store.outbox().clear_attempts(seqs.clone()).await {
        tracing::debug!(%error, "failed to record that messages have not left; trying again");
        clock.sleep(RETRY_PAUSE).await;
    }
    WorkResult::Cleared(seqs)
}

/// Checks for the recipient's trust token after a message was refused as the first one to a new
/// contact.
pub(super) async fn check_trust(
    attempt: SendAttempt,
    session: Arc<Session>,
    by: ChatId,
) -> WorkResult {
    let is_trusted = match session.link() {
        Some(link) => link.wait_for_trust(&by).await,
        None => false,
    };
    WorkResult::TrustChecked(attempt, is_trusted)
}

impl SendWork {
    /// Fetches the message's file and uploads it to WhatsApp's media servers.
    pub async fn prepare_message(mut self) -> WorkResult {
        let outcome = self.try_prepare().await;
        WorkResult::Prepared(self.attempt, outcome)
    }

    async fn try_prepare(&mut self) -> Result<PreparedMessage, PrepareError> {
        let message = self.load_message().await.map_err(PrepareError::Transient)?;
        let file = match (self.file.take(), message.content.media_file()) {
            (None, Some((kind, file))) => Some(match (&file.id, &file.link) {
                (Some(id), _) => self.stored_file(id).await?,
                (None, link) => {
                    let link = link.as_deref().unwrap_or_default();
                    let requester = FetchRequester::for_sender(self.session.name.as_str());
                    let fetched =
                        self.deps
                            .fetcher
                            .fetch_file(requester, link, kind, file.sha256.as_deref());
                    fetched.await.map_err(prepare_failure)?.into()
                }
            }),
            (file, _) => file.map(AttachedFile::from),
        };
        let link = self
            .session
            .link()
            .ok_or_else(|| PrepareError::Transient("the session went offline".to_owned()))?;
        self.check_account(&link).map_err(PrepareError::Permanent)?;
        let quote = self.find_quote(&message, &link).await;
        let secret = self
            .poll_secret(&message, &link)
            .await
            .map_err(|error| PrepareError::Transient(error.to_string()))?;
        let preview = match &message.content {
            MessageContent::Text { text } if text.preview_url => {
                self.deps
                    .fetcher
                    .fetch_preview(self.session.name.as_str(), &text.body)
                    .await
            }
            _ => None,
        };
        let beside = SendContext {
            quote,
            secret,
            preview,
            ..SendContext::default()
        };
        let mut prepared = link
            .prepare_message(&self.message.to, &message, file, &beside)
            .await;
        let id = message
            .content
            .media_file()
            .and_then(|(_, file)| file.id.as_deref());
        if let Some(id) = id.filter(|_| matches!(prepared, Err(PrepareError::FileMissing))) {
            let file = Some(self.download_file(id).await?);
            prepared = link
                .prepare_message(&self.message.to, &message, file, &beside)
                .await;
        }
        prepared
    }

    /// Returns a file that was uploaded or received before. It need not be stored here if WhatsApp
    /// may still have it.
    async fn stored_file(&self, id: &str) -> Result<AttachedFile, PrepareError> {
        let record = self.find_record(id).await?;
        let file = self.open_local(&record).await?;
        let remote = record
            .source
            .as_deref()
            .and_then(|source| serde_json::from_str(source).ok());
        let MediaFacts {
            mime_type,
            filename: name,
            width,
            height,
            duration,
            pages,
            ..
        } = record.facts;
        let described = MediaProperties {
            width,
            height,
            duration,
            pages,
            ..MediaProperties::default()
        };
        let known = remote.map(|remote| KnownFile {
            remote,
            mime_type: mime_type.unwrap_or_default(),
            name,
            described,
        });
        if file.is_none() && known.is_none() {
            Err(file_gone(id))
        } else {
            Ok(AttachedFile { file, known })
        }
    }

    /// Downloads a received file now.
    async fn download_file(&self, id: &str) -> Result<AttachedFile, PrepareError> {
        let record = self.find_record(id).await?;
        let brought = self
            .deps
            .media
            .fetch_media(record, REUPLOAD_TIMEOUT)
            .await
            .map_err(|error| file_unreadable(id, &error))?;
        match (self.open_local(&brought).await?, brought.error) {
            (Some(file), _) => Ok(file.into()),
            (None, _) if brought.state == MediaState::Waiting => Err(PrepareError::Transient(
                format!("the file {id} is still being downloaded"),
            )),
            (None, why) => Err(why.map_or_else(
                || file_gone(id),
                |why| PrepareError::Permanent(format!("the file {id}: {why}")),
            )),
        }
    }

    async fn find_record(&self, id: &str) -> Result<MediaRecord, PrepareError> {
        let record = self
            .deps
            .media
            .find_media(id)
            .await
            .map_err(|error| file_unreadable(id, &error))?;
        let is_ours = |record: &MediaRecord| record.session == self.message.session;
        record
            .filter(|record| is_ours(record) && record.state != MediaState::Removed)
            .ok_or_else(|| file_gone(id))
    }

    async fn open_local(&self, record: &MediaRecord) -> Result<Option<MediaFile>, PrepareError> {
        match self.deps.media.open_file(record).await {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(file_unreadable(&record.id, &error)),
        }
    }

    /// Hands the message to the engine.
    pub async fn hand_over(mut self) -> WorkResult {
        let outcome = self.try_hand_over().await;
        WorkResult::HandedOver(self.attempt, outcome)
    }

    async fn try_hand_over(&mut self) -> Result<(), HandoverError> {
        let link = self.session.link().ok_or(HandoverError::Offline)?;
        self.check_account(&link).map_err(HandoverError::Failed)?;
        let prepared = match self.prepared.take() {
            Some(prepared) => prepared,
            None => self
                .prepare_without_file(&link)
                .await
                .ok_or_else(|| HandoverError::Failed("it cannot be prepared".to_owned()))?,
        };
        let QueuedMessage { to, id, .. } = &*self.message;
        let outcome = link.hand_over(to, prepared, id).await;
        if let Err(HandoverError::Failed(reason)) = &outcome {
            // The engine's error may contain phone numbers.
            tracing::debug!(session = %self.session.name, reason, "the engine failed to send a message");
            tracing::warn!(session = %self.session.name, id, "the engine failed to send a message");
        }
        outcome
    }

    /// Fails if the link belongs to another account than the message was written for.
    fn check_account(&self, link: &Link) -> Result<(), String> {
        let is_theirs = link.life().is_some_and(|life| life == self.message.session);
        is_theirs
            .then_some(())
            .ok_or_else(|| "the session is linked to another account now".to_owned())
    }

    /// Prepares a message without a file, which needs nothing in advance. A link preview is lost.
    async fn prepare_without_file(&mut self, link: &Link) -> Option<PreparedMessage> {
        let message = self.load_message().await.ok()?;
        let poll = match message.content.chosen_options() {
            Some((poll, _)) => Some((
                poll,
                self.deps
                    .store
                    .inbound()
                    .find_poll(&self.message.session, poll)
                    .await
                    .ok()??,
            )),
            None => None,
        };
        let quote = match &poll {
            Some((id, poll)) => Some(poll_quote(id, poll, link)),
            None => self.find_quote(&message, link).await,
        };
        let secret = self.poll_secret(&message, link).await.ok()?;
        let original = self.find_original(&message, link).await;
        let beside = SendContext {
            quote,
            secret,
            poll: poll.map(|(_, poll)| poll),
            preview: None,
            original,
        };
        link.prepare_message(&self.message.to, &message, None, &beside)
            .await
            .ok()
    }

    /// Returns the sent payload of a message whose caption is edited: phones expect all of it
    /// again.
    async fn find_original(&self, message: &Message, link: &Link) -> Option<Vec<u8>> {
        let MessageContent::Edit {
            edit:
                EditContent {
                    message_id,
                    text: None,
                    ..
                },
        } = &message.content
        else {
            return None;
        };
        let chats = [
            Some(self.message.to.to_string()),
            link.find_other_address(&self.message.to).await,
        ];
        for chat in chats.into_iter().flatten() {
            let found = self
                .deps
                .store
                .outbox()
                .find_payload(&self.message.session, &chat, message_id)
                .await;
            if let Ok(Some(original)) = found {
                return Some(original);
            }
        }
        None
    }

    pub(super) async fn load_message(&mut self) -> Result<Message, String> {
        match self.content.take() {
            Some(message) => Ok(message),
            None => self.deps.store.outbox().message_content(self.message.seq).await.map_err(|error| {
                tracing::error!(session = %self.session.name, %error, "failed to read a message");
                "the message cannot be read".to_owned()
            }),
        }
    }

    /// Returns the key that encrypts a poll's votes or an event's answers. A poll that is sent
    /// again keeps its key.
    async fn poll_secret(
        &self,
        message: &Message,
        link: &Link,
    ) -> Result<Option<Vec<u8>>, StoreError> {
        let creator = || link_address(link).unwrap_or_default();
        let secret = || rand::random::<[u8; 32]>().to_vec();
        let chat = || self.message.to.to_string();
        let poll = match &message.content {
            MessageContent::Poll { poll } => StoredPoll {
                chat: Some(chat()),
                creator: creator(),
                secret: secret(),
                question: poll.question.clone(),
                options: poll.options.clone(),
                max_selections: poll.max_selections,
            },
            MessageContent::Event { event } => {
                StoredPoll::from_event(chat(), creator(), secret(), event.name.clone())
            }
            _ => return Ok(None),
        };
        Ok(Some(
            self.deps
                .store
                .inbound()
                .save_poll(&self.message.session, &self.message.id, poll)
                .await?,
        ))
    }

    /// Returns the message that this one quotes or refers to. In a chat of two, an unknown message
    /// is assumed to be the other person's.
    async fn find_quote(&self, message: &Message, link: &Link) -> Option<Quote> {
        let id = message.referenced_id()?.to_owned();
        let (session, chat) = (&self.message.session, self.message.to.to_string());
        let chats = [
            Some(chat.clone()),
            link.find_other_address(&self.message.to).await,
        ];
        let chats: Vec<_> = chats.into_iter().flatten().collect();
        let known = self
            .deps
            .store
            .outbox()
            .find_quoted(session, &chats, &id)
            .await
            .ok()
            .flatten();
        if known.is_none()
            && let Some(status) = self.find_status(&chats, &id).await
        {
            return Some(status);
        }
        let (author, message) = known.map_or((Some(chat.clone()), None), |quoted| {
            (quoted.author, quoted.message)
        });
        let is_own = author.is_none();
        let author = author.or_else(|| link_address(link)).unwrap_or(chat);
        Some(Quote {
            id,
            author,
            is_own,
            chat: None,
            message,
        })
    }

    /// Finds a status of the recipient.
    async fn find_status(&self, author: &[String], id: &str) -> Option<Quote> {
        let known = self
            .deps
            .store
            .outbox()
            .find_quoted(&self.message.session, &[STATUS.to_owned()], id)
            .await
            .ok()??;
        let by = known.author.filter(|by| author.contains(by))?;
        Some(Quote {
            id: id.to_owned(),
            author: by,
            is_own: false,
            chat: Some(STATUS.to_owned()),
            message: known.message,
        })
    }
}

/// Returns the poll or event that a vote or answer refers to. Its author is stored with its secret,
/// which is kept longer than the message.
fn poll_quote(id: &str, poll: &StoredPoll, link: &Link) -> Quote {
    let own = link.account();
    let is_own = own.is_some_and(|own| {
        poll.creator == own.phone_address() || own.lid.as_ref() == Some(&poll.creator)
    });
    Quote {
        id: id.to_owned(),
        author: poll.creator.clone(),
        is_own,
        chat: None,
        message: None,
    }
}

fn file_gone(id: &str) -> PrepareError {
    PrepareError::Permanent(format!("the file {id} is no longer stored"))
}

fn file_unreadable(id: &str, error: &dyn std::fmt::Display) -> PrepareError {
    PrepareError::Transient(format!("the file {id} cannot be read: {error}"))
}

/// Returns the address of a session's own account, online or not.
pub(super) fn account_address(session: &Session) -> Option<String> {
    session.read_state(|state| state.account.as_ref().map(Account::phone_address))
}

fn link_address(link: &Link) -> Option<String> {
    link.account().map(|own| own.phone_address())
}

/// A server that is away may come back, but an answer about the file is final.
fn prepare_failure(error: FetchError) -> PrepareError {
    let detail = format!("the file {error}");
    match error {
        FetchError::Unreachable(_)
        | FetchError::Timeout(_)
        | FetchError::TooSlow(_)
        | FetchError::QueueFull(_)
        | FetchError::Disk(_) => PrepareError::Transient(detail),
        FetchError::Status(429 | 500..) => PrepareError::Transient(detail),
        _ => PrepareError::Permanent(detail),
    }
}

/// Completes after this time, or never.
pub(super) async fn sleep_or_wait(clock: Clock, pause: Option<Duration>) {
    match pause {
        Some(pause) => clock.sleep(pause).await,
        None => pending().await,
    }
}
