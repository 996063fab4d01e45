//! A browser without scripts: it keeps cookies, fills in forms, and follows what it is told.

use std::collections::BTreeMap;

use reqwest::header::HeaderMap;
use serde_json::Value;
use wapi::system::clock::Clock;

use crate::harness::{PATIENCE, TestApp};

/// Somebody's browser.
#[derive(Clone)]
pub struct Browser {
    http: reqwest::Client,
    base: String,
    cookies: BTreeMap<String, String>,
    headers: Vec<(&'static str, String)>,
}

/// What a browser shows.
#[derive(Debug)]
pub struct Page {
    pub status: u16,
    pub headers: HeaderMap,
    pub text: String,
}

impl Page {
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        assert_eq!(self.status, status, "{}", self.text);
        self
    }

    /// Where it leads.
    #[track_caller]
    pub fn leads_to(&self) -> &str {
        assert_eq!(self.status, 303, "{}", self.text);
        self.headers["location"].to_str().unwrap()
    }

    #[track_caller]
    pub fn shows(&self, text: &str) {
        assert!(self.text.contains(text), "{text} is not on {}", self.text);
    }

    #[track_caller]
    pub fn hides(&self, text: &str) {
        assert!(!self.text.contains(text), "{text} is on {}", self.text);
    }

    /// The token of the page's forms.
    #[track_caller]
    pub fn token(&self) -> String {
        let name = "name=\"form_token\" value=\"";
        let (_, rest) = self.text.split_once(name).expect("a form with a token");
        rest.split('"').next().unwrap().to_owned()
    }

    /// The values of the form that is sent to this address, as a browser without scripts sends them.
    #[track_caller]
    pub fn form(&self, action: &str) -> Vec<(String, String)> {
        let start = format!("action=\"{action}\"");
        let (_, rest) = self.text.split_once(&start).expect("a form");
        let form = rest.split("</form>").next().unwrap();
        let value = |tag: &str, name: &str| {
            let (_, rest) = tag.split_once(&format!(" {name}=\""))?;
            Some(unescape(rest.split('"').next()?))
        };
        let mut fields = Vec::new();
        for part in form.split('<').skip(1) {
            let (tag, text) = part.split_once('>').unwrap_or((part, ""));
            let Some(name) = value(tag, "name") else {
                continue;
            };
            let kind = value(tag, "type").unwrap_or_default();
            let is_box = kind == "checkbox" || kind == "radio";
            if tag.starts_with("textarea") {
                fields.push((name, unescape(text)));
            } else if tag.starts_with("input") && (!is_box || tag.contains(" checked")) {
                fields.push((name, value(tag, "value").unwrap_or_default()));
            }
        }
        fields
    }

    /// The address of the page's stream.
    #[track_caller]
    pub fn stream(&self) -> String {
        let (_, rest) = self.text.split_once("data-stream=\"").expect("a stream");
        rest.split('"').next().unwrap().replace("&amp;", "&")
    }
}

impl Browser {
    pub fn at(app: &TestApp) -> Self {
        let http = reqwest::Client::builder()
            .redirect(reqwest::redirect::Policy::none())
            .timeout(2 * PATIENCE)
            // Connections that rest end while the clock is pushed.
            .pool_max_idle_per_host(0)
            .tls_certs_only([])
            .build()
            .expect("a client");
        Self {
            http,
            base: app.base().to_owned(),
            cookies: BTreeMap::new(),
            headers: Vec::new(),
        }
    }

    /// The same browser at another address.
    pub fn with_base(mut self, base: &str) -> Self {
        base.clone_into(&mut self.base);
        self
    }

    /// The same, with a header on every request.
    pub fn with_header(mut self, name: &'static str, value: &str) -> Self {
        self.headers.push((name, value.to_owned()));
        self
    }

    /// A browser that has logged in with this key.
    pub async fn logged_in(app: &TestApp, key: &str) -> Self {
        let mut browser = Self::at(app);
        let page = browser.log_in(key).await;
        assert_eq!(page.leads_to(), "/dashboard");
        browser
    }

    pub async fn log_in(&mut self, key: &str) -> Page {
        self.submit("/dashboard/login", &[("key", key)]).await
    }

    /// Name and value of the cookie of a login.
    pub fn login(&self) -> Option<(&str, &str)> {
        let mut cookies = self.cookies.iter();
        let found = cookies.find(|(name, _)| {
            let name = name.strip_prefix("__Host-").unwrap_or(name);
            name.starts_with("wapi-")
        });
        found.map(|(name, value)| (name.as_str(), value.as_str()))
    }

    /// The same browser with the cookies of another one: both gateways are on one host.
    pub fn with_cookies_of(mut self, other: &Self) -> Self {
        self.cookies.clone_from(&other.cookies);
        self
    }

    pub fn set_cookie(&mut self, name: &str, value: &str) {
        self.cookies.insert(name.to_owned(), value.to_owned());
    }

    pub async fn get(&mut self, path: &str) -> Page {
        let call = self.http.get(format!("{}{path}", self.base));
        self.call(call).await
    }

    /// Fills in a form of this page, and sends it to an address of the page.
    pub async fn send(&mut self, page: &str, action: &str, fields: &[(&str, &str)]) -> Page {
        let shown = self.get(page).await.expect(200);
        let token = shown.token();
        let mut all = vec![("form_token", token.as_str()), ("page", page)];
        all.extend(fields);
        self.submit(action, &all).await
    }

