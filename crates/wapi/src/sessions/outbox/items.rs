//! One message in the outbox. Pure.

use std::time::Duration;

use jiff::Timestamp;

use crate::store::MessageSeq;

/// Whether a message may wait for its session to come online.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SendMode {
    Queued,
    /// Its caller waits and gets an error at once; afterwards the message must not be sent.
    Immediate,
}

/// A message that was accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct QueuedMessage {
    pub seq: MessageSeq,
    pub chat: String,
    pub send_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub mode: SendMode,
    /// Whether the store has recorded that it may leave.
    pub is_recorded: bool,
    /// Whether it may have left in an earlier run.
    pub may_have_left: bool,
    /// Whether a file has to be fetched before it can leave.
    pub has_file: bool,
}

/// The progress of a message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum SendStage {
    /// Its time has not come.
    Scheduled,
    /// It waits in its lane.
    Waiting,
    /// Its file is being fetched and uploaded.
    Preparing,
    /// The store is recording that it may leave.
    Persisting,
    /// The engine has it, and WhatsApp has not answered.
    InFlight,
    /// It may have left, and no attempt is under way.
    Unconfirmed,
    /// It waits after a transient failure.
    Backoff,
}

#[derive(Debug)]
pub(super) struct OutboxItem {
    pub chat: String,
    pub seq: MessageSeq,
    pub send_at: Option<Timestamp>,
    pub expires_at: Option<Timestamp>,
    pub mode: SendMode,
    pub stage: SendStage,
    pub is_recorded: bool,
    pub is_prepared: bool,
    pub may_have_left: bool,
    /// Failed attempts and unanswered attempts so far.
    pub attempts: u32,
    pub unanswered: u32,
    pub timer: Option<Duration>,
}

impl OutboxItem {
    pub fn new(message: QueuedMessage) -> Self {
        let QueuedMessage {
            seq,
            chat,
            send_at,
            expires_at,
            mode,
            is_recorded,
            may_have_left,
            has_file,
        } = message;
        Self {
            chat,
            seq,
            send_at,
            expires_at,
            mode,
            stage: SendStage::Waiting,
            is_recorded,
            is_prepared: !has_file,
            may_have_left,
            attempts: 0,
            unanswered: 0,
            timer: None,
        }
    }

    /// Whether the message has expired. One that may have left does not expire: whether it was in
    /// time is already decided.
    pub fn is_expired(&self, now: Timestamp) -> bool {
        !self.may_have_left && self.expires_at.is_some_and(|time| time <= now)
    }

    pub fn may_have_left_by_now(&self) -> bool {
        self.may_have_left || self.stage == SendStage::InFlight
    }
}

/// Reasons why messages fail.
pub mod failures {
    use crate::model::event::SendFailure;
    use crate::store::SendOutcome;

    /// WhatsApp's error code for a message to a new contact whom the account may not message.
    pub const NEW_CHAT_CODE: &str = "463";

    fn failed_outcome(code: &str, detail: &str) -> SendOutcome {
        SendOutcome::Failed(SendFailure {
            code: code.to_owned(),
            detail: detail.to_owned(),
        })
    }

    /// Explains WhatsApp's refusal of a newsletter post.
    pub fn post_refusal(code: &str) -> SendOutcome {
        match code {
            "404" => newsletter_not_found(),
            "401" | "403" => not_newsletter_admin(),
            _ => message_refusal(code),
        }
    }

    /// Explains WhatsApp's refusal of a message to a group.
    pub fn group_refusal(code: &str) -> SendOutcome {
        match code {
            "401" | "403" => failed_outcome(
                "whatsapp_refused",
                &format!(
                    "WhatsApp refused the message with code {code}: the account may not write in this group; it left it or was removed, \
                     or only admins may write there (`announcement` in GET /v1/sessions/…/groups/…)"
                ),
            ),
            "404" => not_in_group(),
            _ => message_refusal(code),
        }
    }

    /// Explains WhatsApp's refusal of a message to a person.
    pub fn message_refusal(code: &str) -> SendOutcome {
        let reason = match code {
            NEW_CHAT_CODE => {
                "this account may not write to new contacts for now; wait, and let people write first"
            }
            "479" => "the message was not in a form it accepts",
            "404" => "there is no such recipient",
            "503" => "it could not take the message for now",
            _ => "it gave no reason",
        };
        failed_outcome(
            "whatsapp_refused",
            &format!("WhatsApp refused the message with code {code}: {reason}"),
        )
    }

    pub fn message_expired() -> SendOutcome {
        failed_outcome("expired", "it could not be sent before it expired")
    }

    pub fn session_offline() -> SendOutcome {
        failed_outcome(
            "session_not_online",
            "the session was not online, and the message was not to wait",
        )
    }

    pub fn device_logged_out() -> SendOutcome {
        failed_outcome(
            "session_logged_out",
            "the device was logged out before the message could be sent",
        )
    }

    pub fn media_unavailable(detail: String) -> SendOutcome {
        SendOutcome::Failed(SendFailure {
            code: "media_unavailable".to_owned(),
            detail,
        })
    }

    pub fn not_on_whatsapp() -> SendOutcome {
        failed_outcome(
            "not_on_whatsapp",
            "nobody has this number on WhatsApp; check it, with its country's code",
        )
    }

    pub fn not_in_group() -> SendOutcome {
        failed_outcome(
            "group_not_found",
            "the account is in no such group; GET /v1/sessions/…/groups lists those it is in",
        )
    }

    pub fn newsletter_not_found() -> SendOutcome {
        failed_outcome(
            "newsletter_not_found",
            "there is no such newsletter; GET /v1/sessions/…/newsletters lists those it follows",
        )
    }

    pub fn not_newsletter_admin() -> SendOutcome {
        failed_outcome(
            "not_newsletter_admin",
            "the account may not post in this newsletter; its owner has to make it an admin",
        )
    }

    pub fn not_sendable() -> SendOutcome {
        failed_outcome(
            "not_sendable",
            "the message could not be encrypted for this chat, or who is in it could not be learnt",
        )
    }
}
