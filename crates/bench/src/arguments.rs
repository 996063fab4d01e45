//! The command line.

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, Parser, Subcommand, ValueEnum};

use crate::route::Route;

/// Measures the gateway against a simulated WhatsApp, beside the bare engine, on loopback. Stops by itself.
#[derive(Parser)]
#[command(name = "wapi-bench", version)]
pub struct Arguments {
    #[command(subcommand)]
    pub command: Option<Command>,
    #[command(flatten)]
    pub options: Options,
}

/// What to measure.
#[derive(Subcommand)]
pub enum Command {
    /// Everything; what the program alone does, too.
    All,
    /// Messages from phones to the webhook: how many a second, and CPU.
    In,
    /// As `in`, by turns with several numbers of sessions: some, one alone, and many.
    Sizes,
    /// Messages from phones by a timetable that is slow enough for each to come alone: CPU, disk, context switches, how long each is on
    /// its way.
    Paced,
    /// Messages from HTTP to the server's ack: how many a second, and CPU.
    Out,
    /// Messages of one session, one at a time: how many a second, and how long each takes.
    Alone,
    /// Messages to groups of several sizes: how many a second, and CPU.
    Groups,
    /// Files in and out: how fast, CPU, and memory while a large one goes out. Of the gateway only.
    Media,
    /// How long a message is on its way to the webhook at half of the maximum rate.
    Latency,
    /// Resident memory of idle sessions after a restart.
    Memory,
    /// From the start of the program to all sessions online, and the CPU they use when nothing happens.
    Start,
    /// A gateway that has received a great many events: ready, lists, searches, and what another message costs. Of the gateway only.
    Growth,
    /// What open pages of the dashboard cost: watchers of the events under load, and overviews while nothing happens.
    Watchers,
    /// The bare engine, as a process of its own; what this program starts for the floor.
    #[command(hide = true)]
    Floor(Floor),
}

/// Which side to run.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Side {
    Both,
    Gateway,
    Floor,
}

/// How much of it, and how.
#[derive(Args, Clone, Debug)]
pub struct Options {
    /// Sessions under load.
    #[arg(long, global = true, default_value_t = 8)]
    pub sessions: usize,
    /// Numbers of sessions that `sizes` goes through.
    #[arg(long, global = true, value_delimiter = ',', default_value = "8,1,100")]
    pub sizes: Vec<usize>,
    /// Chats of each session.
    #[arg(long, global = true, default_value_t = 4)]
    pub chats: usize,
    /// Messages of one round.
    #[arg(long, global = true, default_value_t = 4000)]
    pub messages: usize,
    /// Rounds of each side, which take turns.
    #[arg(long, global = true, default_value_t = 5)]
    pub rounds: usize,
    /// Sends of each session under way at the same time.
    #[arg(long, global = true, default_value_t = 4)]
    pub in_flight: usize,
    /// Members of the groups that are sent to, the sender included.
    #[arg(long, global = true, value_delimiter = ',', default_value = "8,64,256")]
    pub members: Vec<usize>,
    /// The large document whose way out is measured, in MiB.
    #[arg(long, global = true, default_value_t = 500)]
    pub large_mib: usize,
    /// Messages a second of the latency measurement; half of what the rounds of `in` reached when it is left out.
    #[arg(long, global = true)]
    pub rate: Option<f64>,
    /// Seconds of one round of `latency` and of `paced`.
    #[arg(long, global = true, default_value_t = 8.0)]
    pub latency_seconds: f64,
    /// Messages a second of `paced`, over all sessions.
    #[arg(long, global = true, default_value_t = 150.0)]
    pub pace: f64,
    /// Numbers of idle sessions, growing.
    #[arg(
        long,
        global = true,
        value_delimiter = ',',
        default_value = "10,200,500"
    )]
    pub idle_sessions: Vec<usize>,
    /// As `--idle-sessions 10000`, with one message each in and out at the end. Linking them takes most of an hour.
    #[arg(long, global = true, conflicts_with = "idle_sessions")]
    pub huge: bool,
    /// Seconds over which the CPU of idle sessions is measured.
    #[arg(long, global = true, default_value_t = 30.0)]
    pub idle_seconds: f64,
    /// Events that the gateway of `growth` has received before. Ten million take 12 GB, and a quarter of an hour to be written.
    #[arg(long, global = true, default_value_t = 10_000_000)]
    pub events: u64,
    /// Which side to run; without the other there is no ratio.
    #[arg(long, global = true, value_enum, default_value_t = Side::Both)]
    pub only: Side,
    /// The route messages are sent by.
    #[arg(long, global = true, value_enum, default_value_t = Route::Original)]
    pub route: Route,
    /// Runs the gateway under this command, as in `--wrap "perf record -g -o /tmp/perf.data --"`.
    #[arg(long, global = true)]
    pub wrap: Option<String>,
    /// The gateway to measure, instead of the one built with this program.
    #[arg(long, global = true)]
    pub gateway: Option<PathBuf>,
    /// Another gateway that takes turns with the one that is measured, as in `--against gateway=/tmp/wapi`.
    #[arg(long, global = true, value_parser = other_gateway, value_name = "gateway=PATH")]
    pub against: Option<PathBuf>,
    /// A setting of the gateways, as in `--setting WAPI_HISTORY=off`; as often as wanted.
    #[arg(long = "setting", global = true, value_parser = setting, value_name = "NAME=VALUE")]
    pub settings: Vec<(String, String)>,
    /// The simulator to use, instead of the one built with this program.
    #[arg(long, global = true)]
    pub simulator: Option<PathBuf>,
    /// Writes all numbers to this file.
    #[arg(long, global = true)]
    pub json: Option<PathBuf>,
    /// Keeps data and logs in this folder, which must not exist yet.
    #[arg(long, global = true)]
    pub keep: Option<PathBuf>,
}

