//! Parsers of setting values. Pure: nothing here accesses the network or the disk.

mod access;
mod dashboard;
mod encryption;
mod media_storage;

use std::fmt;
use std::net::IpAddr;
use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::{Host, Url};

use super::policies::{
    DownloadPolicy, HistoryPolicy, LogFormat, MediaPolicy, NewChatPolicy, ProgramChoice,
    RestorePolicy, RetentionPolicy,
};
use super::sources::CONFIG_FILE;
use super::{
    BuildKind, CertificateFiles, ConfigErrors, ConfigSources, Environment, SETTINGS, Setting,
    WhatsappAddress,
};
use crate::model::suggestions::format_suggestion;
use crate::net::proxy::LinkRoute;
use crate::net::web_address::find_placeholder;

pub(super) use access::{
    GatewayReach, had_open_targets, parse_networks, read_access, read_allowed_targets,
};
pub(super) use dashboard::{check_dashboard_access, read_dashboard};
pub(super) use encryption::read_master_key;
pub(super) use media_storage::read_media_storage;

/// Secrets that protect an access, or prove an origin.
const PROTECTING_SECRETS: [&str; 8] = [
    "WAPI_API_KEY",
    "WAPI_WEBHOOK_SECRET",
    "WAPI_MEDIA_S3_SECRET_ACCESS_KEY",
    "WAPI_MASTER_KEY",
    "WAPI_MASTER_KEY_FILE",
    "WAPI_MASTER_KEY_COMMAND",
    "WAPI_MASTER_KEY_OLD",
    "WAPI_MASTER_KEY_OLD_FILE",
];

/// Reads settings one by one and collects the errors.
pub(super) struct SettingReader<'a> {
    sources: &'a ConfigSources,
    errors: ConfigErrors,
}

impl<'a> SettingReader<'a> {
    pub fn new(sources: &'a ConfigSources) -> Self {
        Self {
            sources,
            errors: ConfigErrors::default(),
        }
    }

