//! Ways into a group: invite links, personal invites, and requests to admins. Plain data.

use super::{
    CONFLICT, FORBIDDEN, GROUP_FULL, Group, GroupFlag, GroupRole, JoinRequest, MEMBER_LIMIT,
    NOT_ALLOWED, NOT_FOUND, PersonalInvite, RequestMethod,
};
use crate::model::ids::PhoneNumber;

/// Seconds during which a personal invite is valid.
const INVITE_DURATION: u64 = 3 * 86_400;

/// The code for an invite link that WhatsApp has closed for a while.
const GROWTH_LOCKED: u16 = 436;

/// The result of trying to join.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum JoinOutcome {
    Joined,
    /// An admin has to approve it.
    Pending,
}

pub(crate) fn new_invite_code() -> String {
    const LETTERS: &[u8] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789";
    let letter = |_| char::from(LETTERS[rand::random_range(0..LETTERS.len())]);
    (0..22).map(letter).collect()
}

impl RequestMethod {
    pub(crate) const fn as_word(self) -> &'static str {
        match self {
            Self::InviteLink => "invite_link",
            Self::LinkedGroupJoin => "linked_group_join",
            Self::NonAdminAdd => "non_admin_add",
        }
    }
}

impl Group {
    pub(crate) fn is_admin(&self, number: &str) -> bool {
        self.members
            .get(number)
            .is_some_and(|role| *role > GroupRole::Member)
    }

    /// Makes somebody a member, if there is room.
    pub(crate) fn join(&mut self, number: &PhoneNumber) -> Result<(), u16> {
        if self.members.contains_key(number) {
            return Err(CONFLICT);
        }
        if self.members.len() >= MEMBER_LIMIT {
            return Err(GROUP_FULL);
        }
        self.members.insert(number.clone(), GroupRole::Member);
        self.requests.remove(number);
        self.invites.remove(number);
        self.removed.remove(number);
        Ok(())
    }

    /// Lets somebody in by link or through the community, or notes that they want to.
    pub(crate) fn ask_to_join(
        &mut self,
        number: &PhoneNumber,
        method: RequestMethod,
        now: u64,
    ) -> Result<JoinOutcome, u16> {
        if self.members.contains_key(number) {
            return Err(CONFLICT);
        }
        if self.removed.contains(number) {
            return Err(NOT_ALLOWED);
        }
        if method == RequestMethod::InviteLink && self.flags.contains(&GroupFlag::GrowthLocked) {
            return Err(GROWTH_LOCKED);
        }
        if self.approval {
            let request = JoinRequest { at: now, method };
            self.requests.entry(number.clone()).or_insert(request);
            return Ok(JoinOutcome::Pending);
        }
        self.join(number)?;
        self.members_version += 1;
        Ok(JoinOutcome::Joined)
    }

    /// Takes the personal invite that somebody was given. An invite by an admin needs no approval.
    pub(crate) fn take_invite(
        &mut self,
        number: &PhoneNumber,
        code: &str,
        now: u64,
    ) -> Result<(), u16> {
        let invite = self.invites.get(number).ok_or(NOT_FOUND)?;
        if invite.code != code || invite.expires < now {
            return Err(NOT_FOUND);
        }
        // Invites of people who have left, or are no longer admins, are void.
        if !self.members.contains_key(&invite.by) {
            return Err(FORBIDDEN);
        }
        self.join(number)?;
        self.members_version += 1;
        Ok(())
    }

    /// Makes an invite for somebody who may not be added.
    pub(crate) fn invite(&mut self, number: &PhoneNumber, by: &PhoneNumber, now: u64) {
        let invite = PersonalInvite {
            code: new_invite_code()[..16].to_owned(),
            by: by.clone(),
            expires: now + INVITE_DURATION,
        };
        self.invites.insert(number.clone(), invite);
    }
}
