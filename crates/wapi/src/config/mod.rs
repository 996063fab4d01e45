//! Configuration: defaults, a file, `.env`, then the environment; all errors are reported at once.

mod dotenv;
mod hosts;
mod layers;
mod listing;
mod mistakes;
mod parse;
mod settings;

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use crate::guard::{Network, Targets};
use crate::history;
use crate::media;
use crate::retention::Retention;
use crate::telemetry;
use crate::webhooks::SigningKey;

pub use hosts::Hosts;
pub use layers::{Layers, Source};
pub use listing::listing;
pub use mistakes::{Mistake, Mistakes};
pub use parse::HostPort;
pub(crate) use parse::is_loopback;
pub use settings::{SETTINGS, Setting};

/// The configuration of the program; valid by construction.
#[derive(Debug, Clone)]
pub struct Config {
    /// Base address of the webhook; always ends in a slash.
    pub webhook: Url,
    /// Signs the posts to the webhook.
    pub webhook_secret: Option<SigningKey>,
    /// How long a webhook created through the API may fail before it is disabled.
    pub webhook_disable_after: Duration,
    /// Addresses that callers may make the gateway contact, with webhooks and media links.
    pub allowed_targets: Targets,
    /// Whether an earlier version, which did not look at keys for this, would have opened all
    /// targets: webhooks created then keep theirs.
    pub targets_were_open: bool,
    pub listen: HostPort,
    /// The data folder.
    pub root: PathBuf,
    pub access: Access,
    /// Host names of the gateway, beside its addresses.
    pub hosts: Hosts,
    /// Proxies that are trusted to name their clients.
    pub trusted_proxies: Vec<Network>,
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
    /// Number of saved sessions that log in at the same time at start.
    pub restore_concurrency: usize,
    pub retention: Retention,
    pub media: media::Policy,
    pub media_storage: media::Place,
    pub ffmpeg: media::ffmpeg::Choice,
    pub heif_convert: media::ffmpeg::Choice,
    pub history: history::Policy,
    /// Filter of log lines, in the syntax of `tracing_subscriber::EnvFilter`.
    pub log: String,
    pub log_format: telemetry::Format,
    pub whatsapp: WhatsappAddress,
}

/// Access to the gateway.
#[derive(Debug, Clone)]
pub enum Access {
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
pub enum Build {
    Release,
    Sandbox,
}

impl Build {
    /// Returns the build that is running.
    pub const fn this() -> Self {
        if cfg!(feature = "sandbox") {
            Self::Sandbox
        } else {
            Self::Release
        }
    }
}

impl Config {
    /// Reads the layers into a configuration, or returns every error in them.
    pub fn read(layers: &Layers, build: Build) -> Result<Self, Mistakes> {
        let mut reader = parse::Reader::new(layers);
        reader.refuse_unknown_names();
        reader.refuse_empty_secrets();
        let webhook = reader.required("WAPI_GETTING_MESSAGES_WEBHOOK", parse::webhook);
        let webhook_secret = reader.optional("WAPI_WEBHOOK_SECRET", SigningKey::parse);
        let webhook_disable_after =
            reader.required("WAPI_WEBHOOK_DISABLE_AFTER_HOURS", parse::hours);
        let listen = reader.required("WAPI_INTERNAL_HOST", HostPort::parse);
        let root = reader.required("WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH", parse::folder);
        let trusted_proxies = reader
            .optional("WAPI_TRUSTED_PROXIES", parse::networks)
            .unwrap_or_default();
        let reach = parse::Reach::of(listen.as_ref(), &trusted_proxies);
        let access = parse::access(&mut reader, listen.as_ref(), reach);
        let redis = reader.optional("WAPI_REDIS_HOST", parse::redis);
        let sentry_dsn = reader.optional("WAPI_SENTRY_DSN", parse::sentry_dsn);
        let https = parse::https(&mut reader);
        let environment = reader.required("WAPI_ENV", parse::environment);
        let hosts = reader
            .optional("WAPI_HOSTS", Hosts::parse)
            .unwrap_or_default();
        let targets_were_open = parse::targets_were_open(&reader, listen.as_ref(), environment);
        let allowed_targets = parse::allowed_targets(&mut reader, access.as_ref(), reach);
        let check_every = parse::check_every(&mut reader);
        let whatsapp_timeout = reader.required("WAPI_WHATSAPP_CONNECTION_TIMEOUT", parse::seconds);
        let restore_concurrency = reader.required("WAPI_RESTORE_CONCURRENCY", parse::positive);
        let retention = parse::retention(&mut reader);
        let media = parse::media(&mut reader);
        let media_storage = parse::media_storage(&mut reader);
        let ffmpeg = reader
            .optional("WAPI_FFMPEG_PATH", parse::program)
            .unwrap_or(media::ffmpeg::Choice::FFMPEG);
        let heif_convert = reader.optional("WAPI_HEIF_CONVERT_PATH", parse::program);
        let heif_convert = heif_convert.unwrap_or(media::ffmpeg::Choice::HEIF);
        let history = reader.required("WAPI_HISTORY", parse::history);
        let log = reader.required("WAPI_LOG", parse::log_filter);
        let log_format = reader.required("WAPI_LOG_FORMAT", parse::log_format);
        let whatsapp = parse::whatsapp(&mut reader, build);
        let mistakes = reader.into_mistakes();
        let complete = move || {
            Some(Self {
                webhook: webhook?,
                webhook_secret,
                webhook_disable_after: webhook_disable_after?,
                allowed_targets: allowed_targets?,
                targets_were_open,
                listen: listen?,
                root: root?,
                access: access?,
                hosts,
                trusted_proxies,
                redis,
                sentry_dsn,
                https,
                environment: environment?,
                check_every: check_every?,
                whatsapp_timeout: whatsapp_timeout?,
                restore_concurrency: restore_concurrency?,
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
