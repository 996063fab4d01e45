//! Products that customers ask about, and orders of them.

use waproto::buffa::MessageField;
use waproto::whatsapp as wa;
use waproto::whatsapp::message as kinds;
use waproto::whatsapp::message::order_message::{OrderStatus, OrderSurface};

use super::files::{MediaFile, file_message};
use crate::crypto::media_cipher;
use crate::phone::Phone;

/// A product of somebody's catalog, as a message shows it.
#[derive(Clone, Debug, Default)]
pub struct ShownProduct {
    pub id: Option<String>,
    /// The address of its owner.
    pub owner: Option<String>,
    pub title: Option<String>,
    pub description: Option<String>,
    /// The currency, and thousandths of it.
    pub price: Option<(String, i64)>,
    pub image_count: Option<u32>,
    /// The words of the customer below it.
    pub body: Option<String>,
}

/// An order, as a customer sends it from the catalog.
#[derive(Clone, Debug)]
pub struct SentOrder {
    pub id: String,
    pub token: String,
    pub title: String,
    /// The words of the customer.
    pub message: String,
    /// The address of the seller.
    pub seller: String,
    pub item_count: i32,
    /// The currency, and thousandths of it.
    pub total: (String, i64),
    /// A small JPEG.
    pub thumbnail: Vec<u8>,
}

impl Phone {
    /// Sends a product with its image; returns the message's id.
    pub async fn sends_product(
        &self,
        to: &str,
        product: ShownProduct,
        picture: MediaFile,
    ) -> anyhow::Result<String> {
        let sealed = media_cipher::encrypt_file(picture.kind.media_kind(), &picture.bytes)?;
        let picture = file_message(self.upload_file(&picture, sealed)?, picture).image_message;
        let (currency_code, price_amount1000) = product.price.unzip();
        let snapshot = kinds::product_message::ProductSnapshot {
            product_id: product.id,
            title: product.title,
            description: product.description,
            currency_code,
            price_amount1000,
            product_image_count: product.image_count,
            product_image: picture,
            ..Default::default()
        };
        let product = kinds::ProductMessage {
            product: MessageField::some(snapshot),
            business_owner_jid: product.owner,
            body: product.body,
            ..Default::default()
        };
        let message = wa::Message {
            product_message: MessageField::some(product),
            ..Default::default()
        };
        self.sends_message(to, "media", message)
    }

    /// Sends an order, which the seller has not accepted yet; returns the message's id.
    pub fn sends_order(&self, to: &str, order: SentOrder) -> anyhow::Result<String> {
        let (currency, amount) = order.total;
        let order = kinds::OrderMessage {
            order_id: Some(order.id),
            token: Some(order.token),
            order_title: Some(order.title),
            message: Some(order.message),
            seller_jid: Some(order.seller),
            item_count: Some(order.item_count),
            status: Some(OrderStatus::INQUIRY),
            surface: Some(OrderSurface::CATALOG),
            total_amount1000: Some(amount),
            total_currency_code: Some(currency),
            thumbnail: Some(order.thumbnail),
            ..Default::default()
        };
        let message = wa::Message {
            order_message: MessageField::some(order),
            ..Default::default()
        };
        self.sends_message(to, "media", message)
    }
}
