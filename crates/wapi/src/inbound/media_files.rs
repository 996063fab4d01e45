//! Files of received messages: linked in their events, and recorded with them.

use anyhow::Result;

use super::InboundEvent;
use crate::config::DownloadPolicy;
use crate::media::Media;
use crate::model::event;
use crate::model::ids;
use crate::store::{EventFact, Life, MediaFacts, MediaState, NewMedia};

/// Links the files of messages in their events, and adds the record of each to its event. Returns
/// whether there are any. A file's id follows from its message, so that the event need not wait for
/// the file, and the same message always has the same file.
pub(super) fn link_files(media: &Media, session: &Life, events: &mut [InboundEvent]) -> bool {
    let state = match media.policy().download {
        DownloadPolicy::Eager => MediaState::Waiting,
        DownloadPolicy::OnDemand => MediaState::Remote,
        DownloadPolicy::Never => return false,
    };
    let mut has_files = false;
    for incoming in events {
        if let Some(file) = link_file(session, incoming, state) {
            incoming.facts.push(EventFact::Media(file));
            has_files = true;
        }
    }
    has_files
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
        kind: Some(remote.kind.into_str().to_owned()),
        facts,
        source: Some(source),
        state,
    })
}
