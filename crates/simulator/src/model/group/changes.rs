//! Changes of a group by its members. Plain data.

use super::{
    APPROVAL_NEEDED, AuthoredText, BAD_REQUEST, CONFLICT, DESCRIPTION_LIMIT, DescriptionChange,
    FORBIDDEN, Group, GroupChange, GroupFlag, GroupRole, JoinRequest, LEFT_RECENTLY, MemberOutcome,
    NOT_ACCEPTABLE, NOT_FOUND, RequestMethod, SUBJECT_LIMIT, TIMERS, authored_text,
};
use crate::model::ids::PhoneNumber;

/// Seconds during which somebody who has left twice cannot be added.
const DEPARTURE_PAUSE: u64 = 86_400;

impl Group {
    /// Whether this account may write to the group. Nobody may in one that WhatsApp has suspended.
    pub(crate) fn can_write(&self, number: &str) -> bool {
        let role = self.members.get(number);
        let is_allowed = |role: &GroupRole| !self.announcement || *role > GroupRole::Member;
        !self.flags.contains(&GroupFlag::Suspended) && role.is_some_and(is_allowed)
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
        let is_suspended = self.flags.contains(&GroupFlag::Suspended);
        if is_suspended && !matches!(change, GroupChange::Leave) {
            return Err(FORBIDDEN);
        }
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
            | GroupChange::AllAdd(_)
            | GroupChange::AllLink(_)
            | GroupChange::AllShare(_)
            | GroupChange::Flag(..) => true,
        };
        if needs_admin && role == GroupRole::Member {
            return Err(FORBIDDEN);
        }
        if matches!(change, GroupChange::Timer(seconds) if !TIMERS.contains(seconds)) {
            return Err(BAD_REQUEST);
        }
        let is_too_long = match change {
            GroupChange::Subject(text) => text.chars().count() > SUBJECT_LIMIT,
            GroupChange::Description(described) => {
                let text = described.text.as_deref().unwrap_or_default();
                text.chars().count() > DESCRIPTION_LIMIT
            }
            _ => false,
        };
        if is_too_long {
            return Err(NOT_ACCEPTABLE);
        }
        match change {
            GroupChange::Add(numbers) if self.approval && role == GroupRole::Member => {
                let outcome = |number: &PhoneNumber| {
                    let request = JoinRequest {
                        at: now,
                        method: RequestMethod::NonAdminAdd,
                    };
                    if self.members.contains_key(number) {
                        return (number.clone(), Some(CONFLICT));
                    }
                    self.requests.entry(number.clone()).or_insert(request);
                    (number.clone(), Some(APPROVAL_NEEDED))
                };
                return Ok(numbers.iter().map(outcome).collect());
            }
            GroupChange::Add(numbers) => {
                return Ok(
                    self.change_members(numbers, |group, number| group.add_member(number, now))
                );
            }
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
                let (times, at) = self.departures.entry(by.clone()).or_default();
                (*times, *at) = (*times + 1, now);
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
            GroupChange::AllLink(on) => self.all_link = *on,
            GroupChange::AllShare(on) => self.all_share = *on,
            GroupChange::Flag(flag, true) => drop(self.flags.insert(*flag)),
            GroupChange::Flag(flag, false) => drop(self.flags.remove(flag)),
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

    fn add_member(&mut self, number: &PhoneNumber, now: u64) -> Result<(), u16> {
        let has_left_again = |&(times, at): &(u32, u64)| times > 1 && now < at + DEPARTURE_PAUSE;
        if self.departures.get(number).is_some_and(has_left_again) {
            return Err(LEFT_RECENTLY);
        }
        self.join(number)
    }

    fn remove_member(&mut self, number: &PhoneNumber) -> Result<(), u16> {
        match self.members.get(number) {
            None => Err(NOT_FOUND),
            Some(GroupRole::SuperAdmin) => Err(FORBIDDEN),
            Some(_) => {
                self.members.remove(number);
                self.removed.insert(number.clone());
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
