//! `/v1/sessions`: making, reading, ordering and removing sessions.

use std::time::Duration;

use serde_json::json;

use crate::harness::{PATIENCE, Setup, eventually, gateway, read_qr, shop, steady};

#[tokio::test]
async fn a_session_is_made_once() {
    gateway(async |app| {
        let body = json!({"id": "a shop"});
        let made = app.post("/v1/sessions", body.clone()).await.expect(201);
        assert_eq!(made.headers["location"], "/v1/sessions/a%20shop");
        assert_eq!(made.json()["id"], "a shop");
        let again = app.post("/v1/sessions", body).await.expect(409);
        assert_eq!(again.code(), "session_exists");
    })
    .await;
}

#[tokio::test]
async fn a_session_is_read() {
    gateway(async |app| {
        let body = json!({"id": "a shop", "pairing": {"method": "qr"}, "metadata": {"owner": 7}});
        app.post("/v1/sessions", body).await.expect(201);
        app.get("/v1/sessions/a%20shop/qr?wait=30")
            .await
            .expect(200);
        let session = app.session("a shop").await.expect(200).json();
        let end = session["qr"]["expires_at"].as_str().unwrap();
        insta::assert_json_snapshot!(steady(&session, &[(end, "[end]")]), @r#"
        {
          "account": null,
          "app_state": null,
          "connection": {
            "since": "[moment]",
            "state": "offline"
          },
          "disabled_webhooks": [],
          "history": null,
          "id": "a shop",
          "last_received_at": null,
          "metadata": {
            "owner": 7
          },
          "paired": false,
          "qr": {
            "expires_at": "[end]",
            "path": "/v1/sessions/a%20shop/qr"
          },
          "reason": null,
          "since": "[moment]",
          "status": "scan_qr"
        }
        "#);
    })
    .await;
}

#[tokio::test]
async fn sessions_are_listed_by_name() {
    gateway(async |app| {
        for id in ["bar", "a shop"] {
            app.register(id).await.expect(202);
        }
        let list = app.get("/v1/sessions/").await.expect(200).json();
        assert_eq!(list["sessions"].as_array().unwrap().len(), 2);
        assert_eq!(list["sessions"][0]["id"], "a shop");
        assert_eq!(list["sessions"][1]["id"], "bar");
    })
    .await;
}

#[tokio::test]
async fn a_session_that_is_removed_is_gone_and_its_name_is_free() {
    gateway(async |app| {
        let (body, path) = (json!({"id": "a shop"}), "/v1/sessions/a%20shop");
        app.post("/v1/sessions", body.clone()).await.expect(201);
        app.get(&format!("{path}/qr?wait=30")).await.expect(200);
        app.delete(path).await.expect(204);
        let code = "session_not_found";
        assert_eq!(app.session("a shop").await.expect(404).code(), code);
        assert_eq!(app.delete(path).await.expect(404).code(), code);
        assert!(!app.root().join("qr-codes/a%20shop.png").exists());
        app.post("/v1/sessions", body).await.expect(201);
    })
    .await;
}

#[tokio::test]
async fn what_is_wrong_with_a_new_session_is_named() {
    gateway(async |app| {
        let body = json!({"id": "..", "colour": "red", "metadata": 7, "pairing": {"method": "fax", "speed": 9600}});
        let wrong = app.post("/v1/sessions", body).await.expect(400);
        let mut fields = wrong.fields();
        fields.sort();
        assert_eq!(
            fields,
            [
                "colour",
                "id",
                "metadata",
                "pairing.method",
                "pairing.speed"
            ]
        );
        let wrong = app
            .post(
                "/v1/sessions",
                json!({"id": "shop", "pairing": {"method": "code", "phone": "0171"}}),
            )
            .await;
        assert_eq!(wrong.expect(400).fields(), ["pairing.phone"]);
        assert_eq!(
            app.get("/v1/sessions?limit=3").await.expect(400).fields(),
            ["limit"]
        );
        assert_eq!(
            app.delete("/v1/sessions/shop?logout=perhaps")
                .await
                .expect(400)
                .fields(),
            ["logout"]
        );
        for order in ["start", "stop", "restart", "logout"] {
            assert_eq!(
                app.order("shop", order).await.expect(404).code(),
                "session_not_found"
            );
        }
    }).await;
}

#[tokio::test]
async fn a_session_that_was_stopped_stays_so_over_a_restart_until_it_is_started() {
    shop(async |app, alice, bob| {
        let stopped = app.order("shop", "stop").await.expect(200).json();
        assert_eq!(stopped["status"], "stopped");
        assert_eq!(stopped["paired"], true);
        assert!(!alice.linked_devices()[0].connected);
        assert_eq!(
            app.send("shop", bob.number(), "hi")
                .await
                .expect(409)
                .code(),
            "session_not_online"
        );

        app.restart().await;
        let stopped = app.until("shop", "stopped").await;
        assert_eq!(stopped["paired"], true);
        assert_eq!(stopped["reason"], "it was stopped by a request");
        app.push_clock(Duration::from_secs(1_000));
        assert!(!alice.linked_devices()[0].connected);

        app.order("shop", "start").await.expect(200);
        app.until("shop", "online").await;
        app.restart().await;
        app.until("shop", "online").await;
        app.order("shop", "stop").await.expect(200);
        // To register is to want it started, as ever.
        app.register("shop").await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn a_session_that_is_restarted_gets_a_new_connection() {
    shop(async |app, _, bob| {
        let since = app.session("shop").await.json()["connection"]["since"].clone();
        let restarting = app.order("shop", "restart").await.expect(200).json();
        assert_ne!(restarting["status"], "online");
        app.until("shop", "online").await;
        assert_ne!(
            app.session("shop").await.json()["connection"]["since"],
            since
        );
        app.send("shop", bob.number(), "hi").await.expect(200);
        assert_eq!(
            bob.next_message(PATIENCE).await.unwrap().text.as_deref(),
            Some("hi")
        );
    })
    .await;
}

#[tokio::test]
async fn a_session_that_is_logged_out_leaves_the_accounts_list() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        app.register("shop").await.expect(202);
        assert_eq!(
            app.order("shop", "logout").await.expect(409).code(),
            "session_not_paired"
        );
        app.pair("shop", &alice).await;
        let gone = app.order("shop", "logout").await.expect(200).json();
        assert_eq!(gone["status"], "logged_out");
        assert_eq!(gone["paired"], false);
        assert_eq!(alice.linked_devices(), []);
        app.order("shop", "start").await.expect(200);
        app.get("/v1/sessions/shop/qr?wait=30").await.expect(200);
    })
    .await;
}

#[tokio::test]
async fn a_removed_session_can_be_logged_out_first_but_only_while_it_is_online() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        app.pair("one", &alice).await;
        app.pair("two", &alice).await;
        app.delete("/v1/sessions/one?logout=true").await.expect(204);
        assert_eq!(alice.linked_devices().len(), 1);
        app.order("two", "stop").await.expect(200);
        let refused = app.delete("/v1/sessions/two?logout=true").await.expect(409);
        assert_eq!(refused.code(), "session_not_online");
        app.delete("/v1/sessions/two").await.expect(204);
        assert_eq!(
            alice.linked_devices().len(),
            1,
            "the account still lists what was not logged out"
        );

        app.restart().await;
        assert_eq!(app.get("/v1/sessions").await.json()["sessions"], json!([]));
    })
    .await;
}

