//! The system's ffmpeg and HEIC converter: convert audio, videos and images in separate processes,
//! which can be killed at any time.
//!
//! Files come from strangers. So ffmpeg is given each file's format and never guesses it: apparent
//! audio may be a playlist that names other files, or addresses inside the operator's network. It
//! may open files only, and accepts no other protocol and no input.

use std::ffi::OsString;
use std::io;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Result, bail};
use futures_util::future::join3;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::process::Command;

use crate::config::ProgramChoice;
use crate::system::clock::Clock;
use crate::system::fair_permits::FairPermits;
use crate::system::lifecycle::Lifecycle;

/// Concurrent conversions, in total and per session; more wait. They may take minutes, so one
/// session never occupies all.
const MAX_CONVERSIONS: usize = 3;
const MAX_PER_SESSION: usize = 2;
/// The largest single memory allocation of ffmpeg, in bytes.
const MAX_ALLOCATION: &str = "134217728";
/// Bytes of error output that are kept.
const MAX_ERROR_OUTPUT: u64 = 2048;

/// The conversion programs that are installed.
#[derive(Debug, Clone, Default)]
pub struct ConverterPrograms {
    pub ffmpeg: Option<PathBuf>,
    /// The converter of libheif.
    pub heif: Option<PathBuf>,
}

impl ProgramChoice {
    /// Returns the program's path, or `None` if there is none. `setting` is named in errors.
    pub fn resolve_path(&self, setting: &str) -> Result<Option<PathBuf>> {
        match self {
            Self::Never => Ok(None),
            Self::Named(path) if is_program(path) => Ok(Some(path.clone())),
            Self::Named(path) => bail!("{setting} is {}, which is not a program", path.display()),
            Self::OnPath(names) => {
                let folders = std::env::var_os("PATH").unwrap_or_default();
                let folders: Vec<_> = std::env::split_paths(&folders).collect();
                let mut paths = names
                    .iter()
                    .flat_map(|name| folders.iter().map(move |folder| folder.join(name)));
                Ok(paths.find(|path| is_program(path)))
            }
        }
    }
}

fn is_program(path: &Path) -> bool {
    path.metadata()
        .is_ok_and(|metadata| metadata.is_file() && metadata.permissions().mode() & 0o111 != 0)
}

/// The purpose of a conversion.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ConversionPurpose {
    VoiceNote,
    /// An animated one.
    Sticker,
    /// Of a video.
    Thumbnail,
    /// A JPEG.
    Jpeg,
    /// An MP4.
    Video,
    /// A video without audio, made of an animated image.
    Gif,
}

impl ConversionPurpose {
    /// Returns the time limit of one conversion. 16 MiB of speech last hours, and an hour takes
    /// some seconds.
    const fn time_limit(self) -> Duration {
        match self {
            Self::VoiceNote => Duration::from_secs(120),
            Self::Sticker | Self::Gif | Self::Jpeg => Duration::from_secs(60),
            Self::Video => Duration::from_secs(300),
            Self::Thumbnail => Duration::from_secs(10),
        }
    }

    /// Returns the description of an unsuitable file, and of a suitable alternative.
    const fn wanted_format(self) -> (&'static str, &'static str) {
        match self {
            Self::VoiceNote => ("is not Opus in Ogg, as voice notes are", "Ogg with Opus"),
            Self::Sticker => (
                "is not an animated WebP, as animated stickers are",
                "animated WebP",
            ),
            Self::Thumbnail => ("is not a picture", "one"),
            Self::Jpeg => (
                "is a picture that not every phone shows (HEIC or AVIF)",
                "JPEG",
            ),
            Self::Video => (
                "is a video that not every phone plays (MOV)",
                "MP4 (H.264 and AAC)",
            ),
            Self::Gif => (
                "is an animated picture, which phones show as a video without sound",
                "MP4, as `video` with `gif`",
            ),
        }
    }

    const fn stream_name(self) -> &'static str {
        match self {
            Self::VoiceNote => "sound",
            Self::Sticker | Self::Thumbnail | Self::Jpeg | Self::Video | Self::Gif => "picture",
        }
    }

    const fn output_name(self) -> &'static str {
        match self {
            Self::VoiceNote => "voice note",
            Self::Sticker => "sticker",
            Self::Thumbnail => "thumbnail",
            Self::Jpeg => "JPEG",
            Self::Video | Self::Gif => "film",
        }
    }
}

/// Reasons why a file was not converted. The messages follow the name of a file, and are meant for
/// callers.
#[derive(Debug, thiserror::Error)]
pub enum ConversionError {
    #[error(
        "{}; ffmpeg would convert it, but the gateway has none. Install ffmpeg on its machine (or name it in \
         WAPI_FFMPEG_PATH), or give {}",
        .0.wanted_format().0,
        .0.wanted_format().1
    )]
    NoFfmpeg(ConversionPurpose),
    #[error("cannot be converted: ffmpeg finds no readable {} in it", .0.stream_name())]
    Unreadable(ConversionPurpose),
    #[error(
        "is a picture that not every phone shows ({0}), and nothing here can read it. Install heif-convert (libheif-examples) on \
         the gateway's machine (or name it in WAPI_HEIF_CONVERT_PATH), or give JPEG"
    )]
    NoHeifConverter(String),
    #[error("is not a readable picture")]
    NotAnImage,
    #[error("is not an animated picture; send it as `image`")]
    NotAnimated,
    #[error("is too long: ffmpeg did not convert it within {0:?}")]
    TooLong(Duration),
    #[error("is larger than {1} MiB as a {name}", name = .0.output_name())]
    TooLarge(ConversionPurpose, u64),
    #[error(
        "has more than {0} KiB as a sticker even at the lowest quality; give something shorter or simpler"
    )]
    TooMuchMotion(u64),
    /// Another attempt may succeed.
    #[error("cannot be converted for now: {0}")]
    Transient(String),
}

