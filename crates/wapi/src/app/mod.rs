//! Assembly of the whole program from a configuration; the only module that knows all others.

mod retention;
#[cfg(feature = "sandbox")]
pub mod sandbox;

use std::future::Future;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use axum::Router;
use tokio_util::sync::CancellationToken;

use crate::config::{AccessMode, BuildKind, Config, ConfigSources, HostPort};
use crate::history::History;
use crate::http::access::api_keys::ApiKeys;
use crate::http::dashboard::{self, Dashboard};
use crate::http::edge::{HttpEdge, TlsServer, TrustedProxies};
use crate::http::{self, Gateway, GatewayParts};
use crate::inbound::Inbound;
use crate::inbound::push_names::NameCache;
use crate::inbound::received_times::ReceivedTimes;
use crate::media::link_download::FileFetcher;
use crate::media::{self, ConverterPrograms, Media};
use crate::model::masking;
use crate::net::proxy::SessionProxies;
use crate::net::tls;
use crate::sessions::{QrConsole, SessionDeps, SessionFiles, Sessions};
use crate::store::Store;
use crate::system::clock::Clock;
use crate::system::data_folder::DataFolder;
use crate::system::descriptors;
use crate::system::lifecycle::{FinishReport, HangupSignals, Lifecycle, StopSignals, run_blocking};
use crate::telemetry;
use crate::webhooks::dedup::{self, ForwardedSet};
use crate::webhooks::{self};
use crate::whatsapp::Whatsapp;

/// Time limit for requests, deliveries and farewells when the program stops.
const STOP_GRACE: Duration = Duration::from_secs(20);

/// Runs the program for an operator: with the settings of this process and the machine's clock,
/// until it is asked to stop.
pub async fn run() -> Result<()> {
    // From the first moment on, a closed terminal or a renewed certificate must not end the
    // program.
    let _hangups = HangupSignals::listen().context("listening for SIGHUP")?;
    // A signal to stop that comes while it starts, too: it stops once it has started, as at any time.
    let mut signals = StopSignals::listen().context("listening for signals")?;
    let layers = ConfigSources::from_process()?;
    let config = Config::read(&layers, BuildKind::current())?;
    tls::install_crypto();
    let _telemetry =
        telemetry::start_telemetry(&config.log, config.log_format, config.sentry_dsn.as_ref())?;
    let stop_requested = CancellationToken::new();
    let serving = async {
        let listener = bind_listener(&config.listen).await?;
        let app = App::build(config, Clock::system(), QrConsole::stdout()).await?;
        app.serve(listener, stop_requested.cancelled()).await
    };
    let insisting = async {
        signals.next().await;
        stop_requested.cancel();
        signals.next().await;
    };
    tokio::select! {
        served = serving => served.map(drop),
        () = insisting => {
            tracing::warn!("second signal to stop: stopping at once; unfinished work continues at the next start");
            // Not by returning, which would wait for blocked tasks, such as those of a hanging
            // disk.
            std::process::exit(FORCED_EXIT_CODE)
        }
    }
}

/// Exit code of a program that was asked to stop twice.
const FORCED_EXIT_CODE: i32 = 130;

/// The whole gateway, ready to be served.
pub struct App {
    router: Router,
    gateway: Gateway,
    console: QrConsole,
    /// For the listener of the dashboard alone.
    dashboard_router: Option<Router>,
    sessions: Sessions,
    store: Store,
    edge: HttpEdge,
    tls: Option<TlsServer>,
    config: Config,
    clock: Clock,
    lifecycle: Lifecycle,
    folder: DataFolder,
}

