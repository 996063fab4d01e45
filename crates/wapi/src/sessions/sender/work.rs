//! The slow parts of sending, each on one message.

use std::future::pending;
use std::sync::Arc;
use std::time::Duration;

use super::super::outbox::{HandedOver, Unprepared};
use super::super::{Parts, Session};
use crate::clock::Clock;
use crate::event::Account;
use crate::fetch::{NoFile, Whose};
use crate::media::{Described, File};
use crate::message::{ChatId, Content, Edit, Message, STATUS};
use crate::store::{Life, MediaFacts, MediaRecord, MediaState, Place, Poll, Store, StoreError};
use crate::whatsapp::{Attached, Beside, Known, Link, NotHandedOver, NotPrepared, Prepared, Quote};

/// Longest wait per attempt for a file that WhatsApp has deleted and the phone uploads again.
const BROUGHT: Duration = Duration::from_secs(60);

/// The result of one part.
pub(super) enum Done {
    Prepared(Place, Result<Prepared, Unprepared>),
    Marked(Vec<Place>, Result<(), ()>),
    HandedOver(Place, HandedOver),
    /// Whether a person to whom the account may not write first has written to it meanwhile.
    Trusted(Place, bool),
}

/// Everything needed to work on a message.
pub(super) struct Work {
    pub place: Place,
    pub life: Life,
    pub session: Arc<Session>,
    pub around: Parts,
    pub id: String,
    pub to: ChatId,
    pub message: Option<Message>,
    pub file: Option<File>,
    pub prepared: Option<Prepared>,
}

pub(super) async fn mark(store: Store, places: Vec<Place>) -> Done {
    let marked = store.mark_attempted(places.clone()).await.map_err(drop);
    Done::Marked(places, marked)
}

/// Checks for the recipient's trust token after a message was refused as the first one to a new
/// contact.
pub(super) async fn trusted(place: Place, session: Arc<Session>, by: ChatId) -> Done {
    let is_trusted = match session.link() {
        Some(link) => link.is_trusted_now(&by).await,
        None => false,
    };
    Done::Trusted(place, is_trusted)
}

impl Work {
    /// Fetches the message's file and uploads it to WhatsApp's media servers.
    pub async fn prepare(mut self) -> Done {
        let outcome = self.prepared().await;
        Done::Prepared(self.place, outcome)
    }

    async fn prepared(&mut self) -> Result<Prepared, Unprepared> {
        let message = self.message().await.map_err(Unprepared::Passing)?;
        let file = match (self.file.take(), message.content.file()) {
            (None, Some((kind, file))) => Some(match (&file.id, &file.link) {
                (Some(id), _) => self.kept(id).await?,
                (None, link) => {
                    let link = link.as_deref().unwrap_or_default();
                    let whose = Whose::sender(self.session.name.as_str());
                    let fetched =
                        self.around
                            .fetcher
                            .file(whose, link, kind, file.sha256.as_deref());
                    fetched.await.map_err(unprepared)?.into()
                }
            }),
            (file, _) => file.map(Attached::from),
        };
        let link = self
            .session
            .link()
            .ok_or_else(|| Unprepared::Passing("the session went offline".to_owned()))?;
        self.is_of(&link).map_err(Unprepared::Unfit)?;
        let quote = self.quote(&message, &link).await;
        let secret = self
            .secret(&message, &link)
            .await
            .map_err(|error| Unprepared::Passing(error.to_string()))?;
        let preview = match &message.content {
            Content::Text { text } if text.preview_url => {
                self.around
                    .fetcher
                    .preview(self.session.name.as_str(), &text.body)
                    .await
            }
            _ => None,
        };
        let beside = Beside {
            quote,
            secret,
            preview,
            ..Beside::default()
        };
        let mut prepared = link.prepare(&self.to, &message, file, &beside).await;
        let id = message
            .content
            .file()
            .and_then(|(_, file)| file.id.as_deref());
        if let Some(id) = id.filter(|_| matches!(prepared, Err(NotPrepared::NotHere))) {
            let file = Some(self.brought(id).await?);
            prepared = link.prepare(&self.to, &message, file, &beside).await;
        }
        prepared.map_err(|error| match error {
            NotPrepared::NotHere | NotPrepared::NotUploaded(_) | NotPrepared::NotConverted(_) => {
                Unprepared::Passing(error.to_string())
            }
            NotPrepared::Unfit(_) | NotPrepared::Unsayable => Unprepared::Unfit(error.to_string()),
        })
    }

