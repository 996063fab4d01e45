//! Products of businesses, and orders of customers. Pure.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::MediaContent;

/// A product that a business offers in its catalogue.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Product {
    /// Its number in the catalogue, given by WhatsApp.
    pub id: Option<String>,
    /// Address of the business that owns the catalogue; for a product to be sent, `null` is the
    /// account itself.
    pub owner: Option<String>,
    pub title: Option<String>,
    pub description: Option<String>,
    pub price: Option<Price>,
    /// The reduced price, during a sale.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub sale_price: Option<Price>,
    /// The business's own id of the product.
    pub retailer_id: Option<String>,
    /// The product's web page.
    pub url: Option<String>,
    /// Number of its images in the catalogue.
    pub image_count: Option<u32>,
    /// The first of the images.
    pub image: Option<MediaContent>,
    /// Text beside the product.
    pub body: Option<String>,
    pub footer: Option<String>,
}

/// A customer's shopping cart.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Order {
    pub id: Option<String>,
    /// The order's secret: with it WhatsApp answers which items are in the order.
    pub token: Option<String>,
    /// Title given by the business.
    pub title: Option<String>,
    /// Text by the customer.
    pub message: Option<String>,
    /// Address of the business.
    pub seller: Option<String>,
    pub item_count: Option<u32>,
    /// `inquiry`, `accepted` or `declined`.
    pub status: Option<String>,
    /// The origin of the order: `catalog`.
    pub surface: Option<String>,
    pub total: Option<Price>,
}

/// An amount of money: `{"amount": 9.99, "currency": "EUR"}`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(try_from = "Written", into = "Written")]
pub struct Price {
    thousandths: i64,
    /// ISO 4217.
    pub currency: String,
}

impl Price {
    /// Largest amount up to which JSON numbers distinguish every thousandth from the next.
    const MOST: u64 = 1_000_000_000_000_000;

    /// Creates a price from WhatsApp's unit; `None` for amounts beyond the limit.
    pub fn from_thousandths(thousandths: i64, currency: String) -> Option<Self> {
        (thousandths.unsigned_abs() <= Self::MOST).then_some(Self {
            thousandths,
            currency,
        })
    }

    /// Creates a price from a decimal amount; `None` for more than three decimals, or an amount
    /// beyond the limit.
    pub fn new(amount: f64, currency: String) -> Option<Self> {
        let thousandths = (amount * 1000.0).round();
        // For an amount with at most three decimals, this is the nearest float, and so the same
        // one.
        #[expect(
            clippy::float_cmp,
            reason = "they are the same number, or it was another one"
        )]
        let is_whole = thousandths / 1000.0 == amount;
        #[expect(
            clippy::cast_possible_truncation,
            reason = "what is too large is refused"
        )]
        let whole = thousandths as i64;
        is_whole
            .then(|| Self::from_thousandths(whole, currency))
            .flatten()
    }

    pub const fn thousandths(&self) -> i64 {
        self.thousandths
    }
}

#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
struct Written {
    amount: f64,
    currency: String,
}

impl From<Price> for Written {
    fn from(
        Price {
            thousandths,
            currency,
        }: Price,
    ) -> Self {
        #[expect(
            clippy::cast_precision_loss,
            reason = "every amount within the limit has a number of its own"
        )]
        let amount = thousandths as f64 / 1000.0;
        Self { amount, currency }
    }
}

impl TryFrom<Written> for Price {
    type Error = &'static str;

    fn try_from(Written { amount, currency }: Written) -> Result<Self, Self::Error> {
        Self::new(amount, currency).ok_or("an amount has at most three decimals")
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;
    use serde_json::json;

    use crate::model::message::products::*;

    proptest! {
        #[test]
        fn every_thousandth_comes_back(thousandths in -1_000_000_000_000_000..=1_000_000_000_000_000i64) {
            let price = Price::from_thousandths(thousandths, "EUR".to_owned()).unwrap();
            let again: Price = serde_json::from_str(&serde_json::to_string(&price).unwrap()).unwrap();
            prop_assert_eq!(again, price);
        }
    }

    #[test]
    fn money_is_written_as_people_do_and_nothing_of_it_is_lost() {
        let price = Price::from_thousandths(9_990, "EUR".to_owned()).unwrap();
        assert_eq!(
            serde_json::to_value(&price).unwrap(),
            json!({"amount": 9.99, "currency": "EUR"})
        );
        for amount in [0.0005, 1e16, f64::NAN, f64::INFINITY, 0.1 + 0.2] {
            assert_eq!(Price::new(amount, "EUR".to_owned()), None, "{amount}");
        }
        assert_eq!(Price::from_thousandths(i64::MIN, "EUR".to_owned()), None);
    }
}
