//! The sandbox: simulated phones that scan, write, read, and break on the page.

use serde_json::json;

use super::browser::Browser;
use super::chats::{posts, until};
use super::{KEY, locked};
use crate::harness::{PATIENCE, gateway, shop};

const PHONES: &str = "/dashboard/sandbox";

#[tokio::test]
async fn a_session_is_linked_by_a_click() {
    gateway(async |app| {
        let mut browser = Browser::at(app);
        let fields = [("name", "Ann <b>"), ("number", "375447034810")];
        let added = browser
            .send(PHONES, &format!("{PHONES}/phones"), &fields)
            .await;
        let phone = added.leads_to().to_owned();
        assert_eq!(phone, format!("{PHONES}/phones/375447034810"));
        let page = browser.get(PHONES).await.expect(200);
        page.shows("Ann &lt;b&gt;");
        browser
            .get(&phone)
            .await
            .expect(200)
            .shows("No session shows a QR code.");
        browser
            .send(
                "/dashboard/sessions",
                "/dashboard/sessions",
                &[("id", "shop")],
            )
            .await;
        app.get("/v1/sessions/shop/qr?wait=60").await.expect(200);
        browser
            .get(&phone)
            .await
            .expect(200)
            .shows("<option value=\"shop\">");
        let scanned = browser
            .send(&phone, &format!("{phone}/scan"), &[("session", "shop")])
            .await;
        assert_eq!(scanned.leads_to(), "/dashboard/sessions/shop");
        until(
            &mut browser,
            "/dashboard/sessions/shop",
            "data-status=\"online\"",
        )
        .await;
        let page = browser.get(&phone).await.expect(200);
        page.shows("375447034810:1@s.whatsapp.net");
        let scanned = browser
            .send(&phone, &format!("{phone}/scan"), &[("session", "shop")])
            .await;
        scanned.expect(404).shows("qr_code_not_found");
    })
    .await;
}

#[tokio::test]
async fn a_phone_writes_and_reads_and_its_page_follows() {
    shop(async |app, alice, bob| {
        let mut browser = Browser::at(app);
        let phone = format!("{PHONES}/phones/{}", bob.number());
        let page = browser.get(&phone).await.expect(200);
        let mut tab = browser.follow(&page.stream()).await;
        let fields = [("to", alice.number()), ("text", "from the page")];
        browser
            .send(&phone, &format!("{phone}/send"), &fields)
            .await;
        let told = app.webhook.next().await;
        assert_eq!(told.body["data"]["text"]["body"], "from the page");
        let message = json!({"to": bob.jid(), "text": {"body": "<i>answer</i>"}});
        let id = app.accepted("shop", message).await;
        let shown = tab.until("received", "&lt;i&gt;answer").await;
        assert!(shown.contains(&id), "{shown}");
        let fields = [("chat", &*alice.jid()), ("id", &*id)];
        browser
            .send(&phone, &format!("{phone}/read"), &fields)
            .await;
        let chat = format!("/dashboard/sessions/shop/chats/{}", bob.jid());
        until(&mut browser, &chat, "data-status=\"read\"").await;
        bob.next_message(PATIENCE).await.unwrap();
    })
    .await;
}

#[tokio::test]
async fn a_linked_device_is_broken_and_logged_out_on_the_page() {
    shop(async |app, alice, bob| {
        let mut browser = Browser::at(app);
        let phone = format!("{PHONES}/phones/{}", alice.number());
        let fields = [("device", "1"), ("fault", "cut")];
        let cut = browser
            .send(&phone, &format!("{phone}/break"), &fields)
            .await;
        assert_eq!(cut.leads_to(), phone);
        // It is back for what comes.
        bob.sends_text(alice.number(), "still there?")
            .await
            .unwrap();
        posts(app, 1).await;
        let fields = [("device", "1"), ("fault", "melt")];
        let refused = browser
            .send(&phone, &format!("{phone}/break"), &fields)
            .await;
        refused.expect(400).shows("not a way to break");
        let fields = [("device", "9"), ("fault", "log_out")];
        let refused = browser
            .send(&phone, &format!("{phone}/break"), &fields)
            .await;
        refused.expect(502).shows("has no device 9");
        let fields = [("device", "1"), ("fault", "log_out")];
        browser
            .send(&phone, &format!("{phone}/break"), &fields)
            .await;
        let session = "/dashboard/sessions/shop";
        until(&mut browser, session, "data-status=\"logged_out\"").await;
    })
    .await;
}

#[tokio::test]
async fn the_sandbox_is_for_admins_of_all_sessions() {
    locked()
        .gateway(async |app| {
            let admin = app.with_key(KEY);
            app.phone("Alice");
            admin
                .post("/v1/sessions", json!({"id": "mine"}))
                .await
                .expect(201);
            for wish in [
                json!({"name": "writer", "scopes": ["read", "send", "manage"]}),
                json!({"name": "owner", "scopes": ["admin"], "sessions": ["mine"]}),
            ] {
                let made = admin.post("/v1/api-keys", wish).await.expect(201).json();
                let mut browser = Browser::logged_in(app, made["key"].as_str().unwrap()).await;
                browser.get("/dashboard").await.expect(200).hides(PHONES);
                for path in [
                    PHONES,
                    "/dashboard/live/sandbox",
                    "/dashboard/sandbox/phones/1",
                ] {
                    browser.get(path).await.expect(403);
                }
            }
            let mut browser = Browser::logged_in(app, KEY).await;
            browser.get("/dashboard").await.expect(200).shows(PHONES);
            browser.get(PHONES).await.expect(200).shows("Alice");
            admin.get("/v1/sessions/mine/qr?wait=60").await.expect(200);
        })
        .await;
}
