//! Removes the leftovers of ended sessions, after the last of it has been written.

use std::time::Duration;

use super::control::CommandError;
use super::{Intent, Parts, SessionName, Sessions};
use crate::store::{Life, StoreError};

/// Pause between two attempts.
const PAUSE: Duration = Duration::from_secs(1);

impl Sessions {
    /// Removes everything these lives have left. The removal is saved and continues in the next run
    /// if the program ends before it is done. The lives' senders must have ended.
    pub(super) async fn purge(&self, lives: Vec<Life>) {
        let Parts {
            clock, lifecycle, ..
        } = &self.inner.around;
        while let Err(error) = self.try_to_purge(&lives).await {
            tracing::warn!(%error, "what a removed session has left cannot be removed yet; trying again");
            if lifecycle
                .unless_stopping(clock.sleep(PAUSE))
                .await
                .is_none()
            {
                return;
            }
        }
    }

    /// Removes the leftovers of a name that is no longer a session, or is just being removed.
    pub(super) async fn purge_former(&self, name: &SessionName) -> Result<(), CommandError> {
        let Parts { store, files, .. } = &self.inner.around;
        if let Some(session) = self.find(name) {
            if session.intent() != Intent::Remove {
                return Err(CommandError::Busy);
            }
            self.gone(&session).await?;
            session.silent().await;
        }
        let lives = store.lives().former(name.as_str());
        let unremoved = |error| {
            StoreError::new(format!(
                "the files of former devices cannot be removed: {error}"
            ))
        };
        // There is such a session after all: it has just been created, or is not restored yet.
        if store.lives().current(name.as_str()).is_some() {
            return Err(CommandError::Busy);
        }
        let had_files = files.remove_former(name).await.map_err(unremoved)?;
        if lives.is_empty() && !had_files {
            return Err(CommandError::Unknown);
        }
        store.order_purge(&lives).await?;
        Ok(self.try_to_purge(&lives).await?)
    }

    async fn try_to_purge(&self, lives: &[Life]) -> Result<(), StoreError> {
        let Parts {
            store,
            media,
            history,
            ..
        } = &self.inner.around;
        // Their last outcomes and events are removed with the rest.
        self.inner.ledger.drained().await;
        self.inner.journal.save_rest().await;
        history.forget_lives(lives).await?;
        store.purge(lives).await?;
        history.remove_forgotten().await?;
        media.remove_leftovers_now().await;
        Ok(())
    }
}
