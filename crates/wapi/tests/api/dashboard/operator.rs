//! Pages of operators: webhooks, activity, health, the overview's numbers, a session's checks.

use serde_json::{Value, json};

use super::browser::{Browser, Page};
use super::{KEY, locked};
use crate::harness::{PATIENCE, Setup, TestReceiver, gateway, shop, within};

/// The text behind `before`, up to the next tag or quote.
fn text_after(page: &Page, before: &str) -> String {
    let (_, rest) = page.text.split_once(before).unwrap_or_else(|| {
        panic!("{before} is not on {}", page.text);
    });
    rest.split(['<', '"']).next().unwrap().to_owned()
}

#[tokio::test]
async fn a_webhook_is_made_changed_and_removed_on_its_page() {
    gateway(async |app| {
        let mut browser = Browser::at(app);
        let list = "/dashboard/webhooks";
        let fields = [
            ("url", "https://example.com/hook"),
            ("session", "shop"),
            ("types", "message.received"),
            ("types", "session.status"),
            ("headers", "X-Token: hush\r\n\r\n"),
        ];
        let made = browser.send(list, list, &fields).await.expect(200);
        let secret = text_after(&made, "id=\"new-secret\">");
        assert!(secret.starts_with("whsec_"), "{secret}");
        let listed = app.get("/v1/webhooks").await.expect(200).json();
        let webhook = &listed["webhooks"][1];
        assert_eq!(
            webhook["types"],
            json!(["message.received", "session.status"])
        );
        assert_eq!(webhook["session"], "shop");
        assert_eq!(webhook["headers"], json!({"x-token": "********"}));
        let id = webhook["id"].as_str().unwrap();
        let address = format!("{list}/{id}");
        let page = browser.get(&address).await.expect(200);
        page.shows("value=\"message.received\" checked");
        page.hides("value=\"message.read\" checked");
        page.hides(&secret);
        page.hides("hush");
        let fields = [
            ("url", "https://example.com/other"),
            ("removed_headers", "x-token"),
        ];
        let action = format!("{address}/change");
        let changed = browser.send(&address, &action, &fields).await;
        assert_eq!(changed.leads_to(), address);
        let webhook = app
            .get(&format!("/v1/webhooks/{id}"))
            .await
            .expect(200)
            .json();
        assert_eq!(webhook["url"], "https://example.com/other");
        assert_eq!(
            (&webhook["session"], &webhook["types"]),
            (&Value::Null, &Value::Null)
        );
        assert_eq!(webhook["headers"], json!({}));
        let action = format!("{address}/disable");
        browser.send(&address, &action, &[]).await.leads_to();
        browser.get(&address).await.expect(200).shows("asked");
        let action = format!("{address}/rotate-secret");
        let renewed = browser.send(&address, &action, &[]).await.expect(200);
        assert_ne!(text_after(&renewed, "id=\"new-secret\">"), secret);
        let action = format!("{address}/remove");
        let wrong = browser
            .send(&address, &action, &[("typed_id", "whk")])
            .await;
        wrong.expect(400).shows("typed_id");
        let right = browser.send(&address, &action, &[("typed_id", id)]).await;
        assert_eq!(right.leads_to(), list);
        browser
            .get(&address)
            .await
            .expect(404)
            .shows("webhook_not_found");
        let wrong = [("url", "gopher://example.com"), ("headers", "no colon")];
        browser
            .send(list, list, &wrong)
            .await
            .expect(400)
            .shows("headers");
        let wrong = [("url", "gopher://example.com")];
        browser
            .send(list, list, &wrong)
            .await
            .expect(400)
            .shows("url");
        let original = browser.get(&format!("{list}/original")).await.expect(200);
        original.hides("/remove");
    })
    .await;
}

