//! Labels: every change that the account's devices make, saved in its order and reported.
//!
//! The engine reports each entry of the labels' collection, its own writes included, and keeps
//! none of them.

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use tokio::sync::{mpsc, oneshot};
use whatsapp_rust::sync_task::MajorSyncTask;
use whatsapp_rust::types::events::{Event, EventHandler, EventInterest, EventKind};
use whatsapp_rust::wacore::appstate::hash::HashState;
use whatsapp_rust::wacore::appstate::patch_decode::WAPatchName;
use whatsapp_rust::wacore::iq::spec::IqSpec;
use whatsapp_rust::wacore::request::InfoQuery;
use whatsapp_rust::wacore::store::error::StoreError;
use whatsapp_rust::wacore::store::traits::AppSyncStore;
use whatsapp_rust::wacore_binary::builder::NodeBuilder;
use whatsapp_rust::wacore_binary::{NodeContent, NodeRef, Server};
use whatsapp_rust::waproto::buffa::Message;
use whatsapp_rust::{Client, Jid};

use super::chat_list;
use super::observer::{ChatEvent, KnownAddresses};
use crate::model::event::{ChatChange, EventData, Label, LabelUpdated};
use crate::store::{ChatLabelEntry, DeviceLife, LabelChange, Life, Store, StoreError as SaveError};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;
use crate::whatsapp::connection::link_events::{LinkEvent, LinkEventSender};

/// The collection that has the labels.
const COLLECTION: WAPatchName = WAPatchName::Regular;

/// The name under which a device's file has a version while the database refuses changes of labels
/// that the engine will not report again. It is no collection of WhatsApp.
const UNSAVED: &str = "wapi:unsaved-labels";

/// Forgets a device's copy of the labels' collection if not all labels of its account are known:
/// the device was linked before the gateway kept them, a crash came between, or some could not be
/// saved. The engine reads a collection that it has no copy of as a whole. For the time before the
/// first connection. Returns whether some could not be saved.
pub(in crate::whatsapp) async fn forget_unread_collection(
    session: &DeviceLife,
    account: Option<&Jid>,
    store: &Store,
    file: &impl AppSyncStore,
) -> Result<bool, StoreError> {
    let Some(account) = account else {
        return Ok(false);
    };
    let has_unsaved = file.get_version(UNSAVED).await?.version > 0;
    let life = session.link_account(account.user_base());
    let knows_all = store.inbound().knows_all_labels(life).await;
    let knows_all = knows_all.map_err(|error| StoreError::Connection(error.to_string().into()))?;
    if has_unsaved || !knows_all {
        file.clear_mutation_macs(COLLECTION.as_str()).await?;
        file.set_version(COLLECTION.as_str(), HashState::default())
            .await?;
    }
    Ok(has_unsaved)
}

enum LabelTask {
    Event(Arc<Event>),
    /// Answered when all earlier tasks are done.
    Flush(oneshot::Sender<()>),
    /// Answered when all labels were read, or cannot be read now.
    ReadAll(oneshot::Sender<()>),
}

/// Takes the engine's reports about labels. Unlike other signals none is dropped, since the list
/// follows from all of them. Cheap to clone.
#[derive(Clone)]
pub(in crate::whatsapp) struct LabelObserver(mpsc::UnboundedSender<LabelTask>);

impl LabelObserver {
    /// Waits until all changes reported so far are saved.
    pub async fn flush(&self) {
        let (done, saved) = oneshot::channel();
        if self.0.send(LabelTask::Flush(done)).is_ok() {
            // An error means that the link has ended.
            let _ = saved.await;
        }
    }
}

impl LabelObserver {
    /// Reads all labels of the account unless they are known, and waits until they are saved or
    /// cannot be read now.
    pub async fn read_all(&self) {
        let (done, read) = oneshot::channel();
        if self.0.send(LabelTask::ReadAll(done)).is_ok() {
            // As above.
            let _ = read.await;
        }
    }
}

impl EventHandler for LabelObserver {
    fn handle_event(&self, event: Arc<Event>) {
        let _ = self.0.send(LabelTask::Event(event));
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[
            EventKind::LabelEditUpdate,
            EventKind::LabelAssociationUpdate,
            EventKind::Connected,
            EventKind::PairSuccess,
        ])
    }
}

/// Pause after which a failed save is repeated.
const SAVE_PAUSE: Duration = Duration::from_secs(5);
/// Most changes that are saved at a time.
const BATCH_CHANGES: usize = 256;

