//! The sandbox: the phones of a simulated WhatsApp, which write, read, scan, and break here.
//!
//! There are no such pages on a gateway that talks to the real WhatsApp.

mod one_phone;
mod phones;
mod simulator;
mod texts;

use crate::http::access::table::RouteTable;
use crate::model::access::Scope::Admin;

pub use simulator::SimulatorClient;

/// Everything here is for admins of all sessions: phones belong to nobody.
pub fn add_routes(table: RouteTable) -> RouteTable {
    table
        .get("/dashboard/sandbox", Admin, phones::show_phones)
        .get("/dashboard/live/sandbox", Admin, phones::stream_phones)
        .post("/dashboard/sandbox/phones", Admin, phones::add_phone)
        .post(
            "/dashboard/sandbox/connections",
            Admin,
            phones::set_connections,
        )
        .get(
            "/dashboard/sandbox/phones/{number}",
            Admin,
            one_phone::show_phone,
        )
        .get(
            "/dashboard/live/sandbox/phones/{number}",
            Admin,
            one_phone::stream_phone,
        )
        .post(
            "/dashboard/sandbox/phones/{number}/scan",
            Admin,
            one_phone::scan_code,
        )
        .post(
            "/dashboard/sandbox/phones/{number}/send",
            Admin,
            one_phone::send_text,
        )
        .post(
            "/dashboard/sandbox/phones/{number}/read",
            Admin,
            one_phone::read_message,
        )
        .post(
            "/dashboard/sandbox/phones/{number}/receipts",
            Admin,
            one_phone::set_receipts,
        )
        .post(
            "/dashboard/sandbox/phones/{number}/break",
            Admin,
            one_phone::break_device,
        )
}
