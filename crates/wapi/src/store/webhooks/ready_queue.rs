//! Ready queue in memory: deliveries that the latest commits have made due, so that the worker need
//! not read from the database the rows that the writer has just held.
//!
//! Only the common case is followed: events are appended and delivered, and the next delivery of
//! the chat becomes due. Any other change of due deliveries invalidates the queue, and the worker
//! reads the database.

use std::collections::{HashMap, HashSet};

use crate::store::{DeliveryStore, DueDelivery};

/// The most deliveries kept for their turn. If there are more, all are dropped.
const MAX_DELIVERIES: usize = 2_000;
/// The same limit for the bytes of their events.
const MAX_BYTES: usize = 8 * 1024 * 1024;

/// The deliveries that have become due since the last call.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct ReadyDeliveries {
    /// The new heads of their lanes, in the order in which they became heads.
    pub due: Vec<DueDelivery>,
    /// More deliveries may be due: the worker has to read the database.
    pub is_incomplete: bool,
}

/// The effects of one commit on the ready queue.
#[derive(Default)]
pub(in crate::store) struct CommitEffects {
    /// New deliveries, and whether each is the head of its lane.
    pub inserted: Vec<(DueDelivery, bool)>,
    pub settled: Vec<i64>,
    /// The deliveries that became heads behind the settled ones.
    pub new_heads: Vec<i64>,
    /// The commit changed due deliveries in some other way.
    pub is_queue_stale: bool,
}

/// The deliveries known from recent commits.
#[derive(Default)]
pub(in crate::store) struct ReadyQueue {
    ready: ReadyDeliveries,
    waiting: HashMap<i64, DueDelivery>,
    bytes: usize,
}

impl ReadyQueue {
    /// Applies a commit. Commits come in order, each before its callers are answered: so a delivery
    /// that is settled already is never handed out.
    pub fn apply_commit(&mut self, effects: CommitEffects) {
        if effects.is_queue_stale {
            return self.invalidate();
        }
        let settled: HashSet<i64> = effects.settled.into_iter().collect();
        self.ready
            .due
            .retain(|due| !settled.contains(&due.delivery));
        for (due, is_front) in effects.inserted {
            if is_front {
                self.ready.due.push(due);
            } else {
                self.bytes += due.body.len();
                self.waiting.insert(due.delivery, due);
            }
        }
        for next in effects.new_heads {
            match self.waiting.remove(&next) {
                Some(due) => {
                    self.bytes -= due.body.len();
                    self.ready.due.push(due);
                }
                None => self.ready.is_incomplete = true,
            }
        }
        if self.ready.due.len() + self.waiting.len() > MAX_DELIVERIES || self.bytes > MAX_BYTES {
            self.invalidate();
        }
    }

    fn invalidate(&mut self) {
        *self = Self {
            ready: ReadyDeliveries {
                due: Vec::new(),
                is_incomplete: true,
            },
            ..Self::default()
        };
    }

    pub fn take(&mut self) -> ReadyDeliveries {
        std::mem::take(&mut self.ready)
    }
}

impl DeliveryStore<'_> {
    /// Takes the deliveries that have become due since the last call.
    pub fn take_ready(self) -> ReadyDeliveries {
        self.store.writer.take_ready()
    }
}

#[cfg(test)]
mod tests {
    use crate::store::tests::{new_event, new_store, settle_head, soon};
    use crate::store::webhooks::ready_queue::*;
    use crate::store::{DeliveryOutcome, Store};

    fn ids(fresh: &ReadyDeliveries) -> Vec<&str> {
        fresh
            .due
            .iter()
            .map(|due| due.message.as_ref().unwrap().id.as_str())
            .collect()
    }

    /// Returns a store whose ready queue is empty.
    async fn quiet_store() -> (Store, tempfile::TempDir) {
        let (store, folder) = new_store().await;
        store.deliveries().take_ready();
        (store, folder)
    }