/// Saves and reports changes of labels until the link ends. `has_unsaved`: a former link has left
/// some that could not be saved.
pub(in crate::whatsapp) fn watch_labels(
    session: &DeviceLife,
    has_unsaved: bool,
    client: &Arc<Client>,
    tasks: &Lifecycle,
    reports: &LinkEventSender,
    store: &Store,
    clock: Clock,
) -> LabelObserver {
    let (sender, mut arrived) = mpsc::unbounded_channel();
    let observer = LabelObserver(sender);
    let keeper = LabelKeeper {
        session: session.clone(),
        client: Arc::clone(client),
        tasks: tasks.clone(),
        reports: reports.clone(),
        store: store.clone(),
        clock,
        observer: observer.clone(),
    };
    let stopping = tasks.clone();
    tasks.spawn(async move {
        if has_unsaved && keeper.start_over().await.is_none() {
            return;
        }
        let mut batch = Vec::new();
        while let Some(count) = stopping
            .unless_stopping(arrived.recv_many(&mut batch, BATCH_CHANGES))
            .await
        {
            if count == 0 {
                return;
            }
            keeper.handle_batch(std::mem::take(&mut batch)).await;
        }
        // The engine does not report again what arrived at the last moment.
        while let Ok(task) = arrived.try_recv() {
            batch.push(task);
        }
        keeper.handle_batch(batch).await;
    });
    observer
}

struct LabelKeeper {
    session: DeviceLife,
    client: Arc<Client>,
    tasks: Lifecycle,
    reports: LinkEventSender,
    store: Store,
    clock: Clock,
    observer: LabelObserver,
}

impl LabelKeeper {
    async fn handle_batch(&self, batch: Vec<LabelTask>) {
        let (mut changes, mut flushes) = (Vec::new(), Vec::new());
        for task in batch {
            match task {
                LabelTask::Flush(done) => flushes.push(done),
                LabelTask::ReadAll(done) => self.read_all_unless_known(Some(done)),
                LabelTask::Event(event) => match &*event {
                    Event::Connected(_) => self.read_all_unless_known(None),
                    Event::PairSuccess(paired) => {
                        // Those before it are of the linking before.
                        changes.clear();
                        let life = self.session.link_account(paired.id.user_base());
                        self.forget_all(life).await;
                    }
                    event => changes.extend(
                        convert_change(event)
                            .map(|change| (change, chat_list::is_news(event, self.clock.now()))),
                    ),
                },
            }
        }
        if !changes.is_empty() {
            self.save(changes).await;
        }
        for done in flushes {
            let _ = done.send(());
        }
    }

    /// Forgets all labels, some of which could not be saved, so that they are read again: those
    /// that are gone meanwhile are not in WhatsApp's answer. Returns `None` if the program stops.
    async fn start_over(&self) -> Option<()> {
        self.forget_all(&self.session.current_life()).await?;
        // From now on, the store says that they must be read.
        self.note_unsaved(false).await;
        Some(())
    }

    /// Forgets the labels of the account. Returns `None` if the program stops before.
    async fn forget_all(&self, life: &Life) -> Option<()> {
        let mut has_failed = false;
        while let Err(error) = self.store.inbound().forget_labels(life).await {
            self.wait_for_store(life, error, &mut has_failed).await?;
        }
        if has_failed {
            self.note_unsaved(false).await;
        }
        Some(())
    }

    /// Waits before a failed change of the store is repeated: WhatsApp tells each entry once. Later
    /// changes wait behind it, and if the program stops before it succeeds, the next link reads all
    /// labels again. Returns `None` if the program stops.
    async fn wait_for_store(
        &self,
        life: &Life,
        error: SaveError,
        has_failed: &mut bool,
    ) -> Option<()> {
        tracing::warn!(session = life.name(), %error, "failed to save labels; trying again");
        if !std::mem::replace(has_failed, true) {
            self.note_unsaved(true).await;
        }
        let pause = self.clock.sleep(SAVE_PAUSE);
        self.tasks.unless_stopping(pause).await
    }

    /// Notes in the device's file whether the store lacks labels that the engine has reported.
    async fn note_unsaved(&self, is_unsaved: bool) {
        let state = HashState {
            version: is_unsaved.into(),
            ..HashState::default()
        };
        let file = self.client.persistence_manager().backend();
        if let Err(error) = file.set_version(UNSAVED, state).await {
            tracing::warn!(session = self.session.name(), %error, "failed to note whether labels are saved");
        }
    }

    /// Saves changes, and reports those that are news and changed something.
    async fn save(&self, changes: Vec<(LabelChange, bool)>) {
        let life = self.session.current_life();
        let all: Vec<_> = changes.iter().map(|(change, _)| change.clone()).collect();
        let mut has_failed = false;
        let changed = loop {
            match self.store.inbound().save_labels(&life, all.clone()).await {
                Ok(changed) => break changed,
                Err(error) => {
                    let waited = self.wait_for_store(&life, error, &mut has_failed);
                    if waited.await.is_none() {
                        return;
                    }
                }
            }
        };
        if has_failed {
            self.note_unsaved(false).await;
        }
        let news = changes.into_iter().filter(|(_, is_news)| *is_news);
        let mut chats = Vec::new();
        for (change, _) in news.filter(|(change, _)| changed.contains(change)) {
            match change {
                LabelChange::Saved { label, .. } => self.report_label(label, false),
                LabelChange::Deleted { id } => {
                    let label = Label {
                        id,
                        ..Label::default()
                    };
                    self.report_label(label, true);
                }
                LabelChange::Chat { chat, .. } if !chats.contains(&chat) => chats.push(chat),
                LabelChange::Chat { .. } => {}
            }
        }
        if chats.is_empty() {
            return;
        }
        let Ok(known) = self.store.inbound().list_chat_labels(&life).await else {
            return;
        };
        for chat in chats {
            self.report_chat(&chat, &known).await;
        }
    }

