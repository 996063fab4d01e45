//! A linked device run by the engine: what a test says about it, and what it saw.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio::task::JoinHandle;
use wacore::store::InMemoryBackend;
use wapi_simulator::{LinkedDevice, Phone, Simulator, SimulatorOptions};
use whatsapp_rust::http::{HttpClient, HttpRequest, HttpResponse};
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::transport::TokioWebSocketTransportFactory;
use whatsapp_rust::types::events::{Event, EventHandler, InboundMessage, Subscription};
use whatsapp_rust::waproto::whatsapp as wa;
use whatsapp_rust::{Client, InboundDurabilityHook, Jid, TokioRuntime};

/// Nothing in these tests takes longer than a moment; this is for a machine under load.
pub const PATIENCE: Duration = Duration::from_secs(30);

/// The engine is told its version, so it has nothing to fetch.
struct NoHttp;

#[async_trait]
impl HttpClient for NoHttp {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        anyhow::bail!(
            "these tests make no HTTP request, but the engine asked for {}",
            request.url
        )
    }
}

/// Downloads from the simulator's media host.
struct Downloads(reqwest::Client);

#[async_trait]
impl HttpClient for Downloads {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        anyhow::ensure!(request.method == "GET", "these tests only download");
        let answer = self.0.get(request.url).send().await?;
        Ok(HttpResponse {
            status_code: answer.status().as_u16(),
            body: answer.bytes().await?.to_vec(),
        })
    }
}

struct Listener(mpsc::UnboundedSender<Arc<Event>>);

impl EventHandler for Listener {
    fn handle_event(&self, event: Arc<Event>) {
        let _ = self.0.send(event);
    }
}

/// Whether the engine may confirm what it receives.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Inbox {
    Works,
    /// As if the disk were full: nothing is acknowledged.
    Fails,
}

#[async_trait]
impl InboundDurabilityHook for Inbox {
    async fn on_messages(&self, _: Arc<Client>, _: &[InboundMessage]) -> anyhow::Result<()> {
        match self {
            Inbox::Works => Ok(()),
            Inbox::Fails => anyhow::bail!("the inbox is broken on purpose"),
        }
    }
}

/// The keys of a linked device, which outlive its connections.
#[derive(Clone)]
pub struct Keys(Arc<InMemoryBackend>);

/// A running linked device.
pub struct Companion {
    pub client: Arc<Client>,
    pub keys: Keys,
    events: mpsc::UnboundedReceiver<Arc<Event>>,
    /// Taken from the channel by `has_seen`, and not yet by `next`.
    ahead: VecDeque<Arc<Event>>,
    seen: Vec<Arc<Event>>,
    /// Came in one event with the last, and not taken yet.
    messages: VecDeque<Received>,
    run: JoinHandle<()>,
    _subscription: Subscription,
}

/// A message as the engine shows it.
#[derive(Debug, PartialEq, Eq)]
pub struct Received {
    pub id: String,
    pub text: String,
    pub from_me: bool,
    pub offline: bool,
    pub sender: String,
    pub sender_alt: Option<String>,
}

impl Companion {
    /// Starts a device that has never been linked.
    pub async fn new(simulator: &Simulator) -> Self {
        Self::start(
            simulator,
            Keys(Arc::new(InMemoryBackend::new())),
            Inbox::Works,
        )
        .await
    }

    /// The same, with a way to the media host.
    pub async fn downloading(simulator: &Simulator) -> Self {
        let http = Arc::new(Downloads(crate::media::https(simulator)));
        Self::start_with(
            simulator,
            Keys(Arc::new(InMemoryBackend::new())),
            Inbox::Works,
            http,
        )
        .await
    }

    /// Starts a device from its keys.
    pub async fn start(simulator: &Simulator, keys: Keys, inbox: Inbox) -> Self {
        Self::start_with(simulator, keys, inbox, Arc::new(NoHttp)).await
    }

    async fn start_with(
        simulator: &Simulator,
        keys: Keys,
        inbox: Inbox,
        http: Arc<dyn HttpClient>,
    ) -> Self {
        let saved = Arc::new(PersistenceManager::new(keys.0.clone()).await.unwrap());
        let client = Client::builder()
            .with_runtime(TokioRuntime)
            .with_persistence_manager(saved)
            .with_transport_factory(
                TokioWebSocketTransportFactory::new().with_url(simulator.ws_url()),
            )
            .with_http_client_arc(http)
            .with_version_override((2, 3000, 1_030_000_000))
            .with_wanted_pre_key_count(30)
            .with_inbound_durability_hook(inbox)
            .build()
            .await
            .unwrap()
            .into_client();
        let (sender, events) = mpsc::unbounded_channel();
        let subscription = client.subscribe_handler(Arc::new(Listener(sender)));
        let run = tokio::spawn({
            let client = client.clone();
            async move { client.run().await }
        });
        Self {
            client,
            keys,
            events,
            ahead: VecDeque::new(),
            seen: Vec::new(),
            messages: VecDeque::new(),
            run,
            _subscription: subscription,
        }
    }