impl From<io::Error> for ConversionError {
    fn from(error: io::Error) -> Self {
        Self::Transient(error.to_string())
    }
}

/// Runs ffmpeg, if it is installed.
pub(in crate::media) struct Ffmpeg {
    programs: ConverterPrograms,
    shares: FairPermits,
    clock: Clock,
    lifecycle: Lifecycle,
}

impl Ffmpeg {
    pub fn new(programs: ConverterPrograms, clock: Clock, lifecycle: Lifecycle) -> Self {
        Self {
            programs,
            shares: FairPermits::new(MAX_CONVERSIONS, MAX_PER_SESSION),
            clock,
            lifecycle,
        }
    }

    pub fn is_installed(&self) -> bool {
        self.programs.ffmpeg.is_some()
    }

    /// Returns the path of libheif's program.
    pub fn heif_program(&self) -> Option<&Path> {
        self.programs.heif.as_deref()
    }

    /// Converts one file, whose format `demuxer` reads, according to the arguments `outputs`.
    /// Passes ffmpeg's standard output to `take` as it arrives.
    pub async fn convert_file(
        &self,
        tenant: &str,
        purpose: ConversionPurpose,
        demuxer: &str,
        input: &Path,
        outputs: Vec<OsString>,
        take: impl FnMut(&[u8]),
    ) -> Result<(), ConversionError> {
        let program = self
            .programs
            .ffmpeg
            .as_ref()
            .ok_or(ConversionError::NoFfmpeg(purpose))?;
        let mut command = Command::new(program);
        command.args([
            "-nostdin",
            "-hide_banner",
            "-loglevel",
            "error",
            "-y",
            "-max_alloc",
            MAX_ALLOCATION,
        ]);
        // Each thread of a decoder has frames of its own in memory.
        command.args(["-threads", "1"]);
        command.args([
            "-protocol_whitelist",
            "file",
            "-format_whitelist",
            demuxer,
            "-f",
            demuxer,
            "-i",
        ]);
        command.arg(file_argument(input)).args(outputs);
        self.run_program(tenant, purpose, command, take).await
    }

    /// Runs a program to its end, once there is room for it.
    pub async fn run_program(
        &self,
        tenant: &str,
        purpose: ConversionPurpose,
        mut command: Command,
        take: impl FnMut(&[u8]),
    ) -> Result<(), ConversionError> {
        let _room = self.shares.acquire(tenant).await;
        // The environment may contain settings, too.
        command
            .env_clear()
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)));
        let ending = || ConversionError::Transient("the program is ending".to_owned());
        let converting = self
            .clock
            .timeout(purpose.time_limit(), run_to_end(command, purpose, take));
        let done = self
            .lifecycle
            .unless_stopping(converting)
            .await
            .ok_or_else(ending)?;
        done.map_err(|_| ConversionError::TooLong(purpose.time_limit()))?
    }
}

impl std::fmt::Debug for Ffmpeg {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Ffmpeg")
            .field("programs", &self.programs)
            .finish_non_exhaustive()
    }
}

/// Returns a path that ffmpeg cannot mistake for anything else.
pub(in crate::media) fn file_argument(path: &Path) -> OsString {
    let mut name = OsString::from("file:");
    name.push(path);
    name
}

/// Completes when the process ends; dropping the future kills the process.
async fn run_to_end(
    mut command: Command,
    purpose: ConversionPurpose,
    take: impl FnMut(&[u8]),
) -> Result<(), ConversionError> {
    command
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    let mut child = command.spawn()?;
    let (output, errors) = (child.stdout.take(), child.stderr.take());
    let mut complaint = Vec::new();
    let listening = async {
        let Some(mut errors) = errors else {
            return Ok(());
        };
        (&mut errors)
            .take(MAX_ERROR_OUTPUT)
            .read_to_end(&mut complaint)
            .await?;
        // Otherwise the process would block until the rest is read.
        tokio::io::copy(&mut errors, &mut tokio::io::sink())
            .await
            .map(drop)
    };
    let (status, poured, listened) =
        join3(child.wait(), forward_output(output, take), listening).await;
    poured.and(listened)?;
    if !status?.success() {
        // The output may quote the file's own metadata.
        tracing::debug!(complaint = %String::from_utf8_lossy(&complaint), "failed to convert a file");
        return Err(ConversionError::Unreadable(purpose));
    }
    Ok(())
}

async fn forward_output(
    from: Option<impl AsyncRead + Unpin>,
    mut take: impl FnMut(&[u8]),
) -> io::Result<()> {
    let Some(mut from) = from else { return Ok(()) };
    let mut piece = vec![0; 64 * 1024];
    loop {
        match from.read(&mut piece).await? {
            0 => return Ok(()),
            read => take(&piece[..read]),
        }
    }
}
