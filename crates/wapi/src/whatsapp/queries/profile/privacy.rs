//! Privacy settings of the account: reading them, and changing some of them.

use std::collections::BTreeMap;

use anyhow::Context;
use whatsapp_rust::wacore::iq::privacy::{
    DisallowedListAction, DisallowedListUpdate, DisallowedListUserEntry, PrivacyCategory,
    PrivacySettingsSpec, PrivacyValue as WireValue,
};
use whatsapp_rust::wacore::iq::spec::IqSpec;
use whatsapp_rust::wacore::request::InfoQuery;
use whatsapp_rust::wacore::store::commands::DeviceCommand;
use whatsapp_rust::wacore_binary::builder::NodeBuilder;
use whatsapp_rust::wacore_binary::{NodeContent, NodeRef, Server};
use whatsapp_rust::{Client, Jid};

use crate::model::account::privacy::{AccountPrivacy, PrivacyTopic, PrivacyValue};
use crate::model::event::Person;
use crate::model::message::ChatId;
use crate::whatsapp::connection::link::Link;
use crate::whatsapp::notifications::observer::KnownAddresses;
use crate::whatsapp::queries::contacts::NumberRegistration;
use crate::whatsapp::request_error::RequestError;
use crate::whatsapp::send::encode;

/// WhatsApp's code for a change to a list that has changed since it was read.
const CONFLICT: u16 = 409;

/// Result of a change of privacy settings.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PrivacyOutcome {
    Done,
    /// Nothing was changed, since this person cannot be an exception of the setting.
    Impossible {
        topic: PrivacyTopic,
        person: ChatId,
        reason: &'static str,
    },
}

/// An exception on the wire: the LID, and the number where it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ExceptedPerson {
    jid: Jid,
    number: Option<Jid>,
}

impl ExceptedPerson {
    /// Whether both have an address in common: WhatsApp may list a person by either one.
    fn is_same_person(&self, other: &Self) -> bool {
        let addresses = |it: &Self| [Some(it.jid.clone()), it.number.clone()];
        let of_other = addresses(other);
        let mut own = addresses(self).into_iter().flatten();
        own.any(|address| of_other.contains(&Some(address)))
    }
}

impl Link {
    /// Returns all settings. WhatsApp tells the exceptions of each setting alone.
    pub async fn fetch_privacy(&self) -> Result<AccountPrivacy<Person>, RequestError> {
        let settings = self
            .run_request(self.client.execute(PrivacySettingsSpec::new()))
            .await?;
        let mut topics = BTreeMap::new();
        for topic in PrivacyTopic::ALL {
            let told = settings.get_value(&PrivacyCategory::from(topic.wire_name()));
            let Some(told) = told else { continue };
            let value = match PrivacyValue::from_wire(told.as_str()) {
                PrivacyValue::Except(_) => {
                    PrivacyValue::Except(self.fetch_excepted_people(topic).await?)
                }
                word @ PrivacyValue::Word(_) => word,
            };
            topics.insert(topic, value);
        }
        let own = self.client.pn().ok_or(RequestError::Offline)?.to_non_ad();
        let default_timer = self
            .run_request(self.client.execute(DefaultTimerQuery(own)))
            .await?;
        Ok(AccountPrivacy {
            topics,
            default_timer,
        })
    }

    async fn fetch_excepted_people(
        &self,
        topic: PrivacyTopic,
    ) -> Result<Vec<Person>, RequestError> {
        let (listed, _) = self.fetch_exceptions(topic).await?;
        let others = listed.iter().map(|it| (it.jid.clone(), it.number.clone()));
        let others = KnownAddresses::look_up(&self.client, others.collect()).await;
        let people = listed
            .iter()
            .map(|it| others.build_person(&it.jid, it.number.as_ref(), None));
        Ok(people.collect())
    }

