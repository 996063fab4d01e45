//! Groups: their data, and changes to them and their members.

use std::time::Duration;

use jiff::Timestamp;
use whatsapp_rust::features::{
    GroupCreateOptions, GroupDescription, GroupParticipantOptions, GroupSubject, MemberAddMode,
    MemberLinkMode, MemberShareHistoryMode, MembershipApprovalMode, ParticipantChangeResponse,
    PreviousDescription,
};
use whatsapp_rust::wacore::iq::groups::{GroupInfoOutcome, GroupParticipatingIq, GroupQueryIq};
use whatsapp_rust::wacore::iq::spec::IqSpec;
use whatsapp_rust::wacore::request::InfoQuery;
use whatsapp_rust::wacore_binary::NodeRef;
use whatsapp_rust::{GroupMetadata, Jid};

use crate::model::event::{Group, MemberRight, Person};
use crate::model::group_change::{
    GroupSetting, MemberInvite, MemberResult, MemberStatus, NewGroup,
};
use crate::model::message::ChatId;
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::notifications::groups;
use crate::whatsapp::notifications::observer::KnownAddresses;
use crate::whatsapp::request_error::RequestError;
use crate::whatsapp::send::encode;

/// WhatsApp's code for too many changes at once.
const OVERLIMIT: RequestError = RequestError::Refused(429);

/// The first pause after too many changes; each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_secs(1);

/// A change of some members' roles or membership.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum MemberAction {
    Remove,
    Promote,
    Demote,
}

impl Link {
    /// Returns the groups and communities of this account, each with its address.
    pub async fn fetch_groups(&self) -> Result<Vec<(String, Group)>, RequestError> {
        let found = self.run_boxed(self.client.execute(AllGroups)).await?;
        let mut shown = Vec::with_capacity(found.len());
        for group in &found {
            shown.push(groups::convert_group(
                group,
                &self.resolve_members(group).await,
            ));
        }
        shown.sort_by(|one, other| one.0.cmp(&other.0));
        Ok(shown)
    }

    /// Returns one group, by the part of its address before `@g.us`.
    pub async fn fetch_group(&self, id: &str) -> Result<Group, RequestError> {
        let question = OneGroup(GroupQueryIq::new(&Jid::group(id)));
        let found = self.run_boxed(self.client.execute(question)).await?;
        Ok(self.show_group(&found).await)
    }

    /// Sets the seconds after which a group's messages disappear; with 0 they stay.
    pub async fn set_group_timer(&self, id: &str, seconds: u32) -> Result<(), RequestError> {
        self.run_request(self.client.groups().set_ephemeral(Jid::group(id), seconds))
            .await
    }

    /// Creates a group. Returns its address, the group, and the results of the people to be added.
    ///
    /// Once WhatsApp has created it, nothing fails any more: whoever was told of a failure would
    /// create a second one.
    pub async fn create_group(
        &self,
        new: &NewGroup,
        people: &[ChatId],
    ) -> Result<(String, Group, Vec<MemberResult>), RequestError> {
        let (jids, mut results) = self.resolve_new_members(people).await?;
        // The engine creates groups only with people whose number it knows; the others are added.
        let mut founders = Vec::with_capacity(jids.len());
        for jid in &jids {
            let has_number = match jid.is_lid() {
                true => matches!(self.client.get_lid_pn_entry(jid).await, Ok(Some(_))),
                false => true,
            };
            if has_number {
                founders.push(GroupParticipantOptions::new(jid.clone()));
            }
        }
        let settings = &new.settings;
        let is_all = |right: Option<MemberRight>| right == Some(MemberRight::All);
        let on = settings.approval == Some(true);
        let options = GroupCreateOptions {
            subject: new.subject.clone(),
            participants: founders,
            description: new
                .description
                .as_deref()
                .map(parse_description)
                .transpose()?,
            linked_parent: new.community.as_deref().map(Jid::group),
            member_link_mode: Some(link_mode(is_all(settings.member_link))),
            member_add_mode: Some(add_mode(settings.member_add != Some(MemberRight::Admins))),
            membership_approval_mode: Some(approval_mode(on)),
            ..GroupCreateOptions::default()
        };
        let handle = self.client.groups();
        let created = self
            .run_change(|| handle.create_group(options.clone()))
            .await?;
        let mut members = created.metadata;
        let id = members.id.clone();
        if !jids.is_empty() {
            // WhatsApp lists those that it refused among the members, so who is one is asked again.
            if let Ok(found) = self.run_change(|| handle.get_metadata(&id)).await {
                members = found;
            }
            let (added, missing): (Vec<Jid>, Vec<Jid>) =
                jids.into_iter().partition(|jid| is_member(&members, jid));
            let others = self.resolve_members(&members).await;
            let result = |jid: &Jid, status: MemberStatus, code: Option<u16>| MemberResult {
                person: others.build_person(jid, None, None),
                status,
                code,
                invite: None,
            };
            let is_added = |jid| result(jid, MemberStatus::Added, None);
            results.extend(added.iter().map(is_added));
            if !missing.is_empty() {
                match self.add_addresses(&id, &missing).await {
                    Ok(found) => results.extend(found),
                    Err(error) => {
                        let code = error.whatsapp_code();
                        let refused = |jid| result(jid, MemberStatus::Refused, code);
                        results.extend(missing.iter().map(refused));
                    }
                }
            }
        }
        let group = self.show_group(&members).await;
        Ok((id.to_non_ad_string(), group, results))
    }

