//! Somebody's webhook: keeps what is posted to it, and answers as the test wants.

use std::net::{SocketAddr, TcpListener};
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::{Arc, Mutex};

use axum::Router;
use axum::body::Bytes;
use axum::extract::State;
use axum::http::{HeaderMap, StatusCode, Uri};
use serde_json::Value;
use tokio::sync::watch;

use super::eventually;

/// One post.
#[derive(Debug, Clone)]
pub struct Delivery {
    /// As it was written in the request.
    pub path: String,
    pub headers: HeaderMap,
    pub body: Value,
    /// The body to the byte.
    pub raw: Vec<u8>,
}

#[derive(Default)]
struct Inner {
    /// What arrived and was taken, and what was turned away.
    taken: Mutex<Vec<Delivery>>,
    refused: Mutex<Vec<Delivery>>,
    read: Mutex<usize>,
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
        let next = async || {
            let mut read = self.inner.read.lock().unwrap();
            let delivery = self.inner.taken.lock().unwrap().get(*read).cloned()?;
            *read += 1;
            Some(delivery)
        };
        let story = async || {
            let (taken, refused) = (
                self.inner.taken.lock().unwrap(),
                self.inner.refused.lock().unwrap(),
            );
            format!("no further post; taken so far: {taken:#?}; refused: {refused:#?}")
        };
        eventually(next, story).await
    }

    /// Waits until so many posts were turned away.
    pub async fn refusals(&self, count: usize) -> Vec<Delivery> {
        let refused = async || {
            Some(self.inner.refused.lock().unwrap().clone()).filter(|all| all.len() >= count)
        };
        eventually(refused, async || {
            format!("fewer than {count} posts were refused")
        })
        .await
    }

    /// How many posts were taken so far.
    pub fn seen(&self) -> usize {
        self.inner.taken.lock().unwrap().len()
    }

    /// All posts that were taken, read or not, once there are so many.
    pub fn taken(&self, count: usize) -> Option<Vec<Delivery>> {
        Some(self.inner.taken.lock().unwrap().clone()).filter(|all| all.len() >= count)
    }

    /// The posts that were turned away so far.
    pub fn refused(&self) -> Vec<Delivery> {
        self.inner.refused.lock().unwrap().clone()
    }

    /// Posts that no test looked at.
    pub fn leftovers(&self) -> Vec<Delivery> {
        self.inner
            .taken
            .lock()
            .unwrap()
            .split_off(*self.inner.read.lock().unwrap())
    }
}

async fn receive(
    State(inner): State<Arc<Inner>>,
    uri: Uri,
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
        headers,
        body,
        raw,
    };
    let status =
        StatusCode::from_u16(poisoned.unwrap_or_else(|| inner.status.load(Ordering::SeqCst)))
            .unwrap();
    let kept = if status.is_success() {
        &inner.taken
    } else {
        &inner.refused
    };
    kept.lock().unwrap().push(delivery);
    (
        status,
        if status.is_success() {
            ""
        } else {
            "no, thank you"
        },
    )
}