#[tokio::test]
async fn one_event_is_sent_to_a_webhook_from_the_page_of_events() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "hello").await.unwrap();
        app.webhook.next().await;
        let receiver = TestReceiver::start().await;
        let wish = json!({"url": receiver.base(), "types": ["message.read"]});
        let made = app.post("/v1/webhooks", wish).await.expect(201).json();
        let id = made["id"].as_str().unwrap();
        let mut browser = Browser::at(app);
        let page = browser
            .get("/dashboard/events?types=message.received")
            .await
            .expect(200);
        let event = text_after(&page, "/dashboard/webhooks?event=");
        let choice = format!("/dashboard/webhooks?event={event}");
        let page = browser.get(&choice).await.expect(200);
        let action = format!("/dashboard/webhooks/{id}/deliveries/send");
        page.shows(&action);
        let sent = browser.send(&choice, &action, &[("event", &event)]).await;
        let address = format!("/dashboard/webhooks/{id}/deliveries");
        assert_eq!(sent.leads_to(), address);
        let post = receiver.next().await;
        assert_eq!(post.headers["webhook-id"], event.as_str());
        let none = browser
            .send(&choice, &action, &[("event", "evt_none")])
            .await;
        none.expect(404).shows("event_not_found");
    })
    .await;
}

#[tokio::test]
async fn a_replay_from_a_sequence_counts_what_the_webhook_gets_before_it_starts() {
    shop(async |app, alice, bob| {
        for text in ["one", "two", "three"] {
            bob.sends_text(alice.number(), text).await.unwrap();
            app.webhook.next().await;
        }
        let feed = app.get("/v1/events?types=message.received").await.json();
        let seq = feed["events"][1]["seq"].to_string();
        let page = "/dashboard/webhooks/original/deliveries";
        let action = "/dashboard/webhooks/original/replay";
        let fields = [("from_seq", seq.as_str())];
        let counted = browser_at(app)
            .send(page, action, &fields)
            .await
            .expect(200);
        counted.shows("<strong id=\"count\">2</strong>");
        counted.shows(&format!("name=\"from_seq\" value=\"{seq}\""));
        assert!(app.webhook.leftovers().is_empty(), "it has not started");
        let to = text_after(&counted, "name=\"to\" value=\"");
        let fields = [
            ("from_seq", seq.as_str()),
            ("to", &to),
            ("confirmed", "yes"),
        ];
        let replayed = browser_at(app)
            .send(page, action, &fields)
            .await
            .expect(200);
        replayed.shows("<strong id=\"replayed\">2</strong>");
        for text in ["two", "three"] {
            let post = app.webhook.next().await;
            assert_eq!(post.body["data"]["text"]["body"], text);
        }
        for wrong in [[("from_seq", "x")], [("from", "yesterday")], [("to", "")]] {
            let refused = browser_at(app).send(page, action, &wrong).await;
            refused.expect(400).shows("from");
        }
        let both = json!({"from_seq": 1, "from": "2020-01-01T00:00:00Z"});
        let refused = app.post("/v1/webhooks/original/replay", both).await;
        assert_eq!(refused.expect(400).fields(), ["from"]);
        let resend = format!("{page}/resend-failed");
        let none = browser_at(app).send(page, &resend, &[]).await.expect(200);
        none.shows("<strong id=\"resent\">0</strong>");
    })
    .await;
}

fn browser_at(app: &crate::harness::TestApp) -> Browser {
    Browser::at(app)
}

