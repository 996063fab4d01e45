//! Connect links: pages with which the owners of phones link a session, without a key.

use std::time::Duration;

use reqwest::Method;
use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::sqlite::{SqliteConnectOptions, SqliteConnection};

use crate::harness::{Answer, Setup, TestApp, eventually, gateway};

const LINKS: &str = "/v1/sessions/shop/connect-links";

/// Creates a session, and a link for it; the path of its page.
async fn create_link(app: &TestApp, body: Value) -> (String, Value) {
    app.post("/v1/sessions", json!({"id": "shop"}))
        .await
        .expect(201);
    let link = app.post(LINKS, body).await.expect(201).json();
    (link["path"].as_str().unwrap().to_owned(), link)
}

fn html(answer: &Answer) -> String {
    String::from_utf8(answer.body.to_vec()).unwrap()
}

/// Waits until the page shows this text.
async fn until_page(app: &TestApp, path: &str, text: &str) -> String {
    let shown = async || Some(html(&app.get(path).await)).filter(|page| page.contains(text));
    eventually(shown, async || {
        format!("no {text:?} on {}", html(&app.get(path).await))
    })
    .await
}

/// Sends a form of the page.
async fn send_form(app: &TestApp, path: &str, fields: &[(&str, &str)]) -> Answer {
    let body = url::form_urlencoded::Serializer::new(String::new())
        .extend_pairs(fields)
        .finish();
    let call = app
        .request(Method::POST, path)
        .header("content-type", "application/x-www-form-urlencoded")
        .body(body);
    app.answer(call).await
}

/// The text between two others.
fn between<'a>(page: &'a str, before: &str, after: &str) -> &'a str {
    let (_, rest) = page.split_once(before).expect("the text before");
    rest.split_once(after).expect("the text after").0
}

#[tokio::test]
async fn a_link_shows_the_code_to_scan_without_a_key_and_is_over_once_a_phone_is_linked() {
    Setup::new()
        .set("WAPI_API_KEY", "secret-key-of-the-shop-0001")
        .gateway(async |app| {
            let owner = app.with_key("secret-key-of-the-shop-0001");
            let alice = app.phone("Alice");
            owner
                .post("/v1/sessions", json!({"id": "shop"}))
                .await
                .expect(201);
            app.get(LINKS).await.expect(401);
            let link = owner.post(LINKS, json!({})).await.expect(201).json();
            let path = link["path"].as_str().unwrap();
            let page = until_page(app, path, "Code 1 of 6").await;
            assert!(page.contains("<svg") && !page.contains("shop"), "{page}");
            assert!(page.contains("data-seconds=\"") && page.contains("data-next=\"?rounds=0\""));
            let qr = owner
                .get_as("/v1/sessions/shop/qr", "text/plain")
                .await
                .expect(200);
            alice.scans_qr(&html(&qr)).await.unwrap();
            until_page(app, path, "The phone is linked").await;
            let used = async || {
                let links = owner.get(LINKS).await.expect(200).json();
                Some(links["connect_links"][0]["used_at"].clone()).filter(Value::is_string)
            };
            eventually(used, async || "the link was not used".to_owned()).await;
            app.push_clock(Duration::from_secs(601));
            let over = app.get(path).await.expect(410);
            assert!(html(&over).contains("This link is not valid, or no longer."));
            send_form(app, path, &[("step", "confirm")])
                .await
                .expect(410);
            assert_eq!(
                owner.post(LINKS, json!({})).await.expect(409).code(),
                "session_already_paired"
            );
        })
        .await;
}

#[tokio::test]
async fn a_linked_phone_ends_a_link_even_where_the_session_is_logged_out_again() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        let (path, _) = create_link(app, json!({})).await;
        let device = app.pair("shop", &alice).await;
        until_page(app, &path, "The phone is linked").await;
        alice.logs_out(device).await.unwrap();
        app.until("shop", "logged_out").await;
        app.push_clock(Duration::from_secs(601));
        app.get(&path).await.expect(410);
        assert_eq!(app.info("shop").await.json()["status"], "logged_out");
    })
    .await;
}

