//! The account's limits: the reach-out time-lock and the cap on new chats, as WhatsApp answers and
//! as it notifies.

use std::time::Duration;

use anyhow::Context;
use jiff::Timestamp;
use serde_json::{Value, json};
use whatsapp_rust::wacore::iq::mex::{MexDoc, MexQuerySpec, MexResponse};
use whatsapp_rust::wacore::iq::mex_operations::{
    fetch_new_chat_message_capping_info, fetch_reachout_timelock,
};
use whatsapp_rust::wacore::iq::spec::IqSpec;
use whatsapp_rust::wacore::request::InfoQuery;
use whatsapp_rust::wacore_binary::{NodeContentRef, NodeRef};

use crate::model::event::{NewChatQuota, ReachoutTimelock};
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::request_error::RequestError;

/// The only quota that WhatsApp Web asks for.
const QUOTA: &str = "INDIVIDUAL_NEW_CHAT_MSG";
/// Length of a time-lock of which WhatsApp does not give the end; WhatsApp Web assumes the same.
const UNKNOWN_END: Duration = Duration::from_secs(60);
/// Names of the notifications, and of their content.
const TIMELOCK_CHANGED: (&str, &str) = (
    "NotificationUserReachoutTimelockUpdate",
    "xwa2_notify_account_reachout_timelock",
);
const QUOTA_CHANGED: (&str, &str) = (
    "MessageCappingInfoNotification",
    "xwa2_notify_new_chat_messages_capping_info_update",
);

/// The limits that WhatsApp has reported, together or one of them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct LimitsUpdate {
    pub timelock: Option<ReachoutTimelock>,
    pub new_chats: Option<NewChatQuota>,
}

impl Link {
    /// Asks for the reach-out time-lock.
    pub async fn fetch_timelock(&self) -> Result<ReachoutTimelock, RequestError> {
        use fetch_reachout_timelock::{DOC_ID as id, NAME as name};
        let path = "xwa2_fetch_account_reachout_timelock";
        let found = self.run_limit_query(MexDoc { name, id }, json!({}), path);
        parse_timelock(&found.await?, self.clock.now()).ok_or(RequestError::Failed)
    }

    /// Asks for the quota of new chats.
    pub async fn fetch_new_chat_quota(&self) -> Result<NewChatQuota, RequestError> {
        use fetch_new_chat_message_capping_info::{DOC_ID as id, NAME as name};
        let (variables, path) = (
            json!({"input": {"type": QUOTA}}),
            "xwa2_message_capping_info",
        );
        let found = self.run_limit_query(MexDoc { name, id }, variables, path);
        parse_quota(&found.await?).ok_or(RequestError::Failed)
    }

    async fn run_limit_query(
        &self,
        document: MexDoc,
        variables: Value,
        path: &str,
    ) -> Result<Value, RequestError> {
        let query = MexQuerySpec::new(document, &variables).map_err(|_| RequestError::Failed)?;
        // Boxed: the engine's futures are nested too deeply for the compiler.
        let answering = Box::pin(self.client.execute(LimitQuery(query)));
        let answer = self.run_request(answering).await.map_err(withdrawn)?;
        if let Some(refusal) = answer.fatal_error() {
            let code = refusal
                .error_code()
                .and_then(|code| u16::try_from(code).ok());
            return Err(withdrawn(
                code.map_or(RequestError::Failed, RequestError::Refused),
            ));
        }
        let found = answer
            .data
            .and_then(|mut data| Some(data.get_mut(path)?.take()));
        found.ok_or(RequestError::Failed)
    }
}

/// Both queries name nobody and have no other choice: where WhatsApp does not find them, or finds
/// them bad, it has changed them.
fn withdrawn(error: RequestError) -> RequestError {
    match error {
        RequestError::Refused(400 | 404 | 501) => RequestError::Changed,
        error => error,
    }
}

/// A query whose refusal is read from the answer; the engine's own reports it as a broken answer.
struct LimitQuery(MexQuerySpec);

impl IqSpec for LimitQuery {
    type Response = MexResponse;

    fn build_iq(&self) -> InfoQuery<'static> {
        self.0.build_iq()
    }

    fn parse_response(&self, response: &NodeRef<'_>) -> Result<MexResponse, anyhow::Error> {
        let content = response
            .get_optional_child("result")
            .and_then(|result| result.content.as_ref());
        Ok(match content.context("the answer is empty")? {
            NodeContentRef::Bytes(bytes) => serde_json::from_slice(bytes)?,
            NodeContentRef::String(text) => serde_json::from_str(text)?,
            NodeContentRef::Nodes(_) => anyhow::bail!("the answer is not text"),
        })
    }
}

