//! Events, webhooks, deliveries, and keys.

use serde_json::json;

use super::browser::Browser;
use super::{KEY, locked};
use crate::harness::{PATIENCE, TestReceiver, shop, within};

#[tokio::test]
async fn events_are_on_the_page_as_they_happen_filtered_and_from_a_sequence_on() {
    shop(async |app, alice, bob| {
        let mut browser = Browser::at(app);
        let page = browser
            .get("/dashboard/events?types=message.received")
            .await
            .expect(200);
        page.hides("session.paired");
        let mut tab = browser.follow(&page.stream()).await;
        bob.sends_text(alice.number(), "hello").await.unwrap();
        app.webhook.next().await;
        let (_, data) = loop {
            let event = tab.next().await.expect("the stream goes on");
            if event.0 == "fragments" {
                break event;
            }
        };
        assert!(data.contains("message.received"), "{data}");
        assert!(!data.contains("session.status"), "{data}");
        let page = browser.get("/dashboard/events?after=0").await.expect(200);
        page.shows("id=\"e-1\"");
        page.hides("data-stream");
        browser
            .get("/dashboard/events")
            .await
            .expect(200)
            .shows("session.paired");
        browser
            .get("/dashboard/events?after=x")
            .await
            .expect(400)
            .shows("after");
        browser
            .get("/dashboard/events?types=no.such")
            .await
            .expect(400)
            .shows("types");
    })
    .await;
}

#[tokio::test]
async fn a_narrow_key_sees_the_events_of_its_sessions_only() {
    locked()
        .gateway(async |app| {
            let admin = app.with_key(KEY);
            for name in ["mine", "theirs"] {
                admin
                    .post("/v1/sessions", json!({"id": name}))
                    .await
                    .expect(201);
                admin.order(name, "stop").await.expect(200);
            }
            let wish = json!({"name": "guest", "scopes": ["read"], "sessions": ["mine"]});
            let made = admin.post("/v1/api-keys", wish).await.expect(201).json();
            let mut browser = Browser::logged_in(app, made["key"].as_str().unwrap()).await;
            let page = browser.get("/dashboard/events").await.expect(200);
            page.shows("mine");
            page.hides("theirs");
            let mut tab = browser.follow(&page.stream()).await;
            admin.order("theirs", "start").await.expect(200);
            admin.order("mine", "start").await.expect(200);
            loop {
                let (_, data) = tab.next().await.expect("the stream goes on");
                assert!(!data.contains("theirs"), "{data}");
                if data.contains("mine") {
                    break;
                }
            }
            for path in [
                "/dashboard/events?session=theirs",
                "/dashboard/live/events?session=theirs",
            ] {
                browser
                    .get(path)
                    .await
                    .expect(403)
                    .shows("session_not_allowed");
            }
            for path in [
                "/dashboard/webhooks",
                "/dashboard/keys",
                "/dashboard/webhooks/original/deliveries",
            ] {
                browser.get(path).await.expect(403).shows("scope_missing");
            }
        })
        .await;
}

