//! Configuration: defaults, a file, `.env`, then the environment; all errors are reported at once.

mod dotenv;
mod errors;
mod hosts;
mod listing;
mod parse;
mod policies;
mod setting_table;
mod settings;
mod sources;

use std::path::PathBuf;
use std::time::Duration;

use ipnet::IpNet;
use secrecy::SecretString;
use url::Url;

use crate::model::signing_key::SigningKey;
use crate::net::egress::EgressPolicy;
use crate::net::proxy::{LinkRoute, ProxyAddress};
use crate::system::master_key::MasterKeySettings;

pub use errors::{ConfigError, ConfigErrors};
pub use hosts::HostNames;
pub use listing::{SettingValue, describe_settings, list_settings};
pub use parse::HostPort;
pub(crate) use parse::is_loopback;
pub use policies::{
    DashboardConfig, DownloadPolicy, HistoryPolicy, LogFormat, MediaPolicy, NewChatPolicy,
    ProgramChoice, RestorePolicy, RetentionPolicy, S3Config, StorageConfig,
};
pub use setting_table::SETTINGS;
pub use settings::{Setting, SettingDefault};
pub use sources::{ConfigSources, ValueSource};

/// The configuration of the program; valid by construction.
#[derive(Debug, Clone)]
pub struct Config {
    /// Every setting as people see it, without secrets.
    pub settings: Vec<SettingValue>,
    /// Base address of the webhook; always ends in a slash.
    pub webhook: Url,
    /// Signs the posts to the webhook.
    pub webhook_secret: Option<SigningKey>,
    /// How long a webhook created through the API may fail before it is disabled.
    pub webhook_disable_after: Duration,
    /// Addresses that callers may make the gateway contact, with webhooks and media links.
    pub allowed_targets: EgressPolicy,
    /// Whether an earlier version, which did not look at keys for this, would have opened all
    /// targets: webhooks created then keep theirs.
    pub targets_were_open: bool,
    pub listen: HostPort,
    /// The data folder.
    pub root: PathBuf,
    pub access: AccessMode,
    /// Host names of the gateway, beside its addresses.
    pub hosts: HostNames,
    pub dashboard: DashboardConfig,
    /// Proxies that are trusted to name their clients.
    pub trusted_proxies: Vec<IpNet>,
    /// Address of a Redis server, as `redis://…` or `rediss://…`. Secret, since it may carry a
    /// password.
    pub redis: Option<SecretString>,
    pub sentry_dsn: Option<SecretString>,
    pub https: Option<CertificateFiles>,
    pub environment: Environment,
    /// Interval between checks of every session's connection.
    pub check_every: Duration,
    /// Time to wait for WhatsApp before giving up on a connection or a server ack.
    pub whatsapp_timeout: Duration,
    /// The pace at which saved sessions log in at start.
    pub restore: RestorePolicy,
    pub new_chats: NewChatPolicy,
    /// The proxy of all sessions without one of their own.
    pub proxy: Option<ProxyAddress>,
    /// The way of callers' links of sessions with a proxy.
    pub proxy_links: LinkRoute,
    /// What the keys of sessions are sealed with on the disk.
    pub master_key: Option<MasterKeySettings>,
    pub retention: RetentionPolicy,
    pub media: MediaPolicy,
    pub media_storage: StorageConfig,
    pub ffmpeg: ProgramChoice,
    pub heif_convert: ProgramChoice,
    pub history: HistoryPolicy,
    /// Filter of log lines, in the syntax of `tracing_subscriber::EnvFilter`.
    pub log: String,
    pub log_format: LogFormat,
    pub whatsapp: WhatsappAddress,
}

/// Access to the gateway.
#[derive(Debug, Clone)]
pub enum AccessMode {
    /// Anyone who can reach the listener, by the operator's choice.
    Open,
    /// Programs of this machine, which alone can reach the listener, but no web page in its
    /// browser.
    Loopback,
    /// Anyone with this key.
    Key(SecretString),
}

/// PEM files that `main` reads at start.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct CertificateFiles {
    pub certificate: PathBuf,
    pub key: PathBuf,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Environment {
    /// The webhook's certificate is not verified.
    Dev,
    Prod,
}

/// The WhatsApp server to connect to.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum WhatsappAddress {
    Real,
    /// A simulated one; `url` is `ws://` or `wss://` on a loopback address.
    Simulated {
        url: Url,
        ca_file: Option<PathBuf>,
    },
}

/// Whether this build may connect to a simulated WhatsApp.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum BuildKind {
    Release,
    Sandbox,
}

impl BuildKind {
    /// Returns the build that is running.
    pub const fn current() -> Self {
        if cfg!(feature = "sandbox") {
            Self::Sandbox
        } else {
            Self::Release
        }
    }
}

