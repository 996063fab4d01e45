//! How many linked devices and messages a simulator carries: `cargo run --release -p wapi-simulator --example rate`.
//!
//! Runs `wapi-simulator` as a process of its own, links engine clients to it, lets every device send to the next account, and
//! prints what was received a second and how much memory the simulator took. Environment: `DEVICES` (1000), `MESSAGES` (20000).

use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Context, bail, ensure};
use async_trait::async_trait;
use serde_json::{Value, json};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use wacore::store::InMemoryBackend;
use whatsapp_rust::http::{HttpClient, HttpRequest, HttpResponse};
use whatsapp_rust::store::persistence_manager::PersistenceManager;
use whatsapp_rust::transport::TokioWebSocketTransportFactory;
use whatsapp_rust::types::events::{Event, EventHandler, Subscription};
use whatsapp_rust::{Client, Jid, TokioRuntime};

/// Devices that pair at the same time.
const PAIRING_AT_ONCE: usize = 16;

struct NoHttp;

#[async_trait]
impl HttpClient for NoHttp {
    async fn execute(&self, request: HttpRequest) -> anyhow::Result<HttpResponse> {
        bail!("nothing here makes HTTP requests, but the engine asked for {}", request.url)
    }
}

/// Counts messages from others, and passes on what pairing needs.
struct Counter {
    received: Arc<AtomicUsize>,
    news: mpsc::UnboundedSender<News>,
}

enum News {
    Qr(String),
    Connected,
}

impl EventHandler for Counter {
    fn handle_event(&self, event: Arc<Event>) {
        match &*event {
            Event::Messages(batch) => {
                let others = batch.messages.iter().filter(|inbound| !inbound.info.source.is_from_me).count();
                self.received.fetch_add(others, Ordering::Relaxed);
            }
            Event::PairingQrCode(qr) => drop(self.news.send(News::Qr(qr.code.clone()))),
            Event::Connected(_) => drop(self.news.send(News::Connected)),
            _ => {}
        }
    }
}

struct Device {
    client: Arc<Client>,
    number: String,
    _subscription: Subscription,
}

struct Simulator {
    process: Child,
    ws: String,
    admin: String,
    http: reqwest::Client,
}

impl Simulator {
    fn start() -> anyhow::Result<Self> {
        let program = std::env::current_exe()?.with_file_name("../wapi-simulator");
        let mut process = Command::new(&program)
            .args(["--listen", "127.0.0.1:0"])
            .stdout(Stdio::piped())
            .spawn()
            .with_context(|| format!("starting {}; build it with the same profile first", program.display()))?;
        let mut line = String::new();
        let stdout = process.stdout.take().context("its output is piped")?;
        std::io::BufRead::read_line(&mut std::io::BufReader::new(stdout), &mut line)?;
        let ready: Value = serde_json::from_str(&line)?;
        let text = |name: &str| ready[name].as_str().map(str::to_owned).context("an address is missing");
        let (ws, admin) = (text("ws")?, text("admin")?);
        Ok(Self { process, ws, admin, http: reqwest::Client::builder().no_proxy().build()? })
    }

    async fn post(&self, path: &str, body: Value) -> anyhow::Result<Value> {
        let answer = self.http.post(format!("{}{path}", self.admin)).json(&body).send().await?;
        Ok(answer.error_for_status()?.json().await?)
    }

    /// Resident memory in MiB and CPU time in seconds so far.
    fn cost(&self) -> anyhow::Result<(f64, f64)> {
        let id = self.process.id();
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let resident = status.lines().find_map(|line| line.strip_prefix("VmRSS:")).context("no VmRSS")?;
        let kib: f64 = resident.trim().trim_end_matches(" kB").trim().parse()?;
        let stat = std::fs::read_to_string(format!("/proc/{id}/stat"))?;
        let fields: Vec<&str> = stat.rsplit(')').next().unwrap_or_default().split_whitespace().collect();
        let ticks: f64 = fields[11].parse::<f64>()? + fields[12].parse::<f64>()?;
        Ok((kib / 1024.0, ticks / 100.0))
    }
}

