//! The writer's cursor in the log: up to where events have their deliveries, and which lanes have
//! rows.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use super::log_reader::{self, LoggedEvent};
use super::{CommitEffects, LaneKey, OpenDeliveries, OpenDelivery, accepted, lane_of};
use crate::store::db::{self, Connection};
use crate::store::webhooks::deliveries::{self, NewDelivery};
use crate::store::webhooks::endpoints::{self, EventSubscriber};

/// Ids that are reserved at a time: after a crash none is given a second time.
const RESERVED_IDS: i64 = 1_000;
/// The position is saved at the latest when it has moved so far.
const MAX_UNSAVED: i64 = 1_000;
/// With more lanes that have rows, all new deliveries get rows.
const MAX_LANES: usize = 10_000;
/// The pause before the lanes are counted again after that.
const RECOUNT_PAUSE: Duration = Duration::from_secs(10);

/// The lanes that have rows.
enum LanesBehind {
    Known(HashSet<LaneKey>),
    /// To be read from the database.
    Unknown,
    /// Too many to be remembered. Read again at this uptime.
    Many(Duration),
}

impl LanesBehind {
    fn contains(&self, lane: &LaneKey) -> bool {
        match self {
            Self::Known(lanes) => lanes.contains(lane),
            Self::Unknown | Self::Many(_) => true,
        }
    }
}

/// How far the cursor is.
#[derive(Debug, Clone, Copy)]
pub(in crate::store) struct CursorState {
    /// The newest event whose deliveries are made.
    end: i64,
    /// The newest when the position was last saved.
    saved_end: i64,
    next_id: i64,
    /// Ids before this one may be given to deliveries without a row.
    reserved: i64,
}

/// The cursor.
pub(in crate::store) struct LogCursor {
    at: CursorState,
    behind: LanesBehind,
}

impl LogCursor {
    async fn load(
        connection: &mut Connection,
        open: &mut OpenDeliveries,
    ) -> Result<Self, db::Error> {
        let sql = "SELECT seq, delivery FROM positions WHERE owner = 0";
        let row = db::query(sql).fetch_one(&mut *connection).await?;
        let (seq, first): (i64, i64) = (row.get("seq"), row.get("delivery"));
        let last_id = load_last_id(connection).await?;
        let mut cursor = Self {
            at: CursorState {
                end: seq,
                saved_end: seq,
                next_id: last_id + 1,
                reserved: last_id + 1,
            },
            behind: LanesBehind::Unknown,
        };
        cursor.reload_lanes(connection, Duration::ZERO).await?;
        let subscribers: Arc<[_]> = endpoints::load_subscribers(connection).await?.into();
        open.set_endpoints(Arc::clone(&subscribers));
        let made = log_reader::load_made(connection, (seq, first), &subscribers).await?;
        let events = log_reader::load_events_after(connection, seq).await?;
        let mut rows = Vec::new();
        open.former_id = Some(first);
        for event in &events {
            for endpoint in wanting(event, &subscribers) {
                if made.contains(&(event.seq, endpoint.id.clone())) {
                    continue;
                }
                let delivery = cursor.take_id(connection).await?;
                let due = endpoint.due_delivery(event, delivery);
                if endpoint.is_enabled && !cursor.behind.contains(&lane_of(&due)) {
                    open.insert(OpenDelivery::new(event.seq, due));
                } else {
                    rows.push(OpenDelivery::new(event.seq, due));
                }
            }
            cursor.at.end = event.seq;
        }
        open.former_id = None;
        write_rows(connection, &rows).await?;
        Ok(cursor)
    }

    /// Returns whether the position has moved so far that it has to be saved.
    pub const fn is_far(&self) -> bool {
        self.at.end >= self.at.saved_end + MAX_UNSAVED
    }

    /// Prepares for the changes of a transaction.
    pub async fn begin(
        &mut self,
        connection: &mut Connection,
        uptime: Duration,
    ) -> Result<(), db::Error> {
        match self.behind {
            LanesBehind::Known(_) => Ok(()),
            LanesBehind::Many(until) if uptime < until => Ok(()),
            _ => self.reload_lanes(connection, uptime).await,
        }
    }

    /// What a failed transaction gives back.
    pub const fn mark(&self) -> CursorState {
        self.at
    }

    /// Undoes the changes of a transaction that failed.
    pub fn reset(&mut self, mark: CursorState) {
        self.at = mark;
        self.behind = LanesBehind::Unknown;
    }

