//! Permits for long work, shared fairly between tenants.

use std::collections::{HashMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::oneshot;

/// A pool of permits with a limit per tenant; cheap to clone.
#[derive(Clone)]
pub struct Shares {
    inner: Arc<Inner>,
}

struct Inner {
    all: usize,
    of_one: usize,
    state: Mutex<State>,
}

#[derive(Default)]
struct State {
    taken: usize,
    /// By tenant; tenants that neither hold nor await a permit are removed.
    of: HashMap<String, Share>,
    /// Incremented by every waiter.
    turn: u64,
}

#[derive(Default)]
struct Share {
    taken: usize,
    waiting: VecDeque<(u64, oneshot::Sender<Place>)>,
}

/// A permit, given back when it is dropped.
pub struct Place {
    inner: Arc<Inner>,
    whose: Option<String>,
}

/// The tenant already has the maximum of waiters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Crowded;

impl Shares {
    pub fn new(all: usize, of_one: usize) -> Self {
        Self {
            inner: Arc::new(Inner {
                all,
                of_one,
                state: Mutex::default(),
            }),
        }
    }

    /// Waits for a permit.
    pub async fn enter(&self, whose: &str) -> Place {
        self.enter_before(whose, usize::MAX)
            .await
            .expect("no more can wait than there are numbers")
    }

    /// Waits for a permit, unless the tenant already has `most` waiters.
    pub async fn enter_before(&self, whose: &str, most: usize) -> Result<Place, Crowded> {
        let waiting = {
            let mut state = self.inner.lock();
            if self.inner.has_room(&state, whose) {
                return Ok(self.inner.take(&mut state, whose));
            }
            state.turn += 1;
            let turn = state.turn;
            let share = state.of.entry(whose.to_owned()).or_default();
            // Waiters that have gone make room.
            share.waiting.retain(|(_, waiter)| !waiter.is_closed());
            if share.waiting.len() >= most {
                return Err(Crowded);
            }
            let (give, waiting) = oneshot::channel();
            share.waiting.push_back((turn, give));
            waiting
        };
        Ok(waiting
            .await
            .expect("whoever waits is given a place or goes first"))
    }
}

impl Inner {
    /// A tenant that holds permits gets another only while as many are free, so that newcomers find
    /// one.
    fn has_room(&self, state: &State, whose: &str) -> bool {
        let (own, free) = (
            state.of.get(whose).map_or(0, |share| share.taken),
            self.all.saturating_sub(state.taken),
        );
        free > 0 && own < self.of_one && (own == 0 || own < free || self.of_one == self.all)
    }

    fn take(self: &Arc<Self>, state: &mut State, whose: &str) -> Place {
        state.taken += 1;
        state.of.entry(whose.to_owned()).or_default().taken += 1;
        Place {
            inner: Arc::clone(self),
            whose: Some(whose.to_owned()),
        }
    }

    fn give_back(self: &Arc<Self>, whose: &str) {
        let mut state = self.lock();
        state.taken -= 1;
        if let Some(share) = state.of.get_mut(whose) {
            share.taken -= 1;
        }
        // The tenant with the fewest permits is next, and of those the longest waiter.
        loop {
            state.of.retain(|_, share| {
                share.waiting.retain(|(_, waiter)| !waiter.is_closed());
                share.taken > 0 || !share.waiting.is_empty()
            });
            let next = state.of.iter().filter_map(|(name, share)| {
                let (turn, _) = share.waiting.front()?;
                self.has_room(&state, name)
                    .then_some((share.taken, *turn, name))
            });
            let Some(name) = next.min().map(|(.., name)| name.clone()) else {
                return;
            };
            let waiter = state
                .of
                .get_mut(&name)
                .and_then(|share| share.waiting.pop_front());
            let place = self.take(&mut state, &name);
            if let Some(mut unwanted) = waiter.and_then(|(_, waiter)| waiter.send(place).err()) {
                // It has gone in this moment.
                unwanted.whose = None;
                state.taken -= 1;
                if let Some(share) = state.of.get_mut(&name) {
                    share.taken -= 1;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        if let Some(whose) = self.whose.take() {
            self.inner.give_back(&whose);
        }
    }
}

impl std::fmt::Debug for Shares {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shares")
            .field("all", &self.inner.all)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use super::*;

    /// Returns a permit that is free at once.
    fn at_once(shares: &Shares, whose: &str) -> Option<Place> {
        shares.enter(whose).now_or_never()
    }

    #[test]
    fn whoever_takes_much_leaves_room_for_newcomers() {
        let shares = Shares::new(32, 8);
        let mut taken = Vec::new();
        for tenant in 0..6 {
            let before = taken.len();
            let name = format!("tenant {tenant}");
            taken.extend((0..100).map_while(|_| at_once(&shares, &name)));
            assert!(
                taken.len() > before,
                "tenant {tenant} finds nothing of {}",
                taken.len()
            );
            assert!(taken.len() - before <= 8);
        }
        drop(taken);
        assert!(shares.inner.lock().of.is_empty() && shares.inner.lock().taken == 0);
    }

    #[test]
    fn who_has_least_is_next_and_who_has_gone_is_passed_over() {
        let shares = Shares::new(2, 2);
        let mut held: Vec<_> = (0..2)
            .map(|_| at_once(&shares, "greedy").unwrap())
            .collect();
        let mut waiting: Vec<_> = (0..5).map(|_| Box::pin(shares.enter("greedy"))).collect();
        assert!(
            waiting
                .iter_mut()
                .all(|waiting| waiting.now_or_never().is_none())
        );
        let mut gone = Box::pin(shares.enter("gone"));
        assert!(gone.as_mut().now_or_never().is_none());
        drop(gone);
        let mut modest = Box::pin(shares.enter("modest"));
        assert!(modest.as_mut().now_or_never().is_none());
        held.pop();
        let modest = modest.as_mut().now_or_never().expect("it is next");
        assert!(
            waiting
                .iter_mut()
                .all(|waiting| waiting.now_or_never().is_none())
        );
        drop(modest);
        assert!(
            waiting[0].as_mut().now_or_never().is_some(),
            "in the order they came"
        );
        assert_eq!(
            shares
                .enter_before("greedy", 3)
                .now_or_never()
                .unwrap()
                .err(),
            Some(Crowded)
        );
        drop(waiting);
        held.clear();
        let state = shares.inner.lock();
        assert!(
            state.taken == 0 && state.of.is_empty(),
            "{} are taken",
            state.taken
        );
    }
}
