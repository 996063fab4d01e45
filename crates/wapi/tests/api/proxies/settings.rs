//! The proxy as a setting of a session: given, shown without its password, changed, tried.

use serde_json::{Value, json};
use sqlx::ConnectOptions;
use sqlx::sqlite::SqliteConnectOptions;

use super::{is_silent_about_the_password, proxy_of, talk};
use crate::harness::{
    ChaosProxy, Line, Setup, Surroundings, TestProxy, USER, Wapi, dialled, eventually,
    free_address, gateway, shop,
};

#[tokio::test]
async fn a_session_shows_its_proxy_across_restarts_and_never_the_password() {
    let (own, default) = (TestProxy::socks().await, TestProxy::connect().await);
    let setup = Setup::new().set("WAPI_PROXY", default.url());
    setup
        .gateway(async |app| {
            let alice = app.phone("Alice");
            let answer = app
                .post(
                    "/v1/sessions",
                    json!({"id": "shop", "proxy": {"url": own.url()}}),
                )
                .await
                .expect(201);
            is_silent_about_the_password(&answer.json().to_string());
            app.until("shop", "scan_qr").await;
            alice.scans_qr(&app.qr("shop").await).await.unwrap();
            app.until("shop", "online").await;
            let shown = json!({
                "scheme": "socks5h", "host": "127.0.0.1", "port": own.address.port(), "user": USER,
                "source": "session",
            });
            assert_eq!(proxy_of(app, "shop").await, shown);
            let used = own.opened(app.simulator.listen_address());

            app.restart().await;
            app.until("shop", "online").await;
            assert_eq!(proxy_of(app, "shop").await, shown);
            assert!(own.opened(app.simulator.listen_address()) > used);
            assert!(default.asked().is_empty());
            let metrics = app.get("/metrics").await.expect(200).body;
            let metrics = String::from_utf8(metrics).unwrap();
            let counted = "wapi_sessions_proxied{source=\"session\"} 1\n";
            assert!(metrics.contains(counted), "{metrics}");

            app.patch("/v1/sessions/shop", json!({"proxy": null}))
                .await
                .expect(200);
            app.until("shop", "online").await;
            assert_eq!(proxy_of(app, "shop").await["source"], "settings");
            assert!(!default.asked().is_empty());
            for path in [
                "/v1/sessions",
                "/v1/events",
                "/get-session-info/shop/",
                "/metrics",
                "/dashboard/sessions/shop",
            ] {
                let page = app.get(path).await.expect(200).body;
                is_silent_about_the_password(&String::from_utf8(page).unwrap());
            }
            let page = app.get("/dashboard/sessions/shop").await.expect(200).body;
            let shown = format!("http://{}", default.address);
            assert!(String::from_utf8(page).unwrap().contains(&shown));
        })
        .await;
}

#[tokio::test]
async fn a_session_that_is_being_saved_has_its_proxy_already() {
    let proxy = TestProxy::socks().await;
    let away = free_address();
    gateway(async |app| {
        let file = SqliteConnectOptions::new().filename(app.root().join("wapi.db"));
        let mut database = file.connect().await.unwrap();
        let lock = sqlx::query("BEGIN EXCLUSIVE");
        lock.execute(&mut database).await.unwrap();
        let creating = app.post(
            "/v1/sessions",
            json!({"id": "shop", "proxy": {"url": proxy.url()}}),
        );
        let meanwhile = async {
            let known = async || {
                let answer = app.session("shop").await;
                (answer.status == 200).then(|| answer.json())
            };
            let shown = eventually(known, async || "no session".to_owned()).await;
            assert_eq!(shown["proxy"]["source"], "session", "{shown}");
            // Nobody is there, and only the proxy finds out.
            let link = json!({"link": format!("http://{away}/file")});
            let answer = app.post("/v1/sessions/shop/media", link).await;
            answer.expect(400);
            assert_eq!(proxy.asked(), [away.to_string()]);
            let unlock = sqlx::query("ROLLBACK");
            unlock.execute(&mut database).await.unwrap();
        };
        let (created, ()) = tokio::join!(creating, meanwhile);
        created.expect(201);
    })
    .await;
}

#[tokio::test]
async fn a_session_with_another_proxy_reconnects_through_it() {
    let proxies = [TestProxy::socks().await, TestProxy::connect().await];
    shop(async |app, alice, bob| {
        assert_eq!(proxy_of(app, "shop").await, Value::Null);
        for proxy in &proxies {
            let body = json!({"proxy": {"url": proxy.url()}, "pacing": {"min_gap": 0}});
            app.patch("/v1/sessions/shop", body).await.expect(200);
            app.until("shop", "online").await;
            talk(app, "shop", &alice, &bob).await;
            let (used, dials) = (proxy.asked().len(), dialled().len());
            assert!(used > 0);
            // The same once more changes nothing.
            let body = json!({"proxy": {"url": proxy.url()}});
            let same = app.patch("/v1/sessions/shop", body).await.expect(200);
            assert_eq!(same.json()["status"], "online");
            assert!(dialled().len() >= dials && proxy.asked().len() == used);
        }
        app.patch("/v1/sessions/shop", json!({"proxy": null}))
            .await
            .expect(200);
        app.until("shop", "online").await;
        assert_eq!(proxy_of(app, "shop").await, Value::Null);
    })
    .await;
}

