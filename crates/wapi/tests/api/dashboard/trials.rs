//! Try it: routes as forms.

use serde_json::json;

use super::browser::Browser;
use super::{KEY, locked};
use crate::harness::{PATIENCE, gateway};

const SEND: &str = "/dashboard/try/sendMessage";

#[tokio::test]
async fn a_form_sends_what_its_curl_says_and_shows_the_answer() {
    locked()
        .gateway(async |app| {
            let admin = app.with_key(KEY);
            let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
            admin.pair("shop", &alice).await;
            let mut browser = Browser::logged_in(app, KEY).await;
            let list = browser.get("/dashboard/try").await.expect(200);
            list.shows(SEND);
            list.hides("/v1/events/stream<");
            let page = browser.get(SEND).await.expect(200);
            page.shows("curl -X POST");
            page.shows("$WAPI_API_KEY");
            page.hides(KEY);
            page.shows("<option value=\"shop\">");
            page.shows("?kind=location");
            let form_token = page.token();
            // The preview is a form, too: what is typed is in no address.
            let in_address = format!("{SEND}?kind=location&body:location/name=Quay");
            browser
                .get(&in_address)
                .await
                .expect(400)
                .hides("id=\"curl\"");
            let fields = [
                ("form_token", &*form_token),
                ("kind", "location"),
                ("path:session", "shop"),
                ("body:location/name", "Quay"),
            ];
            let preview = format!("{SEND}/preview");
            let page = browser.submit(&preview, &fields).await.expect(200);
            page.shows("/v1/sessions/shop/messages");
            page.shows("&quot;name&quot;:&quot;Quay&quot;");
            page.hides("body:text/body");
            page.hides("id=\"answer\"");
            let page = browser.get(SEND).await.expect(200);
            page.hides("method=\"get\"");
            browser
                .submit(&preview, &fields[1..])
                .await
                .expect(403)
                .shows("stale_form");
            let to = bob.jid();
            let fields = [
                ("form_token", &*form_token),
                ("kind", "text"),
                ("path:session", "shop"),
                ("header:Idempotency-Key", "once"),
                ("body:to", &*to),
                ("body:text/body", "it's <me>"),
            ];
            for _ in 0..2 {
                let page = browser.submit(SEND, &fields).await.expect(200);
                page.shows("id=\"answer\"");
                page.shows("&quot;wa_id&quot;");
                page.shows("'\\''");
            }
            let received = bob.next_message(PATIENCE).await.unwrap();
            assert_eq!(received.text.as_deref(), Some("it's <me>"));
            // The same key sent it once.
            admin
                .accepted("shop", json!({"to": to, "text": {"body": "marker"}}))
                .await;
            let next = bob.next_message(PATIENCE).await.unwrap();
            assert_eq!(next.text.as_deref(), Some("marker"));

            let problem = [("form_token", &*form_token), ("path:session", "nobody")];
            let page = browser.submit("/dashboard/try/getSession", &problem).await;
            page.expect(200).shows("session_not_found");
            let wrong = [
                ("form_token", &*form_token),
                ("path:session", "shop"),
                ("query:limit", "x"),
            ];
            let page = browser.submit("/dashboard/try/listChats", &wrong).await;
            page.expect(400).shows("is not a number");
            browser.get("/dashboard/try/nothing").await.expect(404);
        })
        .await;
}

#[tokio::test]
async fn a_form_has_the_rights_of_its_reader() {
    locked()
        .gateway(async |app| {
            let admin = app.with_key(KEY);
            for name in ["mine", "theirs"] {
                admin
                    .post("/v1/sessions", json!({"id": name}))
                    .await
                    .expect(201);
            }
            let wish = json!({"name": "guest", "scopes": ["read"], "sessions": ["mine"]});
            let made = admin.post("/v1/api-keys", wish).await.expect(201).json();
            let mut browser = Browser::logged_in(app, made["key"].as_str().unwrap()).await;
            let list = browser.get("/dashboard/try").await.expect(200);
            list.shows("/dashboard/try/listChats");
            for hidden in [
                SEND,
                "/dashboard/try/deleteSession",
                "/dashboard/try/listApiKeys",
            ] {
                list.hides(&format!("{hidden}\""));
                browser.get(hidden).await.expect(404);
            }
            let page = browser.get("/dashboard/try/getSession").await.expect(200);
            page.hides("theirs");
            let token = page.token();
            let fields = [("form_token", &*token), ("path:session", "theirs")];
            let refused = browser.submit("/dashboard/try/getSession", &fields).await;
            refused.expect(200).shows("session_not_allowed");
            let fields = [("form_token", &*token), ("path:session", "mine")];
            let shown = browser.submit("/dashboard/try/getSession", &fields).await;
            shown.expect(200).shows("&quot;id&quot;: &quot;mine&quot;");
            let stale = [("form_token", "other"), ("path:session", "mine")];
            let refused = browser.submit("/dashboard/try/getSession", &stale).await;
            refused.expect(403).shows("stale_form");
        })
        .await;
}

#[tokio::test]
async fn every_route_of_the_list_has_a_form() {
    gateway(async |app| {
        let mut browser = Browser::at(app);
        let list = browser.get("/dashboard/try").await.expect(200);
        let forms: Vec<_> = list
            .text
            .split("href=\"")
            .filter_map(|rest| rest.split('"').next())
            .filter(|path| path.starts_with("/dashboard/try/"))
            .map(str::to_owned)
            .collect();
        assert!(forms.len() > 80, "{forms:?}");
        for form in forms {
            let page = browser.get(&form).await.expect(200);
            page.shows("id=\"curl\"");
        }
    })
    .await;
}
