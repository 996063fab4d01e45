//! The independent client: an account on Baileys, run by Node and driven by lines of JSON.

use std::path::{Path, PathBuf};
use std::process::Stdio;

use serde_json::{Value, json};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};
use wapi_simulator::{Phone, Simulator};

use super::{PATIENCE, skipped};

/// A Baileys account; its process ends with it.
pub struct Baileys {
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    seen: Vec<Value>,
    _process: Child,
}

fn program() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("../../interop/baileys/client.mjs")
}

impl Baileys {
    /// Starts a client that is not linked yet. `None`, and a word about it, when Node or the client's packages are missing.
    pub fn start(simulator: &Simulator, name: &str) -> Option<Self> {
        Self::start_with(simulator, name, &[])
    }

    /// The same for a client that takes in what its phone remembers.
    pub fn start_with_history(simulator: &Simulator, name: &str) -> Option<Self> {
        Self::start_with(simulator, name, &["--history"])
    }

    fn start_with(simulator: &Simulator, name: &str, flags: &[&str]) -> Option<Self> {
        if !program().with_file_name("node_modules/baileys").exists() {
            return skipped("Baileys is not installed; `scripts/test` installs it");
        }
        let spawned = Command::new("node")
            .arg(program())
            .args([
                "--ws",
                &simulator.wss_url(),
                "--noise-root",
                &simulator.noise_root_public_key_hex(),
            ])
            .arg("--ca")
            .arg(simulator.ca_pem_file())
            .args(["--push-name", name])
            .args(flags)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .kill_on_drop(true)
            .spawn();
        let Ok(mut process) = spawned else {
            return skipped("Node is not installed");
        };
        let input = process.stdin.take().expect("its input is piped");
        let output = BufReader::new(process.stdout.take().expect("its output is piped")).lines();
        Some(Self {
            input,
            output,
            seen: Vec::new(),
            _process: process,
        })
    }

    /// Links it to the phone's account.
    pub async fn pair(&mut self, phone: &Phone) {
        let qr = self.next("qr").await;
        phone
            .scans_qr(qr["text"].as_str().expect("a QR has a text"))
            .await
            .expect("the client accepts the pairing");
        self.next("open").await;
    }

    /// Gives a command and waits for what answers it.
    pub async fn command(&mut self, mut command: Value) -> Value {
        let reference = self.seen.len();
        command["ref"] = json!(reference);
        self.input
            .write_all(format!("{command}\n").as_bytes())
            .await
            .expect("the client reads its input");
        self.until(&format!("an answer to {command}"), |event| {
            event["ref"] == reference
        })
        .await
    }

    /// Everything it has said so far, as far as somebody has waited for it.
    pub fn seen(&self) -> &[Value] {
        &self.seen
    }

    /// The next event of this name; the ones before it are passed over.
    pub async fn next(&mut self, event: &str) -> Value {
        self.until(event, |line| line["event"] == event).await
    }

    /// The next event that fits. On a timeout, everything that came is printed.
    pub async fn until(&mut self, what: &str, fits: impl Fn(&Value) -> bool) -> Value {
        loop {
            match tokio::time::timeout(PATIENCE, self.output.next_line()).await {
                Ok(Ok(Some(line))) => {
                    let event: Value = serde_json::from_str(&line).expect("each line is JSON");
                    self.seen.push(event.clone());
                    assert!(event["event"] != "error", "Baileys failed: {event}");
                    if fits(&event) {
                        return event;
                    }
                }
                Ok(ended) => panic!(
                    "Baileys ended ({ended:?}) instead of saying {what}; it said {:#?}",
                    self.seen
                ),
                Err(_) => panic!("Baileys did not say {what}; it said {:#?}", self.seen),
            }
        }
    }
}
