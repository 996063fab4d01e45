//! Disappearing timers of chats. All of them are also in memory, since each send reads one.

use std::collections::HashMap;

use jiff::Timestamp;
use parking_lot::Mutex;
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use crate::store::writer::StoreChange;
use crate::store::{Life, Store, StoreError};

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
    pub async fn load(connection: &mut SqliteConnection) -> Result<Self, sqlx::Error> {
        let timers = Self::default();
        for row in sqlx::query("SELECT session, chat, seconds, set_at FROM timers")
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
        sessions
            .entry(session)
            .or_default()
            .insert(chat.to_owned(), timer);
    }
}

impl Store {
    /// Returns the seconds after which messages of a chat disappear; `None`: they stay, as far as
    /// is known.
    pub fn chat_timer(&self, session: &Life, chat: &str) -> Option<u32> {
        self.timers
            .get(session.id(), chat)
            .map(|timer| timer.seconds)
            .filter(|seconds| *seconds > 0)
    }

    /// Saves a chat's timer under every address of the chat, unless a later setting is known.
    pub async fn set_chat_timer(
        &self,
        session: &Life,
        chats: &[String],
        timer: DisappearingTimer,
    ) -> Result<(), StoreError> {
        let is_news = |chat: &&String| match self.timers.get(session.id(), chat) {
            None => timer.seconds > 0,
            Some(known) => known.seconds != timer.seconds && known.set_at <= timer.set_at,
        };
        let news: Vec<String> = chats.iter().filter(is_news).cloned().collect();
        if news.is_empty() {
            return Ok(());
        }
        self.writer
            .apply_change(SetChatTimer {
                session: session.clone(),
                chats: news.clone(),
                timer,
            })
            .await?;
        news.iter()
            .for_each(|chat| self.timers.insert(session.id(), chat, timer));
        Ok(())
    }
}

struct SetChatTimer {
    session: Life,
    chats: Vec<String>,
    timer: DisappearingTimer,
}

impl StoreChange for SetChatTimer {
    type Answer = ();

    fn invalidates_ready_queue(_: &Self::Answer) -> bool {
        false
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        _now: Timestamp,
    ) -> Result<(), sqlx::Error> {
        let sql = "INSERT INTO timers (session, chat, seconds, set_at) VALUES ($1, $2, $3, $4) \
                   ON CONFLICT (session, chat) DO UPDATE SET seconds = excluded.seconds, set_at = excluded.set_at";
        for chat in &self.chats {
            let query = sqlx::query(sql)
                .bind(&self.session)
                .bind(chat)
                .bind(self.timer.seconds);
            query
                .bind(self.timer.set_at)
                .execute(&mut *connection)
                .await?;
        }
        Ok(())
    }
}
