//! A program that sends through the gateway while that is killed again and again.

use std::time::Duration;

use reqwest::{RequestBuilder, StatusCode};
use serde_json::{Value, json};

use crate::harness::TestClient;

/// Which route it sends through.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Door {
    /// `/send-message/`: what is not answered with a 2xx is not promised, and is not tried again.
    Original,
    /// `/v1/…/messages` with a key: what is not answered is asked for again, under the same key, until it is.
    V1,
}

/// What is known after an attempt to have something sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandedOver {
    /// The gateway has promised it.
    Accepted,
    /// It was not promised; ask again.
    NotTaken,
    /// Nobody promised it, but it may be on its way, and must not be asked for again.
    Unknown,
}

/// Someone who expects that calls fail.
#[derive(Clone)]
pub struct Caller {
    http: reqwest::Client,
    base: String,
    session: &'static str,
}

impl Caller {
    pub fn new(client: &TestClient, session: &'static str) -> Self {
        let http = reqwest::Client::builder()
            .timeout(Duration::from_secs(30))
            .build()
            .expect("a client");
        Self {
            http,
            base: client.base().to_owned(),
            session,
        }
    }

    pub async fn is_online(&self) -> bool {
        let answer = self
            .http
            .get(format!("{}/get-session-info/{}/", self.base, self.session))
            .send()
            .await;
        let Ok(answer) = answer else { return false };
        let body = answer.bytes().await.unwrap_or_default();
        serde_json::from_slice::<Value>(&body).is_ok_and(|info| info["status"] == "online")
    }

    /// Has the number sent as a text.
    pub async fn hand_over(&self, door: Door, chat: &str, number: usize) -> HandedOver {
        let call = match door {
            Door::Original => self.original(chat, number),
            Door::V1 => self.v1(chat, number),
        };
        match call.header("content-type", "application/json").send().await {
            Ok(answer) if answer.status().is_success() => HandedOver::Accepted,
            Ok(answer) => refused(door, answer.status()),
            Err(error) if door == Door::V1 || error.is_connect() => HandedOver::NotTaken,
            Err(_) => HandedOver::Unknown,
        }
    }

    fn original(&self, chat: &str, number: usize) -> RequestBuilder {
        let body =
            json!({"session_name": self.session, "chat_id": chat, "text": number.to_string()});
        self.http
            .post(format!("{}/send-message/", self.base))
            .body(body.to_string())
    }

    fn v1(&self, chat: &str, number: usize) -> RequestBuilder {
        let body = json!({"to": chat, "text": {"body": number.to_string()}});
        let call = self.http.post(format!(
            "{}/v1/sessions/{}/messages",
            self.base, self.session
        ));
        call.header("idempotency-key", format!("{chat} {number}"))
            .body(body.to_string())
    }
}

fn refused(door: Door, status: StatusCode) -> HandedOver {
    match (door, status.as_u16()) {
        // There is no such session yet, it is not online, or the program is about to end.
        (_, 404 | 409 | 503) => HandedOver::NotTaken,
        (Door::Original, _) => HandedOver::Unknown,
        (Door::V1, status) => panic!("a text that anybody could send is answered with {status}"),
    }
}
