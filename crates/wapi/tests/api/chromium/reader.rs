//! Somebody who reads the dashboard in Chromium.

use std::fmt::Write as _;
use std::sync::Mutex;

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::webdriver::WebDriver;
use crate::harness::{PATIENCE, TestApp, within};

/// How a page is shown.
#[derive(Debug, Clone, Copy)]
pub struct PageLook {
    /// Names its screenshots.
    pub name: &'static str,
    pub language: &'static str,
    theme: &'static str,
    width: u32,
}

impl PageLook {
    pub const fn new(name: &'static str, language: &'static str, theme: &'static str) -> Self {
        Self {
            name,
            language,
            theme,
            width: 1100,
        }
    }

    pub const fn with_width(self, width: u32) -> Self {
        Self { width, ..self }
    }
}

/// Keys pressed on the way to an element.
const MAX_PRESSES: usize = 60;

/// A person at one window.
pub struct PageReader {
    pub window: WebDriver,
    base: String,
    /// Parts of complaints that are not faults, such as the status of a wrong key.
    forgiven: Mutex<Vec<&'static str>>,
}

impl PageReader {
    /// `None`, and a word about it, when Chromium is not installed.
    pub async fn start(app: &TestApp) -> Option<Self> {
        let window = WebDriver::start().await?;
        let base = app.base().to_owned();
        Some(Self {
            window,
            base,
            forgiven: Mutex::default(),
        })
    }

    /// The same at another address of the gateway.
    pub fn with_base(self, base: String) -> Self {
        Self { base, ..self }
    }

    /// The same, logged in with this key.
    pub async fn logged_in(app: &TestApp, key: &str) -> Option<Self> {
        let reader = Self::start(app).await?;
        reader.opens("/dashboard").await;
        reader.types("#key", key).await;
        reader.clicks("form:has(#key) button[type=submit]").await;
        reader.until_path("/dashboard").await;
        Some(reader)
    }

    pub async fn opens(&self, path: &str) {
        let url = format!("{}{path}", self.base);
        self.window.post("url", json!({"url": url})).await;
    }

    /// Clicks the one element of a selector.
    pub async fn clicks(&self, selector: &str) {
        let element = self.window.find(selector).await;
        self.window
            .post(&format!("{element}/click"), json!({}))
            .await;
    }

    /// Types into the one element of a selector.
    pub async fn types(&self, selector: &str, text: &str) {
        let element = self.window.find(selector).await;
        let body = json!({"text": text});
        self.window.post(&format!("{element}/value"), body).await;
    }

    /// Presses keys one after the other, wherever the focus is.
    pub async fn presses(&self, keys: &str) {
        let press = |key: char| {
            let key = key.to_string();
            [
                json!({"type": "keyDown", "value": key}),
                json!({"type": "keyUp", "value": key}),
            ]
        };
        let actions: Vec<_> = keys.chars().flat_map(press).collect();
        let keyboard = json!({"type": "key", "id": "keyboard", "actions": actions});
        self.window
            .post("actions", json!({"actions": [keyboard]}))
            .await;
    }

    /// Presses a key again and again until an expression is true.
    pub async fn presses_until(&self, expression: &str, key: &str) {
        for _ in 0..MAX_PRESSES {
            self.presses(key).await;
            if self.window.evaluate(&format!("!!({expression})")).await == true {
                return;
            }
        }
        panic!("{expression} is not reached: {}", self.describe().await);
    }

    /// The window has this size, as on a phone.
    pub async fn resizes(&self, width: u32, height: u32) {
        let size =
            json!({"width": width, "height": height, "deviceScaleFactor": 1, "mobile": false});
        self.window
            .command("Emulation.setDeviceMetricsOverride", size)
            .await;
    }

    /// From the next page on, pages look like this.
    pub async fn looks(&self, look: PageLook) {
        self.resizes(look.width, 740).await;
        let url = format!("{}/dashboard", self.base);
        for (name, value) in [("wapi_language", look.language), ("wapi_theme", look.theme)] {
            let cookie = json!({"name": name, "value": value, "url": url, "path": "/dashboard"});
            self.window.command("Network.setCookie", cookie).await;
        }
    }

    /// From the next page on, each runs this script, and the policy of its scripts is not in force.
    pub async fn inject(&self, script: &str) {
        let bypass = json!({"enabled": true});
        self.window.command("Page.setBypassCSP", bypass).await;
        let script = json!({"source": script});
        self.window
            .command("Page.addScriptToEvaluateOnNewDocument", script)
            .await;
    }

