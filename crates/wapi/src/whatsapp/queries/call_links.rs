//! Links by which anybody can call in.

use whatsapp_rust::wacore::stanza::group_call::{
    build_call_link_create, parse_call_link_create_ack,
};
use whatsapp_rust::wacore::types::group_call::CallLinkMedia;

use crate::whatsapp::connection::link::Link;
use crate::whatsapp::request_error::RequestError;

impl Link {
    /// Creates a link to a call with or without video; returns the last part of its address.
    pub async fn create_call_link(&self, video: bool) -> Result<String, RequestError> {
        let media = match video {
            true => CallLinkMedia::Video,
            false => CallLinkMedia::Audio,
        };
        let id = self.client.generate_message_id();
        let node = build_call_link_create(media, &id).map_err(|_| RequestError::Failed)?;
        let acked = self.send_acked(&id, node).await?;
        let link = parse_call_link_create_ack(acked.get());
        Ok(link.map_err(|_| RequestError::Changed)?.token)
    }
}
