//! A person and their names. A public contract.

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// The known data of a person; `null` where unknown.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(default)]
pub struct Person {
    /// The number's address where the number is known, else the LID: the same form as a chat's id.
    pub id: String,
    /// International number, digits only.
    pub phone: Option<String>,
    /// WhatsApp's identifier that hides the number, `…@lid`.
    pub lid: Option<String>,
    /// The name to display: `saved_name`, else `verified_name`, else `push_name`.
    pub name: Option<String>,
    /// The name under which the account has saved them; left out where it has not.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub saved_name: Option<String>,
    /// The name of a business, verified by WhatsApp; left out where there is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub verified_name: Option<String>,
    /// The name they chose themselves; left out where it is `name`, or unknown.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub push_name: Option<String>,
    /// The username that they chose on WhatsApp; left out where WhatsApp does not tell it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub username: Option<String>,
}

/// The names of a person, by origin.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PersonNames {
    /// The name under which the account has saved them.
    pub saved: Option<String>,
    /// The name of a business, verified by WhatsApp.
    pub verified: Option<String>,
    /// The name they chose themselves.
    pub push: Option<String>,
    /// The username that they chose on WhatsApp; never the name to display.
    pub username: Option<String>,
}

impl PersonNames {
    /// Returns the name to display, by the one rule for this: the saved name, else the verified
    /// name, else the push name.
    pub const fn display_name(&self) -> Option<&String> {
        match (&self.saved, &self.verified, &self.push) {
            (Some(name), _, _) | (None, Some(name), _) | (None, None, Some(name)) => Some(name),
            (None, None, None) => None,
        }
    }

    /// Fills the missing names from `earlier`.
    #[must_use]
    pub fn or_earlier(self, earlier: Self) -> Self {
        Self {
            saved: self.saved.or(earlier.saved),
            verified: self.verified.or(earlier.verified),
            push: self.push.or(earlier.push),
            username: self.username.or(earlier.username),
        }
    }
}

impl Person {
    /// Returns all their names. A `name` without any other is the push name.
    pub fn all_names(&self) -> PersonNames {
        let (saved, verified) = (self.saved_name.clone(), self.verified_name.clone());
        let alone = self
            .name
            .as_ref()
            .filter(|_| saved.is_none() && verified.is_none());
        let push = self.push_name.as_ref().or(alone).cloned();
        PersonNames {
            saved,
            verified,
            push,
            username: self.username.clone(),
        }
    }

    /// Returns the same person with these names.
    #[must_use]
    pub fn with_names(self, names: PersonNames) -> Self {
        let name = names.display_name().cloned();
        let PersonNames {
            saved,
            verified,
            push,
            username,
        } = names;
        let push_name = push.filter(|push| Some(push) != name.as_ref());
        Self {
            name,
            saved_name: saved,
            verified_name: verified,
            push_name,
            username,
            ..self
        }
    }

    /// Returns the same person with the username that WhatsApp tells, if it tells one.
    #[must_use]
    pub fn with_username(self, username: Option<&str>) -> Self {
        match username.filter(|username| !username.is_empty()) {
            Some(username) => Self {
                username: Some(username.to_owned()),
                ..self
            },
            None => self,
        }
    }
}

#[cfg(test)]
mod tests {
    use crate::model::event::person::*;

    fn names(names: [Option<&str>; 3]) -> PersonNames {
        let [saved, verified, push] = names.map(|name| name.map(str::to_owned));
        PersonNames {
            saved,
            verified,
            push,
            username: None,
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
            .with_names(names(known));
            assert_eq!(serde_json::to_string(&person).unwrap(), shown);
            let read: Person = serde_json::from_str(shown).unwrap();
            assert_eq!((read.all_names(), read), (names(known), person));
        }
    }
}