    /// Changes the subject.
    pub async fn set_group_subject(&self, id: &str, subject: &str) -> Result<(), RequestError> {
        let subject = GroupSubject::new(subject).map_err(|_| RequestError::Failed)?;
        let (jid, handle) = (Jid::group(id), self.client.groups());
        self.run_change(|| handle.set_subject(jid.clone(), subject.clone()))
            .await
    }

    /// Changes the description; `None` removes it. Fails with code 409 where somebody else has
    /// changed it at the same time.
    pub async fn set_group_description(
        &self,
        id: &str,
        description: Option<&str>,
    ) -> Result<(), RequestError> {
        let text = description.map(parse_description).transpose()?;
        let (jid, handle) = (Jid::group(id), self.client.groups());
        self.run_change(|| {
            handle.set_description(jid.clone(), text.clone(), PreviousDescription::Resolve)
        })
        .await
    }

    /// Sets a group's picture, a square JPEG; `None` removes it.
    pub async fn set_group_picture(
        &self,
        id: &str,
        jpeg: Option<Vec<u8>>,
    ) -> Result<(), RequestError> {
        let (jid, handle) = (Jid::group(id), self.client.groups());
        // No bytes remove the picture.
        let jpeg = jpeg.unwrap_or_default();
        self.run_change(|| handle.set_profile_picture(jid.clone(), jpeg.clone()))
            .await
            .map(drop)
    }

    /// Changes one setting.
    pub async fn set_group_setting(
        &self,
        id: &str,
        setting: GroupSetting,
    ) -> Result<(), RequestError> {
        let (jid, handle) = (Jid::group(id), self.client.groups());
        let (jid, handle) = (&jid, &handle);
        self.run_change(|| async move {
            match setting {
                GroupSetting::Announcement(on) => handle.set_announce(jid, on).await,
                GroupSetting::Locked(on) => handle.set_locked(jid, on).await,
                GroupSetting::Approval(on) => {
                    handle.set_membership_approval(jid, approval_mode(on)).await
                }
                GroupSetting::MemberAdd(right) => {
                    let mode = add_mode(right == MemberRight::All);
                    handle.set_member_add_mode(jid, mode).await
                }
                GroupSetting::MemberLink(right) => {
                    let mode = link_mode(right == MemberRight::All);
                    handle.set_member_link_mode(jid, mode).await
                }
                GroupSetting::ShareHistory(right) => {
                    let mode = match right {
                        MemberRight::Admins => MemberShareHistoryMode::AdminShare,
                        MemberRight::All => MemberShareHistoryMode::AllMemberShare,
                    };
                    handle.set_member_share_history_mode(jid, mode).await
                }
                GroupSetting::LimitSharing(on) => handle.set_limit_sharing(jid, on).await,
                GroupSetting::LimitForwarding(on) => {
                    handle.set_no_frequently_forwarded(jid, on).await
                }
                GroupSetting::AdminReports(on) => handle.set_allow_admin_reports(jid, on).await,
            }
        })
        .await
    }

    /// Adds people, each with a result of their own.
    pub async fn add_members(
        &self,
        id: &str,
        people: &[ChatId],
    ) -> Result<Vec<MemberResult>, RequestError> {
        let (jids, mut results) = self.resolve_new_members(people).await?;
        if !jids.is_empty() {
            results.extend(self.add_addresses(&Jid::group(id), &jids).await?);
        }
        Ok(results)
    }

