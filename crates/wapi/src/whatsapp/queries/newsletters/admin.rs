//! Administration of newsletters: creating, changing and deleting them, their followers and
//! owners, and the public directory.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use jiff::Timestamp;
use serde_json::{Value, json};
use whatsapp_rust::Jid;
use whatsapp_rust::wacore::iq::mex::MexDoc;
use whatsapp_rust::wacore::iq::mex_operations::{
    change_newsletter_owner, create_newsletter, delete_newsletter, demote_newsletter_admin,
    fetch_newsletter_directory_search_results, fetch_newsletter_followers, update_newsletter,
    update_newsletter_user_setting,
};

use super::{newsletter_address, parse_newsletter, parse_role, run_query};
use crate::model::event::{Newsletter, NewsletterRole, Person};
use crate::model::message::ChatId;
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::notifications::observer::KnownAddresses;
use crate::whatsapp::request_error::RequestError;
use crate::whatsapp::send::encode;

/// A follower of an own newsletter, as WhatsApp tells its admins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewsletterFollower {
    pub person: Person,
    pub role: NewsletterRole,
    pub followed_at: Option<Timestamp>,
}

impl Link {
    /// Creates a newsletter, of which the account is the owner.
    pub async fn create_newsletter(
        &self,
        name: &str,
        description: Option<&str>,
    ) -> Result<Newsletter, RequestError> {
        let document = MexDoc {
            name: create_newsletter::NAME,
            id: create_newsletter::DOC_ID,
        };
        let mut input = json!({"name": name});
        if let Some(description) = description {
            input["description"] = json!(description);
        }
        let created = self
            .run_newsletter_query(document, &json!({"input": input}), "xwa2_newsletter_create")
            .await?;
        let id = created["id"].as_str().ok_or(RequestError::Changed)?;
        let id = id.strip_suffix("@newsletter").unwrap_or(id);
        // Answers to changes leave out the account's role.
        let newsletter = match self.fetch_newsletter(id).await {
            Ok(newsletter) => newsletter,
            // It exists: an error would make the caller create another one.
            Err(error) => {
                tracing::warn!(%error, "failed to read a new newsletter");
                let created = parse_newsletter(&created).ok_or(error)?;
                Newsletter {
                    role: NewsletterRole::Owner,
                    ..created
                }
            }
        };
        if let Err(error) = self.posts.begin_reading(&newsletter.id).await {
            tracing::warn!(%error, "failed to note the first post of a new newsletter");
        }
        Ok(newsletter)
    }

    /// Changes the name, the description, or both.
    pub async fn update_newsletter(
        &self,
        id: &str,
        name: Option<&str>,
        description: Option<&str>,
    ) -> Result<Newsletter, RequestError> {
        let mut updates = json!({});
        if let Some(name) = name {
            updates["name"] = json!(name);
        }
        if let Some(description) = description {
            updates["description"] = json!(description);
        }
        self.send_newsletter_updates(id, updates).await?;
        self.fetch_newsletter(id).await
    }

    /// Sets the picture, a square JPEG; `None` removes it.
    pub async fn set_newsletter_picture(
        &self,
        id: &str,
        jpeg: Option<Vec<u8>>,
    ) -> Result<(), RequestError> {
        // An empty text removes the picture.
        let picture = jpeg.map(|jpeg| STANDARD.encode(jpeg)).unwrap_or_default();
        self.send_newsletter_updates(id, json!({"picture": picture}))
            .await
    }

    async fn send_newsletter_updates(&self, id: &str, updates: Value) -> Result<(), RequestError> {
        let document = MexDoc {
            name: update_newsletter::NAME,
            id: update_newsletter::DOC_ID,
        };
        let change = json!({"newsletter_id": newsletter_address(id), "updates": updates});
        self.run_newsletter_query(document, &change, "xwa2_newsletter_update")
            .await
            .map(drop)
    }

    /// Deletes a newsletter for everybody. Only its owner can.
    pub async fn delete_newsletter(&self, id: &str) -> Result<(), RequestError> {
        let document = MexDoc {
            name: delete_newsletter::NAME,
            id: delete_newsletter::DOC_ID,
        };
        let newsletter = newsletter_address(id);
        let which = json!({"newsletter_id": newsletter});
        self.run_newsletter_query(document, &which, "xwa2_newsletter_delete_v2")
            .await?;
        // It is deleted: an error would say that it is not.
        if let Err(error) = self.forget_newsletter(&newsletter).await {
            tracing::warn!(%error, "failed to forget a deleted newsletter");
        }
        Ok(())
    }

    /// Mutes or unmutes the notifications about a followed newsletter on the account's phone.
    pub async fn set_newsletter_muted(&self, id: &str, muted: bool) -> Result<(), RequestError> {
        let document = MexDoc {
            name: update_newsletter_user_setting::NAME,
            id: update_newsletter_user_setting::DOC_ID,
        };
        let input = json!({
            "newsletter_id": newsletter_address(id), "type": "MUTE_FOLLOWER_ACTIVITY",
            "value": if muted { "ON" } else { "OFF" },
        });
        let path = "xwa2_newsletter_update_user_setting";
        self.run_newsletter_query(document, &json!({"input": input}), path)
            .await
            .map(drop)
    }

