//! Where the values of settings come from, and which one wins.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use super::{Mistakes, SETTINGS};

/// The defaults, embedded.
const DEFAULTS: &str = include_str!("../../config.default.toml");

/// Names the settings file.
const CONFIG_FILE: &str = "WAPI_CONFIG";

/// Where a value was found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Source {
    Default,
    File(PathBuf),
    DotEnv,
    Environment,
}

impl fmt::Display for Source {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::File(path) => write!(f, "{}", path.display()),
            Self::DotEnv => f.write_str(".env"),
            Self::Environment => f.write_str("environment"),
        }
    }
}

/// The winning value of each setting, by variable name, and the names nobody knows.
#[derive(Debug, Clone)]
pub struct Layers {
    values: BTreeMap<String, (String, Source)>,
    unknown: Vec<(String, Source)>,
}

impl Layers {
    /// Only the defaults.
    pub fn defaults() -> Self {
        let mut layers = Self { values: BTreeMap::new(), unknown: Vec::new() };
        let defaults = names_and_values(DEFAULTS).expect("the embedded defaults are valid, as a test proves");
        layers.put(defaults, &Source::Default);
        layers
    }

    /// Defaults, settings file, `.env` in the working folder, environment.
    pub fn of_this_process() -> Result<Self, Mistakes> {
        let dotenv: BTreeMap<String, String> = match dotenvy::from_path_iter(".env") {
            Ok(lines) => lines.collect::<Result<_, _>>().map_err(|error| wrong(".env", &error))?,
            Err(error) if error.not_found() => BTreeMap::new(),
            Err(error) => return Err(wrong(".env", &error)),
        };
        let environment: BTreeMap<String, String> = std::env::vars_os()
            .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
            .collect();
        let file = environment.get(CONFIG_FILE).or_else(|| dotenv.get(CONFIG_FILE));
        let mut layers = Self::defaults();
        if let Some(file) = file.filter(|file| !file.is_empty()) {
            layers.put_file(Path::new(file))?;
        }
        Ok(layers.with(dotenv, Source::DotEnv).with(environment, Source::Environment))
    }

    /// These values over what is there already. Names without `WAPI_` are none of our business.
    pub fn with(mut self, values: impl IntoIterator<Item = (String, String)>, source: Source) -> Self {
        let ours = values.into_iter().filter(|(name, _)| name.starts_with("WAPI_") && name != CONFIG_FILE);
        self.put(ours, &source);
        self
    }

    fn put_file(&mut self, path: &Path) -> Result<(), Mistakes> {
        let text = std::fs::read_to_string(path)
            .map_err(|error| wrong(CONFIG_FILE, &format!("names {}, which cannot be read: {error}", path.display())))?;
        let values = names_and_values(&text).map_err(|error| {
            wrong(CONFIG_FILE, &format!("names {}, which is no settings file: {error}", path.display()))
        })?;
        self.put(values, &Source::File(path.to_owned()));
        Ok(())
    }

    /// An empty value in the environment leaves an optional setting unset, as in the original.
    fn put(&mut self, values: impl IntoIterator<Item = (String, String)>, source: &Source) {
        for (name, value) in values {
            if SETTINGS.iter().any(|setting| setting.name == name) {
                self.values.insert(name, (value.trim().to_owned(), source.clone()));
            } else {
                self.unknown.push((name, source.clone()));
            }
        }
    }

    /// The value of a setting, if it has one that is not empty.
    pub fn value(&self, name: &str) -> Option<&str> {
        self.values.get(name).map(|(value, _)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// Where the value of a setting comes from.
    pub fn source(&self, name: &str) -> &Source {
        self.values.get(name).map_or(&Source::Default, |(_, source)| source)
    }

    /// Names that look like settings and are none, and where they stand.
    pub fn unknown(&self) -> &[(String, Source)] {
        &self.unknown
    }
}

/// A settings file as variables: `internal_host = "…"` becomes `WAPI_INTERNAL_HOST`.
fn names_and_values(text: &str) -> Result<Vec<(String, String)>, toml::de::Error> {
    let table: toml::Table = toml::from_str(text)?;
    let as_text = |value: toml::Value| match value {
        toml::Value::String(text) => text,
        toml::Value::Integer(number) => number.to_string(),
        other => format!("{other:?}"),
    };
    Ok(table.into_iter().map(|(key, value)| (format!("WAPI_{}", key.to_uppercase()), as_text(value))).collect())
}

fn wrong(name: &str, problem: &dyn fmt::Display) -> Mistakes {
    let mut mistakes = Mistakes::default();
    mistakes.add(name, problem.to_string());
    mistakes
}
