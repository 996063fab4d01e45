//! The settings: `config.default.toml` and the tables of `docs/reference/configuration.md`.

use wapi::config::{SETTINGS, Setting, SettingDefault};

use super::check_generated_file;
use super::markdown::{fill_page, format_table, list_sections};

/// Longest line of a comment.
const WIDTH: usize = 100;

const HEADER: &str = "\
# Every setting of wapi with its default and its meaning. An empty text means \"not set\".
#
# Copy the lines that you change into a file of your own, and name that file in WAPI_CONFIG. Or set
# the environment variable, which is the name in capitals after WAPI_ (`internal_host` is
# WAPI_INTERNAL_HOST). The environment wins over `.env`, which wins over the file.
#
# Generated from the table of settings in crates/wapi/src/config/setting_table.rs.
";

#[test]
fn the_file_of_defaults_is_up_to_date() {
    check_generated_file("crates/wapi/config.default.toml", |_| {
        let sections = list_sections(SETTINGS.iter().map(|setting| setting.section));
        let of = |section: &str| {
            let entries = settings_of(section).map(format_entry);
            format!(
                "\n# {section}\n\n{}",
                entries.collect::<Vec<_>>().join("\n")
            )
        };
        HEADER.to_owned() + &sections.into_iter().map(of).collect::<String>()
    });
}

#[test]
fn the_page_of_settings_is_up_to_date() {
    check_generated_file("docs/reference/configuration.md", |page| {
        let sections = list_sections(SETTINGS.iter().map(|setting| setting.section));
        let parts: Vec<_> = sections
            .into_iter()
            .map(|section| (section, format_settings(section)))
            .collect();
        fill_page(page, &parts)
    });
}

fn settings_of(section: &str) -> impl Iterator<Item = &'static Setting> {
    SETTINGS
        .iter()
        .filter(move |setting| setting.section == section)
}

fn format_settings(section: &str) -> String {
    let row = |setting: &Setting| {
        let default = match setting.default {
            SettingDefault::Required => "required".to_owned(),
            SettingDefault::Unset(behaviour) => behaviour.to_owned(),
            SettingDefault::Value(value) => format!("`{value}`"),
        };
        [
            format!("`{}`", setting.name),
            default,
            setting.meaning.to_owned(),
        ]
    };
    format_table(
        ["Variable", "Default", "Meaning"],
        settings_of(section).map(row),
    )
}

/// Returns a setting as the file has it: comments, then the key with its default.
fn format_entry(setting: &Setting) -> String {
    let mut entry = wrap_comment(setting.meaning);
    match setting.default {
        SettingDefault::Required => entry += "# Required.\n",
        SettingDefault::Unset("none") | SettingDefault::Value(_) => {}
        SettingDefault::Unset(behaviour) => {
            entry += &wrap_comment(&format!("Not set: {behaviour}."));
        }
    }
    let default = setting.default_value();
    if default != Some(setting.example) {
        entry += &format!("# Example: \"{}\"\n", setting.example);
    }
    let default = default.unwrap_or_default();
    entry + &format!("{} = \"{default}\"\n", setting.file_key())
}

fn wrap_comment(text: &str) -> String {
    let mut comment = String::from("#");
    let mut width = 1;
    for word in text.split(' ') {
        let length = word.chars().count();
        if width + 1 + length > WIDTH {
            comment += "\n#";
            width = 1;
        }
        comment.push(' ');
        comment += word;
        width += 1 + length;
    }
    comment.push('\n');
    comment
}
