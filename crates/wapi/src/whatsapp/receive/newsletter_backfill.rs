//! Posts of newsletters, with a backfill of missed ones.
//!
//! The engine acknowledges posts before the gateway has seen them, and WhatsApp does not send them
//! again. So each login fetches the missed posts, from the last emitted one on.

mod following;
mod listener;

use std::collections::HashSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use parking_lot::Mutex;
use tokio::sync::{Semaphore, mpsc};
use whatsapp_rust::types::durability_hook::InboundMessage;
use whatsapp_rust::types::events::Event;
use whatsapp_rust::types::message::{EditAttribute, MessageInfo};
use whatsapp_rust::wacore::chrono::DateTime;
use whatsapp_rust::wacore_binary::JidExt;
use whatsapp_rust::{Client, Jid, NewsletterMessage};

use super::decode::{self, MessageAddresses};
use crate::inbound::{InboundEvent, Inbox};
use crate::store::{DeviceLife, Store, StoreError};
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;
use crate::whatsapp::queries::newsletters::{self, FollowedNewsletters};
use crate::whatsapp::request_error::RequestError;

use listener::QueuedEvent;

pub(in crate::whatsapp) use listener::PostListener;

/// Posts that may wait for processing. Further ones are dropped, and fetched afterwards.
const QUEUE_LIMIT: usize = 256;
/// Posts per request, and the most per newsletter after one login: the newest.
const PAGE_SIZE: u32 = 100;
const MAX_MISSED: usize = 1_000;
/// How long WhatsApp may take to answer a request for posts.
const REQUEST_TIMEOUT: Duration = Duration::from_secs(20);
/// Delay before a failed backfill is tried again.
const BACKFILL_RETRY: Duration = Duration::from_secs(60);
/// Delay between two attempts to save posts.
const SAVE_RETRY: Duration = Duration::from_secs(1);

