//! The connections over which events are posted.

use std::sync::Arc;
use std::time::Duration;

use axum::http::Version;
use axum_server::tls_rustls::RustlsConfig;
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use serde_json::json;

use crate::harness::{
    ChaosProxy, Manner, PlainReceiver, Setup, TestReceiver, Wapi, eventually, free_address,
    options, shop,
};
use crate::metrics::{sample, until};

#[tokio::test]
async fn posts_follow_each_other_on_one_connection() {
    let webhook = TestReceiver::start().await;
    let line = ChaosProxy::to(webhook.address).await;
    let hooks = format!("http://{}/hooks/", line.address);
    Setup::new()
        .set("WAPI_GETTING_MESSAGES_WEBHOOK", hooks)
        .shop(async |app, alice, bob| {
            for number in 0..5 {
                let text = number.to_string();
                bob.sends_text(alice.number(), &text).await.unwrap();
                let post = webhook.next().await;
                assert_eq!(post.body["data"]["text"]["body"], text);
                assert_eq!(post.headers["host"], line.address.to_string());
                assert_eq!(post.headers["accept"], "*/*");
                // Then the gateway has read the answer.
                let series = "wapi_deliveries_total{outcome=\"delivered\"}";
                until(app, series, f64::from(number + 1)).await;
            }
            assert_eq!(line.taken(), 1);
        })
        .await;
}

#[tokio::test]
async fn a_connection_that_was_closed_while_idle_costs_no_attempt() {
    let mut plain = PlainReceiver::start(&[Manner::AnswersAndCloses]).await;
    let hooks = format!("http://{}/hooks/", plain.address);
    Setup::new()
        .set("WAPI_GETTING_MESSAGES_WEBHOOK", hooks)
        .shop(async |app, alice, bob| {
            for number in 0..5 {
                bob.sends_text(alice.number(), "hi").await.unwrap();
                // The test's clock stands still, so a second attempt would not come.
                assert_eq!(plain.next().await.connection, number);
            }
            let series = "wapi_deliveries_total{outcome=\"failed\"}";
            assert_eq!(sample(app, series).await.unwrap_or_default(), 0.0);
        })
        .await;
}

#[tokio::test]
async fn a_post_that_was_read_and_not_answered_is_an_attempt() {
    let manners = &[Manner::Answers, Manner::Closes, Manner::Answers];
    let mut plain = PlainReceiver::start(manners).await;
    shop(async |app, alice, bob| {
        let url = format!("http://{}/", plain.address);
        let made = app.post(
            "/v1/webhooks",
            json!({"url": url, "types": ["message.received"]}),
        );
        let id = made.await.expect(201).json()["id"]
            .as_str()
            .unwrap()
            .to_owned();
        bob.sends_text(alice.number(), "one").await.unwrap();
        assert_eq!(plain.next().await.connection, 0);
        bob.sends_text(alice.number(), "two").await.unwrap();
        let unanswered = plain.next().await;
        assert_eq!(unanswered.connection, 0, "the connection is used again");
        let waiting = async || {
            let path = format!("/v1/webhooks/{id}/deliveries?status=waiting");
            let listed = app.get(&path).await.expect(200).json();
            let attempts = &listed["deliveries"][0]["failed_attempts"];
            attempts[0]["error"].as_str().map(str::to_owned)
        };
        let error = eventually(waiting, async || "no failed attempt".to_owned()).await;
        assert!(error.contains("cannot be reached"), "{error}");
        assert!(plain.is_quiet(), "it is not posted again at once");
        app.push_clock(Duration::from_secs(60));
        let again = plain.next().await;
        assert_eq!(again.connection, 1);
        assert_eq!(again.header("webhook-id"), unanswered.header("webhook-id"));
        for text in ["one", "two"] {
            let post = app.webhook.next().await;
            assert_eq!(post.body["data"]["text"]["body"], text);
        }
    })
    .await;
}