#[tokio::test]
async fn a_stopped_session_keeps_a_new_proxy_for_its_start() {
    let proxy = TestProxy::socks().await;
    shop(async |app, _, _| {
        app.order("shop", "stop").await.expect(200);
        let body = json!({"proxy": {"url": proxy.url()}});
        let answer = app.patch("/v1/sessions/shop", body).await.expect(200);
        assert_eq!(answer.json()["status"], "stopped");
        assert!(proxy.asked().is_empty());
        app.order("shop", "start").await.expect(200);
        app.until("shop", "online").await;
        assert!(!proxy.asked().is_empty());
    })
    .await;
}

#[tokio::test]
async fn a_proxy_that_makes_no_sense_is_refused_by_field() {
    gateway(async |app| {
        app.register("shop").await.expect(202);
        for (proxy, field, words) in [
            (json!({}), "proxy.url", "is missing"),
            (json!("socks5h://a.example:1"), "proxy", "is a text"),
            (json!({"url": 1}), "proxy.url", "is a number"),
            (
                json!({"url": "http://a:1", "host": "a"}),
                "proxy.host",
                "is not a field",
            ),
            (
                json!({"url": "ftp://me:secret@a:1"}),
                "proxy.url",
                "unknown scheme",
            ),
            (
                json!({"url": "socks4://a:1"}),
                "proxy.url",
                "unknown scheme",
            ),
            (
                json!({"url": "socks5h://me:secret@a.example"}),
                "proxy.url",
                "no port",
            ),
            (
                json!({"url": "http://a.example:1/secret"}),
                "proxy.url",
                "a path",
            ),
            (json!({"url": "me:secret"}), "proxy.url", "no scheme"),
        ] {
            let body = json!({"proxy": proxy});
            let changed = app.patch("/v1/sessions/shop", body).await;
            let body = json!({"id": "other", "proxy": proxy});
            let created = app.post("/v1/sessions", body).await;
            for answer in [changed.expect(400), created.expect(400)] {
                let problem = answer.json().to_string();
                assert_eq!(answer.fields(), [field], "{problem}");
                assert!(
                    problem.contains(words) && !problem.contains("secret"),
                    "{problem}"
                );
            }
        }
        let answer = app.patch("/v1/sessions/shop", json!({})).await.expect(400);
        assert!(answer.json().to_string().contains("give pacing or proxy"));
        app.session("other").await.expect(404);
        assert_eq!(proxy_of(app, "shop").await, Value::Null);
    })
    .await;
}

#[tokio::test]
async fn a_callers_proxy_must_not_be_in_a_private_network_and_the_operators_may() {
    let proxy = TestProxy::socks().await;
    let setup = Setup::new()
        .set("WAPI_ALLOW_PRIVATE_TARGETS", "none")
        .set("WAPI_PROXY", proxy.url());
    setup
        .gateway(async |app| {
            let alice = app.phone("Alice");
            for url in [proxy.url(), "http://[fd00::1]:3128".to_owned()] {
                let body = json!({"id": "own", "proxy": {"url": url}});
                let answer = app.post("/v1/sessions", body).await.expect(400);
                assert_eq!(answer.fields(), ["proxy.url"]);
                let problem = answer.json().to_string();
                assert!(problem.contains("private network"), "{problem}");
            }
            app.pair("shop", &alice).await;
            // A name is judged when it is resolved.
            let named = format!("socks5h://localhost:{}", proxy.address.port());
            let body = json!({"id": "named", "proxy": {"url": named}});
            app.post("/v1/sessions", body).await.expect(201);
            app.until("named", "offline").await;
            let reason = app.session("named").await.json()["reason"].take();
            assert!(
                reason.as_str().unwrap().contains("private network"),
                "{reason}"
            );
            let check = app.order("named", "proxy/check").await.expect(200).json();
            assert_eq!(check["fault"], "forbidden");
        })
        .await;
}

