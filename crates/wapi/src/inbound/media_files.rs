//! Inbox decorator: records the files of incoming messages, and links them in their events.

use std::sync::Arc;

use anyhow::Result;
use async_trait::async_trait;

use crate::config::DownloadPolicy;
use crate::media::Media;
use crate::model::event;
use crate::model::ids;
use crate::store::{Life, MediaFacts, MediaState, NewMedia};
use crate::whatsapp::{InboundEvent, Inbox};

/// Stands before the actual inbox.
pub struct MediaInbox {
    pub media: Media,
    pub inbox: Arc<dyn Inbox>,
}

#[async_trait]
impl Inbox for MediaInbox {
    /// Derives a file's id from its message, so that the event need not wait for the file, and the
    /// same message always has the same file.
    async fn accept(&self, session: &Life, mut incoming: Vec<InboundEvent>) -> Result<()> {
        let state = match self.media.policy().download {
            DownloadPolicy::Eager => MediaState::Waiting,
            DownloadPolicy::OnDemand => MediaState::Remote,
            DownloadPolicy::Never => return self.inbox.accept(session, incoming).await,
        };
        let files: Vec<_> = incoming
            .iter_mut()
            .filter_map(|incoming| link_file(session, incoming, state))
            .collect();
        if files.is_empty() {
            return self.inbox.accept(session, incoming).await;
        }
        // Concurrent writes mostly share a commit. The file is written first, so that an event
        // never refers to a missing file.
        let noted = async { Ok(self.media.record_files(files).await?) };
        tokio::try_join!(biased; noted, self.inbox.accept(session, incoming))?;
        self.media.wake_downloads();
        Ok(())
    }
}

impl Media {
    /// Links the files of history-sync messages. They are downloaded on demand.
    pub async fn link_history_files(
        &self,
        session: &Life,
        incoming: impl Iterator<Item = &mut InboundEvent>,
    ) -> Result<()> {
        if self.policy().download == DownloadPolicy::Never {
            return Ok(());
        }
        let files: Vec<_> = incoming
            .filter_map(|incoming| link_file(session, incoming, MediaState::Remote))
            .collect();
        if !files.is_empty() {
            self.record_files(files).await?;
        }
        Ok(())
    }
}

/// Links a message's file in its event, and returns the record to store.
fn link_file(session: &Life, incoming: &mut InboundEvent, state: MediaState) -> Option<NewMedia> {
    let remote = incoming.file.take()?;
    let shown = incoming
        .data
        .received_message_mut()?
        .message
        .content
        .media_mut()?;
    let id = ids::message_media_id(&session.id_seed(), &incoming.key);
    shown.url = Some(event::media_url(&id));
    shown.id = Some(id.clone());
    let facts = MediaFacts {
        mime_type: shown.mime_type.clone(),
        filename: shown.filename.clone(),
        size: shown.size,
        sha256: shown.sha256.clone(),
        width: shown.width,
        height: shown.height,
        duration: shown.duration,
        pages: shown.pages,
    };
    let source = serde_json::to_string(&remote).expect("what is known of a file is always JSON");
    Some(NewMedia {
        id,
        session: session.clone(),
        message: Some((incoming.key.clone(), incoming.chat.clone())),
        kind: Some(remote.kind.as_str().to_owned()),
        facts,
        source: Some(source),
        state,
    })
}
