//! Phones that were asked for their history and send nothing, perhaps because they have none.

use std::sync::Arc;
use std::time::Duration;

use crate::sessions::{Session, SessionDeps, SessionPhase, SessionState};

/// Time that a phone has to begin, while the session is online: it begins within a minute, and a busy
/// one within several.
const PATIENCE: Duration = Duration::from_secs(15 * 60);
/// Pause before a failed record is repeated.
const RETRY_PAUSE: Duration = Duration::from_secs(60);

/// Waits, from the moment at which the session came online, until the phone has begun or has had its
/// time, which is recorded. A connection that ends earlier proves nothing: the next one waits anew.
pub(in crate::sessions) async fn watch_for_history(session: Arc<Session>, deps: SessionDeps) {
    let since = session.read_state(|state| state.since);
    let is_over = |state: &SessionState| {
        let is_waiting = state
            .sync_progress
            .is_some_and(|progress| progress.started_at.is_none() && !progress.is_missing);
        !is_waiting || state.status != SessionPhase::Online || state.since != since
    };
    let mut pause = PATIENCE;
    loop {
        session.wait_for_state(pause, is_over).await;
        if session.read_state(is_over) || session.has_ended() {
            return;
        }
        let missed = deps
            .store
            .sessions()
            .miss_history_sync(session.name.as_str())
            .await;
        match missed {
            Ok(progress) => {
                return session.update_state(|state| {
                    // The phone may have begun while this was written.
                    let is_open = state
                        .sync_progress
                        .is_some_and(|it| it.started_at.is_none());
                    if is_open && progress.is_some() {
                        state.sync_progress = progress;
                    }
                });
            }
            Err(error) => {
                tracing::warn!(session = %session.name, %error, "failed to record that the phone sends no history; trying again");
                pause = RETRY_PAUSE;
            }
        }
    }
}
