//! The OpenAPI document, and the gateway held against it by a program that tries everything.

use tokio::process::Command;

use crate::harness::{Setup, skipped};

#[tokio::test]
async fn everybody_may_read_what_the_routes_are() {
    let app = Setup::new().set("WAPI_API_KEY", "wapi_first").start().await;
    let document = app.get("/openapi.json").await.expect(200).json();
    assert_eq!(document["openapi"], "3.1.0");
    let paths = document["paths"].as_object().unwrap();
    for path in ["/send-message", "/v1/events/stream", "/v1/api-keys/{id}", "/metrics"] {
        assert!(paths.contains_key(path), "{path} is not among {:?}", paths.keys().collect::<Vec<_>>());
    }
    let keys = &document["paths"]["/v1/api-keys"]["post"];
    let codes = keys["responses"]["409"]["content"]["application/problem+json"]["schema"].to_string();
    assert!(codes.contains("admin_key_first"), "{codes}");
    app.finish().await;
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
    let Some(program) = std::env::var_os("WAPI_SCHEMATHESIS") else {
        return skipped::<()>("WAPI_SCHEMATHESIS does not name the program schemathesis").unwrap_or_default();
    };
    let app = Setup::new().set("WAPI_API_KEY", "wapi_first").set("WAPI_WHATSAPP_CONNECTION_TIMEOUT", 20).start().await;
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
        .args(["run", &format!("{}/openapi.json", app.base()), "--header", "X-Api-Key: wapi_first"])
        .args(["--checks", &checks.join(","), "--phases", "examples,coverage,fuzzing", "--max-examples", "4"])
        .args(["--seed", "1", "--workers", "1", "--no-color", "--continue-on-failure"])
        .current_dir(folder.path())
        .kill_on_drop(true)
        .output();
    let output = output.await.expect("schemathesis runs");
    let said = String::from_utf8_lossy(&output.stdout).into_owned();
    assert!(output.status.success(), "{said}\n{}", String::from_utf8_lossy(&output.stderr));
    let tested = said.lines().find_map(|line| line.trim().strip_prefix("Tested: ")?.parse::<usize>().ok());
    let document = app.get("/openapi.json").await.expect(200).json();
    let described: usize =
        document["paths"].as_object().unwrap().values().map(|path| path.as_object().unwrap().len()).sum();
    assert_eq!(tested, Some(described - 2), "all but the stream and the document itself: {said}");
    // Webhooks were tested and told again; what they were sent is not the question here.
    let stopped = app.stop().await;
    stopped.webhook.leftovers();
    stopped.simulator.finish().await.expect("the simulator is content");
}
