//! Posts of newsletters, with a backfill of missed ones.
//!
//! The engine acknowledges posts before the gateway has seen them, and WhatsApp does not send them
//! again. So each login fetches the missed posts, from the last emitted one on.

use std::collections::HashSet;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio::sync::mpsc;
use whatsapp_rust::types::durability_hook::InboundMessage;
use whatsapp_rust::types::events::{Event, EventHandler, EventInterest, EventKind};
use whatsapp_rust::types::message::{EditAttribute, MessageInfo};
use whatsapp_rust::wacore::chrono::DateTime;
use whatsapp_rust::wacore_binary::JidExt;
use whatsapp_rust::{Client, Jid, NewsletterMessage};

use super::asking::NotAnswered;
use super::incoming::{self, Known};
use super::newsletters::{self, Followed};
use super::{Inbox, Incoming};
use crate::clock::Clock;
use crate::lifecycle::Lifecycle;
use crate::store::{Lifeline, Store, StoreError};

/// Posts that may wait for processing. Further ones are dropped, and fetched afterwards.
const MOST: usize = 256;
/// Posts per request, and the most per newsletter after one login: the newest.
const PAGE: u32 = 100;
const MOST_MISSED: usize = 1_000;
/// How long WhatsApp may take to answer a request for posts.
const PATIENCE: Duration = Duration::from_secs(20);
/// Delay before a failed backfill is tried again.
const AGAIN: Duration = Duration::from_secs(60);
/// Delay between two attempts to save posts.
const PAUSE: Duration = Duration::from_secs(1);

/// Queues the engine's events, since its callbacks must not block.
pub(super) struct Listener {
    events: mpsc::Sender<Arc<Event>>,
    /// Not the reader itself: it holds the client, which holds this listener.
    has_missed: Arc<AtomicBool>,
}

impl EventHandler for Listener {
    fn handle_event(&self, event: Arc<Event>) {
        let is_meant = match &*event {
            Event::Connected(_) => true,
            Event::Messages(batch) => batch
                .messages
                .iter()
                .any(|message| message.info.source.chat.is_newsletter()),
            _ => false,
        };
        if is_meant && self.events.try_send(event).is_err() {
            self.has_missed.store(true, Ordering::Relaxed);
        }
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[EventKind::Connected, EventKind::Messages])
    }
}

