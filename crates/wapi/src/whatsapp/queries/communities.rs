//! Communities: creation, their groups, and their members.

use whatsapp_rust::Jid;
use whatsapp_rust::features::{CommunitySubgroup, CreateCommunityOptions};
use whatsapp_rust::wacore::iq::groups::JoinLinkedGroupIq;
use whatsapp_rust::wacore::iq::spec::IqSpec;
use whatsapp_rust::wacore::request::InfoQuery;
use whatsapp_rust::wacore_binary::NodeRef;

use crate::model::event::{Group, GroupKind};
use crate::model::group_change::{JoinStatus, NewCommunity};
use crate::model::message::ChatId;
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::request_error::RequestError;
use crate::whatsapp::send::encode;

/// A group in the list of its community.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LinkedGroup {
    /// `…@g.us`
    pub id: String,
    pub subject: String,
    pub kind: GroupKind,
    pub size: Option<u32>,
}

impl Link {
    /// Creates a community. Returns its address and the community as it was created, which has no
    /// description yet: [`set_group_description`](Self::set_group_description) is for that.
    ///
    /// The engine's creation makes both requests. When WhatsApp refused the second one of them for
    /// its rate, both would be made again, and there would be two communities.
    pub async fn create_community(
        &self,
        new: &NewCommunity,
    ) -> Result<(String, Group), RequestError> {
        let options = CreateCommunityOptions {
            name: new.subject.clone(),
            description: None,
            closed: new.approval,
            allow_non_admin_sub_group_creation: new.members_create_groups,
            create_general_chat: new.general_chat,
        };
        let handle = self.client.community();
        let created = self.run_change(|| handle.create(options.clone())).await?;
        let id = &created.metadata.id;
        let group = self.show_group(&created.metadata).await;
        Ok((id.to_non_ad_string(), group))
    }

    /// Returns the groups of a community, the one of announcements first.
    pub async fn fetch_linked_groups(&self, id: &str) -> Result<Vec<LinkedGroup>, RequestError> {
        let (jid, handle) = (Jid::group(id), self.client.community());
        let found = self.run_boxed(handle.get_subgroups(&jid)).await?;
        Ok(found.iter().map(convert_linked).collect())
    }

    /// Links a group to a community. Returns WhatsApp's code where it refuses that.
    pub async fn link_group(&self, id: &str, group: &str) -> Result<Option<u32>, RequestError> {
        let (jid, handle) = (Jid::group(id), self.client.community());
        let groups = [Jid::group(group)];
        let result = self
            .run_change(|| handle.link_subgroups(jid.clone(), &groups))
            .await?;
        Ok(result.failed_groups.first().map(|(_, code)| *code))
    }

    /// Takes a group out of a community. Returns WhatsApp's code where it refuses that.
    pub async fn unlink_group(&self, id: &str, group: &str) -> Result<Option<u32>, RequestError> {
        let (jid, handle) = (Jid::group(id), self.client.community());
        let groups = [Jid::group(group)];
        let result = self
            .run_change(|| handle.unlink_subgroups(jid.clone(), &groups, false))
            .await?;
        Ok(result.failed_groups.first().map(|(_, code)| *code))
    }

    /// Joins a group of a community that the account is in.
    pub async fn join_linked_group(
        &self,
        id: &str,
        group: &str,
    ) -> Result<JoinStatus, RequestError> {
        let (jid, group) = (Jid::group(id), Jid::group(group));
        let client = &self.client;
        self.run_change(|| client.execute(LinkedJoin(JoinLinkedGroupIq::new(&jid, &group))))
            .await
    }

    /// Removes a person from a community and all of its groups. Returns WhatsApp's code where it
    /// refuses that.
    pub async fn remove_everywhere(
        &self,
        id: &str,
        person: &ChatId,
    ) -> Result<Option<u16>, RequestError> {
        let person = self.resolve_chat(person, self.answer_timeout).await;
        let (jid, handle) = (Jid::group(id), self.client.community());
        let people = [encode::chat_jid(&person)];
        let results = self
            .run_change(|| handle.remove_participants(jid.clone(), &people))
            .await?;
        let code = results.first().and_then(|result| result.error.as_ref());
        Ok(code.and_then(|code| code.parse().ok()))
    }

    /// Dissolves a community. Its groups go on without it.
    pub async fn dissolve_community(&self, id: &str) -> Result<(), RequestError> {
        let (jid, handle) = (Jid::group(id), self.client.community());
        self.run_change(|| handle.deactivate(jid.clone())).await
    }
}

/// Joins a group of a community, or asks its admins, for which the engine has no answer.
struct LinkedJoin(JoinLinkedGroupIq);

impl IqSpec for LinkedJoin {
    type Response = JoinStatus;

    fn build_iq(&self) -> InfoQuery<'static> {
        self.0.build_iq()
    }

    fn parse_response(&self, response: &NodeRef<'_>) -> anyhow::Result<JoinStatus> {
        let pending = response.get_optional_child("membership_approval_request");
        if pending.is_some() {
            return Ok(JoinStatus::Pending);
        }
        self.0.parse_response(response)?;
        Ok(JoinStatus::Joined)
    }
}

fn convert_linked(found: &CommunitySubgroup) -> LinkedGroup {
    LinkedGroup {
        id: found.id.to_non_ad_string(),
        subject: found.subject.clone(),
        kind: match found {
            _ if found.is_default_sub_group => GroupKind::Announcements,
            _ if found.is_general_chat => GroupKind::General,
            _ => GroupKind::Group,
        },
        size: found.participant_count,
    }
}