    /// Takes over what changes with statements of their own have done to the rows: new ids, and lanes
    /// that came or went.
    pub async fn follow_rows(
        &mut self,
        connection: &mut Connection,
        uptime: Duration,
    ) -> Result<(), db::Error> {
        let last = load_last_id(connection).await?;
        if last >= self.at.reserved {
            (self.at.next_id, self.at.reserved) = (last + 1, last + 1);
        }
        self.reload_lanes(connection, uptime).await
    }

    /// Makes the deliveries of events that changes have recorded.
    pub async fn follow_log(
        &mut self,
        connection: &mut Connection,
        subscribers: &[EventSubscriber],
        open: &parking_lot::Mutex<OpenDeliveries>,
        effects: &mut CommitEffects,
    ) -> Result<(), db::Error> {
        let events = log_reader::load_events_after(connection, self.at.end).await?;
        self.deliver(connection, &events, subscribers, open, effects)
            .await
    }

    /// Returns whether all events have their deliveries.
    pub async fn is_at_end(&self, connection: &mut Connection) -> Result<bool, db::Error> {
        let events = log_reader::load_events_after(connection, self.at.end).await?;
        Ok(events.is_empty())
    }

    /// Makes the deliveries of new events: in memory, or as rows where their lane has rows or there
    /// is no room.
    pub async fn deliver(
        &mut self,
        connection: &mut Connection,
        events: &[LoggedEvent],
        subscribers: &[EventSubscriber],
        open: &parking_lot::Mutex<OpenDeliveries>,
        effects: &mut CommitEffects,
    ) -> Result<(), db::Error> {
        let mut rows = Vec::new();
        for event in events {
            for endpoint in wanting(event, subscribers) {
                let delivery = self.take_id(connection).await?;
                let due = endpoint.due_delivery(event, delivery);
                let new = OpenDelivery::new(event.seq, due);
                match endpoint.is_enabled && !self.behind.contains(&new.lane()) {
                    true => effects.opened.push(new),
                    false => rows.push(new),
                }
            }
            self.at.end = event.seq;
            effects.logged.push(event.to_stored());
        }
        let bytes = effects.opened.iter().map(|it| it.due.body.len()).sum();
        // Without knowing the lanes, all new deliveries get rows, and none may overtake an open one.
        let has_room = matches!(self.behind, LanesBehind::Known(_))
            && open
                .lock()
                .has_room(effects.opened.len(), bytes, self.at.end);
        if !has_room {
            self.write_open(connection, None, open, effects).await?;
        }
        effects.is_queue_stale |= write_rows(connection, &rows).await?;
        Ok(())
    }

    /// Writes the rows of all open deliveries, so that statements find them. Nothing behind the saved
    /// position is left to be read from the log, and no id is reserved.
    pub async fn write_all(
        &mut self,
        connection: &mut Connection,
        open: &parking_lot::Mutex<OpenDeliveries>,
        effects: &mut CommitEffects,
    ) -> Result<(), db::Error> {
        self.write_open(connection, None, open, effects).await?;
        effects.is_queue_stale = true;
        self.at.reserved = self.at.next_id;
        save_last_id(connection, self.at.next_id - 1).await?;
        self.save(connection, None).await
    }

    /// Writes the rows of open deliveries, those of the lane of one of them or all, together with those
    /// that this transaction has made, and saves what was accepted before them.
    pub async fn write_open(
        &mut self,
        connection: &mut Connection,
        delivery: Option<i64>,
        open: &parking_lot::Mutex<OpenDeliveries>,
        effects: &mut CommitEffects,
    ) -> Result<(), db::Error> {
        let (mut rows, accepted) = open.lock().begin_writing(delivery);
        accepted::save_accepted(connection, &accepted).await?;
        let key = rows.first().map(OpenDelivery::lane);
        let new = std::mem::take(&mut effects.opened).into_iter();
        let (same, others): (Vec<_>, _) =
            new.partition(|it| delivery.is_none() || key.as_ref() == Some(&it.lane()));
        effects.opened = others;
        rows.extend(same);
        for row in &rows {
            self.remember(row);
        }
        effects.is_queue_stale |= write_rows(connection, &rows).await?;
        Ok(())
    }

    /// Notes that a lane of an enabled endpoint has rows.
    fn remember(&mut self, open: &OpenDelivery) {
        if let LanesBehind::Known(lanes) = &mut self.behind {
            lanes.insert(open.lane());
            if lanes.len() > MAX_LANES {
                self.behind = LanesBehind::Unknown;
            }
        }
    }

