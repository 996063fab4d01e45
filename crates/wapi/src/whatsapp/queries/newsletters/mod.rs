//! Newsletters: listing, following, and the right to post.

pub mod admin;
pub mod insights;
pub mod invites;
pub mod posts;

use std::collections::HashMap;
use std::sync::Arc;

use anyhow::Context;
use jiff::Timestamp;
use parking_lot::Mutex;
use serde_json::{Value, json};
use whatsapp_rust::wacore::iq::mex::{MexDoc, MexQuerySpec, MexResponse};
use whatsapp_rust::wacore::iq::mex_operations::{
    fetch_all_newsletters_metadata, fetch_newsletter, join_newsletter, leave_newsletter,
};
use whatsapp_rust::wacore::iq::spec::IqSpec;
use whatsapp_rust::wacore::request::InfoQuery;
use whatsapp_rust::wacore_binary::{NodeContentRef, NodeRef};
use whatsapp_rust::{Client, Jid};

use crate::model::event::{Newsletter, NewsletterRole};
use crate::model::send_failure::SendFailure;
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::receive::newsletter_backfill::PostReader;
use crate::whatsapp::request_error::RequestError;
use crate::whatsapp::send::handover::HandoverError;

/// Prefix of newsletter links.
const LINK_PREFIX: &str = "https://whatsapp.com/channel/";

/// The newsletters that a session is known to follow.
#[derive(Debug, Default)]
pub(in crate::whatsapp) struct FollowedNewsletters(Mutex<HashMap<String, Newsletter>>);

impl FollowedNewsletters {
    pub fn get(&self, id: &str) -> Option<Newsletter> {
        self.0.lock().get(id).cloned()
    }

    pub fn insert(&self, newsletter: Newsletter) {
        self.0.lock().insert(newsletter.id.clone(), newsletter);
    }

    fn remove(&self, id: &str) {
        self.0.lock().remove(id);
    }

    fn replace_all(&self, newsletters: &[Newsletter]) {
        let all = newsletters
            .iter()
            .map(|newsletter| (newsletter.id.clone(), newsletter.clone()));
        *self.0.lock() = all.collect();
    }
}

impl Link {
    /// Returns the newsletters that the account follows or may post in, sorted by address.
    pub async fn fetch_newsletters(&self) -> Result<Vec<Newsletter>, RequestError> {
        self.run_request(query_newsletters(&self.client, &self.followed))
            .await
    }

    /// Returns one newsletter, followed or not.
    pub async fn fetch_newsletter(&self, id: &str) -> Result<Newsletter, RequestError> {
        let found = self
            .run_request(query_newsletter(&self.client, &newsletter_address(id)))
            .await?;
        if found.role > NewsletterRole::Guest {
            self.followed.insert(found.clone());
        }
        Ok(found)
    }

    /// Follows or unfollows a newsletter. Posts from now on become events.
    pub async fn set_following(&self, id: &str, follow: bool) -> Result<(), RequestError> {
        let (name, document, path) = match follow {
            true => (
                join_newsletter::NAME,
                join_newsletter::DOC_ID,
                "xwa2_newsletter_join_v2",
            ),
            false => (
                leave_newsletter::NAME,
                leave_newsletter::DOC_ID,
                "xwa2_newsletter_leave_v2",
            ),
        };
        let newsletter = newsletter_address(id);
        let change = json!({"newsletter_id": newsletter});
        self.run_request(run_query(
            &self.client,
            MexDoc { name, id: document },
            &change,
            path,
        ))
        .await?;
        if follow {
            self.posts.fetch_metadata(&newsletter).await;
            self.run_request(self.posts.begin_reading(&newsletter))
                .await
        } else {
            self.forget_newsletter(&newsletter).await
        }
    }

    /// Forgets a newsletter that is no longer followed, by its address.
    pub(super) async fn forget_newsletter(&self, newsletter: &str) -> Result<(), RequestError> {
        self.followed.remove(newsletter);
        self.posts.stop_reading(newsletter).await
    }

