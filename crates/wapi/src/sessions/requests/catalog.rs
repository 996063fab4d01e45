//! Requests to WhatsApp about catalogues and orders.

use crate::model::message::{CatalogPage, ChatId, OrderDetails};
use crate::model::session_name::SessionName;
use crate::sessions::{RequestError, Sessions};

impl Sessions {
    /// Lists up to `most` products of a contact's catalogue, or of the account's own. `after` is
    /// WhatsApp's cursor from the end of the previous page.
    pub async fn read_catalog(
        &self,
        name: &SessionName,
        of: Option<&ChatId>,
        most: u32,
        after: Option<&str>,
    ) -> Result<CatalogPage, RequestError> {
        self.run_request(name, async |link, limit| {
            link.fetch_catalog(of, most, after, limit).await
        })
        .await
    }

    /// Returns the items of an order.
    pub async fn read_order(
        &self,
        name: &SessionName,
        id: &str,
        token: &str,
    ) -> Result<OrderDetails, RequestError> {
        self.run_request(name, async |link, limit| {
            link.fetch_order(id, token, limit).await
        })
        .await
    }
}
