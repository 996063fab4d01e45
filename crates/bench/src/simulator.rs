//! The simulated WhatsApp as a process of its own, and what is said to it over its admin API.

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, ensure};
use serde::Deserialize;
use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, BufReader};
use tokio::process::Command;

use crate::line::Line;
use crate::process::{Meter, Process};

/// How often to ask for something that takes a moment.
const ASK_AGAIN: Duration = Duration::from_millis(20);

pub struct Simulator {
    process: Process,
    /// Where clients connect.
    pub url: String,
    /// The PEM file of who has signed its certificate.
    pub authority: PathBuf,
    address: SocketAddr,
}

/// An account of the simulated WhatsApp.
#[derive(Clone, Debug, Deserialize)]
pub struct Account {
    pub number: String,
    pub jid: String,
}

/// How the linked devices of an account stand.
#[derive(Debug, Deserialize)]
struct Standing {
    number: String,
    connected: usize,
    queued: usize,
}

/// How late the simulator itself sent, in milliseconds.
#[derive(Clone, Copy, Debug, Deserialize, serde::Serialize)]
pub struct Lateness {
    pub p50: f64,
    pub p99: f64,
    pub max: f64,
}

/// Messages from phones to accounts.
pub struct Burst<'a> {
    pub label: &'a str,
    pub from: &'a [Account],
    pub to: &'a [Account],
    pub count: usize,
    pub per_second: Option<f64>,
}

impl Simulator {
    pub async fn start(program: &Path, folder: &Path) -> Result<Self> {
        let mut command = Command::new(program);
        let authority = folder.join("simulator-ca.pem");
        command
            .args(["--listen", "127.0.0.1:0", "--ca-file"])
            .arg(&authority);
        let mut process = Process::start(
            "simulator",
            command.stdin(Stdio::null()).stdout(Stdio::piped()),
            folder,
        )?;
        let stdout = process
            .child()
            .stdout
            .take()
            .context("its output is piped")?;
        let mut ready = String::new();
        BufReader::new(stdout).read_line(&mut ready).await?;
        let ready: Value = serde_json::from_str(&ready).with_context(|| process.gone())?;
        let url = ready["ws"]
            .as_str()
            .context("the simulator tells no address")?
            .to_owned();
        let address = url
            .trim_start_matches("ws://")
            .split('/')
            .next()
            .unwrap_or_default()
            .parse()?;
        Ok(Self {
            process,
            url,
            authority,
            address,
        })
    }

    pub fn meter(&self) -> Meter {
        self.process.meter()
    }

    async fn line(&self) -> Result<Line> {
        Line::connect(self.address)
            .await
            .with_context(|| self.process.gone())
    }

    /// Makes so many accounts.
    pub async fn accounts(&self, name: &str, count: usize) -> Result<Vec<Account>> {
        let mut line = self.line().await?;
        let mut accounts = Vec::with_capacity(count);
        for index in 0..count {
            let made = line
                .post("/admin/phones", json!({"name": format!("{name} {index}")}))
                .await?;
            accounts.push(serde_json::from_value(made)?);
        }
        Ok(accounts)
    }

    /// The account's phone scans a QR code.
    pub async fn scan(&self, account: &Account, qr: &str) -> Result<()> {
        let path = format!("/admin/phones/{}/scan", account.number);
        self.line()
            .await?
            .post(&path, json!({"qr": qr}))
            .await
            .map(drop)
    }

    /// The account founds a group with these others; its address.
    pub async fn group(&self, founder: &Account, others: &[Account]) -> Result<String> {
        let members: Vec<_> = others.iter().map(|account| &account.number).collect();
        let path = format!("/admin/phones/{}/groups", founder.number);
        let made = self
            .line()
            .await?
            .post(&path, json!({"subject": "Bench", "members": members}))
            .await?;
        Ok(made["id"].as_str().context("a group has an id")?.to_owned())
    }

    /// A phone sends an account a document of so many bytes, of which no two are the same.
    pub async fn document(
        &self,
        from: &Account,
        to: &Account,
        size: usize,
        caption: &str,
    ) -> Result<()> {
        let path = format!("/admin/phones/{}/messages", from.number);
        let body = json!({"to": to.number, "document": {"size": size, "caption": caption}});
        self.line().await?.post(&path, body).await.map(drop)
    }

    /// Returns when the last message has left.
    pub async fn burst(&self, burst: Burst<'_>) -> Result<Lateness> {
        let numbers = |accounts: &[Account]| {
            accounts
                .iter()
                .map(|account| account.number.clone())
                .collect::<Vec<_>>()
        };
        let body = json!({
            "label": burst.label,
            "from": numbers(burst.from),
            "to": numbers(burst.to),
            "count": burst.count,
            "per_second": burst.per_second,
        });
        let sent = self.line().await?.post("/admin/bursts", body).await?;
        Ok(serde_json::from_value(sent["late_ms"].clone())?)
    }

    async fn standings(&self, of: &[Account]) -> Result<Vec<Standing>> {
        let mut all: Vec<Standing> =
            serde_json::from_value(self.line().await?.get("/admin/phones").await?)?;
        all.retain(|standing| of.iter().any(|account| account.number == standing.number));
        Ok(all)
    }

    /// Waits until the devices of these accounts have confirmed everything that was sent to them.
    pub async fn all_is_confirmed(&self, by: &[Account], patience: Duration) -> Result<()> {
        let what = "everything is confirmed by the devices";
        self.until(by, patience, what, |standing| standing.queued == 0)
            .await
    }

    /// Waits until each of these accounts has a device with a connection.
    pub async fn all_are_connected(&self, accounts: &[Account], patience: Duration) -> Result<()> {
        self.until(
            accounts,
            patience,
            "all devices are connected",
            |standing| standing.connected == 1,
        )
        .await
    }

    async fn until(
        &self,
        accounts: &[Account],
        patience: Duration,
        what: &str,
        fits: fn(&Standing) -> bool,
    ) -> Result<()> {
        let asking = async {
            while !self.standings(accounts).await?.iter().all(fits) {
                tokio::time::sleep(ASK_AGAIN).await;
            }
            anyhow::Ok(())
        };
        tokio::time::timeout(patience, asking)
            .await
            .with_context(|| format!("waited {patience:?} until {what}"))?
    }

    /// Ends it; what clients asked that it does not know is an error.
    pub async fn stop(self) -> Result<()> {
        let unknown = self.line().await?.get("/admin/unknown-requests").await?;
        ensure!(
            unknown == json!([]),
            "the simulator was asked what it does not know: {unknown}"
        );
        self.process.stop().await
    }
}
