//! Problems of messages that failed while the caller waited.

use super::{PROBLEM_TYPES, Problem, ProblemType};
use crate::model::send_failure::SendFailure;

impl From<SendFailure> for Problem {
    fn from(failure: SendFailure) -> Self {
        let detail = failure.detail().to_owned();
        Self::NotSent { failure, detail }
    }
}

/// The problem types that only failed messages have.
pub static FAILED_SEND_TYPES: [ProblemType; 8] = [
    failed_send_row(
        502,
        "media_unavailable",
        "File cannot be sent",
        "The file could not be downloaded, is not of the right type, or was not accepted by WhatsApp's media servers.",
    ),
    failed_send_row(
        502,
        "expired",
        "Message expired",
        "The message expired before it could be sent.",
    ),
    failed_send_row(
        502,
        "session_logged_out",
        "Session logged out",
        "The device was logged out before the message could be sent.",
    ),
    failed_send_row(
        502,
        "not_sendable",
        "Message cannot be sent",
        "The message could not be encrypted for this chat, or the members of the chat could not be determined.",
    ),
    failed_send_row(
        409,
        "new_chats_held",
        "No new chats for now",
        "WhatsApp lets the account start no new chats for now, and the message was not to be queued; nothing was sent.",
    ),
    failed_send_row(
        409,
        "pace_held",
        "Kept by the pacing",
        "The pacing of the session keeps the message for longer than its caller waits (`min_gap`, `per_day`, \
         `new_chats_per_day`), and the message was not to be queued; nothing was sent, and nothing will be.",
    ),
    // The recipient cannot be reached: the caller has to name another one.
    failed_send_row(
        404,
        "not_on_whatsapp",
        "Number not on WhatsApp",
        "Nobody has this number on WhatsApp; nothing was sent.",
    ),
    failed_send_row(
        403,
        "not_newsletter_admin",
        "Not an admin of the newsletter",
        "The account may not post in this newsletter; nothing was sent.",
    ),
];

const fn failed_send_row(
    status: u16,
    code: &'static str,
    title: &'static str,
    meaning: &'static str,
) -> ProblemType {
    ProblemType {
        code,
        status,
        title,
        meaning,
        section: "Failed messages",
    }
}

/// Returns the problem type of a failed message.
pub(super) fn failed_send_type(failure: &SendFailure) -> ProblemType {
    let code = match failure {
        // That code is the problem of a session, not of a message.
        SendFailure::SessionNotOnline => SendFailure::NotSendable.code(),
        failure => failure.code(),
    };
    let rows = FAILED_SEND_TYPES.iter().chain(PROBLEM_TYPES);
    let known = rows.into_iter().find(|row| row.code == code);
    *known.expect("every failure has a row, as a test ensures")
}