    /// Starts a device, links it to the phone's account, and waits until it is online.
    pub async fn linked_to(phone: &Phone, simulator: &Simulator) -> (Self, LinkedDevice) {
        let mut companion = Self::new(simulator).await;
        let qr = companion.qr().await;
        let device = phone.scans_qr(&qr).await.unwrap();
        companion.connected().await;
        (companion, device)
    }

    /// The text of the next QR it shows.
    pub async fn qr(&mut self) -> String {
        self.next("a QR", |event| match event {
            Event::PairingQrCode(qr) => Some(qr.code.clone()),
            _ => None,
        })
        .await
    }

    pub async fn connected(&mut self) {
        self.next("to be connected", |event| {
            matches!(event, Event::Connected(_)).then_some(())
        })
        .await;
    }

    /// The next message it receives. The engine may tell of several in one event.
    pub async fn message(&mut self) -> Received {
        if self.messages.is_empty() {
            let batch = self.next("a message", |event| match event {
                Event::Messages(batch) => Some(batch.messages.iter().map(received).collect()),
                _ => None,
            });
            self.messages = batch.await;
        }
        self.messages.pop_front().expect("no event is without one")
    }

    /// The next event that `pick` takes. Events it passes over are gone; on a timeout all that came are printed.
    pub async fn next<T>(&mut self, what: &str, mut pick: impl FnMut(&Event) -> Option<T>) -> T {
        let deadline = tokio::time::Instant::now() + PATIENCE;
        loop {
            let event = match self.ahead.pop_front() {
                Some(event) => Ok(Some(event)),
                None => tokio::time::timeout_at(deadline, self.events.recv()).await,
            };
            match event {
                Ok(Some(event)) => {
                    self.seen.push(event.clone());
                    if let Some(found) = pick(&event) {
                        return found;
                    }
                }
                Ok(None) => panic!(
                    "the engine is gone; waited for {what}; saw {:#?}",
                    self.seen
                ),
                Err(_) => panic!("waited for {what} in vain; saw {:#?}", self.seen),
            }
        }
    }

    /// Whether such an event has come so far; takes in what is there without waiting.
    pub fn has_seen(&mut self, fits: impl Fn(&Event) -> bool) -> bool {
        let mut unread = Vec::new();
        while let Ok(event) = self.events.try_recv() {
            unread.push(event);
        }
        let found = unread.iter().chain(&self.seen).any(|event| fits(event));
        self.ahead.extend(unread);
        found
    }

    /// Waits until the engine knows what `look` finds. It tells nobody when it learns something, so
    /// this is the only wait that looks again and again.
    pub async fn learns<T>(&self, what: &str, look: impl Fn(&Client) -> Option<T>) -> T {
        let looks = async {
            loop {
                match look(&self.client) {
                    Some(found) => return found,
                    None => tokio::time::sleep(Duration::from_millis(20)).await,
                }
            }
        };
        let found = tokio::time::timeout(PATIENCE, looks).await;
        found.unwrap_or_else(|_| panic!("waited for {what} in vain; saw {:#?}", self.seen))
    }

    pub async fn sends_text(&self, to: &Phone, text: &str) -> String {
        let to: Jid = to.jid().parse().unwrap();
        self.client
            .send_text(to, text)
            .await
            .unwrap()
            .message_id
            .to_string()
    }

    /// Leaves without logging out.
    pub async fn stop(self) -> Keys {
        self.client.disconnect().await;
        let _ = self.run.await;
        self.keys
    }
}

fn received(inbound: &InboundMessage) -> Received {
    let source = &inbound.info.source;
    Received {
        id: inbound.info.id.to_string(),
        text: text(&inbound.message),
        from_me: source.is_from_me,
        offline: inbound.info.is_offline,
        sender: source.sender.to_string(),
        sender_alt: source.sender_alt.as_ref().map(ToString::to_string),
    }
}

fn text(message: &wa::Message) -> String {
    let extended = message
        .extended_text_message
        .as_option()
        .and_then(|extended| extended.text.clone());
    message
        .conversation
        .clone()
        .or(extended)
        .unwrap_or_default()
}

/// A simulator with two accounts.
pub async fn two_phones(options: SimulatorOptions) -> (Simulator, Phone, Phone) {
    let simulator = Simulator::start(options).await.unwrap();
    let (alice, bob) = (
        simulator.add_phone("Alice").unwrap(),
        simulator.add_phone("Bob").unwrap(),
    );
    (simulator, alice, bob)
}
