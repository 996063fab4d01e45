//! The OpenAPI document, and the gateway held against it by a program that tries everything.

use std::path::Path;

use serde_json::{Value, json};
use tokio::process::Command;

use crate::harness::{PATIENCE, Setup, TestApp, event_complaints, eventually, shop, skipped};

#[tokio::test]
async fn everybody_may_read_what_the_routes_are() {
    Setup::new()
        .set("WAPI_API_KEY", "wapi_first")
        .gateway(async |app| {
            let document = app.get("/openapi.json").await.expect(200).json();
            assert_eq!(document["openapi"], "3.1.0");
            let paths = document["paths"].as_object().unwrap();
            for path in [
                "/send-message",
                "/v1/events/stream",
                "/v1/api-keys/{id}",
                "/metrics",
            ] {
                assert!(
                    paths.contains_key(path),
                    "{path} is not among {:?}",
                    paths.keys().collect::<Vec<_>>()
                );
            }
            let keys = &document["paths"]["/v1/api-keys"]["post"];
            let codes = keys["responses"]["409"]["content"]["application/problem+json"]["schema"]
                .to_string();
            assert!(codes.contains("admin_key_first"), "{codes}");
        })
        .await;
}

#[tokio::test]
async fn the_address_alone_is_a_page_that_says_where_to_go() {
    Setup::new()
        .set("WAPI_API_KEY", "wapi_first")
        .gateway(async |app| {
            let page = app.get("/").await.expect(200);
            assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
            assert!(
                page.headers["content-security-policy"]
                    .to_str()
                    .unwrap()
                    .starts_with("default-src 'none'")
            );
            let page = String::from_utf8(page.body).unwrap();
            let links: Vec<_> = page
                .split("href=\"")
                .skip(1)
                .filter_map(|rest| rest.split('"').next())
                .collect();
            assert!(links.len() > 2, "{page}");
            for link in links {
                // Whether it is ready may take a moment.
                let there =
                    async || (app.get(&format!("/{link}")).await.status == 200).then_some(());
                eventually(there, async || format!("{link} leads nowhere")).await;
            }
        })
        .await;
}

#[tokio::test]
async fn the_document_is_a_page_for_people_that_runs_and_loads_nothing() {
    Setup::new()
        .set("WAPI_API_KEY", "wapi_first")
        .gateway(async |app| {
            let page = app.get("/docs").await.expect(200);
            assert_eq!(page.headers["content-type"], "text/html; charset=utf-8");
            let policy = page.headers["content-security-policy"].to_str().unwrap();
            assert!(policy.starts_with("default-src 'none'"), "{policy}");
            let page = String::from_utf8(page.body.to_vec()).unwrap();
            let document = app.get("/openapi.json").await.expect(200).json();
            for (path, methods) in document["paths"].as_object().unwrap() {
                for (method, operation) in methods.as_object().unwrap() {
                    let id = operation["operationId"].as_str().unwrap();
                    assert!(
                        page.contains(&format!("<details id=\"{id}\">")),
                        "{method} {path} is not on the page"
                    );
                }
            }
            assert!(
                page.contains("When shall we deliver?"),
                "the examples are on it, too"
            );
        })
        .await;
}

/// The path with something in the place of each parameter.
fn filled_path(path: &str) -> String {
    let segment = |segment| match segment {
        "{session}" => "shop",
        "{chat}" | "{contact}" | "{participant}" => "375440000001",
        "{group}" | "{community}" => "120363000000000001@g.us",
        "{newsletter}" => "120363000000000001@newsletter",
        segment if segment.starts_with('{') => "1",
        segment => segment,
    };
    path.split('/').map(segment).collect::<Vec<_>>().join("/")
}

#[tokio::test]
async fn every_route_refuses_query_parameters_that_it_does_not_describe() {
    let app = TestApp::start().await;
    app.register("shop").await.expect(202);
    let document = app.get("/openapi.json").await.expect(200).json();
    let mut asked = 0;
    for (path, methods) in document["paths"].as_object().unwrap() {
        if !path.starts_with("/v1/") {
            continue;
        }
        for method in methods.as_object().unwrap().keys() {
            let method = reqwest::Method::from_bytes(method.to_uppercase().as_bytes()).unwrap();
            for end in ["", "/"] {
                let address = format!("{}{end}?no_such_parameter=1", filled_path(path));
                // Without a body, routes that need one say nothing else.
                let request = app.request(method.clone(), &address).json(&json!({}));
                let answer = request.send().await.unwrap();
                assert_eq!(answer.status(), 400, "{method} {address}");
                let problem: Value = answer.json().await.unwrap();
                let errors = problem["errors"].as_array();
                let is_named = |error: &Value| error["field"] == "no_such_parameter";
                let is_told = errors.is_some_and(|errors| errors.iter().any(is_named));
                assert!(is_told, "{method} {address}: {problem}");
            }
            asked += 1;
        }
    }
    assert!(asked > 100, "{asked} routes");
    let head = app.request(reqwest::Method::HEAD, "/v1/webhooks?limt=1");
    assert_eq!(head.send().await.unwrap().status(), 400);
    let misspelt = app.get("/v1/events?limt=1").await.expect(400).json();
    assert_eq!(
        misspelt["errors"],
        json!([{"field": "limt", "detail": "is not a parameter of this route; did you mean `limit`?"}])
    );
    app.finish().await;
}

