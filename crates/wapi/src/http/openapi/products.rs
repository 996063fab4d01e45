//! Products and orders in messages, and catalogues and orders from WhatsApp. Pure.

use serde_json::{Value, json};

use super::groups::ASKED;
use super::operation::{Operation, route};
use super::schema::{
    anything, count, decimal, flag, list, number, object, open_object, or_null, said, sha256, text,
    with,
};
use crate::http::messages::products::HIGHEST_AMOUNT;
use crate::http::shop::LIMIT;

type Member = (&'static str, Value);

const PICTURE: &str = "It goes the way of every file. Without one, phones show a product poorly.";

pub fn operations() -> Vec<Operation> {
    let next = or_null(said(
        text(),
        "The `cursor` of the next call; `null` when there are no more.",
    ));
    vec![
        route("GET", "/v1/sessions/{session}/catalog", "What a business offers")
            .query(
                "of",
                text(),
                "The business: a number in any spelling, or an address; the account itself if left out.",
            )
            .query("limit", number(1, LIMIT.1.into()), "Products in one answer; 20 when nothing is said.")
            .query("cursor", text(), "`next` of the answer before.")
            .answers(200, "Its products, in WhatsApp's order.", object(&[("products", list(offer())), ("next", next)]))
            .problems(&ASKED)
            .problems(&[(404, "catalog_not_found")]),
        route("GET", "/v1/sessions/{session}/orders/{order}", "What is in an order that a customer sent")
            .required_query("token", text(), "As the message of type `order` has it.")
            .answers(200, "The order.", order_content())
            .problems(&ASKED)
            .problems(&[(404, "order_not_found")]),
    ]
}

fn offer() -> Value {
    let words = || or_null(text());
    let link = |what: &str| or_null(said(text(), what));
    let image = object(&[
        ("url", link("As the business uploaded it.")),
        ("preview_url", link("A small one.")),
    ]);
    object(&[
        ("id", said(text(), "A `product` is sent with it.")),
        ("title", words()),
        ("description", words()),
        ("price", or_null(price())),
        (
            "retailer_id",
            or_null(said(text(), "The business's own name for it.")),
        ),
        ("url", words()),
        (
            "images",
            said(
                list(image),
                "Links to WhatsApp's servers, which end after some time.",
            ),
        ),
        ("hidden", said(flag(), "The owner alone sees it.")),
        (
            "review",
            or_null(said(
                text(),
                "What WhatsApp's review came to, `approved`, say.",
            )),
        ),
    ])
}

fn order_content() -> Value {
    let item = object(&[
        ("id", or_null(said(text(), "Of the product."))),
        ("title", or_null(text())),
        ("quantity", or_null(count())),
        ("price", or_null(said(price(), "Of one of them."))),
        (
            "image_url",
            or_null(said(
                text(),
                "A link to its picture, which ends after some time.",
            )),
        ),
    ]);
    object(&[
        ("id", text()),
        ("items", list(item)),
        ("total", or_null(price())),
    ])
}

/// Returns the member in which a product is sent.
pub fn sent() -> Vec<Member> {
    let words = || or_null(text());
    let currency = with(said(text(), "ISO 4217."), "pattern", json!("^[A-Z]{3}$"));
    let amount = said(
        decimal(0, i64::from(HIGHEST_AMOUNT)),
        "Three decimals at most.",
    );
    let price = || {
        or_null(object(&[
            ("amount", amount.clone()),
            ("currency", currency.clone()),
        ]))
    };
    let image = object(&[
        ("id?", or_null(said(text(), "Of a file at `/v1/media`."))),
        (
            "link?",
            or_null(said(
                text(),
                "Where it is fetched from when its turn comes; instead of `id`.",
            )),
        ),
        (
            "sha256?",
            or_null(sha256("Of the file; another one is not sent.")),
        ),
    ]);
    let product = object(&[
        (
            "id",
            said(text(), "In the catalogue, a number that WhatsApp gave it."),
        ),
        ("title", text()),
        (
            "owner?",
            or_null(said(
                text(),
                "The business whose catalogue it is in; the account itself if left out.",
            )),
        ),
        ("description?", words()),
        ("price?", price()),
        ("sale_price?", price()),
        (
            "retailer_id?",
            or_null(said(text(), "The business's own name for it.")),
        ),
        ("url?", words()),
        ("image_count?", or_null(number(0, 100))),
        ("image?", or_null(said(image, PICTURE))),
        ("body?", or_null(said(text(), "What stands beside it."))),
        ("footer?", words()),
    ]);
    vec![("product?", product)]
}

/// Returns the members of products and orders in events and answers; `null` for missing values.
pub fn told() -> Vec<Member> {
    let words = || or_null(text());
    let order = open_object(&[
        ("id", words()),
        (
            "token",
            or_null(said(
                text(),
                "Opens the order: what is in it is asked for with it.",
            )),
        ),
        ("title", or_null(said(text(), "Of the business."))),
        ("message", or_null(said(text(), "What the customer wrote."))),
        ("seller", words()),
        ("item_count", or_null(count())),
        (
            "status",
            or_null(said(text(), "`inquiry`, `accepted` or `declined`.")),
        ),
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
        (
            "product?",
            said(
                product,
                "`image` is a file as in a message of type `image`.",
            ),
        ),
        (
            "order?",
            said(
                order,
                "Goods that a customer has put together. It comes in only.",
            ),
        ),
    ]
}

fn price() -> Value {
    object(&[("amount", json!({"type": "number"})), ("currency", text())])
}
