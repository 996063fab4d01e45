//! Runs the engine's tasks on our terms: tracked for each session, and on the gateway's clock.

use std::future::Future;
use std::pin::Pin;
use std::time::Duration;

use async_trait::async_trait;
use whatsapp_rust::Runtime;
use whatsapp_rust::wacore::runtime::AbortHandle;

use crate::clock::Clock;
use crate::lifecycle::Lifecycle;

/// The engine's runtime for one session.
pub(super) struct TrackedRuntime {
    tasks: Lifecycle,
    clock: Clock,
}

impl TrackedRuntime {
    pub fn new(tasks: Lifecycle, clock: Clock) -> Self {
        Self { tasks, clock }
    }
}

type Task = Pin<Box<dyn Future<Output = ()> + Send + 'static>>;

#[async_trait]
impl Runtime for TrackedRuntime {
    fn spawn(&self, future: Task) -> AbortHandle {
        let task = self.tasks.spawn(future);
        AbortHandle::new(move || task.abort())
    }

    fn spawn_detached(&self, future: Task) {
        self.tasks.spawn(future);
    }

    fn sleep(&self, duration: Duration) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        self.clock.sleep(duration)
    }

    fn spawn_blocking(&self, work: Box<dyn FnOnce() + Send + 'static>) -> Pin<Box<dyn Future<Output = ()> + Send>> {
        Box::pin(async {
            // A panic in there is the engine's to notice: what it waits for does not come.
            let _ = tokio::task::spawn_blocking(work).await;
        })
    }

    fn yield_now(&self) -> Option<Pin<Box<dyn Future<Output = ()> + Send>>> {
        None
    }
}
