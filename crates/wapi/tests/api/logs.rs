//! What stands in the log, on the console and in the metrics: no number of anybody, and nothing that a terminal obeys.

use serde_json::{Value, json};

use crate::harness::{Surroundings, encoded};

/// Names that a caller can give: a phone number, one that would forge a line, and ones that would take over a terminal.
const NAMES: [&str; 5] = [
    "375447034810",
    "shop\n2026-01-01T00:00:00Z ERROR wapi: forged",
    "\x1b]0;owned\x07\x1b[2J",
    "\u{9b}31m red",
    "\u{202e}pohs",
];

/// Whether a text has signs in it that do something.
fn does_something(text: &str) -> bool {
    let is_sign =
        |sign: char| sign.is_control() && sign != '\n' || ('\u{2028}'..='\u{202e}').contains(&sign);
    text.contains(is_sign)
}

async fn said(format: &str) -> (String, String, String) {
    let Surroundings {
        simulator,
        webhook: _webhook,
        wapi,
        address,
    } = Surroundings::new().await;
    let wapi = wapi.set("WAPI_LOG", "debug").set("WAPI_LOG_FORMAT", format);
    let (running, client) = wapi.serves(address).await;
    for name in NAMES {
        client.register(name).await.expect(202);
        client.order(name, "check").await.expect(200);
        let body = json!({"session_name": name, "chat_id": "375447099999", "text": "hi"});
        client.post("/send-message/", body).await.expect(409);
    }
    let phone = simulator.add_phone("Alice").unwrap();
    client.pair("375447034811", &phone).await;
    let metrics = String::from_utf8(client.get("/metrics").await.expect(200).body).unwrap();
    for name in NAMES {
        client
            .delete(&format!("/v1/sessions/{}", encoded(name)))
            .await
            .expect(204);
    }
    let ended = running.terminate().await;
    simulator.finish().await.unwrap();
    (ended.stderr, ended.stdout, metrics)
}

#[tokio::test]
async fn no_name_of_a_session_shows_a_number_or_reaches_a_terminal() {
    for format in ["text", "json"] {
        let (log, console, metrics) = said(format).await;
        for (place, text) in [("log", &log), ("console", &console), ("metrics", &metrics)] {
            assert!(
                !text.contains("37544703481"),
                "the {place} shows a number:\n{text}"
            );
            assert!(
                !does_something(text),
                "the {place} has signs that do something:\n{text:?}"
            );
            assert!(
                !text
                    .lines()
                    .any(|line| line.starts_with("2026-01-01T00:00:00Z ERROR")),
                "the {place} was forged"
            );
        }
        assert!(
            log.contains("sha256:") && console.contains("sha256:"),
            "{log}"
        );
        if format == "json" {
            for line in log.lines() {
                let line: Value =
                    serde_json::from_str(line).unwrap_or_else(|error| panic!("{error}: {line}"));
                assert!(
                    line["message"].is_string() && line["level"].is_string(),
                    "{line}"
                );
            }
        }
    }
}
