//! The route by which messages are sent.

use anyhow::{Result, ensure};
use clap::ValueEnum;
use hyper::{Method, StatusCode};
use serde_json::json;

use crate::line::Line;

/// A way into the gateway that answers once WhatsApp has taken the message.
#[derive(Clone, Copy, Debug, PartialEq, Eq, ValueEnum)]
pub enum Route {
    /// `POST /send-message/`.
    Original,
    /// `POST /v1/sessions/{session}/messages?wait=30`.
    V1,
}

impl Route {
    /// Sends a text, and insists that WhatsApp has taken it.
    pub async fn send(self, line: &mut Line, session: &str, chat: &str, text: &str) -> Result<()> {
        let (path, body) = match self {
            Self::Original => (
                "/send-message/".to_owned(),
                json!({"session_name": session, "chat_id": chat, "text": text}),
            ),
            Self::V1 => (
                format!("/v1/sessions/{session}/messages?wait=30"),
                json!({"to": chat, "text": {"body": text}}),
            ),
        };
        let (status, answer) = line.call(Method::POST, &path, body.to_string()).await?;
        let answer = String::from_utf8_lossy(&answer);
        let is_sent = status == StatusCode::OK && answer.contains(r#""status":"sent""#);
        ensure!(is_sent, "{path} answered {status}: {answer}");
        Ok(())
    }
}