#[tokio::test]
async fn a_link_that_expired_was_revoked_or_never_existed_tells_nothing() {
    gateway(async |app| {
        let (path, link) = create_link(app, json!({"expires_in": 60})).await;
        assert_eq!(link["used_at"], Value::Null);
        let (created, expires): (jiff::Timestamp, jiff::Timestamp) = (
            link["created_at"].as_str().unwrap().parse().unwrap(),
            link["expires_at"].as_str().unwrap().parse().unwrap(),
        );
        assert_eq!(expires.duration_since(created).as_secs(), 60);
        let revoked = app.post(LINKS, json!({})).await.expect(201).json();
        let one = format!("{LINKS}/{}", revoked["id"].as_str().unwrap());
        app.delete(&one).await.expect(204);
        assert_eq!(
            app.delete(&one).await.expect(404).code(),
            "connect_link_not_found"
        );
        app.push_clock(Duration::from_secs(60));
        let pages = [
            app.get("/connect/never-made").await.expect(404),
            app.get(revoked["path"].as_str().unwrap()).await.expect(404),
            app.get(&path).await.expect(410),
        ];
        for page in &pages {
            assert_eq!(page.body, pages[0].body);
        }
        assert!(html(&pages[0]).contains("This link is not valid, or no longer."));
        let listed = app.get(LINKS).await.expect(200).json();
        assert_eq!(listed["connect_links"].as_array().unwrap().len(), 1);
        assert_eq!(listed["connect_links"][0].get("path"), None);
        let file = std::fs::read(app.root().join("wapi.db")).unwrap();
        let token = path.strip_prefix("/connect/").unwrap().as_bytes();
        assert!(!file.windows(token.len()).any(|bytes| bytes == token));
    })
    .await;
}

#[tokio::test]
async fn a_link_ends_with_its_session() {
    gateway(async |app| {
        let (path, _) = create_link(app, json!({})).await;
        app.delete("/v1/sessions/shop").await.expect(204);
        app.post("/v1/sessions", json!({"id": "shop"}))
            .await
            .expect(201);
        app.get(&path).await.expect(404);
    })
    .await;
}

#[tokio::test]
async fn a_link_survives_a_restart() {
    gateway(async |app| {
        let (path, _) = create_link(app, json!({})).await;
        app.restart().await;
        until_page(app, &path, "Code 1 of 6").await;
    })
    .await;
}

#[tokio::test]
async fn a_page_of_a_link_loads_and_leaks_nothing() {
    gateway(async |app| {
        let (path, _) = create_link(app, json!({})).await;
        for path in [path.as_str(), "/connect/never-made"] {
            let answer = app.get(path).await;
            let head = |name: &str| answer.headers[name].to_str().unwrap().to_owned();
            let policy = head("content-security-policy");
            assert!(
                policy.starts_with("default-src 'none'; style-src 'sha256-"),
                "{policy}"
            );
            assert!(!policy.contains("unsafe"), "{policy}");
            assert!(policy.contains("script-src 'sha256-"), "{policy}");
            assert!(policy.ends_with("frame-ancestors 'none'"), "{policy}");
            assert_eq!(head("referrer-policy"), "no-referrer");
            assert_eq!(head("cache-control"), "no-store");
            let page = html(&answer);
            for loaded in ["<script src", " src=", "<link", "http://", "style=\""] {
                let page = page.replace("xmlns=\"http://www.w3.org/2000/svg\"", "");
                assert!(!page.contains(loaded), "{loaded}: {page}");
            }
        }
    })
    .await;
}

#[tokio::test]
async fn a_phone_is_linked_by_code_on_the_page() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        let (path, _) = create_link(app, json!({})).await;
        until_page(app, &path, "Link with the phone number instead").await;
        let wrong = send_form(app, &path, &[("step", "code"), ("phone", "12<b>")]).await;
        let wrong = html(&wrong.expect(400));
        assert!(
            wrong.contains("must be an international phone number"),
            "{wrong}"
        );
        let form = [("step", "code"), ("phone", alice.number())];
        let page = html(&send_form(app, &path, &form).await.expect(200));
        let code = between(&page, "<p class=\"code\">", "</p>");
        alice.enters_code(code).await.unwrap();
        until_page(app, &path, "The phone is linked").await;
    })
    .await;
}

