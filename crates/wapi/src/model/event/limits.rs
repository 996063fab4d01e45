//! Limits that WhatsApp sets an account. A public contract.

use jiff::Timestamp;
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The word of WhatsApp for a quota that is used up.
const CAPPED: &str = "capped";

/// The limits of an account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct AccountLimits {
    pub timelock: ReachoutTimelock,
    pub new_chats: NewChatQuota,
    /// Neither an earlier run nor WhatsApp has told them.
    #[serde(skip)]
    pub is_unknown: bool,
}

/// The reach-out time-lock: WhatsApp refuses messages to people who have not written to the
/// account (code 463).
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct ReachoutTimelock {
    pub active: bool,
    /// The time at which it ends by itself; `null` without a time-lock.
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    pub until: Option<Timestamp>,
    /// WhatsApp's word for the reason, in lower case, such as `default` or `web_companion_only`.
    pub kind: Option<String>,
    /// Whether WhatsApp has told it. `false`: nobody knows whether there is a time-lock, and `active`
    /// says nothing.
    #[serde(default)]
    pub known: bool,
}

/// The cap on new chats: the quota of messages to people who have not written to the account.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[schemars(deny_unknown_fields)]
pub struct NewChatQuota {
    pub used: Option<u64>,
    /// The quota; `null` for accounts without one.
    pub of: Option<u64>,
    /// Beginning and end of the cycle of the quota.
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    pub from: Option<Timestamp>,
    #[serde(serialize_with = "crate::model::timestamp::optional")]
    pub until: Option<Timestamp>,
    /// WhatsApp's word, in lower case: `none`, `first_warning`, `second_warning`, or `capped`.
    pub status: Option<String>,
}

impl ReachoutTimelock {
    /// WhatsApp's word that there is none.
    pub const fn none() -> Self {
        Self {
            active: false,
            until: None,
            kind: None,
            known: true,
        }
    }

    /// Whether it holds at this time.
    pub fn holds(&self, now: Timestamp) -> bool {
        self.active && self.until.is_none_or(|until| until > now)
    }
}

impl NewChatQuota {
    /// Whether the quota of the cycle of `now` is used up.
    pub fn is_used_up(&self, now: Timestamp) -> bool {
        let is_over = self.until.is_some_and(|until| until <= now);
        !is_over && (self.status.as_deref() == Some(CAPPED) || self.remaining(now) == Some(0))
    }

    /// Returns the rest of the quota; `None` without a quota, or in a cycle of which WhatsApp has
    /// said nothing yet.
    pub fn remaining(&self, now: Timestamp) -> Option<u64> {
        let is_over = self.until.is_some_and(|until| until <= now);
        let rest = self.of?.saturating_sub(self.used.unwrap_or_default());
        (!is_over).then_some(rest)
    }
}

/// `session.limits`: a limit of the account began, ended, or changed.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct SessionLimits {
    pub session: String,
    #[serde(flatten)]
    pub limits: AccountLimits,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_used_up_by_its_status_or_its_count_until_the_cycle_ends() {
        let at = |second| Timestamp::from_second(second).unwrap();
        let quota = |used, status: &str| NewChatQuota {
            used: Some(used),
            of: Some(10),
            from: Some(at(0)),
            until: Some(at(100)),
            status: Some(status.to_owned()),
        };
        assert!(quota(10, "none").is_used_up(at(99)));
        assert!(quota(3, "capped").is_used_up(at(99)));
        assert!(!quota(9, "first_warning").is_used_up(at(99)));
        assert!(!quota(10, "capped").is_used_up(at(100)));
        assert!(!NewChatQuota::default().is_used_up(at(0)));
    }
}
