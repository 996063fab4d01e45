//! The words of tests: `shop(async |app, alice, bob| …)`, `app.webhook.next()`, `app.restart()`.
#![expect(
    clippy::disallowed_methods,
    reason = "the tests have their own tasks and their own patience"
)]

mod app;
mod baileys;
mod chaos;
mod client;
mod clock;
mod device_keys;
mod dials;
mod document;
mod ledger;
mod moto;
mod plain_receiver;
mod privacy;
mod process;
mod proxy;
mod qr;
mod receiver;
mod redis;
mod snapshot;
mod story;
mod worlds;

pub use app::{Setup, Stopped, TestApp};
pub use baileys::Baileys;
pub use chaos::{ChaosProxy, Line};
pub use client::{Answer, TestClient, encoded};
pub use device_keys::{copy_database, take_keys};
pub use dials::{dialled, localhost_is, looked_up};
pub use document::event_complaints;
pub use ledger::{Ledger, Tally};
pub use moto::TestBucket;
pub use plain_receiver::{Manner, PlainReceiver};
pub use privacy::open_to_others;
pub use process::{Running, Surroundings, Wapi, free_address};
pub use proxy::{PASSWORD, TestProxy, USER};
pub use qr::read_qr;
pub use receiver::{Delivery, TestReceiver};
pub use redis::TestRedis;
pub use snapshot::steady;
pub use story::{gateway, shop};
pub use worlds::options;

use std::time::Duration;

/// How long a test waits for something that should happen. Generous: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(120);
/// The pause between two looks for something, which doubles each time that so many looks were in vain, up to the longest. Many tests move the
/// gateway's clock on with each look, and what that interrupts, such as a login, takes its real time on a busy machine.
const FIRST_PAUSE: Duration = Duration::from_millis(10);
const LONGEST_PAUSE: Duration = Duration::from_millis(500);
const LOOKS_PER_PAUSE: u32 = 50;

/// A data folder that vanishes with the test, in memory where there is room: the tests of disks bring their own.
pub fn temporary_folder() -> tempfile::TempDir {
    const ROOM: u64 = 2 << 30;
    let memory = std::path::Path::new("/dev/shm");
    let has_room = rustix::fs::statvfs(memory)
        .is_ok_and(|disk| disk.f_bavail.saturating_mul(disk.f_frsize) > ROOM);
    let folder = match has_room {
        true => tempfile::tempdir_in(memory),
        false => tempfile::tempdir(),
    };
    folder.expect("a temporary folder")
}

/// Says what is missing and skips. Where `scripts/test` has installed everything, nothing may be missing.
pub fn skipped<T>(why: &str) -> Option<T> {
    assert!(
        std::env::var_os("WAPI_TESTS_SKIP_NOTHING").is_none(),
        "{why}"
    );
    eprintln!("skipped: {why}");
    None
}

/// Waits until `look` finds something; fails with what `otherwise` says when patience ends.
pub async fn eventually<T>(
    look: impl AsyncFnMut() -> Option<T>,
    otherwise: impl AsyncFnOnce() -> String,
) -> T {
    match within(PATIENCE, look).await {
        Some(found) => found,
        None => panic!("{}", otherwise().await),
    }
}

/// What `look` finds before `limit` ends. The pause between two looks is the only one that tests make to wait for something.
pub async fn within<T>(limit: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> Option<T> {
    let started = std::time::Instant::now();
    let mut pause = FIRST_PAUSE;
    let mut looks = 0;
    loop {
        if let Some(found) = look().await {
            return Some(found);
        }
        if started.elapsed() > limit {
            return None;
        }
        tokio::time::sleep(pause).await;
        looks += 1;
        if looks % LOOKS_PER_PAUSE == 0 {
            pause = LONGEST_PAUSE.min(pause * 2);
        }
    }
}