    /// Removes a member or changes their role. Returns WhatsApp's code where it refuses that.
    pub async fn change_member(
        &self,
        id: &str,
        person: &ChatId,
        action: MemberAction,
    ) -> Result<Option<u16>, RequestError> {
        let people = [encode::chat_jid(
            &self.resolve_chat(person, self.answer_timeout).await,
        )];
        let (jid, handle) = (Jid::group(id), self.client.groups());
        let (jid, handle, people) = (&jid, &handle, &people);
        let results = self
            .run_change(|| async move {
                match action {
                    MemberAction::Remove => handle.remove_participants(jid, people).await,
                    MemberAction::Promote => handle.promote_participants(jid, people).await,
                    MemberAction::Demote => handle.demote_participants(jid, people).await,
                }
            })
            .await?;
        Ok(results.first().and_then(refusal_code))
    }

    /// Leaves a group.
    pub async fn leave_group(&self, id: &str) -> Result<(), RequestError> {
        let (jid, handle) = (Jid::group(id), self.client.groups());
        self.run_change(|| handle.leave(jid.clone())).await
    }

    async fn add_addresses(
        &self,
        group: &Jid,
        jids: &[Jid],
    ) -> Result<Vec<MemberResult>, RequestError> {
        let handle = self.client.groups();
        let results = self
            .run_change(|| handle.add_participants(group.clone(), jids))
            .await?;
        Ok(self
            .convert_results(&results, MemberStatus::Added, MemberStatus::of_addition)
            .await)
    }

    /// Converts WhatsApp's results for people.
    pub(super) async fn convert_results(
        &self,
        results: &[ParticipantChangeResponse],
        done: MemberStatus,
        refused: fn(u16) -> MemberStatus,
    ) -> Vec<MemberResult> {
        let named = results
            .iter()
            .map(|it| (it.jid.clone(), it.phone_number.clone()));
        let others = KnownAddresses::look_up(&self.client, named.collect()).await;
        let one = |result: &ParticipantChangeResponse| {
            let code = refusal_code(result);
            let invite = result.add_request.as_ref().map(|invite| MemberInvite {
                code: invite.code.clone(),
                expires_at: i64::try_from(invite.expiration)
                    .ok()
                    .and_then(|at| Timestamp::from_second(at).ok())
                    .unwrap_or_default(),
            });
            let person = others.build_person(&result.jid, result.phone_number.as_ref(), None);
            MemberResult {
                person: person.with_username(result.username.as_deref()),
                status: code.map_or(done, refused),
                code,
                invite,
            }
        };
        results.iter().map(one).collect()
    }

    /// Returns the addresses of people to be added, as WhatsApp knows them, and the results of
    /// those that it does not know.
    async fn resolve_new_members(
        &self,
        people: &[ChatId],
    ) -> Result<(Vec<Jid>, Vec<MemberResult>), RequestError> {
        let numbers: Vec<_> = people
            .iter()
            .filter_map(|person| match person {
                ChatId::Phone(number) => Some(number.clone()),
                _ => None,
            })
            .collect();
        let known = match numbers.is_empty() {
            true => Vec::new(),
            false => self.check_numbers(&numbers).await?,
        };
        let (mut jids, mut unknown) = (Vec::new(), Vec::new());
        for person in people {
            let jid = match person {
                ChatId::Phone(number) => {
                    let found = known.iter().find(|it| it.requested == *number && it.exists);
                    let Some(found) = found else {
                        unknown.push(MemberResult {
                            person: Person {
                                id: person.to_string(),
                                phone: Some(number.clone()),
                                ..Person::default()
                            },
                            status: MemberStatus::NotOnWhatsapp,
                            code: None,
                            invite: None,
                        });
                        continue;
                    };
                    Jid::pn(&found.phone)
                }
                person => encode::chat_jid(person),
            };
            if !jids.contains(&jid) {
                jids.push(jid);
            }
        }
        Ok((jids, unknown))
    }

    pub(super) async fn show_group(&self, found: &GroupMetadata) -> Group {
        groups::convert_group(found, &self.resolve_members(found).await).1
    }