    /// Transfers a newsletter to one of its admins. The account stays an admin.
    pub async fn change_newsletter_owner(
        &self,
        id: &str,
        admin: &ChatId,
    ) -> Result<(), RequestError> {
        let document = MexDoc {
            name: change_newsletter_owner::NAME,
            id: change_newsletter_owner::DOC_ID,
        };
        self.change_admin(document, id, admin, "xwa2_newsletter_change_owner")
            .await
    }

    /// Makes an admin of a newsletter a follower again.
    pub async fn demote_newsletter_admin(
        &self,
        id: &str,
        admin: &ChatId,
    ) -> Result<(), RequestError> {
        let document = MexDoc {
            name: demote_newsletter_admin::NAME,
            id: demote_newsletter_admin::DOC_ID,
        };
        self.change_admin(document, id, admin, "xwa2_newsletter_admin_demote")
            .await
    }

    async fn change_admin(
        &self,
        document: MexDoc,
        id: &str,
        admin: &ChatId,
        path: &str,
    ) -> Result<(), RequestError> {
        let whom = self.name_admin(id, admin).await;
        self.run_newsletter_query(document, &whom, path)
            .await
            .map(drop)
    }

    /// Returns the variables of a query about one person in a newsletter. WhatsApp knows people in
    /// newsletters by their LIDs.
    pub(super) async fn name_admin(&self, id: &str, person: &ChatId) -> Value {
        let jid = encode::chat_jid(&self.resolve_chat(person, self.answer_timeout).await);
        let lid = match self.client.get_lid_pn_entry(&jid).await {
            Ok(Some(known)) => Jid::lid(&*known.lid),
            _ => jid,
        };
        json!({"newsletter_id": newsletter_address(id), "user_id": lid.to_string()})
    }

    /// Returns some followers of a newsletter; only its admins may ask.
    pub async fn fetch_followers(
        &self,
        id: &str,
        count: u32,
    ) -> Result<Vec<NewsletterFollower>, RequestError> {
        let document = MexDoc {
            name: fetch_newsletter_followers::NAME,
            id: fetch_newsletter_followers::DOC_ID,
        };
        let input = json!({"newsletter_id": newsletter_address(id), "count": count});
        let path = "xwa2_newsletter_followers";
        let found = self
            .run_newsletter_query(document, &json!({"input": input}), path)
            .await?;
        let edges = found["followers"]["edges"]
            .as_array()
            .ok_or(RequestError::Changed)?;
        let mut followers = Vec::with_capacity(edges.len());
        for edge in edges {
            followers.push(
                self.parse_follower(edge)
                    .await
                    .ok_or(RequestError::Changed)?,
            );
        }
        Ok(followers)
    }

    /// Reads a person as newsletters name people.
    pub(super) async fn parse_person(&self, node: &Value) -> Option<Person> {
        let jid = |name| node[name].as_str()?.parse::<Jid>().ok();
        let (named, number): (Jid, Option<Jid>) = (jid("id")?, jid("pn"));
        let number = number.filter(|number| *number != named);
        let others = KnownAddresses::look_up(&self.client, vec![(named.clone(), number)]).await;
        let person = others.build_person(&named, None, node["display_name"].as_str());
        Some(person.with_username(node["username_info"]["username"].as_str()))
    }

    async fn parse_follower(&self, edge: &Value) -> Option<NewsletterFollower> {
        let person = self.parse_person(&edge["node"]).await?;
        let role = edge["role"].as_str().unwrap_or("subscriber");
        let since = &edge["follow_time"];
        let since = since.as_i64().or_else(|| since.as_str()?.parse().ok());
        Some(NewsletterFollower {
            person,
            role: parse_role(role),
            followed_at: since.and_then(|seconds| Timestamp::from_second(seconds).ok()),
        })
    }

    /// Searches the public directory of newsletters.
    pub async fn search_newsletters(
        &self,
        text: &str,
        limit: u32,
    ) -> Result<Vec<Newsletter>, RequestError> {
        let document = MexDoc {
            name: fetch_newsletter_directory_search_results::NAME,
            id: fetch_newsletter_directory_search_results::DOC_ID,
        };
        let input = json!({"search_text": text, "limit": limit, "categories": []});
        let question = json!({"input": input, "fetch_status_metadata": false});
        let found = self
            .run_newsletter_query(document, &question, "xwa2_newsletters_directory_search")
            .await?;
        let results = found["result"].as_array().ok_or(RequestError::Changed)?;
        let found: Option<Vec<_>> = results.iter().map(parse_newsletter).collect();
        found.ok_or(RequestError::Changed)
    }

    pub(super) async fn run_newsletter_query(
        &self,
        document: MexDoc,
        variables: &Value,
        path: &str,
    ) -> Result<Value, RequestError> {
        self.run_request(run_query(&self.client, document, variables, path))
            .await
    }
}
