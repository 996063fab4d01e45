//! Privacy settings of an account: visibility of its data and permissions of others.

use std::collections::{BTreeMap, BTreeSet};

use crate::model::ids::PhoneNumber;
use crate::server::world::Account;

/// The contacts except named people.
pub(crate) const EXCEPT_SOME: &str = "contact_blacklist";

pub(crate) const VISIBILITY: &[&str] = &["all", "contacts", EXCEPT_SOME, "none"];

/// The settings and the values of each, the default first.
pub(crate) const SETTINGS: [(&str, &[&str]); 10] = [
    ("last", VISIBILITY),
    ("online", &["all", "match_last_seen"]),
    ("profile", VISIBILITY),
    ("status", VISIBILITY),
    ("readreceipts", &["all", "none"]),
    ("groupadd", VISIBILITY),
    ("calladd", &["all", "known", "contacts"]),
    ("messages", &["all", "contacts"]),
    ("defense", &["off", "on_standard"]),
    ("stickers", &["all", "contacts", "none"]),
];

/// The changed settings of one account.
#[derive(Default)]
pub(crate) struct PrivacySettings {
    chosen: BTreeMap<&'static str, &'static str>,
    excluded: BTreeMap<&'static str, ExclusionList>,
}

/// The people excluded by one setting.
#[derive(Clone, Default)]
pub(crate) struct ExclusionList {
    pub(crate) numbers: BTreeSet<PhoneNumber>,
    /// Increases with each change, so that a client with an older list is refused.
    pub(crate) version: u64,
}

impl PrivacySettings {
    /// All settings, in WhatsApp's words.
    pub(crate) fn all_settings(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        SETTINGS
            .iter()
            .map(|(name, values)| (*name, self.chosen.get(name).copied().unwrap_or(values[0])))
    }

    /// Returns a setting, or `None` if there is no such setting.
    pub(crate) fn get_setting(&self, name: &str) -> Option<&'static str> {
        self.all_settings()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// Changes a setting. Returns `false` if there is no such setting or value.
    pub(crate) fn set_setting(&mut self, name: &str, value: &str) -> bool {
        let known = SETTINGS.iter().find(|(known, _)| *known == name);
        let Some((name, value)) = known.and_then(|(name, values)| {
            Some((*name, values.iter().copied().find(|known| *known == value)?))
        }) else {
            return false;
        };
        self.chosen.insert(name, value);
        true
    }

    pub(crate) fn exclusion_list(&self, name: &str) -> ExclusionList {
        self.excluded.get(name).cloned().unwrap_or_default()
    }

    /// Excludes people or includes them again; only for settings that exclude people at all.
    pub(crate) fn change_exclusions(
        &mut self,
        name: &str,
        changes: impl IntoIterator<Item = (PhoneNumber, bool)>,
    ) {
        let known = SETTINGS
            .iter()
            .find(|(known, values)| *known == name && values.contains(&EXCEPT_SOME));
        let Some((name, _)) = known else { return };
        let list = self.excluded.entry(name).or_default();
        for (number, is_excluded) in changes {
            match is_excluded {
                true => drop(list.numbers.insert(number)),
                false => drop(list.numbers.remove(&number)),
            }
        }
        list.version += 1;
    }
}

impl Account {
    /// Whether another account may see the data that a setting protects. The accounts it has
    /// exchanged messages with count as its contacts.
    pub(crate) fn is_shown_to(&self, what: &str, other: &PhoneNumber) -> bool {
        if self.number == *other {
            return true;
        }
        match self.privacy.get_setting(what) {
            Some("none") => false,
            Some("contacts") => self.peers.contains(other),
            Some(EXCEPT_SOME) => {
                self.peers.contains(other)
                    && !self.privacy.exclusion_list(what).numbers.contains(other)
            }
            _ => true,
        }
    }

    /// The about text as another account sees it.
    pub(crate) fn about_for(&self, other: &PhoneNumber) -> &str {
        if self.is_shown_to("status", other) {
            &self.profile.about
        } else {
            ""
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_one_of_what_it_can_be_and_names_people_only_where_it_does() {
        let mut privacy = PrivacySettings::default();
        let of = |privacy: &PrivacySettings, names: [&str; 4]| {
            names.map(|name| privacy.get_setting(name))
        };
        let asked = ["last", "defense", "stickers", "hats"];
        assert_eq!(
            of(&privacy, asked),
            [Some("all"), Some("off"), Some("all"), None]
        );
        for (name, value, is_taken) in [
            ("last", "none", true),
            ("defense", "all", false),
            ("online", "none", false),
            ("hats", "all", false),
        ] {
            assert_eq!(privacy.set_setting(name, value), is_taken, "{name} {value}");
        }
        assert_eq!(
            of(&privacy, asked),
            [Some("none"), Some("off"), Some("all"), None]
        );
        privacy.change_exclusions(
            "profile",
            [("1".into(), true), ("2".into(), true), ("1".into(), false)],
        );
        privacy.change_exclusions("calladd", [("1".into(), true)]);
        assert_eq!(
            privacy.exclusion_list("profile").numbers,
            BTreeSet::from(["2".into()])
        );
        assert_eq!(
            (
                privacy.exclusion_list("profile").version,
                privacy.exclusion_list("calladd").version
            ),
            (1, 0)
        );
    }
}
