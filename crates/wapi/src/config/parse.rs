//! Parsers of setting values. Pure: nothing here accesses the network or the disk.

mod access;
mod storage;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::{Host, Url};

use crate::retention::Retention;

use super::layers::CONFIG_FILE;
use super::{Build, CertificateFiles, Environment, Layers, Mistakes, SETTINGS, WhatsappAddress};
use crate::history;
use crate::media::ffmpeg::Choice;
use crate::media::{Download, Policy};
use crate::nearest::suggestion;
use crate::telemetry::Format;
use crate::webhooks::rules::placeholder;

pub(super) use access::{Reach, access, allowed_targets, networks, targets_were_open};
pub(super) use storage::media_storage;

/// Secrets that protect an access, or prove an origin.
const PROTECTING: [&str; 3] = [
    "WAPI_API_KEY",
    "WAPI_WEBHOOK_SECRET",
    "WAPI_MEDIA_S3_SECRET_ACCESS_KEY",
];

/// Reads settings one by one and collects the errors.
pub(super) struct Reader<'a> {
    layers: &'a Layers,
    mistakes: Mistakes,
}

impl<'a> Reader<'a> {
    pub fn new(layers: &'a Layers) -> Self {
        Self {
            layers,
            mistakes: Mistakes::default(),
        }
    }

    /// Returns the value of a required setting. `None` means that an error was recorded.
    pub fn required<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        // An empty value counts as not set.
        match self
            .layers
            .value(name)
            .or_else(|| self.layers.default(name))
        {
            Some(value) => self.parsed(name, parse(value)),
            None => {
                self.mistakes.add(name, "is missing");
                None
            }
        }
    }

    /// Returns the value of an optional setting.
    pub fn optional<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let parsed = parse(self.layers.value(name)?);
        self.parsed(name, parsed)
    }

    fn parsed<T>(&mut self, name: &str, parsed: Result<T, String>) -> Option<T> {
        match parsed {
            Ok(value) => Some(value),
            Err(problem) => {
                self.mistakes.add(name, problem);
                None
            }
        }
    }

    /// A misspelt name would otherwise leave its setting at the default, and the gateway without
    /// the key its operator has set.
    pub fn refuse_unknown_names(&mut self) {
        let names = || {
            SETTINGS
                .iter()
                .map(|setting| setting.name)
                .chain([CONFIG_FILE])
        };
        for (name, source) in self.layers.unknown() {
            let meant = suggestion(name, names());
            self.mistakes
                .add(name, format!("(from {source}) is not a setting{meant}"));
        }
    }

    /// An empty secret would silently protect nothing.
    pub fn refuse_empty_secrets(&mut self) {
        for name in PROTECTING {
            if self.layers.is_emptied(name) {
                let source = self.layers.source(name);
                self.mistakes.add(
                    name,
                    format!("(from {source}) is empty; set it, or leave it out"),
                );
            }
        }
    }

    pub fn into_mistakes(self) -> Mistakes {
        self.mistakes
    }
}

/// Address to listen on: a host name or address, and a port.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HostPort {
    pub host: String,
    pub port: u16,
}

impl HostPort {
    pub fn parse(text: &str) -> Result<Self, String> {
        let wrong = || format!("is `{text}`, which is not host:port");
        let (host, port) = text.rsplit_once(':').ok_or_else(wrong)?;
        let port = port.parse().map_err(|_| wrong())?;
        let bare = host
            .strip_prefix('[')
            .and_then(|host| host.strip_suffix(']'));
        let host = match bare {
            Some(v6) => v6
                .parse::<std::net::Ipv6Addr>()
                .map_err(|_| wrong())?
                .to_string(),
            None => host.to_owned(),
        };
        let well_formed = !host.is_empty()
            && !host.contains(['/', ' ', '@'])
            && (bare.is_some() || !host.contains(':'));
        if well_formed {
            Ok(Self { host, port })
        } else {
            Err(wrong())
        }
    }

    /// Returns whether only this machine can reach it. A name other than `localhost` counts as
    /// reachable from outside.
    pub fn is_loopback(&self) -> bool {
        match self.host.parse::<IpAddr>() {
            Ok(address) => address.is_loopback(),
            Err(_) => self.host.eq_ignore_ascii_case("localhost"),
        }
    }
}

impl fmt::Display for HostPort {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.host.contains(':') {
            write!(f, "[{}]:{}", self.host, self.port)
        } else {
            write!(f, "{}:{}", self.host, self.port)
        }
    }
}

