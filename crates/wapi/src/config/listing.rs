//! Settings as people see them: their values and sources, without secrets.

use std::fmt::Write;

use super::{ConfigSources, SETTINGS};
use crate::net::web_address::mask_password;
use crate::system::master_key::MasterKey;

/// Shown instead of a secret.
const HIDDEN: &str = "********";

/// The value of a setting, and its source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SettingValue {
    pub name: String,
    /// Secrets are hidden; `None`: it is not set.
    pub value: Option<String>,
    pub source: String,
}

/// Returns every setting, in the order of the reference.
pub fn describe_settings(layers: &ConfigSources) -> Vec<SettingValue> {
    let describe = |setting: &super::Setting| {
        let value = layers.setting_value(setting.name).map(|value| {
            // A master key may stand in a setting that is none, by mistake.
            if setting.secret || MasterKey::has_form(value) {
                HIDDEN.to_owned()
            } else {
                mask_password(value)
            }
        });
        SettingValue {
            name: setting.name.to_owned(),
            value,
            source: layers.value_source(setting.name).to_string(),
        }
    };
    SETTINGS.iter().map(describe).collect()
}

/// Lists every setting with its value and source, one per line, with secrets masked. Then the
/// unknown names.
pub fn list_settings(layers: &ConfigSources) -> String {
    let width = SETTINGS
        .iter()
        .map(|setting| setting.name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for SettingValue {
        name,
        value,
        source,
    } in describe_settings(layers)
    {
        let value = value.as_deref().unwrap_or("(not set)");
        writeln!(text, "{name:width$} = {value}    [{source}]")
            .expect("writing to a String cannot fail");
    }
    for (name, source) in layers.unknown_names() {
        writeln!(text, "{name} is not a setting    [{source}]")
            .expect("writing to a String cannot fail");
    }
    text
}