impl Drop for Simulator {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

async fn device(simulator: &Simulator, index: usize, received: Arc<AtomicUsize>) -> anyhow::Result<Device> {
    let phone = simulator.post("/phones", json!({"name": format!("Phone {index}")})).await?;
    let number = phone["number"].as_str().context("a phone has a number")?.to_owned();
    let saved = Arc::new(PersistenceManager::new(Arc::new(InMemoryBackend::new())).await?);
    let client = Client::builder()
        .with_runtime(TokioRuntime)
        .with_persistence_manager(saved)
        .with_transport_factory(TokioWebSocketTransportFactory::new().with_url(&simulator.ws))
        .with_http_client(NoHttp)
        .with_version_override((2, 3000, 1_030_000_000))
        .with_wanted_pre_key_count(20)
        .with_skip_history_sync(true)
        .build()
        .await?
        .into_client();
    let (sender, mut news) = mpsc::unbounded_channel();
    let subscription = client.subscribe_handler(Arc::new(Counter { received, news: sender }));
    tokio::spawn({
        let client = client.clone();
        async move { client.run().await }
    });
    while let Some(news) = news.recv().await {
        match news {
            News::Qr(qr) => drop(simulator.post(&format!("/phones/{number}/scan"), json!({"qr": qr})).await?),
            News::Connected => return Ok(Device { client, number, _subscription: subscription }),
        }
    }
    bail!("device {index} ended before it was connected")
}

fn number_from(name: &str, default: usize) -> anyhow::Result<usize> {
    match std::env::var(name) {
        Ok(value) => value.parse().with_context(|| format!("{name}={value} is no number")),
        Err(_) => Ok(default),
    }
}

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let (devices, messages) = (number_from("DEVICES", 1000)?, number_from("MESSAGES", 20_000)?);
    ensure!(devices >= 2, "DEVICES must be at least 2");
    tokio_rustls::rustls::crypto::ring::default_provider().install_default().ok().context("a TLS provider is set")?;
    let simulator = Arc::new(Simulator::start()?);
    let received = Arc::new(AtomicUsize::new(0));

    let started = Instant::now();
    let at_once = Arc::new(Semaphore::new(PAIRING_AT_ONCE));
    let mut pairing = JoinSet::new();
    for index in 0..devices {
        let (simulator, received, at_once) = (simulator.clone(), received.clone(), at_once.clone());
        pairing.spawn(async move {
            let _permit = at_once.acquire_owned().await?;
            device(&simulator, index, received).await
        });
    }
    let linked = pairing.join_all().await.into_iter().collect::<anyhow::Result<Vec<_>>>()?;
    let (idle, _) = simulator.cost()?;
    println!("{devices} devices linked in {:.1} s; the simulator holds {idle:.0} MiB", started.elapsed().as_secs_f64());

    // A first message from each opens the sessions; what is measured is the flow after it.
    send(&linked, devices).await?;
    all_received(&received, devices).await?;
    received.store(0, Ordering::Relaxed);
    let (_, before) = simulator.cost()?;
    let started = Instant::now();
    send(&linked, messages).await?;
    all_received(&received, messages).await?;
    let seconds = started.elapsed().as_secs_f64();
    let (resident, after) = simulator.cost()?;
    println!(
        "{messages} messages in {seconds:.1} s: {:.0} a second; the simulator used {:.0} % of a core and holds {resident:.0} MiB",
        messages as f64 / seconds,
        (after - before) / seconds * 100.0
    );
    Ok(())
}

/// Every device sends to the account after it, in turn, until the count is reached; each device one message at a time.
async fn send(devices: &[Device], count: usize) -> anyhow::Result<()> {
    let mut sending = JoinSet::new();
    for (index, device) in devices.iter().enumerate() {
        let share = count / devices.len() + usize::from(index < count % devices.len());
        let client = device.client.clone();
        let to: Jid = format!("{}@s.whatsapp.net", devices[(index + 1) % devices.len()].number).parse()?;
        sending.spawn(async move {
            for text in 0..share {
                client.send_text(to.clone(), format!("message {text}")).await?;
            }
            anyhow::Ok(())
        });
    }
    sending.join_all().await.into_iter().collect()
}

async fn all_received(received: &AtomicUsize, wanted: usize) -> anyhow::Result<()> {
    let deadline = Instant::now() + Duration::from_secs(120);
    while received.load(Ordering::Relaxed) < wanted {
        let so_far = received.load(Ordering::Relaxed);
        ensure!(Instant::now() < deadline, "only {so_far} of {wanted} messages arrived");
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    Ok(())
}
