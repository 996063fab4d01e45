//! A process that was started for a measurement: its cost so far, and its end, which comes with ours at the latest.

use std::collections::HashMap;
use std::fs::{self, File};
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use tokio::process::{Child, Command};

use crate::procfs;

/// How long a program may take to end when it is asked to.
const ENDING: Duration = Duration::from_secs(60);

/// A running program. Dropped, it is killed, together with whatever it has started.
pub struct Process {
    name: &'static str,
    child: Child,
    group: u32,
    log: PathBuf,
}

/// What a process holds.
#[derive(Clone, Copy, Debug, serde::Serialize)]
pub struct Memory {
    /// Resident, in KiB.
    pub resident: u64,
    /// The part of it that no file stands behind: heap and stacks.
    pub anonymous: u64,
}

/// What a process has used so far.
#[derive(Clone, Debug)]
pub struct Usage {
    cpu: Duration,
    written: u64,
    /// Of each thread, since the kernel does not add them up.
    switches: HashMap<u32, u64>,
}

/// What a process has used between two looks at it.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Used {
    /// User and system time.
    pub cpu: Duration,
    /// Bytes that go to the disk.
    pub written: u64,
    /// Context switches. Those of a thread that has ended in between are lost.
    pub switches: u64,
}

impl Usage {
    /// What came after an earlier look.
    pub fn since(&self, earlier: &Self) -> Used {
        let switches = self.switches.iter().map(|(thread, now)| {
            let before = earlier.switches.get(thread).copied().unwrap_or(0);
            now.saturating_sub(before)
        });
        Used {
            cpu: self.cpu.saturating_sub(earlier.cpu),
            written: self.written.saturating_sub(earlier.written),
            switches: switches.sum(),
        }
    }
}

/// Reads what a process costs.
#[derive(Clone, Copy, Debug)]
pub struct Meter(u32);

impl Meter {
    /// CPU time so far, user and system, to 10 ms.
    pub fn cpu(self) -> Result<Duration> {
        procfs::cpu(&self.read("stat")?).context("/proc/PID/stat has an unknown form")
    }

    /// Everything it has used so far.
    pub fn usage(self) -> Result<Usage> {
        let written = procfs::written(&self.read("io")?);
        Ok(Usage {
            cpu: self.cpu()?,
            written: written.context("/proc/PID/io has an unknown form")?,
            switches: self.switches()?,
        })
    }

    fn switches(self) -> Result<HashMap<u32, u64>> {
        let folder = format!("/proc/{}/task", self.0);
        let threads = fs::read_dir(&folder).with_context(|| format!("{folder} cannot be read"))?;
        let mut switches = HashMap::new();
        for thread in threads {
            let path = thread?.path();
            // A thread may end while its folder is looked at.
            let Ok(status) = fs::read_to_string(path.join("status")) else {
                continue;
            };
            let id = path
                .file_name()
                .and_then(|name| name.to_str()?.parse().ok());
            let count = procfs::switches(&status);
            if let (Some(id), Some(count)) = (id, count) {
                switches.insert(id, count);
            }
        }
        Ok(switches)
    }

    /// How many descriptors are open.
    pub fn descriptors(self) -> Result<usize> {
        let folder = format!("/proc/{}/fd", self.0);
        Ok(fs::read_dir(&folder)
            .with_context(|| format!("{folder} cannot be read"))?
            .count())
    }

    pub fn memory(self) -> Result<Memory> {
        let status = self.read("status")?;
        let size = |name| {
            procfs::kib(&status, name).with_context(|| format!("/proc/PID/status has no {name}"))
        };
        Ok(Memory {
            resident: size("VmRSS")?,
            anonymous: size("RssAnon")?,
        })
    }

    /// The most that was resident since the peak was last forgotten, in KiB.
    pub fn peak(self) -> Result<u64> {
        procfs::kib(&self.read("status")?, "VmHWM").context("/proc/PID/status has no VmHWM")
    }

