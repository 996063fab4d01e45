//! Imports a session's history sync into the history, with people resolved to their stable ids.
//! Emits no events.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;
use jiff::{SignedDuration, Timestamp};
use tokio::sync::Mutex;

use crate::inbound::InboundEvent;
use crate::inbound::identity::{self, ResolveMode};
use crate::model::event::{EventData, MessageOrigin, Person, ReceivedMessage};
use crate::sessions::{Session, SessionDeps};
use crate::store::history::{HistoryImport, NewHistoryMessage};
use crate::store::{DeviceLife, StageProgress, Store, SyncProgress};
use crate::whatsapp::{HistoryBatch, HistoryMessage, HistorySink};

const HOURS_PER_DAY: i64 = 24;

/// The history-sync sink of one session.
pub(in crate::sessions) struct SessionHistorySink {
    session: Arc<Session>,
    lifeline: DeviceLife,
    deps: SessionDeps,
    /// Serializes updates, so that the shown progress changes in the order in which it is saved.
    progress_lock: Mutex<()>,
}

impl SessionHistorySink {
    /// Returns `None` for a session that did not request history sync.
    pub fn for_session(
        session: &Arc<Session>,
        lifeline: DeviceLife,
        deps: &SessionDeps,
    ) -> Option<Arc<dyn HistorySink>> {
        let is_asked =
            session.read_state(|state| state.sync_progress.is_some()) && deps.history.is_enabled();
        let archive = || Self {
            session: Arc::clone(session),
            lifeline,
            deps: deps.clone(),
            progress_lock: Mutex::default(),
        };
        is_asked.then(|| Arc::new(archive()) as _)
    }

    fn session_name(&self) -> &str {
        self.session.name.as_str()
    }

    fn show_progress(&self, past: Option<SyncProgress>) {
        self.session
            .update_state(|state| state.sync_progress = past.or(state.sync_progress));
    }

    /// The oldest timestamp that the history's retention keeps.
    fn oldest_kept(&self) -> Timestamp {
        let age = self
            .deps
            .history
            .retention_time()
            .and_then(|age| SignedDuration::try_from(age).ok());
        age.and_then(|age| self.deps.clock.now().checked_sub(age).ok())
            .unwrap_or(Timestamp::MIN)
    }

    async fn resolve_people(&self, people: impl Iterator<Item = &mut Person>) -> Result<()> {
        for person in people {
            identity::register_person(&self.deps.store, &self.lifeline.current_life(), person)
                .await?;
        }
        Ok(())
    }

    /// Resolves everybody in a message to their stable id.
    async fn resolve_message(&self, message: &mut HistoryMessage) -> Result<()> {
        let InboundEvent { chat, data, .. } = &mut message.incoming;
        *chat = identity::resolve_event(
            &self.deps.store,
            &self.lifeline.current_life(),
            data,
            chat,
            ResolveMode::Register,
        )
        .await?;
        self.resolve_people(
            message
                .reactions
                .iter_mut()
                .filter_map(|(by, _)| by.as_mut()),
        )
        .await
    }
}

#[async_trait]
impl HistorySink for SessionHistorySink {
    fn requested_days(&self) -> Option<u32> {
        let age = SignedDuration::try_from(self.deps.history.retention_time()?)
            .unwrap_or(SignedDuration::MAX);
        Some(
            u32::try_from(age.as_hours() / HOURS_PER_DAY)
                .unwrap_or(u32::MAX)
                .max(1),
        )
    }

    async fn record_announced(&self, id: &str) -> Result<()> {
        let _turn = self.progress_lock.lock().await;
        self.show_progress(
            self.deps
                .store
                .sessions()
                .announce_sync_part(self.session_name(), id)
                .await?,
        );
        Ok(())
    }

    async fn import_batch(&self, mut batch: HistoryBatch) -> Result<()> {
        let since = self.oldest_kept();
        batch
            .messages
            .retain(|message| message_time(&message.incoming).is_some_and(|at| at >= since));
        self.resolve_people(batch.address_pairs.iter_mut()).await?;
        self.resolve_people(
            batch
                .contacts
                .iter_mut()
                .chain(batch.chats.iter_mut().map(|chat| &mut chat.chat)),
        )
        .await?;
        for message in &mut batch.messages {
            self.resolve_message(message).await?;
        }
        let files = batch
            .messages
            .iter_mut()
            .map(|message| &mut message.incoming);
        self.deps
            .media
            .link_history_files(&self.lifeline.current_life(), files)
            .await?;
        let HistoryBatch {
            chats,
            contacts,
            messages,
            ..
        } = batch;
        let messages = messages.into_iter().filter_map(convert_message).collect();
        Ok(self
            .deps
            .history
            .import_history(
                &self.lifeline.current_life(),
                &HistoryImport {
                    chats,
                    contacts,
                    messages,
                },
            )
            .await?)
    }

    async fn record_imported(&self, id: &str, reached: Option<StageProgress>) -> Result<()> {
        let _turn = self.progress_lock.lock().await;
        self.show_progress(
            self.deps
                .store
                .sessions()
                .finish_sync_part(self.session_name(), id, reached)
                .await?,
        );
        Ok(())
    }

    async fn record_lost(&self) -> Result<()> {
        let _turn = self.progress_lock.lock().await;
        if self
            .session
            .read_state(|state| state.sync_progress.is_some_and(|past| past.waiting > 0))
        {
            self.show_progress(
                self.deps
                    .store
                    .sessions()
                    .lose_sync_parts(self.session_name())
                    .await?,
            );
        }
        Ok(())
    }
}

/// Resets the progress: the next device of a session whose device was logged out receives the whole
/// history again.
pub(in crate::sessions) async fn reset_history_sync(session: &Session, store: &Store) {
    if session.read_state(|state| state.sync_progress.is_none()) {
        return;
    }
    if let Err(error) = store
        .sessions()
        .restart_history_sync(session.name.as_str())
        .await
    {
        tracing::warn!(session = %session.name, %error, "failed to forget the history sync of a former device");
        return;
    }
    session.update_state(|state| state.sync_progress = Some(SyncProgress::default()));
}

fn message_time(incoming: &InboundEvent) -> Option<Timestamp> {
    match &incoming.data {
        EventData::MessageReceived(batch) | EventData::MessageEcho(batch) => {
            Some(batch.origin.timestamp)
        }
        _ => None,
    }
}

fn convert_message(
    HistoryMessage {
        incoming,
        status,
        reactions,
    }: HistoryMessage,
) -> Option<NewHistoryMessage> {
    let (EventData::MessageReceived(batch) | EventData::MessageEcho(batch)) = incoming.data else {
        return None;
    };
    let ReceivedMessage { origin, message } = *batch;
    let MessageOrigin {
        id,
        chat,
        from,
        from_me,
        timestamp: at,
        ..
    } = origin;
    let from = (!from_me).then_some(from);
    Some(NewHistoryMessage {
        chat,
        id,
        from,
        at,
        message,
        is_in_log: false,
        status,
        reactions,
    })
}
