//! Proxies of sessions: everything of a session leaves through its proxy, or does not leave.

mod faults;
mod links;
mod settings;
mod total;

use serde_json::{Value, json};
use wapi_simulator::{FileKind, MediaFile, Phone};

use crate::harness::{PASSWORD, PATIENCE, Setup, TestApp, TestProxy, eventually};

/// Nothing is said of the password, in no form.
fn is_silent_about_the_password(text: &str) {
    for form in [PASSWORD, "p%40ss", "w%2Frd", "cEBzczp3"] {
        assert!(!text.contains(form), "{form} is in {text}");
    }
}

/// Links Alice's account as a session that has this proxy.
async fn pair_through(app: &TestApp, session: &str, proxy: &str, phone: &Phone) {
    let body = json!({"id": session, "proxy": {"url": proxy}});
    app.post("/v1/sessions", body).await.expect(201);
    app.until(session, "scan_qr").await;
    phone.scans_qr(&app.qr(session).await).await.unwrap();
    app.until(session, "online").await;
}

/// Sends a text both ways, and a file to the session, which downloads it.
async fn talk(app: &TestApp, session: &str, alice: &Phone, bob: &Phone) {
    bob.sends_text(alice.number(), "Hello").await.unwrap();
    let event = app.webhook.next().await;
    assert_eq!(event.body["data"]["text"]["body"], "Hello");
    let text = json!({"to": bob.number(), "text": {"body": "Hi"}});
    app.accepted(session, text).await;
    let received = bob.next_message(PATIENCE).await.unwrap();
    assert_eq!(received.text.as_deref(), Some("Hi"));
    receive_file(app, alice, bob).await;
}

/// Bob sends a file, and the session downloads it.
async fn receive_file(app: &TestApp, alice: &Phone, bob: &Phone) {
    let jpeg = b"\xff\xd8\xff\xe0 not much of a picture, but it begins like one".to_vec();
    let file = MediaFile::new(FileKind::Image, jpeg, "image/jpeg");
    bob.sends_file(alice.number(), file).await.unwrap();
    let event = app.webhook.next().await;
    let id = event.body["data"]["image"]["id"]
        .as_str()
        .unwrap()
        .to_owned();
    let stored = async || {
        let file = app.get(&format!("/v1/media/{id}")).await.expect(200).json();
        (file["status"] == "stored").then_some(())
    };
    eventually(stored, async || "the file is not downloaded".to_owned()).await;
}

async fn proxy_of(app: &TestApp, session: &str) -> Value {
    app.session(session).await.expect(200).json()["proxy"].take()
}

#[tokio::test]
async fn a_session_talks_through_each_kind_of_proxy() {
    let setup = Setup::new().over_tls();
    setup
        .gateway(async |app| {
            let bob = app.phone("Bob");
            let kinds = [
                TestProxy::socks().await,
                TestProxy::open_socks().await,
                TestProxy::connect().await,
            ];
            for (number, proxy) in kinds.iter().enumerate() {
                let (session, alice) = (format!("s{number}"), app.phone(&format!("A{number}")));
                pair_through(app, &session, &proxy.url(), &alice).await;
                talk(app, &session, &alice, &bob).await;
                assert!(proxy.opened(app.simulator.listen_address()) > 0);
            }
        })
        .await;
}

#[tokio::test]
async fn a_proxy_over_tls_carries_a_session_and_a_strange_certificate_is_refused() {
    wapi::net::tls::install_crypto();
    let made = rcgen::generate_simple_self_signed(vec!["127.0.0.1".to_owned()]).unwrap();
    let key = rustls::pki_types::PrivateKeyDer::try_from(made.signing_key.serialize_der()).unwrap();
    let tls = rustls::ServerConfig::builder()
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key)
        .unwrap();
    let proxy = TestProxy::connect_over_tls(tls).await;
    let setup = Setup::new().over_tls();
    setup
        .gateway(async |app| {
            let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
            let body = json!({"id": "shop", "proxy": {"url": proxy.url()}});
            app.post("/v1/sessions", body).await.expect(201);
            let reason = app.until("shop", "offline").await["reason"].take();
            let reason = reason.as_str().unwrap_or_default();
            assert!(
                reason.contains("does not speak TLS as expected"),
                "{reason}"
            );
            assert!(proxy.asked().is_empty());

            let both = app.root().join("authorities.pem");
            let pem = format!("{}{}", app.simulator.ca_pem(), made.cert.pem());
            std::fs::write(&both, pem).unwrap();
            app.change_setting("WAPI_WHATSAPP_CA_FILE", both.to_str().unwrap())
                .await;
            app.register("shop").await.expect(202);
            alice.scans_qr(&app.qr("shop").await).await.unwrap();
            app.until("shop", "online").await;
            talk(app, "shop", &alice, &bob).await;
        })
        .await;
}
