//! The dashboard in Chromium, as people have it: with its scripts, its styles, and its keys. A complaint of the browser fails a test.

mod forms;
mod furnished;
mod hostile;
mod live;
mod looks;
mod reader;
mod story;
mod webdriver;

use crate::harness::{Setup, TestApp};

const KEY: &str = "wapi_first_of_the_test";

/// A gateway that requires a key.
fn locked() -> Setup {
    Setup::new().set("WAPI_API_KEY", KEY)
}

/// Takes posts off the webhook, which is not the subject of these tests.
async fn posts(app: &TestApp, count: usize) {
    for _ in 0..count {
        app.webhook.next().await;
    }
}
