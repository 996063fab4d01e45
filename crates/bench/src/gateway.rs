//! The gateway as a process of its own, configured as an operator would, and what is said to it over HTTP.

use std::net::{Ipv4Addr, SocketAddr, TcpListener};
use std::path::Path;
use std::process::Stdio;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use hyper::{Method, StatusCode};
use serde_json::json;
use tokio::process::Command;

use crate::line::Line;
use crate::process::{Meter, Process};
use crate::qr;
use crate::simulator::{Account, Simulator};

/// How often to ask for something that takes a moment.
const ASK_AGAIN: Duration = Duration::from_millis(10);
/// Signs what is posted, as operators should let it.
const SECRET: &str = "whsec_d2FwaS1iZW5jaC13YXBpLWJlbmNoLXdhcGktYmVuY2g=";

pub struct Gateway {
    process: Process,
    pub address: SocketAddr,
    started: Instant,
}

/// What it is started with.
pub struct Settings<'a> {
    pub program: &'a Path,
    /// The command to run it under, if any.
    pub wrap: Option<&'a str>,
    /// The WebSocket of the simulated WhatsApp.
    pub whatsapp: &'a str,
    /// Who has signed the certificate of its media host.
    pub authority: &'a Path,
    pub webhook: String,
    /// Its data folder.
    pub root: &'a Path,
    /// Where its log goes.
    pub logs: &'a Path,
    /// What the caller sets beside that.
    pub more: &'a [(String, String)],
    pub patience: Duration,
}

impl Gateway {
    /// Starts it and waits until it answers.
    pub async fn start(settings: Settings<'_>) -> Result<Self> {
        let address = free_address()?;
        let mut command = command(settings.program, settings.wrap);
        command
            .env_clear()
            // A wrapper is found by it.
            .envs(std::env::var_os("PATH").map(|path| ("PATH", path)))
            .env("WAPI_GETTING_MESSAGES_WEBHOOK", &settings.webhook)
            .env("WAPI_WEBHOOK_SECRET", SECRET)
            .env("WAPI_INTERNAL_HOST", address.to_string())
            .env("WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH", settings.root)
            .env("WAPI_WHATSAPP_URL", settings.whatsapp)
            .env("WAPI_WHATSAPP_CA_FILE", settings.authority)
            // How fast it can be, not how cautious.
            .env("WAPI_LOGINS_PER_SECOND", "150")
            .envs(settings.more.iter().map(|(name, value)| (name, value)))
            .current_dir(settings.logs)
            .stdin(Stdio::null())
            // QR codes for people.
            .stdout(Stdio::null());
        let started = Instant::now();
        let mut process = Process::start("gateway", &mut command, settings.logs)?;
        let answers = async {
            while Line::connect(address).await.is_err() {
                ensure!(process.child().try_wait()?.is_none(), process.gone());
                tokio::time::sleep(ASK_AGAIN).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(settings.patience, answers)
            .await
            .context("the gateway does not listen")??;
        Ok(Self {
            process,
            address,
            started,
        })
    }

    /// How long ago it was started.
    pub fn age(&self) -> Duration {
        self.started.elapsed()
    }

    pub fn meter(&self) -> Meter {
        self.process.meter()
    }

    async fn line(&self) -> Result<Line> {
        Line::connect(self.address)
            .await
            .with_context(|| self.process.gone())
    }

    /// Registers a session and lets the account's phone scan its QR code; returns when it is online.
    pub async fn pair(
        &self,
        session: &str,
        account: &Account,
        simulator: &Simulator,
    ) -> Result<()> {
        let mut line = self.line().await?;
        line.post("/register-session/", json!({"session_id": session}))
            .await?;
        let (status, picture) = line
            .call(
                Method::GET,
                &format!("/get-qr-code/{session}/"),
                String::new(),
            )
            .await?;
        ensure!(
            status == StatusCode::OK,
            "the QR code of {session} is not there: {status}"
        );
        let text = tokio::task::spawn_blocking(move || qr::text(&picture)).await??;
        simulator.scan(account, &text).await?;
        self.is_online(&mut line, session).await
    }

    async fn is_online(&self, line: &mut Line, session: &str) -> Result<()> {
        loop {
            let info = line.get(&format!("/get-session-info/{session}/")).await?;
            match info["status"].as_str() {
                Some("online") => return Ok(()),
                Some("failed" | "logged_out" | "stopped") => {
                    bail!("the session will not come online: {info}")
                }
                _ => tokio::time::sleep(ASK_AGAIN).await,
            }
        }
    }

    /// Waits until it says of each of these sessions that it is online.
    pub async fn all_are_online(&self, sessions: &[String], patience: Duration) -> Result<()> {
        let mut line = self.line().await?;
        let asking = async {
            for session in sessions {
                self.is_online(&mut line, session).await?;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(patience, asking)
            .await
            .context("waiting until all sessions are online")?
    }

    pub async fn stop(self) -> Result<()> {
        self.process.stop().await
    }
}

/// `wapi serve`, or `WRAP wapi serve`.
fn command(program: &Path, wrap: Option<&str>) -> Command {
    let mut words = wrap.unwrap_or_default().split_whitespace();
    let mut command = match words.next() {
        None => Command::new(program),
        Some(first) => {
            let mut command = Command::new(first);
            command.args(words).arg(program);
            command
        }
    };
    command.arg("serve");
    command
}

/// An address that was free a moment ago.
fn free_address() -> Result<SocketAddr> {
    let listener =
        TcpListener::bind((Ipv4Addr::LOCALHOST, 0)).context("taking a port for the gateway")?;
    Ok(listener.local_addr()?)
}
