//! Products in a request.

use super::content::read_media;
use crate::http::request::extract::JsonFields;
use crate::media::link_download;
use crate::model::message::{ChatId, MediaContent, MediaKind, Price, Product};

/// WhatsApp's own limits, in characters.
const LONGEST_ID: usize = 100;
const LONGEST_TITLE: usize = 200;
const LONGEST_DESCRIPTION: usize = 5_000;
const LONGEST_BODY: usize = 1_024;
const LONGEST_FOOTER: usize = 60;
const MOST_IMAGES: u64 = 100;
/// Of a price.
pub const HIGHEST_AMOUNT: u32 = 1_000_000_000;

pub(crate) fn read_product(fields: &mut JsonFields) -> Option<Product> {
    let id = fields.text_up_to("id", LONGEST_ID);
    let title = fields.text_up_to("title", LONGEST_TITLE);
    let owner = fields.parse_optional("owner", |text| match ChatId::parse(text) {
        Ok(business) if business.is_person() => Ok(business.to_string()),
        Ok(_) => Err("is not an account; name a business by its number or address".to_owned()),
        Err(error) => Err(error.to_string()),
    });
    let (price, sale_price) = (
        read_price(fields, "price"),
        read_price(fields, "sale_price"),
    );
    if let (Some(price), Some(sale_price)) = (&price, &sale_price)
        && price.currency != sale_price.currency
    {
        fields.refuse_field("sale_price", "must be in the same currency as `price`");
    }
    let image_count = fields.optional_number("image_count", 0..=MOST_IMAGES);
    let product = Product {
        owner,
        price,
        sale_price,
        description: fields.optional_text_up_to("description", LONGEST_DESCRIPTION),
        retailer_id: fields.optional_text_up_to("retailer_id", LONGEST_ID),
        url: fields.parse_optional("url", |text| {
            link_download::parse_web_address(text).map(|_| text.to_owned())
        }),
        image_count: image_count.and_then(|count| u32::try_from(count).ok()),
        image: read_product_image(fields),
        body: fields.optional_text_up_to("body", LONGEST_BODY),
        footer: fields.optional_text_up_to("footer", LONGEST_FOOTER),
        ..Product::default()
    };
    Some(Product {
        id: Some(id?),
        title: Some(title?),
        ..product
    })
}

fn read_price(fields: &mut JsonFields, name: &'static str) -> Option<Price> {
    let mut inner = fields.nested_fields(name)?;
    let amount = inner.required_decimal("amount", 0.0..=f64::from(HIGHEST_AMOUNT));
    let currency = inner.parse_required("currency", |text| {
        let is_code = text.len() == 3 && text.bytes().all(|byte| byte.is_ascii_uppercase());
        if is_code {
            Ok(text.to_owned())
        } else {
            Err("is not a currency; write its three letters, like EUR")
        }
    });
    let price = match (amount, currency) {
        (Some(amount), Some(currency)) => inner.ok_or_record(
            "amount",
            Price::new(amount, currency).ok_or("has more than three decimals".to_owned()),
        ),
        _ => None,
    };
    fields.absorb_errors(name, inner);
    price
}

/// Reads the product's image. It has no caption: the product's `body` takes that role.
fn read_product_image(fields: &mut JsonFields) -> Option<MediaContent> {
    let mut inner = fields.nested_fields("image")?;
    for field in ["caption", "view_once"] {
        if inner.has_value(field) {
            inner.refuse_field(
                field,
                "does not belong to the picture of a product; use `body`",
            );
        }
    }
    let image = read_media(&mut inner, MediaKind::Image);
    fields.absorb_errors("image", inner);
    image
}
