//! The listener: `ws`, `wss`, the media host and the admin API on one port, and the state they
//! share.

pub mod account;
pub mod app_state;
pub mod connection;
pub mod media_host;
pub mod own_phone;
pub mod phone_state;
pub mod stanza;
pub mod unlinking;
pub mod world;

use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use axum::Router;
use axum::extract::ws::{WebSocket, WebSocketUpgrade};
use axum::extract::{FromRequestParts, Request, State};
use axum::http::StatusCode;
use axum::response::{IntoResponse, Response};
use axum::routing::any;
use futures_util::FutureExt;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use parking_lot::Mutex;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::crypto::media_cipher::MediaStore;
use crate::crypto::noise::NoiseIdentity;
use crate::crypto::tls::Tls;
use crate::model::faults::FallbackPolicy;
use crate::model::options::SimulatorOptions;
use crate::server::own_phone::OwnPhone;
use crate::server::world::World;

/// The first byte of a TLS record that opens a connection; no HTTP method starts with it.
const TLS_HANDSHAKE: u8 = 0x16;

/// How long a peer may take to show whether it speaks TLS, and to finish the TLS handshake.
const OPENING_TIMEOUT: Duration = Duration::from_secs(10);

/// The state that all connections and calls share.
pub(crate) struct Server {
    pub(crate) world: Mutex<World>,
    noise: Mutex<Arc<NoiseIdentity>>,
    pub(crate) tls: Tls,
    pub(crate) media: MediaStore,
    pub(crate) options: SimulatorOptions,
    pub(crate) own_phone: Box<dyn OwnPhone>,
    pub(crate) address: SocketAddr,
    /// Notified whenever a phone or the state of a device changes.
    pub(crate) changed: tokio::sync::Notify,
    pub(crate) tasks: TaskTracker,
    pub(crate) stop: CancellationToken,
    /// The messages of panics in connections.
    pub(crate) panics: Mutex<Vec<String>>,
    connections: AtomicU64,
}

impl Server {
    pub(crate) fn new(
        options: SimulatorOptions,
        address: SocketAddr,
        own_phone: Box<dyn OwnPhone>,
    ) -> anyhow::Result<Self> {
        Ok(Self {
            world: Mutex::default(),
            noise: Mutex::new(Arc::new(NoiseIdentity::generate(options.corruption)?)),
            tls: Tls::of_this_process()?,
            media: MediaStore::default(),
            options,
            own_phone,
            address,
            changed: tokio::sync::Notify::new(),
            tasks: TaskTracker::new(),
            stop: CancellationToken::new(),
            panics: Mutex::default(),
            connections: AtomicU64::new(0),
        })
    }

    /// The current Noise identity.
    pub(crate) fn noise_identity(&self) -> Arc<NoiseIdentity> {
        self.noise.lock().clone()
    }

    /// Replaces its static key, from the next handshake on.
    pub(crate) fn change_key(&self, fallback: FallbackPolicy) -> anyhow::Result<()> {
        let renewed = self.noise_identity().with_new_key(fallback)?;
        *self.noise.lock() = Arc::new(renewed);
        Ok(())
    }

    pub(crate) fn next_connection_id(&self) -> u64 {
        self.connections.fetch_add(1, Ordering::Relaxed) + 1
    }

    /// Waits until `look` finds something. Registers for the wake-up before it looks; no lock is
    /// held around `look`.
    pub(crate) async fn wait_for<T>(&self, mut look: impl FnMut() -> Option<T>) -> T {
        loop {
            let mut changed = std::pin::pin!(self.changed.notified());
            changed.as_mut().enable();
            if let Some(found) = look() {
                return found;
            }
            changed.await;
        }
    }

    /// Accepts connections until the simulator is stopped; `admin` are the routes below `/admin`.
    pub(crate) async fn accept_connections(
        self: Arc<Self>,
        listener: TcpListener,
        admin: Router<Arc<Self>>,
    ) {
        let routes = routes(self.clone(), admin);
        loop {
            let accepted = tokio::select! {
                () = self.stop.cancelled() => return,
                accepted = listener.accept() => accepted,
            };
            match accepted {
                Ok((socket, _)) => {
                    self.tasks
                        .spawn(self.clone().serve_socket(socket, routes.clone()));
                }
                // Out of file descriptors, most likely: some will be given back.
                Err(error) => {
                    tracing::warn!(%error, "accepting a connection failed");
                    tokio::time::sleep(Duration::from_millis(50)).await;
                }
            }
        }
    }

    async fn serve_socket(self: Arc<Self>, socket: TcpStream, routes: Router) {
        let _ = socket.set_nodelay(true);
        let mut first = [0u8; 1];
        match tokio::time::timeout(OPENING_TIMEOUT, socket.peek(&mut first)).await {
            Ok(Ok(1)) if first[0] == TLS_HANDSHAKE => {
                match tokio::time::timeout(OPENING_TIMEOUT, self.tls.acceptor.accept(socket)).await
                {
                    Ok(Ok(stream)) => self.serve_http(stream, routes).await,
                    Ok(Err(error)) => tracing::debug!(%error, "a TLS handshake failed"),
                    Err(_) => tracing::debug!("a TLS handshake took too long"),
                }
            }
            Ok(Ok(1)) => self.serve_http(socket, routes).await,
            _ => {}
        }
    }

    async fn serve_http<S>(&self, stream: S, routes: Router)
    where
        S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    {
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .serve_connection(TokioIo::new(stream), TowerToHyperService::new(routes))
            .with_upgrades();
        tokio::select! {
            () = self.stop.cancelled() => {}
            served = connection => if let Err(error) = served {
                tracing::debug!(%error, "an HTTP connection ended");
            },
        }
    }
}

fn routes(server: Arc<Server>, admin: Router<Arc<Server>>) -> Router {
    Router::new()
        .route("/ws/chat", any(upgrade_websocket))
        .merge(media_host::routes())
        .nest("/admin", admin)
        .with_state(server)
}

/// Serves a WebSocket and records a panic, so that stopping the simulator reports it.
async fn serve_websocket(server: Arc<Server>, socket: WebSocket) {
    let panicked = AssertUnwindSafe(connection::run(server.clone(), socket))
        .catch_unwind()
        .await;
    if let Err(panic) = panicked {
        let words = panic
            .downcast_ref::<String>()
            .map(String::as_str)
            .or(panic.downcast_ref::<&str>().copied());
        server
            .panics
            .lock()
            .push(words.unwrap_or("without words").to_owned());
    }
}

async fn upgrade_websocket(State(server): State<Arc<Server>>, request: Request) -> Response {
    let refused = {
        let mut world = server.world.lock();
        world.refused += u64::from(world.switches.refuse_connections);
        world.switches.refuse_connections
    };
    if refused {
        server.changed.notify_waiters();
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    let (mut parts, _) = request.into_parts();
    match WebSocketUpgrade::from_request_parts(&mut parts, &()).await {
        Ok(upgrade) => upgrade.on_upgrade(move |socket| {
            let tasks = server.tasks.clone();
            tasks.track_future(serve_websocket(server, socket))
        }),
        Err(rejection) => rejection.into_response(),
    }
}
