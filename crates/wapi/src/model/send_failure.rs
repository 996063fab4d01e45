//! Reasons why a message was not sent: one list for the sender, the store, events and answers.

use std::borrow::Cow;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::message::ChatId;

/// The reason why a message was not sent. In JSON and in the store: its code and its detail.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(from = "FailureDocument", into = "FailureDocument")]
pub enum SendFailure {
    /// WhatsApp refused the message itself; contains the explanation.
    WhatsappRefused(Cow<'static, str>),
    /// Its file can be neither fetched nor uploaded; contains the reason.
    MediaUnavailable(Cow<'static, str>),
    /// It expired before it could leave.
    Expired,
    /// The session was offline, and the message was not to wait.
    SessionNotOnline,
    /// The device was unlinked before the message left.
    SessionLoggedOut,
    NotOnWhatsapp,
    /// The account may start no new chats for now, and the message was not to wait.
    NewChatsHeld,
    /// The session sends no faster, or no more in a day, and the message was not to wait.
    PaceHeld,
    /// The account is not a member of the group.
    GroupNotFound,
    NewsletterNotFound,
    /// The account does not run the newsletter.
    NotNewsletterAdmin,
    /// The engine could not build or encrypt it.
    NotSendable,
}

impl SendFailure {
    /// WhatsApp's error code for a message to a new contact whom the account may not message.
    pub const NEW_CHAT_CODE: &str = "463";

    /// The codes of the failures of messages that never left.
    pub const UNSENT_CODES: [&str; 8] = [
        Self::MediaUnavailable(Cow::Borrowed("")).code(),
        Self::Expired.code(),
        Self::SessionNotOnline.code(),
        Self::SessionLoggedOut.code(),
        Self::NotOnWhatsapp.code(),
        Self::NewChatsHeld.code(),
        Self::PaceHeld.code(),
        Self::NotSendable.code(),
    ];

    /// Whether the message may have left for WhatsApp, which then refused it.
    pub const fn may_have_left(&self) -> bool {
        match self {
            Self::WhatsappRefused(_)
            | Self::GroupNotFound
            | Self::NewsletterNotFound
            | Self::NotNewsletterAdmin => true,
            Self::MediaUnavailable(_)
            | Self::Expired
            | Self::SessionNotOnline
            | Self::SessionLoggedOut
            | Self::NotOnWhatsapp
            | Self::NewChatsHeld
            | Self::PaceHeld
            | Self::NotSendable => false,
        }
    }

    /// Explains WhatsApp's refusal of a message with this error code.
    pub fn from_refusal(to: &ChatId, code: &str) -> Self {
        let reason = match (to, code) {
            (ChatId::Newsletter(_), "404") => return Self::NewsletterNotFound,
            (ChatId::Newsletter(_), "401" | "403") => return Self::NotNewsletterAdmin,
            (ChatId::Group(_), "404") => return Self::GroupNotFound,
            (ChatId::Group(_), "401" | "403") => {
                "the account may not write in this group; it left it or was removed, or only admins \
                 may write there (`announcement` in GET /v1/sessions/…/groups/…)"
            }
            (_, Self::NEW_CHAT_CODE) => {
                "this account may not write to new contacts for now; wait, and let people write first"
            }
            (_, "479") => "the message was not in a form it accepts",
            (_, "404") => "there is no such recipient",
            (_, "503") => "it could not accept the message for now",
            _ => "it gave no reason",
        };
        Self::WhatsappRefused(
            format!("WhatsApp refused the message with code {code}: {reason}").into(),
        )
    }

    /// Returns the failure that was stored as this code and detail. A code of a newer version counts
    /// as [`Self::NotSendable`].
    pub fn from_stored(code: &str, detail: String) -> Self {
        match code {
            "whatsapp_refused" => Self::WhatsappRefused(detail.into()),
            "media_unavailable" => Self::MediaUnavailable(detail.into()),
            "expired" => Self::Expired,
            "session_not_online" => Self::SessionNotOnline,
            "session_logged_out" => Self::SessionLoggedOut,
            "not_on_whatsapp" => Self::NotOnWhatsapp,
            "new_chats_held" => Self::NewChatsHeld,
            "pace_held" => Self::PaceHeld,
            "group_not_found" => Self::GroupNotFound,
            "newsletter_not_found" => Self::NewsletterNotFound,
            "not_newsletter_admin" => Self::NotNewsletterAdmin,
            _ => Self::NotSendable,
        }
    }

    /// Returns the stable, documented code.
    pub const fn code(&self) -> &'static str {
        match self {
            Self::WhatsappRefused(_) => "whatsapp_refused",
            Self::MediaUnavailable(_) => "media_unavailable",
            Self::Expired => "expired",
            Self::SessionNotOnline => "session_not_online",
            Self::SessionLoggedOut => "session_logged_out",
            Self::NotOnWhatsapp => "not_on_whatsapp",
            Self::NewChatsHeld => "new_chats_held",
            Self::PaceHeld => "pace_held",
            Self::GroupNotFound => "group_not_found",
            Self::NewsletterNotFound => "newsletter_not_found",
            Self::NotNewsletterAdmin => "not_newsletter_admin",
            Self::NotSendable => "not_sendable",
        }
    }

    /// Returns the explanation for people.
    pub fn detail(&self) -> &str {
        match self {
            Self::WhatsappRefused(detail) | Self::MediaUnavailable(detail) => detail,
            Self::Expired => "it could not be sent before it expired",
            Self::SessionNotOnline => {
                "the session was not online, and the message was not to be queued"
            }
            Self::SessionLoggedOut => "the device was logged out before the message could be sent",
            Self::NotOnWhatsapp => "the number is not on WhatsApp; check it and its country code",
            Self::NewChatsHeld => {
                "the account may not write to new contacts for now (GET /v1/sessions/…/limits), and the message was \
                 not to be queued"
            }
            Self::PaceHeld => {
                "the `pacing` of the session keeps the message for longer than its caller waits, and the message was \
                 not to be queued"
            }
            Self::GroupNotFound => {
                "the account is not in this group; GET /v1/sessions/…/groups lists its groups"
            }
            Self::NewsletterNotFound => {
                "the newsletter does not exist; GET /v1/sessions/…/newsletters lists those that the account follows"
            }
            Self::NotNewsletterAdmin => {
                "the account may not post in this newsletter; its owner has to make it an admin"
            }
            Self::NotSendable => {
                "the message could not be encrypted for this chat, or its members are not known"
            }
        }
    }
}

/// A failure as JSON.
#[derive(Serialize, Deserialize, JsonSchema)]
#[schemars(rename = "SendFailure", deny_unknown_fields)]
struct FailureDocument {
    /// Stable and documented, e.g. `expired`, `whatsapp_refused`.
    code: String,
    /// Human-readable explanation.
    detail: String,
}

impl From<SendFailure> for FailureDocument {
    fn from(failure: SendFailure) -> Self {
        Self {
            code: failure.code().to_owned(),
            detail: failure.detail().to_owned(),
        }
    }
}

impl From<FailureDocument> for SendFailure {
    fn from(FailureDocument { code, detail }: FailureDocument) -> Self {
        Self::from_stored(&code, detail)
    }
}

#[cfg(test)]
impl SendFailure {
    /// Returns one failure of each kind.
    pub fn examples() -> [Self; 12] {
        [
            Self::WhatsappRefused("code 500".into()),
            Self::MediaUnavailable("404".into()),
            Self::Expired,
            Self::SessionNotOnline,
            Self::SessionLoggedOut,
            Self::NotOnWhatsapp,
            Self::NewChatsHeld,
            Self::PaceHeld,
            Self::GroupNotFound,
            Self::NewsletterNotFound,
            Self::NotNewsletterAdmin,
            Self::NotSendable,
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_store_and_the_sender_agree_about_what_never_left() {
        for failure in SendFailure::examples() {
            let is_unsent = SendFailure::UNSENT_CODES.contains(&failure.code());
            assert_eq!(is_unsent, !failure.may_have_left(), "{failure:?}");
        }
    }

    #[test]
    fn a_stored_failure_is_read_back_as_it_was() {
        for failure in SendFailure::examples() {
            let again = SendFailure::from_stored(failure.code(), failure.detail().to_owned());
            assert_eq!(again, failure);
        }
    }
}
