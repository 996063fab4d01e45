//! Logins: how they begin, travel, and end.

use std::time::Duration;

use serde_json::json;
use wapi::system::clock::Clock;

use super::browser::Browser;
use super::{KEY, locked};
use crate::harness::{TestApp, TestClient, eventually, free_address, gateway};

const HOUR: Duration = Duration::from_secs(3600);

/// A key for some scopes and sessions, and its id.
pub async fn make_key(
    admin: &TestClient,
    scopes: &[&str],
    sessions: Option<&[&str]>,
) -> (String, String) {
    let wish = json!({"name": "guest", "scopes": scopes, "sessions": sessions});
    let made = admin.post("/v1/api-keys", wish).await.expect(201).json();
    let text = |name: &str| made[name].as_str().unwrap().to_owned();
    (text("key"), text("id"))
}

#[tokio::test]
async fn a_key_is_exchanged_for_a_cookie_of_the_dashboard_alone() {
    locked()
        .gateway(async |app| {
            let mut browser = Browser::at(app);
            let led = browser.get("/dashboard/sessions?from=a").await;
            let login = "/dashboard/login?next=%2Fdashboard%2Fsessions%3Ffrom%3Da";
            assert_eq!(led.leads_to(), login);
            browser.get(login).await.expect(200).shows("name=\"key\"");
            let fields = [("key", KEY), ("next", "/dashboard/sessions?from=a")];
            let page = browser.submit("/dashboard/login", &fields).await;
            assert_eq!(page.leads_to(), "/dashboard/sessions?from=a");
            let cookie = page.headers["set-cookie"].to_str().unwrap();
            let (value, attributes) = cookie.split_once("; ").unwrap();
            assert_eq!(attributes, "Path=/dashboard; HttpOnly; SameSite=Strict");
            assert!(!value.contains(KEY) && value.len() > 40, "{cookie}");
            let page = browser.get("/dashboard").await.expect(200);
            page.hides(KEY);
            // The API looks at no cookie.
            let call = app.request(reqwest::Method::GET, "/v1/sessions");
            let answer = app.answer(call.header("cookie", value)).await;
            assert_eq!(answer.expect(401).code(), "unauthorized");
        })
        .await;
}

#[tokio::test]
async fn a_login_to_one_gateway_leaves_that_to_another_on_the_same_host_alone() {
    locked()
        .gateway(async |one| {
            locked()
                .gateway(async |other| {
                    // Browsers show cookies to all ports of a host.
                    let first = Browser::logged_in(one, KEY).await;
                    let mut second = Browser::at(other).with_cookies_of(&first);
                    assert_eq!(second.log_in(KEY).await.leads_to(), "/dashboard");
                    second.get("/dashboard").await.expect(200);
                    let mut first = first.with_cookies_of(&second);
                    first.get("/dashboard").await.expect(200);
                })
                .await;
        })
        .await;
}

#[tokio::test]
async fn a_wrong_key_opens_nothing_and_is_told_so() {
    locked()
        .gateway(async |app| {
            let mut browser = Browser::at(app);
            for key in ["wapi_wrong", "", "wapi_first_of_the_tes"] {
                let page = browser.log_in(key).await.expect(401);
                page.shows("id=\"refused\"");
                assert!(page.headers.get("set-cookie").is_none());
            }
            let other = Browser::logged_in(app, KEY).await;
            let (name, _) = other.login().expect("a login");
            browser.set_cookie(name, "a-token-of-somebody");
            let led = browser.get("/dashboard").await;
            assert_eq!(led.leads_to(), "/dashboard/login?next=%2Fdashboard");
        })
        .await;
}

#[tokio::test]
async fn guessing_keys_at_the_login_becomes_slow() {
    locked()
        .gateway(async |app| {
            let mut browser = Browser::at(app);
            for _ in 0..10 {
                browser.log_in("wapi_wrong").await.expect(401);
            }
            let clock = Clock::system();
            for _ in 0..3 {
                browser.log_in("wapi_wrong").await.expect(401);
            }
            assert!(clock.uptime() >= Duration::from_millis(700));
            assert_eq!(browser.log_in(KEY).await.leads_to(), "/dashboard");
        })
        .await;
}

#[tokio::test]
async fn a_login_outlives_a_restart_and_ends_after_twelve_idle_hours() {
    locked()
        .gateway(async |app| {
            let browser = Browser::logged_in(app, KEY).await;
            app.restart().await;
            let mut browser = browser.clone().with_base(app.base());
            browser.get("/dashboard").await.expect(200);
            app.push_clock(11 * HOUR);
            browser.get("/dashboard").await.expect(200);
            app.push_clock(11 * HOUR);
            browser.get("/dashboard").await.expect(200);
            app.push_clock(13 * HOUR);
            browser.get("/dashboard").await.leads_to();
        })
        .await;
}

