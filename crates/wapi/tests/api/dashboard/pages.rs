//! Overview, sessions, and one session, with their streams.

use std::time::Duration;

use serde_json::json;
use wapi::system::clock::Clock;

use super::browser::Browser;
use super::chats::until;
use super::{KEY, locked};
use crate::harness::{Setup, encoded, gateway, shop};

#[tokio::test]
async fn a_phone_is_linked_on_the_page_while_it_watches() {
    locked()
        .gateway(async |app| {
            let alice = app.phone("Alice");
            let mut browser = Browser::logged_in(app, KEY).await;
            let fields = [("id", "shop")];
            let made = browser
                .send("/dashboard/sessions", "/dashboard/sessions", &fields)
                .await;
            let address = made.leads_to().to_owned();
            let page = browser.get(&address).await.expect(200);
            let mut tab = browser.follow(&page.stream()).await;
            let admin = app.with_key(KEY);
            admin.get("/v1/sessions/shop/qr?wait=60").await.expect(200);
            let page = browser.get(&address).await.expect(200);
            page.shows("<svg");
            page.shows("data-seconds=");
            tab.until("state", "scan_qr").await;
            alice.scans_qr(&admin.qr("shop").await).await.unwrap();
            tab.until("state", "data-status=\"online\"").await;
            let page = browser.get(&address).await.expect(200);
            page.shows(&format!("+{}", alice.number()));
            page.hides("<svg xmlns");
            page.shows("session.paired");
        })
        .await;
}

#[tokio::test]
async fn a_stream_goes_on_where_it_was_cut() {
    locked()
        .gateway(async |app| {
            let mut browser = Browser::logged_in(app, KEY).await;
            let page = browser.get("/dashboard/sessions").await.expect(200);
            let mut tab = browser.follow(&page.stream()).await;
            tab.next().await.expect("a first word");
            let seen = tab.last_id.clone();
            drop(tab);
            let admin = app.with_key(KEY);
            admin
                .post("/v1/sessions", json!({"id": "shop"}))
                .await
                .expect(201);
            admin.events("session.status,session.qr", 1).await;
            let again = browser.clone().with_header("last-event-id", &seen);
            let mut tab = again.follow(&page.stream()).await;
            tab.until("sessions", "/dashboard/sessions/shop").await;
        })
        .await;
}

#[tokio::test]
async fn a_session_is_stopped_started_and_removed_by_buttons() {
    Setup::new()
        .shop(async |app, _, _| {
            let mut browser = Browser::at(app);
            let address = "/dashboard/sessions/shop";
            let action = |name: &str| format!("{address}/{name}");
            let led = browser.send(address, &action("stop"), &[]).await;
            assert_eq!(led.leads_to(), address);
            app.until("shop", "stopped").await;
            browser
                .get(address)
                .await
                .expect(200)
                .shows("data-status=\"stopped\"");
            browser
                .send(address, &action("start"), &[])
                .await
                .leads_to();
            app.until("shop", "online").await;
            let wrong = browser
                .send(address, &action("remove"), &[("typed_name", "sho")])
                .await;
            wrong.expect(400).shows("typed_name");
            app.session("shop").await.expect(200);
            let right = browser
                .send(address, &action("remove"), &[("typed_name", "shop")])
                .await;
            assert_eq!(right.leads_to(), "/dashboard/sessions");
            app.session("shop").await.expect(404);
            browser
                .get(address)
                .await
                .expect(404)
                .shows("session_not_found");
        })
        .await;
}

#[tokio::test]
async fn a_code_links_a_phone_instead_of_a_picture() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        let mut browser = Browser::at(app);
        app.post("/v1/sessions", json!({"id": "shop"}))
            .await
            .expect(201);
        app.get("/v1/sessions/shop/qr?wait=60").await.expect(200);
        let address = "/dashboard/sessions/shop";
        let phone = format!("+{}", alice.number());
        let action = format!("{address}/pairing-code");
        let page = browser
            .send(address, &action, &[("phone", &phone)])
            .await
            .expect(200);
        let (_, code) = page.text.split_once("id=\"pairing-code\">").unwrap();
        alice
            .enters_code(code.split('<').next().unwrap())
            .await
            .unwrap();
        app.until("shop", "online").await;
    })
    .await;
}

