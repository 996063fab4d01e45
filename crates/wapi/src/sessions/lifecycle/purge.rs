//! Removes the leftovers of ended sessions, after the last of it has been written.

use std::time::Duration;

use crate::model::session_name::SessionName;
use crate::sessions::SessionError;
use crate::sessions::{DesiredState, SessionDeps, Sessions};
use crate::store::{Life, StoreError};

/// Pause between two attempts.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

impl Sessions {
    /// Removes everything these lives have left. The removal is saved and continues in the next run
    /// if the program ends before it is done. The lives' senders must have ended.
    pub(in crate::sessions) async fn purge_lives(&self, lives: Vec<Life>) {
        let SessionDeps {
            clock, lifecycle, ..
        } = &self.inner.deps;
        while let Err(error) = self.try_purge(&lives).await {
            tracing::warn!(%error, "failed to remove the data of a removed session; trying again");
            if lifecycle
                .unless_stopping(clock.sleep(RETRY_PAUSE))
                .await
                .is_none()
            {
                return;
            }
        }
    }

    /// Removes the leftovers of a name that is no longer a session, or is just being removed.
    pub(in crate::sessions) async fn purge_former(
        &self,
        name: &SessionName,
    ) -> Result<(), SessionError> {
        let SessionDeps { store, files, .. } = &self.inner.deps;
        if let Some(session) = self.find(name) {
            if session.desired_state() != DesiredState::Remove {
                return Err(SessionError::Busy);
            }
            self.wait_until_removed(&session).await?;
            session.wait_for_sender_end().await;
        }
        let lives = store.lives().former_lives(name.as_str());
        let unremoved = |error| {
            StoreError::new(format!(
                "the files of former devices cannot be removed: {error}"
            ))
        };
        // There is such a session after all: it has just been created, or is not restored yet.
        if store.lives().current_life(name.as_str()).is_some() {
            return Err(SessionError::Busy);
        }
        let had_files = files.remove_former_files(name).await.map_err(unremoved)?;
        if lives.is_empty() && !had_files {
            return Err(SessionError::NotFound);
        }
        store.schedule_purge(&lives).await?;
        Ok(self.try_purge(&lives).await?)
    }

    async fn try_purge(&self, lives: &[Life]) -> Result<(), StoreError> {
        let SessionDeps {
            store,
            media,
            history,
            ..
        } = &self.inner.deps;
        // Their last outcomes and events are removed with the rest.
        self.inner.outcome_writer.wait_until_drained().await;
        self.inner.event_buffer.save_rest().await;
        history.forget_lives(lives).await?;
        store.purge_lives(lives).await?;
        history.remove_forgotten().await?;
        media.remove_leftovers_now().await;
        Ok(())
    }
}
