//! Requests to WhatsApp about catalogues and orders.

use super::{AskError, SessionName, Sessions};
use crate::message::{Catalog, ChatId, OrderContent};

impl Sessions {
    /// Lists up to `most` products of a contact's catalogue, or of the account's own. `after` is
    /// WhatsApp's cursor from the end of the previous page.
    pub async fn catalog(
        &self,
        name: &SessionName,
        of: Option<&ChatId>,
        most: u32,
        after: Option<&str>,
    ) -> Result<Catalog, AskError> {
        self.ask_whatsapp(name, async |link, limit| {
            link.catalog(of, most, after, limit).await
        })
        .await
    }

    /// Returns the items of an order.
    pub async fn order(
        &self,
        name: &SessionName,
        id: &str,
        token: &str,
    ) -> Result<OrderContent, AskError> {
        self.ask_whatsapp(name, async |link, limit| link.order(id, token, limit).await)
            .await
    }
}
