//! Why a message that somebody waited for was not sent, as a problem.

use axum::http::StatusCode;

use crate::event::Failure;

/// The code of a message to a number that nobody has.
pub const NOT_ON_WHATSAPP: &str = "not_on_whatsapp";
/// The same of a message to a group that the account is not in.
pub(super) const GROUP_NOT_FOUND: &str = "group_not_found";
/// The same of a post in a newsletter that there is not.
pub(super) const NEWSLETTER_NOT_FOUND: &str = "newsletter_not_found";
/// The same of a post in a newsletter of others.
const NOT_NEWSLETTER_ADMIN: &str = "not_newsletter_admin";

/// The stable code, and what it means in a few words.
pub(super) fn code(failure: &Failure) -> (&'static str, &'static str) {
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

pub(super) fn status(failure: &Failure) -> StatusCode {
    match failure.code.as_str() {
        // Nobody can be reached there: the caller has to name somebody else.
        NOT_ON_WHATSAPP | GROUP_NOT_FOUND | NEWSLETTER_NOT_FOUND => StatusCode::NOT_FOUND,
        NOT_NEWSLETTER_ADMIN => StatusCode::FORBIDDEN,
        _ => StatusCode::BAD_GATEWAY,
    }
}
