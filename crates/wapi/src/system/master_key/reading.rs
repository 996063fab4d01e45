//! Text from the places of a key: files, and the output of commands.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::pin::pin;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::process::{Pid, Signal, kill_process_group};
use tokio::io::AsyncReadExt;
use tokio::process::{Child, ChildStdout, Command};
use tokio::sync::oneshot;

use crate::system::clock::Clock;

/// Longer files and outputs hold no key; no more of them is read.
const MAX_BYTES: usize = 4096;
/// The time for the rest of the output once the command has ended: something that it has started may
/// never close it.
const REST_TIMEOUT: Duration = Duration::from_secs(1);

/// Reads a file. Errors do not have its path.
pub(super) async fn read_file(path: PathBuf) -> Result<String> {
    let (sender, receiver) = oneshot::channel();
    // Not one of tokio's threads: the end of the program would wait for a pipe that nobody writes to.
    std::thread::Builder::new()
        .name("master key".to_owned())
        .spawn(move || drop(sender.send(read_blocking(&path))))?;
    receiver.await?
}

fn read_blocking(path: &Path) -> Result<String> {
    let mut content = Vec::new();
    let file = std::fs::File::open(path)?;
    file.take(MAX_BYTES as u64 + 1).read_to_end(&mut content)?;
    to_text(content)
}

/// Runs a program without a shell; its errors go where those of wapi go. Errors do not have its name.
/// What it has started in its process group ends with it.
pub(super) async fn run_command(words: &[String], clock: &Clock) -> Result<String> {
    let (program, arguments) = words.split_first().context("it names no program")?;
    let mut child = Command::new(program)
        .args(arguments)
        .stdin(Stdio::null())
        .stdout(Stdio::piped())
        .process_group(0)
        .kill_on_drop(true)
        .spawn()
        .context("its program cannot be run")?;
    let group = ProcessGroup::of(&child);
    let mut output = child.stdout.take().context("it has no output")?;
    let mut content = Vec::new();
    let status = {
        let mut reading = pin!(read_output(&mut output, &mut content));
        tokio::select! {
            read = &mut reading => {
                read?;
                child.wait().await?
            }
            status = child.wait() => {
                // Its own output is in the pipe by now; whatever else holds the pipe adds nothing.
                if let Ok(read) = clock.timeout(REST_TIMEOUT, reading).await {
                    read?;
                }
                status?
            }
        }
    };
    drop(group);
    ensure!(status.success(), "it ended with {status}");
    to_text(content)
}

async fn read_output(output: &mut ChildStdout, content: &mut Vec<u8>) -> Result<()> {
    while output.read_buf(content).await? > 0 {
        check_length(content)?;
    }
    Ok(())
}

fn to_text(content: Vec<u8>) -> Result<String> {
    check_length(&content)?;
    String::from_utf8(content).map_err(|_| anyhow!("it is not text"))
}

fn check_length(content: &[u8]) -> Result<()> {
    if content.len() > MAX_BYTES {
        bail!("it has more than {MAX_BYTES} bytes, so it is no key");
    }
    Ok(())
}

/// A command with all that it has started; killed when it is dropped.
struct ProcessGroup(Option<Pid>);

impl ProcessGroup {
    fn of(leader: &Child) -> Self {
        let id = leader.id().and_then(|id| i32::try_from(id).ok());
        Self(id.and_then(Pid::from_raw))
    }
}

impl Drop for ProcessGroup {
    fn drop(&mut self) {
        if let Some(group) = self.0 {
            // An error says that nobody of it is left.
            let _ = kill_process_group(group, Signal::KILL);
        }
    }
}