#[tokio::test]
async fn a_link_for_the_owner_of_a_phone_is_made_on_the_page() {
    gateway(async |app| {
        app.post("/v1/sessions", json!({"id": "shop"}))
            .await
            .expect(201);
        let mut browser = Browser::at(app);
        let address = "/dashboard/sessions/shop";
        let page = browser
            .send(address, &format!("{address}/connect-link"), &[])
            .await
            .expect(200);
        let (_, link) = page.text.split_once("id=\"connect-link\" href=\"").unwrap();
        let link = link.split('"').next().unwrap();
        assert!(link.starts_with("/connect/"), "{link}");
        app.get(link).await.expect(200);
        app.get("/v1/sessions/shop/qr?wait=60").await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn a_narrow_key_sees_its_sessions_only_on_every_page_and_in_every_stream() {
    locked()
        .gateway(async |app| {
            let admin = app.with_key(KEY);
            for name in ["mine", "theirs"] {
                admin
                    .post("/v1/sessions", json!({"id": name}))
                    .await
                    .expect(201);
            }
            admin
                .get("/v1/sessions/theirs/qr?wait=60")
                .await
                .expect(200);
            admin.get("/v1/sessions/mine/qr?wait=60").await.expect(200);
            let wish = json!({"name": "guest", "scopes": ["read"], "sessions": ["mine"]});
            let made = admin.post("/v1/api-keys", wish).await.expect(201).json();
            let mut browser = Browser::logged_in(app, made["key"].as_str().unwrap()).await;
            for path in [
                "/dashboard",
                "/dashboard/sessions",
                "/dashboard/sessions/mine",
            ] {
                let page = browser.get(path).await.expect(200);
                page.shows("mine");
                page.hides("theirs");
                // A reader links no phone.
                page.hides("<svg");
                page.hides("/start");
                page.hides("Gateway</h2>");
            }
            for path in [
                "/dashboard/sessions/theirs",
                "/dashboard/live/sessions/theirs",
            ] {
                browser
                    .get(path)
                    .await
                    .expect(403)
                    .shows("session_not_allowed");
            }
            browser
                .get("/dashboard/sessions/nobody")
                .await
                .expect(403)
                .shows("session_not_allowed");
            let token = browser.get("/dashboard").await.token();
            let fields = [("form_token", &*token), ("id", "other")];
            let refused = browser.submit("/dashboard/sessions", &fields).await;
            refused.expect(403).shows("scope_missing");
            let refused = browser
                .submit("/dashboard/sessions/mine/stop", &fields)
                .await;
            refused.expect(403).shows("scope_missing");
            let page = browser.get("/dashboard/sessions").await.expect(200);
            let mut tab = browser.follow(&page.stream()).await;
            admin.order("theirs", "stop").await.expect(200);
            admin.order("mine", "stop").await.expect(200);
            let shown = tab.until("sessions", "stopped").await;
            assert!(!shown.contains("theirs"), "{shown}");
        })
        .await;
}

#[tokio::test]
async fn pages_are_in_the_language_and_theme_of_their_reader() {
    gateway(async |app| {
        let mut browser = Browser::at(app).with_header("accept-language", "ru-RU,ru;q=0.9");
        let page = browser.get("/dashboard").await.expect(200);
        page.shows("<html lang=\"ru\" data-theme=\"auto\">");
        page.shows("Обзор");
        let fields = [
            ("language", "en"),
            ("theme", "dark"),
            ("back", "/dashboard/sessions"),
        ];
        let led = browser.submit("/dashboard/preferences", &fields).await;
        assert_eq!(led.leads_to(), "/dashboard/sessions");
        let page = browser.get("/dashboard/sessions").await.expect(200);
        page.shows("<html lang=\"en\" data-theme=\"dark\">");
        page.hides("Обзор");
        let fields = [
            ("language", "en"),
            ("theme", "dark"),
            ("back", "https://evil.example/"),
        ];
        let led = browser.submit("/dashboard/preferences", &fields).await;
        assert_eq!(led.leads_to(), "/dashboard");
        let wrong = [("language", "tlh"), ("theme", "dark")];
        browser
            .submit("/dashboard/preferences", &wrong)
            .await
            .expect(400)
            .shows("language");
    })
    .await;
}

#[tokio::test]
async fn two_hundred_sessions_are_a_small_page() {
    gateway(async |app| {
        for number in 0..200 {
            let name = format!("session {number:03}");
            app.post("/v1/sessions", json!({"id": name}))
                .await
                .expect(201);
            app.order(&name, "stop").await.expect(200);
        }
        let mut browser = Browser::at(app);
        let clock = Clock::system();
        let mut took = Duration::MAX;
        for _ in 0..3 {
            let began = clock.uptime();
            browser.get("/dashboard/sessions").await.expect(200);
            took = took.min(clock.uptime() - began);
        }
        assert!(took < Duration::from_secs(1), "{took:?}");
        let page = browser.get("/dashboard/sessions").await.expect(200);
        assert!(page.text.len() < 100 * 1024, "{} bytes", page.text.len());
        page.shows("session 049");
        page.hides("session 050");
        let next = format!("/dashboard/sessions?from={}", "session+049");
        page.shows(&next);
        let page = browser.get(&next).await.expect(200);
        page.shows(&format!("/dashboard/sessions/{}", encoded("session 050")));
        page.hides("session 049</a>");
    })
    .await;
}

#[tokio::test]
async fn a_session_is_linked_with_a_passkey_on_its_page() {
    locked()
        .gateway(async |app| {
            let alice = app.phone("Alice");
            let passkey = alice.creates_passkey().unwrap();
            let admin = app.with_key(KEY);
            admin.register("shop").await.expect(202);
            let wish = json!({"name": "reader", "scopes": ["read"]});
            let made = admin.post("/v1/api-keys", wish).await.expect(201).json();
            let reader = Browser::logged_in(app, made["key"].as_str().unwrap()).await;
            let browser = Browser::logged_in(app, KEY).await;
            let qr = admin.qr("shop").await;
            let address = "/dashboard/sessions/shop";
            let steps = async {
                let (mut browser, mut reader) = (browser, reader);
                let page = until(&mut browser, address, "id=\"passkey-request\">").await;
                page.shows("data-seconds=");
                reader
                    .get(address)
                    .await
                    .expect(200)
                    .hides("passkey-request");
                let (_, options) = page.text.split_once("id=\"passkey-request\">").unwrap();
                let options = options.split('<').next().unwrap().replace("&quot;", "\"");
                let options = serde_json::from_str(&options).unwrap();
                let answer = format!("{address}/passkey");
                let wrong = browser
                    .send(address, &answer, &[("assertion", "not it")])
                    .await;
                wrong.expect(400).shows("id=\"assertion-fault\"");
                let assertion = passkey.signs(&options).unwrap().to_string();
                let fields = [("assertion", &*assertion)];
                browser.send(address, &answer, &fields).await.leads_to();
                let code = alice.sees_passkey_code().await;
                until(&mut browser, address, &code).await;
                let confirm = format!("{address}/passkey/confirm");
                browser.send(address, &confirm, &[]).await.leads_to();
                browser
            };
            let (linked, mut browser) = tokio::join!(alice.scans_qr(&qr), steps);
            linked.unwrap();
            until(&mut browser, address, "data-status=\"online\"").await;
        })
        .await;
}

#[tokio::test]
async fn a_session_counts_its_last_events() {
    shop(async |app, alice, bob| {
        let mut browser = Browser::at(app);
        let page = browser.get("/dashboard/sessions/shop").await.expect(200);
        page.hides("<code>message.received</code>");
        let mut tab = browser.follow(&page.stream()).await;
        for text in ["one", "two"] {
            bob.sends_text(alice.number(), text).await.unwrap();
            app.webhook.next().await;
        }
        let two = "<code>message.received</code></dt><dd>2</dd>";
        tab.until("counts", two).await;
        app.pair("other", &app.phone("Carol")).await;
        let page = browser.get("/dashboard/sessions/other").await.expect(200);
        page.hides("<code>message.received</code>");
    })
    .await;
}
