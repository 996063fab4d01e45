//! What callers ask WhatsApp about newsletters.

use super::{AskError, SessionName, Sessions};
use crate::event::Newsletter;

impl Sessions {
    /// The newsletters the session's account follows or may post in, by address.
    pub async fn newsletters(&self, name: &SessionName) -> Result<Vec<Newsletter>, AskError> {
        self.ask_whatsapp(name, async |link, limit| link.newsletters(limit).await)
            .await
    }

    /// One newsletter, by the part of its address before `@newsletter`.
    pub async fn newsletter(&self, name: &SessionName, id: &str) -> Result<Newsletter, AskError> {
        self.ask_whatsapp(name, async |link, limit| link.newsletter(id, limit).await)
            .await
    }

    /// Follows a newsletter, or no more.
    pub async fn follow(&self, name: &SessionName, id: &str, follow: bool) -> Result<(), AskError> {
        self.ask_whatsapp(name, async |link, limit| {
            link.follows(id, follow, limit).await
        })
        .await
    }
}
