//! The pages of each key: where its login begins, and where its navigation leads.

use serde_json::json;

use super::browser::Browser;
use super::logins::make_key;
use super::{KEY, locked};
use crate::harness::PATIENCE;

#[tokio::test]
async fn a_login_begins_on_a_page_that_its_key_may_see() {
    locked()
        .gateway(async |app| {
            let admin = app.with_key(KEY);
            admin
                .post("/v1/sessions", json!({"id": "shop"}))
                .await
                .expect(201);
            let pages = [
                "/dashboard",
                "/dashboard/sessions",
                "/dashboard/events",
                "/dashboard/try",
                "/dashboard/webhooks",
                "/dashboard/keys",
                "/dashboard/activity",
                "/dashboard/health",
            ];
            let shop: &[&str] = &["shop"];
            for (scopes, sessions, first) in [
                (&["send"][..], None, "/dashboard/try"),
                (&["ask"], Some(shop), "/dashboard/try"),
                (&["manage"], None, "/dashboard/try"),
                (&["read"], None, "/dashboard"),
                (&["read"], Some(shop), "/dashboard"),
                (&["admin"], Some(shop), "/dashboard"),
                (&["admin"], None, "/dashboard"),
            ] {
                let (key, _) = make_key(&admin, scopes, sessions).await;
                let mut browser = Browser::at(app);
                assert_eq!(browser.log_in(&key).await.leads_to(), "/dashboard");
                if first != "/dashboard" {
                    assert_eq!(browser.get("/dashboard").await.leads_to(), first);
                }
                let shown = browser.get(first).await.expect(200);
                // The navigation leads to everything that the key may see, and to nothing else.
                for page in pages.into_iter().filter(|page| *page != "/dashboard") {
                    let is_open = browser.get(page).await.status == 200;
                    let link = format!("<a href=\"{page}\"");
                    let is_linked = shown.text.contains(&link);
                    assert_eq!(is_linked, is_open, "{scopes:?} {sessions:?} {page}");
                }
                let refused = browser.get("/dashboard/webhooks/none").await;
                if refused.status == 403 {
                    refused.shows(&format!("<p><a href=\"{first}\">"));
                }
            }
        })
        .await;
}

#[tokio::test]
async fn a_key_that_may_only_send_sends_on_its_first_page() {
    locked()
        .gateway(async |app| {
            let admin = app.with_key(KEY);
            let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
            admin.pair("shop", &alice).await;
            let (key, _) = make_key(&admin, &["send"], None).await;
            let mut browser = Browser::logged_in(app, &key).await;
            let list = browser.get("/dashboard/try").await.expect(200);
            list.shows("/dashboard/try/sendMessage");
            list.hides("/dashboard/try/listChats");
            let page = browser.get("/dashboard/try/sendMessage").await.expect(200);
            // The names of sessions are for those who may read.
            page.hides("<option value=\"shop\">");
            let (token, to) = (page.token(), bob.jid());
            let fields = [
                ("form_token", &*token),
                ("kind", "text"),
                ("path:session", "shop"),
                ("body:to", &*to),
                ("body:text/body", "hello"),
            ];
            let sent = browser.submit("/dashboard/try/sendMessage", &fields).await;
            sent.expect(200).shows("&quot;wa_id&quot;");
            let received = bob.next_message(PATIENCE).await.unwrap();
            assert_eq!(received.text.as_deref(), Some("hello"));
        })
        .await;
}
