//! Sources of setting values, and their precedence.

use std::collections::BTreeMap;
use std::ffi::OsString;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{ConfigErrors, SETTINGS, Setting, dotenv};

/// Names the settings file.
pub(super) const CONFIG_FILE: &str = "WAPI_CONFIG";
const DOTENV: &str = ".env";
const PREFIX: &str = "WAPI_";

/// Source of a value.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ValueSource {
    Default,
    File(PathBuf),
    DotEnv,
    Environment,
}

impl fmt::Display for ValueSource {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::DotEnv => f.write_str(".env"),
            Self::Environment => f.write_str("environment"),
        }
    }
}

/// The effective value of each setting by variable name, and the unknown names.
#[derive(Debug, Clone)]
pub struct ConfigSources {
    values: BTreeMap<String, (String, ValueSource)>,
    unknown: Vec<(String, ValueSource)>,
}

impl ConfigSources {
    /// Returns the defaults alone.
    pub fn from_defaults() -> Self {
        let default = |setting: &Setting| {
            let value = setting.default_value()?.to_owned();
            Some((setting.name.to_owned(), (value, ValueSource::Default)))
        };
        Self {
            values: SETTINGS.iter().filter_map(default).collect(),
            unknown: Vec::new(),
        }
    }

    /// Reads defaults, settings file, `.env` in the working folder, and environment.
    pub fn from_process() -> Result<Self, ConfigErrors> {
        let mut mistakes = ConfigErrors::default();
        let dotenv = read_dotenv(&mut mistakes);
        let environment = read_environment(std::env::vars_os(), &mut mistakes);
        let file = environment
            .get(CONFIG_FILE)
            .or_else(|| dotenv.get(CONFIG_FILE));
        let mut layers = Self::from_defaults();
        if let Some(file) = file.filter(|file| !file.is_empty())
            && let Err(problem) = layers.add_file(Path::new(file))
        {
            mistakes.add(CONFIG_FILE, problem);
        }
        let layers = layers
            .with_values(dotenv, ValueSource::DotEnv)
            .with_values(environment, ValueSource::Environment);
        if mistakes.is_empty() {
            Ok(layers)
        } else {
            Err(mistakes)
        }
    }

    /// Adds values that override the present ones. Names without the prefix `WAPI_`, in upper or
    /// lower case, are ignored.
    pub fn with_values(
        mut self,
        values: impl IntoIterator<Item = (String, String)>,
        source: ValueSource,
    ) -> Self {
        let ours = values
            .into_iter()
            .filter(|(name, _)| has_our_prefix(name) && name != CONFIG_FILE);
        self.add_values(ours, &source);
        self
    }

    fn add_file(&mut self, path: &Path) -> Result<(), String> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| format!("names {}, which cannot be read: {error}", path.display()))?;
        let values = parse_settings_file(text.strip_prefix('\u{feff}').unwrap_or(&text)).map_err(
            |error| {
                let line = error.span().map_or(1, |span| {
                    1 + text[..span.start.min(text.len())].matches('\n').count()
                });
                format!(
                    "names {}, which is not a settings file: {} in line {line}",
                    path.display(),
                    error.message()
                )
            },
        )?;
        self.add_values(values, &ValueSource::File(path.to_owned()));
        Ok(())
    }

    /// An empty value in the environment leaves an optional setting unset, as in the original.
    fn add_values(
        &mut self,
        values: impl IntoIterator<Item = (String, String)>,
        source: &ValueSource,
    ) {
        for (name, value) in values {
            if Setting::find_by_name(&name).is_some() {
                self.values
                    .insert(name, (value.trim().to_owned(), source.clone()));
            } else if *source != ValueSource::Environment || !is_foreign_name(&name) {
                self.unknown.push((name, source.clone()));
            }
        }
    }

    /// Returns the value of a setting, if there is one and it is not empty.
    pub fn setting_value(&self, name: &str) -> Option<&str> {
        self.values
            .get(name)
            .map(|(value, _)| value.as_str())
            .filter(|value| !value.is_empty())
    }

    /// Returns whether the setting was explicitly set to an empty value.
    pub fn is_set_empty(&self, name: &str) -> bool {
        self.values
            .get(name)
            .is_some_and(|(value, source)| value.is_empty() && *source != ValueSource::Default)
    }

    /// Returns the source of a setting's value.
    pub fn value_source(&self, name: &str) -> &ValueSource {
        self.values
            .get(name)
            .map_or(&ValueSource::Default, |(_, source)| source)
    }

    /// Returns names that look like settings and are none, with their sources.
    pub fn unknown_names(&self) -> &[(String, ValueSource)] {
        &self.unknown
    }
}

