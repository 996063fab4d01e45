//! The story of an operator: a login, a phone, a chat, events, deliveries, and keys.

use serde_json::json;
use wapi::system::clock::Clock;

use super::reader::PageReader;
use super::{KEY, locked, posts};
use crate::harness::{PATIENCE, TestReceiver, read_qr, shop};

#[tokio::test]
async fn a_login_shows_the_overview_in_a_browser() {
    locked()
        .gateway(async |app| {
            let Some(reader) = PageReader::start(app).await else {
                return;
            };
            reader.opens("/dashboard/events").await;
            reader.until_path("/dashboard/login").await;
            reader.types("#key", "wapi_wrong").await;
            reader.clicks("form:has(#key) button[type=submit]").await;
            reader.until_shown("#refused", "not valid").await;
            reader.forgives("401");
            reader.types("#key", KEY).await;
            reader.clicks("form:has(#key) button[type=submit]").await;
            reader.until_path("/dashboard/events").await;
            reader.clicks("nav a[href='/dashboard']").await;
            reader.until_shown("#by-status", "").await;
            reader.until_live().await;
            reader.clicks("header form button").await;
            reader.until_path("/dashboard/login").await;
            reader.finish().await;
        })
        .await;
}

#[tokio::test]
async fn a_phone_reads_its_code_off_the_screen_and_the_page_shows_that_it_is_linked() {
    locked()
        .gateway(async |app| {
            let alice = app.phone("Alice");
            let Some(reader) = PageReader::logged_in(app, KEY).await else {
                return;
            };
            // The phone in the other hand.
            reader.resizes(360, 740).await;
            reader.opens("/dashboard/sessions").await;
            reader.types("#id", "shop").await;
            reader
                .clicks("form[action='/dashboard/sessions'] button")
                .await;
            reader.until_path("/dashboard/sessions/shop").await;
            reader.until("document.querySelector('#qr svg')").await;
            let scroll = "document.querySelector('#qr svg').scrollIntoView({block: 'center'}) || 1";
            reader.until(scroll).await;
            let code = read_qr(&reader.window.screenshot().await);
            alice.scans_qr(&code).await.unwrap();
            reader.until_shown("#state .status", "online").await;
            reader
                .until_shown("#state", &format!("+{}", alice.number()))
                .await;
            reader.until("!document.querySelector('#qr svg')").await;
            reader.until_shown("#timeline", "session.paired").await;
            reader.finish().await;
        })
        .await;
}

#[tokio::test]
async fn people_chat_in_both_directions_with_the_keyboard_alone() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "Is it open?").await.unwrap();
        posts(app, 1).await;
        let Some(reader) = PageReader::start(app).await else {
            return;
        };
        reader.opens("/dashboard/sessions/shop/chats").await;
        reader.until_shown("#chats", "Is it open?").await;
        reader
            .presses_until("document.activeElement.innerText === 'Bob'", TAB)
            .await;
        reader.presses(ENTER).await;
        let address = format!("/dashboard/sessions/shop/chats/{}", bob.jid());
        reader.until_path(&address).await;
        reader.until_shown("#messages", "Is it open?").await;
        reader
            .presses_until("document.activeElement.dataset.reply", TAB)
            .await;
        reader.presses(ENTER).await;
        reader.until("document.activeElement.id === 'text'").await;
        reader.presses("Until six.").await;
        reader
            .presses_until("document.activeElement.type === 'submit'", TAB)
            .await;
        reader.presses(ENTER).await;
        let received = bob.next_message(PATIENCE).await.unwrap().to_json();
        let text = &received["extended_text_message"];
        assert_eq!(text["text"], "Until six.");
        assert!(text["context_info"]["stanza_id"].is_string(), "{text}");
        reader.until_shown("#messages .own", "Until six.").await;
        reader
            .until("document.querySelector('.own .ticks[data-status=delivered]')")
            .await;
        reader.until_live().await;
        bob.sends_text(alice.number(), "Thank you!").await.unwrap();
        reader.until_shown("#messages", "Thank you!").await;
        posts(app, 1).await;
        reader.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_file_and_a_reaction_leave_the_page() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "The list?").await.unwrap();
        posts(app, 1).await;
        let Some(reader) = PageReader::start(app).await else {
            return;
        };
        let file = app.root().join("list.txt");
        std::fs::write(&file, "tea").unwrap();
        let address = format!("/dashboard/sessions/shop/chats/{}", bob.jid());
        reader.opens(&address).await;
        reader.until_shown("#messages", "The list?").await;
        reader
            .until("document.getElementById('file').closest('details').open = true")
            .await;
        reader.types("#file", &file.display().to_string()).await;
        reader.types("#caption", "For you").await;
        reader
            .clicks("form[action$='/file'] button[type=submit]")
            .await;
        let document = bob.next_message(PATIENCE).await.unwrap().to_json();
        let document = document.to_string();
        assert!(
            document.contains("list.txt") && document.contains("For you"),
            "{document}"
        );
        reader.until_shown("#messages .own", "list.txt").await;
        reader.clicks(".message:not(.own) button[value='👍']").await;
        let reaction = bob.next_message(PATIENCE).await.unwrap().to_json();
        assert_eq!(reaction["reaction_message"]["text"], "👍");
        reader.until_shown("#messages .reactions", "👍").await;
        std::fs::remove_file(file).unwrap();
        reader.finish().await;
    })
    .await;
}

