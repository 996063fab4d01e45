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
use wapi::QrConsole;
use wapi::QrStyle;
use wapi::app::App;
use wapi::config::{BuildKind, Config, ConfigSources, ValueSource};
use wapi::system::clock::Clock;
use wapi::system::lifecycle::FinishReport;
use wapi_simulator::{Addressing, Phone, Simulator, SimulatorOptions};

use super::clock::TestClock;
use super::device_keys::leave_as_earlier;
use super::document::events_are_as_described;
use super::privacy::is_private;
use super::story::FinishGuard;
use super::{ChaosProxy, TestClient, TestReceiver, options, temporary_folder};

const MASTER_KEY: &str = "WAPI_MASTER_KEY";

/// Settings and surroundings of a gateway that is not started yet.
pub struct Setup {
    settings: BTreeMap<String, String>,
    simulator: SimulatorOptions,
    scheme: Scheme,
    console: QrStyle,
}

/// How the gateway dials the simulated WhatsApp.
#[derive(Clone, Copy)]
enum Scheme {
    Plain,
    Tls,
    /// Over TLS, at a name.
    Named,
    /// Through a line that breaks on command.
    Breakable,
}

impl Setup {
    pub fn new() -> Self {
        Self {
            settings: BTreeMap::new(),
            simulator: options(),
            scheme: Scheme::Plain,
            console: QrStyle::Blocks,
        }
    }

    /// Somebody sits at a terminal before the gateway.
    pub fn on_a_terminal(self) -> Self {
        Self {
            console: QrStyle::Escapes,
            ..self
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

    /// Dials WhatsApp over TLS and by its name, as the real one is.
    pub fn by_name(self) -> Self {
        Self {
            scheme: Scheme::Named,
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
        let root = temporary_folder();
        let (mut line, mut url) = (None, simulator.ws_url());
        match self.scheme {
            Scheme::Plain => {}
            Scheme::Tls => url = simulator.wss_url(),
            Scheme::Named => url = simulator.wss_url().replace("127.0.0.1", "localhost"),
            Scheme::Breakable => {
                let address = simulator.listen_address();
                let proxy = ChaosProxy::to(address).await;
                url = url.replace(&address.to_string(), &proxy.address.to_string());
                line = Some(proxy);
            }
        }
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
            // The simulated WhatsApp bears more than anybody knows of the real one.
            ("WAPI_LOGINS_PER_SECOND".to_owned(), "150".to_owned()),
        ]);
        // With it, all tests are run on sealed data folders.
        if let Ok(key) = std::env::var("WAPI_TESTS_MASTER_KEY") {
            settings.insert(MASTER_KEY.to_owned(), key);
        }
        settings.extend(self.settings);
        let console = Arc::default();
        let clock = TestClock::new();
        let running = Running::start(&settings, &clock, &console, self.console).await;
        TestApp {
            simulator,
            addressing,
            webhook,
            line,
            root,
            console,
            style: self.console,
            clock,
            settings,
            running: Some(running),
            guard: FinishGuard::armed(),
        }
    }
}

/// A gateway that serves, and everything around it. Ends with [`TestApp::finish`], which stories call by themselves.
pub struct TestApp {
    pub simulator: Simulator,
    addressing: Addressing,
    pub webhook: TestReceiver,
    line: Option<ChaosProxy>,
    root: TempDir,
    console: Arc<Mutex<Vec<String>>>,
    style: QrStyle,
    clock: TestClock,
    settings: BTreeMap<String, String>,
    /// `None` between two runs.
    running: Option<Running>,
    guard: FinishGuard,
}

/// Calls go to the gateway.
impl Deref for TestApp {
    type Target = TestClient;

    fn deref(&self) -> &TestClient {
        &self.running().client
    }
}

impl TestApp {
    pub async fn start() -> Self {
        Setup::new().start().await
    }

    fn running(&self) -> &Running {
        self.running.as_ref().expect("the gateway runs")
    }

    /// The line to WhatsApp of a [`Setup::over_a_breakable_line`].
    pub fn line(&self) -> &ChaosProxy {
        self.line.as_ref().expect("the line is a breakable one")
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
        self.running().router.clone()
    }

    /// The gateway's clock jumps ahead.
    pub fn push_clock(&self, by: Duration) {
        self.clock.push(by);
    }

    /// The gateway's clock runs on, a minute at a time, until `look` finds something. A gateway that was turned away notes that a
    /// moment after its receiver does, so a single push may come before it waits.
    pub async fn while_time_passes<T>(&self, look: impl AsyncFnMut() -> Option<T>) -> T {
        self.in_steps_of(Duration::from_secs(60), look).await
    }