    /// Forgets lanes whose last row is settled.
    pub fn forget(&mut self, emptied: &[LaneKey]) {
        if let LanesBehind::Known(lanes) = &mut self.behind {
            for lane in emptied {
                lanes.remove(lane);
            }
        }
    }

    /// Saves the position before the first open delivery.
    pub async fn save(
        &mut self,
        connection: &mut Connection,
        first_open: Option<(i64, i64)>,
    ) -> Result<(), db::Error> {
        let (seq, delivery) = match first_open {
            Some((seq, delivery)) => (seq - 1, delivery),
            None => (self.at.end, self.at.next_id),
        };
        self.at.saved_end = self.at.end;
        let sql = "UPDATE positions SET seq = $1, delivery = $2 WHERE owner = 0";
        let query = db::query(sql).bind(seq).bind(delivery);
        query.execute(connection).await.map(drop)
    }

    async fn take_id(&mut self, connection: &mut Connection) -> Result<i64, db::Error> {
        if self.at.next_id >= self.at.reserved {
            self.at.reserved = self.at.next_id + RESERVED_IDS;
            save_last_id(connection, self.at.reserved - 1).await?;
        }
        self.at.next_id += 1;
        Ok(self.at.next_id - 1)
    }

    async fn reload_lanes(
        &mut self,
        connection: &mut Connection,
        uptime: Duration,
    ) -> Result<(), db::Error> {
        // The deliveries to disabled endpoints get rows in any case.
        let sql = "SELECT endpoint, session, chat FROM lanes WHERE aside = 0 AND endpoint IN \
                   (SELECT id FROM endpoints WHERE disabled_at IS NULL AND deleted_at IS NULL) LIMIT $1";
        let most = i64::try_from(MAX_LANES + 1).unwrap_or(i64::MAX);
        let lanes: Vec<LaneKey> = db::query_as(sql).bind(most).fetch_all(connection).await?;
        self.behind = match lanes.len() > MAX_LANES {
            true => LanesBehind::Many(uptime + RECOUNT_PAUSE),
            false => LanesBehind::Known(lanes.into_iter().collect()),
        };
        Ok(())
    }
}

/// Reads the cursor, and opens the deliveries that a former process left, in one transaction.
pub(in crate::store) async fn open_deliveries(
    connection: &mut Connection,
) -> Result<(OpenDeliveries, LogCursor), db::Error> {
    let mut transaction = connection.begin().await?;
    let mut open = OpenDeliveries::default();
    let cursor = LogCursor::load(&mut transaction, &mut open).await?;
    transaction.commit().await?;
    Ok((open, cursor))
}

/// Writes rows; returns whether any of them is due, or makes another one due.
async fn write_rows(connection: &mut Connection, rows: &[OpenDelivery]) -> Result<bool, db::Error> {
    let rows = rows.iter().map(|open| NewDelivery {
        id: Some(open.due.delivery),
        event: open.seq,
        endpoint: &open.due.endpoint,
        destination: open.due.destination.clone(),
        session: open.due.session.name(),
        chat: &open.due.chat,
        is_resent: false,
        created_at: open.due.created_at,
    });
    let rows: Vec<_> = rows.collect();
    let placed = deliveries::enqueue_deliveries(connection, &rows).await?;
    Ok(placed.has_due)
}

/// Returns the endpoints that subscribe to an event.
fn wanting<'a>(
    event: &'a LoggedEvent,
    subscribers: &'a [EventSubscriber],
) -> impl Iterator<Item = &'a EventSubscriber> {
    let (session, chat, kind) = (event.session.name(), &event.chat, &event.kind);
    subscribers
        .iter()
        .filter(move |endpoint| endpoint.is_subscribed_to(session, chat, kind))
}

/// The highest id that may have been given to a delivery, as SQLite counts it.
pub(in crate::store) async fn load_last_id(connection: &mut Connection) -> Result<i64, db::Error> {
    let sql = "SELECT COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'deliveries'), 0)";
    db::query_scalar(sql).fetch_one(connection).await
}

async fn save_last_id(connection: &mut Connection, id: i64) -> Result<(), db::Error> {
    let sql = "UPDATE sqlite_sequence SET seq = $1 WHERE name = 'deliveries'";
    let query = db::query(sql).bind(id);
    if query.execute(&mut *connection).await?.rows_affected() == 0 {
        let sql = "INSERT INTO sqlite_sequence (name, seq) VALUES ('deliveries', $1)";
        db::query(sql).bind(id).execute(connection).await?;
    }
    Ok(())
}
