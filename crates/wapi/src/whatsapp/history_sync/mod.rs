//! History sync: the chats and messages that a phone sends to a device it has just linked.
//!
//! The phone sends them in chunks, each announced by a message and fetched by the engine. The
//! engine acknowledges a chunk to WhatsApp before it fetches it, and keeps it in memory only. So
//! each announcement is recorded until its chunk is imported; a recorded chunk that is no longer in
//! progress was lost.

mod chunk;
mod decode;
#[cfg(any(test, fuzzing))]
pub(super) mod fuzzing;

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use async_trait::async_trait;
use tokio::sync::mpsc;
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::types::durability_hook::InboundMessage;
use whatsapp_rust::types::events::{
    Event, EventHandler, EventInterest, EventKind, LazyHistorySync,
};
use whatsapp_rust::wacore::store::DevicePropsOverride;
use whatsapp_rust::wacore::store::commands::DeviceCommand;
use whatsapp_rust::wacore::store::device::default_history_sync_config;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::device_props::HistorySyncConfig;
use whatsapp_rust::waproto::whatsapp::history_sync::HistorySyncType;
use whatsapp_rust::waproto::whatsapp::message::protocol_message::Type;
use whatsapp_rust::{Client, Jid};

use super::notifications::observer::KnownAddresses;
use crate::inbound::InboundEvent;
use crate::model::event::Person;
use crate::store::history::{ImportedChat, MessageProgress};
use crate::store::{StageProgress, SyncStage};
use crate::system::lifecycle::Lifecycle;

/// Longest single wait for the engine to have no chunk in progress.
const IDLE_TIMEOUT: Duration = Duration::from_secs(3600);
/// The longest history, in days, that WhatsApp's own desktop client requests.
const MAX_DAYS: u32 = 365;
/// Number of names, and of address pairs, imported at a time.
const PEOPLE_PER_BATCH: usize = 200;

/// Receiver of a phone's history sync. One for each session that requests it.
#[async_trait]
pub trait HistorySink: Send + Sync + 'static {
    /// Returns the number of days to request; `None` requests all.
    fn requested_days(&self) -> Option<u32>;
    /// Records that the message `id` announced a chunk. Returns once the record is durable.
    async fn record_announced(&self, id: &str) -> Result<()>;
    /// Imports some of a chunk. All of it may come again.
    async fn import_batch(&self, batch: HistoryBatch) -> Result<()>;
    /// Records that a chunk was imported. `reached` is the progress that the phone reports with it.
    async fn record_imported(&self, id: &str, reached: Option<StageProgress>) -> Result<()>;
    /// Records that announced chunks not yet imported will not come.
    async fn record_lost(&self) -> Result<()>;
}

/// A batch of history-sync data.
#[derive(Debug, Default)]
pub struct HistoryBatch {
    pub chats: Vec<ImportedChat>,
    /// People with both number and LID known.
    pub address_pairs: Vec<Person>,
    pub contacts: Vec<Person>,
    pub messages: Vec<HistoryMessage>,
}

/// A message of the history: as it would have been received, and its present state.
#[derive(Debug)]
pub struct HistoryMessage {
    pub incoming: InboundEvent,
    /// Of a message that the account sent.
    pub status: Option<MessageProgress>,
    /// The person (`None`: the account itself) and the emoji of each reaction.
    pub reactions: Vec<(Option<Person>, String)>,
}

/// Reports announced chunks to their reader; `None` if the session requests no history.
#[derive(Default)]
pub(super) struct ChunkAnnouncer(Option<(Arc<dyn HistorySink>, mpsc::UnboundedSender<String>)>);

impl ChunkAnnouncer {
    /// Records the chunks that these messages announce.
    pub async fn record_chunks(&self, batch: &[InboundMessage]) -> Result<()> {
        let Some((archive, announced)) = &self.0 else {
            return Ok(());
        };
        for message in batch.iter().filter(|message| is_announcement(message)) {
            let recorded = archive.record_announced(&message.info.id).await;
            // The engine fetches the chunk in any case.
            let _ = announced.send(message.info.id.to_string());
            recorded?;
        }
        Ok(())
    }
}