pub(super) fn webhook(text: &str) -> Result<Url, String> {
    // The address may carry a password, so it is not shown.
    let wrong = |error| format!("is not an address: {error}");
    let url = Url::parse(text).map_err(wrong)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err(
            "begins with something else; only http:// and https:// can be posted to".to_owned(),
        );
    }
    if let Some(placeholder) = placeholder(text) {
        return Err(format!(
            "has the placeholder `{placeholder}`, and nothing is put in its place: the session's name is put behind the address; \
             leave it out"
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(
            "has a `?` or `#`; the session's name is put behind the address, so it must end in a path".to_owned()
        );
    }
    let with_slash = format!("{}/", url.as_str().trim_end_matches('/'));
    Url::parse(&with_slash).map_err(wrong)
}

pub(super) fn folder(text: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(text))
}

/// Parses `host:port`, as in the original, or a full address.
pub(super) fn redis(text: &str) -> Result<SecretString, String> {
    let address = if text.contains("://") {
        text.to_owned()
    } else {
        format!("redis://{text}")
    };
    let url = Url::parse(&address).map_err(|error| format!("is not a Redis address: {error}"))?;
    match url.scheme() {
        "redis" | "rediss" if url.host().is_some() => Ok(address.into()),
        _ => Err("is not a Redis address: host:port, redis://… or rediss://… is".to_owned()),
    }
}

pub(super) fn sentry_dsn(text: &str) -> Result<SecretString, String> {
    let url = Url::parse(text).map_err(|error| format!("is not a Sentry DSN: {error}"))?;
    if url.username().is_empty() || url.path().len() < 2 {
        return Err("is not a Sentry DSN: it names a key and a project".to_owned());
    }
    Ok(text.to_owned().into())
}

pub(super) fn environment(text: &str) -> Result<Environment, String> {
    match text {
        "dev" => Ok(Environment::Dev),
        "prod" => Ok(Environment::Prod),
        other => Err(format!("is `{other}`; it can be dev or prod")),
    }
}

pub(super) fn seconds(text: &str) -> Result<Duration, String> {
    positive(text).map(|seconds| Duration::from_secs(seconds as u64))
}

pub(super) fn hours(text: &str) -> Result<Duration, String> {
    positive(text).map(|hours| Duration::from_secs(3600 * hours as u64))
}

pub(super) fn positive(text: &str) -> Result<usize, String> {
    match text.parse::<u32>() {
        Ok(number) if number > 0 => Ok(number as usize),
        _ => Err(format!(
            "is `{text}`, which is not a whole number above zero"
        )),
    }
}

fn days(text: &str) -> Result<Duration, String> {
    positive(text).map(|days| Duration::from_secs(days as u64 * 24 * 3600))
}

fn mebibytes(text: &str) -> Result<u64, String> {
    positive(text).map(|mebibytes| mebibytes as u64 * 1024 * 1024)
}

/// Reads the policy for files of messages.
pub(super) fn media(reader: &mut Reader) -> Option<Policy> {
    let download = reader.required("WAPI_MEDIA_DOWNLOAD", |text| match text {
        "eager" => Ok(Download::Eager),
        "on_demand" => Ok(Download::OnDemand),
        "never" => Ok(Download::Never),
        other => Err(format!("is `{other}`; it can be eager, on_demand or never")),
    });
    let largest = reader.required("WAPI_MEDIA_MAX_MIB", mebibytes);
    let keep_for = reader.required("WAPI_MEDIA_RETENTION_DAYS", days);
    let keep_size = reader.required("WAPI_MEDIA_RETENTION_SIZE_MIB", mebibytes);
    Some(Policy {
        download: download?,
        largest: largest?,
        keep_for: keep_for?,
        keep_size: keep_size?,
    })
}

/// Parses a path, or `none`.
pub(super) fn program(text: &str) -> Result<Choice, String> {
    match text {
        "none" => Ok(Choice::Never),
        path if path.contains('/') => Ok(Choice::Named(PathBuf::from(path))),
        other => Err(format!("is `{other}`; it can be a whole path, or none")),
    }
}

/// Reads the limits of age and size.
pub(super) fn retention(reader: &mut Reader) -> Option<Retention> {
    let events = reader.required("WAPI_RETENTION_DAYS", days);
    let dead = reader.required("WAPI_RETENTION_DEAD_DAYS", days);
    let size = reader.required("WAPI_RETENTION_SIZE_MIB", mebibytes);
    Some(Retention {
        events: events?,
        dead: dead?,
        size: size?,
    })
}

/// Parses whether chats and messages are kept, and for how long.
pub(super) fn history(text: &str) -> Result<history::Policy, String> {
    match text {
        "off" => Ok(history::Policy::Off),
        "forever" => Ok(history::Policy::Forever),
        text => match days(text) {
            Ok(age) => Ok(history::Policy::For(age)),
            Err(_) => Err(format!(
                "is `{text}`; it can be off, a number of days from 1 on, or forever"
            )),
        },
    }
}

