//! Routes of sessions and of linking a phone. Seeing a QR code suffices to link an account.

use crate::http::access::table::RouteTable;
use crate::http::{connect_page, v1};
use crate::model::access::Scope::{Admin, Ask, Read};

pub(super) fn add_session_routes(table: RouteTable) -> RouteTable {
    table
        .get("/v1/sessions", Read.narrowed(), v1::sessions::list_sessions)
        .post(
            "/v1/sessions",
            Admin.narrowed(),
            v1::sessions::create_session,
        )
        .get("/v1/sessions/{session}", Read, v1::sessions::show_session)
        .patch(
            "/v1/sessions/{session}",
            Admin,
            v1::sessions::settings::change_session,
        )
        .delete(
            "/v1/sessions/{session}",
            Admin,
            v1::sessions::remove_session,
        )
        .post(
            "/v1/sessions/{session}/start",
            Admin,
            v1::sessions::start_session,
        )
        .post(
            "/v1/sessions/{session}/stop",
            Admin,
            v1::sessions::stop_session,
        )
        .post(
            "/v1/sessions/{session}/restart",
            Admin,
            v1::sessions::restart_session,
        )
        .post(
            "/v1/sessions/{session}/logout",
            Admin,
            v1::sessions::log_out_session,
        )
        .post(
            "/v1/sessions/{session}/check",
            Ask,
            v1::sessions::check::check_session,
        )
        .post(
            "/v1/sessions/{session}/proxy/check",
            Admin,
            v1::sessions::proxy::check_proxy,
        )
        .get(
            "/v1/sessions/{session}/limits",
            Read,
            v1::sessions::limits::show_limits,
        )
        .get_tokened("/connect/{token}", connect_page::show_connect_page)
        .post_tokened("/connect/{token}", connect_page::submit_connect_form)
        .get(
            "/v1/sessions/{session}/qr",
            Admin,
            v1::sessions::qr_code::show_qr_code,
        )
        .get(
            "/v1/sessions/{session}/connect-links",
            Admin,
            v1::sessions::connect_links::list_connect_links,
        )
        .post(
            "/v1/sessions/{session}/connect-links",
            Admin,
            v1::sessions::connect_links::create_connect_link,
        )
        .delete(
            "/v1/sessions/{session}/connect-links/{id}",
            Admin,
            v1::sessions::connect_links::remove_connect_link,
        )
        .get(
            "/v1/sessions/{session}/passkey",
            Admin,
            v1::sessions::passkey::show_passkey,
        )
        .post(
            "/v1/sessions/{session}/passkey",
            Admin,
            v1::sessions::passkey::answer_passkey,
        )
        .post(
            "/v1/sessions/{session}/passkey/confirm",
            Admin,
            v1::sessions::passkey::confirm_passkey,
        )
        .post(
            "/v1/sessions/{session}/pairing-code",
            Admin,
            v1::sessions::create_pairing_code,
        )
        .get(
            "/v1/sessions/{session}/devices",
            Read,
            v1::profile::devices::list_devices,
        )
}