impl App {
    /// Opens everything the configuration names. Connects only to Redis.
    pub async fn build(config: Config, clock: Clock, console: QrConsole) -> Result<Self> {
        tls::install_crypto();
        descriptors::raise_limit();
        let lifecycle = Lifecycle::new();
        // First, since a key that cannot be read is no reason to touch the data folder. Whether it is the
        // right one, the files of the folder say, before any of them is changed.
        let master_keys = match &config.master_key {
            Some(settings) => Some(settings.read(&clock).await?),
            None => None,
        };
        let tls = match &config.https {
            Some(files) => Some(TlsServer::open(files.clone()).await?),
            None => None,
        };
        let (root, time) = (config.root.clone(), clock.clone());
        let folder = run_blocking(move || DataFolder::claim(&root, &time))
            .await
            .context("claiming the data folder")??;
        let files = SessionFiles::open(&config.root).await?;
        let id = dedup::FolderId::open(&config.root, clock.now())?;
        let seen =
            ForwardedSet::open(config.redis.as_ref(), id, clock.clone(), lifecycle.clone()).await?;
        let database = config.root.join("wapi.db");
        if let Some(keys) = &master_keys {
            files.check_master_key(keys, &database).await?;
        }
        let store = Store::open_sealed(&database, master_keys.as_ref(), clock.clone()).await?;
        let failed = files
            .reseal_all(store.sealer())
            .await
            .context("sealing the files of sessions")?;
        store
            .finish_sealing(failed)
            .await
            .context("taking the seal off")?;
        let first_key = match &config.access {
            AccessMode::Key(key) => Some(key),
            AccessMode::Open | AccessMode::Loopback => None,
        };
        // Before anything is sent: the keys decide which targets are allowed.
        let keys = ApiKeys::open(
            first_key,
            config.allowed_targets.open_access(),
            store.clone(),
            clock.clone(),
        )
        .await
        .context("reading the API keys")?;
        let policy = config.history;
        let history = History::start(policy, store.clone(), clock.clone(), &lifecycle).await?;
        let webhooks = webhooks::start_webhooks(webhooks::WebhookDeps {
            store: store.clone(),
            base: config.webhook.clone(),
            secret: config.webhook_secret.clone(),
            environment: config.environment,
            allowed: config.allowed_targets.clone(),
            were_open: config.targets_were_open,
            disable_after: config.webhook_disable_after,
            forwarded: seen,
            clock: clock.clone(),
            lifecycle: lifecycle.clone(),
        })
        .await?;
        let proxies = load_proxies(&config, &store).await?;
        let whatsapp = Whatsapp::new(
            &config.whatsapp,
            proxies.clone(),
            config.whatsapp_timeout,
            store.clone(),
            clock.clone(),
            lifecycle.clone(),
        )?;
        let (root, storage, policy) = (&config.root, &config.media_storage, config.media);
        let programs = ConverterPrograms {
            ffmpeg: config.ffmpeg.resolve_path("WAPI_FFMPEG_PATH")?,
            heif: config.heif_convert.resolve_path("WAPI_HEIF_CONVERT_PATH")?,
        };
        let media = Media::open(
            root,
            storage,
            policy,
            programs,
            store.clone(),
            clock.clone(),
            lifecycle.clone(),
        )
        .await?;
        let names = Arc::new(NameCache::new(history.clone()));
        let received = Arc::<ReceivedTimes>::default();
        let inbox = Arc::new(Inbound {
            store: store.clone(),
            names: Arc::clone(&names),
            media: media.clone(),
            received: Arc::clone(&received),
            clock: clock.clone(),
            lifecycle: lifecycle.clone(),
        });
        whatsapp.start_recovery(Arc::clone(&inbox) as _);
        store
            .outbox()
            .mark_unconfirmed()
            .await
            .context("reading the unsent messages of an earlier run")?;
        store
            .sessions()
            .lose_all_sync_parts()
            .await
            .context("reading the history syncs of an earlier run")?;
        let fetcher = FileFetcher::new(
            config.allowed_targets.clone(),
            proxies.clone(),
            media.clone(),
            clock.clone(),
        )?;
        let sessions = Sessions::new(SessionDeps {
            whatsapp,
            proxies: proxies.clone(),
            files: files.clone(),
            inbox,
            received,
            names,
            store: store.clone(),
            console: console.clone(),
            fetcher: fetcher.clone(),
            media: media.clone(),
            history: history.clone(),
            clock: clock.clone(),
            lifecycle: lifecycle.clone(),
            whatsapp_timeout: config.whatsapp_timeout,
            new_chats: config.new_chats,
        });
        if matches!(config.access, AccessMode::Open) && !keys.is_empty() {
            tracing::warn!("API keys exist, but WAPI_AUTH is none: requests need no key");
        }
        lifecycle.spawn(keys.clone().keep_saving_uses(lifecycle.clone()));
        lifecycle.spawn(retention::enforce_retention(
            config.retention,
            store.clone(),
            files.clone(),
            clock.clone(),
            lifecycle.clone(),
        ));
        lifecycle.spawn(retention::keep_saving_activity(
            store.clone(),
            clock.clone(),
            lifecycle.clone(),
        ));
        lifecycle.spawn(media::run_downloads(
            media.clone(),
            Arc::new(sessions.clone()),
        ));
        lifecycle.spawn(media::run_media_cleanup(media.clone()));
        let edge = HttpEdge::new(
            TrustedProxies(config.trusted_proxies.clone()),
            descriptors::current_limit(),
            clock.clone(),
        );
        let cookie_mark = store.logins().load_cookie_mark().await;
        let cookie_mark = cookie_mark.context("reading the mark of the dashboard's cookies")?;
        let whatsapp = &config.whatsapp;
        let dashboard = Dashboard::new(config.dashboard.clone(), whatsapp, &cookie_mark, &clock);
        let gateway = Gateway::new(GatewayParts {
            sessions: sessions.clone(),
            media,
            store: store.clone(),
            history: history.clone(),
            webhooks,
            fetcher,
            proxies,
            access: config.access.clone(),
            settings: config.settings.clone().into(),
            hosts: config.hosts.clone().into(),
            guesses: Arc::default(),
            connections: edge.shared_registry(),
            keys,
            dashboard,
            folder: folder.clone(),
            clock: clock.clone(),
            lifecycle: lifecycle.clone(),
        });
        let apart = config.dashboard.listen.is_some();
        let dashboard_router = apart.then(|| http::build_dashboard_router(gateway.clone()));
        if config.dashboard.is_on {
            lifecycle.spawn(dashboard::keep_counting_traffic(gateway.clone()));
        }
        Ok(Self {
            router: http::build_router(gateway.clone()),
            gateway,
            console,
            dashboard_router,
            sessions,
            store,
            edge,
            tls,
            config,
            clock,
            lifecycle,
            folder,
        })
    }

