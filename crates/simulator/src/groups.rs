//! Groups on a phone: creates them, changes their members and settings, and leaves them.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use serde::Serialize;

use crate::Addressing;
use crate::group::{Change, Described, GroupId, Role};
use crate::phone::Phone;
use crate::server::Server;
use crate::stanza::group;
use crate::stanza::iq::groups::found;
use crate::world::{Chat, Number};

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
    pub role: Role,
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
        let group = found(subject, &self.number, numbers(members), addressing);
        let address = Chat::Group(group.id.clone()).to_string();
        group::create(&self.server, group, None);
        Ok(address)
    }

    /// Adds members.
    pub fn adds(&self, group: &str, members: &[&Phone]) -> anyhow::Result<()> {
        self.changes(group, &Change::Add(numbers(members)))
    }

    /// Removes members; needs an admin.
    pub fn removes(&self, group: &str, members: &[&Phone]) -> anyhow::Result<()> {
        self.changes(group, &Change::Remove(numbers(members)))
    }

    /// Makes members admins; needs an admin.
    pub fn promotes(&self, group: &str, members: &[&Phone]) -> anyhow::Result<()> {
        self.changes(group, &Change::Promote(numbers(members)))
    }

    /// Makes admins plain members; needs an admin.
    pub fn demotes(&self, group: &str, members: &[&Phone]) -> anyhow::Result<()> {
        self.changes(group, &Change::Demote(numbers(members)))
    }

    /// Leaves a group.
    pub fn leaves(&self, group: &str) -> anyhow::Result<()> {
        self.changes(group, &Change::Leave)
    }

    /// Changes the subject of a group.
    pub fn renames(&self, group: &str, subject: &str) -> anyhow::Result<()> {
        self.changes(group, &Change::Subject(subject.to_owned()))
    }

    /// Changes the description of a group; `None` removes it.
    pub fn describes(&self, group: &str, description: Option<&str>) -> anyhow::Result<()> {
        let text = description.map(str::to_owned);
        self.changes(
            group,
            &Change::Description(Described {
                text,
                ..Described::default()
            }),
        )
    }

    /// Sets whether only admins may write; needs an admin.
    pub fn announces_only(&self, group: &str, on: bool) -> anyhow::Result<()> {
        self.changes(group, &Change::Announcement(on))
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
        self.with_handset(|handset| handset.sender_keys.forget_others(group));
    }

    pub(crate) fn changes(&self, address: &str, change: &Change) -> anyhow::Result<()> {
        let Chat::Group(group) = self.chat(address)? else {
            bail!("{address:?} is no group")
        };
        let concerned = group::change(&self.server, &self.number, &group, change);
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
        let (chat, number) = (self.chat(group)?, self.resolve(member)?);
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
    pub(crate) fn chat(&self, address: &str) -> anyhow::Result<Chat> {
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
            None => self.resolve(address).map(Chat::Person),
        }
    }
}

fn numbers(phones: &[&Phone]) -> Vec<Number> {
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