/// Every test ends with this look at its events, so it must see what is wrong.
#[tokio::test]
async fn an_event_that_is_not_as_described_is_noticed() {
    shop(async |app, alice, bob| {
        bob.sends_text(alice.number(), "hi").await.unwrap();
        let event = app.webhook.next().await.body;
        assert_eq!(event_complaints(app, &event).await, [""; 0]);
        let spoil = |pointer: &str, value: Value| {
            let mut spoilt = event.clone();
            *spoilt.pointer_mut(pointer).expect("the member is there") = value;
            spoilt
        };
        for spoilt in [
            spoil("/timestamp", json!("yesterday")),
            spoil("/data/chat", json!(7)),
            spoil("/data/from", json!({"id": bob.jid()})),
            spoil("/data/text", Value::Null),
            spoil("/data/offline", json!("no")),
        ] {
            let complaints = event_complaints(app, &spoilt).await;
            assert!(!complaints.is_empty(), "nobody complains of {spoilt:#}");
        }
    })
    .await;
}

/// The kinds a message can have, by what the document says of sending.
fn kinds(send: &Value) -> Vec<String> {
    let kinds = &send["requestBody"]["content"]["application/json"]["schema"]["properties"]["type"]
        ["anyOf"][0]["enum"];
    kinds
        .as_array()
        .expect("sending has kinds")
        .iter()
        .map(|kind| kind.as_str().unwrap().to_owned())
        .collect()
}

#[tokio::test]
async fn there_is_an_example_of_every_kind_and_each_is_taken() {
    let app = TestApp::start().await;
    let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
    app.pair("shop", &alice).await;
    let group = bob.creates_group("Friends", &[&alice]).unwrap();
    app.send("shop", bob.number(), "this one is reacted to and answered")
        .await
        .expect(200);
    let first = bob.next_message(PATIENCE).await.unwrap().id;
    let document = app.get("/openapi.json").await.expect(200).json();
    let send = &document["paths"]["/v1/sessions/{session}/messages"]["post"];
    let examples = send["requestBody"]["content"]["application/json"]["examples"]
        .as_object()
        .unwrap();
    for kind in kinds(send) {
        assert!(
            examples
                .values()
                .any(|example| example["value"].get(&kind).is_some()),
            "no example of {kind}"
        );
    }
    let fitted = |name: &str, about: &str| {
        let example = examples[name]["value"]
            .to_string()
            .replace("3EB0538DA65A5960C82A0F", about);
        let example = example
            .replace("+375 44 703-48-10", bob.number())
            .replace("120363025246125486@g.us", &group);
        serde_json::from_str::<Value>(&example).unwrap()
    };
    let (poll, event) = (
        app.accepted("shop", fitted("poll", "")).await,
        app.accepted("shop", fitted("event", "")).await,
    );
    for name in examples.keys() {
        let about = match name.as_str() {
            "poll_vote" => &poll,
            "event_response" => &event,
            _ => &first,
        };
        // Links lead out of this machine.
        let answer = app
            .post("/v1/sessions/shop/messages?wait=0", fitted(name, about))
            .await;
        assert_eq!(answer.status, 202, "{name}: {}", answer.json());
    }
    app.finish_without_events().await;
}

