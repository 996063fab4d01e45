//! One message in the outbox. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::store::Place;

/// Whether a message may wait for its session to come online.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Haste {
    Patient,
    /// Its caller waits and gets an error at once; afterwards the message must not be sent.
    NowOrNever,
}

/// A message that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Message {
    pub place: Place,
    pub chat: String,
    pub send_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub haste: Haste,
    /// Whether the store has recorded that it may leave.
    pub is_marked: bool,
    /// Whether it may have left in an earlier run.
    pub may_have_left: bool,
    /// Whether a file has to be fetched before it can leave.
    pub has_file: bool,
}

/// The progress of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Stage {
    /// Its time has not come.
    Scheduled,
    /// It waits in its lane.
    Waiting,
    /// Its file is being fetched and uploaded.
    Preparing,
    /// The store is recording that it may leave.
    Marking,
    /// The engine has it, and WhatsApp has not answered.
    Leaving,
    /// It may have left, and no attempt is under way.
    Doubtful,
    /// It waits after a transient failure.
    Resting,
}

#[derive(Debug)]
pub(super) struct Item {
    pub chat: String,
    pub place: Place,
    pub send_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub haste: Haste,
    pub stage: Stage,
    pub is_marked: bool,
    pub is_prepared: bool,
    pub may_have_left: bool,
    /// Failed attempts and unanswered attempts so far.
    pub tries: u32,
    pub asked: u32,
    pub timer: Option<Duration>,
}

impl Item {
    pub fn new(message: Message) -> Self {
        let Message {
            place,
            chat,
            send_at,
            expires_at,
            haste,
            is_marked,
            may_have_left,
            has_file,
        } = message;
        Self {
            chat,
            place,
            send_at,
            expires_at,
            haste,
            stage: Stage::Waiting,
            is_marked,
            is_prepared: !has_file,
            may_have_left,
            tries: 0,
            asked: 0,
            timer: None,
        }
    }

    /// Whether the message has expired. One that may have left does not expire: whether it was in
    /// time is already decided.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        !self.may_have_left && self.expires_at.is_some_and(|time| time <= now)
    }

    pub fn may_have_left_by_now(&self) -> bool {
        self.may_have_left || self.stage == Stage::Leaving
    }
}

/// Reasons why messages fail.
pub mod failures {
    use crate::event::Failure;
    use crate::store::Verdict;

    /// WhatsApp's error code for a message to a new contact whom the account may not message.
    pub const NEW_CHAT: &str = "463";

    fn failed(code: &str, detail: &str) -> Verdict {
        Verdict::Failed(Failure {
            code: code.to_owned(),
            detail: detail.to_owned(),
        })
    }

    /// Explains WhatsApp's refusal of a newsletter post.
    pub fn refused_post(code: &str) -> Verdict {
        match code {
            "404" => no_newsletter(),
            "401" | "403" => not_newsletter_admin(),
            _ => refused(code),
        }
    }

    /// Explains WhatsApp's refusal of a message to a group.
    pub fn refused_in_group(code: &str) -> Verdict {
        match code {
            "401" | "403" => failed(
                "whatsapp_refused",
                &format!(
                    "WhatsApp refused the message with code {code}: the account may not write in this group; it left it or was removed, \
                     or only admins may write there (`announcement` in GET /v1/sessions/…/groups/…)"
                ),
            ),
            "404" => not_in_group(),
            _ => refused(code),
        }
    }

    /// Explains WhatsApp's refusal of a message to a person.
    pub fn refused(code: &str) -> Verdict {
        let reason = match code {
            NEW_CHAT => {
                "this account may not write to new contacts for now; wait, and let people write first"
            }
            "479" => "the message was not in a form it accepts",
            "404" => "there is no such recipient",
            "503" => "it could not take the message for now",
            _ => "it gave no reason",
        };
        failed(
            "whatsapp_refused",
            &format!("WhatsApp refused the message with code {code}: {reason}"),
        )
    }

    pub fn expired() -> Verdict {
        failed("expired", "it could not be sent before it expired")
    }

    pub fn offline() -> Verdict {
        failed(
            "session_not_online",
            "the session was not online, and the message was not to wait",
        )
    }

    pub fn logged_out() -> Verdict {
        failed(
            "session_logged_out",
            "the device was logged out before the message could be sent",
        )
    }

    pub fn media(detail: String) -> Verdict {
        Verdict::Failed(Failure {
            code: "media_unavailable".to_owned(),
            detail,
        })
    }

    pub fn nobody_there() -> Verdict {
        failed(
            "not_on_whatsapp",
            "nobody has this number on WhatsApp; check it, with its country's code",
        )
    }

    pub fn not_in_group() -> Verdict {
        failed(
            "group_not_found",
            "the account is in no such group; GET /v1/sessions/…/groups lists those it is in",
        )
    }

    pub fn no_newsletter() -> Verdict {
        failed(
            "newsletter_not_found",
            "there is no such newsletter; GET /v1/sessions/…/newsletters lists those it follows",
        )
    }

    pub fn not_newsletter_admin() -> Verdict {
        failed(
            "not_newsletter_admin",
            "the account may not post in this newsletter; its owner has to make it an admin",
        )
    }

    pub fn engine() -> Verdict {
        failed(
            "not_sendable",
            "the message could not be encrypted for this chat, or who is in it could not be learnt",
        )
    }
}
