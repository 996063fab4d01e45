//! What commits have just made due, in memory, so that the worker need not ask the database for what was in the writer's hands a moment
//! ago.
//!
//! Only the usual way is followed here: events come in, are told, and the next of the chat is told. Whatever else changes what is due
//! makes all of this void, and the worker asks the database.

use std::collections::{HashMap, HashSet};

use super::{Due, Store};

/// Deliveries kept at most for when their turn comes. When they are more, all are forgotten.
const MOST: usize = 2_000;
/// The same for the bytes of their events.
const MOST_BYTES: usize = 8 * 1024 * 1024;

/// What is due since the last time somebody asked.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Fresh {
    /// The new fronts of their lanes, in the order they came there.
    pub due: Vec<Due>,
    /// More may be due than that: the database knows.
    pub is_incomplete: bool,
}

/// What one commit did.
#[derive(Default)]
pub(super) struct News {
    /// New deliveries, and whether each is the front of its lane.
    pub made: Vec<(Due, bool)>,
    pub settled: Vec<i64>,
    /// What came to the front behind those.
    pub next: Vec<i64>,
    /// What is due was changed in some other way.
    pub is_unusual: bool,
}

/// What is known of deliveries that are to be tried.
#[derive(Default)]
pub(super) struct Turns {
    fresh: Fresh,
    waiting: HashMap<i64, Due>,
    bytes: usize,
}

impl Turns {
    /// Takes a commit into account. In the order of the commits, each before whoever asked for it is answered: so nothing is handed
    /// out that was settled before.
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
    /// What has become due since the last call.
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

    /// Everything that happened while the store was made is out of the way.
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
