//! Pages for operators: webhooks, activity, health and settings, and the numbers of the overview.

mod activity;
pub mod chart;
mod health;
pub mod lag;
pub mod numbers;
pub mod session;
mod webhook;

use crate::http::access::table::RouteTable;
use crate::model::access::Scope::Admin;

pub use webhook::creation_form;

/// Adds the pages to the table.
pub fn add_routes(table: RouteTable) -> RouteTable {
    table
        .get("/dashboard/activity", Admin, activity::show_activity)
        .get(
            "/dashboard/activity/export",
            Admin,
            activity::export_activity,
        )
        .get("/dashboard/health", Admin, health::show_health)
        .get("/dashboard/licences", Admin, health::show_licences)
        .post(
            "/dashboard/sessions/{session}/check",
            Admin,
            session::check_session,
        )
        .post(
            "/dashboard/sessions/{session}/limits",
            Admin,
            session::ask_limits,
        )
        .post(
            "/dashboard/sessions/{session}/pacing",
            Admin,
            session::set_pacing,
        )
        .post("/dashboard/webhooks", Admin, webhook::create_webhook)
        .get("/dashboard/webhooks/{id}", Admin, webhook::show_webhook)
        .post(
            "/dashboard/webhooks/{id}/change",
            Admin,
            webhook::change_webhook,
        )
        .post(
            "/dashboard/webhooks/{id}/disable",
            Admin,
            webhook::disable_webhook,
        )
        .post(
            "/dashboard/webhooks/{id}/rotate-secret",
            Admin,
            webhook::rotate_secret,
        )
        .post(
            "/dashboard/webhooks/{id}/remove",
            Admin,
            webhook::remove_webhook,
        )
        .post(
            "/dashboard/webhooks/{id}/deliveries/send",
            Admin,
            webhook::send_event,
        )
}
