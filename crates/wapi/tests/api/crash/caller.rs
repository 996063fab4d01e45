//! A program that sends through the gateway while that is killed again and again.

use std::time::Duration;

use serde_json::{Value, json};

use crate::harness::TestClient;

/// What is known after an attempt to have something sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum HandedOver {
    /// The gateway has promised it.
    Accepted,
    /// It was not taken, and is not on its way.
    NotTaken,
    /// Nobody promised it, but it may be on its way.
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
        let http = reqwest::Client::builder().timeout(Duration::from_secs(30)).build().expect("a client");
        Self { http, base: client.base().to_owned(), session }
    }

    pub async fn is_online(&self) -> bool {
        let answer = self.http.get(format!("{}/get-session-info/{}/", self.base, self.session)).send().await;
        let Ok(answer) = answer else { return false };
        let body = answer.bytes().await.unwrap_or_default();
        serde_json::from_slice::<Value>(&body).is_ok_and(|info| info["status"] == "online")
    }

    /// Has the number sent as a text.
    pub async fn hand_over(&self, chat: &str, number: usize) -> HandedOver {
        let body = json!({"session_name": self.session, "chat_id": chat, "text": number.to_string()});
        let call = self.http.post(format!("{}/send-message/", self.base)).body(body.to_string());
        match call.header("content-type", "application/json").send().await {
            Ok(answer) if answer.status().is_success() => HandedOver::Accepted,
            // There is no such session yet, or it is not online.
            Ok(answer) if matches!(answer.status().as_u16(), 404 | 409 | 503) => HandedOver::NotTaken,
            Ok(_) => HandedOver::Unknown,
            Err(error) if error.is_connect() => HandedOver::NotTaken,
            Err(_) => HandedOver::Unknown,
        }
    }
}
