//! An HTTP client that uses the gateway like any other program.

use std::io::Cursor;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::{Context, Result, bail};
use serde_json::{Value, json};

use crate::system::clock::Clock;

/// A client of one gateway.
pub struct SandboxClient {
    client: reqwest::Client,
    base: String,
}

impl SandboxClient {
    pub fn new(address: SocketAddr) -> Result<Self> {
        let client = reqwest::Client::builder().no_proxy().build()?;
        Ok(Self {
            client,
            base: format!("http://{address}"),
        })
    }

    /// Registers the session and returns its status.
    pub async fn register_session(&self, session: &str) -> Result<String> {
        let answer = self
            .post_json("/register-session/", json!({"session_id": session}))
            .await?;
        Ok(answer["status"]
            .as_str()
            .context("the answer has no status")?
            .to_owned())
    }

    /// Returns the text of the QR code that waits to be scanned.
    pub async fn fetch_qr_text(&self, session: &str) -> Result<String> {
        let answer = self
            .client
            .get(format!("{}/get-qr-code/{session}/", self.base))
            .send()
            .await?;
        decode_qr(&answer.error_for_status()?.bytes().await?)
    }

    /// Waits until the session is online. Right after the scan its status may still be `scan_qr`.
    pub async fn wait_online(&self, session: &str, clock: &Clock) -> Result<()> {
        while self.register_session(session).await? != "online" {
            clock.sleep(Duration::from_millis(20)).await;
        }
        Ok(())
    }

    /// Sends a text and returns the id of the message, once WhatsApp has accepted it.
    pub async fn send_text(&self, session: &str, chat: &str, text: &str) -> Result<String> {
        let body = json!({"session_name": session, "chat_id": chat, "text": text});
        let answer = self.post_json("/send-message/", body).await?;
        Ok(answer["id"]
            .as_str()
            .context("the answer has no id")?
            .to_owned())
    }

    /// Creates a group with one person and returns its address.
    pub async fn create_group(&self, session: &str, subject: &str, person: &str) -> Result<String> {
        let body = json!({"subject": subject, "participants": [person]});
        let path = format!("/v1/sessions/{session}/groups");
        let answer = self.post_json(&path, body).await?;
        Ok(answer["group"]["id"]
            .as_str()
            .context("the answer has no group")?
            .to_owned())
    }

    async fn post_json(&self, path: &str, body: Value) -> Result<Value> {
        let call = self
            .client
            .post(format!("{}{path}", self.base))
            .header("content-type", "application/json");
        let answer = call.body(body.to_string()).send().await?;
        let (status, text) = (answer.status(), answer.text().await?);
        if !status.is_success() {
            bail!("POST {path} answered {status}: {text}");
        }
        serde_json::from_str(&text)
            .with_context(|| format!("POST {path} answered something that is not JSON: {text}"))
    }
}

/// Reads the QR code in a PNG, like a phone's camera.
fn decode_qr(png: &[u8]) -> Result<String> {
    let mut reader = png::Decoder::new(Cursor::new(png)).read_info()?;
    let mut pixels = vec![
        0;
        reader
            .output_buffer_size()
            .context("the picture is too large")?
    ];
    let picture = reader.next_frame(&mut pixels)?;
    let (width, height) = (picture.width as usize, picture.height as usize);
    let mut image =
        rqrr::PreparedImage::prepare_from_greyscale(width, height, |x, y| pixels[y * width + x]);
    let grids = image.detect_grids();
    let (_, text) = grids
        .first()
        .context("there is no QR code in the picture")?
        .decode()?;
    Ok(text)
}