    /// Returns a file that was uploaded or received before. It need not be stored here if WhatsApp
    /// may still have it.
    async fn kept(&self, id: &str) -> Result<Attached, Unprepared> {
        let record = self.record(id).await?;
        let file = self.local(&record).await?;
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
        let described = Described {
            width,
            height,
            duration,
            pages,
            ..Described::default()
        };
        let known = remote.map(|remote| Known {
            remote,
            mime_type: mime_type.unwrap_or_default(),
            name,
            described,
        });
        if file.is_none() && known.is_none() {
            Err(gone(id))
        } else {
            Ok(Attached { file, known })
        }
    }

    /// Downloads a received file now.
    async fn brought(&self, id: &str) -> Result<Attached, Unprepared> {
        let record = self.record(id).await?;
        let brought = self
            .around
            .media
            .fetch(record, BROUGHT)
            .await
            .map_err(|error| unreadable(id, &error))?;
        match (self.local(&brought).await?, brought.error) {
            (Some(file), _) => Ok(file.into()),
            (None, _) if brought.state == MediaState::Waiting => Err(Unprepared::Passing(format!(
                "the file {id} is still being downloaded"
            ))),
            (None, why) => Err(why.map_or_else(
                || gone(id),
                |why| Unprepared::Unfit(format!("the file {id}: {why}")),
            )),
        }
    }

    async fn record(&self, id: &str) -> Result<MediaRecord, Unprepared> {
        let record = self
            .around
            .media
            .find(id)
            .await
            .map_err(|error| unreadable(id, &error))?;
        let is_ours = |record: &MediaRecord| record.session == self.life;
        record
            .filter(|record| is_ours(record) && record.state != MediaState::Removed)
            .ok_or_else(|| gone(id))
    }

    async fn local(&self, record: &MediaRecord) -> Result<Option<File>, Unprepared> {
        match self.around.media.file(record).await {
            Ok(file) => Ok(Some(file)),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(unreadable(&record.id, &error)),
        }
    }

    pub async fn hand_over(mut self, limit: Duration) -> Done {
        let outcome = self.handed_over(limit).await;
        Done::HandedOver(self.place, outcome)
    }

    async fn handed_over(&mut self, limit: Duration) -> HandedOver {
        let Some(link) = self.session.link() else {
            return HandedOver::Offline;
        };
        if self.is_of(&link).is_err() {
            return HandedOver::Failed;
        }
        let prepared = match self.prepared.take() {
            Some(prepared) => prepared,
            None => match self.made(&link).await {
                Some(made) => made,
                None => return HandedOver::Failed,
            },
        };
        match link.hand_over(&self.to, prepared, &self.id, limit).await {
            Ok(()) => HandedOver::Left,
            Err(NotHandedOver::Offline) => HandedOver::Offline,
            Err(NotHandedOver::Unclear) => HandedOver::Unclear,
            Err(NotHandedOver::NotOnWhatsapp) => HandedOver::NobodyThere,
            Err(NotHandedOver::NotInGroup) => HandedOver::NotInGroup,
            Err(NotHandedOver::NoNewsletter) => HandedOver::NoNewsletter,
            Err(NotHandedOver::NotNewsletterAdmin) => HandedOver::NotNewsletterAdmin,
            Err(NotHandedOver::Failed(reason)) => {
                // The engine's error may contain phone numbers.
                tracing::debug!(session = %self.session.name, reason, "the engine could not send a message");
                tracing::warn!(session = %self.session.name, id = self.id, "the engine could not send a message");
                HandedOver::Failed
            }
        }
    }

    /// Fails if the link belongs to another account than the message was written for.
    fn is_of(&self, link: &Link) -> Result<(), String> {
        let is_theirs = link.life().is_some_and(|life| life == self.life);
        is_theirs
            .then_some(())
            .ok_or_else(|| "the session is linked to another account now".to_owned())
    }

    /// Prepares a message without a file, which needs nothing in advance. A link preview is lost.
    async fn made(&mut self, link: &Link) -> Option<Prepared> {
        let message = self.message().await.ok()?;
        let poll = match message.content.ballot() {
            Some((poll, _)) => Some((poll, self.around.store.poll(&self.life, poll).await.ok()??)),
            None => None,
        };
        let quote = match &poll {
            Some((id, poll)) => Some(question(id, poll, link)),
            None => self.quote(&message, link).await,
        };
        let secret = self.secret(&message, link).await.ok()?;
        let original = self.original(&message, link).await;
        let beside = Beside {
            quote,
            secret,
            poll: poll.map(|(_, poll)| poll),
            preview: None,
            original,
        };
        link.prepare(&self.to, &message, None, &beside).await.ok()
    }