fn has_our_prefix(name: &str) -> bool {
    name.split_at_checked(PREFIX.len())
        .is_some_and(|(start, _)| start.eq_ignore_ascii_case(PREFIX))
}

/// Parses a settings file into variables: `internal_host = "…"` becomes `WAPI_INTERNAL_HOST`.
fn parse_settings_file(text: &str) -> Result<Vec<(String, String)>, toml::de::Error> {
    let table: toml::Table = toml::from_str(text)?;
    let as_text = |value: toml::Value| match value {
        toml::Value::String(text) => text,
        toml::Value::Integer(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    Ok(table
        .into_iter()
        .map(|(key, value)| (format!("WAPI_{}", key.to_uppercase()), as_text(value)))
        .collect())
}

fn read_dotenv(mistakes: &mut ConfigErrors) -> BTreeMap<String, String> {
    let bytes = match std::fs::read(DOTENV) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return BTreeMap::new(),
        Err(error) => {
            mistakes.add(DOTENV, format!("is there and cannot be read: {error}"));
            return BTreeMap::new();
        }
    };
    dotenv::parse(&bytes).unwrap_or_else(|dotenv::DotenvError(problems)| {
        problems
            .into_iter()
            .for_each(|problem| mistakes.add(DOTENV, problem));
        BTreeMap::new()
    })
}

/// Returns the variables that are text. A setting that is not text is an error, as it would
/// otherwise be ignored.
fn read_environment(
    variables: impl Iterator<Item = (OsString, OsString)>,
    mistakes: &mut ConfigErrors,
) -> BTreeMap<String, String> {
    let text = |(name, value): (OsString, OsString)| {
        let name = name.to_string_lossy().into_owned();
        let value = value.into_string();
        if value.is_err() && name.starts_with(PREFIX) {
            mistakes.add(&name, "is not UTF-8");
        }
        Some((name, value.ok()?))
    };
    variables.filter_map(text).collect()
}

/// Returns whether a name with our prefix belongs to others: to Kubernetes, which creates variables
/// for a Service named `wapi` or `wapi-…`, or to our own tests.
fn is_foreign_name(name: &str) -> bool {
    let rest = name.strip_prefix(PREFIX).unwrap_or_default();
    let is_of_a_port = |rest: &str| {
        rest.split_once("PORT_").is_some_and(|(before, port)| {
            let is_number = port
                .split('_')
                .next()
                .is_some_and(|number| number.parse::<u16>().is_ok());
            (before.is_empty() || before.ends_with('_')) && is_number
        })
    };
    rest == "PORT"
        || ["SERVICE_", "PORT_", "TESTS_"]
            .iter()
            .any(|start| rest.starts_with(start))
        || rest.ends_with("_SERVICE_HOST")
        || rest.ends_with("_SERVICE_PORT")
        || rest.contains("_SERVICE_PORT_")
        || is_of_a_port(rest)
}

#[cfg(test)]
mod tests {
    use std::os::unix::ffi::OsStringExt;

    use crate::config::sources::*;

    #[test]
    fn a_variable_that_is_no_text_is_a_mistake() {
        let mut mistakes = ConfigErrors::default();
        let bytes = |bytes: &[u8]| OsString::from_vec(bytes.to_vec());
        let given = [
            (bytes(b"WAPI_API_KEY"), bytes(b"hush\xff")),
            (bytes(b"OTHER\xff"), bytes(b"\xff")),
            (bytes(b"WAPI_ENV"), bytes(b"dev")),
        ];
        let read = read_environment(given.into_iter(), &mut mistakes);
        assert_eq!(read.keys().collect::<Vec<_>>(), ["WAPI_ENV"]);
        assert_eq!(mistakes.0.len(), 1);
        assert_eq!(
            (mistakes.0[0].name.as_str(), mistakes.0[0].problem.as_str()),
            ("WAPI_API_KEY", "is not UTF-8")
        );
    }

    #[test]
    fn what_kubernetes_makes_of_a_service_is_no_setting_of_ours() {
        for name in [
            "WAPI_SERVICE_HOST",
            "WAPI_SERVICE_PORT_HTTP",
            "WAPI_PORT",
            "WAPI_PORT_8080_TCP_ADDR",
            "WAPI_REDIS_SERVICE_HOST",
            "WAPI_REDIS_SERVICE_PORT_REDIS",
            "WAPI_REDIS_PORT_6379_TCP",
            "WAPI_TESTS_SEED",
        ] {
            assert!(is_foreign_name(name), "{name}");
        }
        for name in [
            "WAPI_APIKEY",
            "WAPI_PORTS",
            "WAPI_HTTP_PORT",
            "WAPI_SERVICES",
            "WAPI_TEST_LOG",
            "WAPI_",
        ] {
            assert!(!is_foreign_name(name), "{name}");
        }
    }
}
