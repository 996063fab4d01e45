//! The note in a session's file that the session leaves through a proxy of its own. It outlives the
//! database, which has the proxy itself: a session whose proxy is lost must not leave without it.

use anyhow::{Context, Result, ensure};

use super::outlet::SessionOutlet;
use crate::store::Store;
use crate::whatsapp::device_store::EngineStore;

/// Notes whether the session has a proxy of its own.
///
/// # Errors
///
/// When it had one, and the database knows nothing of the session: nobody has removed the proxy.
pub(in crate::whatsapp) async fn check_own_proxy(
    session: &str,
    outlet: &SessionOutlet,
    store: &Store,
    device: &EngineStore,
) -> Result<()> {
    let has_own = outlet.has_own_proxy();
    let had_own = device.has_own_proxy();
    if has_own == had_own {
        return Ok(());
    }
    if had_own {
        let is_saved = store.sessions().is_saved(session).await?;
        ensure!(
            is_saved,
            "the session had a proxy of its own, which was lost with the database; set it, or remove it with \
             `\"proxy\": null`, by PATCH /v1/sessions/…"
        );
    }
    let noted = device.note_own_proxy(has_own).await;
    noted.context("noting that the session has a proxy")
}
