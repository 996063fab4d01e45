//! Products and orders in messages, and catalogues and orders from WhatsApp. Pure.

use serde_json::{Value, json};

use super::groups::REQUEST_PROBLEMS;
use crate::http::openapi::operation::{Operation, describe_route};
use crate::http::openapi::schema::{
    decimal, number, object, or_null, sha256, text, with_description, with_keyword,
};
use crate::http::openapi::type_schemas::answer_schema;
use crate::http::v1::catalog::PRODUCT_LIMIT;
use crate::http::v1::messages::products::HIGHEST_AMOUNT;
use crate::model::message::{CatalogPage, OrderDetails};

type ProductMember = (&'static str, Value);

const IMAGE_DESCRIPTION: &str =
    "Image of the product, handled like any file. Without one, phones show the product poorly.";

pub fn describe_operations() -> Vec<Operation> {
    vec![
        describe_route(
            "GET",
            "/v1/sessions/{session}/catalog",
            "List the products of a business",
        )
        .with_query(
            "of",
            text(),
            "The business: a number in any spelling, or an address. Defaults to the account.",
        )
        .with_query(
            "limit",
            number(1, PRODUCT_LIMIT.1.into()),
            "Maximum number of products in an answer. Default: \
             20.",
        )
        .with_query("cursor", text(), "`next` of the previous answer.")
        .with_answer(
            200,
            "The products, in WhatsApp's order.",
            answer_schema::<CatalogPage>(),
        )
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[(404, "catalog_not_found")]),
        describe_route(
            "GET",
            "/v1/sessions/{session}/orders/{order}",
            "Retrieve an order of a customer",
        )
        .with_required_query("token", text(), "The value in the message of type `order`.")
        .with_answer(200, "The order.", answer_schema::<OrderDetails>())
        .with_problems(&REQUEST_PROBLEMS)
        .with_problems(&[(404, "order_not_found")]),
    ]
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
        "At most three decimals.",
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
            or_null(with_description(text(), "Id of a file at `/v1/media`.")),
        ),
        (
            "link?",
            or_null(with_description(
                text(),
                "Address from which the file is downloaded before sending; instead of `id`.",
            )),
        ),
        (
            "sha256?",
            or_null(sha256(
                "Hash of the file; a file with another hash is not sent.",
            )),
        ),
    ]);
    let product = object(&[
        (
            "id",
            with_description(
                text(),
                "Number of the product in the catalogue, assigned by WhatsApp.",
            ),
        ),
        ("title", text()),
        (
            "owner?",
            or_null(with_description(
                text(),
                "The business that owns the catalogue. Defaults to the account.",
            )),
        ),
        ("description?", words()),
        ("price?", price()),
        ("sale_price?", price()),
        (
            "retailer_id?",
            or_null(with_description(text(), "Article number of the business.")),
        ),
        ("url?", words()),
        ("image_count?", or_null(number(0, 100))),
        (
            "image?",
            or_null(with_description(image, IMAGE_DESCRIPTION)),
        ),
        (
            "body?",
            or_null(with_description(text(), "Text next to the product.")),
        ),
        ("footer?", words()),
    ]);
    vec![("product?", product)]
}
