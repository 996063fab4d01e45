//! Chromium, moved over WebDriver. The protocol is JSON over HTTP, so it needs no crate of its own.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::process::Stdio;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};
use tokio::process::{Child, Command};

use crate::harness::{PATIENCE, eventually, free_address, skipped};

/// The key of an element's id in WebDriver's answers.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// One Chromium without a screen; it ends with the test.
pub struct WebDriver {
    http: reqwest::Client,
    /// Address of the driver's session.
    session: String,
    _driver: DriverProcess,
}

impl WebDriver {
    /// `None`, and a word about it, when Chromium is not installed.
    pub async fn start() -> Option<Self> {
        wapi::net::tls::install_crypto();
        let Some(driver) = DriverProcess::start().await else {
            return skipped("chromedriver is not installed");
        };
        let http = reqwest::Client::builder()
            .timeout(PATIENCE)
            .tls_certs_only([])
            .build()
            .expect("a client");
        let base = format!("http://127.0.0.1:{}", driver.port);
        let asked = http.post(format!("{base}/session")).body(capabilities());
        let answer = read_answer("a session", asked).await;
        let id = answer["sessionId"].as_str().expect("a session has an id");
        Some(Self {
            session: format!("{base}/session/{id}"),
            http,
            _driver: driver,
        })
    }

    /// Calls a command with a body; fails on an error of the driver.
    #[track_caller]
    pub fn post(&self, command: &str, body: Value) -> impl Future<Output = Value> {
        let call = self.http.post(format!("{}/{command}", self.session));
        read_answer(command, call.body(body.to_string()))
    }

    /// Calls a command that reads something.
    #[track_caller]
    pub fn get(&self, command: &str) -> impl Future<Output = Value> {
        let call = self.http.get(format!("{}/{command}", self.session));
        read_answer(command, call)
    }

    /// Calls a command of Chromium's own protocol.
    pub async fn command(&self, name: &str, parameters: Value) -> Value {
        let body = json!({"cmd": name, "params": parameters});
        self.post("goog/cdp/execute", body).await
    }

    /// Evaluates an expression in the page.
    pub async fn evaluate(&self, expression: &str) -> Value {
        let script = format!("return ({expression})");
        let body = json!({"script": script, "args": []});
        self.post("execute/sync", body).await
    }

    /// Calls a function in the page that returns a promise, and waits for it.
    pub async fn evaluate_promise(&self, expression: &str) -> Value {
        let script = format!(
            "const done = arguments[0]; ({expression}).then((it) => done({{it}}), (why) => done({{why: String(why)}}))"
        );
        let answer = self.post("execute/async", json!({"script": script, "args": []}));
        let mut answer = answer.await;
        assert!(answer["why"].is_null(), "{expression}: {}", answer["why"]);
        answer["it"].take()
    }

    /// Finds the one element of a selector, and returns the path of its commands.
    pub async fn find(&self, selector: &str) -> String {
        let body = json!({"using": "css selector", "value": selector});
        let found = self.post("elements", body).await;
        let found = found.as_array().expect("a list of elements");
        assert_eq!(found.len(), 1, "elements of {selector}");
        format!("element/{}", found[0][ELEMENT].as_str().expect("an id"))
    }

    /// The picture of the window as PNG.
    pub async fn screenshot(&self) -> Vec<u8> {
        let picture = self.get("screenshot").await;
        STANDARD
            .decode(picture.as_str().expect("a picture"))
            .expect("base64")
    }

    /// Takes what the browser has complained about since the last look: errors of scripts, refusals of the content security policy,
    /// and files that did not load.
    pub async fn take_complaints(&self) -> Vec<String> {
        let entries = self.post("se/log", json!({"type": "browser"})).await;
        let entries = entries.as_array().expect("a list of entries").iter();
        entries
            .filter(|entry| matches!(entry["level"].as_str(), Some("SEVERE" | "WARNING")))
            .map(|entry| entry["message"].as_str().unwrap_or_default().to_owned())
            .collect()
    }
}

/// The capabilities of a window that reaches this machine only, and keeps its console for us.
fn capabilities() -> String {
    let mut options = json!({
        "args": [
            "--headless=new",
            "--no-first-run",
            "--disable-gpu",
            "--hide-scrollbars",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-default-apps",
            "--disable-dev-shm-usage",
            "--host-resolver-rules=MAP * ~NOTFOUND, EXCLUDE 127.0.0.1, EXCLUDE localhost",
            "--window-size=1100,800",
        ],
        "prefs": {"intl.accept_languages": "en"},
    });
    // Chromium refuses its sandbox to root.
    if rustix::process::geteuid().is_root() {
        let arguments = options["args"].as_array_mut().expect("a list");
        arguments.push(json!("--no-sandbox"));
    }
    if let Ok(program) = std::env::var("CHROMIUM") {
        options["binary"] = json!(program);
    }
    let wanted = json!({
        "browserName": "chrome",
        "goog:chromeOptions": options,
        "goog:loggingPrefs": {"browser": "ALL"},
        "timeouts": {"script": 30_000, "pageLoad": 30_000},
    });
    json!({"capabilities": {"alwaysMatch": wanted}}).to_string()
}

#[track_caller]
fn read_answer(command: &str, call: reqwest::RequestBuilder) -> impl Future<Output = Value> {
    let place = std::panic::Location::caller();
    let command = command.to_owned();
    async move {
        let call = call.header("content-type", "application/json");
        let answer = call.send().await.expect("the driver answers");
        let is_done = answer.status().is_success();
        let text = answer.text().await.expect("a whole answer");
        let mut document: Value = serde_json::from_str(&text).expect("the driver answers JSON");
        let value = document["value"].take();
        assert!(
            is_done,
            "{command} at {place}: {} {}",
            value["error"], value["message"]
        );
        value
    }
}

/// A `chromedriver` on a free port.
struct DriverProcess {
    port: u16,
    _child: Child,
}

impl DriverProcess {
    async fn start() -> Option<Self> {
        let program = std::env::var("CHROMEDRIVER").unwrap_or_else(|_| "chromedriver".to_owned());
        let port = free_address().port();
        let child = Command::new(program)
            .arg(format!("--port={port}"))
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .ok()?;
        let up = async || TcpStream::connect(("127.0.0.1", port)).ok();
        eventually(up, async || "chromedriver did not start".to_owned()).await;
        Some(Self {
            port,
            _child: child,
        })
    }
}

/// Killed without a word, the driver would leave its Chromium behind, also after a test that failed.
impl Drop for DriverProcess {
    fn drop(&mut self) {
        let Ok(mut stream) = TcpStream::connect(("127.0.0.1", self.port)) else {
            return;
        };
        let _ = stream.set_read_timeout(Some(Duration::from_secs(10)));
        let _ = stream.write_all(b"GET /shutdown HTTP/1.1\r\nHost: localhost\r\n\r\n");
        let _ = stream.read(&mut [0; 512]);
    }
}