    #[tokio::test]
    async fn what_comes_in_and_what_comes_behind_it_is_handed_out_without_a_question() {
        let (store, _folder) = quiet_store().await;
        store
            .events()
            .append_events(vec![
                new_event("a", "1"),
                new_event("a", "2"),
                new_event("b", "3"),
            ])
            .await
            .unwrap();
        let fresh = store.deliveries().take_ready();
        assert_eq!((ids(&fresh), fresh.is_incomplete), (vec!["1", "3"], false));
        assert_eq!(
            fresh.due,
            store.deliveries().due_deliveries(soon(), 10).await.unwrap(),
            "it is what the database says"
        );
        settle_head(&store, "a", DeliveryOutcome::Delivered).await;
        let fresh = store.deliveries().take_ready();
        assert_eq!((ids(&fresh), fresh.is_incomplete), (vec!["2"], false));
        let due = store.deliveries().due_deliveries(soon(), 10).await.unwrap();
        assert!(
            due.contains(&fresh.due[0]),
            "whose turn has come is what the database says, too"
        );
        settle_head(&store, "a", DeliveryOutcome::Delivered).await;
        settle_head(&store, "b", DeliveryOutcome::Delivered).await;
        assert_eq!(store.deliveries().take_ready(), ReadyDeliveries::default());
    }

    #[tokio::test]
    async fn what_is_settled_before_it_was_asked_for_is_not_handed_out() {
        let (store, _folder) = quiet_store().await;
        store
            .events()
            .append_events(vec![new_event("a", "1")])
            .await
            .unwrap();
        settle_head(&store, "a", DeliveryOutcome::Delivered).await;
        assert_eq!(store.deliveries().take_ready(), ReadyDeliveries::default());
    }

    #[tokio::test]
    async fn after_anything_else_the_database_is_asked() {
        let (store, _folder) = quiet_store().await;
        store
            .events()
            .append_events(vec![new_event("a", "1"), new_event("a", "2")])
            .await
            .unwrap();
        settle_head(
            &store,
            "a",
            DeliveryOutcome::Retry {
                error: "500".into(),
                due_at: soon(),
            },
        )
        .await;
        assert_eq!(
            store.deliveries().take_ready(),
            ReadyDeliveries {
                due: Vec::new(),
                is_incomplete: true
            }
        );
        settle_head(&store, "a", DeliveryOutcome::Delivered).await;
        assert_eq!(
            store.deliveries().take_ready(),
            ReadyDeliveries {
                due: Vec::new(),
                is_incomplete: true
            },
            "what comes next was forgotten"
        );
        settle_head(&store, "a", DeliveryOutcome::Delivered).await;
        assert_eq!(store.deliveries().take_ready(), ReadyDeliveries::default());
        store
            .webhooks()
            .save_endpoint("hook", "http://127.0.0.1:2/", &[])
            .await
            .unwrap();
        assert!(store.deliveries().take_ready().is_incomplete);
    }

    #[tokio::test]
    async fn nothing_is_handed_out_for_an_endpoint_that_is_disabled() {
        use crate::store::{EndpointState, EndpointUpdate};
        let (store, _folder) = quiet_store().await;
        let state = Some(EndpointState::Disabled);
        store
            .webhooks()
            .update_endpoint(
                "hook",
                EndpointUpdate {
                    state,
                    ..EndpointUpdate::default()
                },
                None,
            )
            .await
            .unwrap();
        assert!(store.deliveries().take_ready().is_incomplete);
        store
            .events()
            .append_events(vec![new_event("a", "1")])
            .await
            .unwrap();
        assert_eq!(store.deliveries().take_ready(), ReadyDeliveries::default());
    }

    #[tokio::test]
    async fn of_more_than_can_be_kept_the_database_is_asked() {
        let (store, _folder) = quiet_store().await;
        store
            .events()
            .append_events(
                (0..=MAX_DELIVERIES)
                    .map(|number| new_event("a", &number.to_string()))
                    .collect(),
            )
            .await
            .unwrap();
        assert_eq!(
            store.deliveries().take_ready(),
            ReadyDeliveries {
                due: Vec::new(),
                is_incomplete: true
            }
        );
    }
}
