//! What one transaction of the writer writes: the changes of its callers, and the deliveries of the events
//! that these record.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use parking_lot::Mutex;

use super::WriterTask;
use super::commands::WriteCommand;
use crate::store::admin::activity::notes::{self, WaitingActivity};
use crate::store::db::{self, Connection};
use crate::store::events::log;
use crate::store::lives::registry::{self, UnsavedLife};
use crate::store::outbox::resend_cache;
use crate::store::webhooks::endpoints::EventSubscriber;
use crate::store::webhooks::open::cursor::LogCursor;
use crate::store::webhooks::open::{CommitEffects, OpenDeliveries, accepted};
use crate::store::webhooks::{deliveries, endpoints};
use crate::store::{DeliveryOutcome, SettledDelivery};

impl WriterTask {
    /// Writes all changes of a transaction.
    pub(super) async fn write_changes(
        &mut self,
        orders: &mut [WriteCommand],
        begun: &[UnsavedLife],
        activity: &WaitingActivity,
        effects: &mut CommitEffects,
    ) -> Result<(), db::Error> {
        let (connection, now, uptime) =
            (&mut self.connection, self.clock.now(), self.clock.uptime());
        // First, so that every life exists before its data.
        registry::save_lives(connection, begun).await?;
        if !activity.is_empty() {
            notes::write_notes(connection, activity).await?;
        }
        let open = &self.shared.open;
        let needs_rows = orders.iter().any(WriteCommand::needs_rows);
        self.cursor.begin(connection, uptime).await?;
        if needs_rows {
            self.cursor.write_all(connection, open, effects).await?;
        } else {
            let is_urgent = std::mem::take(&mut self.must_save_accepted);
            save_position(connection, &mut self.cursor, open, uptime, is_urgent).await?;
        }
        let (mut appended, mut settled) = (Vec::new(), Vec::new());
        // First, so that later queries find the payloads.
        resend_cache::insert_payloads(
            connection,
            &orders
                .iter()
                .filter_map(WriteCommand::as_payload)
                .collect::<Vec<_>>(),
            now,
        )
        .await?;
        let (mut has_changes, mut may_have_events, mut is_stale) = (false, false, false);
        for order in orders {
            match order {
                WriteCommand::Append(events, _) => appended.extend(&*events),
                WriteCommand::Settle(outcome, _) => settled.push(&*outcome),
                WriteCommand::Payload(_) => {}
                WriteCommand::Change(change) | WriteCommand::Deferred(change) => {
                    change.write(connection, now).await?;
                    has_changes = true;
                    may_have_events |= change.may_record_events();
                    is_stale |= change.concerns_deliveries();
                }
            }
        }
        effects.is_queue_stale |= is_stale;
        if needs_rows {
            self.cursor.follow_rows(connection, uptime).await?;
        }
        if is_stale {
            self.subscribers = None;
        }
        let endpoints = match &self.subscribers {
            Some(endpoints) => Arc::clone(endpoints),
            None => reload_endpoints(connection, &mut self.subscribers, effects).await?,
        };
        if may_have_events {
            self.cursor
                .follow_log(connection, &endpoints, open, effects)
                .await?;
        } else if has_changes && cfg!(debug_assertions) {
            let is_at_end = self.cursor.is_at_end(connection).await?;
            assert!(is_at_end, "a change has recorded an event and not said so");
        }
        if !appended.is_empty() {
            let events = log::append_events(connection, &appended, now).await?;
            self.cursor
                .deliver(connection, &events, &endpoints, open, effects)
                .await?;
        }
        if self.settle(&settled, now, effects).await? {
            // A failed attempt counts against its endpoint.
            reload_endpoints(&mut self.connection, &mut self.subscribers, effects).await?;
        }
        // Last, since changes are sealed while they are written, too.
        self.sealer.save_keys(&mut self.connection).await
    }

    /// Settles deliveries; returns whether an attempt has failed.
    async fn settle(
        &mut self,
        settled: &[&SettledDelivery],
        now: Timestamp,
        effects: &mut CommitEffects,
    ) -> Result<bool, db::Error> {
        let (open, connection) = (&self.shared.open, &mut self.connection);
        let mut with_rows = Vec::with_capacity(settled.len());
        for settled in settled {
            let is_accepted = settled.outcome == DeliveryOutcome::Delivered;
            if is_accepted && open.lock().is_open(settled.delivery) {
                effects.accepted.push((settled.delivery, now));
                continue;
            }
            self.cursor
                .write_open(connection, Some(settled.delivery), open, effects)
                .await?;
            with_rows.push(*settled);
        }
        let left = deliveries::settle_deliveries(connection, &with_rows, now).await?;
        self.cursor.forget(&left.emptied);
        effects.is_queue_stale |= left.has_due;
        Ok(left.has_failures)
    }
}

/// Reads the endpoints again; the open deliveries know them after the commit.
async fn reload_endpoints(
    connection: &mut Connection,
    known: &mut Option<Arc<[EventSubscriber]>>,
    effects: &mut CommitEffects,
) -> Result<Arc<[EventSubscriber]>, db::Error> {
    let all: Arc<[_]> = endpoints::load_subscribers(connection).await?.into();
    effects.endpoints = Some(Arc::clone(&all));
    Ok(Arc::clone(known.insert(all)))
}

/// Saves which deliveries were accepted, and the position, if it is time.
async fn save_position(
    connection: &mut Connection,
    cursor: &mut LogCursor,
    open: &Mutex<OpenDeliveries>,
    uptime: Duration,
    is_urgent: bool,
) -> Result<(), db::Error> {
    let (accepted, first) = {
        let mut open = open.lock();
        let is_due = open.save_at().is_some_and(|at| at <= uptime);
        if !is_urgent && !is_due && !cursor.is_far() {
            return Ok(());
        }
        (open.begin_saving(), open.first_open())
    };
    accepted::save_accepted(connection, &accepted).await?;
    cursor.save(connection, first).await
}