fn is_announcement(message: &InboundMessage) -> bool {
    let is = |kind| kind == Some(Type::HISTORY_SYNC_NOTIFICATION);
    message.info.source.is_from_me
        && message
            .message
            .protocol_message
            .as_option()
            .is_some_and(|it| is(it.r#type))
}

/// Queues the engine's history-sync events, since its callbacks must not block.
struct ChunkHandler(mpsc::UnboundedSender<Arc<Event>>);

impl EventHandler for ChunkHandler {
    fn handle_event(&self, event: Arc<Event>) {
        let _ = self.0.send(event);
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[EventKind::HistorySync])
    }
}

/// Announcements on their way from the hook to the [reader](HistoryReader).
pub(super) struct ChunkAnnouncements(
    Option<(Arc<dyn HistorySink>, mpsc::UnboundedReceiver<String>)>,
);

/// Creates the two ends of the channel for announcements.
pub(super) fn announcement_channel(
    archive: Option<Arc<dyn HistorySink>>,
) -> (ChunkAnnouncer, ChunkAnnouncements) {
    let (sender, receiver) = mpsc::unbounded_channel();
    let announcer = archive.clone().map(|archive| (archive, sender));
    (
        ChunkAnnouncer(announcer),
        ChunkAnnouncements(archive.map(|archive| (archive, receiver))),
    )
}

impl ChunkAnnouncements {
    /// Sets the history that this device requests from the phone that links it.
    pub async fn request_history(&self, saved: &PersistenceManager) {
        let Some((archive, _)) = &self.0 else { return };
        let days = archive.requested_days().unwrap_or(MAX_DAYS).min(MAX_DAYS);
        let config = HistorySyncConfig {
            full_sync_days_limit: Some(days),
            ..default_history_sync_config()
        };
        let props = DevicePropsOverride::new()
            .with_require_full_sync(true)
            .with_history_sync_config(config);
        saved
            .process_command(DeviceCommand::SetDeviceProps(props))
            .await;
    }

    /// Imports chunks in the background until the link ends.
    pub fn start_reader(self, session: &str, client: &Arc<Client>, tasks: &Lifecycle) {
        let Some((archive, announced)) = self.0 else {
            return;
        };
        let (sender, parts) = mpsc::unbounded_channel();
        client
            .subscribe_handler(Arc::new(ChunkHandler(sender)))
            .detach();
        let (session, client, stopping) =
            (session.to_owned(), Arc::downgrade(client), tasks.clone());
        let (open, early, given_up, unnumbered) = Default::default();
        let reader = HistoryReader {
            session,
            client,
            archive,
            announced,
            parts,
            unfinished: open,
            early,
            given_up,
            unnumbered,
        };
        tasks.spawn(async move {
            stopping.unless_stopping(reader.run()).await;
        });
    }
}

struct HistoryReader {
    session: String,
    client: std::sync::Weak<Client>,
    archive: Arc<dyn HistorySink>,
    announced: mpsc::UnboundedReceiver<String>,
    parts: mpsc::UnboundedReceiver<Arc<Event>>,
    /// Announced and not yet imported. A chunk does not name its announcement, and it makes no
    /// difference.
    unfinished: VecDeque<String>,
    /// Progress of chunks that were imported before they were announced.
    early: VecDeque<Option<StageProgress>>,
    /// Recorded as lost. A chunk in progress when the connection broke still comes.
    given_up: VecDeque<String>,
    /// Names of people whose number is not known, a chunk each, with the chunk's progress. A chunk
    /// that is still in progress may bring their numbers, and the first known address stays a
    /// person's id.
    unnumbered: VecDeque<(wa::HistorySync, Option<StageProgress>)>,
}

impl HistoryReader {
    async fn run(mut self) {
        // Left over from an earlier connection.
        self.report_lost().await;
        loop {
            tokio::select! {
                biased;
                Some(id) = self.announced.recv() => match self.early.pop_front() {
                    Some(reached) => self.report_imported(id, reached).await,
                    None => self.unfinished.push_back(id),
                },
                Some(event) = self.parts.recv() => {
                    if let Event::HistorySync(part) = &*event {
                        self.handle_chunk(part).await;
                    }
                }
                settled = wait_until_idle(self.client.clone()),
                    if !self.unfinished.is_empty() || !self.unnumbered.is_empty() =>
                {
                    // The engine emits a fetched chunk before it reports that none is in progress.
                    if !settled || !self.parts.is_empty() {
                        continue;
                    }
                    if let Some((names, reached)) = self.unnumbered.pop_front() {
                        let imported = self.import_people(names).await;
                        self.finish_chunk(imported, reached).await;
                    } else {
                        self.given_up.append(&mut self.unfinished);
                        tracing::warn!(session = self.session, "lost a part of the phone's history sync");
                        self.report_lost().await;
                    }
                }
                else => return,
            }
        }
    }

    async fn report_lost(&self) {
        if let Err(error) = self.archive.record_lost().await {
            tracing::warn!(
                session = self.session,
                error = format!("{error:#}"),
                "failed to record the lost part of a history sync"
            );
        }
    }

    async fn handle_chunk(&mut self, part: &LazyHistorySync) {
        let reached = chunk_progress(part);
        match self.import_chunk(part).await {
            Ok(names) if !names.pushnames.is_empty() => self.unnumbered.push_back((names, reached)),
            imported => self.finish_chunk(imported.map(drop), reached).await,
        }
    }

    async fn finish_chunk(&mut self, imported: Result<()>, reached: Option<StageProgress>) {
        if let Err(error) = imported {
            // The announcement stays open, and nothing more comes for it.
            let error = format!("{error:#}");
            tracing::warn!(
                session = self.session,
                error,
                "failed to import a chunk of the history sync"
            );
            return;
        }
        match self
            .unfinished
            .pop_front()
            .or_else(|| self.given_up.pop_front())
        {
            Some(id) => self.report_imported(id, reached).await,
            None => self.early.push_back(reached),
        }
    }

    async fn report_imported(&mut self, id: String, reached: Option<StageProgress>) {
        if let Err(error) = self.archive.record_imported(&id, reached).await {
            let error = format!("{error:#}");
            tracing::warn!(
                session = self.session,
                error,
                "failed to record an imported chunk of the history sync"
            );
            self.unfinished.push_back(id);
        }
    }

    /// Imports a chunk; returns the names of people whose number is not known.
    async fn import_chunk(&self, part: &LazyHistorySync) -> Result<wa::HistorySync> {
        let mut stream = part.stream();
        while let Some(bytes) = chunk::next(&mut stream).context("reading a chat")? {
            let Some(chat) = chunk::ChatPieces::parse(bytes) else {
                continue;
            };
            for piece in chat {
                let (client, own) = self.upgrade_client()?;
                let others =
                    KnownAddresses::look_up(&client, decode::collect_addresses(&piece)).await;
                if let Some(batch) = decode::convert_piece(&self.session, &piece, &own, &others) {
                    self.archive.import_batch(batch).await?;
                }
            }
        }
        let mut people = stream
            .remainder()
            .context("reading the addresses of people")?;
        let names = std::mem::take(&mut people.pushnames);
        self.import_people(people).await?;
        // After the pairs of this chunk, which may name them.
        let (client, _) = self.upgrade_client()?;
        let known = KnownAddresses::look_up(&client, decode::named_addresses(&names)).await;
        let (numbered, unnumbered) = names
            .into_iter()
            .partition(|it| decode::has_number(it, &known));
        self.import_people(people_chunk(numbered, Vec::new()))
            .await?;
        Ok(people_chunk(unnumbered, Vec::new()))
    }

    async fn import_people(&self, mut people: wa::HistorySync) -> Result<()> {
        while !(people.pushnames.is_empty() && people.phone_number_to_lid_mappings.is_empty()) {
            let some = |count: usize| count.saturating_sub(PEOPLE_PER_BATCH)..;
            let (names, known) = (
                &mut people.pushnames,
                &mut people.phone_number_to_lid_mappings,
            );
            let names = names.drain(some(names.len())).collect();
            let known = known.drain(some(known.len())).collect();
            let some = people_chunk(names, known);
            let (client, _) = self.upgrade_client()?;
            let named = decode::named_addresses(&some.pushnames);
            let others = KnownAddresses::look_up(&client, named).await;
            self.archive
                .import_batch(decode::convert_people(&some, &others))
                .await?;
        }
        Ok(())
    }

    /// Returns the client and the account's own addresses, the number's first. Callers hold the
    /// client only briefly: its tasks wait until it is dropped.
    fn upgrade_client(&self) -> Result<(Arc<Client>, Vec<Jid>)> {
        let client = self.client.upgrade().context("the connection is gone")?;
        let own = [client.pn(), client.lid()]
            .into_iter()
            .flatten()
            .map(|own| own.to_non_ad())
            .collect();
        Ok((client, own))
    }
}

fn people_chunk(
    pushnames: Vec<wa::Pushname>,
    phone_number_to_lid_mappings: Vec<wa::PhoneNumberToLIDMapping>,
) -> wa::HistorySync {
    wa::HistorySync {
        pushnames,
        phone_number_to_lid_mappings,
        ..wa::HistorySync::default()
    }
}

/// Waits until the engine has no chunk in progress; `false` if it still has one after [`IDLE_TIMEOUT`].
/// Never completes if the client is gone.
async fn wait_until_idle(client: std::sync::Weak<Client>) -> bool {
    match client.upgrade() {
        Some(client) => client.wait_for_startup_sync(IDLE_TIMEOUT).await.is_ok(),
        None => std::future::pending().await,
    }
}

/// Returns the phone's progress, if a chunk of this type reports it. Names and settings come in
/// chunks of other types.
fn chunk_progress(part: &LazyHistorySync) -> Option<StageProgress> {
    let is = |kind: HistorySyncType| part.sync_type() == kind as i32;
    let stage = match () {
        () if is(HistorySyncType::RECENT) => SyncStage::Recent,
        () if is(HistorySyncType::FULL) => SyncStage::Full,
        () => return None,
    };
    Some(StageProgress {
        stage,
        percent: u8::try_from(part.progress()?.min(100)).unwrap_or(100),
    })
}
