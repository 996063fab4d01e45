//! App-state collections that the engine did not read because it was reading them at that moment:
//! they are read once more, since the change that it was told of may have come too late for the
//! reading in progress, and nothing would tell of it again.

use std::sync::{Arc, Weak};

use whatsapp_rust::Client;
use whatsapp_rust::sync_task::MajorSyncTask;
use whatsapp_rust::types::events::{Event, EventHandler, EventInterest, EventKind};
use whatsapp_rust::wacore::appstate::patch_decode::WAPatchName;

use crate::system::lifecycle::Lifecycle;

/// Repeats skipped readings of collections.
pub(in crate::whatsapp) struct SkippedSyncs {
    client: Weak<Client>,
    tasks: Lifecycle,
}

impl SkippedSyncs {
    pub fn new(client: &Arc<Client>, tasks: Lifecycle) -> Self {
        Self {
            client: Arc::downgrade(client),
            tasks,
        }
    }
}

impl EventHandler for SkippedSyncs {
    fn handle_event(&self, event: Arc<Event>) {
        let Event::AppStateSyncFailed(failed) = &*event else {
            return;
        };
        // While a device is being linked, the engine repeats them itself.
        let skipped = failed.skipped.iter().filter(|_| failed.connected);
        for name in skipped.filter_map(|name| name.parse::<WAPatchName>().ok()) {
            let Some(client) = self.client.upgrade() else {
                return;
            };
            let stopping = self.tasks.clone();
            self.tasks.spawn(async move {
                let task = MajorSyncTask::AppStateSync {
                    name,
                    full_sync: false,
                };
                // It waits until the collection is free. Boxed: the engine's futures are nested too
                // deeply for the compiler.
                let reading = Box::pin(client.process_sync_task(task));
                stopping.unless_stopping(reading).await;
            });
        }
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[EventKind::AppStateSyncFailed])
    }
}