    fn report_label(&self, label: Label, deleted: bool) {
        let data = LabelUpdated {
            session: self.session.name().to_owned(),
            label,
            deleted,
        };
        self.reports.send(LinkEvent::Chat(Box::new(ChatEvent {
            chat: String::new(),
            id: None,
            data: EventData::LabelUpdated(data),
        })));
    }

    /// Reports all labels of a chat, which may be known by two addresses.
    async fn report_chat(&self, chat: &str, known: &[ChatLabelEntry]) {
        let Ok(jid) = chat.parse::<Jid>() else { return };
        let others = KnownAddresses::look_up(&self.client, vec![(jid.clone(), None)]).await;
        let other = others.other_address(&jid).map(|jid| jid.to_string());
        let entries = known
            .iter()
            .filter(|entry| entry.chat == chat || Some(&entry.chat) == other.as_ref());
        let change = ChatChange {
            labels: Some(ChatLabelEntry::current_labels(entries)),
            ..ChatChange::default()
        };
        let event = chat_list::build_chat_updated(self.session.name(), &jid, change, &others);
        self.reports.send(LinkEvent::Chat(Box::new(event)));
    }

    /// Has the engine read the whole collection in the background, unless that was done once.
    fn read_all_unless_known(&self, done: Option<oneshot::Sender<()>>) {
        let (client, store, observer) = (
            Arc::clone(&self.client),
            self.store.clone(),
            self.observer.clone(),
        );
        let (life, stopping) = (self.session.current_life(), self.tasks.clone());
        self.tasks.spawn(async move {
            let reading = async {
                if !matches!(store.inbound().knows_all_labels(&life).await, Ok(false)) {
                    return;
                }
                let task = MajorSyncTask::AppStateSync {
                    name: COLLECTION,
                    full_sync: false,
                };
                // Boxed: the engine's futures are nested too deeply for the compiler.
                Box::pin(client.process_sync_task(task)).await;
                let backend = client.persistence_manager().backend();
                let state = backend.get_version(COLLECTION.as_str()).await;
                let is_read = match state {
                    Ok(state) if state.version > 0 => true,
                    Ok(_) => matches!(client.execute(EmptinessQuery).await, Ok(true)),
                    Err(_) => false,
                };
                if !is_read {
                    // WhatsApp did not answer, or the phone has not shared the keys; the next login
                    // asks again.
                    return;
                }
                observer.flush().await;
                if let Err(error) = store.inbound().mark_all_labels_known(&life).await {
                    tracing::debug!(session = life.name(), %error, "the labels are read again");
                }
            };
            stopping.unless_stopping(reading).await;
            if let Some(done) = done {
                let _ = done.send(());
            }
        });
    }
}

/// The engine's own request for a collection as a whole, to see whether nobody has written to it:
/// the engine has no version of an empty collection, as of one that it could not read.
struct EmptinessQuery;

impl IqSpec for EmptinessQuery {
    type Response = bool;

    fn build_iq(&self) -> InfoQuery<'static> {
        let collection = NodeBuilder::new("collection")
            .attr("name", COLLECTION.as_str())
            .attr("return_snapshot", "true");
        let sync = NodeBuilder::new("sync").children([collection.build()]);
        InfoQuery::set(
            "w:sync:app:state",
            Jid::new("", Server::Pn),
            Some(NodeContent::Nodes(vec![sync.build()])),
        )
    }

    fn parse_response(&self, response: &NodeRef<'_>) -> Result<bool, anyhow::Error> {
        let collection = response
            .get_optional_child("sync")
            .and_then(|sync| sync.get_optional_child("collection"))
            .context("the answer has no collection")?;
        let has_entries = ["snapshot", "patches", "patch", "error"]
            .iter()
            .any(|child| collection.get_optional_child(child).is_some());
        Ok(!has_entries)
    }
}

fn convert_change(event: &Event) -> Option<LabelChange> {
    match event {
        Event::LabelEditUpdate(it) if it.action.deleted == Some(true) => {
            Some(LabelChange::Deleted {
                id: it.label_id.clone(),
            })
        }
        Event::LabelEditUpdate(it) => Some(LabelChange::Saved {
            label: Label {
                id: it.label_id.clone(),
                name: it.action.name.clone().unwrap_or_default(),
                color: it.action.color.unwrap_or_default(),
            },
            action: it.action.encode_to_vec(),
        }),
        Event::LabelAssociationUpdate(it) => Some(LabelChange::Chat {
            label: it.label_id.clone(),
            chat: it.chat_jid.to_non_ad_string(),
            labeled: it.action.labeled == Some(true),
            at: it.timestamp.timestamp_millis(),
        }),
        _ => None,
    }
}