    /// Checks that the account may post in a newsletter; asks WhatsApp if that is not known.
    pub(in crate::whatsapp) async fn ensure_may_post(&self, id: &str) -> Result<(), HandoverError> {
        if self
            .followed
            .get(&newsletter_address(id))
            .is_some_and(|newsletter| newsletter.role.can_post())
        {
            return Ok(());
        }
        match self.fetch_newsletter(id).await {
            Ok(newsletter) if newsletter.role.can_post() => Ok(()),
            Ok(_) => Err(HandoverError::Rejected(SendFailure::NotNewsletterAdmin)),
            Err(why) if why.is_not_found() => {
                Err(HandoverError::Rejected(SendFailure::NewsletterNotFound))
            }
            Err(RequestError::Offline | RequestError::Timeout(_)) => Err(HandoverError::Offline),
            Err(why) => Err(HandoverError::Failed(why.to_string())),
        }
    }
}

/// Completes the part before `@newsletter` to the whole address.
pub(in crate::whatsapp) fn newsletter_address(id: &str) -> String {
    Jid::newsletter(id).to_string()
}

/// Fetches all newsletters that the account follows, and remembers them.
pub(in crate::whatsapp) async fn query_newsletters(
    client: &Client,
    followed: &FollowedNewsletters,
) -> Result<Vec<Newsletter>, RequestError> {
    let (name, document) = (
        fetch_all_newsletters_metadata::NAME,
        fetch_all_newsletters_metadata::DOC_ID,
    );
    let found = run_query(
        client,
        MexDoc { name, id: document },
        &json!({}),
        "xwa2_newsletter_subscribed",
    )
    .await?;
    // An incomplete list must fail, or the newsletters missing from it would be forgotten.
    let all = found
        .as_array()
        .ok_or(RequestError::Changed)?
        .iter()
        .map(parse_newsletter);
    let mut newsletters = all
        .collect::<Option<Vec<_>>>()
        .ok_or(RequestError::Changed)?;
    newsletters.sort_by(|one, other| one.id.cmp(&other.id));
    followed.replace_all(&newsletters);
    Ok(newsletters)
}

pub(in crate::whatsapp) async fn query_newsletter(
    client: &Client,
    id: &str,
) -> Result<Newsletter, RequestError> {
    let question = json!({
        "input": {"key": id, "type": "JID", "view_role": "GUEST"},
        "fetch_viewer_metadata": true, "fetch_full_image": true, "fetch_creation_time": true,
    });
    let document = MexDoc {
        name: fetch_newsletter::NAME,
        id: fetch_newsletter::DOC_ID,
    };
    let found = run_query(client, document, &question, "xwa2_newsletter").await?;
    parse_newsletter(&found).ok_or(RequestError::Changed)
}

/// A query that keeps the error code of a refusal. The engine's own form drops the code, and its
/// newsletter queries lose the account's role, which WhatsApp writes in capitals.
struct NewsletterQuery(MexQuerySpec);

