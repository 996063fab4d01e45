//! Products and orders in messages, and catalogues and orders from WhatsApp. Pure.

use serde_json::{Value, json};

use super::groups::REQUEST_PROBLEMS;
use crate::http::openapi::operation::{Operation, describe_route};
use crate::http::openapi::schema::{
    any_object, boolean, count, decimal, list_of, number, object, open_object, or_null, sha256,
    text, with_description, with_keyword,
};
use crate::http::v1::catalog::PRODUCT_LIMIT;
use crate::http::v1::messages::products::HIGHEST_AMOUNT;

type ProductMember = (&'static str, Value);

const IMAGE_DESCRIPTION: &str =
    "It goes the way of every file. Without one, phones show a product poorly.";

pub fn describe_operations() -> Vec<Operation> {
    let next = or_null(with_description(
        text(),
        "The `cursor` of the next call; `null` when there are no more.",
    ));
    vec![
        describe_route("GET", "/v1/sessions/{session}/catalog", "What a business offers")
            .with_query(
                "of",
                text(),
                "The business: a number in any spelling, or an address; the account itself if left out.",
            )
            .with_query("limit", number(1, PRODUCT_LIMIT.1.into()), "Products in one answer; 20 when nothing is said.")
            .with_query("cursor", text(), "`next` of the answer before.")
            .with_answer(200, "Its products, in WhatsApp's order.", object(&[("products", list_of(product_schema())), ("next", next)]))
            .with_problems(&REQUEST_PROBLEMS)
            .with_problems(&[(404, "catalog_not_found")]),
        describe_route("GET", "/v1/sessions/{session}/orders/{order}", "What is in an order that a customer sent")
            .with_required_query("token", text(), "As the message of type `order` has it.")
            .with_answer(200, "The order.", order_content_schema())
            .with_problems(&REQUEST_PROBLEMS)
            .with_problems(&[(404, "order_not_found")]),
    ]
}

fn product_schema() -> Value {
    let words = || or_null(text());
    let link = |what: &str| or_null(with_description(text(), what));
    let image = object(&[
        ("url", link("As the business uploaded it.")),
        ("preview_url", link("A small one.")),
    ]);
    object(&[
        (
            "id",
            with_description(text(), "A `product` is sent with it."),
        ),
        ("title", words()),
        ("description", words()),
        ("price", or_null(price_schema())),
        (
            "retailer_id",
            or_null(with_description(text(), "The business's own name for it.")),
        ),
        ("url", words()),
        (
            "images",
            with_description(
                list_of(image),
                "Links to WhatsApp's servers, which end after some time.",
            ),
        ),
        (
            "hidden",
            with_description(boolean(), "The owner alone sees it."),
        ),
        (
            "review",
            or_null(with_description(
                text(),
                "What WhatsApp's review came to, `approved`, say.",
            )),
        ),
    ])
}

fn order_content_schema() -> Value {
    let item = object(&[
        ("id", or_null(with_description(text(), "Of the product."))),
        ("title", or_null(text())),
        ("quantity", or_null(count())),
        (
            "price",
            or_null(with_description(price_schema(), "Of one of them.")),
        ),
        (
            "image_url",
            or_null(with_description(
                text(),
                "A link to its picture, which ends after some time.",
            )),
        ),
    ]);
    object(&[
        ("id", text()),
        ("items", list_of(item)),
        ("total", or_null(price_schema())),
    ])
}

/// Returns the member in which a product is sent.
pub fn sent_members() -> Vec<ProductMember> {
    let words = || or_null(text());
    let currency = with_keyword(
        with_description(text(), "ISO 4217."),
        "pattern",
        json!("^[A-Z]{3}$"),
    );
    let amount = with_description(
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
        (
            "id?",
            or_null(with_description(text(), "Of a file at `/v1/media`.")),
        ),
        (
            "link?",
            or_null(with_description(
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
            with_description(text(), "In the catalogue, a number that WhatsApp gave it."),
        ),
        ("title", text()),
        (
            "owner?",
            or_null(with_description(
                text(),
                "The business whose catalogue it is in; the account itself if left out.",
            )),
        ),
        ("description?", words()),
        ("price?", price()),
        ("sale_price?", price()),
        (
            "retailer_id?",
            or_null(with_description(text(), "The business's own name for it.")),
        ),
        ("url?", words()),
        ("image_count?", or_null(number(0, 100))),
        (
            "image?",
            or_null(with_description(image, IMAGE_DESCRIPTION)),
        ),
        (
            "body?",
            or_null(with_description(text(), "What stands beside it.")),
        ),
        ("footer?", words()),
    ]);
    vec![("product?", product)]
}

/// Returns the members of products and orders in events and answers; `null` for missing values.
pub fn shown_members() -> Vec<ProductMember> {
    let words = || or_null(text());
    let order = open_object(&[
        ("id", words()),
        (
            "token",
            or_null(with_description(
                text(),
                "Opens the order: what is in it is asked for with it.",
            )),
        ),
        (
            "title",
            or_null(with_description(text(), "Of the business.")),
        ),
        (
            "message",
            or_null(with_description(text(), "What the customer wrote.")),
        ),
        ("seller", words()),
        ("item_count", or_null(count())),
        (
            "status",
            or_null(with_description(
                text(),
                "`inquiry`, `accepted` or `declined`.",
            )),
        ),
        ("surface", words()),
        ("total", or_null(price_schema())),
    ]);
    let product = open_object(&[
        ("id", words()),
        ("owner", words()),
        ("title", words()),
        ("description", words()),
        ("price", or_null(price_schema())),
        ("sale_price?", price_schema()),
        ("retailer_id", words()),
        ("url", words()),
        ("image_count", or_null(count())),
        ("image", or_null(any_object())),
        ("body", words()),
        ("footer", words()),
    ]);
    vec![
        (
            "product?",
            with_description(
                product,
                "`image` is a file as in a message of type `image`.",
            ),
        ),
        (
            "order?",
            with_description(
                order,
                "Goods that a customer has put together. It comes in only.",
            ),
        ),
    ]
}

fn price_schema() -> Value {
    object(&[("amount", json!({"type": "number"})), ("currency", text())])
}