/// A failure to find out which posts are missed.
#[derive(Debug, thiserror::Error)]
enum BackfillError {
    #[error(transparent)]
    NotAnswered(#[from] RequestError),
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// Reader of one session's newsletters.
pub(in crate::whatsapp) struct PostReader {
    session: DeviceLife,
    client: Arc<Client>,
    inbox: Arc<dyn Inbox>,
    store: Store,
    followed: Arc<FollowedNewsletters>,
    clock: Clock,
    tasks: Lifecycle,
    /// Newsletters without missed posts on this connection.
    caught_up: Mutex<HashSet<String>>,
    has_missed: Arc<AtomicBool>,
    /// Whether a backfill is due again: one has failed, or posts had no place.
    is_behind: AtomicBool,
}

impl PostReader {
    /// Starts reading the engine's events, until the link ends.
    pub fn start(
        session: DeviceLife,
        client: &Arc<Client>,
        inbox: Arc<dyn Inbox>,
        store: &Store,
        clock: Clock,
        tasks: &Lifecycle,
    ) -> newsletters::NewsletterParts {
        let (followed, has_missed) = (
            Arc::<FollowedNewsletters>::default(),
            Arc::<AtomicBool>::default(),
        );
        let (events, mut seen) = mpsc::unbounded_channel();
        let listener = PostListener {
            events,
            places: Arc::new(Semaphore::new(QUEUE_LIMIT)),
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
            caught_up: Mutex::default(),
            has_missed,
            is_behind: AtomicBool::default(),
        });
        let reader = Arc::clone(&posts);
        tasks.spawn(async move {
            while let Some(Some(event)) = reader
                .tasks
                .unless_stopping(reader.next_event(&mut seen))
                .await
            {
                // Boxed, so that a session without posts does not hold the memory for it.
                if reader
                    .tasks
                    .unless_stopping(Box::pin(
                        reader.process_event(event.as_ref().map(|queued| &*queued.event)),
                    ))
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
    async fn next_event(
        &self,
        seen: &mut mpsc::UnboundedReceiver<QueuedEvent>,
    ) -> Option<Option<QueuedEvent>> {
        if !self.is_behind.load(Ordering::Relaxed) {
            return seen.recv().await.map(Some);
        }
        tokio::select! {
            biased;
            event = seen.recv() => event.map(Some),
            () = self.clock.sleep(BACKFILL_RETRY) => Some(None),
        }
    }

    async fn process_event(&self, event: Option<&Event>) {
        if self.has_missed.swap(false, Ordering::Relaxed) {
            self.with_caught_up(HashSet::clear);
            self.is_behind.store(true, Ordering::Relaxed);
        }
        match event {
            Some(Event::Connected(_)) => {
                self.with_caught_up(HashSet::clear);
                self.backfill_all().await;
            }
            None if self.client.is_logged_in() => self.backfill_all().await,
            Some(Event::Messages(batch)) => {
                for message in batch
                    .messages
                    .iter()
                    .filter(|message| message.info.source.chat.is_newsletter())
                {
                    self.handle_post(message).await;
                }
            }
            Some(Event::RawNode(node)) => self.handle_deletion(node.get()).await,
            _ => {}
        }
    }

    async fn backfill_all(&self) {
        self.is_behind.store(false, Ordering::Relaxed);
        let followed = match self.fetch_followed().await {
            Ok(followed) => followed,
            Err(error) => return self.schedule_backfill(&error),
        };
        for id in followed
            .iter()
            .filter(|id| !self.with_caught_up(|level| level.contains(*id)))
        {
            self.backfill_newsletter(id, None).await;
        }
    }

    async fn fetch_followed(&self) -> Result<Vec<String>, BackfillError> {
        let listing = newsletters::query_newsletters(&self.client, &self.followed);
        let followed = self
            .clock
            .timeout(REQUEST_TIMEOUT, listing)
            .await
            .map_err(|_| RequestError::Timeout(REQUEST_TIMEOUT))??;
        let ids: Vec<String> = followed
            .into_iter()
            .map(|newsletter| newsletter.id)
            .collect();
        self.store
            .inbound()
            .retain_newsletters(&self.session.current_life(), &ids)
            .await?;
        Ok(ids)
    }

    fn schedule_backfill(&self, error: &BackfillError) {
        tracing::debug!(session = self.session.name(), %error, "failed to fetch the posts of a newsletter; trying again");
        self.is_behind.store(true, Ordering::Relaxed);
    }

    /// Handles a post that has just come in.
    async fn handle_post(&self, message: &InboundMessage) {
        let info = &message.info;
        let (id, position) = (
            info.source.chat.to_non_ad_string(),
            i64::from(info.server_id),
        );
        if info.edit == EditAttribute::AdminEdit {
            let known = decode::decode_edited_post(
                self.session.name(),
                &message.message,
                info,
                &self.own_addresses(),
            );
            return self.emit_events(known.into_iter().collect()).await;
        }
        if self.followed.get(&id).is_none() {
            self.fetch_metadata(&id).await;
        }
        // WhatsApp names the sender of a post in an own newsletter only on request.
        let may_be_own = self
            .followed
            .get(&id)
            .is_none_or(|newsletter| newsletter.role.can_post());
        let is_level = !may_be_own && self.with_caught_up(|level| level.contains(&id));
        let is_found = !is_level && self.backfill_newsletter(&id, Some(position)).await;
        let known = self
            .store
            .inbound()
            .newsletter_position(&self.session.current_life(), &id)
            .await
            .ok()
            .flatten();
        // The backfill has emitted this post, or will when it is tried again.
        if position > 0 && (may_be_own || is_found && known.is_some_and(|known| known >= position))
        {
            return;
        }
        // Two posts with one id are one event.
        self.emit_events(
            self.convert_post(&message.message, info)
                .into_iter()
                .collect(),
        )
        .await;
        if is_level || is_found {
            self.save_position(&id, position).await;
        }
    }

    /// Emits the posts after the last emitted one; returns whether they could be fetched. `coming`:
    /// the number of a post that has just come in.
    async fn backfill_newsletter(&self, id: &str, coming: Option<i64>) -> bool {
        match self.fetch_missed(id, coming).await {
            Ok(missed) => {
                for (position, post) in missed {
                    self.emit_events(post.into_iter().collect()).await;
                    self.save_position(id, position).await;
                }
                self.with_caught_up(|level| level.insert(id.to_owned()));
                true
            }
            Err(error) => {
                self.schedule_backfill(&error);
                false
            }
        }
    }

    /// Returns the posts that were not emitted, with the number of each, in order.
    async fn fetch_missed(
        &self,
        id: &str,
        coming: Option<i64>,
    ) -> Result<Vec<(i64, Option<InboundEvent>)>, BackfillError> {
        let coming_from = coming
            .filter(|position| *position > 0)
            .map(|position| position - 1);
        let known = match (
            self.store
                .inbound()
                .newsletter_position(&self.session.current_life(), id)
                .await?,
            coming_from,
        ) {
            // The post may have been on its way already when reading of the newsletter began.
            (Some(known), Some(position)) => known.min(position),
            (Some(known), None) => known,
            // This post is the first to be emitted.
            (None, Some(position)) => position,
            (None, None) => {
                self.begin_reading(id).await?;
                return Ok(Vec::new());
            }
        };
        let Ok(jid) = id.parse::<Jid>() else {
            return Ok(Vec::new());
        };
        let mut missed: Vec<NewsletterMessage> = Vec::new();
        let mut before = None;
        loop {
            let page = self.fetch_page(&jid, PAGE_SIZE, before).await?;
            let oldest = page.iter().map(|post| post.server_id).min();
            let is_last = page.len() < PAGE_SIZE as usize;
            missed.extend(page.into_iter().filter(|post| post_number(post) > known));
            let reached = oldest
                .is_none_or(|oldest| i64::try_from(oldest).is_ok_and(|oldest| oldest <= known + 1));
            if is_last || reached || missed.len() >= MAX_MISSED {
                break;
            }
            before = oldest;
        }
        missed.sort_by_key(|post| post.server_id);
        let mut posts = Vec::with_capacity(missed.len());
        for post in missed {
            let is_late = coming != Some(post_number(&post));
            posts.push((
                post_number(&post),
                self.convert_listed(&jid, post, is_late).await?,
            ));
        }
        Ok(posts)
    }

    /// Fetches the name of a newsletter and the account's role in it.
    pub async fn fetch_metadata(&self, id: &str) {
        match self
            .clock
            .timeout(
                REQUEST_TIMEOUT,
                newsletters::query_newsletter(&self.client, id),
            )
            .await
        {
            Ok(Ok(found)) => self.followed.insert(found),
            _ => tracing::debug!(
                session = self.session.name(),
                "failed to fetch the name of a newsletter"
            ),
        }
    }

    async fn fetch_page(
        &self,
        jid: &Jid,
        count: u32,
        before: Option<u64>,
    ) -> Result<Vec<NewsletterMessage>, RequestError> {
        let newsletters = self.client.newsletter();
        // Boxed: the engine's futures are nested too deeply for the compiler.
        let asking = Box::pin(newsletters.get_messages(jid.clone(), count, before));
        Ok(self
            .clock
            .timeout(REQUEST_TIMEOUT, asking)
            .await
            .map_err(|_| RequestError::Timeout(REQUEST_TIMEOUT))??)
    }

    /// Converts a listed post; `None` for one without content, and for one that the gateway sent
    /// and has already emitted.
    async fn convert_listed(
        &self,
        jid: &Jid,
        post: NewsletterMessage,
        is_late: bool,
    ) -> Result<Option<InboundEvent>, StoreError> {
        let Some(message) = post.message else {
            return Ok(None);
        };
        if post.is_sender
            && self
                .store
                .outbox()
                .find_sent_message(&self.session.current_life(), &post.message_id)
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
        Ok(self.convert_post(&message, &info))
    }

    fn convert_post(
        &self,
        message: &whatsapp_rust::waproto::whatsapp::Message,
        info: &MessageInfo,
    ) -> Option<InboundEvent> {
        let mut info = info.clone();
        if !info.source.is_from_me
            && let Some(newsletter) = self.followed.get(&info.source.chat.to_non_ad_string())
        {
            info.push_name = newsletter.name;
        }
        decode::decode_message(self.session.name(), message, &info, &self.own_addresses())
    }

    fn own_addresses(&self) -> MessageAddresses {
        MessageAddresses {
            other: None,
            own: [self.client.pn(), self.client.lid()]
                .into_iter()
                .flatten()
                .collect(),
        }
    }

    /// Emits events, trying until they are saved or the link ends; the next backfill fetches the
    /// rest.
    async fn emit_events(&self, incoming: Vec<InboundEvent>) {
        if incoming.is_empty() {
            return;
        }
        while let Err(error) = self
            .inbox
            .accept(&self.session.current_life(), incoming.clone().into())
            .await
        {
            tracing::warn!(
                session = self.session.name(),
                error = format!("{error:#}"),
                "failed to save posts; trying again"
            );
            self.clock.sleep(SAVE_RETRY).await;
        }
    }

    async fn save_position(&self, id: &str, position: i64) {
        if position <= 0 {
            return;
        }
        if let Err(error) = self
            .store
            .inbound()
            .set_newsletter_position(&self.session.current_life(), id, position)
            .await
        {
            // A post emitted twice is one event.
            tracing::debug!(session = self.session.name(), %error, "failed to save the position in a newsletter");
        }
    }

    fn with_caught_up<T>(&self, change: impl FnOnce(&mut HashSet<String>) -> T) -> T {
        change(&mut self.caught_up.lock())
    }
}

fn post_number(post: &NewsletterMessage) -> i64 {
    i64::try_from(post.server_id).unwrap_or(i64::MAX)
}