    /// Changes these settings. Everybody is looked up before the first change.
    pub async fn change_privacy(
        &self,
        change: &AccountPrivacy<ChatId>,
    ) -> Result<PrivacyOutcome, RequestError> {
        let mut changes = Vec::with_capacity(change.topics.len());
        for (&topic, value) in &change.topics {
            changes.push((
                topic,
                match value {
                    PrivacyValue::Word(word) => PrivacyValue::Word(word.clone()),
                    PrivacyValue::Except(people) => {
                        let mut found = Vec::with_capacity(people.len());
                        for person in people {
                            match self.find_exception(person).await? {
                                Ok(it) => found.push(it),
                                Err(reason) => {
                                    return Ok(PrivacyOutcome::Impossible {
                                        topic,
                                        person: person.clone(),
                                        reason,
                                    });
                                }
                            }
                        }
                        PrivacyValue::Except(found)
                    }
                },
            ));
        }
        for (topic, value) in changes {
            match value {
                PrivacyValue::Word(word) => self.set_privacy_word(topic, &word).await?,
                PrivacyValue::Except(people) => self.set_exceptions(topic, &people).await?,
            }
        }
        if let Some(seconds) = change.default_timer {
            self.run_request(self.client.set_default_disappearing_mode(seconds))
                .await?;
        }
        Ok(PrivacyOutcome::Done)
    }

    async fn set_privacy_word(&self, topic: PrivacyTopic, word: &str) -> Result<(), RequestError> {
        let (category, value) = (
            PrivacyCategory::from(topic.wire_name()),
            WireValue::from(word),
        );
        let is_without_receipts = value == WireValue::None;
        self.run_request(self.client.set_privacy_setting(category, value))
            .await?;
        if topic == PrivacyTopic::ReadReceipts {
            // The engine reads this setting at the next login only, and sends receipts by it.
            let engine = self.client.persistence_manager();
            let setting = DeviceCommand::SetReadReceiptsDisabled(is_without_receipts);
            engine.process_command(setting).await;
        }
        Ok(())
    }

    /// Makes these people the only exceptions of a setting. Another device that changes the list
    /// at the same moment makes WhatsApp refuse the change, which is then made on the new list.
    async fn set_exceptions(
        &self,
        topic: PrivacyTopic,
        people: &[ExceptedPerson],
    ) -> Result<(), RequestError> {
        match self.try_set_exceptions(topic, people).await {
            Err(RequestError::Refused(CONFLICT)) => self.try_set_exceptions(topic, people).await,
            done => done,
        }
    }

    async fn try_set_exceptions(
        &self,
        topic: PrivacyTopic,
        people: &[ExceptedPerson],
    ) -> Result<(), RequestError> {
        let (listed, dhash) = self.fetch_exceptions(topic).await?;
        let entry = |it: &ExceptedPerson, action| DisallowedListUserEntry {
            action,
            jid: it.jid.clone(),
            pn_jid: it.number.clone(),
        };
        let has = |list: &[ExceptedPerson], it: &ExceptedPerson| {
            list.iter().any(|other| other.is_same_person(it))
        };
        let added = people.iter().filter(|it| !has(&listed, it));
        let removed = listed.iter().filter(|it| !has(people, it));
        let users = added
            .map(|it| entry(it, DisallowedListAction::Add))
            .chain(removed.map(|it| entry(it, DisallowedListAction::Remove)))
            .collect();
        let category = PrivacyCategory::from(topic.wire_name());
        let update = DisallowedListUpdate { dhash, users };
        self.run_request(self.client.set_privacy_disallowed_list(category, update))
            .await
            .map(drop)
    }

    async fn fetch_exceptions(
        &self,
        topic: PrivacyTopic,
    ) -> Result<(Vec<ExceptedPerson>, String), RequestError> {
        self.run_request(self.client.execute(ExceptionsQuery(topic)))
            .await
    }

    /// Looks up the addresses of a person to except, or the reason why there can be none.
    async fn find_exception(
        &self,
        person: &ChatId,
    ) -> Result<Result<ExceptedPerson, &'static str>, RequestError> {
        let jid = match self
            .run_request(async { Ok::<_, RequestError>(self.find_registration(person).await) })
            .await?
        {
            NumberRegistration::NotOnWhatsapp => return Ok(Err("is not on WhatsApp")),
            NumberRegistration::OtherForm(number) => Jid::pn(&number),
            NumberRegistration::AsRequested | NumberRegistration::Unknown => {
                encode::chat_jid(person)
            }
        };
        if is_own(&self.client, &jid) {
            return Ok(Err("is the account itself"));
        }
        Ok(match self.client.get_lid_pn_entry(&jid).await {
            Ok(Some(known)) => Ok(ExceptedPerson {
                jid: Jid::lid(&*known.lid),
                number: Some(Jid::pn(&*known.phone_number)),
            }),
            _ if jid.is_lid() => Ok(ExceptedPerson { jid, number: None }),
            _ => Err("has no known LID, by which WhatsApp lists people; check the number first"),
        })
    }
}

