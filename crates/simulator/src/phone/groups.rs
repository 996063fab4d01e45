//! Groups on a phone: creates them, changes their members and settings, and leaves them.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use serde::Serialize;

use crate::model::group::{DescriptionChange, GroupChange, GroupId, GroupRole};
use crate::model::ids::{Chat, PhoneNumber};
use crate::model::options::Addressing;
use crate::phone::Phone;
use crate::server::Server;
use crate::server::stanza::group;
use crate::server::stanza::iq::groups::new_group;

/// A group as its members see it.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PhoneGroup {
    /// Its address, `…@g.us`.
    pub id: String,
    /// Its subject.
    pub subject: String,
    /// Its description.
    pub description: Option<String>,
    /// Whether only admins may write.
    pub announcement: bool,
    /// Its members, by number.
    pub members: Vec<GroupMember>,
}

/// A member of a group.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct GroupMember {
    /// The number in digits.
    pub number: String,
    /// The member's role.
    pub role: GroupRole,
}

impl Phone {
    /// Creates a group with others; returns its address, `…@g.us`. Members are named as phones name
    /// each other.
    pub fn creates_group(&self, subject: &str, members: &[&Phone]) -> anyhow::Result<String> {
        self.creates_group_addressed(subject, members, self.server.options.addressing)
    }

    /// Creates a group that names its members on the wire by number, as old groups do, or by LID,
    /// as new ones do.
    pub fn creates_group_addressed(
        &self,
        subject: &str,
        members: &[&Phone],
        addressing: Addressing,
    ) -> anyhow::Result<String> {
        let group = new_group(subject, &self.number, numbers_of(members), addressing);
        let address = Chat::Group(group.id.clone()).to_string();
        group::add_group(&self.server, group, None);
        Ok(address)
    }

    /// Adds members.
    pub fn adds_members(&self, group: &str, members: &[&Phone]) -> anyhow::Result<()> {
        self.changes_group(group, &GroupChange::Add(numbers_of(members)))
    }

    /// Removes members; needs an admin.
    pub fn removes_members(&self, group: &str, members: &[&Phone]) -> anyhow::Result<()> {
        self.changes_group(group, &GroupChange::Remove(numbers_of(members)))
    }

    /// Makes members admins; needs an admin.
    pub fn promotes_members(&self, group: &str, members: &[&Phone]) -> anyhow::Result<()> {
        self.changes_group(group, &GroupChange::Promote(numbers_of(members)))
    }

    /// Makes admins plain members; needs an admin.
    pub fn demotes_members(&self, group: &str, members: &[&Phone]) -> anyhow::Result<()> {
        self.changes_group(group, &GroupChange::Demote(numbers_of(members)))
    }

    /// Leaves a group.
    pub fn leaves_group(&self, group: &str) -> anyhow::Result<()> {
        self.changes_group(group, &GroupChange::Leave)
    }

    /// Changes the subject of a group.
    pub fn renames_group(&self, group: &str, subject: &str) -> anyhow::Result<()> {
        self.changes_group(group, &GroupChange::Subject(subject.to_owned()))
    }

    /// Changes the description of a group; `None` removes it.
    pub fn describes_group(&self, group: &str, description: Option<&str>) -> anyhow::Result<()> {
        let text = description.map(str::to_owned);
        self.changes_group(
            group,
            &GroupChange::Description(DescriptionChange {
                text,
                ..DescriptionChange::default()
            }),
        )
    }

    /// Sets whether only admins may write; needs an admin.
    pub fn announces_only(&self, group: &str, on: bool) -> anyhow::Result<()> {
        self.changes_group(group, &GroupChange::Announcement(on))
    }

    /// The groups this account is in.
    pub fn groups(&self) -> Vec<PhoneGroup> {
        all_groups(&self.server)
            .into_iter()
            .filter(|group| {
                group
                    .members
                    .iter()
                    .any(|member| *member.number == *self.number)
            })
            .collect()
    }

    /// Deletes the sender keys of a group's other members, as a newly set up phone would: their
    /// next messages cannot be decrypted until they are requested again.
    pub fn loses_keys_of(&self, group: &str) {
        self.with_phone_state(|handset| handset.sender_keys.forget_other_keys(group));
    }

    pub(crate) fn changes_group(&self, address: &str, change: &GroupChange) -> anyhow::Result<()> {
        let Chat::Group(group) = self.find_chat(address)? else {
            bail!("{address:?} is no group")
        };
        let concerned = group::change_group(&self.server, &self.number, &group, change);
        let concerned =
            concerned.map_err(|code| anyhow::anyhow!("WhatsApp refuses it with code {code}"))?;
        let refused: Vec<_> = concerned
            .into_iter()
            .filter_map(|(number, code)| Some((number, code?)))
            .collect();
        ensure!(refused.is_empty(), "not for everybody: {refused:?}");
        Ok(())
    }

    /// The address of a member as the group names it on the wire.
    pub(crate) fn member_address(&self, group: &str, member: &str) -> anyhow::Result<String> {
        let (chat, number) = (self.find_chat(group)?, self.resolve_number(member)?);
        let world = self.server.world.lock();
        let Chat::Group(id) = chat else {
            bail!("{group:?} is no group")
        };
        let addressing = world
            .groups
            .get(&id)
            .context("there is no such group")?
            .addressing;
        Ok(world
            .account(&number)
            .context("nobody is there")?
            .jid(addressing, 0)
            .to_string())
    }

    /// The chat behind an address, or behind a number as people write it.
    pub(crate) fn find_chat(&self, address: &str) -> anyhow::Result<Chat> {
        match address.strip_suffix("@g.us") {
            Some(id) => {
                let world = self.server.world.lock();
                let group = world
                    .groups
                    .get(id)
                    .with_context(|| format!("there is no group {address:?}"))?;
                Ok(Chat::Group(GroupId::clone(&group.id)))
            }
            None if let Some(id) = address.strip_suffix("@newsletter") => {
                let world = self.server.world.lock();
                let newsletter = world
                    .newsletters
                    .get(id)
                    .with_context(|| format!("there is no newsletter {address:?}"))?;
                Ok(Chat::Newsletter(newsletter.id.clone()))
            }
            None if address == Chat::Status.to_string() => Ok(Chat::Status),
            None => self.resolve_number(address).map(Chat::Person),
        }
    }
}

fn numbers_of(phones: &[&Phone]) -> Vec<PhoneNumber> {
    phones.iter().map(|phone| phone.number.clone()).collect()
}

/// Returns all groups.
pub(crate) fn all_groups(server: &Arc<Server>) -> Vec<PhoneGroup> {
    let world = server.world.lock();
    let shown = world.groups.values().map(|group| PhoneGroup {
        id: Chat::Group(group.id.clone()).to_string(),
        subject: group.subject.text.clone(),
        description: group
            .description
            .as_ref()
            .map(|description| description.text.clone()),
        announcement: group.announcement,
        members: group
            .members
            .iter()
            .map(|(number, role)| GroupMember {
                number: number.to_string(),
                role: *role,
            })
            .collect(),
    });
    shown.collect()
}