    /// Fails on a page that is wider than its window, and names what sticks out.
    pub async fn expect_no_sideways_scroll(&self, path: &str, look: &str) {
        let wide = "document.documentElement.scrollWidth <= window.innerWidth ? [] : \
             [...document.querySelectorAll('body *')].filter((it) => it.getBoundingClientRect().right > window.innerWidth + 1)\
             .map((it) => it.outerHTML.slice(0, 120))";
        let wide = self.window.evaluate(wide).await;
        assert_eq!(wide, json!([]), "{path} ({look}) is too wide");
    }

    /// Keeps pictures of the page in the folder `WAPI_TESTS_SCREENSHOTS`, if there is one, and leaves the first look in force.
    pub async fn keep_screenshots(&self, number: usize, looks: &[PageLook]) {
        let Some(folder) = std::env::var_os("WAPI_TESTS_SCREENSHOTS") else {
            return;
        };
        for look in looks.iter().rev() {
            self.looks(*look).await;
            self.window.post("refresh", json!({})).await;
            let whole = json!({"captureBeyondViewport": true});
            let picture = self.window.command("Page.captureScreenshot", whole).await;
            let picture = picture["data"].as_str().expect("a picture");
            let name = format!("{number:02}-{}.png", look.name);
            let file = std::path::Path::new(&folder).join(name);
            std::fs::write(file, STANDARD.decode(picture).expect("base64")).expect("it is kept");
        }
    }

    /// Keeps a picture of what the window shows now, in the same folder.
    pub async fn keep_view(&self, name: &str) {
        let Some(folder) = std::env::var_os("WAPI_TESTS_SCREENSHOTS") else {
            return;
        };
        let picture = self
            .window
            .command("Page.captureScreenshot", json!({}))
            .await;
        let picture = picture["data"].as_str().expect("a picture");
        let file = std::path::Path::new(&folder).join(format!("{name}.png"));
        std::fs::write(file, STANDARD.decode(picture).expect("base64")).expect("it is kept");
    }

    /// Complaints with this in them are no fault.
    pub fn forgives(&self, part: &'static str) {
        self.forgiven.lock().unwrap().push(part);
    }

    /// Waits until the page's stream is open.
    pub async fn until_live(&self) {
        self.until("document.body.dataset.live === 'yes'").await;
    }

    /// Waits until an expression is true in the page; its value then.
    pub async fn until(&self, expression: &str) -> Value {
        let look = async || {
            let value = self.window.evaluate(expression).await;
            let is_true = !matches!(value, Value::Null | Value::Bool(false)) && value != "";
            is_true.then_some(value)
        };
        match within(PATIENCE, look).await {
            Some(value) => value,
            None => panic!("{expression} is never true: {}", self.describe().await),
        }
    }

    /// Waits until an element shows a text.
    pub async fn until_shown(&self, selector: &str, text: &str) {
        let (selector, text) = (json!(selector), json!(text));
        self.until(&format!(
            "[...document.querySelectorAll({selector})].some((it) => it.innerText.includes({text}))"
        ))
        .await;
    }

    /// Waits for an address.
    pub async fn until_path(&self, path: &str) {
        let path = json!(path);
        self.until(&format!(
            "location.pathname === {path} && document.readyState === 'complete'"
        ))
        .await;
    }

    /// The text of the one element of a selector.
    pub async fn text(&self, selector: &str) -> String {
        let element = self.window.find(selector).await;
        let text = self.window.get(&format!("{element}/text")).await;
        text.as_str().expect("a text").to_owned()
    }

    /// Ends with the look at what the browser complained about.
    pub async fn finish(self) {
        let mut complaints = self.window.take_complaints().await;
        let forgiven = self.forgiven.lock().unwrap().clone();
        complaints.retain(|complaint| !forgiven.iter().any(|part| complaint.contains(part)));
        assert!(complaints.is_empty(), "the browser says: {complaints:#?}");
    }

    /// The page and the console, for the message of a test that fails.
    async fn describe(&self) -> String {
        let page = self
            .window
            .evaluate("location.href + '\\n' + document.body.innerText")
            .await;
        let mut text = page.as_str().unwrap_or_default().to_owned();
        for complaint in self.window.take_complaints().await {
            let _ = write!(text, "\n{complaint}");
        }
        text
    }
}
