//! The webhook in the storm: counts what it takes, and turns away a post now and then.

use std::net::TcpListener;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::StatusCode;
use serde_json::Value;

use crate::harness::{Ledger, TestReceiver};

/// One post of so many is answered with a 500.
const ONE_FAILS_OF: usize = 400;

#[derive(Clone)]
struct Inner {
    ledger: Arc<Mutex<Ledger>>,
    posts: Arc<AtomicUsize>,
}

/// Serves until the test ends; its base address.
pub fn start(ledger: Arc<Mutex<Ledger>>) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
    let router = Router::new().fallback(receive).with_state(Inner {
        ledger,
        posts: Arc::default(),
    });
    format!("{}/hooks/", TestReceiver::serve(listener, router))
}

async fn receive(State(inner): State<Inner>, body: Bytes) -> StatusCode {
    if inner.posts.fetch_add(1, Ordering::Relaxed) % ONE_FAILS_OF == ONE_FAILS_OF - 1 {
        return StatusCode::INTERNAL_SERVER_ERROR;
    }
    let event: Value = serde_json::from_slice(&body).expect("webhooks carry JSON");
    let (chat, text) = (&event["data"]["chat"], &event["data"]["text"]["body"]);
    let number = text.as_str().expect("a text").parse().expect("a number");
    inner
        .ledger
        .lock()
        .unwrap()
        .arrive(chat.as_str().expect("a chat"), number);
    StatusCode::OK
}