#[tokio::test]
async fn a_failed_delivery_is_seen_with_its_attempt_and_resent_and_its_time_replayed() {
    shop(async |app, alice, bob| {
        let receiver = TestReceiver::start().await;
        receiver.answer(503);
        let wish = json!({"url": receiver.base(), "types": ["message.received"]});
        let made = app.post("/v1/webhooks", wish).await.expect(201).json();
        let id = made["id"].as_str().unwrap().to_owned();
        bob.sends_text(alice.number(), "hello").await.unwrap();
        app.webhook.next().await;
        receiver.refusals(1).await;
        let mut browser = Browser::at(app);
        browser
            .get("/dashboard/webhooks")
            .await
            .expect(200)
            .shows(&id);
        let address = format!("/dashboard/webhooks/{id}/deliveries");
        let seen = async || {
            let page = browser.get(&address).await.expect(200);
            page.text.contains("<strong>503</strong>").then_some(page)
        };
        let page = within(PATIENCE, seen).await.expect("the attempt is shown");
        page.shows("data-status=\"waiting\"");
        let delivery = page.text.split("id=\"d-").nth(1).unwrap();
        let delivery = delivery.split('"').next().unwrap().to_owned();
        receiver.answer(200);
        let action = format!("{address}/{delivery}/resend");
        assert_eq!(
            browser.send(&address, &action, &[]).await.leads_to(),
            address
        );
        receiver.next().await;
        let delivered = async || {
            let page = browser
                .get(&format!("{address}?status=delivered"))
                .await
                .expect(200);
            page.text
                .contains(&format!("id=\"d-{delivery}\""))
                .then_some(())
        };
        within(PATIENCE, delivered).await.expect("it is delivered");
        browser
            .get(&format!("{address}?status=dead"))
            .await
            .expect(200)
            .hides("id=\"d-");
        let action = format!("/dashboard/webhooks/{id}/replay");
        let from = [("from", "2020-01-01T00:00:00Z")];
        let counted = browser.send(&address, &action, &from).await.expect(200);
        counted.shows("id=\"count\"");
        counted.hides("id=\"replayed\"");
        let again = [from[0], ("confirmed", "yes")];
        let replayed = browser.send(&address, &action, &again).await.expect(200);
        replayed.shows("<strong id=\"replayed\">1</strong>");
        receiver.next().await;
        let wrong = browser
            .send(&address, &action, &[("from", "yesterday")])
            .await;
        wrong.expect(400).shows("from");
        let action = format!("/dashboard/webhooks/{id}/test");
        let tested = browser.send("/dashboard/webhooks", &action, &[]).await;
        tested.expect(200).shows("<strong>200</strong>");
        receiver.next().await;
    })
    .await;
}

#[tokio::test]
async fn events_are_copied_as_calls_that_read_them() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "hello").await.unwrap();
        app.webhook.next().await;
        let mut browser = Browser::at(app);
        let address = "/dashboard/events?session=shop&types=message.received";
        let page = browser.get(address).await.expect(200);
        page.shows("&quot;$WAPI/v1/events?session=shop&amp;types=message.received&quot;");
        let (_, call) = page
            .text
            .split_once("data-copy=\"curl -X GET &quot;$WAPI")
            .unwrap();
        let path = call.split("&quot;").next().unwrap().replace("&amp;", "&");
        let feed = app.get(&path).await.expect(200).json();
        let events = feed["events"].as_array().unwrap();
        assert_eq!(events.len(), 1);
        assert_eq!(events[0]["event"]["data"]["text"]["body"], "hello");
    })
    .await;
}

#[tokio::test]
async fn a_key_is_made_and_shown_once_and_removed() {
    locked()
        .gateway(async |app| {
            let mut browser = Browser::logged_in(app, KEY).await;
            let fields = [
                ("name", "board"),
                ("scopes", "read"),
                ("scopes", "send"),
                ("sessions", "shop\r\n"),
            ];
            let page = browser
                .send("/dashboard/keys", "/dashboard/keys", &fields)
                .await
                .expect(200);
            let (_, key) = page.text.split_once("id=\"new-key\">").unwrap();
            let key = key.split('<').next().unwrap().to_owned();
            app.with_key(&key).get("/v1/sessions").await.expect(200);
            let listed = browser.get("/dashboard/keys").await.expect(200);
            listed.hides(&key);
            listed.shows("board");
            listed.shows("read, send");
            listed.shows("shop");
            let id = listed.text.split("/dashboard/keys/").nth(1).unwrap();
            let action = format!("/dashboard/keys/{}", id.split('"').next().unwrap());
            let question = browser.send("/dashboard/keys", &action, &[]).await;
            app.with_key(&key).get("/v1/sessions").await.expect(200);
            let removed = browser.confirms(question, &action).await;
            assert_eq!(removed.leads_to(), "/dashboard/keys");
            app.with_key(&key).get("/v1/sessions").await.expect(401);
            let none = [("name", "board")];
            let wrong = browser
                .send("/dashboard/keys", "/dashboard/keys", &none)
                .await;
            wrong.expect(400).shows("scopes");
        })
        .await;
}
