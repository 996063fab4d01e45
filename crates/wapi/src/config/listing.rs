//! What `wapi config` prints.

use std::fmt::Write;

use super::{Layers, SETTINGS};
use crate::webhooks::rules::shown;

/// Every setting, its value and where that comes from, one a line; secrets masked. Then the names that are no settings.
pub fn listing(layers: &Layers) -> String {
    let width = SETTINGS
        .iter()
        .map(|setting| setting.name.len())
        .max()
        .unwrap_or(0);
    let mut text = String::new();
    for setting in SETTINGS {
        let value = match layers.value(setting.name) {
            None => "(not set)".to_owned(),
            Some(_) if setting.secret => "********".to_owned(),
            Some(value) => shown(value),
        };
        let source = layers.source(setting.name);
        writeln!(text, "{:width$} = {value}    [{source}]", setting.name)
            .expect("writing to a String cannot fail");
    }
    for (name, source) in layers.unknown() {
        writeln!(text, "{name} is not a setting    [{source}]")
            .expect("writing to a String cannot fail");
    }
    text
}