/// A failure to find out which posts are missed.
#[derive(Debug, thiserror::Error)]
enum NotKnown {
    #[error(transparent)]
    NotAnswered(#[from] NotAnswered),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reader of one session's newsletters.
pub(super) struct Posts {
    session: Lifeline,
    client: Arc<Client>,
    inbox: Arc<dyn Inbox>,
    store: Store,
    followed: Arc<Followed>,
    clock: Clock,
    tasks: Lifecycle,
    /// Newsletters without missed posts on this connection.
    level: Mutex<HashSet<String>>,
    has_missed: Arc<AtomicBool>,
    /// Whether a backfill has failed and is due again.
    is_behind: AtomicBool,
}

impl Posts {
    /// Starts reading the engine's events, until the link ends.
    pub fn start(
        session: Lifeline,
        client: &Arc<Client>,
        inbox: Arc<dyn Inbox>,
        store: &Store,
        clock: Clock,
        tasks: &Lifecycle,
    ) -> newsletters::Reading {
        let (followed, has_missed) = (Arc::<Followed>::default(), Arc::<AtomicBool>::default());
        let (events, mut seen) = mpsc::channel::<Arc<Event>>(MOST);
        let listener = Listener {
            events,
            has_missed: Arc::clone(&has_missed),
        };
        client.subscribe_handler(Arc::new(listener)).detach();
        let posts = Arc::new(Self {
            session,
            client: Arc::clone(client),
            inbox,
            store: store.clone(),
            followed: Arc::clone(&followed),
            clock,
            tasks: tasks.clone(),
            level: Mutex::default(),
            has_missed,
            is_behind: AtomicBool::default(),
        });
        let reader = Arc::clone(&posts);
        tasks.spawn(async move {
            while let Some(Some(event)) = reader.tasks.unless_stopping(reader.next(&mut seen)).await
            {
                // Boxed, so that a session without posts does not hold the memory for it.
                if reader
                    .tasks
                    .unless_stopping(Box::pin(reader.heard(event.as_deref())))
                    .await
                    .is_none()
                {
                    break;
                }
            }
        });
        (followed, posts)
    }

    /// Returns the engine's next event; `Some(None)` when a failed backfill is due again, `None`
    /// when the channel is closed.
    async fn next(&self, seen: &mut mpsc::Receiver<Arc<Event>>) -> Option<Option<Arc<Event>>> {
        if !self.is_behind.load(Ordering::Relaxed) {
            return seen.recv().await.map(Some);
        }
        match self.clock.timeout(AGAIN, seen.recv()).await {
            Ok(event) => event.map(Some),
            Err(_) => Some(None),
        }
    }

    async fn heard(&self, event: Option<&Event>) {
        if self.has_missed.swap(false, Ordering::Relaxed) {
            self.levels(HashSet::clear);
        }
        match event {
            Some(Event::Connected(_)) => {
                self.levels(HashSet::clear);
                self.catch_up_with_all().await;
            }
            None if self.client.is_logged_in() => self.catch_up_with_all().await,
            Some(Event::Messages(batch)) => {
                for message in batch
                    .messages
                    .iter()
                    .filter(|message| message.info.source.chat.is_newsletter())
                {
                    self.take(message).await;
                }
            }
            _ => {}
        }
    }

    async fn catch_up_with_all(&self) {
        self.is_behind.store(false, Ordering::Relaxed);
        let followed = match self.all_followed().await {
            Ok(followed) => followed,
            Err(error) => return self.fall_behind(&error),
        };
        for id in followed
            .iter()
            .filter(|id| !self.levels(|level| level.contains(*id)))
        {
            self.catch_up(id, None).await;
        }
    }

    async fn all_followed(&self) -> Result<Vec<String>, NotKnown> {
        let listing = newsletters::list(&self.client, &self.followed);
        let followed = self
            .clock
            .timeout(PATIENCE, listing)
            .await
            .map_err(|_| NotAnswered::Silence(PATIENCE))??;
        let ids: Vec<String> = followed
            .into_iter()
            .map(|newsletter| newsletter.id)
            .collect();
        self.store
            .keep_newsletters(&self.session.life(), &ids)
            .await?;
        Ok(ids)
    }

    fn fall_behind(&self, error: &NotKnown) {
        tracing::debug!(session = self.session.name(), %error, "it is not known what was posted; it is asked again");
        self.is_behind.store(true, Ordering::Relaxed);
    }

    /// Handles a post that has just come in.
    async fn take(&self, message: &InboundMessage) {
        let info = &message.info;
        let (id, place) = (
            info.source.chat.to_non_ad_string(),
            i64::from(info.server_id),
        );
        // The deletion of a post comes without content, and the engine skips it.
        if info.edit == EditAttribute::AdminEdit {
            let told =
                incoming::edited_post(self.session.name(), &message.message, info, &self.known());
            return self.tell(told.into_iter().collect()).await;
        }
        if self.followed.get(&id).is_none() {
            self.learn(&id).await;
        }
        // WhatsApp names the sender of a post in an own newsletter only on request.
        let may_be_own = self
            .followed
            .get(&id)
            .is_none_or(|newsletter| newsletter.role.may_post());
        let is_level = !may_be_own && self.levels(|level| level.contains(&id));
        let is_found = !is_level && self.catch_up(&id, Some(place)).await;
        let told = self
            .store
            .newsletter_place(&self.session.life(), &id)
            .await
            .ok()
            .flatten();
        // The backfill has emitted this post, or will when it is tried again.
        if place > 0 && (may_be_own || is_found && told.is_some_and(|told| told >= place)) {
            return;
        }
        // Two posts with one id are one event.
        self.tell(self.told(&message.message, info).into_iter().collect())
            .await;
        if is_level || is_found {
            self.note(&id, place).await;
        }
    }

    /// Emits the posts after the last emitted one; returns whether they could be fetched. `coming`:
    /// the number of a post that has just come in.
    async fn catch_up(&self, id: &str, coming: Option<i64>) -> bool {
        match self.missed(id, coming).await {
            Ok(missed) => {
                for (place, post) in missed {
                    self.tell(post.into_iter().collect()).await;
                    self.note(id, place).await;
                }
                self.levels(|level| level.insert(id.to_owned()));
                true
            }
            Err(error) => {
                self.fall_behind(&error);
                false
            }
        }
    }

    /// Returns the posts that were not emitted, with the number of each, in order.
    async fn missed(
        &self,
        id: &str,
        coming: Option<i64>,
    ) -> Result<Vec<(i64, Option<Incoming>)>, NotKnown> {
        let coming_from = coming.filter(|place| *place > 0).map(|place| place - 1);
        let told = match (
            self.store
                .newsletter_place(&self.session.life(), id)
                .await?,
            coming_from,
        ) {
            // The post may have been on its way already when reading of the newsletter began.
            (Some(told), Some(place)) => told.min(place),
            (Some(told), None) => told,
            // This post is the first to be emitted.
            (None, Some(place)) => place,
            (None, None) => {
                self.begin(id).await?;
                return Ok(Vec::new());
            }
        };
        let Ok(jid) = id.parse::<Jid>() else {
            return Ok(Vec::new());
        };
        let mut missed: Vec<NewsletterMessage> = Vec::new();
        let mut before = None;
        loop {
            let page = self.page(&jid, PAGE, before).await?;
            let oldest = page.iter().map(|post| post.server_id).min();
            let is_last = page.len() < PAGE as usize;
            missed.extend(page.into_iter().filter(|post| place(post) > told));
            let reached = oldest
                .is_none_or(|oldest| i64::try_from(oldest).is_ok_and(|oldest| oldest <= told + 1));
            if is_last || reached || missed.len() >= MOST_MISSED {
                break;
            }
            before = oldest;
        }
        missed.sort_by_key(|post| post.server_id);
        let mut posts = Vec::with_capacity(missed.len());
        for post in missed {
            let is_late = coming != Some(place(&post));
            posts.push((place(&post), self.listed(&jid, post, is_late).await?));
        }
        Ok(posts)
    }

    /// Fetches the name of a newsletter and the account's role in it.
    pub async fn learn(&self, id: &str) {
        match self
            .clock
            .timeout(PATIENCE, newsletters::find(&self.client, id))
            .await
        {
            Ok(Ok(found)) => self.followed.note(found),
            _ => tracing::debug!(
                session = self.session.name(),
                "it is not known what a newsletter is called"
            ),
        }
    }

    /// Begins to read a newsletter after its newest post; earlier ones are not emitted. A
    /// newsletter that is already read keeps its position, so that no post is left out.
    pub async fn begin(&self, id: &str) -> Result<(), NotAnswered> {
        let known = self
            .store
            .newsletter_place(&self.session.life(), id)
            .await
            .map_err(|_| NotAnswered::Failed)?;
        if known.is_some() {
            return Ok(());
        }
        let jid: Jid = id.parse().map_err(|_| NotAnswered::Failed)?;
        let newest = self
            .page(&jid, 1, None)
            .await?
            .iter()
            .map(place)
            .max()
            .unwrap_or(0);
        self.store
            .set_newsletter_place(&self.session.life(), id, newest)
            .await
            .map_err(|_| NotAnswered::Failed)?;
        self.levels(|level| level.insert(id.to_owned()));
        Ok(())
    }

    /// Stops reading a newsletter.
    pub async fn end(&self, id: &str) -> Result<(), NotAnswered> {
        let newsletters = vec![id.to_owned()];
        self.store
            .forget_newsletters(&self.session.life(), newsletters)
            .await
            .map_err(|_| NotAnswered::Failed)
    }

    async fn page(
        &self,
        jid: &Jid,
        count: u32,
        before: Option<u64>,
    ) -> Result<Vec<NewsletterMessage>, NotAnswered> {
        let newsletters = self.client.newsletter();
        // Boxed: the engine's futures are nested too deeply for the compiler.
        let asking = Box::pin(newsletters.get_messages(jid.clone(), count, before));
        Ok(self
            .clock
            .timeout(PATIENCE, asking)
            .await
            .map_err(|_| NotAnswered::Silence(PATIENCE))??)
    }

    /// Converts a listed post; `None` for one without content, and for one that the gateway sent
    /// and has already emitted.
    async fn listed(
        &self,
        jid: &Jid,
        post: NewsletterMessage,
        is_late: bool,
    ) -> Result<Option<Incoming>, StoreError> {
        let Some(message) = post.message else {
            return Ok(None);
        };
        if post.is_sender
            && self
                .store
                .sent_message(&self.session.life(), &post.message_id)
                .await?
                .is_some()
        {
            return Ok(None);
        }
        let mut info = MessageInfo {
            id: post.message_id.as_str().into(),
            is_offline: is_late,
            ..MessageInfo::default()
        };
        info.source.chat = jid.clone();
        info.source.is_from_me = post.is_sender;
        info.source.sender = match self.client.pn().filter(|_| post.is_sender) {
            Some(own) => own.to_non_ad(),
            None => jid.clone(),
        };
        let seconds = i64::try_from(post.timestamp).unwrap_or_default();
        info.timestamp = DateTime::from_timestamp(seconds, 0).unwrap_or_default();
        Ok(self.told(&message, &info))
    }

    fn told(
        &self,
        message: &whatsapp_rust::waproto::whatsapp::Message,
        info: &MessageInfo,
    ) -> Option<Incoming> {
        let mut info = info.clone();
        if !info.source.is_from_me
            && let Some(newsletter) = self.followed.get(&info.source.chat.to_non_ad_string())
        {
            info.push_name = newsletter.name;
        }
        incoming::received(self.session.name(), message, &info, &self.known())
    }

    fn known(&self) -> Known {
        Known {
            other: None,
            own: [self.client.pn(), self.client.lid()]
                .into_iter()
                .flatten()
                .collect(),
        }
    }

    /// Emits events, trying until they are saved or the link ends; the next backfill fetches the
    /// rest.
    async fn tell(&self, incoming: Vec<Incoming>) {
        if incoming.is_empty() {
            return;
        }
        while let Err(error) = self
            .inbox
            .accept(&self.session.life(), incoming.clone())
            .await
        {
            tracing::warn!(
                session = self.session.name(),
                error = format!("{error:#}"),
                "posts cannot be saved yet"
            );
            self.clock.sleep(PAUSE).await;
        }
    }

    async fn note(&self, id: &str, place: i64) {
        if place <= 0 {
            return;
        }
        if let Err(error) = self
            .store
            .set_newsletter_place(&self.session.life(), id, place)
            .await
        {
            // A post emitted twice is one event.
            tracing::debug!(session = self.session.name(), %error, "how far a newsletter was told cannot be saved");
        }
    }

    fn levels<T>(&self, change: impl FnOnce(&mut HashSet<String>) -> T) -> T {
        change(&mut self.level.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn place(post: &NewsletterMessage) -> i64 {
    i64::try_from(post.server_id).unwrap_or(i64::MAX)
}
