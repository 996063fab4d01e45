//! Pages where there is much: two hundred sessions, a phone with many chats, and a group of most of them.

use std::time::Duration;

use serde_json::json;
use wapi::system::clock::Clock;

use super::browser::Browser;
use super::{KEY, locked};
use crate::harness::eventually;

const SESSIONS: usize = 200;
/// Chats, unless `WAPI_TESTS_CHATS` says another number.
const CHATS: usize = 60;
const LARGEST_PAGE: usize = 100 * 1024;
/// Members of the group at most, besides its founder: as many as WhatsApp allows.
const MEMBERS: usize = 1_023;
/// As promised of an optimised build; much more of another, on the busy machine of a test.
const LONGEST_WAIT: Duration = if cfg!(debug_assertions) {
    Duration::from_secs(1)
} else {
    Duration::from_millis(100)
};

#[tokio::test]
async fn pages_are_small_and_come_at_once_however_much_there_is() {
    let chats = std::env::var("WAPI_TESTS_CHATS").map_or(CHATS, |it| it.parse().unwrap());
    let app = locked().start().await;
    let (admin, alice) = (app.with_key(KEY), app.phone("Alice"));
    admin.pair("shop", &alice).await;
    let (mut last, mut people) = (String::new(), Vec::new());
    for number in 0..chats {
        let person = app.phone(&format!("Person {number}"));
        let text = format!("Message {number}, as long as messages are, more or less");
        person.sends_text(alice.number(), &text).await.unwrap();
        app.webhook.next().await;
        last = person.jid();
        people.push(person);
    }
    let members: Vec<_> = people.iter().take(MEMBERS).collect();
    let group = alice.creates_group("Crowd", &members).unwrap();
    for number in 1..SESSIONS {
        let name = format!("session {number:03}");
        let new = json!({"id": name});
        admin.post("/v1/sessions", new).await.expect(201);
        admin.order(&name, "stop").await.expect(200);
        if number % 3 > 0 {
            continue;
        }
        let webhook =
            json!({"url": "https://example.com/hook", "session": name, "types": ["message.read"]});
        admin.post("/v1/webhooks", webhook).await.expect(201);
        let key = json!({"name": name, "scopes": ["read"], "sessions": [name]});
        admin.post("/v1/api-keys", key).await.expect(201);
    }
    let address = format!("/v1/sessions/shop/chats/{last}/messages");
    let told = async || (admin.get(&address).await.status == 200).then_some(());
    eventually(told, async || "the history has not all chats".to_owned()).await;
    let mut browser = Browser::logged_in(&app, KEY).await;
    let clock = Clock::system();
    for path in [
        "/dashboard",
        "/dashboard/sessions",
        "/dashboard/sessions/shop",
        "/dashboard/sessions/shop/chats",
        &format!("/dashboard/sessions/shop/chats/{last}"),
        "/dashboard/sessions/shop/contacts",
        "/dashboard/sessions/shop/groups",
        &format!("/dashboard/sessions/shop/groups/{group}"),
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
