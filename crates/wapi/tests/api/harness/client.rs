//! Calls the gateway over HTTP, and shows the whole answer when it is not the expected one.

use std::net::SocketAddr;
use std::sync::{Arc, Mutex};

use reqwest::header::HeaderMap;
use serde_json::{Value, json};
use wapi_simulator::Phone;

use super::{PATIENCE, eventually, read_qr};

/// Someone who calls a gateway.
#[derive(Clone)]
pub struct TestClient {
    http: reqwest::Client,
    base: String,
    key: Option<String>,
    headers: Vec<(&'static str, String)>,
    last_call: Arc<Mutex<String>>,
}

/// What came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Vec<u8>,
}

impl Answer {
    /// The body, once the status is the expected one.
    #[track_caller]
    pub fn expect(self, status: u16) -> Self {
        let body = String::from_utf8_lossy(&self.body);
        assert_eq!(self.status, status, "the answer is {body}");
        self
    }

    #[track_caller]
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).expect("the answer is JSON")
    }

    /// The problem's code, once it is a well-formed problem.
    #[track_caller]
    pub fn code(&self) -> String {
        assert_eq!(self.headers["content-type"], "application/problem+json");
        let problem = self.json();
        assert_eq!(problem["status"], self.status);
        let id = problem["request_id"]
            .as_str()
            .expect("a problem names its request");
        assert_eq!(self.headers["x-request-id"], id);
        for member in ["type", "title", "detail"] {
            assert!(problem[member].is_string(), "{problem}");
        }
        problem["code"]
            .as_str()
            .expect("a problem has a code")
            .to_owned()
    }

    /// The names of the fields a problem complains about.
    #[track_caller]
    pub fn fields(&self) -> Vec<String> {
        let problem = self.json();
        let errors = problem["errors"]
            .as_array()
            .expect("the problem names fields")
            .clone();
        errors
            .iter()
            .map(|error| error["field"].as_str().unwrap().to_owned())
            .collect()
    }
}

impl TestClient {
    pub fn new(address: SocketAddr) -> Self {
        wapi::net::tls::install_crypto();
        let http = reqwest::Client::builder()
            .timeout(2 * PATIENCE)
            // Reading all authorities of the machine takes longer than most calls, and no call is over TLS.
            .tls_certs_only([])
            .build()
            .expect("a client");
        Self::at(format!("http://{address}"), http)
    }

    pub fn at(base: String, http: reqwest::Client) -> Self {
        Self {
            http,
            base,
            key: None,
            headers: Vec::new(),
            last_call: Arc::default(),
        }
    }

    /// Where the gateway is, as `http://127.0.0.1:PORT`.
    pub fn base(&self) -> &str {
        &self.base
    }

    /// The call that was made last, by any clone of this client.
    pub fn last_call(&self) -> String {
        self.last_call.lock().unwrap().clone()
    }

    /// The same, showing a key.
    pub fn with_key(&self, key: &str) -> Self {
        Self {
            key: Some(key.to_owned()),
            ..self.clone()
        }
    }

    /// The same, with a header on every request.
    pub fn with_header(&self, name: &'static str, value: &str) -> Self {
        let mut client = self.clone();
        client.headers.push((name, value.to_owned()));
        client
    }

    pub async fn get(&self, path: &str) -> Answer {
        self.call(self.http.get(format!("{}{path}", self.base)))
            .await
    }

    pub async fn post(&self, path: &str, body: Value) -> Answer {
        self.post_raw(path, body.to_string()).await
    }

    pub async fn post_raw(&self, path: &str, body: impl Into<reqwest::Body>) -> Answer {
        let call = self.http.post(format!("{}{path}", self.base)).body(body);
        self.call(call.header("content-type", "application/json"))
            .await
    }

    /// A call to be made by the test itself.
    pub fn request(&self, method: reqwest::Method, path: &str) -> reqwest::RequestBuilder {
        let call = self.http.request(method, format!("{}{path}", self.base));
        match &self.key {
            Some(key) => call.bearer_auth(key),
            None => call,
        }
    }

    pub async fn patch(&self, path: &str, body: Value) -> Answer {
        let call = self
            .http
            .patch(format!("{}{path}", self.base))
            .body(body.to_string());
        self.call(call.header("content-type", "application/json"))
            .await
    }

    pub async fn put(&self, path: &str, body: Value) -> Answer {
        let call = self
            .http
            .put(format!("{}{path}", self.base))
            .body(body.to_string());
        self.call(call.header("content-type", "application/json"))
            .await
    }

    /// The events of some types so far, oldest first, once there are so many.
    pub async fn events(&self, types: &str, count: usize) -> Vec<Value> {
        let path = format!("/v1/events?types={types}");
        let enough = async || {
            let feed = self.get(&path).await.expect(200).json();
            let events = feed["events"]
                .as_array()
                .expect("a list")
                .iter()
                .map(|entry| entry["event"].clone());
            Some(events.collect::<Vec<_>>()).filter(|events| events.len() >= count)
        };
        eventually(enough, async || {
            format!(
                "fewer than {count} of {types}: {:#}",
                self.get("/v1/events").await.json()
            )
        })
        .await
    }

    pub async fn delete(&self, path: &str) -> Answer {
        self.call(self.http.delete(format!("{}{path}", self.base)))
            .await
    }