#[tokio::test]
async fn a_generated_client_compiles_and_sends() {
    let maker = Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop/client");
    if !maker.join("node_modules").exists() {
        return skipped::<()>("run `npm ci --ignore-scripts` in interop/client")
            .unwrap_or_default();
    }
    Setup::new()
        .set("WAPI_API_KEY", "wapi_first")
        .gateway(async |app| {
            let admin = app.with_key("wapi_first");
            let (alice, bob) = (app.phone("Alice"), app.phone("Bob"));
            admin.pair("shop", &alice).await;
            let folder = tempfile::tempdir().unwrap();
            let document = folder.path().join("openapi.json");
            std::fs::write(&document, app.get("/openapi.json").await.expect(200).body).unwrap();
            let node = |program: &Path| {
                let mut node = Command::new("node");
                node.arg(program).kill_on_drop(true);
                node
            };
            let made = node(&maker.join("generate.mjs"))
                .arg(&document)
                .arg(folder.path())
                .output()
                .await
                .expect("node runs");
            let said = [made.stdout, made.stderr]
                .map(|said| String::from_utf8_lossy(&said).into_owned())
                .concat();
            assert!(made.status.success(), "{said}");
            let settings = [
                ("BASE", app.base()),
                ("KEY", "wapi_first"),
                ("SESSION", "shop"),
                ("TO", bob.number()),
            ]
            .map(|(name, value)| (format!("WAPI_{name}"), value));
            let sent = node(&folder.path().join("send.js"))
                .envs(settings)
                .output()
                .await
                .expect("node runs");
            assert!(
                sent.status.success(),
                "{}",
                String::from_utf8_lossy(&sent.stderr)
            );
            let told: Value = serde_json::from_slice(&sent.stdout).expect("JSON");
            let received = bob.next_message(PATIENCE).await.unwrap();
            assert_eq!(received.text.as_deref(), Some("sent by a generated client"));
            assert_eq!(told["id"], received.id);
            assert!(
                ["sent", "delivered"].contains(&told["status"].as_str().unwrap()),
                "{told}"
            );
            assert_eq!(told["sessions"], 1);
            assert_eq!(told["code"], "invalid_fields");
        })
        .await;
}

/// A stream would hold each request open, and nobody wants to wait a minute for an event or a QR code that does not come.
///
/// 502 and 504 say what WhatsApp did, and are described where they may come.
const SETTINGS: &str = r#"
request-timeout = 60

[checks]
not_a_server_error.expected-statuses = ["2xx", "3xx", "4xx", "502", "504"]

[[operations]]
include-path = "/v1/events/stream"
enabled = false

[[operations]]
include-path-regex = "/v1/events$|/qr$"
parameters = { "query.wait" = 0 }
"#;

/// Schemathesis makes requests from the document, right ones and wrong ones, and compares every answer with it.
#[tokio::test]
async fn no_request_is_answered_with_a_failure_of_ours_or_outside_the_document() {
    let Some(program) = std::env::var_os("WAPI_TESTS_SCHEMATHESIS") else {
        return skipped::<()>("WAPI_TESTS_SCHEMATHESIS does not name the program schemathesis")
            .unwrap_or_default();
    };
    let app = Setup::new()
        .set("WAPI_API_KEY", "wapi_first")
        .set("WAPI_WHATSAPP_CONNECTION_TIMEOUT", 20)
        .start()
        .await;
    let admin = app.with_key("wapi_first");
    let alice = app.phone("Alice");
    admin.pair("shop", &alice).await;
    let folder = tempfile::tempdir().unwrap();
    std::fs::write(folder.path().join("schemathesis.toml"), SETTINGS).unwrap();
    let checks = [
        "not_a_server_error",
        "status_code_conformance",
        "content_type_conformance",
        "response_headers_conformance",
        "response_schema_conformance",
        "unsupported_method",
    ];
    let output = Command::new(program)
        .args([
            "run",
            &format!("{}/openapi.json", app.base()),
            "--header",
            "X-Api-Key: wapi_first",
        ])
        .args([
            "--checks",
            &checks.join(","),
            "--phases",
            "examples,coverage,fuzzing",
            "--max-examples",
            "4",
        ])
        .args([
            "--seed",
            "1",
            "--workers",
            "1",
            "--no-color",
            "--continue-on-failure",
        ])
        .current_dir(folder.path())
        .kill_on_drop(true)
        .output();
    let output = output.await.expect("schemathesis runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(
        output.status.success(),
        "{said}\n{}",
        String::from_utf8_lossy(&output.stderr)
    );
    let tested = said
        .lines()
        .find_map(|line| line.trim().strip_prefix("Tested: ")?.parse::<usize>().ok());
    let document = app.get("/openapi.json").await.expect(200).json();
    let described: usize = document["paths"]
        .as_object()
        .unwrap()
        .values()
        .map(|path| path.as_object().unwrap().len())
        .sum();
    assert_eq!(
        tested,
        Some(described - 2),
        "all but the stream and the document itself: {said}"
    );
    // Webhooks were tested and told again; what they were sent is not the question here.
    app.finish_without_events().await;
}
