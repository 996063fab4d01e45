//! Received products and orders. Pure.

use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message as kinds;
use whatsapp_rust::waproto::whatsapp::message::order_message::{OrderStatus, OrderSurface};

use super::media;
use crate::model::message::{MessageContent, Order, Price, Product};

/// Converts a product or an order; `None` for other messages. A whole catalogue is not supported.
pub(crate) fn decode_product_or_order(body: &wa::Message) -> Option<MessageContent> {
    if let Some(order) = body.order_message.as_option() {
        return Some(MessageContent::Order {
            order: Box::new(self::decode_order(order)),
        });
    }
    let message = body.product_message.as_option()?;
    let snapshot = message.product.as_option()?;
    let price = |amount| decode_price(amount, snapshot.currency_code.as_deref());
    let product = Product {
        id: snapshot.product_id.clone(),
        owner: message.business_owner_jid.clone(),
        title: snapshot.title.clone(),
        description: snapshot.description.clone(),
        price: price(snapshot.price_amount1000),
        sale_price: price(snapshot.sale_price_amount1000),
        retailer_id: snapshot.retailer_id.clone(),
        url: snapshot.url.clone(),
        image_count: snapshot.product_image_count,
        image: snapshot.product_image.as_option().map(media::decode_image),
        body: message.body.clone(),
        footer: message.footer.clone(),
    };
    Some(MessageContent::Product {
        product: Box::new(product),
    })
}

/// Returns a product's image, an ordinary encrypted one.
pub(crate) fn product_image(body: &wa::Message) -> Option<&kinds::ImageMessage> {
    body.product_message
        .as_option()?
        .product
        .as_option()?
        .product_image
        .as_option()
}

fn decode_order(order: &kinds::OrderMessage) -> Order {
    let status = order.status.map(|status| match status {
        OrderStatus::INQUIRY => "inquiry",
        OrderStatus::ACCEPTED => "accepted",
        OrderStatus::DECLINED => "declined",
    });
    let surface = order.surface.map(|OrderSurface::CATALOG| "catalog");
    Order {
        id: order.order_id.clone(),
        token: order.token.clone(),
        title: order.order_title.clone(),
        message: order.message.clone(),
        seller: order.seller_jid.clone(),
        item_count: order.item_count.and_then(|count| u32::try_from(count).ok()),
        status: status.map(str::to_owned),
        surface: surface.map(str::to_owned),
        total: decode_price(order.total_amount1000, order.total_currency_code.as_deref()),
    }
}

/// Converts an amount in thousandths; `None` without a currency.
fn decode_price(thousandths: Option<i64>, currency: Option<&str>) -> Option<Price> {
    Price::from_thousandths(thousandths?, currency?.to_owned())
}