    /// Takes only this media type.
    pub async fn get_as(&self, path: &str, media_type: &str) -> Answer {
        self.call(
            self.http
                .get(format!("{}{path}", self.base))
                .header("accept", media_type),
        )
        .await
    }

    /// Orders something of a session that needs no more words: `start`, `stop`, `check`, …
    pub async fn order(&self, session: &str, order: &str) -> Answer {
        self.post_raw(&format!("/v1/sessions/{}/{order}", encoded(session)), "")
            .await
    }

    /// What is known of a session.
    pub async fn session(&self, session: &str) -> Answer {
        self.get(&format!("/v1/sessions/{}", encoded(session)))
            .await
    }

    /// What was told of sessions so far, in order: the data of each event with its type in `type`.
    pub async fn session_events(&self) -> Vec<Value> {
        let types = "session.status,session.qr,session.paired,session.logged_out";
        let page = self
            .get(&format!("/v1/events?limit=1000&types={types}"))
            .await
            .expect(200)
            .json();
        let data = |entry: &Value| {
            let mut data = entry["event"]["data"].clone();
            data["type"] = entry["event"]["type"].clone();
            data
        };
        page["events"]
            .as_array()
            .expect("a list of events")
            .iter()
            .map(data)
            .collect()
    }

    /// Waits for an event about a session that fits, and returns all that was told until then.
    pub async fn told(&self, what: &str, fits: impl Fn(&Value) -> bool) -> Vec<Value> {
        let look = async || {
            let mut events = self.session_events().await;
            let last = events.iter().position(&fits)?;
            events.truncate(last + 1);
            Some(events)
        };
        eventually(look, async || {
            format!("{what} was not told: {:#?}", self.session_events().await)
        })
        .await
    }

    /// Makes a call of the test's own.
    pub async fn answer(&self, call: reqwest::RequestBuilder) -> Answer {
        self.call(call).await
    }

    async fn call(&self, mut call: reqwest::RequestBuilder) -> Answer {
        if let Some(key) = &self.key {
            call = call.bearer_auth(key);
        }
        for (name, value) in &self.headers {
            call = call.header(*name, value);
        }
        let call = call.build().expect("a well-formed call");
        *self.last_call.lock().unwrap() = format!("{} {}", call.method(), call.url().path());
        let answer = self.http.execute(call).await.expect("the gateway answers");
        let (status, headers) = (answer.status().as_u16(), answer.headers().clone());
        let body = answer
            .bytes()
            .await
            .expect("the answer is complete")
            .to_vec();
        Answer {
            status,
            headers,
            body,
        }
    }

    pub async fn register(&self, session: &str) -> Answer {
        self.post("/register-session/", json!({"session_id": session}))
            .await
    }

    pub async fn send(&self, session: &str, chat: &str, text: &str) -> Answer {
        let body = json!({"session_name": session, "chat_id": chat, "text": text});
        self.post("/send-message/", body).await
    }

    /// Has a message accepted, without waiting for WhatsApp; its id.
    pub async fn accepted(&self, session: &str, message: Value) -> String {
        let path = format!("/v1/sessions/{}/messages?wait=0", encoded(session));
        let answer = self.post(&path, message).await.expect(202).json();
        answer["messages"][0]["id"]
            .as_str()
            .expect("a message has an id")
            .to_owned()
    }

    /// A message that was sent through the gateway.
    pub async fn message(&self, session: &str, id: &str) -> Value {
        self.get(&format!("/v1/sessions/{}/messages/{id}", encoded(session)))
            .await
            .expect(200)
            .json()
    }

    /// Waits until a message has this status; the message then.
    pub async fn until_message(&self, session: &str, id: &str, status: &str) -> Value {
        let message = async || self.message(session, id).await;
        let reached = async || Some(message().await).filter(|message| message["status"] == status);
        eventually(reached, async || {
            format!("not {status}: {}", message().await)
        })
        .await
    }

    pub async fn info(&self, session: &str) -> Answer {
        self.get(&format!("/get-session-info/{}/", encoded(session)))
            .await
    }

    /// The text of the QR code that waits to be scanned.
    pub async fn qr(&self, session: &str) -> String {
        let answer = self
            .get(&format!("/get-qr-code/{}/", encoded(session)))
            .await
            .expect(200);
        assert_eq!(answer.headers["content-type"], "image/png");
        read_qr(&answer.body)
    }

    /// Registers the session, lets the phone scan its QR code and waits until it is online; returns the device's number on that account.
    pub async fn pair(&self, session: &str, phone: &Phone) -> u16 {
        let answer = self.register(session).await.expect(202).json();
        assert_eq!(answer["status"], "scan_qr");
        let device = phone
            .scans_qr(&self.qr(session).await)
            .await
            .expect("the phone links it");
        let answer = self.until(session, "online").await;
        assert_eq!(answer["account"]["phone"], phone.number());
        device.device
    }

    /// Waits until the session has this status; its info then.
    pub async fn until(&self, session: &str, status: &str) -> Value {
        let info = async || self.info(session).await.json();
        let reached = async || Some(info().await).filter(|info| info["status"] == status);
        eventually(reached, async || format!("not {status}: {}", info().await)).await
    }
}

/// A session's name in a path.
pub fn encoded(name: &str) -> String {
    percent_encoding::utf8_percent_encode(name, percent_encoding::NON_ALPHANUMERIC).to_string()
}
