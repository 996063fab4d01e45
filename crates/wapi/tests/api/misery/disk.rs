//! The disk is full, or another process holds the database.

use std::path::{Path, PathBuf};
use std::process::Command;

use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use super::crowd::{Crowd, time_passes_until_home};
use crate::harness::{Setup, TestApp, eventually, gateway, skipped};

/// A disk with room for several times what the databases' logs take, so that it is full only when it is filled; it goes with the test.
struct SmallDisk {
    mounted_at: tempfile::TempDir,
}

impl SmallDisk {
    /// `None`, and a word about it, where nothing can be mounted.
    fn mount() -> Option<Self> {
        let mounted_at = tempfile::tempdir().expect("a temporary folder");
        let mounted = Command::new("mount")
            .args(["-t", "tmpfs", "-o", "size=64m", "tmpfs"])
            .arg(mounted_at.path())
            .output();
        match mounted {
            Ok(output) if output.status.success() => Some(Self { mounted_at }),
            _ => skipped("only root can mount a small disk"),
        }
    }

    fn path(&self) -> &Path {
        self.mounted_at.path()
    }

    /// Leaves no room at all; what takes it up.
    fn fill(&self) -> PathBuf {
        use std::io::Write;
        let filler = self.path().join("filler");
        let mut file = std::fs::File::create(&filler).expect("a file");
        while file.write_all(&[0; 4096]).is_ok() {}
        filler
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        // Lazily: the program may still have a file open if the test failed.
        let _ = Command::new("umount")
            .arg("--lazy")
            .arg(self.path())
            .status();
    }
}

/// Why the gateway says that it is not ready, once it does.
async fn says_why(app: &TestApp) -> String {
    let red = async || Some(app.get("/health/ready").await).filter(|answer| answer.status == 503);
    let answer = eventually(red, async || "it says that it is ready".to_owned()).await;
    answer.json()["detail"]
        .as_str()
        .expect("a reason")
        .to_owned()
}

#[tokio::test]
async fn when_a_full_disk_has_room_again_everything_arrives_without_a_restart() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    fills_up_and_empties(&disk).await;
}

#[tokio::test]
async fn when_only_the_database_has_no_room_the_sessions_wait_for_it() {
    let Some(disk) = SmallDisk::mount() else {
        return;
    };
    let elsewhere = tempfile::tempdir().unwrap();
    let sessions = disk.path().join("sessions");
    std::fs::create_dir(&sessions).unwrap();
    let mounted = Command::new("mount")
        .arg("--bind")
        .args([elsewhere.path(), &sessions])
        .status()
        .unwrap();
    assert!(
        mounted.success(),
        "whoever can mount a disk can mount a folder"
    );
    fills_up_and_empties(&disk).await;
}

async fn fills_up_and_empties(disk: &SmallDisk) {
    let app = Setup::new()
        .set(
            "WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH",
            disk.path().display(),
        )
        .start()
        .await;
    let mut crowd = Crowd::with(&app).await;
    crowd.writes(5).await;
    time_passes_until_home(&app, &mut crowd).await;
    for _ in 0..2 {
        let filler = disk.fill();
        crowd.writes(30).await;
        let why = says_why(&app).await;
        assert!(why.contains("full"), "{why}");
        std::fs::remove_file(filler).unwrap();
        time_passes_until_home(&app, &mut crowd).await;
        crowd.is_confirmed().await;
        app.get("/health/ready").await.expect(200);
    }
    assert_eq!(crowd.repetitions(), 0);
    app.finish().await;
}

#[tokio::test]
async fn a_database_that_another_process_holds_is_waited_for() {
    gateway(async |app| {
        let mut crowd = Crowd::with(app).await;
        crowd.writes(5).await;
        time_passes_until_home(app, &mut crowd).await;
        let mut other = SqliteConnectOptions::new()
            .filename(app.root().join("wapi.db"))
            .connect()
            .await
            .unwrap();
        for _ in 0..2 {
            sqlx::query("BEGIN EXCLUSIVE")
                .execute(&mut other)
                .await
                .unwrap();
            crowd.writes(20).await;
            let why = says_why(app).await;
            assert!(why.contains("locked"), "{why}");
            sqlx::query("ROLLBACK").execute(&mut other).await.unwrap();
            time_passes_until_home(app, &mut crowd).await;
            crowd.is_confirmed().await;
            app.get("/health/ready").await.expect(200);
        }
        assert_eq!(crowd.repetitions(), 0);
    })
    .await;
}
