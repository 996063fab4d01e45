//! Groups on a phone: creates them, changes their members and settings, and leaves them.

use std::sync::Arc;

use anyhow::{Context, bail, ensure};
use serde::Serialize;

use crate::model::group::{
    APPROVAL_NEEDED, DescriptionChange, GroupChange, GroupFlag, GroupId, GroupRole, JoinOutcome,
    RequestMethod,
};
use crate::model::ids::{Chat, PhoneNumber};
use crate::model::options::Addressing;
use crate::phone::Phone;
use crate::server::Server;
use crate::server::stanza::group::{self, community, joining};
use crate::server::stanza::iq::groups::create::new_group;

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
    /// Whether only admins may change subject, description, and picture.
    pub locked: bool,
    /// Whether people who join need the approval of an admin.
    pub approval: bool,
    /// Whether every member may add others.
    pub all_add: bool,
    /// Whether every member may share the invite link.
    pub all_link: bool,
    /// The community it belongs to.
    pub community: Option<String>,
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
        let mut group = new_group(subject, &self.number, numbers_of(members), addressing);
        group::refuse_members(&self.server.world.lock(), &mut group);
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

    /// Sets whether people who join need the approval of an admin; needs an admin.
    pub fn approves_members(&self, group: &str, on: bool) -> anyhow::Result<()> {
        self.changes_group(group, &GroupChange::Approval(on))
    }

    /// Sets whether only admins may change subject, description, and picture; needs an admin.
    pub fn locks_group(&self, group: &str, on: bool) -> anyhow::Result<()> {
        self.changes_group(group, &GroupChange::Locked(on))
    }

    /// Sets whether every member may add others; needs an admin.
    pub fn lets_members_add(&self, group: &str, on: bool) -> anyhow::Result<()> {
        self.changes_group(group, &GroupChange::AllAdd(on))
    }

    /// The code of a group's invite link; needs an admin, unless every member may share it.
    pub fn invite_code(&self, group: &str) -> anyhow::Result<String> {
        let id = self.find_group(group)?;
        let world = self.server.world.lock();
        accepted(joining::invite_code(&world, &self.number, &id))
    }

    /// Replaces a group's invite link, and returns the new code; needs an admin.
    pub fn revokes_link(&self, group: &str) -> anyhow::Result<String> {
        let id = self.find_group(group)?;
        accepted(joining::revoke_link(&self.server, &self.number, &id))
    }

    /// Joins by the code of an invite link. Returns `false` if an admin has to approve it.
    pub fn joins_by_code(&self, code: &str) -> anyhow::Result<bool> {
        let id = {
            let world = self.server.world.lock();
            let mut groups = world.groups.values();
            let found = groups.find(|group| group.invite_code == code);
            found.context("no group has this code")?.id.clone()
        };
        let method = RequestMethod::InviteLink;
        let outcome = accepted(joining::ask_to_join(
            &self.server,
            &self.number,
            &id,
            method,
        ))?;
        Ok(outcome == JoinOutcome::Joined)
    }

    /// Takes the personal invite to a group that this account was given.
    pub fn takes_invite(&self, group: &str, code: &str) -> anyhow::Result<()> {
        let id = self.find_group(group)?;
        accepted(joining::take_invite(&self.server, &self.number, &id, code))
    }

    /// The code of the personal invite that a group has for somebody who may not be added, and its
    /// end in seconds since 1970.
    pub fn personal_invite(&self, group: &str, whom: &Phone) -> anyhow::Result<(String, i64)> {
        let id = self.find_group(group)?;
        let world = self.server.world.lock();
        let group = world.groups.get(&id).context("there is no such group")?;
        let invite = group
            .invites
            .get(&whom.number)
            .context("nobody invited them")?;
        Ok((invite.code.clone(), i64::try_from(invite.expires)?))
    }

    /// Withdraws the own request to join a group.
    pub fn withdraws_request(&self, group: &str) -> anyhow::Result<()> {
        let id = self.find_group(group)?;
        accepted(joining::withdraw_request(&self.server, &self.number, &id))
    }

    /// Approves or rejects people who want to join; needs an admin.
    pub fn decides_requests(
        &self,
        group: &str,
        people: &[&Phone],
        approve: bool,
    ) -> anyhow::Result<()> {
        let id = self.find_group(group)?;
        let numbers = numbers_of(people);
        let server = &self.server;
        let decided = joining::decide_requests(server, &self.number, &id, &numbers, approve);
        let mut outcomes = accepted(decided)?.into_iter();
        let refused = outcomes.find_map(|(number, code)| Some((number, code?)));
        ensure!(refused.is_none(), "not for everybody: {refused:?}");
        Ok(())
    }

    /// Creates a community with its group of announcements; returns its address.
    pub fn creates_community(&self, subject: &str) -> anyhow::Result<String> {
        let new = || new_group(subject, &self.number, Vec::new(), Addressing::Lid);
        let mut parent = new();
        parent.community = Some(String::new());
        let address = Chat::Group(parent.id.clone()).to_string();
        community::add_community(&self.server, parent, None, None, new());
        Ok(address)
    }

    /// Makes a group part of a community; needs an admin of both.
    pub fn links_group(&self, community: &str, group: &str) -> anyhow::Result<()> {
        let (parent, id) = (self.find_group(community)?, self.find_group(group)?);
        accepted(community::link_group(
            &self.server,
            &self.number,
            &parent,
            &id,
        ))
    }

    /// Takes a group out of a community; needs an admin of the community.
    pub fn unlinks_group(&self, community: &str, group: &str) -> anyhow::Result<()> {
        let (parent, id) = (self.find_group(community)?, self.find_group(group)?);
        let unlinked = community::unlink_group(&self.server, &self.number, &parent, &id, false);
        accepted(unlinked)
    }

    /// Dissolves a community; needs an admin.
    pub fn dissolves_community(&self, community: &str) -> anyhow::Result<()> {
        let parent = self.find_group(community)?;
        accepted(community::dissolve(&self.server, &self.number, &parent))
    }

    /// Has WhatsApp suspend a group that this account is an admin of.
    pub fn has_group_suspended(&self, group: &str) -> anyhow::Result<()> {
        self.changes_group(group, &GroupChange::Flag(GroupFlag::Suspended, true))
    }

    /// Has WhatsApp close the invite link of a group that this account is an admin of.
    pub fn has_growth_locked(&self, group: &str) -> anyhow::Result<()> {
        self.changes_group(group, &GroupChange::Flag(GroupFlag::GrowthLocked, true))
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
        self.with_phone_state(|phone_state| phone_state.sender_keys.forget_other_keys(group));
    }

    pub(crate) fn changes_group(&self, address: &str, change: &GroupChange) -> anyhow::Result<()> {
        let group = self.find_group(address)?;
        let changed = group::change_group(&self.server, &self.number, &group, change);
        let concerned = accepted(changed)?;
        let refused: Vec<_> = concerned
            .into_iter()
            .filter_map(|(number, code)| Some((number, code?)))
            .filter(|(_, code)| *code != APPROVAL_NEEDED)
            .collect();
        ensure!(refused.is_empty(), "not for everybody: {refused:?}");
        Ok(())
    }

    fn find_group(&self, address: &str) -> anyhow::Result<GroupId> {
        match self.find_chat(address)? {
            Chat::Group(group) => Ok(group),
            _ => bail!("{address:?} is no group"),
        }
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

fn accepted<T>(changed: Result<T, u16>) -> anyhow::Result<T> {
    changed.map_err(|code| anyhow::anyhow!("WhatsApp refuses it with code {code}"))
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
        locked: group.locked,
        approval: group.approval,
        all_add: group.all_add,
        all_link: group.all_link,
        community: group
            .parent
            .as_ref()
            .map(|parent| Chat::Group(parent.clone()).to_string()),
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
