//! Output of `wapi config`.

use std::fmt::Write;

use super::{ConfigSources, SETTINGS};
use crate::net::web_address::mask_password;

/// Lists every setting with its value and source, one per line, with secrets masked. Then the
/// unknown names.
pub fn list_settings(layers: &ConfigSources) -> String {
    let width = SETTINGS
        .iter()
        .map(|setting| setting.name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for setting in SETTINGS {
        let value = match layers.setting_value(setting.name) {
            None => "(not set)".to_owned(),
            Some(_) if setting.secret => "********".to_owned(),
            Some(value) => mask_password(value),
        };
        let source = layers.value_source(setting.name);
        writeln!(text, "{:width$} = {value}    [{source}]", setting.name)
            .expect("writing to a String cannot fail");
    }
    for (name, source) in layers.unknown_names() {
        writeln!(text, "{name} is not a setting    [{source}]")
            .expect("writing to a String cannot fail");
    }
    text
}
