//! What tests say: `app.pair("shop", &alice)`, `app.webhook.next()`, `app.finish()`.
#![expect(clippy::disallowed_methods, reason = "the tests have their own tasks and their own patience")]

mod app;
mod baileys;
mod chaos;
mod client;
mod clock;
mod ledger;
mod process;
mod qr;
mod receiver;
mod redis;

pub use app::{Setup, TestApp};
pub use baileys::Baileys;
pub use chaos::{ChaosProxy, Line};
pub use client::{Answer, TestClient};
pub use ledger::{Ledger, Tally};
pub use process::{Running, Wapi, free_address};
pub use qr::read_qr;
pub use receiver::{Delivery, TestReceiver};
pub use redis::TestRedis;

use std::time::Duration;

/// How long a test waits for something that should happen. Generous: the machine may be busy.
pub const PATIENCE: Duration = Duration::from_secs(60);

/// Says what is missing and skips. Where `scripts/test` has installed everything, nothing may be missing.
pub fn skipped<T>(why: &str) -> Option<T> {
    assert!(std::env::var_os("WAPI_TESTS_SKIP_NOTHING").is_none(), "{why}");
    eprintln!("skipped: {why}");
    None
}

/// Waits until `look` finds something; fails with what `otherwise` says when patience ends.
pub async fn eventually<T>(mut look: impl AsyncFnMut() -> Option<T>, otherwise: impl AsyncFnOnce() -> String) -> T {
    let started = std::time::Instant::now();
    loop {
        if let Some(found) = look().await {
            return found;
        }
        if started.elapsed() > PATIENCE {
            panic!("{}", otherwise().await);
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
