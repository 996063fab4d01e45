//! Product messages. Pure.

use whatsapp_rust::waproto::buffa::MessageField;
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::waproto::whatsapp::message::ProductMessage;
use whatsapp_rust::waproto::whatsapp::message::product_message::ProductSnapshot;

use super::media::{self, UploadedMedia};
use crate::model::message::{MediaKind, Price, Product};

/// Builds a product message; without `picture`, its image is the preview that a quote shows.
pub(crate) fn build_product(product: &Product, picture: Option<UploadedMedia>) -> wa::Message {
    let image_count = product
        .image_count
        .or_else(|| picture.is_some().then_some(1));
    let picture = product
        .image
        .as_ref()
        .map(|image| media::build_media(MediaKind::Image, image, picture).image_message);
    let amount = |price: &Option<Price>| price.as_ref().map(Price::thousandths);
    // The protobuf has a single currency field.
    let currency = product
        .price
        .as_ref()
        .or(product.sale_price.as_ref())
        .map(|price| price.currency.clone());
    let snapshot = ProductSnapshot {
        product_image: picture.unwrap_or_default(),
        product_id: product.id.clone(),
        title: product.title.clone(),
        description: product.description.clone(),
        currency_code: currency,
        price_amount1000: amount(&product.price),
        sale_price_amount1000: amount(&product.sale_price),
        retailer_id: product.retailer_id.clone(),
        url: product.url.clone(),
        product_image_count: image_count,
        ..Default::default()
    };
    let message = ProductMessage {
        product: MessageField::some(snapshot),
        business_owner_jid: product.owner.clone(),
        body: product.body.clone(),
        footer: product.footer.clone(),
        ..Default::default()
    };
    wa::Message {
        product_message: MessageField::some(message),
        ..Default::default()
    }
}

/// Sets the owner of the catalogue that a product is in: the own account, unless one is given.
pub(in crate::whatsapp) fn fill_owner(
    message: &mut wa::Message,
    account: impl FnOnce() -> Option<String>,
) {
    if let Some(product) = message.product_message.as_option_mut()
        && product.business_owner_jid.is_none()
    {
        product.business_owner_jid = account();
    }
}
