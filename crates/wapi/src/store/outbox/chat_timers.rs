//! Disappearing timers of chats. All of them are also in memory, since each send reads one.

use std::collections::HashMap;

use parking_lot::Mutex;

use crate::store::db::{self, Connection};
use crate::store::{EventFact, Life, OutboxStore, Store, StoreError};

/// The disappearing timer of a chat.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct DisappearingTimer {
    /// 0: messages stay.
    pub seconds: u32,
    /// Seconds since 1970, by WhatsApp's clock.
    pub set_at: i64,
}

/// The timers of the chats of each life.
#[derive(Default)]
pub(in crate::store) struct TimerCache(Mutex<HashMap<i64, HashMap<String, DisappearingTimer>>>);

impl TimerCache {
    pub async fn load(connection: &mut Connection) -> Result<Self, db::Error> {
        let timers = Self::default();
        for row in db::query("SELECT session, chat, seconds, set_at FROM timers")
            .fetch_all(connection)
            .await?
        {
            let timer = DisappearingTimer {
                seconds: row.get("seconds"),
                set_at: row.get("set_at"),
            };
            timers.insert(row.get("session"), row.get("chat"), timer);
        }
        Ok(timers)
    }

    fn get(&self, session: i64, chat: &str) -> Option<DisappearingTimer> {
        self.0.lock().get(&session)?.get(chat).copied()
    }

    pub(in crate::store) fn forget_life(&self, life: &Life) {
        self.0.lock().remove(&life.id());
    }

    fn insert(&self, session: i64, chat: &str, timer: DisappearingTimer) {
        let mut sessions = self.0.lock();
        let timers = sessions.entry(session).or_default();
        // Commits of the same chat may be reported in another order than they were made.
        if timers
            .get(chat)
            .is_none_or(|known| known.set_at <= timer.set_at)
        {
            timers.insert(chat.to_owned(), timer);
        }
    }
}

impl OutboxStore<'_> {
    /// Returns the seconds after which messages of a chat disappear; `None`: they stay, as far as
    /// is known.
    pub fn chat_timer(self, session: &Life, chat: &str) -> Option<u32> {
        self.store
            .timers
            .get(session.id(), chat)
            .map(|timer| timer.seconds)
            .filter(|seconds| *seconds > 0)
    }

    /// Saves a chat's timer under every address of the chat, unless a later setting is known.
    pub async fn set_chat_timer(
        self,
        session: &Life,
        chats: &[String],
        timer: DisappearingTimer,
    ) -> Result<(), StoreError> {
        let chats = chats.to_vec();
        self.store
            .events()
            .save_facts(session, vec![EventFact::ChatTimer { chats, timer }])
            .await
    }
}

/// The timers in memory and, over them, those of a batch that is being saved.
pub(in crate::store) struct TimerOverlay<'a> {
    known: &'a TimerCache,
    batch: HashMap<(i64, String), DisappearingTimer>,
}

impl TimerOverlay<'_> {
    /// Drops from these facts the timers that change nothing, or are older than what is known: most
    /// messages of a chat with a timer name it. What stays counts for the rest of the batch.
    pub fn keep_changes(&mut self, session: &Life, facts: &mut Vec<EventFact>) {
        facts.retain_mut(|fact| {
            let EventFact::ChatTimer { chats, timer } = fact else {
                return true;
            };
            chats.retain(|chat| self.apply(session, chat, *timer));
            !chats.is_empty()
        });
    }

    fn apply(&mut self, session: &Life, chat: &str, timer: DisappearingTimer) -> bool {
        let key = (session.id(), chat.to_owned());
        let known = self.batch.get(&key).copied();
        let is_change = match known.or_else(|| self.known.get(session.id(), chat)) {
            None => timer.seconds > 0,
            Some(known) => known.seconds != timer.seconds && known.set_at <= timer.set_at,
        };
        if is_change {
            self.batch.insert(key, timer);
        }
        is_change
    }

    /// Returns the timers that the batch ends with, to be remembered once it is saved.
    pub fn into_changes(self) -> HashMap<(i64, String), DisappearingTimer> {
        self.batch
    }
}

impl Store {
    pub(in crate::store) fn overlay_timers(&self) -> TimerOverlay<'_> {
        TimerOverlay {
            known: &self.timers,
            batch: HashMap::new(),
        }
    }

    /// Remembers timers that are saved.
    pub(in crate::store) fn remember_timers(
        &self,
        timers: HashMap<(i64, String), DisappearingTimer>,
    ) {
        for ((session, chat), timer) in timers {
            self.timers.insert(session, &chat, timer);
        }
    }
}

/// Writes the timer of a chat under each of these addresses, unless a later one is there.
pub(in crate::store) async fn write_timer(
    connection: &mut Connection,
    session: &Life,
    chats: &[String],
    timer: DisappearingTimer,
) -> Result<(), db::Error> {
    let sql = "INSERT INTO timers (session, chat, seconds, set_at) VALUES ($1, $2, $3, $4) \
               ON CONFLICT (session, chat) DO UPDATE SET seconds = excluded.seconds, set_at = excluded.set_at \
               WHERE excluded.set_at >= timers.set_at";
    for chat in chats {
        let query = db::query(sql).bind(session).bind(chat);
        query
            .bind(timer.seconds)
            .bind(timer.set_at)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::NewEvent;
    use crate::store::tests::{new_event, new_store};

    const CHAT: &str = "375440000001@s.whatsapp.net";

    /// Messages of one batch, as after some time offline: each with the timer it names, and its time.
    async fn receive(store: &Store, timers: &[(u32, i64)]) -> Option<u32> {
        let event = |(index, (seconds, set_at)): (usize, &(u32, i64))| {
            let timer = DisappearingTimer {
                seconds: *seconds,
                set_at: *set_at,
            };
            NewEvent {
                facts: vec![EventFact::ChatTimer {
                    chats: vec![CHAT.to_owned()],
                    timer,
                }],
                ..new_event(CHAT, &format!("{set_at} {index}"))
            }
        };
        let events = timers.iter().enumerate().map(event).collect();
        store.events().append_events(events).await.unwrap();
        let saved = TimerCache::load(&mut store.readers.acquire().await.unwrap()).await;
        let shop = Life::for_test(1, "shop");
        let seconds = |timer: DisappearingTimer| Some(timer.seconds).filter(|it| *it > 0);
        let in_database = saved.unwrap().get(shop.id(), CHAT).and_then(seconds);
        assert_eq!(store.outbox().chat_timer(&shop, CHAT), in_database);
        in_database
    }

    #[tokio::test]
    async fn the_latest_timer_of_a_batch_counts() {
        for (timers, last) in [
            (vec![(86_400, 1)], Some(86_400)),
            (vec![(86_400, 1), (0, 2)], None),
            (vec![(86_400, 1), (0, 2), (86_400, 3)], Some(86_400)),
            (vec![(604_800, 20), (86_400, 10)], Some(604_800)),
        ] {
            let (store, _folder) = new_store().await;
            assert_eq!(receive(&store, &timers).await, last, "{timers:?} at once");
            let (store, _folder) = new_store().await;
            let mut one_by_one = None;
            for timer in &timers {
                one_by_one = receive(&store, &[*timer]).await;
            }
            assert_eq!(one_by_one, last, "{timers:?} one by one");
        }
    }
}
