//! Output of `wapi config`.

use std::fmt::Write;

use super::{Layers, SETTINGS};
use crate::webhooks::rules::shown;

/// Lists every setting with its value and source, one per line, with secrets masked. Then the
/// unknown names.
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
