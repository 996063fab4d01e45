//! The cap on new chats: the quota of messages that linked devices may write to people who do not trust
//! the account, in cycles. Messages of the phone itself are refused beyond it, and not counted.

use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

use crate::model::ids::PhoneNumber;
use crate::server::world::{Account, World};
use crate::wire::unix_time;

/// Share of the quota, in percent, from which on WhatsApp warns.
const FIRST_WARNING: u64 = 50;

/// The quota of one cycle.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewChatCap {
    /// How many messages to new contacts the account may write in a cycle.
    pub total: u64,
    /// How many it has written.
    #[serde(default)]
    pub used: u64,
    /// Beginning and end of the cycle, in seconds since 1970.
    pub from: u64,
    pub until: u64,
}

impl NewChatCap {
    /// The cap in the cycle of `now`; nothing is used in a new cycle.
    fn at(self, now: u64) -> Self {
        let length = self.until.saturating_sub(self.from).max(1);
        let passed = match now.checked_sub(self.until) {
            None => return self,
            Some(over) => over / length + 1,
        };
        Self {
            used: 0,
            from: self.from + passed * length,
            until: self.until + passed * length,
            ..self
        }
    }

    fn status(self) -> &'static str {
        if self.used >= self.total {
            "CAPPED"
        } else if self.used * 100 >= self.total * FIRST_WARNING {
            "FIRST_WARNING"
        } else {
            "NONE"
        }
    }
}

impl Account {
    /// The cap on the account's new chats, if it has one.
    pub(crate) fn current_cap(&self) -> Option<NewChatCap> {
        self.trust.cap.map(|cap| cap.at(unix_time()))
    }

    /// Describes the cap as WhatsApp answers it. WhatsApp caps few accounts.
    pub(crate) fn describe_cap(&self) -> Value {
        let cap = self.current_cap();
        json!({
            "total_quota": cap.map_or_else(|| "-1".to_owned(), |cap| cap.total.to_string()),
            "used_quota": cap.map_or(0, |cap| cap.used).to_string(),
            "cycle_start_timestamp": cap.map(|cap| cap.from),
            "cycle_end_timestamp": cap.map(|cap| cap.until),
            "server_sent_timestamp": unix_time(),
            "ote_status": "NOT_ELIGIBLE",
            "mv_status": "NOT_ELIGIBLE",
            "capping_status": cap.map_or("NONE", NewChatCap::status),
        })
    }

    /// Describes the cap as WhatsApp's notification does: there, quotas are numbers and times are
    /// texts.
    pub(crate) fn describe_cap_change(&self) -> Value {
        let cap = self.current_cap();
        let time = |time: Option<u64>| time.map(|time| time.to_string());
        json!({
            "total_quota": cap.map_or(-1, |cap| i64::try_from(cap.total).unwrap_or(i64::MAX)),
            "used_quota": cap.map_or(0, |cap| cap.used),
            "cycle_start_timestamp": time(cap.map(|cap| cap.from)),
            "cycle_end_timestamp": time(cap.map(|cap| cap.until)),
            "server_sent_timestamp": unix_time().to_string(),
            "ote_status": "NOT_ELIGIBLE",
            "mv_status": "NOT_ELIGIBLE",
            "capping_status": cap.map_or("NONE", NewChatCap::status),
        })
    }

    pub(crate) fn is_capped(&self) -> bool {
        self.current_cap().is_some_and(|cap| cap.used >= cap.total)
    }
}

impl World {
    /// Counts a message to a new contact. Returns whether the account's devices are told, because
    /// the status of its cap changes.
    pub(crate) fn count_new_chat(&mut self, number: &PhoneNumber) -> bool {
        let Some(account) = self.account_mut(number) else {
            return false;
        };
        let Some(cap) = account.current_cap() else {
            return false;
        };
        let counted = NewChatCap {
            used: cap.used + 1,
            ..cap
        };
        account.trust.cap = Some(counted);
        counted.status() != cap.status()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_cycle_that_is_over_is_followed_by_the_one_of_today() {
        let cap = NewChatCap {
            total: 10,
            used: 10,
            from: 1_000,
            until: 1_100,
        };
        assert_eq!((cap.at(1_099), cap.status()), (cap, "CAPPED"));
        let next = cap.at(1_250);
        assert_eq!((next.used, next.from, next.until), (0, 1_200, 1_300));
        assert_eq!(next.status(), "NONE");
        assert_eq!(NewChatCap { used: 5, ..next }.status(), "FIRST_WARNING");
    }
}