impl IqSpec for NewsletterQuery {
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

pub(super) async fn run_query(
    client: &Client,
    document: MexDoc,
    variables: &Value,
    path: &str,
) -> Result<Value, RequestError> {
    const NOT_THERE: u16 = 404;
    /// Codes for the request as such; refusals of its content come with the answer.
    const UNKNOWN_DOCUMENT: [u16; 4] = [400, 404, 405, 501];
    let question =
        NewsletterQuery(MexQuerySpec::new(document, variables).map_err(|_| RequestError::Failed)?);
    // Boxed: the engine's futures are nested too deeply for the compiler.
    let answer = Box::pin(client.execute(question)).await;
    let answer = answer.map_err(|error| match error.into() {
        RequestError::Refused(code) if UNKNOWN_DOCUMENT.contains(&code) => RequestError::Changed,
        error => error,
    })?;
    if let Some(refusal) = answer.fatal_error() {
        let code = refusal
            .error_code()
            .and_then(|code| u16::try_from(code).ok());
        // A refusal of what was asked has a code; one of the question itself has none.
        return Err(code.map_or(RequestError::Changed, RequestError::Refused));
    }
    match answer.data {
        Some(mut data) if !data[path].is_null() => Ok(data[path].take()),
        _ => Err(RequestError::Refused(NOT_THERE)),
    }
}

/// Converts WhatsApp's JSON, in which numbers come as strings.
pub(super) fn parse_newsletter(found: &Value) -> Option<Newsletter> {
    let about = &found["thread_metadata"];
    let text = |value: &Value| {
        value
            .as_str()
            .filter(|text| !text.is_empty())
            .map(str::to_owned)
    };
    let number = |value: &Value| value.as_u64().or_else(|| value.as_str()?.parse().ok());
    let created = number(&about["creation_time"]).and_then(|seconds| i64::try_from(seconds).ok());
    Some(Newsletter {
        id: text(&found["id"])?,
        name: text(&about["name"]["text"]).unwrap_or_default(),
        description: text(&about["description"]["text"]),
        role: parse_role(
            found["viewer_metadata"]["role"]
                .as_str()
                .unwrap_or_default(),
        ),
        muted: found["viewer_metadata"]["mute"].as_str() == Some("ON"),
        followers: number(&about["subscribers_count"]).unwrap_or_default(),
        verified: about["verification"]
            .as_str()
            .is_some_and(|word| word.eq_ignore_ascii_case("verified")),
        link: text(&about["invite"]).map(|invite| format!("{LINK_PREFIX}{invite}")),
        created_at: created.and_then(|seconds| Timestamp::from_second(seconds).ok()),
    })
}

pub(super) fn parse_role(word: &str) -> NewsletterRole {
    match word.to_ascii_lowercase().as_str() {
        "owner" => NewsletterRole::Owner,
        "admin" => NewsletterRole::Admin,
        "subscriber" => NewsletterRole::Follower,
        _ => NewsletterRole::Guest,
    }
}

/// The newsletters that a link knows, and the reader of their posts.
pub(in crate::whatsapp) type NewsletterParts = (Arc<FollowedNewsletters>, Arc<PostReader>);

#[cfg(test)]
mod tests {
    use crate::whatsapp::queries::newsletters::*;

    #[test]
    fn a_newsletter_is_read_whatever_is_left_out_and_however_its_role_is_written() {
        let whole = json!({
            "id": "120363000000000001@newsletter",
            "state": {"type": "ACTIVE"},
            "thread_metadata": {
                "name": {"text": "News"}, "description": {"text": "All of it"}, "creation_time": "1700000000",
                "invite": "ABC", "subscribers_count": "12", "verification": "VERIFIED",
            },
            "viewer_metadata": {"role": "OWNER", "mute": "ON"},
        });
        let expected = Newsletter {
            id: "120363000000000001@newsletter".to_owned(),
            name: "News".to_owned(),
            description: Some("All of it".to_owned()),
            role: NewsletterRole::Owner,
            muted: true,
            followers: 12,
            verified: true,
            link: Some("https://whatsapp.com/channel/ABC".to_owned()),
            created_at: Timestamp::from_second(1_700_000_000).ok(),
        };
        assert_eq!(parse_newsletter(&whole), Some(expected));
        let bare = parse_newsletter(
            &json!({"id": "1@newsletter", "viewer_metadata": {"role": "subscriber"}}),
        )
        .unwrap();
        assert_eq!(
            (bare.role, bare.followers, bare.name.as_str()),
            (NewsletterRole::Follower, 0, "")
        );
        assert_eq!(parse_newsletter(&json!({"viewer_metadata": {}})), None);
    }
}
