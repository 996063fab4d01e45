//! Preferences of an account: status audience, default timer, accepted notices, contact link, push
//! registrations and business profile.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use wacore_binary::Node;
use wacore_binary::builder::NodeBuilder;

use crate::model::ids::PhoneNumber;
use crate::wire::leaf_node;

/// The audience of an account's statuses.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum StatusAudience {
    /// All its contacts.
    #[default]
    Contacts,
    /// All its contacts but these numbers.
    AllBut(Vec<String>),
    /// These numbers alone.
    Only(Vec<String>),
}

/// The profile of a business. Missing parts are empty.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct BusinessProfile {
    /// A free text.
    pub description: String,
    /// The postal address.
    pub address: String,
    /// The email address.
    pub email: String,
    /// Its websites.
    pub websites: Vec<String>,
    /// Its categories: id and name each.
    pub categories: Vec<(String, String)>,
    /// The time zone of its hours, such as `Europe/Minsk`.
    pub timezone: String,
    /// Its opening hours.
    pub hours: Vec<BusinessHours>,
}

/// The opening hours of one day of the week.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct BusinessHours {
    /// `mon` to `sun`.
    pub day: String,
    /// `specific_hours`, `open_24h` or `appointment_only`.
    pub mode: String,
    /// From and to in minutes since midnight, if the hours are specific.
    #[serde(default)]
    pub open: Option<(u32, u32)>,
}

impl BusinessProfile {
    /// The children of a profile node on the wire.
    pub(crate) fn profile_nodes(&self) -> Vec<Node> {
        let texts = [
            ("description", &self.description),
            ("address", &self.address),
            ("email", &self.email),
        ];
        let texts = texts
            .into_iter()
            .filter(|(_, text)| !text.is_empty())
            .map(|(tag, text)| leaf_node(tag, text.as_bytes()));
        let websites = self
            .websites
            .iter()
            .map(|website| leaf_node("website", website.as_bytes()));
        let category = |(id, name): &(String, String)| {
            NodeBuilder::new("category")
                .attr("id", id.as_str())
                .bytes(name.as_bytes())
                .build()
        };
        let categories = self.categories.iter().map(category).collect::<Vec<_>>();
        let categories = (!categories.is_empty())
            .then(|| NodeBuilder::new("categories").children(categories).build());
        let hours = (!self.hours.is_empty()).then(|| {
            let days = self
                .hours
                .iter()
                .map(BusinessHours::hours_node)
                .collect::<Vec<_>>();
            NodeBuilder::new("business_hours")
                .attr("timezone", self.timezone.as_str())
                .children(days)
                .build()
        });
        texts
            .chain(websites)
            .chain(categories)
            .chain(hours)
            .collect()
    }
}

impl BusinessHours {
    fn hours_node(&self) -> Node {
        let day = NodeBuilder::new("business_hours_config").attr("day_of_week", self.day.as_str());
        let day = day.attr("mode", self.mode.as_str());
        match self.open {
            Some((from, to)) => day
                .attr("open_time", from.to_string())
                .attr("close_time", to.to_string())
                .build(),
            None => day.build(),
        }
    }
}

/// All preferences of an account.
#[derive(Default)]
pub(crate) struct AccountPreferences {
    pub(crate) statuses: StatusAudience,
    /// The default timer of new chats in seconds, 0 for none; and when it was set, in seconds since
    /// 1970.
    pub(crate) default_timer: (u32, u64),
    /// The last part of the account's contact link.
    pub(crate) contact_link: Option<String>,
    /// Accepted notices: the id and the stage of each.
    pub(crate) notices: BTreeMap<String, String>,
    /// The push registrations of its devices.
    pub(crate) push_registrations: BTreeMap<u16, Node>,
    /// The children of its profile on the wire, if it is a business.
    pub(crate) business: Option<Vec<Node>>,
}

/// Normalizes a list of numbers.
pub(crate) fn normalize_numbers(listed: &[String]) -> impl Iterator<Item = PhoneNumber> {
    listed
        .iter()
        .map(|number| PhoneNumber::from(number.trim_start_matches('+')))
}
