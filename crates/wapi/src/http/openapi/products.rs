//! Products and orders. Pure.

use serde_json::{Value, json};

use super::schema::{anything, count, decimal, number, object, open_object, or_null, said, sha256, text, with};
use crate::http::messages::products::HIGHEST_AMOUNT;

type Member = (&'static str, Value);

const PICTURE: &str = "It goes the way of every file. Without one, phones show a product poorly.";

/// As it is sent.
pub fn sent() -> Vec<Member> {
    let words = || or_null(text());
    let currency = with(said(text(), "ISO 4217."), "pattern", json!("^[A-Z]{3}$"));
    let amount = said(decimal(0, i64::from(HIGHEST_AMOUNT)), "Three decimals at most.");
    let price = || or_null(object(&[("amount", amount.clone()), ("currency", currency.clone())]));
    let image = object(&[
        ("id?", or_null(said(text(), "Of a file at `/v1/media`."))),
        ("link?", or_null(said(text(), "Where it is fetched from when its turn comes; instead of `id`."))),
        ("sha256?", or_null(sha256("Of the file; another one is not sent."))),
    ]);
    let product = object(&[
        ("id", said(text(), "In the catalogue, a number that WhatsApp gave it.")),
        ("title", text()),
        ("owner?", or_null(said(text(), "The business whose catalogue it is in; the account itself if left out."))),
        ("description?", words()),
        ("price?", price()),
        ("sale_price?", price()),
        ("retailer_id?", or_null(said(text(), "The business's own name for it."))),
        ("url?", words()),
        ("image_count?", or_null(number(0, 100))),
        ("image?", or_null(said(image, PICTURE))),
        ("body?", or_null(said(text(), "What stands beside it."))),
        ("footer?", words()),
    ]);
    vec![("product?", product)]
}

/// As they are told and shown. `null` is what nobody said.
pub fn told() -> Vec<Member> {
    let words = || or_null(text());
    let order = open_object(&[
        ("id", words()),
        ("token", or_null(said(text(), "Opens the order: what is in it is asked for with it."))),
        ("title", or_null(said(text(), "Of the business."))),
        ("message", or_null(said(text(), "What the customer wrote."))),
        ("seller", words()),
        ("item_count", or_null(count())),
        ("status", or_null(said(text(), "`inquiry`, `accepted` or `declined`."))),
        ("surface", words()),
        ("total", or_null(price())),
    ]);
    let product = open_object(&[
        ("id", words()),
        ("owner", words()),
        ("title", words()),
        ("description", words()),
        ("price", or_null(price())),
        ("sale_price?", price()),
        ("retailer_id", words()),
        ("url", words()),
        ("image_count", or_null(count())),
        ("image", or_null(anything())),
        ("body", words()),
        ("footer", words()),
    ]);
    vec![
        ("product?", said(product, "`image` is a file as in a message of type `image`.")),
        ("order?", said(order, "Goods that a customer has put together. It comes in only.")),
    ]
}

fn price() -> Value {
    object(&[("amount", json!({"type": "number"})), ("currency", text())])
}