pub(super) fn log_filter(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let wrong = |why: String| format!("is `{text}`, which is not a log filter: {why}");
    for directive in text.split(',').map(str::trim) {
        // A lone word would be a target of that name, and would silence everything else.
        let is_level = directive
            .parse::<tracing_subscriber::filter::LevelFilter>()
            .is_ok();
        if !is_level && !directive.contains(['=', '[']) {
            let meant = suggestion(directive, LEVELS);
            let all = LEVELS.join(", ");
            return Err(wrong(format!(
                "a target is written with its level, as in Client=warn, and `{directive}` is none of {all}{meant}"
            )));
        }
    }
    match text.parse::<tracing_subscriber::EnvFilter>() {
        Ok(_) => Ok(text.to_owned()),
        Err(error) => Err(wrong(error.to_string())),
    }
}

/// Reads the two spellings of one setting; the one in milliseconds was added later, and overrides.
pub(super) fn check_every(reader: &mut Reader) -> Option<Duration> {
    let in_milliseconds =
        |text: &str| positive(text).map(|number| Duration::from_millis(number as u64));
    if reader
        .layers
        .value("WAPI_CONNECTIONS_CHECKOUT_DURATION_MILLISECONDS")
        .is_some()
    {
        return reader.optional(
            "WAPI_CONNECTIONS_CHECKOUT_DURATION_MILLISECONDS",
            in_milliseconds,
        );
    }
    reader.required("WAPI_CONNECTIONS_CHECKOUT_DURATION_SECS", seconds)
}

pub(super) fn https(reader: &mut Reader) -> Option<CertificateFiles> {
    let certificate = reader.optional("WAPI_CERT_FILE_PATH", folder);
    let key = reader.optional("WAPI_CERT_KEY_PATH", folder);
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(CertificateFiles { certificate, key }),
        (Some(_), None) => {
            reader.mistakes.add(
                "WAPI_CERT_KEY_PATH",
                "is missing, but WAPI_CERT_FILE_PATH is set; HTTPS needs both",
            );
            None
        }
        (None, Some(_)) => {
            reader.mistakes.add(
                "WAPI_CERT_FILE_PATH",
                "is missing, but WAPI_CERT_KEY_PATH is set; HTTPS needs both",
            );
            None
        }
        (None, None) => None,
    }
}

/// Only a build with the sandbox may connect to another server, and only on this machine.
pub(super) fn whatsapp(reader: &mut Reader, build: Build) -> Option<WhatsappAddress> {
    let ca_file = reader.optional("WAPI_WHATSAPP_CA_FILE", |text| {
        refuse_in_release(build, PathBuf::from(text))
    });
    let Some(text) = reader.layers.value("WAPI_WHATSAPP_URL") else {
        if ca_file.is_some() {
            reader.mistakes.add(
                "WAPI_WHATSAPP_URL",
                "is missing, but WAPI_WHATSAPP_CA_FILE is set",
            );
        }
        return Some(WhatsappAddress::Real);
    };
    let url = simulator_address(text).and_then(|url| refuse_in_release(build, url));
    let url = reader.optional("WAPI_WHATSAPP_URL", |_| url)?;
    Some(WhatsappAddress::Simulated { url, ca_file })
}

fn refuse_in_release<T>(build: Build, value: T) -> Result<T, String> {
    match build {
        Build::Sandbox => Ok(value),
        Build::Release => {
            Err("is for builds with the `sandbox` feature only: this build checks that it talks to the real \
                               WhatsApp, so it could not talk to another. Leave it out"
                .to_owned())
        }
    }
}

fn simulator_address(text: &str) -> Result<Url, String> {
    let url = Url::parse(text)
        .map_err(|error| format!("is `{text}`, which is not an address: {error}"))?;
    if !matches!(url.scheme(), "ws" | "wss") {
        return Err(format!("is `{text}`; it must start with ws:// or wss://"));
    }
    if is_loopback(&url) {
        Ok(url)
    } else {
        Err(format!(
            "is `{text}`; a simulated WhatsApp must be on this machine, at 127.0.0.1, ::1 or localhost"
        ))
    }
}

/// Returns whether an address names this machine and no other.
pub(crate) fn is_loopback(url: &Url) -> bool {
    match url.host() {
        Some(Host::Ipv4(address)) => address.is_loopback(),
        Some(Host::Ipv6(address)) => address.is_loopback(),
        Some(Host::Domain(name)) => name.eq_ignore_ascii_case("localhost"),
        None => false,
    }
}

pub(super) fn log_format(text: &str) -> Result<Format, String> {
    match text {
        "text" => Ok(Format::Text),
        "json" => Ok(Format::Json),
        text => Err(format!("is `{text}`; it can be text or json")),
    }
}
