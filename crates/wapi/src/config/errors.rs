//! Errors in the settings, reported all at once.

use std::fmt;

use super::Setting;

/// One wrong or missing setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigError {
    /// The variable, e.g. `WAPI_ENV`.
    pub name: String,
    /// The fault; never the value of a secret.
    pub problem: String,
}

/// All errors, in the order of the settings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct ConfigErrors(pub Vec<ConfigError>);

impl ConfigErrors {
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn add(&mut self, name: &str, problem: impl Into<String>) {
        self.0.push(ConfigError {
            name: name.to_owned(),
            problem: problem.into(),
        });
    }
}

impl fmt::Display for ConfigErrors {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "wapi cannot start with these settings:")?;
        for ConfigError { name, problem } in &self.0 {
            write!(f, "  {name} {problem}")?;
            match Setting::find_by_name(name) {
                Some(setting) => writeln!(f, "; for example {name}={}", setting.example)?,
                None => writeln!(f)?,
            }
        }
        write!(
            f,
            "`wapi config` prints every setting and where its value comes from"
        )
    }
}

impl std::error::Error for ConfigErrors {}
