//! Downloads of the files of a session's messages.

use std::sync::Arc;

use super::{SessionName, Sessions};
use crate::event::MessageKey;
use crate::media::{ReceivedFile, RemoteFile, SpooledFile};
use crate::store::Life;
use crate::whatsapp::{Link, MediaDownloadError};

impl Sessions {
    /// Downloads a file of up to `max_size` bytes, if the session is online.
    pub async fn download_file(
        &self,
        session: &Life,
        remote: &RemoteFile,
        spooled: SpooledFile,
        largest: u64,
    ) -> Result<ReceivedFile, MediaDownloadError> {
        self.find_link(session)?
            .download_file(remote, spooled, largest)
            .await
    }

    /// Asks the account's own phone to upload the file of a message again. Returns its new direct
    /// path.
    pub async fn request_reupload(
        &self,
        session: &Life,
        message: &MessageKey,
        remote: &RemoteFile,
    ) -> Result<String, MediaDownloadError> {
        self.find_link(session)?
            .request_reupload(message, remote)
            .await
    }

    fn find_link(&self, session: &Life) -> Result<Arc<Link>, MediaDownloadError> {
        let name = SessionName::parse(session.name()).ok();
        let link = name
            .and_then(|name| self.find(&name))
            .and_then(|session| session.link());
        // A file is encrypted for the account that received its message; no other account asks for
        // it.
        let link = link.filter(|link| link.life().as_ref() == Some(session));
        link.ok_or_else(|| MediaDownloadError::Temporary("the session is not online".to_owned()))
    }
}
