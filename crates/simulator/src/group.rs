//! A group as the server knows it: subject, members and permissions. Plain data.

use std::collections::BTreeMap;
use std::sync::Arc;

use serde::Serialize;

use crate::Addressing;
use crate::world::Number;

/// The part of a group's address before `@g.us`.
pub(crate) type GroupId = Arc<str>;

/// WhatsApp's result codes for a change, or for one member in it.
pub(crate) const FORBIDDEN: u16 = 403;
const NOT_THERE: u16 = 404;
const THERE_ALREADY: u16 = 409;
/// The description to be replaced is no longer the current one.
const CONFLICT: u16 = 409;
const BAD_REQUEST: u16 = 400;

/// The allowed disappearing-message timers, in seconds; 0 is off.
pub(crate) const TIMERS: [u32; 4] = [0, 86_400, 604_800, 7_776_000];

/// The role of a member.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Role {
    /// May write, and add others.
    Member,
    /// May remove others, and change the group's settings.
    Admin,
    /// The admin who created the group; others cannot remove them.
    SuperAdmin,
}

impl Role {
    /// The attribute `type` of a `<participant>`; members have none.
    pub(crate) const fn attribute(self) -> Option<&'static str> {
        match self {
            Self::Member => None,
            Self::Admin => Some("admin"),
            Self::SuperAdmin => Some("superadmin"),
        }
    }
}

/// A text that members can change, with the author of the last change.
#[derive(Clone, Debug)]
pub(crate) struct Signed {
    pub(crate) text: String,
    /// Every description has its own id, by which clients notice that theirs is out of date.
    pub(crate) id: String,
    pub(crate) by: Number,
    /// Seconds since 1970.
    pub(crate) at: u64,
}

/// A group.
#[derive(Clone, Debug)]
pub(crate) struct Group {
    pub(crate) id: GroupId,
    /// How members are named on the wire.
    pub(crate) addressing: Addressing,
    pub(crate) subject: Signed,
    pub(crate) description: Option<Signed>,
    pub(crate) creator: Number,
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
    pub(crate) members: BTreeMap<Number, Role>,
}

/// A new description; `None` removes it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Described {
    pub(crate) text: Option<String>,
    /// The id its author has chosen.
    pub(crate) id: Option<String>,
    /// The id of the description it replaces, as far as its author knows; `None`: any.
    pub(crate) replaces: Option<Option<String>>,
}

/// A change to a group.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Change {
    Add(Vec<Number>),
    Remove(Vec<Number>),
    Promote(Vec<Number>),
    Demote(Vec<Number>),
    Leave,
    Subject(String),
    Description(Described),
    Announcement(bool),
    Locked(bool),
    Timer(u32),
    Approval(bool),
    AllAdd(bool),
}

/// A member named by a change, and WhatsApp's code if nothing was changed about them.
pub(crate) type Concerned = (Number, Option<u16>);

impl Group {
    /// Whether this account may write to the group.
    pub(crate) fn may_write(&self, number: &str) -> bool {
        self.members
            .get(number)
            .is_some_and(|role| !self.announcement || *role > Role::Member)
    }

    /// Applies a change in the name of `by`. Returns the members it concerned, or the code it is
    /// refused with.
    pub(crate) fn apply(
        &mut self,
        by: &Number,
        change: &Change,
        now: u64,
    ) -> Result<Vec<Concerned>, u16> {
        let role = *self.members.get(by).ok_or(FORBIDDEN)?;
        let needs_admin = match change {
            Change::Leave => false,
            Change::Add(_) => !self.all_add,
            Change::Subject(_) | Change::Description(_) | Change::Timer(_) => self.locked,
            Change::Remove(_) | Change::Promote(_) | Change::Demote(_) => true,
            Change::Announcement(_)
            | Change::Locked(_)
            | Change::Approval(_)
            | Change::AllAdd(_) => true,
        };
        if needs_admin && role == Role::Member {
            return Err(FORBIDDEN);
        }
        if matches!(change, Change::Timer(seconds) if !TIMERS.contains(seconds)) {
            return Err(BAD_REQUEST);
        }
        match change {
            Change::Add(numbers) => return Ok(self.each(numbers, Self::add)),
            Change::Remove(numbers) => return Ok(self.each(numbers, Self::remove)),
            Change::Promote(numbers) => {
                return Ok(self.each(numbers, |group, of| group.set_role(of, Role::Admin)));
            }
            Change::Demote(numbers) => {
                return Ok(self.each(numbers, |group, of| group.set_role(of, Role::Member)));
            }
            Change::Leave => {
                self.members.remove(by);
                self.members_version += 1;
                return Ok(vec![(by.clone(), None)]);
            }
            Change::Subject(text) => self.subject = signed(text, by, now),
            Change::Description(described) => self.describe(described, by, now)?,
            Change::Announcement(on) => {
                self.announcement = *on;
                self.announcement_version += 1;
            }
            Change::Approval(on) => self.approval = *on,
            Change::AllAdd(on) => self.all_add = *on,
            Change::Locked(on) => self.locked = *on,
            Change::Timer(seconds) => self.timer = *seconds,
        }
        Ok(Vec::new())
    }

    fn each(
        &mut self,
        numbers: &[Number],
        mut act: impl FnMut(&mut Self, &Number) -> Result<(), u16>,
    ) -> Vec<Concerned> {
        let concerned: Vec<_> = numbers
            .iter()
            .map(|number| (number.clone(), act(self, number).err()))
            .collect();
        self.members_version += u64::from(concerned.iter().any(|(_, refused)| refused.is_none()));
        concerned
    }