    /// Returns the sent payload of a message whose caption is edited: phones expect all of it
    /// again.
    async fn original(&self, message: &Message, link: &Link) -> Option<Vec<u8>> {
        let Content::Edit {
            edit:
                Edit {
                    message_id,
                    text: None,
                    ..
                },
        } = &message.content
        else {
            return None;
        };
        let chats = [
            Some(self.to.to_string()),
            link.other_address(&self.to).await,
        ];
        for chat in chats.into_iter().flatten() {
            let found = self
                .around
                .store
                .payload(&self.life, &chat, message_id)
                .await;
            if let Ok(Some(original)) = found {
                return Some(original);
            }
        }
        None
    }

    async fn message(&mut self) -> Result<Message, String> {
        match self.message.take() {
            Some(message) => Ok(message),
            None => self.around.store.content(self.place).await.map_err(|error| {
                tracing::error!(session = %self.session.name, %error, "a message cannot be read back");
                "the message cannot be read back".to_owned()
            }),
        }
    }

    /// Returns the key that encrypts a poll's votes or an event's answers. A poll that is sent
    /// again keeps its key.
    async fn secret(&self, message: &Message, link: &Link) -> Result<Option<Vec<u8>>, StoreError> {
        let creator = || own_address(link).unwrap_or_default();
        let secret = || rand::random::<[u8; 32]>().to_vec();
        let chat = || self.to.to_string();
        let poll = match &message.content {
            Content::Poll { poll } => Poll {
                chat: Some(chat()),
                creator: creator(),
                secret: secret(),
                question: poll.question.clone(),
                options: poll.options.clone(),
                max_selections: poll.max_selections,
            },
            Content::Event { event } => {
                Poll::event(chat(), creator(), secret(), event.name.clone())
            }
            _ => return Ok(None),
        };
        Ok(Some(
            self.around
                .store
                .keep_poll(&self.life, &self.id, poll)
                .await?,
        ))
    }

    /// Returns the message that this one quotes or refers to. In a chat of two, an unknown message
    /// is assumed to be the other person's.
    async fn quote(&self, message: &Message, link: &Link) -> Option<Quote> {
        let id = message.refers_to()?.to_owned();
        let (session, chat) = (&self.life, self.to.to_string());
        let chats = [Some(chat.clone()), link.other_address(&self.to).await];
        let chats: Vec<_> = chats.into_iter().flatten().collect();
        let known = self
            .around
            .store
            .quoted(session, &chats, &id)
            .await
            .ok()
            .flatten();
        if known.is_none()
            && let Some(status) = self.status(&chats, &id).await
        {
            return Some(status);
        }
        let (author, message) = known.map_or((Some(chat.clone()), None), |quoted| {
            (quoted.author, quoted.message)
        });
        let is_own = author.is_none();
        let author = author.or_else(|| own_address(link)).unwrap_or(chat);
        Some(Quote {
            id,
            author,
            is_own,
            chat: None,
            message,
        })
    }

    /// Finds a status of the recipient.
    async fn status(&self, author: &[String], id: &str) -> Option<Quote> {
        let known = self
            .around
            .store
            .quoted(&self.life, &[STATUS.to_owned()], id)
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
fn question(id: &str, poll: &Poll, link: &Link) -> Quote {
    let own = link.account();
    let is_own = own.is_some_and(|own| {
        poll.creator == own.address() || own.lid.as_ref() == Some(&poll.creator)
    });
    Quote {
        id: id.to_owned(),
        author: poll.creator.clone(),
        is_own,
        chat: None,
        message: None,
    }
}

fn gone(id: &str) -> Unprepared {
    Unprepared::Unfit(format!("the file {id} is not here any more"))
}

fn unreadable(id: &str, error: &dyn std::fmt::Display) -> Unprepared {
    Unprepared::Passing(format!("the file {id} cannot be read: {error}"))
}

/// Returns the address of a session's own account, online or not.
pub(super) fn own_number(session: &Session) -> Option<String> {
    session.look(|state| state.account.as_ref().map(Account::address))
}

fn own_address(link: &Link) -> Option<String> {
    link.account().map(|own| own.address())
}

/// A server that is away may come back, but an answer about the file is final.
fn unprepared(error: NoFile) -> Unprepared {
    let detail = format!("the file {error}");
    match error {
        NoFile::Unreachable(_)
        | NoFile::Timeout(_)
        | NoFile::TooSlow(_)
        | NoFile::Crowded(_)
        | NoFile::NotKept(_) => Unprepared::Passing(detail),
        NoFile::Status(429 | 500..) => Unprepared::Passing(detail),
        _ => Unprepared::Unfit(detail),
    }
}

/// Completes after this time, or never.
pub(super) async fn alarm(clock: Clock, pause: Option<Duration>) {
    match pause {
        Some(pause) => clock.sleep(pause).await,
        None => pending().await,
    }
}
