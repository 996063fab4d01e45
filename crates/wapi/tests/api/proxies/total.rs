//! Everything of a session, and every dial of a process.

use std::net::{Ipv4Addr, SocketAddr};

use axum::Router;
use axum::response::Html;
use axum::routing::get;
use serde_json::json;

use super::{pair_through, receive_file};
use crate::harness::{PATIENCE, Setup, TestProxy, TestReceiver, dialled, localhost_is, looked_up};

/// Set in a process that runs the story and nothing beside it.
const ALONE: &str = "WAPI_TESTS_ALONE";

/// The story of a session that pairs, receives a file, sends one by link, and previews a page. Only the proxy knows the names.
async fn story() {
    const PAGE: &str = "<head><meta property=og:title content=Tea><meta property=og:image \
                        content=http://pictures.shop.example/c.png></head>";
    let picture = || {
        let mut file = std::io::Cursor::new(Vec::new());
        image::DynamicImage::new_rgb8(300, 200)
            .write_to(&mut file, image::ImageFormat::Png)
            .unwrap();
        file.into_inner()
    };
    let pages = Router::new()
        .route("/page", get(async || Html(PAGE)))
        .route("/c.png", get(async move || picture()));
    let pages = TestReceiver::serve(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), pages);
    let pages: SocketAddr = pages.trim_start_matches("http://").parse().unwrap();
    let proxy = TestProxy::socks().await;
    proxy.knows("www.shop.example", pages);
    proxy.knows("pictures.shop.example", pages);
    let setup = Setup::new()
        .by_name()
        .set("WAPI_ALLOW_PRIVATE_TARGETS", "127.0.0.0/8");
    setup
        .gateway(async |app| {
            let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
            pair_through(app, "shop", &proxy.url(), &alice).await;

            receive_file(app, &alice, &bob).await;

            let image = json!({"link": "http://pictures.shop.example/c.png"});
            app.accepted(
                "shop",
                json!({"to": bob.number(), "type": "image", "image": image}),
            )
            .await;
            let received = bob.next_message(PATIENCE).await.unwrap();
            assert!(received.to_json()["image_message"].is_object());

            let text = json!({"body": "http://www.shop.example/page", "preview_url": true});
            app.accepted("shop", json!({"to": bob.number(), "text": text}))
                .await;
            let received = bob.next_message(PATIENCE).await.unwrap().to_json();
            assert_eq!(received["extended_text_message"]["title"], "Tea");
            assert!(received["extended_text_message"]["jpeg_thumbnail"].is_array());

            // The dials of this process: the test's own, those of the gateway to the proxy and to its webhook, and those of the
            // proxy, each of which it has counted.
            let (whatsapp, dials) = (app.simulator.listen_address(), dialled());
            let count = |address| dials.iter().filter(|dial| **dial == address).count();
            assert_eq!(count(whatsapp), proxy.opened(whatsapp));
            assert_eq!(count(pages), proxy.opened(pages));
            assert!(proxy.opened(whatsapp) >= 3, "{:?}", proxy.asked());
            let gateway: SocketAddr = app.base().trim_start_matches("http://").parse().unwrap();
            let known = [whatsapp, pages, proxy.address, gateway, app.webhook.address];
            let strange: Vec<_> = dials.iter().filter(|dial| !known.contains(dial)).collect();
            assert!(strange.is_empty(), "{strange:?}");
            assert_eq!(looked_up(), Vec::<String>::new());
            let named = format!("localhost:{}", whatsapp.port());
            assert!(proxy.asked().contains(&named), "{:?}", proxy.asked());
        })
        .await;
}

#[tokio::test]
async fn nothing_of_a_session_passes_by_its_proxy() {
    let name = "nothing_of_a_session_passes_by_its_proxy";
    tell_alone(name, story()).await;
}

/// Tells the story of a test in a process that runs nothing beside it.
async fn tell_alone(name: &str, story: impl Future<Output = ()>) {
    if std::env::var_os(ALONE).is_some() {
        return story.await;
    }
    let name = format!("proxies::total::{name}");
    let alone = tokio::process::Command::new(std::env::current_exe().unwrap())
        .args([&*name, "--exact", "--nocapture"])
        .env(ALONE, "yes")
        .output();
    let alone = alone.await.unwrap();
    let output = [alone.stdout, alone.stderr].concat();
    let output = String::from_utf8_lossy(&output);
    assert!(
        alone.status.success() && output.contains("1 passed"),
        "{output}"
    );
}

#[tokio::test]
async fn a_proxy_that_does_not_reach_an_address_is_asked_for_the_next() {
    let name = "a_proxy_that_does_not_reach_an_address_is_asked_for_the_next";
    tell_alone(name, async {
        // Nobody listens at the first two, as where a proxy has no IPv6.
        localhost_is(&[9, 8, 1].map(|last| Ipv4Addr::new(127, 0, 0, last)));
        let pages = Router::new().route("/file.pdf", get(async || "%PDF-1.4\n%%EOF\n"));
        let pages = TestReceiver::serve(std::net::TcpListener::bind("127.0.0.1:0").unwrap(), pages);
        let pages = pages.replace("127.0.0.1", "localhost");
        let proxy = TestProxy::socks().await;
        let url = proxy.url().replace("socks5h", "socks5");
        let setup = Setup::new()
            .by_name()
            .set("WAPI_ALLOW_PRIVATE_TARGETS", "all");
        setup
            .gateway(async |app| {
                let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
                pair_through(app, "shop", &url, &alice).await;
                receive_file(app, &alice, &bob).await;
                for _ in 0..2 {
                    let body = json!({"link": format!("{pages}/file.pdf")});
                    app.post("/v1/sessions/shop/media", body).await.expect(201);
                }
                let port = pages.rsplit_once(':').unwrap().1;
                let asked = proxy.asked();
                let asked: Vec<_> = asked.iter().filter(|it| it.ends_with(port)).collect();
                // The second time begins where the first ended.
                let [first, second, ..] =
                    ["127.0.0.9", "127.0.0.8"].map(|ip| format!("{ip}:{port}"));
                assert_eq!(asked[..2], [&first, &second]);
                let rest = asked[2..].iter().all(|it| it.starts_with("127.0.0.1:"));
                assert!(rest, "{asked:?}");
            })
            .await;
    })
    .await;
}

/// The notes are taken at all.
#[tokio::test]
async fn a_dial_and_a_name_are_noticed() {
    let name = "noticed.wapi.invalid";
    assert!(tokio::net::lookup_host((name, 1)).await.is_err());
    assert!(looked_up().contains(&name.to_owned()));
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap();
    tokio::net::TcpStream::connect(address).await.unwrap();
    assert!(dialled().contains(&address));
}
