//! A group as the server knows it: subject, members and permissions. Plain data.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::model::ids::PhoneNumber;
use crate::model::options::Addressing;

/// The part of a group's address before `@g.us`.
pub(crate) type GroupId = Arc<str>;

/// WhatsApp's result codes for a change, or for one member in it.
pub(crate) const FORBIDDEN: u16 = 403;
const NOT_FOUND: u16 = 404;
const ALREADY_EXISTS: u16 = 409;
/// The description to be replaced is no longer the current one.
const CONFLICT: u16 = 409;
const BAD_REQUEST: u16 = 400;

/// The allowed disappearing-message timers, in seconds; 0 is off.
pub(crate) const TIMERS: [u32; 4] = [0, 86_400, 604_800, 7_776_000];

/// The role of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum GroupRole {
    /// May write, and add others.
    Member,
    /// May remove others, and change the group's settings.
    Admin,
    /// The admin who created the group; others cannot remove them.
    SuperAdmin,
}

impl GroupRole {
    /// The attribute `type` of a `<participant>`; members have none.
    pub(crate) const fn type_attribute(self) -> Option<&'static str> {
        match self {
            Self::Member => None,
            Self::Admin => Some("admin"),
            Self::SuperAdmin => Some("superadmin"),
        }
    }
}

/// A text that members can change, with the author of the last change.
#[derive(Clone, Debug)]
pub(crate) struct AuthoredText {
    pub(crate) text: String,
    /// Every description has its own id, by which clients notice that theirs is out of date.
    pub(crate) id: String,
    pub(crate) by: PhoneNumber,
    /// Seconds since 1970.
    pub(crate) at: u64,
}

/// A group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    /// How members are named on the wire.
    pub(crate) addressing: Addressing,
    pub(crate) subject: AuthoredText,
    pub(crate) description: Option<AuthoredText>,
    pub(crate) creator: PhoneNumber,
    pub(crate) created: u64,
    /// Only admins may write.
    pub(crate) announcement: bool,
    /// Only admins may change subject and description.
    pub(crate) locked: bool,
    /// Seconds after which messages disappear; 0: they stay.
    pub(crate) timer: u32,
    /// People who join by link need the approval of an admin.
    pub(crate) approval: bool,
    /// Every member may add others, not only admins.
    pub(crate) all_add: bool,
    /// Set if it is a community: how people join its groups, in WhatsApp's words.
    pub(crate) community: Option<String>,
    /// The community it belongs to.
    pub(crate) parent: Option<GroupId>,
    /// Increases with each change of the members or their roles.
    pub(crate) members_version: u64,
    /// Increases when the permission to write changes.
    pub(crate) announcement_version: u64,
    pub(crate) members: BTreeMap<PhoneNumber, GroupRole>,
}

/// A new description; `None` removes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct DescriptionChange {
    pub(crate) text: Option<String>,
    /// The id its author has chosen.
    pub(crate) id: Option<String>,
    /// The id of the description it replaces, as far as its author knows; `None`: any.
    pub(crate) replaces: Option<Option<String>>,
}

/// A change to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum GroupChange {
    Add(Vec<PhoneNumber>),
    Remove(Vec<PhoneNumber>),
    Promote(Vec<PhoneNumber>),
    Demote(Vec<PhoneNumber>),
    Leave,
    Subject(String),
    Description(DescriptionChange),
    Announcement(bool),
    Locked(bool),
    Timer(u32),
    Approval(bool),
    AllAdd(bool),
}

/// A member named by a change, and WhatsApp's code if nothing was changed about them.
pub(crate) type MemberOutcome = (PhoneNumber, Option<u16>);

impl Group {
    /// Whether this account may write to the group.
    pub(crate) fn can_write(&self, number: &str) -> bool {
        self.members
            .get(number)
            .is_some_and(|role| !self.announcement || *role > GroupRole::Member)
    }

