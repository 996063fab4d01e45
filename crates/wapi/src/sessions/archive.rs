//! Imports a session's history sync into the history, with people resolved to their stable ids.
//! Emits no events.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use super::{Parts, Session};
use crate::event::{EventData, Person, ReceivedMessage};
use crate::identity::{self, Knowledge};
use crate::store::kept::{Imports, NewKept};
use crate::store::{Lifeline, Past, Reached, Store};
use crate::whatsapp::{Archive, Incoming, PastMessage, Told};

const HOURS_A_DAY: i64 = 24;

/// The history-sync sink of one session.
pub(super) struct SessionArchive {
    session: Arc<Session>,
    lifeline: Lifeline,
    around: Parts,
    /// Serializes updates, so that the shown progress changes in the order in which it is saved.
    turn: Mutex<()>,
}

impl SessionArchive {
    /// Returns `None` for a session that did not request history sync.
    pub fn of(
        session: &Arc<Session>,
        lifeline: Lifeline,
        around: &Parts,
    ) -> Option<Arc<dyn Archive>> {
        let is_asked = session.look(|state| state.past.is_some()) && around.history.is_on();
        let archive = || Self {
            session: Arc::clone(session),
            lifeline,
            around: around.clone(),
            turn: Mutex::default(),
        };
        is_asked.then(|| Arc::new(archive()) as _)
    }

    fn name(&self) -> &str {
        self.session.name.as_str()
    }

    fn show(&self, past: Option<Past>) {
        self.session
            .update(|state| state.past = past.or(state.past));
    }

    /// The oldest timestamp that the history's retention keeps.
    fn since(&self) -> Timestamp {
        let age = self
            .around
            .history
            .keeps_for()
            .and_then(|age| SignedDuration::try_from(age).ok());
        age.and_then(|age| self.around.clock.now().checked_sub(age).ok())
            .unwrap_or(Timestamp::MIN)
    }

    async fn name_all(&self, people: impl Iterator<Item = &mut Person>) -> Result<()> {
        for person in people {
            identity::of_person(&self.around.store, &self.lifeline.life(), person).await?;
        }
        Ok(())
    }

    /// Resolves everybody in a message to their stable id.
    async fn name_in(&self, message: &mut PastMessage) -> Result<()> {
        let Incoming { chat, data, .. } = &mut message.incoming;
        *chat = identity::named(
            &self.around.store,
            &self.lifeline.life(),
            data,
            chat,
            Knowledge::New,
        )
        .await?;
        self.name_all(
            message
                .reactions
                .iter_mut()
                .filter_map(|(by, _)| by.as_mut()),
        )
        .await
    }
}

#[async_trait]
impl Archive for SessionArchive {
    fn days(&self) -> Option<u32> {
        let age = SignedDuration::try_from(self.around.history.keeps_for()?)
            .unwrap_or(SignedDuration::MAX);
        Some(
            u32::try_from(age.as_hours() / HOURS_A_DAY)
                .unwrap_or(u32::MAX)
                .max(1),
        )
    }

    async fn announced(&self, id: &str) -> Result<()> {
        let _turn = self.turn.lock().await;
        self.show(self.around.store.announce_part(self.name(), id).await?);
        Ok(())
    }

    async fn take(&self, mut told: Told) -> Result<()> {
        let since = self.since();
        told.messages
            .retain(|message| at(&message.incoming).is_some_and(|at| at >= since));
        self.name_all(told.known.iter_mut()).await?;
        self.name_all(
            told.contacts
                .iter_mut()
                .chain(told.chats.iter_mut().map(|chat| &mut chat.chat)),
        )
        .await?;
        for message in &mut told.messages {
            self.name_in(message).await?;
        }
        let files = told
            .messages
            .iter_mut()
            .map(|message| &mut message.incoming);
        self.around
            .media
            .note_past(&self.lifeline.life(), files)
            .await?;
        let Told {
            chats,
            contacts,
            messages,
            ..
        } = told;
        let messages = messages.into_iter().filter_map(kept).collect();
        Ok(self
            .around
            .history
            .import(
                &self.lifeline.life(),
                &Imports {
                    chats,
                    contacts,
                    messages,
                },
            )
            .await?)
    }

    async fn taken(&self, id: &str, reached: Option<Reached>) -> Result<()> {
        let _turn = self.turn.lock().await;
        self.show(
            self.around
                .store
                .take_part(self.name(), id, reached)
                .await?,
        );
        Ok(())
    }

    async fn lost(&self) -> Result<()> {
        let _turn = self.turn.lock().await;
        if self
            .session
            .look(|state| state.past.is_some_and(|past| past.waiting > 0))
        {
            self.show(self.around.store.lose_parts(self.name()).await?);
        }
        Ok(())
    }
}

/// Resets the progress: the next device of a session whose device was logged out receives the whole
/// history again.
pub(super) async fn start_over(session: &Session, store: &Store) {
    if session.look(|state| state.past.is_none()) {
        return;
    }
    if let Err(error) = store.restart_past(session.name.as_str()).await {
        tracing::warn!(session = %session.name, %error, "what a former device was told cannot be forgotten");
        return;
    }
    session.update(|state| state.past = Some(Past::default()));
}

fn at(incoming: &Incoming) -> Option<Timestamp> {
    match &incoming.data {
        EventData::MessageReceived(told) | EventData::MessageEcho(told) => Some(told.timestamp),
        _ => None,
    }
}

fn kept(
    PastMessage {
        incoming,
        status,
        reactions,
    }: PastMessage,
) -> Option<NewKept> {
    let (EventData::MessageReceived(told) | EventData::MessageEcho(told)) = incoming.data else {
        return None;
    };
    let ReceivedMessage {
        id,
        chat,
        from,
        from_me,
        timestamp: at,
        message,
        ..
    } = *told;
    let from = (!from_me).then_some(from);
    Some(NewKept {
        chat,
        id,
        from,
        at,
        message,
        status,
        reactions,
    })
}
