//! Invitations to become an admin of a newsletter.

use jiff::Timestamp;
use serde_json::json;
use whatsapp_rust::wacore::iq::mex::MexDoc;
use whatsapp_rust::wacore::iq::mex_operations::{
    accept_newsletter_admin_invite, create_newsletter_admin_invite,
    fetch_newsletter_pending_invites, revoke_newsletter_admin_invite,
};

use super::newsletter_address;
use crate::model::event::{Newsletter, Person};
use crate::model::message::ChatId;
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::request_error::RequestError;

impl Link {
    /// Invites a person to become an admin of an own newsletter; returns until when. WhatsApp tells
    /// the person nothing: the owner's client sends a message of its own.
    pub async fn invite_newsletter_admin(
        &self,
        id: &str,
        person: &ChatId,
    ) -> Result<Option<Timestamp>, RequestError> {
        let document = MexDoc {
            name: create_newsletter_admin_invite::NAME,
            id: create_newsletter_admin_invite::DOC_ID,
        };
        let whom = self.name_admin(id, person).await;
        let path = "xwa2_newsletter_admin_invite_create";
        let invite = self.run_newsletter_query(document, &whom, path).await?;
        let expiration = &invite["invite_expiration_time"];
        let seconds = expiration
            .as_i64()
            .or_else(|| expiration.as_str()?.parse().ok());
        Ok(seconds.and_then(|seconds| Timestamp::from_second(seconds).ok()))
    }

    /// Revokes the invitation of a person.
    pub async fn revoke_newsletter_invite(
        &self,
        id: &str,
        person: &ChatId,
    ) -> Result<(), RequestError> {
        let document = MexDoc {
            name: revoke_newsletter_admin_invite::NAME,
            id: revoke_newsletter_admin_invite::DOC_ID,
        };
        let whom = self.name_admin(id, person).await;
        let path = "xwa2_newsletter_admin_invite_revoke";
        self.run_newsletter_query(document, &whom, path)
            .await
            .map(drop)
    }

    /// Accepts the invitation of this account; returns the newsletter, of which it is an admin.
    pub async fn accept_newsletter_invite(&self, id: &str) -> Result<Newsletter, RequestError> {
        let document = MexDoc {
            name: accept_newsletter_admin_invite::NAME,
            id: accept_newsletter_admin_invite::DOC_ID,
        };
        let newsletter = newsletter_address(id);
        let which = json!({"newsletter_id": newsletter});
        let path = "xwa2_newsletter_admin_invite_accept";
        self.run_newsletter_query(document, &which, path).await?;
        let accepted = self.fetch_newsletter(id).await?;
        // The account may not have followed it before.
        if let Err(error) = self.posts.begin_reading(&newsletter).await {
            tracing::warn!(%error, "failed to note the last post of a newsletter");
        }
        Ok(accepted)
    }

    /// Returns the people who are invited and have not answered; only admins may ask.
    pub async fn fetch_newsletter_invites(&self, id: &str) -> Result<Vec<Person>, RequestError> {
        let document = MexDoc {
            name: fetch_newsletter_pending_invites::NAME,
            id: fetch_newsletter_pending_invites::DOC_ID,
        };
        let which = json!({"newsletter_id": newsletter_address(id)});
        let found = self
            .run_newsletter_query(document, &which, "xwa2_newsletter_admin")
            .await?;
        let invites = found["pending_admin_invites"]
            .as_array()
            .ok_or(RequestError::Changed)?;
        let mut invited = Vec::with_capacity(invites.len());
        for invite in invites {
            let person = self.parse_person(&invite["user"]).await;
            invited.push(person.ok_or(RequestError::Changed)?);
        }
        Ok(invited)
    }
}
