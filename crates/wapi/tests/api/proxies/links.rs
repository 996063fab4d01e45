//! Callers' links of sessions with a proxy: the ways they take, and the places they must not lead to.

use std::net::SocketAddr;

use axum::Router;
use axum::response::Redirect;
use axum::routing::get;
use serde_json::json;

use crate::harness::{Setup, TestProxy, TestReceiver, dialled, looked_up};

const PDF: &str = "%PDF-1.4\n%%EOF\n";

fn pages() -> SocketAddr {
    let pages = Router::new()
        .route("/file.pdf", get(async || PDF))
        .route(
            "/moved",
            get(async || Redirect::to("http://www.moved.example/file.pdf")),
        )
        .route("/round", get(async || Redirect::to("/round")))
        .route(
            "/inside",
            get(async || Redirect::to("http://router/secret")),
        )
        .route(
            "/own",
            get(async || Redirect::to("http://127.0.0.1:1/secret")),
        );
    let base = TestReceiver::serve(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), pages);
    base.trim_start_matches("http://").parse().unwrap()
}

#[tokio::test]
async fn a_link_through_a_proxy_must_not_lead_into_a_network_as_far_as_its_name_tells() {
    let (pages, link) = (pages(), "/v1/sessions/shop/media");
    for (proxy, name) in [
        (TestProxy::socks().await, "www.one.example"),
        (TestProxy::connect().await, "www.two.example"),
    ] {
        proxy.knows(name, pages);
        let setup = Setup::new()
            .set("WAPI_ALLOW_PRIVATE_TARGETS", "none")
            .set("WAPI_PROXY", proxy.url());
        setup
            .shop(async |app, _, _| {
                let body = json!({"link": format!("http://{name}/file.pdf")});
                app.post(link, body).await.expect(201);
                let before = proxy.asked();
                assert!(before.contains(&format!("{name}:80")), "{before:?}");
                for target in [
                    format!("http://{pages}/file.pdf"),
                    "http://10.0.0.1/".to_owned(),
                    "http://[::1]/".to_owned(),
                    "http://2130706433/".to_owned(),
                    "http://localhost/".to_owned(),
                    "http://a.localhost/".to_owned(),
                    "http://router/".to_owned(),
                    "http://db.internal/".to_owned(),
                ] {
                    let answer = app.post(link, json!({"link": target})).await.expect(400);
                    assert_eq!(answer.fields(), ["link"], "{target}");
                    let problem = answer.json().to_string();
                    assert!(problem.contains("private network"), "{target}: {problem}");
                }
                assert_eq!(proxy.asked(), before);
                for path in ["inside", "own"] {
                    let body = json!({"link": format!("http://{name}/{path}")});
                    app.post(link, body).await.expect(400);
                }
                let asked = proxy.asked();
                assert!(
                    !asked
                        .iter()
                        .any(|it| it.contains("router") || it == "127.0.0.1:1")
                );
                assert!(!looked_up().contains(&name.to_owned()));
            })
            .await;
    }
}

#[tokio::test]
async fn each_redirect_through_a_proxy_is_asked_for_with_the_login() {
    let (pages, link) = (pages(), "/v1/sessions/shop/media");
    for proxy in [TestProxy::connect().await, TestProxy::socks().await] {
        for name in ["www.shop.example", "www.moved.example"] {
            proxy.knows(name, pages);
        }
        Setup::new()
            .set("WAPI_PROXY", proxy.url())
            .shop(async |app, _, _| {
                let moved = json!({"link": "http://www.shop.example/moved"});
                app.post(link, moved).await.expect(201);
                let asked = proxy.asked();
                assert!(asked.contains(&"www.moved.example:80".to_owned()));
                let round = json!({"link": "http://www.shop.example/round"});
                let answer = app.post(link, round).await.expect(400);
                let problem = answer.json().to_string();
                assert!(problem.contains("more than 5 times"), "{problem}");
            })
            .await;
    }
}

#[tokio::test]
async fn links_can_be_kept_off_the_proxy() {
    let (pages, proxy) = (pages(), TestProxy::socks().await);
    let setup = Setup::new()
        .set("WAPI_ALLOW_PRIVATE_TARGETS", "127.0.0.0/8")
        .set("WAPI_PROXY", proxy.url())
        .set("WAPI_PROXY_LINKS", "off");
    setup
        .shop(async |app, _, _| {
            let body = json!({"link": format!("http://{pages}/file.pdf")});
            app.post("/v1/sessions/shop/media", body).await.expect(201);
            assert!(dialled().contains(&pages));
            assert_eq!(proxy.opened(pages), 0);
            assert!(proxy.opened(app.simulator.listen_address()) > 0);
            let check = app.order("shop", "proxy/check").await.expect(200).json();
            assert_eq!(check["links"], "direct");
            assert_eq!(check["links_judged_by"], "address");
        })
        .await;
}

#[tokio::test]
async fn a_proxy_that_leaves_names_to_the_gateway_is_asked_for_addresses() {
    let (pages, proxy) = (pages(), TestProxy::socks().await);
    let setup = Setup::new()
        .by_name()
        .set("WAPI_ALLOW_PRIVATE_TARGETS", "none")
        .set("WAPI_PROXY", proxy.url().replace("socks5h", "socks5"));
    setup
        .shop(async |app, _, _| {
            let whatsapp = app.simulator.listen_address();
            let asked = proxy.asked();
            assert!(
                asked.iter().all(|it| *it == whatsapp.to_string()),
                "{asked:?}"
            );
            // The name leads to this machine, which only its resolution tells.
            let body = json!({"link": format!("http://localhost:{}/file.pdf", pages.port())});
            let answer = app.post("/v1/sessions/shop/media", body).await.expect(400);
            let problem = answer.json().to_string();
            assert!(problem.contains("private network"), "{problem}");
            assert_eq!(proxy.opened(pages), 0);
            let check = app.order("shop", "proxy/check").await.expect(200).json();
            assert_eq!(check["names"], "gateway");
            assert_eq!(check["links_judged_by"], "address");
        })
        .await;
}
