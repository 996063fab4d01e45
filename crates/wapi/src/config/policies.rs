//! The operator's policies, which the rooms keep.

use std::path::PathBuf;
use std::time::Duration;

use secrecy::SecretString;
use url::Url;

use super::HostPort;

/// The operator's limits.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RetentionPolicy {
    /// Age at which events are removed.
    pub events: Duration,
    /// Age of events with a delivery that was given up, counted from then.
    pub dead: Duration,
    /// Age at which activity is removed.
    pub activity: Duration,
    /// Bytes the database may use; above that the oldest events are removed earlier.
    pub size: u64,
}

/// The operator's choice for messages to new contacts while WhatsApp lets the account write to none.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum NewChatPolicy {
    /// They wait in the queue.
    Hold,
    /// They are sent, and refused.
    Send,
}

/// How saved sessions log in at start.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RestorePolicy {
    /// Number of sessions that log in at the same time.
    pub max_logins: usize,
    /// Time between the beginnings of two logins.
    pub interval: Duration,
}

/// Retention policy for the history.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HistoryPolicy {
    /// Nothing is recorded.
    Off,
    /// Messages are kept for this long after they were written.
    For(Duration),
    Forever,
}

/// The operator's media policy.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct MediaPolicy {
    pub download: DownloadPolicy,
    /// Bytes of the largest file that is accepted, from WhatsApp or from callers.
    pub largest: u64,
    /// Retention period of files.
    pub keep_for: Duration,
    /// Maximum number of bytes of all files together; above it, the oldest are removed early.
    pub keep_size: u64,
}

/// When the files of incoming messages are downloaded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum DownloadPolicy {
    /// As they come in.
    Eager,
    /// On request.
    OnDemand,
    /// Never; events only describe them.
    Never,
}

/// The operator's choice of storage.
#[derive(Debug, Clone)]
pub enum StorageConfig {
    /// Under the data folder.
    Disk,
    S3(S3Config),
}

/// A bucket, and the access to it.
#[derive(Debug, Clone)]
pub struct S3Config {
    pub bucket: String,
    /// Prefix of all names; may be empty.
    pub prefix: String,
    /// The server; AWS if there is none.
    pub endpoint: Option<Url>,
    pub region: String,
    pub access_key_id: String,
    pub secret_access_key: SecretString,
}

/// The operator's choice of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ProgramChoice {
    /// The first of these on `PATH`, if there is one.
    OnPath(&'static [&'static str]),
    Named(PathBuf),
    /// None, even if one is installed.
    Never,
}

impl ProgramChoice {
    pub const FFMPEG: Self = Self::OnPath(&["ffmpeg"]);
    /// Newer versions have a different name.
    pub const HEIF: Self = Self::OnPath(&["heif-convert", "heif-dec"]);
}

/// Format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum LogFormat {
    /// For people.
    Text,
    /// JSON objects, for programs.
    Json,
}

/// Where the dashboard is served, and to browsers of which connections.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct DashboardConfig {
    pub is_on: bool,
    /// `None`: beside the API.
    pub listen: Option<HostPort>,
    /// Whether people of other machines may log in without TLS.
    pub allows_plain_http: bool,
}
