//! The parts of sending that take time, each on one message.

use std::sync::Arc;
use std::time::Duration;

use super::super::outbox::{HandedOver, Unprepared};
use super::super::{Parts, Session};
use crate::fetch::NoFile;
use crate::media::File;
use crate::message::{CalendarEvent, ChatId, Content, Edit, Message};
use crate::store::{Place, Poll, Store, StoreError};
use crate::whatsapp::{Beside, Link, NotHandedOver, NotPrepared, Prepared, Quote};

/// How a part ended.
pub(super) enum Done {
    Prepared(Place, Result<Prepared, Unprepared>),
    Marked(Vec<Place>, Result<(), ()>),
    HandedOver(Place, HandedOver),
}

/// Everything the work on a message needs.
pub(super) struct Work {
    pub place: Place,
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

impl Work {
    /// Fetches the message's file and gives it to WhatsApp's media servers.
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
                    self.around.fetcher.file(link.as_deref().unwrap_or_default(), kind).await.map_err(unprepared)?
                }
            }),
            (file, _) => file,
        };
        let link = self.session.link().ok_or_else(|| Unprepared::Passing("the session went offline".to_owned()))?;
        let quote = self.quote(&message, &link).await;
        let secret = self.secret(&message, &link).await.map_err(|error| Unprepared::Passing(error.to_string()))?;
        let preview = match &message.content {
            Content::Text { text } if text.preview_url => self.around.fetcher.preview(&text.body).await,
            _ => None,
        };
        let beside = Beside { quote, secret, preview, original: None };
        link.prepare(&self.to, &message, file, beside).await.map_err(|error| match error {
            NotPrepared::NotUploaded(_) | NotPrepared::NotConverted(_) => Unprepared::Passing(error.to_string()),
            NotPrepared::Unfit(_) | NotPrepared::Unsayable => Unprepared::Unfit(error.to_string()),
        })
    }

    /// A file that was uploaded, or came in, before.
    async fn kept(&self, id: &str) -> Result<File, Unprepared> {
        let gone = || Unprepared::Unfit(format!("the file {id} is not here any more"));
        let media = &self.around.media;
        let passing =
            |error: &dyn std::fmt::Display| Unprepared::Passing(format!("the file {id} cannot be read: {error}"));
        let record = media.find(id).await.map_err(|error| passing(&error))?;
        let record = record.filter(|record| record.session == self.session.name.as_str()).ok_or_else(gone)?;
        match media.file(&record).await {
            Ok(file) => Ok(file),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Err(gone()),
            Err(error) => Err(passing(&error)),
        }
    }

    pub async fn hand_over(mut self, limit: Duration) -> Done {
        let outcome = self.handed_over(limit).await;
        Done::HandedOver(self.place, outcome)
    }

    async fn handed_over(&mut self, limit: Duration) -> HandedOver {
        let Some(link) = self.session.link() else { return HandedOver::Offline };
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
            Err(NotHandedOver::Failed(reason)) => {
                // The engine's own words may carry phone numbers.
                tracing::debug!(session = %self.session.name, reason, "the engine could not send a message");
                tracing::warn!(session = %self.session.name, id = self.id, "the engine could not send a message");
                HandedOver::Failed
            }
        }
    }

    /// A message without a file needs nothing to be ready; a link has lost its preview.
    async fn made(&mut self, link: &Link) -> Option<Prepared> {
        let message = self.message().await.ok()?;
        let quote = self.quote(&message, link).await;
        let secret = self.secret(&message, link).await.ok()?;
        let original = self.original(&message, link).await;
        link.prepare(&self.to, &message, None, Beside { quote, secret, preview: None, original }).await.ok()
    }

    /// The message that gets another caption, as it left: phones want the whole of it again.
    async fn original(&self, message: &Message, link: &Link) -> Option<Vec<u8>> {
        let Content::Edit { edit: Edit { message_id, text: None, .. } } = &message.content else { return None };
        let chats = [Some(self.to.to_string()), link.other_address(&self.to).await];
        for chat in chats.into_iter().flatten() {
            let found = self.around.store.payload(self.session.name.as_str(), &chat, message_id).await;
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

    /// What the votes on a poll, or the answers to an event, are sealed with. A poll that is sent again has the same as before.
    async fn secret(&self, message: &Message, link: &Link) -> Result<Option<Vec<u8>>, StoreError> {
        let (question, options) = match &message.content {
            Content::Poll { poll } => (poll.question.clone(), poll.options.clone()),
            Content::Event { event } => (event.name.clone(), CalendarEvent::RESPONSES.map(str::to_owned).into()),
            _ => return Ok(None),
        };
        let (creator, secret) = (own_address(link).unwrap_or_default(), rand::random::<[u8; 32]>().to_vec());
        let poll = Poll { creator, secret, question, options };
        Ok(Some(self.around.store.keep_poll(self.session.name.as_str(), &self.id, poll).await?))
    }

    /// What the message answers or is about. In a chat of two, what is not known is taken for the other's.
    async fn quote(&self, message: &Message, link: &Link) -> Option<Quote> {
        let id = message.refers_to()?.to_owned();
        let (session, chat) = (self.session.name.as_str(), self.to.to_string());
        let chats = [Some(chat.clone()), link.other_address(&self.to).await];
        let chats: Vec<_> = chats.into_iter().flatten().collect();
        let known = self.around.store.quoted(session, &chats, &id).await.ok().flatten();
        let (author, message) = known.map_or((Some(chat.clone()), None), |quoted| (quoted.author, quoted.message));
        let is_own = author.is_none();
        let author = author.or_else(|| own_address(link)).unwrap_or(chat);
        Some(Quote { id, author, is_own, message })
    }
}

fn own_address(link: &Link) -> Option<String> {
    Some(format!("{}@s.whatsapp.net", link.account()?.phone))
}

/// A server that is away may come back; what it says about the file stays so.
fn unprepared(error: NoFile) -> Unprepared {
    let detail = format!("the file {error}");
    match error {
        NoFile::Unreachable(_) | NoFile::Timeout(_) | NoFile::NotKept(_) | NoFile::Status(429 | 500..) => {
            Unprepared::Passing(detail)
        }
        _ => Unprepared::Unfit(detail),
    }
}
