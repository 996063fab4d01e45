//! Problems of messages that failed while the caller waited.

use axum::http::StatusCode;

use crate::model::event::SendFailure;

/// The code of a failed message to a number that is not on WhatsApp.
pub const NOT_ON_WHATSAPP: &str = "not_on_whatsapp";
/// The code of a failed message to a group that the account is not a member of.
pub(super) const GROUP_NOT_FOUND: &str = "group_not_found";
/// The code of a failed post in a newsletter that does not exist.
pub(super) const NEWSLETTER_NOT_FOUND: &str = "newsletter_not_found";
/// The code of a failed post in a newsletter that the account does not run.
const NOT_NEWSLETTER_ADMIN: &str = "not_newsletter_admin";

/// Returns the stable code and the title.
pub(super) fn failure_code(failure: &SendFailure) -> (&'static str, &'static str) {
    match failure.code.as_str() {
        "whatsapp_refused" => ("whatsapp_refused", "WhatsApp refused the message"),
        "media_unavailable" => ("media_unavailable", "The file cannot be sent"),
        "expired" => ("expired", "The message expired before it could be sent"),
        GROUP_NOT_FOUND => (GROUP_NOT_FOUND, "The account is in no such group"),
        NEWSLETTER_NOT_FOUND => (NEWSLETTER_NOT_FOUND, "There is no such newsletter"),
        NOT_NEWSLETTER_ADMIN => (
            NOT_NEWSLETTER_ADMIN,
            "The account may not post in this newsletter",
        ),
        NOT_ON_WHATSAPP => (NOT_ON_WHATSAPP, "The number is not on WhatsApp"),
        "session_logged_out" => ("session_logged_out", "The device was logged out"),
        _ => ("not_sendable", "The message cannot be sent"),
    }
}

pub(super) fn failure_status(failure: &SendFailure) -> StatusCode {
    match failure.code.as_str() {
        // The recipient cannot be reached: the caller has to name another one.
        NOT_ON_WHATSAPP | GROUP_NOT_FOUND | NEWSLETTER_NOT_FOUND => StatusCode::NOT_FOUND,
        NOT_NEWSLETTER_ADMIN => StatusCode::FORBIDDEN,
        _ => StatusCode::BAD_GATEWAY,
    }
}
