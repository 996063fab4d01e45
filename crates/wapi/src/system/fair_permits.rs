//! Permits for long work, shared fairly between tenants.

use std::collections::{HashMap, VecDeque};
use std::sync::Arc;

use parking_lot::{Mutex, MutexGuard};
use tokio::sync::oneshot;

/// A pool of permits with a limit per tenant; cheap to clone.
#[derive(Clone)]
pub struct FairPermits {
    inner: Arc<FairPermitsInner>,
}

struct FairPermitsInner {
    all: usize,
    per_tenant: usize,
    state: Mutex<PermitState>,
}

#[derive(Default)]
struct PermitState {
    taken: usize,
    /// By tenant; tenants that neither hold nor await a permit are removed.
    tenants: HashMap<String, TenantShare>,
    /// Incremented by every waiter.
    turn: u64,
}

#[derive(Default)]
struct TenantShare {
    taken: usize,
    waiting: VecDeque<(u64, oneshot::Sender<FairPermit>)>,
}

/// A permit, given back when it is dropped.
pub struct FairPermit {
    inner: Arc<FairPermitsInner>,
    tenant: Option<String>,
}

/// The tenant already has the maximum of waiters.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CrowdedError;

impl FairPermits {
    pub fn new(all: usize, of_one: usize) -> Self {
        Self {
            inner: Arc::new(FairPermitsInner {
                all,
                per_tenant: of_one,
                state: Mutex::default(),
            }),
        }
    }

    /// Waits for a permit.
    pub async fn acquire(&self, tenant: &str) -> FairPermit {
        self.acquire_unless_crowded(tenant, usize::MAX)
            .await
            .expect("no more can wait than there are numbers")
    }

    /// Waits for a permit, unless the tenant already has `limit` waiters.
    pub async fn acquire_unless_crowded(
        &self,
        tenant: &str,
        limit: usize,
    ) -> Result<FairPermit, CrowdedError> {
        let waiting = {
            let mut state = self.inner.lock();
            if self.inner.has_room(&state, tenant) {
                return Ok(self.inner.take_permit(&mut state, tenant));
            }
            state.turn += 1;
            let turn = state.turn;
            let share = state.tenants.entry(tenant.to_owned()).or_default();
            // Waiters that have gone make room.
            share.waiting.retain(|(_, waiter)| !waiter.is_closed());
            if share.waiting.len() >= limit {
                return Err(CrowdedError);
            }
            let (give, waiting) = oneshot::channel();
            share.waiting.push_back((turn, give));
            waiting
        };
        Ok(waiting
            .await
            .expect("every waiter is given a permit or leaves first"))
    }
}

impl FairPermitsInner {
    /// A tenant that holds permits gets another only while as many are free, so that newcomers find
    /// one.
    fn has_room(&self, state: &PermitState, tenant: &str) -> bool {
        let (own, free) = (
            state.tenants.get(tenant).map_or(0, |share| share.taken),
            self.all.saturating_sub(state.taken),
        );
        free > 0 && own < self.per_tenant && (own == 0 || own < free || self.per_tenant == self.all)
    }

    fn take_permit(self: &Arc<Self>, state: &mut PermitState, tenant: &str) -> FairPermit {
        state.taken += 1;
        state.tenants.entry(tenant.to_owned()).or_default().taken += 1;
        FairPermit {
            inner: Arc::clone(self),
            tenant: Some(tenant.to_owned()),
        }
    }

    fn return_permit(self: &Arc<Self>, tenant: &str) {
        let mut state = self.lock();
        state.taken -= 1;
        if let Some(share) = state.tenants.get_mut(tenant) {
            share.taken -= 1;
        }
        // The tenant with the fewest permits is next, and of those the longest waiter.
        loop {
            state.tenants.retain(|_, share| {
                share.waiting.retain(|(_, waiter)| !waiter.is_closed());
                share.taken > 0 || !share.waiting.is_empty()
            });
            let next = state.tenants.iter().filter_map(|(name, share)| {
                let (turn, _) = share.waiting.front()?;
                self.has_room(&state, name)
                    .then_some((share.taken, *turn, name))
            });
            let Some(name) = next.min().map(|(.., name)| name.clone()) else {
                return;
            };
            let waiter = state
                .tenants
                .get_mut(&name)
                .and_then(|share| share.waiting.pop_front());
            let permit = self.take_permit(&mut state, &name);
            if let Some(mut unwanted) = waiter.and_then(|(_, waiter)| waiter.send(permit).err()) {
                // It has gone in this moment.
                unwanted.tenant = None;
                state.taken -= 1;
                if let Some(share) = state.tenants.get_mut(&name) {
                    share.taken -= 1;
                }
            }
        }
    }

    fn lock(&self) -> MutexGuard<'_, PermitState> {
        self.state.lock()
    }
}

impl Drop for FairPermit {
    fn drop(&mut self) {
        if let Some(tenant) = self.tenant.take() {
            self.inner.return_permit(&tenant);
        }
    }
}

impl std::fmt::Debug for FairPermits {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Shares")
            .field("all", &self.inner.all)
            .finish_non_exhaustive()
    }
}

#[cfg(test)]
mod tests {
    use futures_util::FutureExt;

    use crate::system::fair_permits::*;

    /// Returns a permit that is free at once.
    fn at_once(shares: &FairPermits, tenant: &str) -> Option<FairPermit> {
        shares.acquire(tenant).now_or_never()
    }

    #[test]
    fn whoever_takes_much_leaves_room_for_newcomers() {
        let shares = FairPermits::new(32, 8);
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
        assert!(shares.inner.lock().tenants.is_empty() && shares.inner.lock().taken == 0);
    }

    #[test]
    fn who_has_least_is_next_and_who_has_gone_is_passed_over() {
        let shares = FairPermits::new(2, 2);
        let mut held: Vec<_> = (0..2)
            .map(|_| at_once(&shares, "greedy").unwrap())
            .collect();
        let mut waiting: Vec<_> = (0..5).map(|_| Box::pin(shares.acquire("greedy"))).collect();
        assert!(
            waiting
                .iter_mut()
                .all(|waiting| waiting.now_or_never().is_none())
        );
        let mut gone = Box::pin(shares.acquire("gone"));
        assert!(gone.as_mut().now_or_never().is_none());
        drop(gone);
        let mut modest = Box::pin(shares.acquire("modest"));
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
                .acquire_unless_crowded("greedy", 3)
                .now_or_never()
                .unwrap()
                .err(),
            Some(CrowdedError)
        );
        drop(waiting);
        held.clear();
        let state = shares.inner.lock();
        assert!(
            state.taken == 0 && state.tenants.is_empty(),
            "{} are taken",
            state.taken
        );
    }
}
