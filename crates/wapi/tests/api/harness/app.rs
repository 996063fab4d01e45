//! The gateway under test, in this process, against a simulated WhatsApp.

use std::collections::BTreeMap;
use std::net::TcpListener;
use std::ops::Deref;
use std::path::Path;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::Router;
use tempfile::TempDir;
use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use wapi::app::App;
use wapi::config::{BuildKind, Config, ConfigSources, ValueSource};
use wapi::media::qr_image::QrStyle;
use wapi::sessions::QrConsole;
use wapi::system::clock::Clock;
use wapi::system::lifecycle::FinishReport;
use wapi_simulator::{Addressing, Phone, Simulator, SimulatorOptions};

use super::clock::TestClock;
use super::document::events_are_as_described;
use super::privacy::is_private;
use super::{ChaosProxy, TestClient, TestReceiver, options};

/// Settings and surroundings of a gateway that is not started yet.
pub struct Setup {
    settings: BTreeMap<String, String>,
    simulator: SimulatorOptions,
    scheme: Scheme,
}

/// How the gateway dials the simulated WhatsApp.
#[derive(Clone, Copy)]
enum Scheme {
    Plain,
    Tls,
    /// Through a line that breaks on command.
    Breakable,
}

impl Setup {
    pub fn new() -> Self {
        Self {
            settings: BTreeMap::new(),
            simulator: options(),
            scheme: Scheme::Plain,
        }
    }

    /// Sets a variable, as in the environment.
    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.settings.insert(name.to_owned(), value.to_string());
        self
    }

    pub fn simulator(mut self, options: SimulatorOptions) -> Self {
        self.simulator = options;
        self
    }

    /// Dials WhatsApp over TLS, as the real one is.
    pub fn over_tls(self) -> Self {
        Self {
            scheme: Scheme::Tls,
            ..self
        }
    }

    /// Dials WhatsApp through [`TestApp::line`].
    pub fn over_a_breakable_line(self) -> Self {
        Self {
            scheme: Scheme::Breakable,
            ..self
        }
    }

    /// A simulated WhatsApp, a webhook, an empty data folder, and a gateway between them.
    ///
    /// With `WAPI_TESTS_LOG=debug` in the environment the gateway's log goes to standard error.
    pub async fn start(self) -> TestApp {
        if let Ok(filter) = std::env::var("WAPI_TESTS_LOG") {
            // Another test of this process may have started it.
            let _ = wapi::telemetry::start_telemetry(&filter, wapi::config::LogFormat::Text, None);
        }
        let addressing = self.simulator.addressing;
        let simulator = Simulator::start(self.simulator)
            .await
            .expect("the simulator starts");
        let webhook = TestReceiver::start().await;
        let root = tempfile::tempdir().expect("a temporary folder");
        let line = ChaosProxy::to(simulator.listen_address()).await;
        let url = match self.scheme {
            Scheme::Plain => simulator.ws_url(),
            Scheme::Tls => simulator.wss_url(),
            Scheme::Breakable => simulator.ws_url().replace(
                &simulator.listen_address().to_string(),
                &line.address.to_string(),
            ),
        };
        let mut settings = BTreeMap::from([
            ("WAPI_GETTING_MESSAGES_WEBHOOK".to_owned(), webhook.base()),
            ("WAPI_INTERNAL_HOST".to_owned(), "127.0.0.1:0".to_owned()),
            (
                "WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH".to_owned(),
                root.path().display().to_string(),
            ),
            ("WAPI_WHATSAPP_URL".to_owned(), url),
            (
                "WAPI_WHATSAPP_CA_FILE".to_owned(),
                simulator.ca_pem_file().display().to_string(),
            ),
        ]);
        settings.extend(self.settings);
        let console = Arc::default();
        let clock = TestClock::new();
        let running = Running::start(&settings, &clock, &console).await;
        TestApp {
            simulator,
            addressing,
            webhook,
            line,
            root,
            console,
            clock,
            settings,
            running,
        }
    }
}

/// A gateway that serves, and everything around it. Ends with [`TestApp::finish`].
pub struct TestApp {
    pub simulator: Simulator,
    addressing: Addressing,
    pub webhook: TestReceiver,
    /// Stands before WhatsApp in a [`Setup::over_a_breakable_line`].
    pub line: ChaosProxy,
    root: TempDir,
    console: Arc<Mutex<Vec<String>>>,
    clock: TestClock,
    settings: BTreeMap<String, String>,
    running: Running,
}

/// Calls go to the gateway.
impl Deref for TestApp {
    type Target = TestClient;

    fn deref(&self) -> &TestClient {
        &self.running.client
    }
}

impl TestApp {
    pub async fn start() -> Self {
        Setup::new().start().await
    }

    pub fn phone(&self, name: &str) -> Phone {
        self.simulator.add_phone(name).expect("a new account")
    }