#[tokio::test]
async fn the_activity_is_shown_filtered_paged_and_exported_with_names_as_text() {
    locked()
        .gateway(async |app| {
            let admin = app.with_key(KEY);
            let wish = json!({"name": "<script>alert(1)</script>", "scopes": ["admin"]});
            let made = admin.post("/v1/api-keys", wish).await.expect(201).json();
            let board = app.with_key(made["key"].as_str().unwrap());
            for name in ["<b>bold</b>", "shop"] {
                let wish = json!({"id": name});
                board.post("/v1/sessions", wish).await.expect(201);
            }
            let mut browser = Browser::logged_in(app, KEY).await;
            let mut stranger = Browser::at(app);
            stranger.log_in("wapi_wrong").await.expect(401);
            let page = browser.get("/dashboard/activity").await.expect(200);
            page.shows("POST /v1/sessions");
            page.shows("&lt;script&gt;alert(1)&lt;/script&gt;");
            page.shows("&lt;b&gt;bold&lt;/b&gt;");
            page.hides("<script>alert");
            page.hides("<b>bold");
            page.shows("127.0.0.1");
            let logins = browser
                .get("/dashboard/activity?kind=login&session=&key=")
                .await
                .expect(200);
            logins.shows("POST /dashboard/login");
            logins.shows("wrong key");
            logins.hides("/v1/sessions");
            let of_shop = browser
                .get("/dashboard/activity?session=shop")
                .await
                .expect(200);
            of_shop.hides("bold");
            let export = browser
                .get("/dashboard/activity/export?kind=change")
                .await
                .expect(200);
            assert_eq!(export.headers["content-type"], "application/x-ndjson");
            assert_eq!(export.text.lines().count(), 3, "{}", export.text);
            let wrong = browser.get("/dashboard/activity?kind=none").await;
            wrong.expect(400).shows("kind");
            let russian = browser
                .with_header("accept-language", "ru")
                .get("/dashboard/activity")
                .await
                .expect(200);
            russian.shows("Журнал");
        })
        .await;
}

#[tokio::test]
async fn settings_are_shown_with_their_sources_and_without_secrets() {
    locked()
        .set("WAPI_REDIS_HOST", "")
        .set("WAPI_RETENTION_DAYS", "17")
        .gateway(async |app| {
            let mut browser = Browser::logged_in(app, KEY).await;
            let page = browser.get("/dashboard/health").await.expect(200);
            page.shows("Ready");
            page.shows("WAPI_RETENTION_DAYS");
            page.shows("********");
            page.hides(KEY);
            let admin = app.with_key(KEY);
            let listed = admin.get("/v1/settings").await.expect(200).json();
            let find = |name: &str| {
                let all = listed["settings"].as_array().unwrap();
                all.iter().find(|it| it["name"] == name).unwrap().clone()
            };
            let days =
                json!({"name": "WAPI_RETENTION_DAYS", "value": "17", "source": "environment"});
            assert_eq!(find("WAPI_RETENTION_DAYS"), days);
            let key = json!({"name": "WAPI_API_KEY", "value": "********", "source": "environment"});
            assert_eq!(find("WAPI_API_KEY"), key);
            assert_eq!(find("WAPI_RETENTION_DEAD_DAYS")["source"], "default");
            assert_eq!(find("WAPI_REDIS_HOST")["value"], Value::Null);
            let licences = browser.get("/dashboard/licences").await.expect(200);
            licences.shows("Apache License");
        })
        .await;
}

#[tokio::test]
async fn the_overview_plots_what_was_counted_and_says_since_when() {
    Setup::new()
        .shop(async |app, alice, bob| {
            let mut browser = Browser::at(app);
            let page = browser.get("/dashboard").await.expect(200);
            page.shows("Messages received: <strong>0</strong>");
            page.shows("since the start of the program");
            page.shows("Nothing has been delivered");
            bob.sends_text(alice.number(), "hello").await.unwrap();
            app.webhook.next().await;
            let counted = async || {
                let page = browser.get("/dashboard").await.expect(200);
                let is_counted = page.text.contains("Deliveries taken: <strong>1</strong>")
                    && page.text.contains("id=\"lag\"");
                is_counted.then_some(page)
            };
            let page = within(PATIENCE, counted).await.expect("it is counted");
            page.shows("Messages received: <strong>1</strong>");
            page.shows("<svg class=\"chart\"");
            page.shows("/dashboard/webhooks/original/deliveries?status=waiting");
            page.shows("id=\"disk\"");
            assert_eq!(page.text.matches("<rect").count(), 4 * 96);
            // Each chart has its values beside it, and its times below.
            page.shows("<div class=\"scale\" aria-hidden=\"true\"><span>2</span><span>1</span><span>0</span>");
            assert_eq!(page.text.matches(" data-clock=\"day\">").count(), 4 * 2);
            assert_eq!(page.text.matches("most in one bar 1, <time").count(), 2);
            page.shows("aria-label=\"Messages received: 1. 20");
        })
        .await;
}