/// Reads a notification of WhatsApp; `None` if it is not about limits.
pub(in crate::whatsapp) fn parse_notification(
    name: &str,
    payload: &Value,
    now: Timestamp,
) -> Option<LimitsUpdate> {
    let content = |path: &str| payload.get("data").unwrap_or(payload).get(path).cloned();
    if name == TIMELOCK_CHANGED.0 {
        let timelock = parse_timelock(&content(TIMELOCK_CHANGED.1)?, now)?;
        return Some(LimitsUpdate {
            timelock: Some(timelock),
            new_chats: None,
        });
    }
    let new_chats = (name == QUOTA_CHANGED.0)
        .then(|| content(QUOTA_CHANGED.1))
        .flatten()?;
    Some(LimitsUpdate {
        timelock: None,
        new_chats: Some(parse_quota(&new_chats)?),
    })
}

fn parse_timelock(found: &Value, now: Timestamp) -> Option<ReachoutTimelock> {
    if !found.get("is_active")?.as_bool()? {
        return Some(ReachoutTimelock::none());
    }
    let until = read_time(&found["time_enforcement_ends"]).or(now.checked_add(UNKNOWN_END).ok());
    Some(ReachoutTimelock {
        active: until.is_some_and(|until| until > now),
        until,
        kind: read_word(&found["enforcement_type"]),
        known: true,
    })
}

fn parse_quota(found: &Value) -> Option<NewChatQuota> {
    let status = read_word(found.get("capping_status")?);
    // An account without a quota has one of -1.
    let of = read_number(&found["total_quota"]).and_then(|of| u64::try_from(of).ok());
    let used = read_number(&found["used_quota"]).and_then(|used| u64::try_from(used).ok());
    Some(NewChatQuota {
        used: used.filter(|_| of.is_some()),
        of,
        from: read_time(&found["cycle_start_timestamp"]),
        until: read_time(&found["cycle_end_timestamp"]),
        status,
    })
}

/// Reads a number, which WhatsApp writes as a text in some places.
fn read_number(value: &Value) -> Option<i64> {
    value.as_i64().or_else(|| value.as_str()?.parse().ok())
}

fn read_time(value: &Value) -> Option<Timestamp> {
    read_number(value)
        .filter(|second| *second > 0)
        .and_then(|second| Timestamp::from_second(second).ok())
}

fn read_word(value: &Value) -> Option<String> {
    value.as_str().map(str::to_ascii_lowercase)
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp::UNIX_EPOCH;

    fn at(second: i64) -> Timestamp {
        Timestamp::from_second(second).unwrap()
    }

    #[test]
    fn a_lock_without_an_end_is_assumed_to_last_a_minute() {
        let found = json!({"is_active": true, "enforcement_type": "WEB_COMPANION_ONLY"});
        let lock = parse_timelock(&found, NOW).unwrap();
        assert_eq!((lock.active, lock.until), (true, Some(at(60))));
        assert_eq!(lock.kind.as_deref(), Some("web_companion_only"));
        let off = json!({"is_active": false, "time_enforcement_ends": "0"});
        assert_eq!(parse_timelock(&off, NOW), Some(ReachoutTimelock::none()));
        assert_eq!(parse_timelock(&json!({"state": "new words"}), NOW), None);
    }

    #[test]
    fn numbers_are_read_as_texts_too() {
        for (total, end) in [(json!(50), json!("1000")), (json!("50"), json!(1000))] {
            let change = json!({"data": {"xwa2_notify_new_chat_messages_capping_info_update": {
                "capping_status": "CAPPED", "total_quota": total, "used_quota": total, "cycle_end_timestamp": end,
            }}});
            let told = parse_notification(QUOTA_CHANGED.0, &change, NOW).unwrap();
            let quota = told.new_chats.unwrap();
            assert_eq!(
                (quota.used, quota.of, quota.until),
                (Some(50), Some(50), Some(at(1000)))
            );
            assert_eq!(
                parse_notification("TextStatusUpdateNotification", &change, NOW),
                None
            );
        }
        let none = json!({"capping_status": "NONE", "total_quota": "-1", "used_quota": "0"});
        let quota = parse_quota(&none).unwrap();
        assert_eq!((quota.of, quota.used), (None, None));
    }
}
