//! A webhook receiver, with which the sandbox shows the gateway's posts.

use std::future::IntoFuture;
use std::net::{SocketAddr, TcpListener};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{StatusCode, Uri};
use serde_json::Value;
use tokio::sync::mpsc;

use crate::system::lifecycle::Lifecycle;

/// One post: path and event.
#[derive(Debug)]
pub struct WebhookPost {
    pub path: String,
    pub event: Value,
}

/// Listens on a free loopback port until the program stops. Returns the base address and the
/// received posts.
pub fn start_receiver(
    lifecycle: &Lifecycle,
) -> std::io::Result<(String, mpsc::UnboundedReceiver<WebhookPost>)> {
    let listener = TcpListener::bind((std::net::Ipv4Addr::LOCALHOST, 0))?;
    listener.set_nonblocking(true)?;
    let address: SocketAddr = listener.local_addr()?;
    let (sender, posts) = mpsc::unbounded_channel();
    let router = Router::new().fallback(receive_post).with_state(sender);
    let listener = tokio::net::TcpListener::from_std(listener)?;
    let serving = axum::serve(listener, router).into_future();
    let stopping = lifecycle.clone();
    lifecycle.spawn(async move {
        stopping.unless_stopping(serving).await;
    });
    Ok((format!("http://{address}/webhook/"), posts))
}

async fn receive_post(
    State(posts): State<mpsc::UnboundedSender<WebhookPost>>,
    uri: Uri,
    body: Bytes,
) -> StatusCode {
    let Ok(event) = serde_json::from_slice(&body) else {
        return StatusCode::BAD_REQUEST;
    };
    match posts.send(WebhookPost {
        path: uri.path().to_owned(),
        event,
    }) {
        Ok(()) => StatusCode::NO_CONTENT,
        Err(_) => StatusCode::GONE,
    }
}