fn is_own(client: &Client, jid: &Jid) -> bool {
    [client.pn(), client.lid()]
        .into_iter()
        .flatten()
        .any(|own| own.to_non_ad() == *jid)
}

/// Asks for the exceptions of a setting, and for the version of their list.
struct ExceptionsQuery(PrivacyTopic);

impl IqSpec for ExceptionsQuery {
    type Response = (Vec<ExceptedPerson>, String);

    fn build_iq(&self) -> InfoQuery<'static> {
        let list = NodeBuilder::new("list")
            .attr("name", self.0.wire_name())
            .attr("value", WireValue::ContactBlacklist.as_str())
            .build();
        let privacy = NodeBuilder::new("privacy").children([list]).build();
        InfoQuery::get(
            "privacy",
            Jid::new("", Server::Pn),
            Some(NodeContent::Nodes(vec![privacy])),
        )
    }

    fn parse_response(&self, response: &NodeRef<'_>) -> Result<Self::Response, anyhow::Error> {
        let list = response
            .get_optional_child("privacy")
            .and_then(|privacy| privacy.get_optional_child("list"))
            .context("the answer has no list")?;
        let jid = |user: &NodeRef<'_>, name| user.get_attr(name)?.as_str().parse::<Jid>().ok();
        let mut listed = Vec::new();
        for user in list.get_children_by_tag("user") {
            let named = jid(user, "jid").context("a user without address")?;
            let number = jid(user, "pn_jid").filter(|number| *number != named);
            listed.push(ExceptedPerson { jid: named, number });
        }
        let dhash = list.get_attr("dhash").map(|it| it.as_str().into_owned());
        // A list that was never written has no version.
        Ok((listed, dhash.unwrap_or_else(|| "none".to_owned())))
    }
}

/// Asks for the default timer of new chats, which is public.
struct DefaultTimerQuery(Jid);

impl IqSpec for DefaultTimerQuery {
    type Response = Option<u32>;

    fn build_iq(&self) -> InfoQuery<'static> {
        let leaf = |tag| NodeBuilder::new(tag).build();
        let user = NodeBuilder::new("user").attr("jid", &self.0).build();
        let usync = NodeBuilder::new("usync")
            .attr("sid", "disappearing")
            .attr("mode", "query")
            .attr("last", "true")
            .attr("index", "0")
            .attr("context", "interactive")
            .children([
                NodeBuilder::new("query")
                    .children([leaf("disappearing_mode")])
                    .build(),
                NodeBuilder::new("list").children([user]).build(),
            ])
            .build();
        InfoQuery::get(
            "usync",
            Jid::new("", Server::Pn),
            Some(NodeContent::Nodes(vec![usync])),
        )
    }

    fn parse_response(&self, response: &NodeRef<'_>) -> Result<Self::Response, anyhow::Error> {
        let told =
            response.get_optional_child_by_tag(&["usync", "list", "user", "disappearing_mode"]);
        Ok(told.and_then(|told| told.get_attr("duration")?.as_str().parse().ok()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn person(jid: &str, number: Option<&str>) -> ExceptedPerson {
        ExceptedPerson {
            jid: jid.parse().unwrap(),
            number: number.map(|number| number.parse().unwrap()),
        }
    }

    #[test]
    fn a_person_is_the_same_by_number_and_by_lid() {
        let bob = person("100@lid", Some("375440000001@s.whatsapp.net"));
        for listed in [
            person("100@lid", None),
            person("375440000001@s.whatsapp.net", None),
            person(
                "375440000001@s.whatsapp.net",
                Some("375440000001@s.whatsapp.net"),
            ),
        ] {
            assert!(bob.is_same_person(&listed) && listed.is_same_person(&bob));
        }
        for other in [
            person("101@lid", None),
            person("375440000001@lid", None),
            person("375440000002@s.whatsapp.net", None),
        ] {
            assert!(!bob.is_same_person(&other) && !other.is_same_person(&bob));
        }
    }
}