    /// Applies a change in the name of `by`. Returns the members it concerned, or the code it is
    /// refused with.
    pub(crate) fn apply_change(
        &mut self,
        by: &PhoneNumber,
        change: &GroupChange,
        now: u64,
    ) -> Result<Vec<MemberOutcome>, u16> {
        let role = *self.members.get(by).ok_or(FORBIDDEN)?;
        let needs_admin = match change {
            GroupChange::Leave => false,
            GroupChange::Add(_) => !self.all_add,
            GroupChange::Subject(_) | GroupChange::Description(_) | GroupChange::Timer(_) => {
                self.locked
            }
            GroupChange::Remove(_) | GroupChange::Promote(_) | GroupChange::Demote(_) => true,
            GroupChange::Announcement(_)
            | GroupChange::Locked(_)
            | GroupChange::Approval(_)
            | GroupChange::AllAdd(_) => true,
        };
        if needs_admin && role == GroupRole::Member {
            return Err(FORBIDDEN);
        }
        if matches!(change, GroupChange::Timer(seconds) if !TIMERS.contains(seconds)) {
            return Err(BAD_REQUEST);
        }
        match change {
            GroupChange::Add(numbers) => return Ok(self.change_members(numbers, Self::add_member)),
            GroupChange::Remove(numbers) => {
                return Ok(self.change_members(numbers, Self::remove_member));
            }
            GroupChange::Promote(numbers) => {
                return Ok(
                    self.change_members(numbers, |group, of| group.set_role(of, GroupRole::Admin))
                );
            }
            GroupChange::Demote(numbers) => {
                return Ok(
                    self.change_members(numbers, |group, of| group.set_role(of, GroupRole::Member))
                );
            }
            GroupChange::Leave => {
                self.members.remove(by);
                self.members_version += 1;
                return Ok(vec![(by.clone(), None)]);
            }
            GroupChange::Subject(text) => self.subject = authored_text(text, by, now),
            GroupChange::Description(described) => self.set_description(described, by, now)?,
            GroupChange::Announcement(on) => {
                self.announcement = *on;
                self.announcement_version += 1;
            }
            GroupChange::Approval(on) => self.approval = *on,
            GroupChange::AllAdd(on) => self.all_add = *on,
            GroupChange::Locked(on) => self.locked = *on,
            GroupChange::Timer(seconds) => self.timer = *seconds,
        }
        Ok(Vec::new())
    }

    fn change_members(
        &mut self,
        numbers: &[PhoneNumber],
        mut act: impl FnMut(&mut Self, &PhoneNumber) -> Result<(), u16>,
    ) -> Vec<MemberOutcome> {
        let concerned: Vec<_> = numbers
            .iter()
            .map(|number| (number.clone(), act(self, number).err()))
            .collect();
        self.members_version += u64::from(concerned.iter().any(|(_, refused)| refused.is_none()));
        concerned
    }

    fn set_description(
        &mut self,
        described: &DescriptionChange,
        by: &PhoneNumber,
        now: u64,
    ) -> Result<(), u16> {
        let present = self.description.as_ref().map(|description| &description.id);
        if described
            .replaces
            .as_ref()
            .is_some_and(|known| known.as_ref() != present)
        {
            return Err(CONFLICT);
        }
        self.description = described.text.as_ref().map(|text| {
            let text = authored_text(text, by, now);
            AuthoredText {
                id: described.id.clone().unwrap_or(text.id),
                ..text
            }
        });
        Ok(())
    }

    fn add_member(&mut self, number: &PhoneNumber) -> Result<(), u16> {
        if self.members.contains_key(number) {
            return Err(ALREADY_EXISTS);
        }
        self.members.insert(number.clone(), GroupRole::Member);
        Ok(())
    }

    fn remove_member(&mut self, number: &PhoneNumber) -> Result<(), u16> {
        match self.members.get(number) {
            None => Err(NOT_FOUND),
            Some(GroupRole::SuperAdmin) => Err(FORBIDDEN),
            Some(_) => {
                self.members.remove(number);
                Ok(())
            }
        }
    }

    fn set_role(&mut self, number: &PhoneNumber, to: GroupRole) -> Result<(), u16> {
        match self.members.get_mut(number) {
            None => Err(NOT_FOUND),
            Some(GroupRole::SuperAdmin) => Err(FORBIDDEN),
            Some(role) => {
                *role = to;
                Ok(())
            }
        }
    }
}

pub(crate) fn authored_text(text: &str, by: &PhoneNumber, at: u64) -> AuthoredText {
    AuthoredText {
        text: text.to_owned(),
        id: hex::encode_upper(rand::random::<[u8; 8]>()),
        by: by.clone(),
        at,
    }
}

#[cfg(test)]
mod tests {
    use crate::model::group::*;