#[tokio::test]
async fn a_login_ends_after_a_week_however_busy_it_is() {
    locked()
        .gateway(async |app| {
            let mut browser = Browser::logged_in(app, KEY).await;
            for _ in 0..16 {
                app.push_clock(10 * HOUR);
                browser.get("/dashboard").await.expect(200);
            }
            app.push_clock(9 * HOUR);
            browser.get("/dashboard").await.leads_to();
        })
        .await;
}

#[tokio::test]
async fn after_the_logout_the_cookie_is_worth_nothing() {
    locked()
        .gateway(async |app| {
            let mut browser = Browser::logged_in(app, KEY).await;
            let other = browser.clone();
            let page = browser.get("/dashboard").await.expect(200);
            let mut tab = other.follow(&page.stream()).await;
            let fields = [("form_token", &*page.token())];
            let left = browser.submit("/dashboard/logout", &fields).await;
            assert_eq!(left.leads_to(), "/dashboard/login");
            assert_eq!(browser.login(), None);
            assert_eq!(left.headers["clear-site-data"], "\"cache\"");
            tab.ends().await;
            other.clone().get("/dashboard").await.leads_to();
        })
        .await;
}

#[tokio::test]
async fn a_key_without_any_page_can_still_log_out() {
    locked()
        .gateway(async |app| {
            let (key, _) = make_key(&app.with_key(KEY), &["send"], None).await;
            let mut browser = Browser::logged_in(app, &key).await;
            let page = browser.get("/dashboard/sessions").await.expect(403);
            page.shows("scope_missing");
            let fields = [("form_token", &*page.token())];
            let left = browser.submit("/dashboard/logout", &fields).await;
            assert_eq!(left.leads_to(), "/dashboard/login");
            browser.get("/dashboard").await.leads_to();
        })
        .await;
}

#[tokio::test]
async fn a_removed_key_takes_its_logins_and_their_open_pages_along() {
    locked()
        .gateway(async |app| {
            let admin = app.with_key(KEY);
            let (key, id) = make_key(&admin, &["read"], None).await;
            let mut browser = Browser::logged_in(app, &key).await;
            let page = browser.get("/dashboard").await.expect(200);
            let mut tab = browser.follow(&page.stream()).await;
            tab.next().await.expect("a first word");
            let path = format!("/v1/api-keys/{id}");
            admin.delete(&path).await.expect(204);
            let clock = Clock::system();
            tab.ends().await;
            // Told at once, which takes its time on a busy machine: without that, a page asks every 15 seconds.
            assert!(clock.uptime() < Duration::from_secs(10));
            browser.get("/dashboard").await.leads_to();
        })
        .await;
}

#[tokio::test]
async fn a_login_does_not_pass_to_a_new_key_of_the_settings() {
    let mut app = locked().start().await;
    let browser = Browser::logged_in(&app, KEY).await;
    app.change_setting("WAPI_API_KEY", "wapi_second_of_the_test")
        .await;
    let mut browser = browser.clone().with_base(app.base());
    browser.get("/dashboard").await.leads_to();
    app.finish().await;
}

#[tokio::test]
async fn forms_come_from_pages_of_this_very_login() {
    locked()
        .gateway(async |app| {
            let mut browser = Browser::logged_in(app, KEY).await;
            let mut other = Browser::logged_in(app, KEY).await;
            let token = browser.get("/dashboard/sessions").await.token();
            let foreign_token = other.get("/dashboard/sessions").await.token();
            let fields = [("form_token", &*token), ("id", "shop")];
            for headers in [
                &[][..],
                &[("origin", "null")],
                &[("origin", "https://evil.example")],
                &[("sec-fetch-site", "cross-site")],
                &[("sec-fetch-site", "same-site")],
                &[("sec-fetch-site", "none")],
                &[("sec-fetch-site", "cross-site"), ("origin", app.base())],
            ] {
                let mut call = browser.post("/dashboard/sessions", &fields);
                for (name, value) in headers {
                    call = call.header(*name, *value);
                }
                browser.call(call).await.expect(403).shows("foreign_form");
            }
            let without = [("id", "shop")];
            let stale = browser.submit("/dashboard/sessions", &without).await;
            stale.expect(403).shows("stale_form");
            let foreign = [("form_token", &*foreign_token), ("id", "shop")];
            let stale = browser.submit("/dashboard/sessions", &foreign).await;
            stale.expect(403).shows("stale_form");
            let call = browser.post("/dashboard/login", &[("key", KEY)]);
            browser.call(call).await.expect(403).shows("foreign_form");
            app.with_key(KEY).session("shop").await.expect(404);
            let made = browser.submit("/dashboard/sessions", &fields).await;
            assert_eq!(made.leads_to(), "/dashboard/sessions/shop");
        })
        .await;
}