    /// Returns the value of a required setting. `None` means that an error was recorded.
    pub fn read_required<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        // An empty value counts as not set.
        match self
            .sources
            .setting_value(name)
            .or_else(|| Setting::find_by_name(name)?.default_value())
        {
            Some(value) => self.ok_or_record(name, parse(value)),
            None => {
                self.errors.add(name, "is missing");
                None
            }
        }
    }

    /// Returns the value of an optional setting.
    pub fn read_optional<T>(
        &mut self,
        name: &str,
        parse: impl FnOnce(&str) -> Result<T, String>,
    ) -> Option<T> {
        let parsed = parse(self.sources.setting_value(name)?);
        self.ok_or_record(name, parsed)
    }

    fn ok_or_record<T>(&mut self, name: &str, parsed: Result<T, String>) -> Option<T> {
        debug_assert!(
            Setting::find_by_name(name).is_some(),
            "{name} is not in the table"
        );
        match parsed {
            Ok(value) => Some(value),
            Err(problem) => {
                self.errors.add(name, problem);
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
        for (name, source) in self.sources.unknown_names() {
            let meant = format_suggestion(name, names());
            self.errors
                .add(name, format!("(from {source}) is not a setting{meant}"));
        }
    }

    /// An empty secret would silently protect nothing.
    pub fn refuse_empty_secrets(&mut self) {
        for name in PROTECTING_SECRETS {
            if self.sources.is_set_empty(name) {
                let source = self.sources.value_source(name);
                self.errors.add(
                    name,
                    format!("(from {source}) is empty; set it, or leave it out"),
                );
            }
        }
    }

    pub fn into_errors(self) -> ConfigErrors {
        self.errors
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

pub(super) fn parse_webhook(text: &str) -> Result<Url, String> {
    // The address may carry a password, so it is not shown.
    let wrong = |error| format!("is not an address: {error}");
    let url = Url::parse(text).map_err(wrong)?;
    if !matches!(url.scheme(), "http" | "https") {
        return Err("must begin with http:// or https://".to_owned());
    }
    if let Some(placeholder) = find_placeholder(text) {
        return Err(format!(
            "has the placeholder `{placeholder}`, which is not replaced: the session's name is appended to the address; \
             remove the placeholder"
        ));
    }
    if url.query().is_some() || url.fragment().is_some() {
        return Err(
            "has a `?` or `#`; the session's name is appended to the address, so it must end in a path".to_owned()
        );
    }
    let with_slash = format!("{}/", url.as_str().trim_end_matches('/'));
    Url::parse(&with_slash).map_err(wrong)
}

pub(super) fn parse_path(text: &str) -> Result<PathBuf, String> {
    Ok(PathBuf::from(text))
}

/// Parses `host:port`, as in the original, or a full address.
pub(super) fn parse_redis(text: &str) -> Result<SecretString, String> {
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

pub(super) fn parse_sentry_dsn(text: &str) -> Result<SecretString, String> {
    let url = Url::parse(text).map_err(|error| format!("is not a Sentry DSN: {error}"))?;
    if url.username().is_empty() || url.path().len() < 2 {
        return Err("is not a Sentry DSN: it names a key and a project".to_owned());
    }
    Ok(text.to_owned().into())
}

pub(super) fn parse_environment(text: &str) -> Result<Environment, String> {
    match text {
        "dev" => Ok(Environment::Dev),
        "prod" => Ok(Environment::Prod),
        other => Err(format!("is `{other}`; it can be dev or prod")),
    }
}

pub(super) fn parse_new_chat_policy(text: &str) -> Result<NewChatPolicy, String> {
    match text {
        "hold" => Ok(NewChatPolicy::Hold),
        "send" => Ok(NewChatPolicy::Send),
        other => Err(format!("is `{other}`; it can be hold or send")),
    }
}

pub(super) fn parse_link_route(text: &str) -> Result<LinkRoute, String> {
    match text {
        "on" => Ok(LinkRoute::Proxy),
        "off" => Ok(LinkRoute::Direct),
        other => Err(format!("is `{other}`; it can be on or off")),
    }
}

pub(super) fn parse_seconds(text: &str) -> Result<Duration, String> {
    parse_positive(text).map(|seconds| Duration::from_secs(seconds as u64))
}

pub(super) fn parse_hours(text: &str) -> Result<Duration, String> {
    parse_positive(text).map(|hours| Duration::from_secs(3600 * hours as u64))
}

pub(super) fn parse_positive(text: &str) -> Result<usize, String> {
    match text.parse::<u32>() {
        Ok(number) if number > 0 => Ok(number as usize),
        _ => Err(format!(
            "is `{text}`, which is not a whole number above zero"
        )),
    }
}

/// Reads how saved sessions log in at start.
pub(super) fn read_restore_policy(reader: &mut SettingReader) -> Option<RestorePolicy> {
    let max_logins = reader.read_required("WAPI_RESTORE_CONCURRENCY", parse_positive);
    let per_second = reader.read_required("WAPI_LOGINS_PER_SECOND", parse_positive);
    Some(RestorePolicy {
        max_logins: max_logins?,
        interval: Duration::from_secs(1) / u32::try_from(per_second?).unwrap_or(u32::MAX),
    })
}

fn parse_days(text: &str) -> Result<Duration, String> {
    parse_positive(text).map(|days| Duration::from_secs(days as u64 * 24 * 3600))
}

fn parse_mebibytes(text: &str) -> Result<u64, String> {
    parse_positive(text).map(|mebibytes| mebibytes as u64 * 1024 * 1024)
}

/// Reads the policy for files of messages.
pub(super) fn read_media_policy(reader: &mut SettingReader) -> Option<MediaPolicy> {
    let download = reader.read_required("WAPI_MEDIA_DOWNLOAD", |text| match text {
        "eager" => Ok(DownloadPolicy::Eager),
        "on_demand" => Ok(DownloadPolicy::OnDemand),
        "never" => Ok(DownloadPolicy::Never),
        other => Err(format!("is `{other}`; it can be eager, on_demand or never")),
    });
    let largest = reader.read_required("WAPI_MEDIA_MAX_MIB", parse_mebibytes);
    let keep_for = reader.read_required("WAPI_MEDIA_RETENTION_DAYS", parse_days);
    let keep_size = reader.read_required("WAPI_MEDIA_RETENTION_SIZE_MIB", parse_mebibytes);
    Some(MediaPolicy {
        download: download?,
        largest: largest?,
        keep_for: keep_for?,
        keep_size: keep_size?,
    })
}

/// Parses a path, or `none`.
pub(super) fn parse_program(text: &str) -> Result<ProgramChoice, String> {
    match text {
        "none" => Ok(ProgramChoice::Never),
        path if path.contains('/') => Ok(ProgramChoice::Named(PathBuf::from(path))),
        other => Err(format!("is `{other}`; it can be a whole path, or none")),
    }
}

/// Reads the limits of age and size.
pub(super) fn read_retention(reader: &mut SettingReader) -> Option<RetentionPolicy> {
    let events = reader.read_required("WAPI_RETENTION_DAYS", parse_days);
    let dead = reader.read_required("WAPI_RETENTION_DEAD_DAYS", parse_days);
    let activity = reader.read_required("WAPI_RETENTION_ACTIVITY_DAYS", parse_days);
    let size = reader.read_required("WAPI_RETENTION_SIZE_MIB", parse_mebibytes);
    Some(RetentionPolicy {
        events: events?,
        dead: dead?,
        activity: activity?,
        size: size?,
    })
}

/// Parses whether chats and messages are kept, and for how long.
pub(super) fn parse_history_policy(text: &str) -> Result<HistoryPolicy, String> {
    match text {
        "off" => Ok(HistoryPolicy::Off),
        "forever" => Ok(HistoryPolicy::Forever),
        text => match parse_days(text) {
            Ok(age) => Ok(HistoryPolicy::For(age)),
            Err(_) => Err(format!(
                "is `{text}`; it can be off, a number of days from 1 on, or forever"
            )),
        },
    }
}

pub(super) fn parse_log_filter(text: &str) -> Result<String, String> {
    const LEVELS: [&str; 6] = ["off", "error", "warn", "info", "debug", "trace"];
    let wrong = |why: String| format!("is `{text}`, which is not a log filter: {why}");
    for directive in text.split(',').map(str::trim) {
        // A lone word would be a target of that name, and would silence everything else.
        let is_level = directive
            .parse::<tracing_subscriber::filter::LevelFilter>()
            .is_ok();
        if !is_level && !directive.contains(['=', '[']) {
            let meant = format_suggestion(directive, LEVELS);
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
pub(super) fn read_check_interval(reader: &mut SettingReader) -> Option<Duration> {
    let in_milliseconds =
        |text: &str| parse_positive(text).map(|number| Duration::from_millis(number as u64));
    if reader
        .sources
        .setting_value("WAPI_CONNECTIONS_CHECKOUT_DURATION_MILLISECONDS")
        .is_some()
    {
        return reader.read_optional(
            "WAPI_CONNECTIONS_CHECKOUT_DURATION_MILLISECONDS",
            in_milliseconds,
        );
    }
    reader.read_required("WAPI_CONNECTIONS_CHECKOUT_DURATION_SECS", parse_seconds)
}

pub(super) fn read_https(reader: &mut SettingReader) -> Option<CertificateFiles> {
    let certificate = reader.read_optional("WAPI_CERT_FILE_PATH", parse_path);
    let key = reader.read_optional("WAPI_CERT_KEY_PATH", parse_path);
    match (certificate, key) {
        (Some(certificate), Some(key)) => Some(CertificateFiles { certificate, key }),
        (Some(_), None) => {
            reader.errors.add(
                "WAPI_CERT_KEY_PATH",
                "is missing, but WAPI_CERT_FILE_PATH is set; HTTPS needs both",
            );
            None
        }
        (None, Some(_)) => {
            reader.errors.add(
                "WAPI_CERT_FILE_PATH",
                "is missing, but WAPI_CERT_KEY_PATH is set; HTTPS needs both",
            );
            None
        }
        (None, None) => None,
    }
}

/// Only a build with the sandbox may connect to another server, and only on this machine.
pub(super) fn read_whatsapp_address(
    reader: &mut SettingReader,
    build: BuildKind,
) -> Option<WhatsappAddress> {
    let ca_file = reader.read_optional("WAPI_WHATSAPP_CA_FILE", |text| {
        refuse_in_release(build, PathBuf::from(text))
    });
    let Some(text) = reader.sources.setting_value("WAPI_WHATSAPP_URL") else {
        if ca_file.is_some() {
            reader.errors.add(
                "WAPI_WHATSAPP_URL",
                "is missing, but WAPI_WHATSAPP_CA_FILE is set",
            );
        }
        return Some(WhatsappAddress::Real);
    };
    let url = parse_simulator_address(text).and_then(|url| refuse_in_release(build, url));
    let url = reader.read_optional("WAPI_WHATSAPP_URL", |_| url)?;
    Some(WhatsappAddress::Simulated { url, ca_file })
}

fn refuse_in_release<T>(build: BuildKind, value: T) -> Result<T, String> {
    match build {
        BuildKind::Sandbox => Ok(value),
        BuildKind::Release => {
            Err("is for builds with the `sandbox` feature only: this build checks that it talks to the real \
                               WhatsApp, so it could not talk to another. Leave it out"
                .to_owned())
        }
    }
}

fn parse_simulator_address(text: &str) -> Result<Url, String> {
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

pub(super) fn parse_log_format(text: &str) -> Result<LogFormat, String> {
    match text {
        "text" => Ok(LogFormat::Text),
        "json" => Ok(LogFormat::Json),
        text => Err(format!("is `{text}`; it can be text or json")),
    }
}
