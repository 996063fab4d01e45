//! Requests to WhatsApp about newsletters.

use super::{AskError, SessionName, Sessions};
use crate::event::Newsletter;

impl Sessions {
    /// Lists the newsletters that the session's account follows or may post in.
    pub async fn newsletters(&self, name: &SessionName) -> Result<Vec<Newsletter>, AskError> {
        self.ask_whatsapp(name, async |link, limit| link.newsletters(limit).await)
            .await
    }

    /// Returns one newsletter, by the part of its address before `@newsletter`.
    pub async fn newsletter(&self, name: &SessionName, id: &str) -> Result<Newsletter, AskError> {
        self.ask_whatsapp(name, async |link, limit| link.newsletter(id, limit).await)
            .await
    }

    /// Follows or unfollows a newsletter.
    pub async fn follow(&self, name: &SessionName, id: &str, follow: bool) -> Result<(), AskError> {
        self.ask_whatsapp(name, async |link, limit| {
            link.follows(id, follow, limit).await
        })
        .await
    }
}
