//! Routes of the account's own profile, privacy, catalogue, calls, presence, and files.

use crate::http::access::table::RouteTable;
use crate::http::v1;
use crate::model::access::Scope::{Manage, Read, Send};

pub(super) fn add_account_routes(table: RouteTable) -> RouteTable {
    table
        .get(
            "/v1/sessions/{session}/blocked",
            Read,
            v1::contacts::blocklist::list_blocked,
        )
        .get(
            "/v1/sessions/{session}/profile",
            Read,
            v1::profile::show_profile,
        )
        .put(
            "/v1/sessions/{session}/profile",
            Send,
            v1::profile::change_profile,
        )
        .put(
            "/v1/sessions/{session}/profile/picture",
            Send,
            v1::profile::picture::set_picture,
        )
        .delete(
            "/v1/sessions/{session}/profile/picture",
            Send,
            v1::profile::picture::remove_picture,
        )
        .get(
            "/v1/sessions/{session}/catalog",
            Read,
            v1::catalog::show_catalog,
        )
        .get(
            "/v1/sessions/{session}/orders/{order}",
            Read,
            v1::catalog::show_order,
        )
        .put(
            "/v1/sessions/{session}/presence",
            Send,
            v1::presence::set_presence,
        )
        .post(
            "/v1/sessions/{session}/calls/{call}/reject",
            Send,
            v1::calls::reject_call,
        )
        .post(
            "/v1/sessions/{session}/media",
            Send,
            v1::media::upload_media,
        )
        .get(
            "/v1/sessions/{session}/media",
            Read,
            v1::media::listing::list_media,
        )
        .get("/v1/media/{id}", Read.narrowed(), v1::media::show_media)
        .get(
            "/v1/media/{id}/content",
            Read.narrowed(),
            v1::media::send_media_content,
        )
        .delete("/v1/media/{id}", Send.narrowed(), v1::media::remove_media)
        .get(
            "/v1/sessions/{session}/privacy",
            Read,
            v1::profile::privacy::show_privacy,
        )
        .patch(
            "/v1/sessions/{session}/privacy",
            Manage,
            v1::profile::privacy::change_privacy,
        )
        .post(
            "/v1/sessions/{session}/calls/links",
            Send,
            v1::calls::create_call_link,
        )
}