    fn group() -> (Group, [PhoneNumber; 3]) {
        let [alice, bob, carol]: [PhoneNumber; 3] = ["1", "2", "3"].map(PhoneNumber::from);
        let members = BTreeMap::from([
            (alice.clone(), GroupRole::SuperAdmin),
            (bob.clone(), GroupRole::Member),
        ]);
        let group = Group {
            id: "120363".into(),
            addressing: Addressing::Lid,
            subject: authored_text("club", &alice, 1),
            description: None,
            creator: alice.clone(),
            created: 1,
            announcement: false,
            locked: false,
            timer: 0,
            approval: false,
            all_add: true,
            community: None,
            parent: None,
            members_version: 1,
            announcement_version: 1,
            members,
        };
        (group, [alice, bob, carol])
    }

    #[test]
    fn members_add_and_rename_but_only_admins_remove() {
        let (mut group, [alice, bob, carol]) = group();
        assert_eq!(
            group.apply_change(&bob, &GroupChange::Add(vec![carol.clone()]), 2),
            Ok(vec![(carol.clone(), None)])
        );
        assert_eq!(
            group.apply_change(&bob, &GroupChange::Add(vec![carol.clone()]), 2),
            Ok(vec![(carol.clone(), Some(409))])
        );
        assert_eq!(
            group.apply_change(&bob, &GroupChange::Remove(vec![carol.clone()]), 3),
            Err(403)
        );
        assert_eq!(
            group.apply_change(&alice, &GroupChange::Promote(vec![bob.clone()]), 4),
            Ok(vec![(bob.clone(), None)])
        );
        assert_eq!(
            group.apply_change(&bob, &GroupChange::Remove(vec![alice.clone()]), 5),
            Ok(vec![(alice, Some(403))])
        );
        assert_eq!(
            group.apply_change(&bob, &GroupChange::Remove(vec![carol.clone()]), 6),
            Ok(vec![(carol.clone(), None)])
        );
        assert_eq!(
            group.apply_change(&carol, &GroupChange::Subject("mine".to_owned()), 7),
            Err(403)
        );
    }

    #[test]
    fn in_a_closed_group_only_admins_speak() {
        let (mut group, [alice, bob, carol]) = group();
        assert!(group.can_write(&bob) && !group.can_write(&carol));
        group
            .apply_change(&alice, &GroupChange::Announcement(true), 2)
            .unwrap();
        assert!(group.can_write(&alice) && !group.can_write(&bob));
        group
            .apply_change(&alice, &GroupChange::Locked(true), 2)
            .unwrap();
        assert_eq!(
            group.apply_change(&bob, &GroupChange::Subject("ours".to_owned()), 3),
            Err(403)
        );
    }

    #[test]
    fn what_others_have_changed_meanwhile_is_not_overwritten_and_what_there_is_not_is_not_taken() {
        let (mut group, [alice, bob, carol]) = group();
        let describe = |text: Option<&str>, id: &str, replaces: Option<&str>| {
            let (text, replaces) = (text.map(str::to_owned), Some(replaces.map(str::to_owned)));
            GroupChange::Description(DescriptionChange {
                text,
                id: Some(id.to_owned()),
                replaces,
            })
        };
        group
            .apply_change(&alice, &describe(Some("first"), "A", None), 2)
            .unwrap();
        assert_eq!(
            group.apply_change(&bob, &describe(Some("mine"), "B", None), 3),
            Err(409)
        );
        group
            .apply_change(&bob, &describe(Some("second"), "B", Some("A")), 4)
            .unwrap();
        assert_eq!(
            group.apply_change(&alice, &describe(None, "C", Some("A")), 5),
            Err(409)
        );
        group
            .apply_change(&alice, &describe(None, "C", Some("B")), 6)
            .unwrap();
        assert!(group.description.is_none());

        assert_eq!(
            group.apply_change(&alice, &GroupChange::Timer(60), 7),
            Err(400)
        );
        group
            .apply_change(&alice, &GroupChange::Timer(86_400), 7)
            .unwrap();
        group
            .apply_change(&alice, &GroupChange::AllAdd(false), 8)
            .unwrap();
        assert_eq!(
            group.apply_change(&bob, &GroupChange::Add(vec![carol.clone()]), 9),
            Err(403)
        );
        let before = group.members_version;
        group
            .apply_change(&alice, &GroupChange::Add(vec![carol.clone()]), 10)
            .unwrap();
        group
            .apply_change(&alice, &GroupChange::Add(vec![carol]), 11)
            .unwrap();
        assert_eq!(group.members_version, before + 1);
    }
}