    /// Lets the peak begin again at what is resident now.
    pub fn forget_peak(self) -> Result<()> {
        let path = format!("/proc/{}/clear_refs", self.0);
        fs::write(&path, "5").with_context(|| format!("{path} cannot be written"))
    }

    fn read(self, file: &str) -> Result<String> {
        let path = format!("/proc/{}/{file}", self.0);
        fs::read_to_string(&path)
            .with_context(|| format!("{path} cannot be read; the program has ended"))
    }
}

impl Process {
    /// Starts it, with its errors and logs in a file of `folder`.
    pub fn start(name: &'static str, command: &mut Command, folder: &Path) -> Result<Self> {
        let log = folder.join(format!("{name}.log"));
        let file = File::options()
            .create(true)
            .append(true)
            .open(&log)
            .context("making a log file")?;
        // A group of its own, so that a profiler and what it runs end together, and Ctrl-C reaches only us.
        let child = command
            .stderr(Stdio::from(file))
            .process_group(0)
            .kill_on_drop(true)
            .spawn();
        let child = child.with_context(|| format!("starting the {name}"))?;
        let group = child
            .id()
            .with_context(|| format!("the {name} ended at once"))?;
        Ok(Self {
            name,
            child,
            group,
            log,
        })
    }

    pub fn child(&mut self) -> &mut Child {
        &mut self.child
    }

    /// What the program itself costs: not a wrapper it runs under.
    pub fn meter(&self) -> Meter {
        Meter(self.id())
    }

    fn id(&self) -> u32 {
        let mut id = self.group;
        while let Ok(children) = fs::read_to_string(format!("/proc/{id}/task/{id}/children")) {
            match procfs::first_child(&children) {
                Some(child) => id = child,
                None => break,
            }
        }
        id
    }

    /// What to say when it does not answer.
    pub fn gone(&self) -> String {
        let log = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = log.lines().collect();
        let last = lines[lines.len().saturating_sub(10)..].join("\n");
        format!(
            "the {} is not there or does not answer; it said last:\n{last}",
            self.name
        )
    }

    /// Asks it to end, as an operator does, and waits.
    pub async fn stop(mut self) -> Result<()> {
        signal("-TERM", &self.id().to_string()).await?;
        match tokio::time::timeout(ENDING, self.child.wait()).await {
            Ok(status) => drop(status.with_context(|| format!("waiting for the {}", self.name))?),
            Err(_) => bail!("the {} did not end within {ENDING:?}", self.name),
        }
        Ok(())
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        // Its group is ours as long as nobody has waited for it; afterwards the number may belong to somebody else.
        if matches!(self.child.try_wait(), Ok(None)) {
            let group = format!("-{}", self.group);
            let _ = std::process::Command::new("kill")
                .args(["-KILL", "--", &group])
                .status();
        }
    }
}

async fn signal(which: &str, whom: &str) -> Result<()> {
    let sent = Command::new("kill")
        .args([which, whom])
        .status()
        .await
        .context("running kill")?;
    anyhow::ensure!(sent.success(), "process {whom} could not be told to end");
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_thread_that_came_later_counts_and_one_that_has_ended_takes_nothing_away() {
        let usage = |cpu, written, switches: &[(u32, u64)]| Usage {
            cpu: Duration::from_millis(cpu),
            written,
            switches: switches.iter().copied().collect(),
        };
        let (before, after) = (
            usage(100, 4096, &[(1, 10), (2, 500)]),
            usage(350, 12_288, &[(1, 25), (3, 7)]),
        );
        let used = Used {
            cpu: Duration::from_millis(250),
            written: 8192,
            switches: 22,
        };
        assert_eq!(after.since(&before), used);
    }

    #[test]
    fn this_process_has_memory_descriptors_and_threads() {
        let meter = Meter(std::process::id());
        assert!(meter.memory().unwrap().resident > 0);
        assert!(meter.descriptors().unwrap() > 2);
        let usage = meter.usage().unwrap();
        assert!(usage.switches.contains_key(&std::process::id()));
    }
}
