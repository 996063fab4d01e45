//! The note in a device's file that its session leaves through a proxy of its own. It outlives the
//! database, which has the proxy itself: a session whose proxy is lost must not leave without it.

use anyhow::{Context, Result, ensure};
use whatsapp_rust::wacore::appstate::hash::HashState;
use whatsapp_rust::wacore::store::traits::AppSyncStore;

use super::outlet::SessionOutlet;
use crate::store::Store;

/// The name under which the file has a version while the session has a proxy of its own. It is no
/// collection of WhatsApp.
const OWN_PROXY: &str = "wapi:own-proxy";

/// Notes whether the session has a proxy of its own.
///
/// # Errors
///
/// When it had one, and the database knows nothing of the session: nobody has removed the proxy.
pub(in crate::whatsapp) async fn check_own_proxy(
    session: &str,
    outlet: &SessionOutlet,
    store: &Store,
    file: &impl AppSyncStore,
) -> Result<()> {
    let has_own = outlet.has_own_proxy();
    let had_own = file.get_version(OWN_PROXY).await?.version > 0;
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
    let state = HashState {
        version: has_own.into(),
        ..HashState::default()
    };
    let noted = file.set_version(OWN_PROXY, state).await;
    noted.context("noting that the session has a proxy")
}