    fn describe(&mut self, described: &Described, by: &Number, now: u64) -> Result<(), u16> {
        let present = self.description.as_ref().map(|description| &description.id);
        if described
            .replaces
            .as_ref()
            .is_some_and(|known| known.as_ref() != present)
        {
            return Err(CONFLICT);
        }
        self.description = described.text.as_ref().map(|text| {
            let text = signed(text, by, now);
            Signed {
                id: described.id.clone().unwrap_or(text.id),
                ..text
            }
        });
        Ok(())
    }

    fn add(&mut self, number: &Number) -> Result<(), u16> {
        if self.members.contains_key(number) {
            return Err(THERE_ALREADY);
        }
        self.members.insert(number.clone(), Role::Member);
        Ok(())
    }

    fn remove(&mut self, number: &Number) -> Result<(), u16> {
        match self.members.get(number) {
            None => Err(NOT_THERE),
            Some(Role::SuperAdmin) => Err(FORBIDDEN),
            Some(_) => {
                self.members.remove(number);
                Ok(())
            }
        }
    }

    fn set_role(&mut self, number: &Number, to: Role) -> Result<(), u16> {
        match self.members.get_mut(number) {
            None => Err(NOT_THERE),
            Some(Role::SuperAdmin) => Err(FORBIDDEN),
            Some(role) => {
                *role = to;
                Ok(())
            }
        }
    }
}

pub(crate) fn signed(text: &str, by: &Number, at: u64) -> Signed {
    Signed {
        text: text.to_owned(),
        id: hex::encode_upper(rand::random::<[u8; 8]>()),
        by: by.clone(),
        at,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn group() -> (Group, [Number; 3]) {
        let [alice, bob, carol]: [Number; 3] = ["1", "2", "3"].map(Number::from);
        let members = BTreeMap::from([
            (alice.clone(), Role::SuperAdmin),
            (bob.clone(), Role::Member),
        ]);
        let group = Group {
            id: "120363".into(),
            addressing: Addressing::Lid,
            subject: signed("club", &alice, 1),
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
            group.apply(&bob, &Change::Add(vec![carol.clone()]), 2),
            Ok(vec![(carol.clone(), None)])
        );
        assert_eq!(
            group.apply(&bob, &Change::Add(vec![carol.clone()]), 2),
            Ok(vec![(carol.clone(), Some(409))])
        );
        assert_eq!(
            group.apply(&bob, &Change::Remove(vec![carol.clone()]), 3),
            Err(403)
        );
        assert_eq!(
            group.apply(&alice, &Change::Promote(vec![bob.clone()]), 4),
            Ok(vec![(bob.clone(), None)])
        );
        assert_eq!(
            group.apply(&bob, &Change::Remove(vec![alice.clone()]), 5),
            Ok(vec![(alice, Some(403))])
        );
        assert_eq!(
            group.apply(&bob, &Change::Remove(vec![carol.clone()]), 6),
            Ok(vec![(carol.clone(), None)])
        );
        assert_eq!(
            group.apply(&carol, &Change::Subject("mine".to_owned()), 7),
            Err(403)
        );
    }

    #[test]
    fn in_a_closed_group_only_admins_speak() {
        let (mut group, [alice, bob, carol]) = group();
        assert!(group.may_write(&bob) && !group.may_write(&carol));
        group.apply(&alice, &Change::Announcement(true), 2).unwrap();
        assert!(group.may_write(&alice) && !group.may_write(&bob));
        group.apply(&alice, &Change::Locked(true), 2).unwrap();
        assert_eq!(
            group.apply(&bob, &Change::Subject("ours".to_owned()), 3),
            Err(403)
        );
    }

    #[test]
    fn what_others_have_changed_meanwhile_is_not_overwritten_and_what_there_is_not_is_not_taken() {
        let (mut group, [alice, bob, carol]) = group();
        let describe = |text: Option<&str>, id: &str, replaces: Option<&str>| {
            let (text, replaces) = (text.map(str::to_owned), Some(replaces.map(str::to_owned)));
            Change::Description(Described {
                text,
                id: Some(id.to_owned()),
                replaces,
            })
        };
        group
            .apply(&alice, &describe(Some("first"), "A", None), 2)
            .unwrap();
        assert_eq!(
            group.apply(&bob, &describe(Some("mine"), "B", None), 3),
            Err(409)
        );
        group
            .apply(&bob, &describe(Some("second"), "B", Some("A")), 4)
            .unwrap();
        assert_eq!(
            group.apply(&alice, &describe(None, "C", Some("A")), 5),
            Err(409)
        );
        group
            .apply(&alice, &describe(None, "C", Some("B")), 6)
            .unwrap();
        assert!(group.description.is_none());

        assert_eq!(group.apply(&alice, &Change::Timer(60), 7), Err(400));
        group.apply(&alice, &Change::Timer(86_400), 7).unwrap();
        group.apply(&alice, &Change::AllAdd(false), 8).unwrap();
        assert_eq!(
            group.apply(&bob, &Change::Add(vec![carol.clone()]), 9),
            Err(403)
        );
        let before = group.members_version;
        group
            .apply(&alice, &Change::Add(vec![carol.clone()]), 10)
            .unwrap();
        group.apply(&alice, &Change::Add(vec![carol]), 11).unwrap();
        assert_eq!(group.members_version, before + 1);
    }
}