#[tokio::test]
async fn the_form_for_a_number_stays_while_it_is_filled_in() {
    gateway(async |app| {
        let (path, _) = create_link(app, json!({})).await;
        let page = until_page(app, &path, "Code 1 of 6").await;
        assert!(page.contains("http-equiv") && page.contains("href=\"?by=code\""));
        assert!(!page.contains("name=\"phone\""), "{page}");
        let path = format!("{path}?by=code");
        let page = html(&app.get(&path).await.expect(200));
        assert!(page.contains("name=\"phone\""), "{page}");
        assert!(!page.contains("http-equiv"), "{page}");
        let wrong = send_form(app, &path, &[("step", "code"), ("phone", "12<b>")]).await;
        let wrong = html(&wrong.expect(400));
        assert!(wrong.contains("value=\"12&lt;b&gt;\""), "{wrong}");
        assert!(!wrong.contains("http-equiv"), "{wrong}");
    })
    .await;
}

#[tokio::test]
async fn an_open_page_asks_for_a_few_rounds_of_codes_and_then_shows_a_button() {
    gateway(async |app| {
        app.register("shop").await.expect(202);
        let link = app.post(LINKS, json!({})).await.expect(201).json();
        let path = link["path"].as_str().unwrap();
        crate::qr::expire(app).await;
        let paused = html(&app.get(&format!("{path}?rounds=3")).await.expect(200));
        assert!(paused.contains("The codes have expired."), "{paused}");
        assert!(!paused.contains("http-equiv"), "{paused}");
        assert_eq!(app.info("shop").await.json()["reason"], "expired");
        let again = format!("{path}?rounds=2");
        let page = html(&app.get(&again).await.expect(200));
        assert!(page.contains("; url=?rounds=3\""), "{page}");
        crate::qr::expire(app).await;
        let page = html(&send_form(app, path, &[("step", "qr")]).await.expect(200));
        assert!(page.contains("Code 1 of 6"), "{page}");
        assert!(page.contains("; url=?rounds=1\""), "{page}");
    })
    .await;
}

#[tokio::test]
async fn a_page_tells_a_visitor_nothing_of_the_gateway_and_wakes_no_stopped_session() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        let (path, _) = create_link(app, json!({})).await;
        app.post("/v1/sessions/shop/stop", json!({}))
            .await
            .expect(200);
        let page = html(&app.get(&path).await.expect(200));
        assert!(page.contains("Linking is not possible"), "{page}");
        let form = [("step", "code"), ("phone", alice.number())];
        let page = html(&send_form(app, &path, &form).await.expect(409));
        assert!(page.contains("Try again in a moment."), "{page}");
        assert!(!page.contains("request"), "{page}");
        assert_eq!(app.info("shop").await.json()["status"], "stopped");
    })
    .await;
}

/// A database in which no connect link can be ended, until the trigger is dropped.
async fn keep_links(app: &TestApp) -> SqliteConnection {
    let file = SqliteConnectOptions::new().filename(app.root().join("wapi.db"));
    let mut database = file.connect().await.unwrap();
    let trigger = "CREATE TRIGGER keep_links BEFORE UPDATE ON connect_links \
                   BEGIN SELECT RAISE(ABORT, 'the links are kept'); END";
    sqlx::query(trigger).execute(&mut database).await.unwrap();
    database
}

async fn drop_trigger(mut database: SqliteConnection) {
    let drop = sqlx::query("DROP TRIGGER keep_links");
    drop.execute(&mut database).await.unwrap();
}

async fn used_at(app: &TestApp) -> Value {
    let links = app.get(LINKS).await.expect(200).json();
    links["connect_links"][0]["used_at"].clone()
}

#[tokio::test]
async fn a_link_whose_end_cannot_be_saved_ends_as_soon_as_it_can() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        create_link(app, json!({"expires_in": 604_800})).await;
        let database = keep_links(app).await;
        app.pair("shop", &alice).await;
        assert_eq!(used_at(app).await, Value::Null);
        drop_trigger(database).await;
        app.while_time_passes(async || used_at(app).await.is_string().then_some(()))
            .await;
    })
    .await;
}

