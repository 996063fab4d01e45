//! Dangerous things ask for the key again; a first start on a terminal prints a link.

use std::time::Duration;

use serde_json::json;

use super::browser::Browser;
use super::{KEY, locked};
use crate::harness::TestApp;

const A_WHILE: Duration = Duration::from_secs(16 * 60);
const CONFIRMING: &str = "confirming_key";

/// A page, where a form on it leads, and its fields.
type FilledForm<'a> = (&'a str, &'a str, &'a [(&'a str, &'a str)]);

#[tokio::test]
async fn a_while_after_the_login_dangerous_things_ask_for_the_key_again() {
    locked()
        .set("WAPI_ALLOW_PRIVATE_TARGETS", "all")
        .gateway(async |app| {
            let admin = app.with_key(KEY);
            let other = json!({"name": "other", "scopes": ["admin"]});
            let other = admin.post("/v1/api-keys", other).await.expect(201).json();
            let other = other["key"].as_str().unwrap();
            for name in ["one", "two"] {
                admin
                    .post("/v1/sessions", json!({"id": name}))
                    .await
                    .expect(201);
                admin.order(name, "stop").await.expect(200);
            }
            let wish = json!({"url": "https://example.com/hook"});
            let made = admin.post("/v1/webhooks", wish).await.expect(201).json();
            let hook = format!("/dashboard/webhooks/{}", made["id"].as_str().unwrap());
            let mut browser = Browser::logged_in(app, KEY).await;
            let keys = "/dashboard/keys";
            browser.get(keys).await.expect(200).hides(CONFIRMING);
            let one = "/dashboard/sessions/one";
            let typed = [("typed_name", "one")];
            let removed = browser.send(one, &format!("{one}/remove"), &typed).await;
            removed.leads_to();
            app.push_clock(A_WHILE);
            let two = "/dashboard/sessions/two";
            browser.get(two).await.expect(200).shows(CONFIRMING);
            let change = format!("{hook}/change");
            let rotate = format!("{hook}/rotate-secret");
            let remove = format!("{two}/remove");
            let list = "/dashboard/webhooks";
            let address = ("url", "https://example.com/other");
            let dangerous: [FilledForm<'_>; 6] = [
                (keys, keys, &[("name", "new"), ("scopes", "admin")]),
                (keys, keys, &[("name", "new"), ("scopes", "read")]),
                (two, &remove, &[("typed_name", "two")]),
                (&hook, &change, &[address]),
                (&hook, &rotate, &[]),
                (list, list, &[address]),
            ];
            for (page, action, fields) in dangerous {
                for key in ["", "wapi_wrong_of_the_test", other] {
                    let mut fields = fields.to_vec();
                    fields.push((CONFIRMING, key));
                    let refused = browser.send(page, action, &fields).await;
                    refused.expect(403).shows("key_not_shown");
                }
            }
            admin.session("two").await.expect(200);
            let listed = admin.get("/v1/api-keys").await.expect(200).json();
            assert_eq!(listed["api_keys"].as_array().unwrap().len(), 1);
            // Other things do not ask for it.
            let same = [("url", "https://example.com/hook"), ("session", "two")];
            browser.send(&hook, &change, &same).await.leads_to();
            let fields = [("typed_name", "two"), (CONFIRMING, KEY)];
            browser.send(two, &remove, &fields).await.leads_to();
            admin.session("two").await.expect(404);
            // It was typed just now.
            browser.get(keys).await.expect(200).hides(CONFIRMING);
            browser.send(&hook, &change, &[address]).await.leads_to();
        })
        .await;
}

#[tokio::test]
async fn a_gateway_without_keys_asks_for_none() {
    crate::harness::gateway(async |app| {
        let mut browser = Browser::at(app);
        app.push_clock(A_WHILE);
        let list = "/dashboard/webhooks";
        browser.get(list).await.expect(200).hides(CONFIRMING);
        let fields = [("url", "https://example.com/hook")];
        browser.send(list, list, &fields).await.expect(200);
    })
    .await;
}

/// The token of the link that was printed before the gateway answered.
async fn printed_link(app: &TestApp) -> Option<String> {
    app.get("/health/live").await.expect(200);
    let console = app.console();
    let links = console
        .iter()
        .filter_map(|line| line.split_once("/dashboard/login#link="));
    links.map(|(_, link)| link.to_owned()).next_back()
}

