//! One setting, as the table has it.

use super::SETTINGS;

/// One setting: everything there is to say about it, for the reader of values, error messages,
/// `wapi config`, `config.default.toml`, and the reference.
#[derive(Debug)]
pub struct Setting {
    /// Its heading in the reference.
    pub section: &'static str,
    /// The environment variable.
    pub name: &'static str,
    pub default: SettingDefault,
    /// A valid value.
    pub example: &'static str,
    /// Never printed.
    pub secret: bool,
    /// Its meaning in the reference, in Markdown.
    pub meaning: &'static str,
}

/// The value of a setting that nobody sets.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum SettingDefault {
    /// Missing: the gateway does not start.
    Required,
    /// None; the text names the behaviour without a value, in Markdown.
    Unset(&'static str),
    Value(&'static str),
}

impl Setting {
    /// Returns the name in a settings file: the variable without its prefix, in lower case.
    pub fn file_key(&self) -> String {
        self.name.trim_start_matches("WAPI_").to_lowercase()
    }

    /// Returns the default, if it is a value.
    pub const fn default_value(&self) -> Option<&'static str> {
        match self.default {
            SettingDefault::Value(value) => Some(value),
            SettingDefault::Required | SettingDefault::Unset(_) => None,
        }
    }

    /// Returns the setting of this variable, if there is one.
    pub fn find_by_name(name: &str) -> Option<&'static Self> {
        SETTINGS.iter().find(|setting| setting.name == name)
    }
}