#[tokio::test]
async fn a_receiver_behind_tls_chooses_the_version_of_http() {
    let made = rcgen::generate_simple_self_signed(["example.com".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    wapi::net::tls::install_crypto();
    for (protocols, version) in [
        (vec!["h2", "http/1.1"], Version::HTTP_2),
        (vec!["h2"], Version::HTTP_2),
        (vec!["http/1.1"], Version::HTTP_11),
        (vec![], Version::HTTP_11),
    ] {
        let mut tls = rustls::ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(
                vec![CertificateDer::from_pem_slice(certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(key.as_bytes()).unwrap(),
            )
            .unwrap();
        tls.alpn_protocols = protocols.iter().map(|it| it.as_bytes().to_vec()).collect();
        let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
        let secure = RustlsConfig::from_config(Arc::new(tls));
        let secure = TestReceiver::on(listener, Some(secure)).await;
        Setup::new()
            .set("WAPI_ENV", "dev")
            .set(
                "WAPI_GETTING_MESSAGES_WEBHOOK",
                secure.base().replace("http://", "https://"),
            )
            .shop(async |_, alice, bob| {
                for text in ["one", "two"] {
                    bob.sends_text(alice.number(), text).await.unwrap();
                    let post = secure.next().await;
                    assert_eq!(post.body["data"]["text"]["body"], text);
                    assert_eq!(post.version, version, "{protocols:?}");
                }
            })
            .await;
    }
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    let made = rcgen::generate_simple_self_signed(["127.0.0.1".to_owned()]).unwrap();
    let (certificate, key) = (made.cert.pem(), made.signing_key.serialize_pem());
    wapi::net::tls::install_crypto();
    let tls = RustlsConfig::from_pem(certificate.into(), key.into());
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let secure = TestReceiver::on(listener, Some(tls.await.unwrap())).await;
    shop(async |app, alice, bob| {
        let url = secure.base().replace("http://", "https://");
        let made = app.post(
            "/v1/webhooks",
            json!({"url": url, "types": ["message.received"]}),
        );
        let path = format!(
            "/v1/webhooks/{}/deliveries?status=waiting",
            made.await.expect(201).json()["id"].as_str().unwrap()
        );
        bob.sends_text(alice.number(), "hi").await.unwrap();
        let error = eventually(
            async || {
                let listed = app.get(&path).await.expect(200).json();
                let attempts = &listed["deliveries"][0]["failed_attempts"];
                attempts[0]["error"].as_str().map(str::to_owned)
            },
            async || "no failed attempt".to_owned(),
        )
        .await;
        assert!(error.contains("certificate"), "{error}");
        app.webhook.next().await;
        assert_eq!(secure.seen(), 0);
    })
    .await;
}

#[tokio::test]
async fn the_environments_proxy_is_used_for_the_operators_webhook() {
    let mut proxy = PlainReceiver::start(&[Manner::Answers]).await;
    let simulator = wapi_simulator::Simulator::start(options()).await.unwrap();
    let alice = simulator.add_phone("Alice").unwrap();
    let bob = simulator.add_phone("Bob").unwrap();
    let address = free_address();
    let wapi = Wapi::new()
        .set("WAPI_INTERNAL_HOST", address)
        .set("WAPI_WHATSAPP_URL", simulator.ws_url())
        .set("HTTP_PROXY", format!("http://{}", proxy.address))
        .set("NO_PROXY", "127.0.0.1")
        .set("WAPI_GETTING_MESSAGES_WEBHOOK", "http://hooks.invalid/in/");
    let (running, client) = wapi.serves(address).await;
    client.pair("shop", &alice).await;
    bob.sends_text(alice.number(), "hi").await.unwrap();
    let post = proxy.next().await;
    assert!(
        post.head
            .starts_with("POST http://hooks.invalid/in/shop HTTP/1.1"),
        "{}",
        post.head
    );
    running.terminate().await;
    simulator.finish().await.unwrap();
}