#[tokio::test]
async fn what_a_removed_session_has_received_is_still_delivered() {
    shop(async |app, alice, bob| {
        app.webhook.answer(500);
        bob.sends_text(alice.number(), "do not lose me")
            .await
            .unwrap();
        app.webhook.refusals(1).await;
        app.delete("/v1/sessions/shop").await.expect(204);
        app.webhook.answer(200);
        app.while_time_passes(async || app.webhook.taken(1)).await;
        assert_eq!(
            app.webhook.next().await.body["data"]["text"]["body"],
            "do not lose me"
        );
    })
    .await;
}

#[tokio::test]
async fn a_code_comes_in_the_form_the_caller_takes() {
    gateway(async |app| {
        app.post("/v1/sessions", json!({"id": "shop"}))
            .await
            .expect(201);
        let path = "/v1/sessions/shop/qr?wait=30";
        let png = app.get(path).await.expect(200);
        assert_eq!(png.headers["content-type"], "image/png");
        assert_eq!(png.headers["cache-control"], "no-store");
        let text = read_qr(&png.body);
        let plain = app.get_as(path, "text/plain").await.expect(200);
        assert_eq!(String::from_utf8(plain.body).unwrap(), text);
        let document = app
            .get_as(path, "application/json")
            .await
            .expect(200)
            .json();
        assert_eq!(document["text"], text.as_str());
        assert!(
            document["expires_at"].is_string() && document["png"].is_string(),
            "{document}"
        );
        let svg = app.get_as(path, "image/svg+xml").await.expect(200);
        assert_eq!(svg.headers["content-type"], "image/svg+xml");
        assert!(svg.body.starts_with(b"<svg "));
        assert_eq!(
            app.get_as(path, "video/mp4").await.expect(406).code(),
            "not_acceptable"
        );

        app.phone("Alice").scans_qr(&text).await.unwrap();
        app.until("shop", "online").await;
        assert_eq!(
            app.get("/v1/sessions/shop/qr?wait=30")
                .await
                .expect(404)
                .code(),
            "qr_code_not_found"
        );
    })
    .await;
}

