//! The consequences of a pairing: the device is saved, and the links for it are over; and the end of
//! a pairing code.

use std::sync::atomic::Ordering;
use std::time::Duration;

use super::actor::SessionActor;
use crate::whatsapp::Link;

/// Time limit for writing a new device. The disk may hang, and the engine with it.
const SAVE_TIMEOUT: Duration = Duration::from_secs(10);
/// Pause before another attempt to save the end of connect links.
const LINK_END_PAUSE: Duration = Duration::from_secs(5);

impl SessionActor {
    /// Saves the new device before its pairing is announced.
    pub(super) async fn save_device(&self, link: &Link) {
        let name = &self.session.name;
        match self
            .deps
            .clock
            .timeout(SAVE_TIMEOUT, link.save_state())
            .await
        {
            Ok(Ok(())) => {}
            Ok(Err(error)) => {
                tracing::error!(session = %name, error = format!("{error:#}"), "failed to save the new device");
            }
            Err(error) => {
                tracing::error!(session = %name, %error, "the new device is not saved yet");
            }
        }
    }

    /// Saves whether the session's file has a linked device, so that the next start need not look
    /// into it. A failure costs that start the look.
    pub(super) async fn save_linked(&self, is_linked: bool) {
        let saved = &self.session.is_saved_as_linked;
        if saved.load(Ordering::Relaxed) == is_linked {
            return;
        }
        let name = &self.session.name;
        let saving = self.deps.store.sessions();
        let saving = saving.save_linked(name.as_str(), is_linked);
        match self.deps.clock.timeout(SAVE_TIMEOUT, saving).await {
            Ok(Ok(())) => saved.store(is_linked, Ordering::Relaxed),
            Ok(Err(error)) => {
                tracing::warn!(session = %name, %error, "failed to save whether a session is linked");
            }
            Err(_) => {
                tracing::warn!(session = %name, "saving whether a session is linked takes long");
            }
        }
    }

    /// Ends the links to link this session with, and tries again until that is saved: a link that
    /// lives on could link a stranger's phone after a logout. The session does not wait for the
    /// database.
    pub(super) fn end_connect_links(&self) {
        let (deps, name) = (self.deps.clone(), self.session.name.clone());
        let linked_at = self.deps.clock.now();
        let lifecycle = self.deps.lifecycle.clone();
        self.deps.lifecycle.spawn(async move {
            let ending = async {
                let links = deps.store.connect_links();
                while let Err(error) = links.use_connect_links(name.as_str(), linked_at).await {
                    tracing::warn!(%error, "failed to end the connect links of a linked session");
                    deps.clock.sleep(LINK_END_PAUSE).await;
                }
            };
            lifecycle.unless_stopping(ending).await;
        });
    }

    /// Completes when the session waits for a pairing code that can no longer link a phone.
    pub(super) async fn wait_until_code_expires(&self, link: &Link) {
        if !self.session.read_state(|state| state.waits_for_code) {
            return std::future::pending().await;
        }
        // Another code may be requested meanwhile.
        while let Some(end) = link.pairing_code_end() {
            let Ok(left) = Duration::try_from(end.duration_since(self.deps.clock.now())) else {
                return;
            };
            if left.is_zero() {
                return;
            }
            self.deps.clock.sleep(left).await;
        }
    }
}