    /// The gateway's clock runs on until the session has this status: in small steps, so that what the session begins as soon as it
    /// has it does not run into its time limit.
    pub async fn reaches(&self, session: &str, status: &str) {
        self.while_seconds_pass(async || {
            (self.info(session).await.json()["status"] == status).then_some(())
        })
        .await;
    }

    /// The gateway's clock runs on in steps of a second until `look` finds something.
    pub async fn while_seconds_pass<T>(&self, look: impl AsyncFnMut() -> Option<T>) -> T {
        self.in_steps_of(Duration::from_secs(1), look).await
    }

    async fn in_steps_of<T>(&self, step: Duration, mut look: impl AsyncFnMut() -> Option<T>) -> T {
        let found = async || {
            let found = look().await;
            if found.is_none() {
                self.push_clock(step);
            }
            found
        };
        super::eventually(found, async || {
            "time passes, and it does not happen".to_owned()
        })
        .await
    }

    /// Stops the gateway; WhatsApp, the webhook and the data folder stay. Starts again with [`Stopped::start`].
    pub async fn stop(&mut self) -> Stopped<'_> {
        let running = self.running.take().expect("the gateway runs");
        running.stop().await;
        is_private(self.root.path());
        Stopped { app: self }
    }

    /// Stops the gateway and leaves the keys of a session as earlier versions had them, which sealed none.
    pub async fn stop_as_earlier(&mut self, session: &str) -> Stopped<'_> {
        if self.has_master_key() {
            let unsealing = self.settings.clone().into_iter();
            let unsealing = unsealing.chain([("WAPI_ENCRYPT".to_owned(), "none".to_owned())]);
            let sealing = std::mem::replace(&mut self.settings, unsealing.collect());
            self.restart().await;
            self.settings = sealing;
        }
        let stopped = self.stop().await;
        leave_as_earlier(stopped.root(), session).await;
        stopped
    }

    /// Returns whether its keys are sealed.
    pub fn has_master_key(&self) -> bool {
        self.settings.contains_key(MASTER_KEY)
    }

    /// Restarts the gateway with another value of a setting.
    pub async fn change_setting(&mut self, name: &str, value: &str) {
        self.settings.insert(name.to_owned(), value.to_owned());
        self.restart().await;
    }

    /// Restarts the gateway with these settings, and without those that have no value.
    pub async fn change_settings(&mut self, changes: &[(&str, Option<&str>)]) {
        for (name, value) in changes {
            match value {
                Some(value) => drop(
                    self.settings
                        .insert((*name).to_owned(), (*value).to_owned()),
                ),
                None => drop(self.settings.remove(*name)),
            }
        }
        self.restart().await;
    }

    pub async fn restart(&mut self) {
        self.stop().await.start().await;
    }

    /// The same as [`Self::finish`] for a gateway in which so many tasks have panicked.
    pub async fn finish_after_panics(mut self, panicked: usize) {
        let running = self.running.take().expect("the gateway runs");
        assert_eq!(
            running.ends().await,
            FinishReport {
                dropped: 0,
                panicked
            }
        );
        self.finish_simulator().await;
    }

    /// The same as [`Self::finish`], but for posts and events, which were not the subject of the test.
    pub async fn finish_without_events(mut self) {
        if self.running.is_some() {
            self.stop().await;
        }
        self.finish_simulator().await;
    }

    /// Stops everything; fails on panics, on tasks that did not end, on files that others of the machine can read, on posts that no test read, on requests that the simulator
    /// did not understand, and on events that are not what the OpenAPI document says.
    pub async fn finish(mut self) {
        if self.running.is_some() {
            events_are_as_described(&self).await;
            self.stop().await;
        }
        let leftovers = self.webhook.leftovers();
        assert!(
            leftovers.is_empty(),
            "posts that nobody read: {leftovers:#?}"
        );
        self.finish_simulator().await;
    }

    async fn finish_simulator(self) {
        let Self {
            simulator, guard, ..
        } = self;
        guard.disarm();
        simulator.finish().await.expect("the simulator is content");
    }
}

/// A gateway between two runs.
pub struct Stopped<'app> {
    app: &'app mut TestApp,
}

/// Everything around the gateway is still there.
impl Deref for Stopped<'_> {
    type Target = TestApp;

    fn deref(&self) -> &TestApp {
        self.app
    }
}

impl Stopped<'_> {
    pub async fn start(self) {
        let TestApp {
            settings,
            clock,
            console,
            style,
            ..
        } = &*self.app;
        let running = Running::start(settings, clock, console, *style).await;
        self.app.running = Some(running);
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
        style: QrStyle,
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
            QrConsole::new(style, print),
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
