//! Posts of newsletters. The engine acknowledges them before anybody has seen them, and WhatsApp does not send them again; so what was
//! missed is looked for after each login, from the last post on that was told.

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
use crate::store::{Store, StoreError};

/// Posts that may wait to be looked at. More of them are let go, and looked for afterwards.
const MOST: usize = 256;
/// Posts that are asked for at a time, and of one newsletter after one login at most: the newest.
const PAGE: u32 = 100;
const MOST_MISSED: usize = 1_000;
/// How long WhatsApp may take to say what was posted.
const PATIENCE: Duration = Duration::from_secs(20);
/// Between two tries to save something.
const PAUSE: Duration = Duration::from_secs(1);

/// Takes down what the engine's callbacks say, which must not block.
pub(super) struct Listener {
    events: mpsc::Sender<Arc<Event>>,
    /// Not the reader itself: it keeps the client, which keeps this.
    has_missed: Arc<AtomicBool>,
}

impl EventHandler for Listener {
    fn handle_event(&self, event: Arc<Event>) {
        let is_meant = match &*event {
            Event::Connected(_) => true,
            Event::Messages(batch) => batch.messages.iter().any(|message| message.info.source.chat.is_newsletter()),
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

/// Why it is not known what was posted.
#[derive(Debug, thiserror::Error)]
enum NotKnown {
    #[error(transparent)]
    NotAnswered(#[from] NotAnswered),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reads the newsletters of one session.
pub(super) struct Posts {
    session: String,
    client: Arc<Client>,
    inbox: Arc<dyn Inbox>,
    store: Store,
    followed: Arc<Followed>,
    clock: Clock,
    tasks: Lifecycle,
    /// Those of which nothing is missed on this connection.
    level: Mutex<HashSet<String>>,
    has_missed: Arc<AtomicBool>,
}

impl Posts {
    /// Follows the engine's events until the link ends.
    pub fn start(
        session: &str,
        client: &Arc<Client>,
        inbox: Arc<dyn Inbox>,
        store: &Store,
        clock: Clock,
        tasks: &Lifecycle,
    ) -> newsletters::Reading {
        let (followed, has_missed) = (Arc::<Followed>::default(), Arc::<AtomicBool>::default());
        let (events, mut seen) = mpsc::channel::<Arc<Event>>(MOST);
        let listener = Listener { events, has_missed: Arc::clone(&has_missed) };
        client.subscribe_handler(Arc::new(listener)).detach();
        let posts = Arc::new(Self {
            session: session.to_owned(),
            client: Arc::clone(client),
            inbox,
            store: store.clone(),
            followed: Arc::clone(&followed),
            clock,
            tasks: tasks.clone(),
            level: Mutex::default(),
            has_missed,
        });
        let reader = Arc::clone(&posts);
        tasks.spawn(async move {
            while let Some(Some(event)) = reader.tasks.unless_stopping(seen.recv()).await {
                // Boxed, so that a session where nothing is posted does not hold the room for it.
                if reader.tasks.unless_stopping(Box::pin(reader.heard(&event))).await.is_none() {
                    break;
                }
            }
        });
        (followed, posts)
    }

    async fn heard(&self, event: &Event) {
        if self.has_missed.swap(false, Ordering::Relaxed) {
            self.levels(HashSet::clear);
        }
        match event {
            Event::Connected(_) => {
                self.levels(HashSet::clear);
                if let Err(error) = self.catch_up_with_all().await {
                    tracing::debug!(session = self.session, %error, "it is not known what newsletters there are");
                }
            }
            Event::Messages(batch) => {
                for message in batch.messages.iter().filter(|message| message.info.source.chat.is_newsletter()) {
                    self.take(message).await;
                }
            }
            _ => {}
        }
    }

    async fn catch_up_with_all(&self) -> Result<(), NotKnown> {
        let listing = newsletters::list(&self.client, &self.followed);
        let followed = self.clock.timeout(PATIENCE, listing).await.map_err(|_| NotAnswered::Silence(PATIENCE))??;
        let ids: Vec<String> = followed.into_iter().map(|newsletter| newsletter.id).collect();
        self.store.keep_newsletters(&self.session, &ids).await?;
        for id in &ids {
            self.catch_up(id, None).await;
        }
        Ok(())
    }

    /// Takes a post that has just come in.
    async fn take(&self, message: &InboundMessage) {
        let info = &message.info;
        let (id, place) = (info.source.chat.to_non_ad_string(), i64::from(info.server_id));
        // That one was taken back comes without words, which the engine passes over.
        if info.edit == EditAttribute::AdminEdit {
            let told = incoming::edited_post(&self.session, &message.message, info, &self.known());
            return self.tell(told.into_iter().collect()).await;
        }
        if self.followed.get(&id).is_none() {
            self.learn(&id).await;
        }
        // Who posted in one's own newsletter is only said to those who ask.
        let is_own = self.is_own(&id);
        if is_own || !self.levels(|level| level.contains(&id)) {
            self.catch_up(&id, Some(place)).await;
        }
        let told = self.store.newsletter_place(&self.session, &id).await.ok().flatten();
        if is_own && place > 0 && told.is_some_and(|told| told >= place) {
            return;
        }
        // Two posts under one id are one event.
        self.tell(self.told(&message.message, info).into_iter().collect()).await;
        self.note(&id, place).await;
    }

    fn is_own(&self, id: &str) -> bool {
        self.followed.get(id).is_some_and(|newsletter| newsletter.role.may_post())
    }

    /// Tells what was posted since the last post that was told. `coming`: the number of one that is being told at the moment.
    async fn catch_up(&self, id: &str, coming: Option<i64>) {
        match self.missed(id, coming).await {
            Ok(missed) => {
                for (place, post) in missed {
                    self.tell(post.into_iter().collect()).await;
                    self.note(id, place).await;
                }
                self.levels(|level| level.insert(id.to_owned()));
            }
            Err(error) => tracing::debug!(session = self.session, %error, "it is not known what was posted"),
        }
    }

    /// What was posted and not told, with the number of each, in order.
    async fn missed(&self, id: &str, coming: Option<i64>) -> Result<Vec<(i64, Option<Incoming>)>, NotKnown> {
        let told = match (self.store.newsletter_place(&self.session, id).await?, coming) {
            (Some(told), _) => told,
            // It is the first that is told.
            (None, Some(place)) if place > 0 => place - 1,
            (None, _) => {
                self.begin(id).await?;
                return Ok(Vec::new());
            }
        };
        let Ok(jid) = id.parse::<Jid>() else { return Ok(Vec::new()) };
        let is_own = self.is_own(id);
        let mut missed: Vec<NewsletterMessage> = Vec::new();
        let mut before = None;
        loop {
            let page = self.page(&jid, PAGE, before).await?;
            let oldest = page.iter().map(|post| post.server_id).min();
            let is_last = page.len() < PAGE as usize;
            let is_told_anyhow = |post: &NewsletterMessage| !is_own && coming == Some(place(post));
            missed.extend(page.into_iter().filter(|post| place(post) > told && !is_told_anyhow(post)));
            let reached = oldest.is_none_or(|oldest| i64::try_from(oldest).is_ok_and(|oldest| oldest <= told + 1));
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

    /// Learns what a newsletter is called, and what the account is there.
    pub async fn learn(&self, id: &str) {
        match self.clock.timeout(PATIENCE, newsletters::find(&self.client, id)).await {
            Ok(Ok(found)) => self.followed.note(found),
            _ => tracing::debug!(session = self.session, "it is not known what a newsletter is called"),
        }
    }

    /// Begins to read a newsletter: of what is there already nothing is told.
    pub async fn begin(&self, id: &str) -> Result<(), NotAnswered> {
        let jid: Jid = id.parse().map_err(|_| NotAnswered::Failed)?;
        let newest = self.page(&jid, 1, None).await?.iter().map(place).max().unwrap_or(0);
        self.store.set_newsletter_place(&self.session, id, newest).await.map_err(|_| NotAnswered::Failed)?;
        self.levels(|level| level.insert(id.to_owned()));
        Ok(())
    }

    async fn page(&self, jid: &Jid, count: u32, before: Option<u64>) -> Result<Vec<NewsletterMessage>, NotAnswered> {
        let newsletters = self.client.newsletter();
        // Boxed, since the engine's own futures are nested so deeply that the compiler gives up on what contains them.
        let asking = Box::pin(newsletters.get_messages(jid.clone(), count, before));
        Ok(self.clock.timeout(PATIENCE, asking).await.map_err(|_| NotAnswered::Silence(PATIENCE))??)
    }

    /// A post as it was found in a newsletter. What was sent through here was told already.
    async fn listed(&self, jid: &Jid, post: NewsletterMessage, is_late: bool) -> Result<Option<Incoming>, StoreError> {
        let Some(message) = post.message else { return Ok(None) };
        if post.is_sender && self.store.sent_message(&self.session, &post.message_id).await?.is_some() {
            return Ok(None);
        }
        let mut info =
            MessageInfo { id: post.message_id.as_str().into(), is_offline: is_late, ..MessageInfo::default() };
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

    fn told(&self, message: &whatsapp_rust::waproto::whatsapp::Message, info: &MessageInfo) -> Option<Incoming> {
        let mut info = info.clone();
        if !info.source.is_from_me
            && let Some(newsletter) = self.followed.get(&info.source.chat.to_non_ad_string())
        {
            info.push_name = newsletter.name;
        }
        incoming::received(&self.session, message, &info, &self.known())
    }

    fn known(&self) -> Known {
        Known { other: None, own: [self.client.pn(), self.client.lid()].into_iter().flatten().collect() }
    }

    /// Until it is saved, or the link ends; what was not saved by then is looked for again.
    async fn tell(&self, incoming: Vec<Incoming>) {
        if incoming.is_empty() {
            return;
        }
        while let Err(error) = self.inbox.accept(&self.session, incoming.clone()).await {
            tracing::warn!(session = self.session, error = format!("{error:#}"), "posts cannot be saved yet");
            self.clock.sleep(PAUSE).await;
        }
    }

    async fn note(&self, id: &str, place: i64) {
        if place <= 0 {
            return;
        }
        if let Err(error) = self.store.set_newsletter_place(&self.session, id, place).await {
            // What is told twice is one event.
            tracing::debug!(session = self.session, %error, "how far a newsletter was told cannot be saved");
        }
    }

    fn levels<T>(&self, change: impl FnOnce(&mut HashSet<String>) -> T) -> T {
        change(&mut self.level.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

fn place(post: &NewsletterMessage) -> i64 {
    i64::try_from(post.server_id).unwrap_or(i64::MAX)
}
