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
use crate::http::edge::{HttpEdge, TlsServer, TrustedProxies};
use crate::http::{self, Gateway};
use crate::inbound::Inbound;
use crate::inbound::push_names::NameCache;
use crate::media::link_download::FileFetcher;
use crate::media::{self, ConverterPrograms, Media};
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
    let layers = ConfigSources::from_process()?;
    let config = Config::read(&layers, BuildKind::current())?;
    tls::install_crypto();
    let _telemetry =
        telemetry::start_telemetry(&config.log, config.log_format, config.sentry_dsn.as_ref())?;
    let listener = bind_listener(&config.listen).await?;
    let app = App::build(config, Clock::system(), QrConsole::stdout()).await?;
    let mut signals = StopSignals::listen().context("listening for signals")?;
    let asked = CancellationToken::new();
    let insisting = async {
        signals.next().await;
        asked.cancel();
        signals.next().await;
    };
    tokio::select! {
        served = app.serve(listener, asked.cancelled()) => served.map(drop),
        () = insisting => {
            tracing::warn!("told to end a second time: ending at once; what is under way goes on at the next start");
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
    sessions: Sessions,
    store: Store,
    history: History,
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
        let store = Store::open(&config.root.join("wapi.db"), clock.clone()).await?;
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
        let (root, policy) = (&config.root, config.history);
        let history = History::open(root, policy, store.clone(), clock.clone(), &lifecycle).await?;
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
        let whatsapp = Whatsapp::new(
            &config.whatsapp,
            store.clone(),
            clock.clone(),
            lifecycle.clone(),
        )?;
        let (root, place, policy) = (&config.root, &config.media_storage, config.media);
        let programs = ConverterPrograms {
            ffmpeg: config.ffmpeg.resolve_path("WAPI_FFMPEG_PATH")?,
            heif: config.heif_convert.resolve_path("WAPI_HEIF_CONVERT_PATH")?,
        };
        let media = Media::open(
            root,
            place,
            policy,
            programs,
            store.clone(),
            clock.clone(),
            lifecycle.clone(),
        )
        .await?;
        let names = Arc::new(NameCache::new(history.clone()));
        let inbox = Arc::new(Inbound {
            store: store.clone(),
            names: Arc::clone(&names),
            media: media.clone(),
            clock: clock.clone(),
        });
        whatsapp.start_recovery(Arc::clone(&inbox) as _);
        store
            .mark_unconfirmed()
            .await
            .context("looking at what an earlier run was sending")?;
        store
            .lose_all_sync_parts()
            .await
            .context("looking at what phones told an earlier run")?;
        let fetcher =
            FileFetcher::new(config.allowed_targets.clone(), media.clone(), clock.clone())?;
        let sessions = Sessions::new(SessionDeps {
            whatsapp,
            files: files.clone(),
            inbox,
            names,
            store: store.clone(),
            console,
            fetcher: fetcher.clone(),
            media: media.clone(),
            history: history.clone(),
            clock: clock.clone(),
            lifecycle: lifecycle.clone(),
            whatsapp_timeout: config.whatsapp_timeout,
        });
        if matches!(config.access, AccessMode::Open) && !keys.is_empty() {
            tracing::warn!("there are API keys, but WAPI_AUTH is none: nobody is asked for them");
        }
        lifecycle.spawn(keys.clone().keep_saving_uses(lifecycle.clone()));
        lifecycle.spawn(retention::enforce_retention(
            config.retention,
            store.clone(),
            files.clone(),
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
        let router = http::build_router(Gateway {
            sessions: sessions.clone(),
            media,
            store: store.clone(),
            history: history.clone(),
            webhooks,
            fetcher,
            access: config.access.clone(),
            hosts: config.hosts.clone().into(),
            guesses: Arc::default(),
            connections: edge.shared_registry(),
            keys,
            folder: folder.clone(),
            clock: clock.clone(),
            lifecycle: lifecycle.clone(),
        });
        Ok(Self {
            router,
            sessions,
            store,
            history,
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
        self,
        listener: TcpListener,
        shutdown: impl Future<Output = ()>,
    ) -> Result<FinishReport> {
        let address = listener
            .local_addr()
            .context("asking for the listener's address")?;
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
        let visits = self.lifecycle.child();
        let serving = self
            .edge
            .serve(listener, self.router, self.tls.clone(), &visits, STOP_GRACE);
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
                // Requests that wait for WhatsApp end with their sessions, so both stop at the same
                // time.
                tokio::join!(serving, self.lifecycle.finish(&self.clock, STOP_GRACE)).1
            }
        };
        self.sessions.save_rest().await;
        self.history.close().await;
        // The store closes last: everything else may have something to save until now.
        let finish = finish.merge_with(self.store.close().await);
        // Only now may another program use it.
        self.folder.release();
        Ok(finish)
    }

    /// The listener answers while sessions log in.
    fn restore_sessions(&self) {
        let (sessions, at_once) = (self.sessions.clone(), self.config.restore_concurrency);
        self.lifecycle
            .spawn(async move { sessions.restore_all(at_once).await });
    }
}

/// Binds the port, or returns an error that explains the failure.
pub async fn bind_listener(address: &HostPort) -> Result<TcpListener> {
    let resolved: Vec<SocketAddr> = tokio::net::lookup_host((address.host.as_str(), address.port))
        .await
        .with_context(|| {
            format!("WAPI_INTERNAL_HOST is {address}, which is no address of this machine")
        })?
        .collect();
    TcpListener::bind(resolved.as_slice()).with_context(|| {
        format!(
            "WAPI_INTERNAL_HOST is {address}, which cannot be listened on; is another program there? Set another port"
        )
    })
}