    /// Looks up the other addresses that WhatsApp does not name itself, as in old groups.
    async fn resolve_members(&self, group: &GroupMetadata) -> KnownAddresses {
        let unknown = group
            .participants
            .iter()
            .filter(|it| it.phone_number.is_none() && it.lid.is_none());
        KnownAddresses::look_up(
            &self.client,
            unknown.map(|it| (it.jid.clone(), None)).collect(),
        )
        .await
    }

    /// Runs a request whose future is too large for the stack of a task, as the engine's are.
    pub(super) async fn run_boxed<T, E: Into<RequestError>>(
        &self,
        question: impl Future<Output = Result<T, E>>,
    ) -> Result<T, RequestError> {
        self.run_request(Box::pin(question)).await
    }

    /// Runs a change to a group: one at a time, and again where WhatsApp says that there were too
    /// many, as long as it has time for an answer.
    pub(super) async fn run_change<T, E, F>(
        &self,
        mut change: impl FnMut() -> F,
    ) -> Result<T, RequestError>
    where
        E: Into<RequestError>,
        F: Future<Output = Result<T, E>>,
    {
        let end = self.clock.uptime() + self.answer_timeout;
        let turn = self.group_changes.lock();
        let Ok(_turn) = self.clock.timeout(self.answer_timeout, turn).await else {
            return Err(OVERLIMIT);
        };
        let mut pause = FIRST_PAUSE;
        loop {
            let answer = self.run_boxed(change()).await;
            let waits = self.clock.uptime() + pause < end;
            match answer {
                Err(error) if error == OVERLIMIT && waits => self.clock.sleep(pause).await,
                answer => return answer,
            }
            pause *= 2;
        }
    }
}

fn is_member(group: &GroupMetadata, jid: &Jid) -> bool {
    group.participants.iter().any(|member| {
        let addresses = [
            Some(&member.jid),
            member.phone_number.as_ref(),
            member.lid.as_ref(),
        ];
        addresses
            .into_iter()
            .flatten()
            .any(|known| known.user == jid.user && known.server == jid.server)
    })
}

fn refusal_code(result: &ParticipantChangeResponse) -> Option<u16> {
    let code = result.error.as_ref()?;
    code.parse().ok().filter(|code| *code != 200)
}

fn parse_description(text: &str) -> Result<GroupDescription, RequestError> {
    GroupDescription::new(text).map_err(|_| RequestError::Failed)
}

const fn approval_mode(on: bool) -> MembershipApprovalMode {
    if on {
        MembershipApprovalMode::On
    } else {
        MembershipApprovalMode::Off
    }
}

const fn add_mode(all: bool) -> MemberAddMode {
    if all {
        MemberAddMode::AllMemberAdd
    } else {
        MemberAddMode::AdminAdd
    }
}

const fn link_mode(all: bool) -> MemberLinkMode {
    if all {
        MemberLinkMode::AllMemberLink
    } else {
        MemberLinkMode::AdminLink
    }
}

/// Asks for one group with all it has.
struct OneGroup(GroupQueryIq);

impl IqSpec for OneGroup {
    type Response = GroupMetadata;

    fn build_iq(&self) -> InfoQuery<'static> {
        self.0.build_iq()
    }

    fn parse_response(&self, response: &NodeRef<'_>) -> anyhow::Result<GroupMetadata> {
        let GroupInfoOutcome::Full(group) = self.0.parse_response(response)? else {
            anyhow::bail!("the group was left out");
        };
        let mut group = GroupMetadata::from(*group);
        if let Some(node) = response.get_optional_child("group") {
            groups::read_modes(&mut group, node);
        }
        Ok(group)
    }
}

/// Asks for all groups with all they have.
struct AllGroups;

impl IqSpec for AllGroups {
    type Response = Vec<GroupMetadata>;

    fn build_iq(&self) -> InfoQuery<'static> {
        GroupParticipatingIq::new().build_iq()
    }

    fn parse_response(&self, response: &NodeRef<'_>) -> anyhow::Result<Vec<GroupMetadata>> {
        let found = GroupParticipatingIq::new().parse_response(response)?;
        let mut found: Vec<_> = found.groups.into_iter().map(GroupMetadata::from).collect();
        let list = response.get_optional_child("groups");
        let nodes = list
            .into_iter()
            .flat_map(|list| list.get_children_by_tag("group"));
        for (group, node) in found.iter_mut().zip(nodes) {
            groups::read_modes(group, node);
        }
        Ok(found)
    }
}
