//! Requests to WhatsApp about newsletters.

use crate::model::event::Newsletter;
use crate::model::session_name::SessionName;
use crate::sessions::{RequestError, Sessions};

impl Sessions {
    /// Lists the newsletters that the session's account follows or may post in.
    pub async fn list_newsletters(
        &self,
        name: &SessionName,
    ) -> Result<Vec<Newsletter>, RequestError> {
        self.run_request(name, async |link, limit| {
            link.fetch_newsletters(limit).await
        })
        .await
    }

    /// Returns one newsletter, by the part of its address before `@newsletter`.
    pub async fn find_newsletter(
        &self,
        name: &SessionName,
        id: &str,
    ) -> Result<Newsletter, RequestError> {
        self.run_request(name, async |link, limit| {
            link.fetch_newsletter(id, limit).await
        })
        .await
    }

    /// Follows or unfollows a newsletter.
    pub async fn set_following(
        &self,
        name: &SessionName,
        id: &str,
        follow: bool,
    ) -> Result<(), RequestError> {
        self.run_request(name, async |link, limit| {
            link.set_following(id, follow, limit).await
        })
        .await
    }
}