#[tokio::test]
async fn a_session_is_checked_asked_for_its_limits_and_paced() {
    shop(async |app, _, _| {
        let mut browser = Browser::at(app);
        let address = "/dashboard/sessions/shop";
        let page = browser.get(address).await.expect(200);
        page.shows("id=\"queue\"");
        let action = format!("{address}/check");
        let checked = browser.send(address, &action, &[]).await.expect(200);
        checked.shows("id=\"check\"");
        assert_eq!(checked.text.matches("data-status=\"online\"").count(), 3);
        let action = format!("{address}/limits");
        let limits = browser.send(address, &action, &[]).await.expect(200);
        limits.shows("id=\"limits\"");
        let action = format!("{address}/pacing");
        let fields = [("min_gap", "3"), ("per_day", "50"), ("typing", "yes")];
        let set = browser.send(address, &action, &fields).await;
        assert_eq!(set.leads_to(), address);
        let pacing = app.session("shop").await.expect(200).json()["pacing"].clone();
        let expected = json!({"min_gap": 3, "jitter": 0, "typing": true, "per_day": 50,
            "new_chats_per_day": null});
        assert_eq!(pacing, expected);
        let page = browser.get(address).await.expect(200);
        page.shows("name=\"min_gap\" type=\"text\" value=\"3\"");
        let wrong = browser.send(address, &action, &[("min_gap", "soon")]).await;
        wrong.expect(400).shows("min_gap");
        browser.send(address, &action, &[]).await.leads_to();
        let session = app.session("shop").await.expect(200).json();
        assert_eq!(session["pacing"], Value::Null);
    })
    .await;
}

#[tokio::test]
async fn a_narrow_key_sees_no_page_of_the_whole_gateway() {
    locked()
        .gateway(async |app| {
            let admin = app.with_key(KEY);
            for name in ["mine", "theirs"] {
                let wish = json!({"id": name});
                admin.post("/v1/sessions", wish).await.expect(201);
                admin.order(name, "stop").await.expect(200);
            }
            let wish = json!({"name": "guest", "scopes": ["admin"], "sessions": ["mine"]});
            let made = admin.post("/v1/api-keys", wish).await.expect(201).json();
            let mut browser = Browser::logged_in(app, made["key"].as_str().unwrap()).await;
            for path in [
                "activity",
                "activity/export",
                "health",
                "licences",
                "webhooks/original",
            ] {
                let refused = browser.get(&format!("/dashboard/{path}")).await;
                refused.expect(403).shows("not_for_all_sessions");
            }
            let page = browser.get("/dashboard").await.expect(200);
            for hidden in [
                "theirs",
                "id=\"traffic\"",
                "id=\"queues\"",
                "/dashboard/activity",
            ] {
                page.hides(hidden);
            }
            let mut tab = browser.follow(&page.stream()).await;
            admin.order("theirs", "start").await.expect(200);
            admin.order("mine", "start").await.expect(200);
            loop {
                let (_, data) = tab.next().await.expect("the stream goes on");
                assert!(
                    !data.contains("theirs") && !data.contains("traffic"),
                    "{data}"
                );
                if data.contains("mine") {
                    break;
                }
            }
            let own = "/dashboard/sessions/mine";
            for action in ["check", "limits", "pacing"] {
                let path = format!("/dashboard/sessions/theirs/{action}");
                let refused = browser.send(own, &path, &[]).await;
                refused.expect(403).shows("session_not_allowed");
            }
            for path in [
                "",
                "/original/change",
                "/original/deliveries/send",
                "/original/remove",
            ] {
                let path = format!("/dashboard/webhooks{path}");
                let refused = browser.send(own, &path, &[]).await;
                refused.expect(403).shows("not_for_all_sessions");
            }
            // An admin of one session paces it.
            let path = format!("{own}/pacing");
            browser
                .send(own, &path, &[("min_gap", "2")])
                .await
                .leads_to();
        })
        .await;
}