#[tokio::test]
async fn an_event_is_on_the_page_as_it_happens_unless_the_page_is_paused() {
    shop(async |app, alice, bob| {
        let Some(reader) = PageReader::start(app).await else {
            return;
        };
        reader
            .opens("/dashboard/events?types=message.received")
            .await;
        reader.until_live().await;
        bob.sends_text(alice.number(), "first").await.unwrap();
        reader.until_shown("#event-list", "message.received").await;
        reader.clicks("#pause").await;
        reader.until("!document.body.dataset.live").await;
        bob.sends_text(alice.number(), "second").await.unwrap();
        posts(app, 2).await;
        let count = "document.querySelectorAll('#event-list > li').length";
        assert_eq!(reader.window.evaluate(count).await, 1);
        reader.clicks("#pause").await;
        reader.until(&format!("{count} === 2")).await;
        reader.clicks("#event-list > li:last-child summary").await;
        reader
            .until_shown("#event-list > li:last-child pre", "second")
            .await;
        reader.finish().await;
    })
    .await;
}

#[tokio::test]
async fn a_failed_delivery_is_seen_and_replayed_in_a_browser() {
    shop(async |app, alice, bob| {
        let Some(reader) = PageReader::start(app).await else {
            return;
        };
        let receiver = TestReceiver::start().await;
        receiver.answer(503);
        let wish = json!({"url": receiver.base(), "types": ["message.received"]});
        let made = app.post("/v1/webhooks", wish).await.expect(201).json();
        let id = made["id"].as_str().unwrap().to_owned();
        bob.sends_text(alice.number(), "hello").await.unwrap();
        posts(app, 1).await;
        receiver.refusals(1).await;
        reader.opens("/dashboard/webhooks").await;
        let deliveries = format!("/dashboard/webhooks/{id}/deliveries");
        reader.clicks(&format!("main a[href='{deliveries}']")).await;
        reader.until_path(&deliveries).await;
        reader
            .until("document.querySelector('details summary') || location.reload()")
            .await;
        reader.clicks("td details summary").await;
        reader.until_shown("td details", "503").await;
        reader.until_shown("td details", "no, thank you").await;
        receiver.answer(200);
        reader.clicks("form[action$='/resend'] button").await;
        assert_eq!(receiver.next().await.body["data"]["text"]["body"], "hello");
        reader.until_path(&deliveries).await;
        reader.types("#from", "2020-01-01T00:00:00Z").await;
        reader
            .clicks("form[action$='/replay'] button[type=submit]")
            .await;
        reader.until_shown("#count", "").await;
        reader
            .clicks("main form[action$='/replay'] button[type=submit]")
            .await;
        reader.until_shown("#replayed", "1").await;
        assert_eq!(receiver.next().await.body["data"]["text"]["body"], "hello");
        reader.finish().await;
    })
    .await;
}

#[tokio::test]
async fn the_page_of_a_removed_key_is_dark_within_a_second() {
    locked()
        .gateway(async |app| {
            let Some(admin) = PageReader::logged_in(app, KEY).await else {
                return;
            };
            admin.opens("/dashboard/keys").await;
            admin.types("#name", "board").await;
            admin.clicks("input[name=scopes][value=read]").await;
            admin
                .clicks("form[action='/dashboard/keys'] button[type=submit]")
                .await;
            admin.until("document.querySelector('#new-key')").await;
            let key = admin.text("#new-key").await;
            let guest = PageReader::logged_in(app, &key)
                .await
                .expect("Chromium is there");
            guest.until_live().await;
            admin.opens("/dashboard/keys").await;
            admin.until_shown("tbody", "board").await;
            admin.clicks("form[action$='/remove'] button").await;
            admin
                .until_shown("#question-text", "Remove this key?")
                .await;
            admin.clicks("#question button[value='']").await;
            admin
                .until("!document.getElementById('question').open")
                .await;
            guest.until_live().await;
            admin.clicks("form[action$='/remove'] button").await;
            admin
                .until("document.getElementById('question').open")
                .await;
            admin.clicks("#question button.danger").await;
            let clock = Clock::system();
            let started = clock.uptime();
            guest.until_path("/dashboard/login").await;
            let taken = clock.uptime() - started;
            assert!(taken.as_millis() < 1500, "after {taken:?}");
            guest.forgives("401");
            guest.finish().await;
            admin.finish().await;
        })
        .await;
}

const TAB: &str = "\u{e004}";
const ENTER: &str = "\u{e007}";
