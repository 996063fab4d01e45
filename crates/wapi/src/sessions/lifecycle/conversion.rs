//! The database that an earlier version kept for a session.

use std::path::Path;

use super::actor::SessionActor;
use crate::sessions::{AsideReason, SessionDeps};

impl SessionActor {
    /// Converts the database of an earlier version, if there is one, and moves it away, or removes it
    /// where keys are sealed: while it stays, it would stand for the session once more without the
    /// session's file, with keys that were used.
    ///
    /// # Errors
    ///
    /// The reason why it cannot be, for the session's state.
    pub(super) async fn convert_database(&self, file: &Path) -> Result<(), String> {
        let SessionDeps {
            files,
            store,
            whatsapp,
            clock,
            lifecycle,
            ..
        } = &self.deps;
        let name = &self.session.name;
        if !matches!(
            tokio::fs::try_exists(file.with_extension("db")).await,
            Ok(true)
        ) {
            return Ok(());
        }
        let life = store.device_life(name.as_str());
        let converting = lifecycle.unless_stopping(whatsapp.convert_database(life, file));
        match Box::pin(converting).await {
            // A plain copy would make the seal worthless.
            Some(Ok(true)) if store.sealer().seals() => {
                let removed = files.remove_converted(name).await;
                removed.map_err(|error| {
                    format!("the database of an earlier version cannot be removed: {error}")
                })
            }
            Some(Ok(true)) => {
                let moving = files.move_aside(name, AsideReason::Converted, clock.now());
                let moved = moving.await;
                moved.map_err(|error| {
                    format!("the database of an earlier version cannot be moved to sessions/converted: {error}")
                })
            }
            Some(Ok(false)) | None => Ok(()),
            Some(Err(error)) => Err(format!("{error:#}")),
        }
    }
}
