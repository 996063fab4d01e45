//! What callers ask of catalogues and orders.

use super::{AskError, SessionName, Sessions};
use crate::message::{Catalog, ChatId, OrderContent};

impl Sessions {
    /// Products of somebody's catalogue, or of the account's own; so many, behind WhatsApp's mark for where the last answer ended.
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

    /// What is in an order.
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
