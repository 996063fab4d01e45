//! The end of a device and of a session: a logged-out device, and a removal of which nothing stays,
//! here or on the phone.

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;

use super::actor::SessionActor;
use crate::sessions::{AsideReason, SessionDeps};
use crate::store::RemovalMode;
use crate::store::session_file::{SessionFile, inspect_file};
use crate::whatsapp::{Link, LinkEvent, LinkEventReceiver};

/// Time an unwanted device may take to log in, only to be logged out.
const LOGOUT_LOGIN_TIMEOUT: Duration = Duration::from_secs(15);
/// Pause between two attempts to remove a session.
const RETRY_PAUSE: Duration = Duration::from_secs(1);

impl SessionActor {
    /// Deletes the keys of a logged-out device, and then moves its file away. If that fails, the next
    /// start of the session is logged out again.
    pub(crate) async fn forget_device(&self) {
        let SessionDeps {
            files,
            store,
            clock,
            ..
        } = &self.deps;
        let reason = self.session.state().reason;
        tracing::error!(session = %self.session.name, reason, "the device was logged out");
        self.save_linked(false).await;
        if let Err(error) = store.engine_rows().close(&self.session.life()).await {
            tracing::error!(session = %self.session.name, %error, "failed to delete the keys of a former device");
        }
        if let Err(error) = files
            .move_aside(&self.session.name, AsideReason::LoggedOut, clock.now())
            .await
        {
            tracing::error!(session = %self.session.name, %error, "failed to move the file of a former device");
        }
        crate::sessions::history_sync::import::reset_history_sync(&self.session, store).await;
        // No recipient asks a logged-out device for a retry.
        if let Err(error) = store
            .outbox()
            .delete_payloads(&self.session.life(), Timestamp::MAX)
            .await
        {
            tracing::warn!(session = %self.session.name, %error, "failed to forget the messages of a former device");
        }
    }

    /// Deletes the session's keys, moves its file aside, and deletes its data. The removal is saved until both are
    /// done, so an interrupted one continues in the next run.
    pub(crate) async fn remove_session(&self) {
        if self.session.is_logout_required() {
            self.log_out_late_device().await;
        }
        while let Err(error) = self.delete_data().await {
            let error = format!("{error:#}");
            tracing::warn!(session = %self.session.name, error, "failed to forget a removed session; trying again");
            let pause = self.deps.clock.sleep(RETRY_PAUSE);
            if self.deps.lifecycle.unless_stopping(pause).await.is_none() {
                return;
            }
        }
    }

    /// Deletes the session's data, including events received until its connection ended. The saved
    /// removal is deleted last: without it, a remaining file would be restored at the next start,
    /// or become the device of the next session of this name.
    async fn delete_data(&self) -> Result<()> {
        let SessionDeps {
            files,
            store,
            history,
            clock,
            ..
        } = &self.deps;
        let name = &self.session.name;
        for life in store.lives().lives_of(name.as_str()) {
            store.engine_rows().close(&life).await?;
        }
        files
            .move_aside(name, AsideReason::Removed, clock.now())
            .await
            .context("its file cannot be moved")?;
        if self.session.removal_mode() == RemovalMode::Purge {
            files
                .remove_session_files(name)
                .await
                .context("its files cannot be removed")?;
        }
        // No recipient asks a logged-out device for a retry.
        for life in store.lives().lives_of(name.as_str()) {
            store
                .outbox()
                .delete_payloads(&life, Timestamp::MAX)
                .await?;
        }
        history.forget_session(name.as_str()).await?;
        Ok(store
            .sessions()
            .forget_session(name.as_str(), self.session.removal_mode())
            .await?)
    }

    /// Logs out a device that a phone linked at the moment of the removal; otherwise the phone
    /// would list a nonexistent device forever.
    async fn log_out_late_device(&self) {
        let file = self.deps.files.session_path(&self.session.name);
        if inspect_file(&file, self.deps.store.sealer()).await != SessionFile::Paired {
            return;
        }
        if let Err(reason) = self.convert_database(&file).await {
            tracing::error!(session = %self.session.name, reason, "failed to convert the database of an earlier version");
        }
        // The future is as large as a link, and the task has room for only one of those.
        let is_gone = match Box::pin(self.open_link(&file)).await {
            Ok((link, mut signals)) => {
                link.start();
                let leaving = self
                    .deps
                    .clock
                    .timeout(LOGOUT_LOGIN_TIMEOUT, log_out_device(&link, &mut signals));
                let is_gone = matches!(
                    self.deps.lifecycle.unless_stopping(leaving).await,
                    Some(Ok(true))
                );
                link.close().await;
                is_gone
            }
            Err(_) => false,
        };
        if is_gone {
            tracing::info!(session = %self.session.name, "logging out a device that was linked during the removal");
        } else {
            tracing::error!(session = %self.session.name, "failed to log out a device that was linked during the \
             removal; it stays on its phone's list");
        }
    }
}

/// Logs the device in and out again. Returns whether it is off its account's list.
async fn log_out_device(link: &Link, signals: &mut LinkEventReceiver) -> bool {
    while let Some(signal) = signals.recv().await {
        match signal {
            LinkEvent::Online => return link.log_out(LOGOUT_LOGIN_TIMEOUT).await.is_ok(),
            LinkEvent::LoggedOut { .. } => return true,
            LinkEvent::Ended => break,
            _ => {}
        }
    }
    false
}