    /// Returns the router for callers on this machine that use no socket.
    pub fn local_router(&self) -> Router {
        self.router
            .clone()
            .layer(axum::Extension(self.edge.local_context()))
    }

    /// Serves on `listener` and logs the saved sessions in, until `shutdown` completes and
    /// everything has ended.
    pub async fn serve(
        mut self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<FinishReport> {
        let address = listener
            .local_addr()
            .context("reading the listener's address")?;
        let apart = match (&self.config.dashboard.listen, self.dashboard_router.take()) {
            (Some(listen), Some(router)) => {
                let listener = bind_address("WAPI_DASHBOARD_LISTEN", listen).await?;
                let address = listener
                    .local_addr()
                    .context("reading the dashboard's address")?;
                tracing::info!(%address, https = self.tls.is_some(), "the dashboard listens");
                Some((listener, router))
            }
            _ => None,
        };
        self.restore_sessions();
        self.sessions.start_checks(self.config.check_every);
        // Without a certificate there is nothing to renew.
        let hangups = HangupSignals::listen().context("listening for SIGHUP")?;
        if let Some(tls) = self.tls.clone() {
            self.lifecycle.spawn(tls.keep_renewing(
                hangups,
                self.clock.clone(),
                self.lifecycle.clone(),
            ));
        }
        self.print_login_link(address.port()).await;
        let visits = self.lifecycle.child();
        let readers = self.lifecycle.child();
        let edge = &self.edge;
        let beside = apart.map(|(listener, router)| {
            edge.serve(listener, router, self.tls.clone(), &readers, STOP_GRACE)
        });
        let serving = edge.serve(listener, self.router, self.tls.clone(), &visits, STOP_GRACE);
        let serving = async {
            match beside {
                Some(beside) => tokio::try_join!(serving, beside).map(drop),
                None => serving.await,
            }
        };
        tokio::pin!(serving);
        tracing::info!(%address, https = self.tls.is_some(), "listening");
        let finish = tokio::select! {
            ended = &mut serving => {
                ended.context("the listener ended")?;
                self.lifecycle.finish(&self.clock, STOP_GRACE).await
            }
            () = shutdown => {
                tracing::info!("stopping");
                visits.stop();
                readers.stop();
                // Requests that wait for WhatsApp end with their sessions, so both stop at the same
                // time.
                tokio::join!(serving, self.lifecycle.finish(&self.clock, STOP_GRACE)).1
            }
        };
        self.sessions.save_rest().await;
        // The store closes last: everything else may have something to save until now.
        let finish = finish.merge_with(self.store.close().await);
        // Only now may another program use it.
        self.folder.release();
        Ok(finish)
    }

    /// Prints a link to the dashboard until somebody has logged in, for the person who has started
    /// the program.
    async fn print_login_link(&self, port: u16) {
        if !self.console.is_terminal() {
            return;
        }
        let path = match dashboard::create_first_link(&self.gateway).await {
            Ok(Some(path)) => path,
            Ok(None) => return,
            Err(error) => {
                return tracing::warn!(%error, "failed to make a link to the dashboard");
            }
        };
        let scheme = if self.tls.is_some() { "https" } else { "http" };
        let (host, port) = match &self.config.dashboard.listen {
            Some(listen) => (listen.host.as_str(), listen.port),
            None => (self.config.listen.host.as_str(), port),
        };
        let host = match host {
            "0.0.0.0" | "::" | "[::]" => "localhost",
            host => host,
        };
        self.console.tell_terminal(&format!(
            "Open this within ten minutes to enter the dashboard; it works once: {scheme}://{host}:{port}{path}"
        ));
    }

    /// The listener answers while sessions log in.
    fn restore_sessions(&self) {
        let (sessions, policy) = (self.sessions.clone(), self.config.restore);
        self.lifecycle
            .spawn(async move { sessions.restore_all(policy).await });
    }
}

/// Loads the proxies before anything is dialled. A session whose proxy cannot be read must not leave
/// without it.
async fn load_proxies(config: &Config, store: &Store) -> Result<SessionProxies> {
    let proxies = SessionProxies::new(
        config.proxy.clone(),
        config.proxy_links,
        config.allowed_targets.clone(),
    );
    let saved = store.sessions().load_proxies().await;
    for (session, proxy) in saved.context("reading the proxies of sessions")? {
        let proxy = proxy.with_context(|| {
            let session = masking::mask_session(&session);
            format!("the saved proxy of the session {session} is not a proxy's address")
        })?;
        proxies.set(&session, Some(proxy));
    }
    Ok(proxies)
}

/// Binds the port, or returns an error that explains the failure.
pub async fn bind_listener(address: &HostPort) -> Result<TcpListener> {
    bind_address("WAPI_INTERNAL_HOST", address).await
}

/// The same for the address of any setting.
async fn bind_address(setting: &str, address: &HostPort) -> Result<TcpListener> {
    let resolved: Vec<SocketAddr> = tokio::net::lookup_host((address.host.as_str(), address.port))
        .await
        .with_context(|| {
            format!("{setting} is {address}, which is not an address of this machine")
        })?
        .collect();
    TcpListener::bind(resolved.as_slice()).with_context(|| {
        format!(
            "{setting} is {address}, which cannot be listened on; another program may use it. Set another port"
        )
    })
}
