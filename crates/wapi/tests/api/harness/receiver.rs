//! Somebody's webhook: keeps what is posted to it, and answers as the test wants.

use std::fmt;
use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri, Version};
use serde_json::Value;
use tokio::sync::watch;

use super::PATIENCE;

/// One post.
#[derive(Clone)]
pub struct Delivery {
    /// As it was written in the request.
    pub path: String,
    pub version: Version,
    pub headers: HeaderMap,
    pub body: Value,
    /// The body to the byte.
    pub raw: Vec<u8>,
}

impl fmt::Debug for Delivery {
    /// The body once: as it came.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Delivery")
            .field("path", &self.path)
            .field("headers", &self.headers)
            .field("raw", &String::from_utf8_lossy(&self.raw))
            .finish_non_exhaustive()
    }
}

impl Delivery {
    /// The event without the original's members, which posts to its webhook have beside it.
    pub fn event(&self) -> Value {
        let ours = |name: &str| (name.to_owned(), self.body[name].clone());
        Value::Object(
            ["type", "timestamp", "data"]
                .map(ours)
                .into_iter()
                .collect(),
        )
    }
}

/// Everything that arrived, and how much of it the test has read.
#[derive(Default)]
struct Posts {
    taken: Vec<Delivery>,
    refused: Vec<Delivery>,
    read: usize,
}

#[derive(Default)]
struct Inner {
    posts: watch::Sender<Posts>,
    status: AtomicU16,
    /// Texts that are always answered with this status.
    poison: Mutex<Vec<(String, u16)>>,
    /// Chats whose posts are not answered while this holds them.
    held: watch::Sender<Vec<String>>,
}

/// A webhook on loopback.
#[derive(Clone)]
pub struct TestReceiver {
    inner: Arc<Inner>,
    pub address: SocketAddr,
}

impl TestReceiver {
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        Self::on(listener, None).await
    }

    /// The same over TLS.
    pub async fn on(
        listener: TcpListener,
        tls: Option<axum_server::tls_rustls::RustlsConfig>,
    ) -> Self {
        listener.set_nonblocking(true).expect("a listener");
        let address = listener.local_addr().expect("a bound listener");
        let inner = Arc::new(Inner {
            status: AtomicU16::new(200),
            ..Inner::default()
        });
        let router = Router::new()
            .fallback(receive)
            .with_state(Arc::clone(&inner));
        let service = router.into_make_service();
        tokio::spawn(async move {
            let served = match tls {
                Some(tls) => {
                    axum_server::from_tcp_rustls(listener, tls)
                        .unwrap()
                        .serve(service)
                        .await
                }
                None => {
                    axum_server::from_tcp(listener)
                        .unwrap()
                        .serve(service)
                        .await
                }
            };
            served.expect("the receiver serves");
        });
        Self { inner, address }
    }

    /// Serves some other router; its base address.
    pub fn serve(listener: TcpListener, router: Router) -> String {
        listener.set_nonblocking(true).expect("a listener");
        let address = listener.local_addr().expect("a bound listener");
        let server = axum_server::from_tcp(listener).expect("a listener");
        tokio::spawn(server.serve(router.into_make_service()));
        format!("http://{address}")
    }

    pub fn base(&self) -> String {
        format!("http://{}/hooks/", self.address)
    }

    /// How to answer from now on.
    pub fn answer(&self, status: u16) {
        self.inner.status.store(status, Ordering::SeqCst);
    }

    /// Always answers posts about this text with this status; with a 2xx it is like any other again.
    pub fn poison(&self, text: &str, status: u16) {
        let mut poison = self.inner.poison.lock().unwrap();
        poison.retain(|(poisoned, _)| poisoned != text);
        poison.push((text.to_owned(), status));
    }

    /// Does not answer posts about this chat until it is let go.
    pub fn hold(&self, chat: &str) {
        self.inner
            .held
            .send_modify(|held| held.push(chat.to_owned()));
    }

    pub fn let_go(&self) {
        self.inner.held.send_modify(Vec::clear);
    }

    /// The next post that was taken and not read yet.
    pub async fn next(&self) -> Delivery {
        self.until(|posts| posts.taken.len() > posts.read).await;
        let mut next = None;
        self.inner.posts.send_if_modified(|posts| {
            next = posts.taken.get(posts.read).cloned();
            posts.read += 1;
            false
        });
        next.expect("one test reads the posts")
    }

    /// Waits until so many posts were turned away.
    pub async fn refusals(&self, count: usize) -> Vec<Delivery> {
        self.until(|posts| posts.refused.len() >= count).await;
        self.refused()
    }

    /// Waits for posts; fails with all there are when patience ends.
    async fn until(&self, fits: impl FnMut(&Posts) -> bool) {
        let mut posts = self.inner.posts.subscribe();
        let came = tokio::time::timeout(PATIENCE, posts.wait_for(fits))
            .await
            .is_ok();
        if !came {
            let posts = self.inner.posts.borrow();
            panic!(
                "no further post; taken so far: {:#?}; refused: {:#?}",
                posts.taken, posts.refused
            );
        }
    }

    /// How many posts were taken so far.
    pub fn seen(&self) -> usize {
        self.inner.posts.borrow().taken.len()
    }

    /// All posts that were taken, read or not, once there are so many.
    pub fn taken(&self, count: usize) -> Option<Vec<Delivery>> {
        Some(self.inner.posts.borrow().taken.clone()).filter(|all| all.len() >= count)
    }

    /// The posts that were turned away so far.
    pub fn refused(&self) -> Vec<Delivery> {
        self.inner.posts.borrow().refused.clone()
    }

    /// Takes the posts that no test looked at.
    pub fn leftovers(&self) -> Vec<Delivery> {
        let mut leftovers = Vec::new();
        self.inner.posts.send_if_modified(|posts| {
            leftovers = posts.taken.split_off(posts.read);
            false
        });
        leftovers
    }
}

async fn receive(
    State(inner): State<Arc<Inner>>,
    uri: Uri,
    version: Version,
    headers: HeaderMap,
    body: Bytes,
) -> (StatusCode, &'static str) {
    let raw = body.to_vec();
    let body: Value = serde_json::from_slice(&raw).expect("webhooks carry JSON");
    let chat = body["data"]["chat"].as_str().unwrap_or_default().to_owned();
    let mut held = inner.held.subscribe();
    held.wait_for(|held| !held.contains(&chat))
        .await
        .expect("the receiver is there");
    let text = body["data"]["text"]["body"]
        .as_str()
        .unwrap_or_default()
        .to_owned();
    let poisoned = inner
        .poison
        .lock()
        .unwrap()
        .iter()
        .find(|(poisoned, _)| *poisoned == text)
        .map(|(_, status)| *status);
    let delivery = Delivery {
        path: uri.path().to_owned(),
        version,
        headers,
        body,
        raw,
    };
    let status =
        StatusCode::from_u16(poisoned.unwrap_or_else(|| inner.status.load(Ordering::SeqCst)))
            .unwrap();
    inner.posts.send_modify(|posts| match status.is_success() {
        true => posts.taken.push(delivery),
        false => posts.refused.push(delivery),
    });
    (
        status,
        if status.is_success() {
            ""
        } else {
            "no, thank you"
        },
    )
}
