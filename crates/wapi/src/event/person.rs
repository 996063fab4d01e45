//! A person, and what they are called. A public contract.

use serde::{Deserialize, Serialize};

/// Everything known of a person; `null` where unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Person {
    /// The same form as a chat's id.
    pub id: String,
    /// International number without the plus sign.
    pub phone: Option<String>,
    /// WhatsApp's identifier that hides the number, `…@lid`.
    pub lid: Option<String>,
    /// What to call them; see [`Names::shown`].
    pub name: Option<String>,
    /// Left out where they are not known; `push_name` also where it is the name that is shown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_name: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_name: Option<String>,
}

/// What somebody is called, by whom.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Names {
    /// As the account has saved them.
    pub saved: Option<String>,
    /// The name of a business that WhatsApp has checked.
    pub verified: Option<String>,
    /// As they call themselves.
    pub push: Option<String>,
}

impl Names {
    /// The one rule which is shown: what the account calls them, else what WhatsApp has checked, else what they call themselves.
    pub const fn shown(&self) -> Option<&String> {
        match (&self.saved, &self.verified, &self.push) {
            (Some(name), _, _) | (None, Some(name), _) | (None, None, Some(name)) => Some(name),
            (None, None, None) => None,
        }
    }

    /// What is new of them, and otherwise what was known before.
    #[must_use]
    pub fn or(self, earlier: Self) -> Self {
        Self {
            saved: self.saved.or(earlier.saved),
            verified: self.verified.or(earlier.verified),
            push: self.push.or(earlier.push),
        }
    }
}

impl Person {
    /// All their names. A name alone is what they call themselves.
    pub fn names(&self) -> Names {
        let (saved, verified) = (self.saved_name.clone(), self.verified_name.clone());
        let alone = self
            .name
            .as_ref()
            .filter(|_| saved.is_none() && verified.is_none());
        let push = self.push_name.as_ref().or(alone).cloned();
        Names {
            saved,
            verified,
            push,
        }
    }

    /// The same person under these names.
    #[must_use]
    pub fn called(self, names: Names) -> Self {
        let name = names.shown().cloned();
        let Names {
            saved,
            verified,
            push,
        } = names;
        let push_name = push.filter(|push| Some(push) != name.as_ref());
        Self {
            name,
            saved_name: saved,
            verified_name: verified,
            push_name,
            ..self
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names(names: [Option<&str>; 3]) -> Names {
        let [saved, verified, push] = names.map(|name| name.map(str::to_owned));
        Names {
            saved,
            verified,
            push,
        }
    }

    #[test]
    fn the_names_of_a_person_are_kept_apart_and_one_is_shown() {
        for (known, shown) in [
            (
                [None, None, None],
                r#"{"id":"a","phone":null,"lid":null,"name":null}"#,
            ),
            (
                [None, None, Some("P")],
                r#"{"id":"a","phone":null,"lid":null,"name":"P"}"#,
            ),
            (
                [Some("S"), None, Some("P")],
                r#"{"id":"a","phone":null,"lid":null,"name":"S","saved_name":"S","push_name":"P"}"#,
            ),
            (
                [Some("S"), None, None],
                r#"{"id":"a","phone":null,"lid":null,"name":"S","saved_name":"S"}"#,
            ),
            (
                [None, Some("V"), Some("P")],
                r#"{"id":"a","phone":null,"lid":null,"name":"V","verified_name":"V","push_name":"P"}"#,
            ),
            (
                [Some("S"), Some("V"), Some("P")],
                r#"{"id":"a","phone":null,"lid":null,"name":"S","saved_name":"S","verified_name":"V","push_name":"P"}"#,
            ),
        ] {
            let person = Person {
                id: "a".to_owned(),
                ..Person::default()
            }
            .called(names(known));
            assert_eq!(serde_json::to_string(&person).unwrap(), shown);
            let read: Person = serde_json::from_str(shown).unwrap();
            assert_eq!((read.names(), read), (names(known), person));
        }
    }
}