#[tokio::test]
async fn every_answer_forbids_what_the_pages_do_not_need() {
    locked()
        .gateway(async |app| {
            let mut browser = Browser::logged_in(app, KEY).await;
            let page = browser.get("/dashboard").await.expect(200);
            let style = page.text.split("href=\"/dashboard/assets/").nth(1).unwrap();
            let style = format!("/dashboard/assets/{}", style.split('"').next().unwrap());
            let mut stranger = Browser::at(app);
            for path in [
                "/dashboard",
                "/dashboard/login",
                "/dashboard/sessions",
                "/dashboard/sessions/nobody",
                "/dashboard/no/such/page",
                &style,
            ] {
                for browser in [&mut browser, &mut stranger] {
                    let page = browser.get(path).await;
                    let header = |name: &str| page.headers[name].to_str().unwrap().to_owned();
                    let policy = header("content-security-policy");
                    for part in [
                        "default-src 'none'",
                        "script-src 'self'",
                        "frame-ancestors 'none'",
                        "require-trusted-types-for 'script'",
                    ] {
                        assert!(policy.contains(part), "{path}: {policy}");
                    }
                    assert!(!policy.contains("unsafe"), "{policy}");
                    assert_eq!(header("x-content-type-options"), "nosniff");
                    assert_eq!(header("referrer-policy"), "same-origin");
                    assert_eq!(header("cross-origin-opener-policy"), "same-origin");
                    let cached = header("cache-control");
                    let lasts = path == style;
                    assert_eq!(cached.contains("immutable"), lasts, "{path}: {cached}");
                    assert_eq!(cached == "no-store", !lasts, "{path}: {cached}");
                    if !lasts {
                        page.hides(" onclick");
                        page.hides("style=\"");
                        page.hides("<script>");
                    }
                }
            }
        })
        .await;
}

#[tokio::test]
async fn an_open_gateway_lets_its_own_machine_in_and_no_foreign_name() {
    gateway(async |app| {
        let mut browser = Browser::at(app);
        let page = browser.get("/dashboard").await.expect(200);
        page.shows("No key is set");
        assert_eq!(
            browser.get("/dashboard/login").await.leads_to(),
            "/dashboard"
        );
        let fields = [("id", "shop")];
        let made = browser
            .send("/dashboard/sessions", "/dashboard/sessions", &fields)
            .await;
        assert_eq!(made.leads_to(), "/dashboard/sessions/shop");
        let mut rebound = browser.clone().with_header("host", "evil.example");
        rebound
            .get("/dashboard")
            .await
            .expect(403)
            .shows("stranger");
        let mut embedded = browser.clone().with_header("sec-fetch-site", "cross-site");
        embedded
            .get("/dashboard")
            .await
            .expect(403)
            .shows("stranger");
    })
    .await;
}

#[tokio::test]
async fn people_of_other_machines_log_in_over_tls_only() {
    locked()
        .set("WAPI_TRUSTED_PROXIES", "127.0.0.1")
        .gateway(async |app| {
            let away = Browser::at(app).with_header("x-forwarded-for", "203.0.113.9");
            let mut plain = away.clone().with_header("x-forwarded-proto", "http");
            plain
                .get("/dashboard/login")
                .await
                .expect(200)
                .shows("WAPI_DASHBOARD_INSECURE");
            let refused = plain.log_in(KEY).await.expect(401);
            assert!(refused.headers.get("set-cookie").is_none());
            let mut tls = away.with_header("x-forwarded-proto", "https");
            let origin = app.base().replace("http://", "https://");
            let call = tls.post("/dashboard/login", &[("key", KEY)]);
            let page = tls.call(call.header("origin", origin)).await;
            assert_eq!(page.leads_to(), "/dashboard");
            let cookie = page.headers["set-cookie"].to_str().unwrap();
            assert!(cookie.starts_with("__Host-wapi-"), "{cookie}");
            assert!(
                cookie.ends_with("; Path=/; Secure; HttpOnly; SameSite=Strict"),
                "{cookie}"
            );
            tls.get("/dashboard").await.expect(200);
        })
        .await;
}

