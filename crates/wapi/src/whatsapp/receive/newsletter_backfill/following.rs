//! The newsletters that the reader follows: which posts of a new one are emitted.

use whatsapp_rust::Jid;

use super::{PostReader, post_number};
use crate::whatsapp::request_error::RequestError;

impl PostReader {
    /// Begins to read a newsletter after its newest post; earlier ones are not emitted. A
    /// newsletter that is already read keeps its position, so that no post is left out.
    pub async fn begin_reading(&self, id: &str) -> Result<(), RequestError> {
        let known = self
            .store
            .inbound()
            .newsletter_position(&self.session.current_life(), id)
            .await
            .map_err(|_| RequestError::Failed)?;
        if known.is_some() {
            return Ok(());
        }
        let jid: Jid = id.parse().map_err(|_| RequestError::Failed)?;
        let newest = self
            .fetch_page(&jid, 1, None)
            .await?
            .iter()
            .map(post_number)
            .max()
            .unwrap_or(0);
        self.store
            .inbound()
            .set_newsletter_position(&self.session.current_life(), id, newest)
            .await
            .map_err(|_| RequestError::Failed)?;
        self.with_caught_up(|level| level.insert(id.to_owned()));
        Ok(())
    }

    /// Stops reading a newsletter.
    pub async fn stop_reading(&self, id: &str) -> Result<(), RequestError> {
        let newsletters = vec![id.to_owned()];
        self.store
            .inbound()
            .forget_newsletters(&self.session.current_life(), newsletters)
            .await
            .map_err(|_| RequestError::Failed)
    }
}
