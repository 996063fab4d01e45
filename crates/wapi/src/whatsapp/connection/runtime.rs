//! Runtime of the engine's tasks: tracked for each session, and on the gateway's clock.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use whatsapp_rust::Runtime;
use whatsapp_rust::wacore::runtime::AbortHandle;

use super::link_events::{LinkEventSender, PanicGuard};
use super::readiness::AppStateKeys;
use crate::system::clock::Clock;
use crate::system::lifecycle::Lifecycle;
use crate::whatsapp::send::own_phone_retries;

/// The engine's runtime for one session.
pub(in crate::whatsapp) struct TrackedRuntime {
    tasks: Lifecycle,
    clock: Clock,
    reports: LinkEventSender,
    keys: AppStateKeys,
}

impl TrackedRuntime {
    pub fn new(
        tasks: Lifecycle,
        clock: Clock,
        reports: LinkEventSender,
        keys: AppStateKeys,
    ) -> Self {
        Self {
            tasks,
            clock,
            reports,
            keys,
        }
    }

    /// Runs a task of the engine. If it panics, the link reports that it is stuck.
    fn spawn_task(&self, task: BoxedTask) -> tokio::task::JoinHandle<()> {
        let alarm = PanicGuard(self.reports.clone());
        let task = own_phone_retries::mark_task(task);
        self.tasks.spawn(async move {
            let _alarm = alarm;
            task.await;
        })
    }
}

type BoxedTask = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

#[async_trait]
impl Runtime for TrackedRuntime {
    fn spawn(&self, future: BoxedTask) -> AbortHandle {
        let task = self.spawn_task(future);
        AbortHandle::new(move || task.abort())
    }

    fn spawn_detached(&self, future: BoxedTask) {
        self.spawn_task(future);
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(self.keys.clone().sleep(self.clock.clone(), duration))
    }

    fn spawn_blocking(
        &self,
        work: Box<dyn FnOnce() + Send + 'static>,
    ) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async {
            // The engine notices a panic in there by itself: the awaited result does not come.
            let _ = tokio::task::spawn_blocking(work).await;
        })
    }

    fn yield_now(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        None
    }
}

#[cfg(test)]
mod tests {
    use crate::whatsapp::connection::link_events::{self, LinkEvent};
    use crate::whatsapp::connection::runtime::*;

    #[tokio::test]
    async fn a_task_of_the_engine_that_panics_is_reported_and_one_that_ends_is_not() {
        let (reports, mut signals) =
            link_events::link_event_channel(crate::store::DeviceLife::for_test("shop"));
        let tasks = Lifecycle::new();
        let runtime = TrackedRuntime::new(
            tasks.clone(),
            Clock::system(),
            reports,
            AppStateKeys::new(true),
        );
        runtime.spawn_detached(Box::pin(async {}));
        drop(runtime.spawn(Box::pin(std::future::pending())));
        runtime.spawn_detached(Box::pin(async {
            tokio::task::yield_now().await;
            panic!("on purpose");
        }));
        let Some(LinkEvent::Stuck { reason }) = signals.recv().await else {
            panic!("another signal")
        };
        assert_eq!(reason, "a task of the connection crashed");
        tasks.finish(&Clock::system(), Duration::from_secs(5)).await;
        drop(runtime);
        assert!(signals.recv().await.is_none());
    }
}