impl Config {
    /// Reads the layers into a configuration, or returns every error in them.
    pub fn read(layers: &ConfigSources, build: BuildKind) -> Result<Self, ConfigErrors> {
        let mut reader = parse::SettingReader::new(layers);
        reader.refuse_unknown_names();
        let settings = describe_settings(layers);
        reader.refuse_empty_secrets();
        let webhook = reader.read_required("WAPI_GETTING_MESSAGES_WEBHOOK", parse::parse_webhook);
        let webhook_secret = reader.read_optional("WAPI_WEBHOOK_SECRET", SigningKey::parse);
        let webhook_disable_after =
            reader.read_required("WAPI_WEBHOOK_DISABLE_AFTER_HOURS", parse::parse_hours);
        let listen = reader.read_required("WAPI_INTERNAL_HOST", HostPort::parse);
        let root = reader.read_required("WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH", parse::parse_path);
        let trusted_proxies = reader
            .read_optional("WAPI_TRUSTED_PROXIES", parse::parse_networks)
            .unwrap_or_default();
        let dashboard = parse::read_dashboard(&mut reader);
        let reach = parse::GatewayReach::from_listeners(
            [
                listen.as_ref(),
                dashboard.as_ref().and_then(|it| it.listen.as_ref()),
            ],
            &trusted_proxies,
        );
        let access = parse::read_access(&mut reader, listen.as_ref(), reach);
        parse::check_dashboard_access(&mut reader, dashboard.as_ref(), access.as_ref());
        let redis = reader.read_optional("WAPI_REDIS_HOST", parse::parse_redis);
        let sentry_dsn = reader.read_optional("WAPI_SENTRY_DSN", parse::parse_sentry_dsn);
        let https = parse::read_https(&mut reader);
        let environment = reader.read_required("WAPI_ENV", parse::parse_environment);
        let hosts = reader
            .read_optional("WAPI_HOSTS", HostNames::parse)
            .unwrap_or_default();
        let targets_were_open = parse::had_open_targets(&reader, listen.as_ref(), environment);
        let allowed_targets = parse::read_allowed_targets(&mut reader, access.as_ref(), reach);
        let check_every = parse::read_check_interval(&mut reader);
        let whatsapp_timeout =
            reader.read_required("WAPI_WHATSAPP_CONNECTION_TIMEOUT", parse::parse_seconds);
        let restore = parse::read_restore_policy(&mut reader);
        let new_chats = reader.read_required("WAPI_NEW_CHATS", parse::parse_new_chat_policy);
        let proxy = reader.read_optional("WAPI_PROXY", ProxyAddress::parse);
        let proxy_links = reader.read_required("WAPI_PROXY_LINKS", parse::parse_link_route);
        let master_key = parse::read_master_key(&mut reader);
        let retention = parse::read_retention(&mut reader);
        let media = parse::read_media_policy(&mut reader);
        let media_storage = parse::read_media_storage(&mut reader);
        let ffmpeg = reader
            .read_optional("WAPI_FFMPEG_PATH", parse::parse_program)
            .unwrap_or(ProgramChoice::FFMPEG);
        let heif_convert = reader.read_optional("WAPI_HEIF_CONVERT_PATH", parse::parse_program);
        let heif_convert = heif_convert.unwrap_or(ProgramChoice::HEIF);
        let history = reader.read_required("WAPI_HISTORY", parse::parse_history_policy);
        let log = reader.read_required("WAPI_LOG", parse::parse_log_filter);
        let log_format = reader.read_required("WAPI_LOG_FORMAT", parse::parse_log_format);
        let whatsapp = parse::read_whatsapp_address(&mut reader, build);
        let mistakes = reader.into_errors();
        let complete = move || {
            Some(Self {
                settings,
                webhook: webhook?,
                webhook_secret,
                webhook_disable_after: webhook_disable_after?,
                allowed_targets: allowed_targets?,
                targets_were_open,
                listen: listen?,
                root: root?,
                access: access?,
                hosts,
                dashboard: dashboard?,
                trusted_proxies,
                redis,
                sentry_dsn,
                https,
                environment: environment?,
                check_every: check_every?,
                whatsapp_timeout: whatsapp_timeout?,
                restore: restore?,
                new_chats: new_chats?,
                proxy,
                proxy_links: proxy_links?,
                master_key: master_key?,
                retention: retention?,
                media: media?,
                media_storage: media_storage?,
                ffmpeg,
                heif_convert,
                history: history?,
                log: log?,
                log_format: log_format?,
                whatsapp: whatsapp?,
            })
        };
        complete().filter(|_| mistakes.is_empty()).ok_or(mistakes)
    }
}

#[cfg(test)]
mod tests;
