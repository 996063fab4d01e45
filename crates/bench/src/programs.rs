//! The programs that are measured: built with the same profile as this one, in the same run of cargo, or named by the caller.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use anyhow::{Context, Result, ensure};
use tokio::process::Command;

use crate::arguments::Options;

/// Where they are.
pub struct Programs {
    pub gateway: PathBuf,
    /// The gateway that it is compared with, if any.
    pub against: Option<PathBuf>,
    pub simulator: PathBuf,
    /// This program itself, which is also the floor.
    pub bench: PathBuf,
}

impl Programs {
    /// Finds them. Run by cargo, builds them first: the bench's own build has compiled all they consist of, so this links two programs.
    pub async fn find(options: &Options) -> Result<Self> {
        let bench = std::env::current_exe().context("asking for the path of this program")?;
        let folder = bench
            .parent()
            .context("this program is in no folder")?
            .to_owned();
        let are_named = options.gateway.is_some() && options.simulator.is_some();
        if let Some(cargo) = std::env::var_os("CARGO").filter(|_| !are_named) {
            spare_the_engine(&folder).context("looking at what cargo has built")?;
            build(Path::new(&cargo), profile(&folder)).await?;
        }
        let beside =
            |named: &Option<PathBuf>, name| named.clone().unwrap_or_else(|| folder.join(name));
        let (gateway, simulator) = (
            beside(&options.gateway, "wapi"),
            beside(&options.simulator, "wapi-simulator"),
        );
        let against = options.against.clone();
        for program in [&gateway, &simulator].into_iter().chain(&against) {
            ensure!(
                program.is_file(),
                "{} is not there; run `cargo bench-load`, which builds it",
                program.display()
            );
        }
        Ok(Self {
            gateway,
            against,
            simulator,
            bench,
        })
    }
}

/// The profile whose folder this is.
fn profile(folder: &Path) -> &str {
    match folder.file_name().and_then(|name| name.to_str()) {
        Some("debug") | None => "dev",
        Some(name) => name,
    }
}

/// Without this the second build of all, ours, would compile the engine again, for minutes: the build script of `waproto` 0.7.0 watches
/// a file that it writes itself, which is then newer than cargo's note of that run. The note's date is put on the file.
fn spare_the_engine(folder: &Path) -> std::io::Result<()> {
    for entry in std::fs::read_dir(folder.join("build"))? {
        let entry = entry?;
        let (note, written) = (
            entry.path().join("output"),
            entry.path().join("out/whatsapp.local.desc"),
        );
        if entry.file_name().to_string_lossy().starts_with("waproto-")
            && note.is_file()
            && written.is_file()
        {
            let (noted, file) = (
                note.metadata()?.modified()?,
                std::fs::File::options().append(true).open(&written)?,
            );
            if file.metadata()?.modified()? > noted {
                file.set_modified(noted)?;
            }
        }
    }
    Ok(())
}

async fn build(cargo: &Path, profile: &str) -> Result<()> {
    // All three packages, so that cargo chooses the features it chose for this one, and compiles nothing again.
    let packages = [
        "--package",
        "wapi",
        "--package",
        "wapi-simulator",
        "--package",
        "wapi-bench",
    ];
    let status = Command::new(cargo)
        .args([
            "build",
            "--quiet",
            "--locked",
            "--bins",
            "--features",
            "wapi/sandbox",
            "--profile",
            profile,
        ])
        .args(packages)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .stdin(Stdio::null())
        .status();
    ensure!(
        status.await.context("running cargo")?.success(),
        "the programs could not be built"
    );
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_newer_than_the_note_of_its_making_gets_the_date_of_the_note() {
        let folder = tempfile::tempdir().unwrap();
        let run = folder.path().join("build/waproto-79c9");
        std::fs::create_dir_all(run.join("out")).unwrap();
        std::fs::create_dir_all(folder.path().join("build/waproto-a3a0")).unwrap();
        let (note, written) = (run.join("output"), run.join("out/whatsapp.local.desc"));
        std::fs::write(&note, "").unwrap();
        std::fs::write(&written, "as it was").unwrap();
        let long_ago =
            std::time::SystemTime::UNIX_EPOCH + std::time::Duration::from_secs(1_000_000_000);
        std::fs::File::options()
            .append(true)
            .open(&note)
            .unwrap()
            .set_modified(long_ago)
            .unwrap();
        spare_the_engine(folder.path()).unwrap();
        assert_eq!(written.metadata().unwrap().modified().unwrap(), long_ago);
        assert_eq!(std::fs::read_to_string(&written).unwrap(), "as it was");
    }

    #[test]
    fn the_folder_tells_the_profile() {
        assert_eq!(profile(Path::new("/target/debug")), "dev");
        assert_eq!(profile(Path::new("/target/bench-load")), "bench-load");
    }
}