#[tokio::test]
async fn a_check_says_how_far_it_came() {
    gateway(async |app| {
        let proxy = TestProxy::socks().await;
        let way = ChaosProxy::to(proxy.address).await;
        app.register("none").await.expect(202);
        let answer = app.order("none", "proxy/check").await.expect(409);
        assert_eq!(answer.code(), "proxy_not_set");
        app.order("unknown", "proxy/check").await.expect(404);

        let body = json!({"id": "shop", "proxy": {"url": proxy.url_at(way.address)}});
        app.post("/v1/sessions", body).await.expect(201);
        let check = async || {
            let check = app.order("shop", "proxy/check").await.expect(200).json();
            is_silent_about_the_password(&check.to_string());
            check
        };
        let mut good = check().await;
        assert!(good["ms"].as_f64().unwrap() > 0.0);
        (good["ms"], good["checked_at"]) = ("[ms]".into(), "[time]".into());
        good["proxy"]["port"] = "[port]".into();
        insta::assert_json_snapshot!(good, @r#"
        {
          "authenticated": true,
          "checked_at": "[time]",
          "connected": true,
          "detail": null,
          "fault": null,
          "links": "proxy",
          "links_judged_by": "name",
          "ms": "[ms]",
          "names": "proxy",
          "ok": true,
          "proxy": {
            "host": "127.0.0.1",
            "port": "[port]",
            "scheme": "socks5h",
            "source": "session",
            "user": "tenant-7"
          },
          "reached": true
        }
        "#);
        way.set(Line::Refused);
        let away = check().await;
        assert_eq!(
            (
                &away["ok"],
                &away["reached"],
                &away["authenticated"],
                &away["fault"]
            ),
            (
                &json!(false),
                &json!(false),
                &Value::Null,
                &json!("unreachable")
            )
        );
        way.set(Line::Whole);
        let wrong = format!("socks5h://{USER}:other@{}", proxy.address);
        app.patch("/v1/sessions/shop", json!({"proxy": {"url": wrong}}))
            .await
            .expect(200);
        let refused = check().await;
        assert_eq!(
            (
                &refused["reached"],
                &refused["authenticated"],
                &refused["fault"]
            ),
            (&json!(true), &json!(false), &json!("login_refused"))
        );
        way.set(Line::Stalled);
        let body = json!({"proxy": {"url": proxy.url_at(way.address)}});
        app.patch("/v1/sessions/shop", body).await.expect(200);
        let silent = tokio::join!(
            check(),
            app.while_time_passes(async || {
                let dials = dialled();
                let tries = dials.iter().filter(|dial| **dial == way.address).count();
                (tries > 4).then_some(())
            })
        );
        assert_eq!(silent.0["fault"], "silent");
    })
    .await;
}

#[tokio::test]
async fn a_check_tells_whose_fault_it_is() {
    let setup = Setup::new().by_name();
    setup
        .gateway(async |app| {
            let proxy = TestProxy::socks().await;
            let body = json!({"id": "shop", "proxy": {"url": proxy.url()}});
            app.post("/v1/sessions", body).await.expect(201);
            let check = async || {
                let check = app.order("shop", "proxy/check").await.expect(200).json();
                let parts = ["ok", "reached", "authenticated", "connected", "fault"];
                json!(parts.map(|part| check[part].clone()))
            };
            assert_eq!(check().await, json!([true, true, true, true, null]));
            // Someone else is where the proxy takes WhatsApp to be.
            proxy.knows("localhost", app.webhook.address);
            let fault = "whatsapp_silent";
            assert_eq!(check().await, json!([false, true, true, true, fault]));
            proxy.knows("localhost", free_address());
            let fault = "target_refused";
            assert_eq!(check().await, json!([false, true, true, false, fault]));
            let strange = format!("socks5h://{}", app.webhook.address);
            let body = json!({"proxy": {"url": strange}});
            app.patch("/v1/sessions/shop", body).await.expect(200);
            let fault = "protocol";
            assert_eq!(check().await, json!([false, true, null, false, fault]));
        })
        .await;
}

#[tokio::test]
async fn a_proxy_of_the_settings_that_makes_no_sense_ends_the_start() {
    for (value, words) in [
        ("ftp://me:secret@a:21", "unknown scheme"),
        ("socks5h://me:secret@proxy.example.com", "has no port"),
    ] {
        let refusal = Wapi::new().set("WAPI_PROXY", value).refusal().await;
        assert!(
            refusal.contains("WAPI_PROXY") && refusal.contains(words),
            "{refusal}"
        );
        assert!(!refusal.contains("secret@"), "{refusal}");
    }
}

#[tokio::test]
async fn no_log_line_shows_the_password() {
    let Surroundings {
        simulator,
        webhook: _webhook,
        wapi,
        address,
    } = Surroundings::new().await;
    let (proxy, default) = (TestProxy::connect().await, TestProxy::socks().await);
    let wapi = wapi
        .set("WAPI_LOG", "trace")
        .set("WAPI_PROXY", default.url());
    let (running, client) = wapi.serves(address).await;
    client.register("default").await.expect(202);
    let body = json!({"id": "own", "proxy": {"url": proxy.url()}});
    client.post("/v1/sessions", body).await.expect(201);
    let own = async || (!proxy.asked().is_empty()).then_some(());
    eventually(own, async || "the proxy is not asked".to_owned()).await;
    client.order("own", "proxy/check").await.expect(200);
    let link = json!({"link": "http://nowhere.example/file"});
    client
        .post("/v1/sessions/own/media", link)
        .await
        .expect(400);
    let ended = running.terminate().await;
    simulator.finish().await.unwrap();
    is_silent_about_the_password(&ended.stderr);
    is_silent_about_the_password(&ended.stdout);
    assert!(!default.asked().is_empty());
}