    /// Where chats with somebody are in the world of this test.
    pub fn address(&self, phone: &Phone) -> String {
        match self.addressing {
            Addressing::PhoneNumber => phone.jid(),
            Addressing::Lid => phone.lid(),
        }
    }

    /// The data folder.
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    /// What was printed for people to scan.
    pub fn console(&self) -> Vec<String> {
        self.console.lock().unwrap().clone()
    }

    /// From now on the gateway panics when it prints a QR code. Mended with [`Self::mend_console`].
    pub fn break_console(&self) {
        let console = Arc::clone(&self.console);
        let poisoning = std::thread::spawn(move || {
            let _held = console.lock();
            panic!("the console breaks on purpose");
        });
        poisoning.join().expect_err("it panics");
    }

    pub fn mend_console(&self) {
        self.console.clear_poison();
    }

    /// The routes without a socket before them.
    pub fn router(&self) -> Router {
        self.running.router.clone()
    }

    /// The gateway's clock jumps ahead.
    pub fn push_clock(&self, by: Duration) {
        self.clock.push(by);
    }

    /// Stops the gateway; WhatsApp, the webhook and the data folder stay. Starts again with [`Stopped::start`].
    pub async fn stop(self) -> Stopped {
        let Self {
            simulator,
            addressing,
            webhook,
            line,
            root,
            console,
            clock,
            settings,
            running,
        } = self;
        running.stop().await;
        is_private(root.path());
        Stopped {
            simulator,
            addressing,
            webhook,
            line,
            root,
            console,
            clock,
            settings,
        }
    }

    pub async fn restart(self) -> Self {
        self.stop().await.start().await
    }

    /// The same as [`Self::finish`] for a gateway in which so many tasks have panicked.
    pub async fn finish_after_panics(self, panicked: usize) {
        let Self {
            simulator, running, ..
        } = self;
        assert_eq!(
            running.ends().await,
            FinishReport {
                dropped: 0,
                panicked
            }
        );
        simulator.finish().await.expect("the simulator is content");
    }

    /// Stops everything; fails on panics, on tasks that did not end, on files that others of the machine can read, on posts that no test read, on requests that the simulator
    /// did not understand, and on events that are not what the OpenAPI document says.
    pub async fn finish(self) {
        events_are_as_described(&self).await;
        let Stopped {
            simulator, webhook, ..
        } = self.stop().await;
        let leftovers = webhook.leftovers();
        assert!(
            leftovers.is_empty(),
            "posts that nobody read: {leftovers:#?}"
        );
        simulator.finish().await.expect("the simulator is content");
    }
}

/// A gateway between two runs.
pub struct Stopped {
    pub simulator: Simulator,
    addressing: Addressing,
    pub webhook: TestReceiver,
    line: ChaosProxy,
    root: TempDir,
    console: Arc<Mutex<Vec<String>>>,
    clock: TestClock,
    settings: BTreeMap<String, String>,
}

impl Stopped {
    pub fn root(&self) -> &Path {
        self.root.path()
    }

    pub async fn start(self) -> TestApp {
        let Self {
            simulator,
            addressing,
            webhook,
            line,
            root,
            console,
            clock,
            settings,
        } = self;
        let running = Running::start(&settings, &clock, &console).await;
        TestApp {
            simulator,
            addressing,
            webhook,
            line,
            root,
            console,
            clock,
            settings,
            running,
        }
    }
}

/// One run of the gateway.
struct Running {
    client: TestClient,
    router: Router,
    stop: oneshot::Sender<()>,
    served: JoinHandle<anyhow::Result<FinishReport>>,
}

impl Running {
    async fn start(
        settings: &BTreeMap<String, String>,
        clock: &TestClock,
        console: &Arc<Mutex<Vec<String>>>,
    ) -> Self {
        // As the program itself does first.
        wapi::system::data_folder::set_private_umask();
        let layers =
            ConfigSources::from_defaults().with_values(settings.clone(), ValueSource::Environment);
        let config = Config::read(&layers, BuildKind::current()).expect("right settings");
        let printed = Arc::clone(console);
        let print = move |text: &str| printed.lock().unwrap().push(text.to_owned());
        let app = App::build(
            config,
            Clock::new(clock.clone()),
            QrConsole::new(QrStyle::Blocks, print),
        );
        let app = app.await.expect("the gateway builds");
        let router = app.local_router();
        let listener = TcpListener::bind("127.0.0.1:0").expect("a free port");
        let client = TestClient::new(listener.local_addr().expect("a bound listener"));
        let (stop, stopped) = oneshot::channel();
        let served = tokio::spawn(app.serve(listener, async move {
            let _ = stopped.await;
        }));
        Self {
            client,
            router,
            stop,
            served,
        }
    }

    async fn stop(self) {
        assert_eq!(
            self.ends().await,
            FinishReport {
                dropped: 0,
                panicked: 0
            }
        );
    }

    async fn ends(self) -> FinishReport {
        self.stop.send(()).expect("the gateway still serves");
        self.served
            .await
            .expect("no panic")
            .expect("the gateway ends well")
    }
}
