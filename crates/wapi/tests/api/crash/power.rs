//! A disk whose plug can be pulled, and that fails when it is told to: what a program has not synced is not there afterwards.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use crate::harness::{Wapi, skipped};

/// The disk under a program's data folder. It goes with the program's folder.
pub struct Disk {
    /// The data folder.
    root: PathBuf,
    /// What would outlast a power cut; the library beside this file says how it is kept.
    kept: PathBuf,
}

impl Disk {
    /// Whether there can be one; if not, a word about it.
    pub fn is_there() -> bool {
        let is_there = Command::new("cc").arg("--version").output().is_ok();
        is_there || skipped::<()>("there is no C compiler to pull the plug with").is_some()
    }

    /// Puts it under the program.
    pub fn under(wapi: Wapi) -> (Wapi, Self) {
        let folder = wapi
            .folder()
            .canonicalize()
            .expect("the program has a folder");
        let library = folder.join("disk.so");
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/api/crash/disk.c");
        let built = Command::new("cc")
            .args([
                "-std=gnu2x",
                "-shared",
                "-fPIC",
                "-O1",
                "-Wall",
                "-Wextra",
                "-Werror",
                "-o",
            ])
            .args([&library, &source])
            .args(["-ldl", "-lpthread"])
            .output();
        let built = built.expect("a C compiler");
        assert!(
            built.status.success(),
            "{}",
            String::from_utf8_lossy(&built.stderr)
        );
        let disk = Self {
            root: folder.join("data"),
            kept: folder.join("disk"),
        };
        fs::create_dir_all(&disk.root).expect("a data folder");
        disk.is_synced();
        let wapi = wapi
            .set("LD_PRELOAD", library.display())
            .set("WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH", disk.root.display())
            .set("WAPI_TESTS_DISK_ROOT", disk.root.display())
            .set("WAPI_TESTS_DISK", disk.kept.display());
        (wapi, disk)
    }

    /// Puts the data folder back to what was synced. The program must have been killed before.
    pub fn loses_power(&self) {
        let dark = self.root.with_extension("dark");
        let names = self.kept.join("folders").join(inode(&self.root));
        fs::create_dir(&dark).expect("a new folder");
        self.bring_back(&names, &dark);
        fs::remove_dir_all(&self.root).expect("the data folder can be removed");
        fs::rename(&dark, &self.root).expect("the data folder gets its name back");
        self.is_synced();
    }

    /// How often a file was synced so far whose path ends like this.
    pub fn syncs_of(&self, end: &str) -> usize {
        let synced = fs::read_to_string(self.kept.join("synced")).unwrap_or_default();
        synced.lines().filter(|path| path.ends_with(end)).count()
    }

    /// From now on this goes wrong: see the library.
    pub fn fails(&self, how: &str) {
        fs::write(self.kept.join("faults.new"), how).expect("the faults can be written");
        fs::rename(self.kept.join("faults.new"), self.kept.join("faults"))
            .expect("the faults can be told");
    }

    /// From now on the time of day is so many seconds ahead.
    pub fn moves_clock(&self, seconds: i64) {
        fs::write(self.kept.join("clock"), seconds.to_string()).expect("the clock can be set");
    }

    /// Makes a folder that has these names.
    fn bring_back(&self, names: &Path, folder: &Path) {
        // A folder that nobody has synced is empty.
        for line in fs::read_to_string(names).unwrap_or_default().lines() {
            let mut parts = line.splitn(3, ' ');
            let (inode, kind, name) = (
                parts.next().unwrap(),
                parts.next().unwrap(),
                parts.next().unwrap(),
            );
            let place = folder.join(name);
            match kind {
                "d" => {
                    fs::create_dir(&place).expect("a new folder");
                    self.bring_back(&self.kept.join("folders").join(inode), &place);
                }
                _ => match fs::read(self.kept.join("files").join(inode)) {
                    Ok(content) => fs::write(&place, content).expect("a new file"),
                    Err(_) => fs::write(&place, b"").expect("a new file"),
                },
            }
        }
    }

    /// Begins anew: all that is there is synced.
    fn is_synced(&self) {
        let _ = fs::remove_dir_all(&self.kept);
        for folder in ["files", "folders", "gone"] {
            fs::create_dir_all(self.kept.join(folder)).expect("a folder beside the data folder");
        }
        self.note(&self.root);
    }

    fn note(&self, folder: &Path) {
        let mut names = String::new();
        for entry in fs::read_dir(folder).expect("a folder can be listed") {
            let path = entry.expect("a folder can be listed").path();
            let (number, name) = (
                inode(&path),
                path.file_name()
                    .unwrap()
                    .to_str()
                    .expect("a name in UTF-8")
                    .to_owned(),
            );
            let kind = if path.is_dir() { 'd' } else { 'f' };
            names += &format!("{number} {kind} {name}\n");
            match kind {
                'd' => self.note(&path),
                _ => drop(
                    fs::copy(&path, self.kept.join("files").join(number))
                        .expect("a file can be copied"),
                ),
            }
        }
        fs::write(self.kept.join("folders").join(inode(folder)), names)
            .expect("names can be noted");
    }
}

fn inode(path: &Path) -> String {
    fs::metadata(path).expect("it is there").ino().to_string()
}
