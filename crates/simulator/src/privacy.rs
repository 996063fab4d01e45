//! Privacy settings of an account: visibility of its data and permissions of others, shared by all
//! of its devices.

use std::collections::{BTreeMap, BTreeSet};

use crate::phone::Phone;
use crate::stanza::iq::privacy;
use crate::world::{Account, Number};

/// Everybody except named people.
pub(crate) const BUT_SOME: &str = "contact_blacklist";

const WHO_SEES: &[&str] = &["all", "contacts", BUT_SOME, "none"];
/// The settings and the values of each, the default first.
const SETTINGS: [(&str, &[&str]); 10] = [
    ("last", WHO_SEES),
    ("online", &["all", "match_last_seen"]),
    ("profile", WHO_SEES),
    ("status", WHO_SEES),
    ("readreceipts", &["all", "none"]),
    ("groupadd", WHO_SEES),
    ("calladd", &["all", "known", "contacts"]),
    ("messages", &["all", "contacts"]),
    ("defense", &["off", "on_standard"]),
    ("stickers", &["all", "contacts", "none"]),
];

/// The changed settings of one account.
#[derive(Default)]
pub(crate) struct Privacy {
    chosen: BTreeMap<&'static str, &'static str>,
    excluded: BTreeMap<&'static str, Excluded>,
}

/// The people excluded by one setting.
#[derive(Clone, Default)]
pub(crate) struct Excluded {
    pub(crate) numbers: BTreeSet<Number>,
    /// Increases with each change, so that a client with an older list is refused.
    pub(crate) version: u64,
}

impl Privacy {
    /// All settings, in WhatsApp's words.
    pub(crate) fn all(&self) -> impl Iterator<Item = (&'static str, &'static str)> {
        SETTINGS
            .iter()
            .map(|(name, values)| (*name, self.chosen.get(name).copied().unwrap_or(values[0])))
    }

    /// Returns a setting, or `None` if there is no such setting.
    pub(crate) fn get(&self, name: &str) -> Option<&'static str> {
        self.all()
            .find(|(known, _)| *known == name)
            .map(|(_, value)| value)
    }

    /// Changes a setting. Returns `false` if there is no such setting or value.
    pub(crate) fn set(&mut self, name: &str, value: &str) -> bool {
        let known = SETTINGS.iter().find(|(known, _)| *known == name);
        let Some((name, value)) = known.and_then(|(name, values)| {
            Some((*name, values.iter().copied().find(|known| *known == value)?))
        }) else {
            return false;
        };
        self.chosen.insert(name, value);
        true
    }

    pub(crate) fn excluded(&self, name: &str) -> Excluded {
        self.excluded.get(name).cloned().unwrap_or_default()
    }

    /// Excludes people or includes them again; only for settings that exclude people at all.
    pub(crate) fn exclude(
        &mut self,
        name: &str,
        changes: impl IntoIterator<Item = (Number, bool)>,
    ) {
        let known = SETTINGS
            .iter()
            .find(|(known, values)| *known == name && values.contains(&BUT_SOME));
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
    pub(crate) fn shows(&self, what: &str, other: &Number) -> bool {
        if self.number == *other {
            return true;
        }
        match self.privacy.get(what) {
            Some("none") => false,
            Some("contacts") => self.peers.contains(other),
            Some(BUT_SOME) => !self.privacy.excluded(what).numbers.contains(other),
            _ => true,
        }
    }

    /// The about text as another account sees it.
    pub(crate) fn about_for(&self, other: &Number) -> &str {
        if self.shows("status", other) {
            &self.profile.about
        } else {
            ""
        }
    }
}

impl Phone {
    /// A privacy setting (`last`, `online`, `profile`, `status`, `readreceipts`, `groupadd`,
    /// `calladd`, `messages`, `defense`, `stickers`), whichever of the account's devices has chosen
    /// it.
    pub fn privacy(&self, setting: &str) -> Option<&'static str> {
        self.server
            .world
            .lock()
            .account(&self.number)?
            .privacy
            .get(setting)
    }

    /// Changes a privacy setting and notifies the account's devices.
    pub fn chooses_privacy(&self, setting: &str, value: &str) -> anyhow::Result<()> {
        let is_one = privacy::set(&self.server, &self.id(0), setting, value, Vec::new());
        anyhow::ensure!(is_one, "{setting:?} cannot be {value:?}");
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_is_one_of_what_it_can_be_and_names_people_only_where_it_does() {
        let mut privacy = Privacy::default();
        let of = |privacy: &Privacy, names: [&str; 4]| names.map(|name| privacy.get(name));
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
            assert_eq!(privacy.set(name, value), is_taken, "{name} {value}");
        }
        assert_eq!(
            of(&privacy, asked),
            [Some("none"), Some("off"), Some("all"), None]
        );
        privacy.exclude(
            "profile",
            [("1".into(), true), ("2".into(), true), ("1".into(), false)],
        );
        privacy.exclude("calladd", [("1".into(), true)]);
        assert_eq!(
            privacy.excluded("profile").numbers,
            BTreeSet::from(["2".into()])
        );
        assert_eq!(
            (
                privacy.excluded("profile").version,
                privacy.excluded("calladd").version
            ),
            (1, 0)
        );
    }
}
