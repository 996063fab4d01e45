//! Problems of a missing catalogue or order.

/// The missing object.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MissingInShop {
    Catalog,
    Order,
}

impl MissingInShop {
    /// Returns the stable code and the title.
    pub(super) const fn code_and_title(self) -> (&'static str, &'static str) {
        match self {
            Self::Catalog => ("catalog_not_found", "There is no catalogue"),
            Self::Order => ("order_not_found", "There is no such order"),
        }
    }

    pub(super) const fn detail(self) -> &'static str {
        match self {
            Self::Catalog => {
                "WhatsApp knows of none; a business fills it in its WhatsApp Business app"
            }
            Self::Order => {
                "WhatsApp knows of none with this id and token; the message of type `order` has both"
            }
        }
    }
}
