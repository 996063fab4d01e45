//! What callers can have fetched over a session: the files of its messages.

use std::sync::Arc;

use super::{SessionName, Sessions};
use crate::event::MessageKey;
use crate::media::{Remote, Spooled, Taken};
use crate::whatsapp::{Link, NotFetched};

impl Sessions {
    /// Downloads a file of up to `largest` bytes, if the session is online.
    pub async fn download(
        &self,
        session: &str,
        remote: &Remote,
        spooled: Spooled,
        largest: u64,
    ) -> Result<Taken, NotFetched> {
        self.link_of(session)?.download(remote, spooled, largest).await
    }

    /// Asks the account's own phone to upload the file of a message again; where it is then.
    pub async fn ask_for_file(
        &self,
        session: &str,
        message: &MessageKey,
        remote: &Remote,
    ) -> Result<String, NotFetched> {
        self.link_of(session)?.ask_for_file(message, remote).await
    }

    fn link_of(&self, session: &str) -> Result<Arc<Link>, NotFetched> {
        let name = SessionName::parse(session).ok();
        let link = name.and_then(|name| self.find(&name)).and_then(|session| session.link());
        link.ok_or_else(|| NotFetched::Passing("the session is not online".to_owned()))
    }
}