    /// Answers a page that asks first with yes.
    pub async fn confirms(&mut self, question: Page, action: &str) -> Page {
        let question = question.expect(200);
        question.shows("name=\"confirmed\"");
        let fields = question.form(action);
        let mut fields: Vec<_> = fields
            .iter()
            .map(|(name, value)| (&**name, &**value))
            .collect();
        fields.push(("confirmed", "yes"));
        self.submit(action, &fields).await
    }

    /// Sends a form as a page of the dashboard does.
    pub async fn submit(&mut self, action: &str, fields: &[(&str, &str)]) -> Page {
        let origin = self.base.clone();
        let call = self.post(action, fields).header("origin", origin);
        self.call(call.header("sec-fetch-site", "same-origin"))
            .await
    }

    /// Sends a form with a file, whose parts the line `--x` separates.
    pub async fn upload(&mut self, action: &str, body: String) -> Page {
        let origin = self.base.clone();
        let call = self.http.post(format!("{}{action}", self.base)).body(body);
        let call = call.header("content-type", "multipart/form-data; boundary=x");
        self.call(call.header("origin", origin)).await
    }

    /// A form of unknown origin.
    pub fn post(&self, action: &str, fields: &[(&str, &str)]) -> reqwest::RequestBuilder {
        let mut form = url::form_urlencoded::Serializer::new(String::new());
        form.extend_pairs(fields);
        self.http
            .post(format!("{}{action}", self.base))
            .header("content-type", "application/x-www-form-urlencoded")
            .body(form.finish())
    }

    /// Sends a request, and keeps the cookies of the answer.
    pub async fn call(&mut self, call: reqwest::RequestBuilder) -> Page {
        let answer = self.prepare(call).send().await.expect("an answer");
        for cookie in answer.headers().get_all("set-cookie") {
            let cookie = cookie.to_str().unwrap();
            let (name, value) = cookie.split(';').next().unwrap().split_once('=').unwrap();
            if cookie.contains("Max-Age=0") {
                self.cookies.remove(name);
            } else {
                self.cookies.insert(name.to_owned(), value.to_owned());
            }
        }
        Page {
            status: answer.status().as_u16(),
            headers: answer.headers().clone(),
            text: answer.text().await.expect("a whole answer"),
        }
    }

    fn prepare(&self, mut call: reqwest::RequestBuilder) -> reqwest::RequestBuilder {
        if !self.cookies.is_empty() {
            let cookies = self
                .cookies
                .iter()
                .map(|(name, value)| format!("{name}={value}"));
            call = call.header("cookie", cookies.collect::<Vec<_>>().join("; "));
        }
        for (name, value) in &self.headers {
            call = call.header(*name, value);
        }
        call
    }

    /// Follows the stream of a page.
    pub async fn follow(&self, stream: &str) -> Tab {
        let call = self.http.get(format!("{}{stream}", self.base));
        let call = self.prepare(call).header("accept", "text/event-stream");
        let answer = call.send().await.expect("an answer");
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Tab {
            answer,
            text: String::new(),
            last_id: String::new(),
        }
    }
}

/// Text of HTML as people read it.
fn unescape(html: &str) -> String {
    let signs = [
        ("&lt;", "<"),
        ("&gt;", ">"),
        ("&quot;", "\""),
        ("&amp;", "&"),
    ];
    let mut text = html.to_owned();
    for (written, sign) in signs {
        text = text.replace(written, sign);
    }
    text
}

/// An open page that follows its stream.
pub struct Tab {
    answer: reqwest::Response,
    text: String,
    /// Position of the last event.
    pub last_id: String,
}

impl Tab {
    /// The next event's name and data; `None` at the end of the stream.
    pub async fn next(&mut self) -> Option<(String, String)> {
        loop {
            if let Some((block, rest)) = self.text.split_once("\n\n") {
                let (block, rest) = (block.to_owned(), rest.to_owned());
                self.text = rest;
                let field = |name: &str| {
                    let found = block.lines().find_map(|line| line.strip_prefix(name));
                    found.unwrap_or_default().trim_start().to_owned()
                };
                self.last_id = field("id:");
                return Some((field("event:"), field("data:")));
            }
            let chunk = Clock::system()
                .timeout(PATIENCE, self.answer.chunk())
                .await
                .expect("something comes");
            self.text
                .push_str(std::str::from_utf8(&chunk.ok()??).unwrap());
        }
    }

    /// Waits until a part of the page shows this text; returns the part.
    pub async fn until(&mut self, id: &str, text: &str) -> String {
        loop {
            let (name, data) = self.next().await.expect("the stream goes on");
            if name == "alive" {
                continue;
            }
            let fragments: Vec<Value> = serde_json::from_str(&data).expect("parts");
            let found = fragments.iter().find(|it| {
                it["id"] == id && it["html"].as_str().is_some_and(|html| html.contains(text))
            });
            if let Some(found) = found {
                return found["html"].as_str().unwrap().to_owned();
            }
        }
    }

    /// Waits for the end of the stream.
    pub async fn ends(&mut self) {
        while self.next().await.is_some() {}
    }
}
