//! Proxies that are away, refuse, or answer nothing: the session waits, says why, and nothing goes past them.

use std::net::SocketAddr;

use serde_json::json;

use super::{is_silent_about_the_password, pair_through, talk};
use crate::harness::{
    ChaosProxy, Line, PATIENCE, Setup, TestApp, TestProxy, USER, dialled, eventually,
};

/// Waits until the session is offline for a reason with these words, of which the password is none.
async fn until_reason(app: &TestApp, session: &str, words: &str) {
    let document = async || app.session(session).await.expect(200).json();
    let look = async || {
        let document = document().await;
        is_silent_about_the_password(&document.to_string());
        let reason = document["reason"].as_str()?.to_owned();
        reason.contains(words).then_some(())
    };
    eventually(look, async || {
        format!("not {words:?}: {}", document().await)
    })
    .await
}

/// Dials of this process so far. Ports are used again, so that some may be another test's.
fn dials_to(address: SocketAddr) -> usize {
    dialled().iter().filter(|dial| **dial == address).count()
}

#[tokio::test]
async fn a_session_whose_login_is_refused_waits_for_another() {
    let setup = Setup::new();
    setup
        .gateway(async |app| {
            let whatsapp = app.simulator.listen_address();
            let before = dials_to(whatsapp);
            for proxy in [TestProxy::socks().await, TestProxy::connect().await] {
                let (scheme, rest) = proxy
                    .url()
                    .split_once("://")
                    .map(|(scheme, rest)| (scheme.to_owned(), rest.to_owned()))
                    .unwrap();
                let address = rest.rsplit_once('@').unwrap().1;
                for (login, words) in [
                    (
                        format!("{USER}:not-p%40ss@"),
                        "does not accept the user or the password",
                    ),
                    (String::new(), "asks for a user and a password"),
                ] {
                    let (session, url) = (
                        format!("{scheme}{}", login.len()),
                        format!("{scheme}://{login}{address}"),
                    );
                    let body = json!({"id": session, "proxy": {"url": url}});
                    app.post("/v1/sessions", body).await.expect(201);
                    until_reason(app, &session, words).await;
                    assert_eq!(dials_to(whatsapp), before);
                }
                assert!(proxy.asked().is_empty());
            }
            let proxy = TestProxy::connect().await;
            let alice = app.phone("Alice");
            let body = json!({"proxy": {"url": proxy.url()}});
            app.patch("/v1/sessions/http0", body).await.expect(200);
            app.until("http0", "scan_qr").await;
            alice.scans_qr(&app.qr("http0").await).await.unwrap();
            app.until("http0", "online").await;
        })
        .await;
}

#[tokio::test]
async fn a_session_waits_for_a_proxy_that_is_away_or_says_nothing() {
    let setup = Setup::new();
    setup
        .gateway(async |app| {
            let whatsapp = app.simulator.listen_address();
            let before = dials_to(whatsapp);
            let proxies = [TestProxy::socks().await, TestProxy::connect().await];
            for (line, words) in [
                (Line::Refused, "cannot be reached"),
                (Line::Reset, "does not answer as expected"),
                (Line::Stalled, "did not answer within 10s"),
            ] {
                for proxy in &proxies {
                    let way = ChaosProxy::to(proxy.address).await;
                    way.set(line);
                    let session = format!("s{}", way.address.port());
                    let body = json!({"id": session, "proxy": {"url": proxy.url_at(way.address)}});
                    app.post("/v1/sessions", body).await.expect(201);
                    app.reaches(&session, "offline").await;
                    until_reason(app, &session, words).await;
                    way.set(Line::Whole);
                    app.reaches(&session, "scan_qr").await;
                    let path = format!("/v1/sessions/{session}");
                    app.delete(&path).await.expect(204);
                }
            }
            let count = dials_to(whatsapp) - before;
            let opened: usize = proxies.iter().map(|proxy| proxy.opened(whatsapp)).sum();
            assert_eq!(count, opened);
        })
        .await;
}

#[tokio::test]
async fn messages_wait_while_the_proxy_of_a_linked_session_is_away() {
    let setup = Setup::new();
    setup
        .gateway(async |app| {
            let whatsapp = app.simulator.listen_address();
            let before = dials_to(whatsapp);
            let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
            let proxy = TestProxy::socks().await;
            let way = ChaosProxy::to(proxy.address).await;
            pair_through(app, "shop", &proxy.url_at(way.address), &alice).await;
            way.set(Line::Refused);
            app.until("shop", "offline").await;
            until_reason(app, "shop", "cannot be reached").await;
            let text = json!({"to": bob.number(), "text": {"body": "later"}});
            app.accepted("shop", text).await;
            way.set(Line::Whole);
            app.reaches("shop", "online").await;
            let received = bob.next_message(PATIENCE).await.unwrap();
            assert_eq!(received.text.as_deref(), Some("later"));
            talk(app, "shop", &alice, &bob).await;
            let count = dials_to(whatsapp) - before;
            assert_eq!(count, proxy.opened(whatsapp));
        })
        .await;
}

#[tokio::test]
async fn a_session_whose_proxy_was_lost_with_the_database_waits_for_its_owner() {
    let setup = Setup::new();
    setup
        .gateway(async |app| {
            let whatsapp = app.simulator.listen_address();
            let alice = app.phone("Alice");
            let proxy = TestProxy::socks().await;
            pair_through(app, "shop", &proxy.url(), &alice).await;
            for setting in [json!(null), json!({"url": proxy.url()})] {
                let stopped = app.stop().await;
                for file in ["wapi.db", "wapi.db-wal", "wapi.db-shm"] {
                    match std::fs::remove_file(stopped.root().join(file)) {
                        Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                            panic!("{file}: {error}")
                        }
                        _ => {}
                    }
                }
                let (before, asked) = (dials_to(whatsapp), proxy.asked());
                stopped.start().await;
                until_reason(app, "shop", "lost with the database").await;
                assert_eq!((dials_to(whatsapp), proxy.asked()), (before, asked));
                let body = json!({"proxy": setting});
                app.patch("/v1/sessions/shop", body).await.expect(200);
                app.until("shop", "online").await;
                let body = json!({"proxy": {"url": proxy.url()}});
                app.patch("/v1/sessions/shop", body).await.expect(200);
                app.until("shop", "online").await;
            }
        })
        .await;
}