impl Options {
    /// How long a step may take. A profiler makes a program slow.
    pub fn patience(&self) -> Duration {
        let is_slow = self.wrap.is_some() || self.huge;
        Duration::from_secs(if is_slow { 1800 } else { 120 })
    }

    pub fn runs_gateway(&self) -> bool {
        self.only != Side::Floor
    }

    pub fn runs_floor(&self) -> bool {
        self.only != Side::Gateway
    }
}

/// `gateway=PATH`: what is compared, and which.
fn other_gateway(argument: &str) -> Result<PathBuf, String> {
    match argument.split_once('=') {
        Some(("gateway", path)) if !path.is_empty() => Ok(path.into()),
        _ => Err("only gateways can be compared, as in gateway=/tmp/wapi".to_owned()),
    }
}

/// `NAME=VALUE`.
fn setting(argument: &str) -> Result<(String, String), String> {
    match argument.split_once('=') {
        Some((name, value)) if name.starts_with("WAPI_") => Ok((name.to_owned(), value.to_owned())),
        _ => Err("a setting is given as WAPI_NAME=VALUE".to_owned()),
    }
}

/// How the floor is started.
#[derive(Args)]
pub struct Floor {
    /// The WebSocket to connect to.
    #[arg(long)]
    pub url: String,
    /// Where the sessions' files are made.
    #[arg(long)]
    pub folder: PathBuf,
    /// How many sessions.
    #[arg(long = "count")]
    pub sessions: usize,
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parsed(words: &str) -> Result<Options, clap::Error> {
        Arguments::try_parse_from(words.split(' ')).map(|arguments| arguments.options)
    }

    #[test]
    fn another_gateway_is_named_by_what_it_is_and_where() {
        let options = parsed("wapi-bench in --against gateway=/tmp/a=b").unwrap();
        assert_eq!(options.against, Some(PathBuf::from("/tmp/a=b")));
        for wrong in ["/tmp/wapi", "gateway=", "simulator=/tmp/x"] {
            let error = parsed(&format!("wapi-bench in --against {wrong}")).unwrap_err();
            assert!(error.to_string().contains("only gateways"), "{error}");
        }
    }

    #[test]
    fn settings_are_the_gateways() {
        let options = parsed("wapi-bench --setting WAPI_HISTORY=off --setting WAPI_PORT=").unwrap();
        let pair = |name: &str, value: &str| (name.to_owned(), value.to_owned());
        assert_eq!(
            options.settings,
            [pair("WAPI_HISTORY", "off"), pair("WAPI_PORT", "")]
        );
        assert!(parsed("wapi-bench --setting PATH=/tmp").is_err());
        assert!(parsed("wapi-bench --setting WAPI_HISTORY").is_err());
    }

    #[test]
    fn sizes_are_told_with_commas() {
        assert_eq!(parsed("wapi-bench sizes").unwrap().sizes, [8, 1, 100]);
        assert_eq!(parsed("wapi-bench sizes --sizes 1").unwrap().sizes, [1]);
    }
}