#[tokio::test]
async fn a_session_is_linked_by_a_code_that_is_typed() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        let pairing = json!({"method": "code", "phone": format!("+{}", alice.number())});
        let made = app
            .post("/v1/sessions", json!({"id": "shop", "pairing": pairing}))
            .await
            .expect(201)
            .json();
        alice
            .enters_code(made["pairing_code"].as_str().unwrap())
            .await
            .unwrap();
        app.until("shop", "online").await;
        let again = app
            .post(
                "/v1/sessions/shop/pairing-code",
                json!({"phone": alice.number()}),
            )
            .await;
        assert_eq!(again.expect(409).code(), "session_already_paired");
    })
    .await;
}

#[tokio::test]
async fn a_new_code_to_type_replaces_the_one_before() {
    gateway(async |app| {
        let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
        app.post("/v1/sessions", json!({"id": "shop"}))
            .await
            .expect(201);
        let code = async |number: &str| {
            let asked = app
                .post("/v1/sessions/shop/pairing-code", json!({"phone": number}))
                .await
                .expect(200)
                .json();
            asked["code"].as_str().unwrap().to_owned()
        };
        // For the same phone, for another one, and two at once.
        let first = code(alice.number()).await;
        let second = code(alice.number()).await;
        assert_ne!(first, second);
        code(bob.number()).await;
        tokio::join!(code(bob.number()), code(bob.number()));
        let last = code(alice.number()).await;
        alice
            .enters_code(&second)
            .await
            .expect_err("that code was replaced");
        let last = if alice.linked_devices().is_empty() {
            code(alice.number()).await
        } else {
            last
        };
        alice.enters_code(&last).await.unwrap();
        app.until("shop", "online").await;
    })
    .await;
}

#[tokio::test]
async fn a_number_without_an_account_gets_no_code_to_type_and_the_next_one_does() {
    gateway(async |app| {
        let alice = app.phone("Alice");
        app.post("/v1/sessions", json!({"id": "shop"}))
            .await
            .expect(201);
        let asked = async |number: &str| {
            app.post("/v1/sessions/shop/pairing-code", json!({"phone": number}))
                .await
        };
        let refused = asked("375449999999").await.expect(502);
        assert_eq!(refused.code(), "pairing_code_refused");
        assert!(
            refused.json()["detail"].as_str().unwrap().contains("400"),
            "{}",
            refused.json()
        );
        let code = asked(alice.number()).await.expect(200).json()["code"]
            .as_str()
            .unwrap()
            .to_owned();
        alice.enters_code(&code).await.unwrap();
        app.until("shop", "online").await;
    })
    .await;
}

#[tokio::test]
async fn a_session_that_was_made_and_never_scanned_is_there_after_a_restart() {
    gateway(async |app| {
        app.post(
            "/v1/sessions",
            json!({"id": "shop", "metadata": {"owner": 7}}),
        )
        .await
        .expect(201);
        app.get("/v1/sessions/shop/qr?wait=30").await.expect(200);
        app.restart().await;
        let session = eventually(
            async || Some(app.session("shop").await).filter(|answer| answer.status == 200),
            async || "it is not there".to_owned(),
        );
        let session = session.await.json();
        assert_eq!(session["status"], "scan_qr");
        assert_eq!(session["reason"], "expired");
        assert_eq!(session["metadata"], json!({"owner": 7}));
        let qr = app.get("/v1/sessions/shop/qr?wait=30").await.expect(200);
        app.phone("Alice")
            .scans_qr(&read_qr(&qr.body))
            .await
            .unwrap();
        app.until("shop", "online").await;
    })
    .await;
}

#[tokio::test]
async fn when_the_last_message_came_is_known_after_a_restart() {
    Setup::new()
        .shop(async |app, alice, bob| {
            bob.sends_text(alice.number(), "hi").await.unwrap();
            app.webhook.next().await;
            let before = app.session("shop").await.json()["last_received_at"].clone();
            app.restart().await;
            app.until("shop", "online").await;
            let after = app.session("shop").await.json()["last_received_at"].clone();
            let at = |value: &serde_json::Value| {
                value.as_str().unwrap().parse::<jiff::Timestamp>().unwrap()
            };
            let apart = at(&after).duration_since(at(&before)).abs();
            assert!(
                apart < jiff::SignedDuration::from_secs(5),
                "{before} and {after}"
            );
            // A new session of the same name has received nothing.
            app.delete("/v1/sessions/shop").await.expect(204);
            app.restart().await;
            app.post("/v1/sessions", json!({"id": "shop"}))
                .await
                .expect(201);
            assert_eq!(
                app.session("shop").await.json()["last_received_at"],
                json!(null)
            );
        })
        .await;
}
