//! The floor's own process: engine clients with the gateway's settings and the engine's store, a hook that does nothing, and no more.

use std::collections::HashMap;
use std::io::Write;
use std::path::Path;
use std::sync::atomic::{AtomicBool, AtomicI64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use async_trait::async_trait;
use tokio::net::TcpStream;
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinSet;
use whatsapp_rust::async_channel;
use whatsapp_rust::http::{HttpClient, HttpRequest, HttpResponse};
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::store::{SqliteStore, SqliteStoreConfig};
use whatsapp_rust::transport::{Transport, TransportEvent, TransportFactory, from_websocket};
use whatsapp_rust::types::durability_hook::InboundMessage;
use whatsapp_rust::types::events::{Event, EventHandler, EventInterest, EventKind, Subscription};
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::{
    CacheConfig, CacheEntryConfig, Client, InboundDurabilityHook, Jid, SendOptions, TokioRuntime,
};

use super::{Order, Sends, Word};
use crate::arguments::Floor;

/// The settings of the gateway's `whatsapp` room at the time the floor was made. They stay: a floor does not move.
const ONE_TIME_KEYS: usize = 100;
const PAGE_CACHE_KIB: u32 = 64;
const SAVE_EVERY: Duration = Duration::from_secs(30);
/// What every build of the simulator takes.
const VERSION: (u32, u32, u32) = (2, 3000, 1_030_000_000);
/// How long the server may take to take a message.
const ACK: Duration = Duration::from_secs(60);

/// Runs until nobody gives orders any more.
pub async fn run(floor: Floor) -> Result<()> {
    let counter = Arc::<Counter>::default();
    let mut sessions = Vec::with_capacity(floor.sessions);
    for index in 0..floor.sessions {
        let file = floor.folder.join(format!("{index}.db"));
        sessions.push(Arc::new(
            Session::start(index, &file, &floor.url, Arc::clone(&counter)).await?,
        ));
    }
    let mut orders = orders();
    while let Some(line) = orders.recv().await {
        match serde_json::from_str::<Order>(&line).with_context(|| format!("told {line:?}"))? {
            Order::Expect { count } => {
                counter.expect(count);
                say(&Word::Counts);
            }
            Order::Send(sends) => match send(&sessions, sends).await {
                Ok(()) => say(&Word::Sent),
                Err(error) => say(&Word::Failed {
                    reason: format!("{error:#}"),
                }),
            },
        }
    }
    Ok(())
}

/// The lines we are told, read by a thread of its own: reading them would block.
fn orders() -> mpsc::UnboundedReceiver<String> {
    let (sender, orders) = mpsc::unbounded_channel();
    std::thread::spawn(move || {
        for line in std::io::stdin().lines().map_while(Result::ok) {
            if sender.send(line).is_err() {
                break;
            }
        }
    });
    orders
}

fn say(word: &Word) {
    let line = serde_json::to_string(word).expect("a word is always JSON");
    // Whoever does not listen any more has ended or will end us.
    let _ = writeln!(std::io::stdout().lock(), "{line}");
}

/// Counts down to what is expected.
#[derive(Default)]
struct Counter(AtomicI64);

impl Counter {
    fn expect(&self, count: usize) {
        self.0
            .store(i64::try_from(count).unwrap_or(i64::MAX), Ordering::SeqCst);
    }

    fn received(&self, count: usize) {
        let count = i64::try_from(count).unwrap_or(i64::MAX);
        let before = self.0.fetch_sub(count, Ordering::SeqCst);
        if before > 0 && before <= count {
            say(&Word::Received);
        }
    }
}

/// Takes everything and keeps nothing.
struct Hook(Arc<Counter>);

#[async_trait]
impl InboundDurabilityHook for Hook {
    async fn on_messages(&self, _: Arc<Client>, batch: &[InboundMessage]) -> Result<()> {
        self.0.received(batch.len());
        Ok(())
    }
}

struct NoHttp;

#[async_trait]
impl HttpClient for NoHttp {
    async fn execute(&self, request: HttpRequest) -> Result<HttpResponse> {
        bail!(
            "nothing here makes HTTP requests, but the engine asked for {}",
            request.url
        )
    }
}

/// Dials without holding small frames back, as the gateway does; the engine's own dialler leaves the socket as it is, and would be
/// measured waiting for the simulator's delayed acknowledgements.
struct Dialer {
    url: String,
}

#[async_trait]
impl TransportFactory for Dialer {
    async fn create_transport(
        &self,
    ) -> Result<(Arc<dyn Transport>, async_channel::Receiver<TransportEvent>)> {
        let address = self
            .url
            .strip_prefix("ws://")
            .and_then(|rest| rest.split('/').next());
        let socket =
            TcpStream::connect(address.context("the simulator is at ws://host:port/…")?).await?;
        socket.set_nodelay(true)?;
        let (socket, _) = tokio_websockets::ClientBuilder::new()
            .uri(&self.url)?
            .connect_on(socket)
            .await?;
        Ok(from_websocket(socket))
    }
}

/// Passes on what linking needs, and the server's acks.
struct Listener {
    session: usize,
    has_shown_qr: AtomicBool,
    has_been_online: AtomicBool,
    acks: Mutex<HashMap<String, oneshot::Sender<Option<String>>>>,
}

impl Listener {
    fn new(session: usize) -> Self {
        Self {
            session,
            has_shown_qr: false.into(),
            has_been_online: false.into(),
            acks: Mutex::default(),
        }
    }

    /// The server's word on a message that has not left yet: nothing, or a code.
    fn ack(&self, id: &str) -> oneshot::Receiver<Option<String>> {
        let (sender, ack) = oneshot::channel();
        self.acks
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .insert(id.to_owned(), sender);
        ack
    }
}

impl EventHandler for Listener {
    fn handle_event(&self, event: Arc<Event>) {
        match &*event {
            Event::PairingQrCode(qr) if !self.has_shown_qr.swap(true, Ordering::SeqCst) => {
                say(&Word::Qr {
                    session: self.session,
                    text: qr.code.clone(),
                });
            }
            Event::Connected(_) if !self.has_been_online.swap(true, Ordering::SeqCst) => {
                say(&Word::Online)
            }
            Event::ServerAck(ack) => {
                let waiting = self
                    .acks
                    .lock()
                    .unwrap_or_else(PoisonError::into_inner)
                    .remove(&ack.id);
                if let Some(waiting) = waiting {
                    let _ = waiting.send(ack.error.clone());
                }
            }
            _ => {}
        }
    }

    fn interest(&self) -> EventInterest {
        EventInterest::of(&[
            EventKind::PairingQrCode,
            EventKind::Connected,
            EventKind::ServerAck,
        ])
    }
}

/// One linked device.
struct Session {
    client: Arc<Client>,
    listener: Arc<Listener>,
    _subscription: Subscription,
}

impl Session {
    async fn start(index: usize, file: &Path, url: &str, counter: Arc<Counter>) -> Result<Self> {
        let config = SqliteStoreConfig {
            cache_size_kib: PAGE_CACHE_KIB,
            ..SqliteStoreConfig::default()
        };
        let path = file.to_str().context("the folder's path is not UTF-8")?;
        let store = SqliteStore::with_config(path, config).await?;
        let client = Client::builder()
            .with_runtime(TokioRuntime)
            .with_persistence_manager(Arc::new(PersistenceManager::new(Arc::new(store)).await?))
            .with_transport_factory(Dialer {
                url: url.to_owned(),
            })
            .with_http_client(NoHttp)
            .with_cache_config(caches())
            .with_inbound_durability_hook(Hook(counter))
            .with_skip_history_sync(true)
            .with_wanted_pre_key_count(ONE_TIME_KEYS)
            .with_background_saver_interval(SAVE_EVERY)
            .with_version_override(VERSION)
            .build()
            .await?
            .into_client();
        let listener = Arc::new(Listener::new(index));
        let subscription = client.subscribe_handler(Arc::clone(&listener) as Arc<dyn EventHandler>);
        let running = Arc::clone(&client);
        tokio::spawn(async move { running.run().await });
        Ok(Self {
            client,
            listener,
            _subscription: subscription,
        })
    }

    /// Sends a text and waits until the server has taken it.
    async fn send(&self, to: &Jid, text: String) -> Result<()> {
        let id = self.client.generate_message_id();
        let ack = self.listener.ack(&id);
        let message = wa::Message {
            conversation: Some(text),
            ..Default::default()
        };
        let options = SendOptions::default().with_message_id(&id);
        self.client
            .send_message_with_options(to.clone(), message, options)
            .await?;
        let refused = tokio::time::timeout(ACK, ack)
            .await
            .context("the server did not take a message")??;
        ensure!(
            refused.is_none(),
            "the server refused a message: {refused:?}"
        );
        Ok(())
    }
}

fn caches() -> CacheConfig {
    let hour = Some(Duration::from_secs(3600));
    CacheConfig {
        group_cache: CacheEntryConfig::new(hour, 100),
        device_registry_cache: CacheEntryConfig::new(hour, 2_000),
        seed_msg_secrets_from_history: false,
        ..CacheConfig::default()
    }
}

async fn send(sessions: &[Arc<Session>], sends: Sends) -> Result<()> {
    let parsed = |chats: &Vec<String>| {
        chats
            .iter()
            .map(|to| to.parse::<Jid>())
            .collect::<Result<Vec<_>, _>>()
    };
    let chats: Vec<Arc<[Jid]>> = sends
        .to
        .iter()
        .map(|chats| parsed(chats).map(Arc::from))
        .collect::<Result<_, _>>()?;
    let workers = chats.len() * sends.in_flight;
    let mut sending = JoinSet::new();
    for worker in 0..workers {
        let place = worker % chats.len();
        let (session, chats) = (Arc::clone(&sessions[place]), Arc::clone(&chats[place]));
        let texts = sends.texts(worker, workers);
        sending.spawn(async move {
            for (chat, text) in texts {
                session.send(&chats[chat], text).await?;
            }
            anyhow::Ok(())
        });
    }
    while let Some(sent) = sending.join_next().await {
        sent??;
    }
    Ok(())
}