#[tokio::test]
async fn a_first_start_on_a_terminal_prints_a_link_that_opens_the_dashboard_once() {
    locked()
        .on_a_terminal()
        .gateway(async |app| {
            let link = printed_link(app).await.expect("a link");
            let mut browser = Browser::at(app);
            // No secret is ever part of a request's address, and a look at it opens nothing.
            let path = format!("/dashboard/login?link={link}");
            browser.get(&path).await.expect(400).shows("invalid_fields");
            for _ in 0..2 {
                let page = browser.get("/dashboard/login").await.expect(200);
                page.shows("name=\"link\"");
                assert!(browser.login().is_none());
            }
            let foreign = browser.post("/dashboard/login", &[("link", &link)]);
            let foreign = browser.clone().call(foreign).await;
            foreign.expect(403).shows("foreign_form");
            let whole = format!(" {}/dashboard/login#link={link}\n", app.base());
            let led = browser
                .submit("/dashboard/login", &[("link", &whole)])
                .await;
            assert_eq!(led.leads_to(), "/dashboard");
            browser
                .get("/dashboard/keys")
                .await
                .expect(200)
                .shows(CONFIRMING);
            let fields = [("name", "new"), ("scopes", "admin")];
            let refused = browser
                .send("/dashboard/keys", "/dashboard/keys", &fields)
                .await;
            refused.expect(403).shows("key_not_shown");
            let mut second = Browser::at(app);
            let again = second.submit("/dashboard/login", &[("link", &link)]).await;
            again.expect(401).shows("id=\"refused\"");
            assert!(second.login().is_none());
            app.restart().await;
            app.get("/health/live").await.expect(200);
            let links = app
                .console()
                .iter()
                .filter(|it| it.contains("#link="))
                .count();
            assert_eq!(links, 1, "only until somebody has logged in");
        })
        .await;
}

#[tokio::test]
async fn a_link_expires_and_is_printed_to_nothing_but_a_terminal() {
    locked()
        .on_a_terminal()
        .gateway(async |app| {
            let link = printed_link(app).await.expect("a link");
            app.push_clock(Duration::from_secs(10 * 60));
            let mut browser = Browser::at(app);
            let late = browser.submit("/dashboard/login", &[("link", &link)]).await;
            late.expect(401);
            let none = browser.submit("/dashboard/login", &[("link", "x")]).await;
            none.expect(401);
        })
        .await;
    for setup in [
        locked(),
        locked().on_a_terminal().set("WAPI_DASHBOARD", "off"),
        crate::harness::Setup::new().on_a_terminal(),
    ] {
        setup
            .gateway(async |app| assert_eq!(printed_link(app).await, None))
            .await;
    }
}

#[tokio::test]
async fn a_link_that_nobody_used_is_replaced_at_the_next_start() {
    locked()
        .on_a_terminal()
        .gateway(async |app| {
            let first = printed_link(app).await.expect("a link");
            app.restart().await;
            let second = printed_link(app).await.expect("another link");
            assert_ne!(first, second);
            let mut browser = Browser::at(app);
            let former = browser
                .submit("/dashboard/login", &[("link", &first)])
                .await;
            former.expect(401).shows("This link is not valid");
            app.push_clock(Duration::from_secs(11 * 60));
            app.restart().await;
            let third = printed_link(app).await.expect("a third link");
            assert_ne!(second, third);
            let mut browser = Browser::at(app);
            let led = browser
                .submit("/dashboard/login", &[("link", &third)])
                .await;
            assert_eq!(led.leads_to(), "/dashboard");
        })
        .await;
}

#[tokio::test]
async fn a_login_with_the_key_ends_the_link_for_good() {
    locked()
        .on_a_terminal()
        .gateway(async |app| {
            let link = printed_link(app).await.expect("a link");
            let mut browser = Browser::logged_in(app, KEY).await;
            let late = Browser::at(app)
                .submit("/dashboard/login", &[("link", &link)])
                .await;
            late.expect(401);
            let page = browser.get("/dashboard").await.expect(200);
            let fields = [("form_token", &*page.token())];
            browser
                .submit("/dashboard/logout", &fields)
                .await
                .leads_to();
            app.restart().await;
            assert_eq!(printed_link(app).await, Some(link), "no other one");
        })
        .await;
}
