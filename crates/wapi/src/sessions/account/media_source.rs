//! Downloads of the files of a session's messages.

use std::sync::Arc;

use async_trait::async_trait;

use crate::media::{MediaDownloadError, MediaSource, ReceivedFile, SpooledFile};
use crate::model::event::MessageKey;
use crate::model::remote_file::RemoteFile;
use crate::model::session_name::SessionName;
use crate::sessions::Sessions;
use crate::store::Life;
use crate::whatsapp::Link;

#[async_trait]
impl MediaSource for Sessions {
    fn is_online(&self, session: &Life) -> bool {
        SessionName::parse(session.name()).is_ok_and(|name| self.check_ready(&name).is_ok())
    }

    async fn download_file(
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

    async fn request_reupload(
        &self,
        session: &Life,
        message: &MessageKey,
        remote: &RemoteFile,
    ) -> Result<String, MediaDownloadError> {
        self.find_link(session)?
            .request_reupload(message, remote)
            .await
    }
}

impl Sessions {
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
