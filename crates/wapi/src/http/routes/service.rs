//! Routes of the gateway itself, and the six of the original.

use crate::http::access::table::RouteTable;
use crate::http::{front_page, monitoring, openapi, original};
use crate::model::access::Scope::{Admin, Read, Send};

pub(super) fn add_service_routes(table: RouteTable) -> RouteTable {
    table
        .get_unkeyed("/", front_page::serve_front_page)
        .get_unkeyed("/health/live", monitoring::health::check_liveness)
        .get_unkeyed("/health/ready", monitoring::health::check_readiness)
        .get_unkeyed("/openapi.json", openapi::serve_document)
        .get_unkeyed("/docs", openapi::serve_page)
        .get("/metrics", Read, monitoring::metrics::serve_metrics)
        .get("/v1/settings", Admin, monitoring::settings::list_settings)
        .get("/v1/activity", Admin, monitoring::activity::list_activity)
        .post(
            "/register-session",
            Admin.narrowed(),
            original::register_session,
        )
        .post("/send-message", Send.narrowed(), original::send_message)
        .post("/send-image", Send.narrowed(), original::send_image)
        // The QR code allows anyone to link an account.
        .get("/get-qr-code/{session}", Admin, original::get_qr_code)
        .get(
            "/get-session-info/{session}",
            Read,
            original::get_session_info,
        )
        .get(
            "/get-active-connection-info/{session}",
            Read,
            original::get_active_connection_info,
        )
}
