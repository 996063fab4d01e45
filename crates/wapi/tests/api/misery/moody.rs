//! A webhook with moods: hangs, refuses, asks for patience, and never ends its answers.

use std::net::{SocketAddr, TcpListener};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::State;
use axum::http::{HeaderMap, Response, StatusCode, header};
use futures_util::stream;
use serde_json::Value;

use crate::harness::TestReceiver;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Mood {
    /// 204.
    Well,
    /// This status, and nothing else.
    Status(u16),
    /// 429, and when to come again, in seconds.
    ComeAgainIn(u64),
    /// 301 to another path of its own.
    Moved,
    /// This status, then a byte now and then, for ever.
    Dripping(u16),
    /// This status, then as much as the line carries, for ever.
    Flooding(u16),
    /// Reads the post and says nothing.
    Silent,
}

/// One post: the time it says it was sent, and the event.
#[derive(Debug, Clone)]
pub struct Post {
    pub path: String,
    /// By the gateway's clock, in seconds since 1970.
    pub sent_at: i64,
    pub event: Value,
}

#[derive(Default)]
struct Inner {
    mood: Mutex<Option<Mood>>,
    taken: Mutex<Vec<Post>>,
    refused: Mutex<Vec<Post>>,
}

#[derive(Clone)]
pub struct Moody {
    inner: Arc<Inner>,
    pub address: SocketAddr,
}

impl Moody {
    /// In a good mood.
    pub fn start() -> Self {
        let inner = Arc::<Inner>::default();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let address = listener.local_addr().expect("a bound listener");
        TestReceiver::serve(
            listener,
            Router::new()
                .fallback(receive)
                .with_state(Arc::clone(&inner)),
        );
        Self { inner, address }
    }

    pub fn is(&self, mood: Mood) {
        *self.inner.mood.lock().unwrap() = Some(mood);
    }

    /// What was taken since the last look.
    pub fn taken(&self) -> Vec<Post> {
        std::mem::take(&mut self.inner.taken.lock().unwrap())
    }

    /// All that was not taken so far.
    pub fn refused(&self) -> Vec<Post> {
        self.inner.refused.lock().unwrap().clone()
    }
}

async fn receive(
    State(inner): State<Arc<Inner>>,
    request: axum::extract::Request,
) -> Response<Body> {
    let path = request.uri().path().to_owned();
    let sent_at = sent_at(request.headers());
    // A line that was cut brought half a post.
    let Ok(body) = axum::body::to_bytes(request.into_body(), usize::MAX).await else {
        return Response::new(Body::empty());
    };
    let post = Post {
        path,
        sent_at,
        event: serde_json::from_slice(&body).expect("webhooks carry JSON"),
    };
    let mood = inner.mood.lock().unwrap().unwrap_or(Mood::Well);
    let (status, body) = match mood {
        Mood::Well => (204, Body::empty()),
        Mood::Status(status) => (status, Body::from("no")),
        Mood::ComeAgainIn(_) => (429, Body::empty()),
        Mood::Moved => (301, Body::empty()),
        Mood::Dripping(status) => (status, endless(b".", Duration::from_millis(50))),
        Mood::Flooding(status) => (status, endless(&[b'x'; 4096], Duration::ZERO)),
        Mood::Silent => (0, Body::empty()),
    };
    let kept = if (200..300).contains(&status) {
        &inner.taken
    } else {
        &inner.refused
    };
    kept.lock().unwrap().push(post);
    if mood == Mood::Silent {
        return std::future::pending().await;
    }
    let mut response = Response::new(body);
    *response.status_mut() = StatusCode::from_u16(status).expect("a status");
    match mood {
        Mood::ComeAgainIn(seconds) => drop(
            response
                .headers_mut()
                .insert(header::RETRY_AFTER, seconds.into()),
        ),
        Mood::Moved => drop(
            response
                .headers_mut()
                .insert(header::LOCATION, "/elsewhere".parse().expect("a path")),
        ),
        _ => {}
    }
    response
}

fn sent_at(headers: &HeaderMap) -> i64 {
    headers["webhook-timestamp"]
        .to_str()
        .expect("text")
        .parse()
        .expect("seconds")
}

fn endless(piece: &'static [u8], pause: Duration) -> Body {
    Body::from_stream(stream::unfold((), move |()| async move {
        pass(pause).await;
        Some((Ok::<_, std::io::Error>(piece), ()))
    }))
}

#[expect(clippy::disallowed_methods, reason = "this one is slow on purpose")]
async fn pass(pause: Duration) {
    tokio::time::sleep(pause).await;
}
