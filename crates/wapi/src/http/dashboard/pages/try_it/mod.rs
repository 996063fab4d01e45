//! Try it: a form for each route of `/v1`, made from the OpenAPI document, with the call as curl.

mod call;
mod fields;
mod operations;
mod page;
mod summaries;
mod texts;

pub use fields::{TrialRequest, write_curl};

use crate::http::access::table::RouteTable;
use crate::model::access::Scope::Read;

/// The routes behind the forms check the scopes that they need themselves.
pub fn add_routes(table: RouteTable) -> RouteTable {
    table
        .get(
            "/dashboard/try",
            Read.narrowed().for_any_key(),
            page::show_operations,
        )
        .get(
            "/dashboard/try/{operation}",
            Read.narrowed().for_any_key(),
            page::show_operation,
        )
        .post(
            "/dashboard/try/{operation}",
            Read.narrowed().for_any_key(),
            page::call_operation,
        )
        .post(
            "/dashboard/try/{operation}/preview",
            Read.narrowed().for_any_key(),
            page::preview_operation,
        )
}