#[tokio::test]
async fn an_operator_may_accept_logins_over_plain_http() {
    locked()
        .set("WAPI_TRUSTED_PROXIES", "127.0.0.1")
        .set("WAPI_DASHBOARD_INSECURE", "true")
        .gateway(async |app| {
            let away = Browser::at(app).with_header("x-forwarded-for", "203.0.113.9");
            let mut plain = away.with_header("x-forwarded-proto", "http");
            assert_eq!(plain.log_in(KEY).await.leads_to(), "/dashboard");
            plain.get("/dashboard").await.expect(200);
        })
        .await;
}

#[tokio::test]
async fn a_link_from_another_site_leads_in_by_way_of_a_second_request() {
    locked()
        .gateway(async |app| {
            let mut linked = Browser::at(app).with_header("sec-fetch-site", "cross-site");
            let page = linked.get("/dashboard/sessions").await.expect(200);
            page.shows("content=\"0;url=/dashboard/sessions\"");
        })
        .await;
}

#[tokio::test]
async fn a_link_from_another_site_leads_in_where_no_key_is_required() {
    gateway(async |app| {
        let mut linked = Browser::at(app)
            .with_header("sec-fetch-site", "cross-site")
            .with_header("sec-fetch-dest", "document");
        let page = linked.get("/dashboard/sessions").await.expect(200);
        page.shows("content=\"0;url=/dashboard/sessions\"");
    })
    .await;
}

#[tokio::test]
async fn the_address_of_a_form_that_was_sent_says_that_it_is_none_to_visit() {
    gateway(async |app| {
        let path = "/dashboard/sessions/shop/pairing-code";
        let page = Browser::at(app).get(path).await.expect(405);
        page.shows("method_not_allowed");
        page.shows("href=\"/dashboard\"");
    })
    .await;
}

#[tokio::test]
async fn the_address_alone_leads_people_to_the_dashboard_and_tells_programs_of_it() {
    gateway(async |app| {
        let mut browser = Browser::at(app).with_header("accept", "text/html,*/*;q=0.8");
        assert_eq!(browser.get("/").await.leads_to(), "/dashboard");
        let document = app.get_as("/", "application/json").await.expect(200).json();
        assert_eq!(
            document,
            json!({"name": "wapi", "version": env!("CARGO_PKG_VERSION"), "docs": "/docs",
                   "openapi": "/openapi.json", "dashboard": "/dashboard"})
        );
    })
    .await;
}

#[tokio::test]
async fn a_dashboard_that_is_off_is_not_there() {
    locked()
        .set("WAPI_DASHBOARD", "off")
        .gateway(async |app| {
            let mut browser = Browser::at(app).with_header("accept", "text/html");
            browser.get("/").await.expect(200).shows("openapi.json");
            for path in ["/dashboard", "/dashboard/login"] {
                let answer = app.with_key(KEY).get(path).await.expect(404);
                assert_eq!(answer.code(), "route_not_found");
            }
            let document = app.get_as("/", "application/json").await.expect(200).json();
            assert_eq!(document["dashboard"], json!(null));
        })
        .await;
}

#[tokio::test]
async fn a_dashboard_with_an_address_of_its_own_is_there_alone() {
    let address = free_address();
    locked()
        .set("WAPI_DASHBOARD_LISTEN", address)
        .gateway(async |app: &mut TestApp| {
            let mut browser = Browser::at(app).with_base(&format!("http://{address}"));
            let login = async || {
                let call = reqwest::get(format!("http://{address}/dashboard/login")).await;
                call.ok().map(drop)
            };
            eventually(login, async || "the dashboard does not listen".to_owned()).await;
            assert_eq!(browser.get("/").await.leads_to(), "/dashboard");
            assert_eq!(browser.log_in(KEY).await.leads_to(), "/dashboard");
            browser.get("/dashboard").await.expect(200);
            browser.get("/v1/sessions").await.expect(404);
            app.with_key(KEY).get("/dashboard").await.expect(404);
            // Its links lead somewhere.
            for (path, status) in [
                ("/docs", 200),
                ("/openapi.json", 200),
                ("/connect/none", 404),
            ] {
                let page = browser.get(path).await;
                assert_eq!(page.status, status, "{path}: {}", page.text);
            }
            browser
                .get("/connect/none")
                .await
                .shows("This link is not valid");
        })
        .await;
}
