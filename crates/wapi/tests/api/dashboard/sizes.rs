//! Pages where there is much: two hundred sessions, and a phone with many chats.

use std::time::Duration;

use serde_json::json;
use wapi::system::clock::Clock;

use super::browser::Browser;
use crate::harness::{Setup, eventually};

const SESSIONS: usize = 200;
/// Chats, unless `WAPI_TESTS_CHATS` says another number.
const CHATS: usize = 60;
const LARGEST_PAGE: usize = 100 * 1024;
/// Much more than a page takes, since the machine of a test is busy.
const LONGEST_WAIT: Duration = Duration::from_secs(1);

#[tokio::test]
async fn pages_are_small_and_come_at_once_however_much_there_is() {
    let chats = std::env::var("WAPI_TESTS_CHATS").map_or(CHATS, |it| it.parse().unwrap());
    let app = Setup::new().start().await;
    let alice = app.phone("Alice");
    app.pair("shop", &alice).await;
    let mut last = String::new();
    for number in 0..chats {
        let person = app.phone(&format!("Person {number}"));
        let text = format!("Message {number}, as long as messages are, more or less");
        person.sends_text(alice.number(), &text).await.unwrap();
        app.webhook.next().await;
        last = person.jid();
    }
    for number in 1..SESSIONS {
        let name = format!("session {number:03}");
        let new = json!({"id": name});
        app.post("/v1/sessions", new).await.expect(201);
        app.order(&name, "stop").await.expect(200);
    }
    let address = format!("/v1/sessions/shop/chats/{last}/messages");
    let told = async || (app.get(&address).await.status == 200).then_some(());
    eventually(told, async || "the history has not all chats".to_owned()).await;
    let mut browser = Browser::at(&app);
    let clock = Clock::system();
    for path in [
        "/dashboard",
        "/dashboard/sessions",
        "/dashboard/sessions/shop",
        "/dashboard/sessions/shop/chats",
        &format!("/dashboard/sessions/shop/chats/{last}"),
        "/dashboard/sessions/shop/contacts",
        "/dashboard/sessions/shop/groups",
        "/dashboard/sessions/shop/media",
        "/dashboard/events",
        "/dashboard/webhooks",
        "/dashboard/webhooks/original/deliveries",
        "/dashboard/keys",
        "/dashboard/activity",
        "/dashboard/health",
    ] {
        let (mut size, mut waits) = (0, Vec::new());
        for _ in 0..3 {
            let before = clock.uptime();
            size = browser.get(path).await.expect(200).text.len();
            waits.push(clock.uptime() - before);
        }
        let wait = waits.into_iter().min().unwrap();
        eprintln!("{path}: {} KiB, {} ms", size / 1024, wait.as_millis());
        assert!(size <= LARGEST_PAGE, "{path} has {size} bytes");
        assert!(wait <= LONGEST_WAIT, "{path} takes {wait:?}");
    }
    app.finish_without_events().await;
}
