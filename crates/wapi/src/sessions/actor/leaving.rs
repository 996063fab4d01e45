//! Removal of a session: nothing of it stays, here or on the phone.

use std::time::Duration;

use anyhow::{Context, Result};
use jiff::Timestamp;

use super::super::Parts;
use super::{Actor, Aside};
use crate::store::Leave;
use crate::store::session_file::{SessionFile, inspect};
use crate::whatsapp::{Link, Signal, Signals};

/// Time an unwanted device may take to log in, only to be logged out.
const LAST_LOGIN: Duration = Duration::from_secs(15);
/// Pause between two attempts to remove a session.
const PAUSE: Duration = Duration::from_secs(1);

impl Actor {
    /// Moves the session's file aside and deletes its data. The removal is saved until both are
    /// done, so an interrupted one continues in the next run.
    pub(super) async fn leave(&self) {
        if self.session.leaves_no_device() {
            self.log_out_latecomer().await;
        }
        while let Err(error) = self.forget().await {
            let error = format!("{error:#}");
            tracing::warn!(session = %self.session.name, error, "a removed session cannot be forgotten yet; trying again");
            let pause = self.around.clock.sleep(PAUSE);
            if self.around.lifecycle.unless_stopping(pause).await.is_none() {
                return;
            }
        }
    }

    /// Deletes the session's data, including events received until its connection ended. The saved
    /// removal is deleted last: without it, a remaining file would be restored at the next start,
    /// or become the device of the next session of this name.
    async fn forget(&self) -> Result<()> {
        let Parts {
            files,
            store,
            history,
            clock,
            ..
        } = &self.around;
        let name = &self.session.name;
        files
            .set_aside(name, Aside::Removed, clock.now())
            .await
            .context("its file cannot be moved")?;
        if self.session.leaves() == Leave::Nothing {
            files
                .remove_all(name)
                .await
                .context("its files cannot be removed")?;
        }
        // No recipient asks a logged-out device for a retry.
        for life in store.lives().of(name.as_str()) {
            store.forget_payloads(&life, Timestamp::MAX).await?;
        }
        history.forget(name.as_str()).await?;
        Ok(store
            .forget_session(name.as_str(), self.session.leaves())
            .await?)
    }

    /// Logs out a device that a phone linked at the moment of the removal; otherwise the phone
    /// would list a nonexistent device forever.
    async fn log_out_latecomer(&self) {
        let file = self.around.files.session(&self.session.name);
        if inspect(&file).await != SessionFile::Paired {
            return;
        }
        // The future is as large as a link, and the task has room for only one of those.
        let is_gone = match Box::pin(self.open(&file)).await {
            Ok((link, mut signals)) => {
                link.start();
                let leaving = self
                    .around
                    .clock
                    .timeout(LAST_LOGIN, logged_out(&link, &mut signals));
                let is_gone = matches!(
                    self.around.lifecycle.unless_stopping(leaving).await,
                    Some(Ok(true))
                );
                link.close().await;
                is_gone
            }
            Err(_) => false,
        };
        if is_gone {
            tracing::info!(session = %self.session.name, "a device that was linked during the removal is logged out");
        } else {
            tracing::error!(session = %self.session.name, "a device that was linked during the removal stays on its phone's list");
        }
    }
}

/// Logs the device in and out again. Returns whether it is off its account's list.
async fn logged_out(link: &Link, signals: &mut Signals) -> bool {
    while let Some(signal) = signals.recv().await {
        match signal {
            Signal::Online => return link.log_out(LAST_LOGIN).await.is_ok(),
            Signal::LoggedOut { .. } => return true,
            Signal::Ended => break,
            _ => {}
        }
    }
    false
}