#[tokio::test]
async fn a_link_that_outlived_its_pairing_ends_when_its_session_is_online_again() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        create_link(app, json!({})).await;
        let database = keep_links(app).await;
        app.pair("shop", &alice).await;
        let stopped = app.stop().await;
        drop_trigger(database).await;
        stopped.start().await;
        let used = async || used_at(app).await.is_string().then_some(());
        eventually(used, async || "the link lives on".to_owned()).await;
    })
    .await;
}

#[tokio::test]
async fn a_phone_is_linked_with_its_passkey_on_the_page() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        let passkey = alice.creates_passkey().unwrap();
        let (path, _) = create_link(app, json!({})).await;
        until_page(app, &path, "Code 1 of 6").await;
        let qr = app.qr("shop").await;
        let steps = async {
            let page = until_page(app, &path, "asks for a passkey").await;
            assert!(!page.contains("http-equiv"), "{page}");
            let options = between(&page, "readonly rows=\"4\">", "</textarea>");
            let options = serde_json::from_str(&options.replace("&quot;", "\"")).unwrap();
            let wrong = [("step", "passkey"), ("assertion", "<i>not it</i>")];
            let wrong = html(&send_form(app, &path, &wrong).await.expect(400));
            assert!(wrong.contains("is not the text that was copied"), "{wrong}");
            let early = send_form(app, &path, &[("step", "confirm")]).await;
            early.expect(409);
            let assertion = passkey.signs(&options).unwrap().to_string();
            let answer = [("step", "passkey"), ("assertion", assertion.as_str())];
            send_form(app, &path, &answer).await.expect(200);
            let code = alice.sees_passkey_code().await;
            until_page(app, &path, &code).await;
            send_form(app, &path, &[("step", "confirm")])
                .await
                .expect(200);
        };
        let (linked, ()) = tokio::join!(alice.scans_qr(&qr), steps);
        linked.unwrap();
        until_page(app, &path, "The phone is linked").await;
    })
    .await;
}

#[tokio::test]
async fn a_wrong_request_for_a_link_is_refused_by_field() {
    gateway(async |app| {
        app.post(LINKS, json!({})).await.expect(404);
        create_link(app, json!({})).await;
        for (body, field) in [
            (json!({"expires_in": 59}), "expires_in"),
            (json!({"expires_in": 604_801}), "expires_in"),
            (json!({"expires_in": "1h"}), "expires_in"),
            (json!({"expires_on": 60}), "expires_on"),
        ] {
            assert_eq!(app.post(LINKS, body).await.expect(400).fields(), [field]);
        }
    })
    .await;
}

#[tokio::test]
async fn a_page_is_in_the_language_of_its_reader_and_says_how_long_the_code_lasts() {
    gateway(async |app| {
        let (path, link) = create_link(app, json!({})).await;
        until_page(app, &path, "Code 1 of 6").await;
        let russian = async |path: &str| {
            let call = app.request(Method::GET, path);
            html(
                &app.answer(call.header("accept-language", "ru, en;q=0.5"))
                    .await,
            )
        };
        let page = russian(&path).await;
        assert!(page.contains("<html lang=\"ru\""), "{page}");
        assert!(page.contains("Отсканируйте этот код."), "{page}");
        assert!(!page.contains("Scan this code"), "{page}");
        let seconds = between(&page, "data-seconds=\"", "\"");
        assert!((1..=60).contains(&seconds.parse().unwrap()), "{seconds}");
        let expires_at = link["expires_at"].as_str().unwrap();
        assert!(
            page.contains(&format!("<time datetime=\"{expires_at}\"")),
            "{page}"
        );
        let strange = russian("/connect/never-made").await;
        assert!(strange.contains("Эта ссылка не подходит"), "{strange}");
        let german = app
            .request(Method::GET, &path)
            .header("accept-language", "de");
        let page = html(&app.answer(german).await);
        assert!(page.contains("<html lang=\"en\""), "{page}");
        // Without scripts it goes on by a refresh.
        assert!(
            page.contains("<noscript><meta http-equiv=\"refresh\""),
            "{page}"
        );
    })
    .await;
}
