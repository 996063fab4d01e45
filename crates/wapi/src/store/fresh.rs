//! Ready queue in memory: deliveries that the latest commits have made due, so that the worker need
//! not read from the database the rows that the writer has just held.
//!
//! Only the common case is followed: events are appended and delivered, and the next delivery of
//! the chat becomes due. Any other change of due deliveries invalidates the queue, and the worker
//! reads the database.

use std::collections::{HashMap, HashSet};

use super::{Due, Store};

/// The most deliveries kept for their turn. If there are more, all are dropped.
const MOST: usize = 2_000;
/// The same limit for the bytes of their events.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// The deliveries that have become due since the last call.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fresh {
    /// The new heads of their lanes, in the order in which they became heads.
    pub due: Vec<Due>,
    /// More deliveries may be due: the worker has to read the database.
    pub is_incomplete: bool,
}

/// The effects of one commit on the ready queue.
#[derive(Default)]
pub(super) struct News {
    /// New deliveries, and whether each is the head of its lane.
    pub made: Vec<(Due, bool)>,
    pub settled: Vec<i64>,
    /// The deliveries that became heads behind the settled ones.
    pub next: Vec<i64>,
    /// The commit changed due deliveries in some other way.
    pub is_unusual: bool,
}

/// The deliveries known from recent commits.
#[derive(Default)]
pub(super) struct Turns {
    fresh: Fresh,
    waiting: HashMap<i64, Due>,
    bytes: usize,
}

impl Turns {
    /// Applies a commit. Commits come in order, each before its callers are answered: so a delivery
    /// that is settled already is never handed out.
    pub fn follow(&mut self, news: News) {
        if news.is_unusual {
            return self.start_over();
        }
        let settled: HashSet<i64> = news.settled.into_iter().collect();
        self.fresh
            .due
            .retain(|due| !settled.contains(&due.delivery));
        for (due, is_front) in news.made {
            if is_front {
                self.fresh.due.push(due);
            } else {
                self.bytes += due.body.len();
                self.waiting.insert(due.delivery, due);
            }
        }
        for next in news.next {
            match self.waiting.remove(&next) {
                Some(due) => {
                    self.bytes -= due.body.len();
                    self.fresh.due.push(due);
                }
                None => self.fresh.is_incomplete = true,
            }
        }
        if self.fresh.due.len() + self.waiting.len() > MOST || self.bytes > MOST_BYTES {
            self.start_over();
        }
    }

    fn start_over(&mut self) {
        *self = Self {
            fresh: Fresh {
                due: Vec::new(),
                is_incomplete: true,
            },
            ..Self::default()
        };
    }

    pub fn take(&mut self) -> Fresh {
        std::mem::take(&mut self.fresh)
    }
}

impl Store {
    /// Takes the deliveries that have become due since the last call.
    pub fn fresh(&self) -> Fresh {
        self.writer.fresh()
    }
}

#[cfg(test)]
mod tests {
    use super::super::tests::{event, settle, soon, store};
    use super::super::{Outcome, Store};
    use super::*;

    fn ids(fresh: &Fresh) -> Vec<&str> {
        fresh
            .due
            .iter()
            .map(|due| due.message.as_ref().unwrap().id.as_str())
            .collect()
    }

    /// Returns a store whose ready queue is empty.
    async fn quiet_store() -> (Store, tempfile::TempDir) {
        let (store, folder) = store().await;
        store.fresh();
        (store, folder)
    }

    #[tokio::test]
    async fn what_comes_in_and_what_comes_behind_it_is_handed_out_without_a_question() {
        let (store, _folder) = quiet_store().await;
        store
            .append(vec![event("a", "1"), event("a", "2"), event("b", "3")])
            .await
            .unwrap();
        let fresh = store.fresh();
        assert_eq!((ids(&fresh), fresh.is_incomplete), (vec!["1", "3"], false));
        assert_eq!(
            fresh.due,
            store.due(soon(), 10).await.unwrap(),
            "it is what the database says"
        );
        settle(&store, "a", Outcome::Delivered).await;
        let fresh = store.fresh();
        assert_eq!((ids(&fresh), fresh.is_incomplete), (vec!["2"], false));
        let told = store.due(soon(), 10).await.unwrap();
        assert!(
            told.contains(&fresh.due[0]),
            "whose turn has come is what the database says, too"
        );
        settle(&store, "a", Outcome::Delivered).await;
        settle(&store, "b", Outcome::Delivered).await;
        assert_eq!(store.fresh(), Fresh::default());
    }

    #[tokio::test]
    async fn what_is_settled_before_it_was_asked_for_is_not_handed_out() {
        let (store, _folder) = quiet_store().await;
        store.append(vec![event("a", "1")]).await.unwrap();
        settle(&store, "a", Outcome::Delivered).await;
        assert_eq!(store.fresh(), Fresh::default());
    }

    #[tokio::test]
    async fn after_anything_else_the_database_is_asked() {
        let (store, _folder) = quiet_store().await;
        store
            .append(vec![event("a", "1"), event("a", "2")])
            .await
            .unwrap();
        settle(
            &store,
            "a",
            Outcome::Again {
                error: "500".into(),
                due_at: soon(),
            },
        )
        .await;
        assert_eq!(
            store.fresh(),
            Fresh {
                due: Vec::new(),
                is_incomplete: true
            }
        );
        settle(&store, "a", Outcome::Delivered).await;
        assert_eq!(
            store.fresh(),
            Fresh {
                due: Vec::new(),
                is_incomplete: true
            },
            "what comes next was forgotten"
        );
        settle(&store, "a", Outcome::Delivered).await;
        assert_eq!(store.fresh(), Fresh::default());
        store
            .put_endpoint("hook", "http://127.0.0.1:2/", &[])
            .await
            .unwrap();
        assert!(store.fresh().is_incomplete);
    }

    #[tokio::test]
    async fn nothing_is_handed_out_for_an_endpoint_that_is_disabled() {
        use super::super::{EndpointChange, EndpointState};
        let (store, _folder) = quiet_store().await;
        let state = Some(EndpointState::Disabled);
        store
            .change_endpoint(
                "hook",
                EndpointChange {
                    state,
                    ..EndpointChange::default()
                },
            )
            .await
            .unwrap();
        assert!(store.fresh().is_incomplete);
        store.append(vec![event("a", "1")]).await.unwrap();
        assert_eq!(store.fresh(), Fresh::default());
    }

    #[tokio::test]
    async fn of_more_than_can_be_kept_the_database_is_asked() {
        let (store, _folder) = quiet_store().await;
        store
            .append(
                (0..=MOST)
                    .map(|number| event("a", &number.to_string()))
                    .collect(),
            )
            .await
            .unwrap();
        assert_eq!(
            store.fresh(),
            Fresh {
                due: Vec::new(),
                is_incomplete: true
            }
        );
    }
}
