//! Downloads of the files of a session's messages.

use std::sync::Arc;

use super::{SessionName, Sessions};
use crate::event::MessageKey;
use crate::media::{Remote, Spooled, Taken};
use crate::store::Life;
use crate::whatsapp::{Link, NotFetched};

impl Sessions {
    /// Downloads a file of up to `largest` bytes, if the session is online.
    pub async fn download(
        &self,
        session: &Life,
        remote: &Remote,
        spooled: Spooled,
        largest: u64,
    ) -> Result<Taken, NotFetched> {
        self.link_of(session)?
            .download(remote, spooled, largest)
            .await
    }

    /// Asks the account's own phone to upload the file of a message again. Returns its new direct
    /// path.
    pub async fn ask_for_file(
        &self,
        session: &Life,
        message: &MessageKey,
        remote: &Remote,
    ) -> Result<String, NotFetched> {
        self.link_of(session)?.ask_for_file(message, remote).await
    }

    fn link_of(&self, session: &Life) -> Result<Arc<Link>, NotFetched> {
        let name = SessionName::parse(session.name()).ok();
        let link = name
            .and_then(|name| self.find(&name))
            .and_then(|session| session.link());
        // A file is encrypted for the account that received its message; no other account asks for
        // it.
        let link = link.filter(|link| link.life().as_ref() == Some(session));
        link.ok_or_else(|| NotFetched::Passing("the session is not online".to_owned()))
    }
}
