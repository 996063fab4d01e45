//! Ways into groups: invite links, invites in messages, and requests to join.

use jiff::Timestamp;
use whatsapp_rust::features::JoinGroupResult;
use whatsapp_rust::wacore::iq::groups::GetGroupInviteInfoIq;
use whatsapp_rust::wacore::iq::spec::IqSpec;
use whatsapp_rust::wacore::request::InfoQuery;
use whatsapp_rust::wacore_binary::builder::NodeBuilder;
use whatsapp_rust::wacore_binary::{NodeContent, NodeRef};
use whatsapp_rust::{GroupMetadata, Jid};

use crate::model::event::Group;
use crate::model::group_change::{
    JoinRequest, JoinStatus, MemberResult, MemberStatus, ReceivedInvite,
};
use crate::model::message::ChatId;
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::notifications::groups::{INVITE_LINK, convert_group};
use crate::whatsapp::notifications::observer::KnownAddresses;
use crate::whatsapp::request_error::RequestError;
use crate::whatsapp::send::encode;

impl Link {
    /// Returns the code of a group's invite link.
    pub async fn fetch_invite_code(&self, id: &str) -> Result<String, RequestError> {
        let handle = self.client.groups();
        let link = self
            .run_boxed(handle.get_invite_link(Jid::group(id), false))
            .await?;
        Ok(code_of(&link))
    }

    /// Revokes a group's invite link, and returns the code of the new one.
    pub async fn revoke_invite_code(&self, id: &str) -> Result<String, RequestError> {
        let (jid, handle) = (Jid::group(id), self.client.groups());
        let link = self
            .run_change(|| handle.get_invite_link(jid.clone(), true))
            .await?;
        Ok(code_of(&link))
    }

    /// Returns the group behind the code of an invite link, with its address.
    pub async fn fetch_invited_group(&self, code: &str) -> Result<(String, Group), RequestError> {
        let handle = self.client.groups();
        let found = self.run_boxed(handle.get_invite_info(code)).await?;
        let others = KnownAddresses::look_up(&self.client, Vec::new()).await;
        Ok(convert_group(&found, &others))
    }

    /// Returns the group that an invite in a message is for, with its address.
    pub async fn fetch_group_of_invite(
        &self,
        invite: &ReceivedInvite,
    ) -> Result<(String, Group), RequestError> {
        let question = InvitedGroupQuery {
            group: Jid::group(&*invite.group),
            code: invite.code.clone(),
            expiration: invite.expires_at.map_or(0, Timestamp::as_second),
            admin: invite.from.parse().map_err(|_| RequestError::Failed)?,
        };
        let found = self.run_boxed(self.client.execute(question)).await?;
        let others = KnownAddresses::look_up(&self.client, Vec::new()).await;
        Ok(convert_group(&found, &others))
    }

    /// Joins the group behind the code of an invite link; returns its address.
    pub async fn join_by_code(&self, code: &str) -> Result<(String, JoinStatus), RequestError> {
        let handle = self.client.groups();
        let joined = self
            .run_change(|| handle.join_with_invite_code(code))
            .await?;
        Ok(convert_joined(&joined))
    }

    /// Joins the group that an invite in a message is for; returns its address.
    pub async fn join_by_invite(
        &self,
        invite: &ReceivedInvite,
    ) -> Result<(String, JoinStatus), RequestError> {
        let from: Jid = invite.from.parse().map_err(|_| RequestError::Failed)?;
        let (jid, handle) = (Jid::group(&*invite.group), self.client.groups());
        let expiration = invite.expires_at.map_or(0, Timestamp::as_second);
        let joined = self
            .run_change(|| {
                handle.join_with_invite_v4(jid.clone(), &invite.code, expiration, from.clone())
            })
            .await?;
        Ok(convert_joined(&joined))
    }

    /// Returns the people that want to join a group.
    pub async fn fetch_join_requests(&self, id: &str) -> Result<Vec<JoinRequest>, RequestError> {
        let handle = self.client.groups();
        let found = self
            .run_boxed(handle.get_membership_requests(Jid::group(id)))
            .await?;
        let named = found.iter().map(|it| (it.jid.clone(), None)).collect();
        let others = KnownAddresses::look_up(&self.client, named).await;
        let requests = found.iter().map(|it| JoinRequest {
            person: others.build_person(&it.jid, None, None),
            requested_at: it
                .request_time
                .and_then(|at| Timestamp::from_second(i64::try_from(at).ok()?).ok()),
        });
        Ok(requests.collect())
    }

    /// Approves or rejects people that want to join, each with a result of their own.
    pub async fn decide_requests(
        &self,
        id: &str,
        people: &[ChatId],
        approve: bool,
    ) -> Result<Vec<MemberResult>, RequestError> {
        let mut jids = Vec::with_capacity(people.len());
        for person in people {
            let person = self.resolve_chat(person, self.answer_timeout).await;
            jids.push(encode::chat_jid(&person));
        }
        let (jid, handle) = (Jid::group(id), self.client.groups());
        let (jid, handle, jids) = (&jid, &handle, &jids);
        let results = self
            .run_change(|| async move {
                match approve {
                    true => handle.approve_membership_requests(jid, jids).await,
                    false => handle.reject_membership_requests(jid, jids).await,
                }
            })
            .await?;
        let done = match approve {
            true => MemberStatus::Approved,
            false => MemberStatus::Rejected,
        };
        Ok(self
            .convert_results(&results, done, MemberStatus::of_decision)
            .await)
    }
}

/// Asks for a group with an invite from a message, for which the engine has no request.
struct InvitedGroupQuery {
    group: Jid,
    code: String,
    expiration: i64,
    /// The person that sent the invite.
    admin: Jid,
}

impl IqSpec for InvitedGroupQuery {
    type Response = GroupMetadata;

    fn build_iq(&self) -> InfoQuery<'static> {
        let invite = NodeBuilder::new("add_request")
            .attr("code", self.code.as_str())
            .attr("expiration", self.expiration.to_string())
            .attr("admin", &self.admin);
        let query = NodeBuilder::new("query").children([invite.build()]);
        InfoQuery::get(
            "w:g2",
            self.group.clone(),
            Some(NodeContent::Nodes(vec![query.build()])),
        )
    }

    fn parse_response(&self, response: &NodeRef<'_>) -> anyhow::Result<GroupMetadata> {
        let by_link = GetGroupInviteInfoIq::new(&self.code);
        Ok(GroupMetadata::from(by_link.parse_response(response)?))
    }
}

fn code_of(link: &str) -> String {
    link.trim_start_matches(INVITE_LINK).to_owned()
}

fn convert_joined(joined: &JoinGroupResult) -> (String, JoinStatus) {
    match joined {
        JoinGroupResult::Joined(jid) => (jid.to_non_ad_string(), JoinStatus::Joined),
        JoinGroupResult::PendingApproval(jid) => (jid.to_non_ad_string(), JoinStatus::Pending),
    }
}
