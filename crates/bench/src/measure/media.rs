//! Files: how fast they come in and go out, what they cost, and how much the gateway grows while a large one passes through it.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use bytes::Bytes;
use futures_util::future::try_join_all;
use serde::Serialize;
use serde_json::{Value, json};

use super::round::{Round, Watch};
use crate::gateway::Gateway;
use crate::line::Line;
use crate::simulator::Account;
use crate::stage::{GatewaySide, Load, Stage};

/// A few rounds: the simulator's phones keep every file they get.
const ROUNDS: usize = 3;
/// Files of a round, all together less than what the simulator's media host keeps.
const FILES: usize = 16;
const MIB: usize = 1024 * 1024;
/// Bytes of each.
const SIZE: usize = 8 * MIB;
/// How often to ask for something that takes a moment.
const ASK_AGAIN: Duration = Duration::from_millis(10);
const BOUNDARY: &str = "a-line-that-is-in-no-file";

/// What was found.
#[derive(Clone, Debug, Serialize)]
pub struct Files {
    pub received: Vec<Carried>,
    pub sent: Vec<Carried>,
    pub large: Large,
}

/// What a round of files came to.
#[derive(Clone, Debug, Serialize)]
pub struct Carried {
    pub bytes: usize,
    /// From the first file to the last.
    pub seconds: f64,
    /// Of the gateway.
    pub cpu_seconds: f64,
    pub simulator_cpu_seconds: f64,
}

/// What one large document that went out came to.
#[derive(Clone, Debug, Serialize)]
pub struct Large {
    pub mib: usize,
    pub carried: Carried,
    /// Resident before.
    pub resident_kib: u64,
    /// Resident at most, from its first byte until it was sent.
    pub peak_kib: u64,
}

impl Carried {
    fn of(round: Round, bytes: usize) -> Self {
        let Round {
            seconds,
            cpu_seconds,
            simulator_cpu_seconds,
            ..
        } = round;
        Self {
            bytes,
            seconds,
            cpu_seconds,
            simulator_cpu_seconds,
        }
    }

    pub fn mb_per_second(&self) -> f64 {
        self.bytes as f64 / 1e6 / self.seconds
    }

    pub fn cpu_ms_per_mb(&self) -> f64 {
        self.cpu_seconds * 1e9 / self.bytes as f64
    }

    /// Says how it goes while it goes.
    fn tell(&self, what: &str) {
        eprintln!(
            "{what} by the gateway: {:.0} MB/s, CPU {:.1} ms/MB; the simulator used {:.0} % of a core",
            self.mb_per_second(),
            self.cpu_ms_per_mb(),
            self.simulator_cpu_seconds / self.seconds * 100.0
        );
    }
}

impl Large {
    pub fn grown_kib(&self) -> u64 {
        self.peak_kib.saturating_sub(self.resident_kib)
    }
}

/// A large one out, and then in and out. `None` without a gateway.
pub async fn measure(stage: &Stage, load: &Load) -> Result<Option<Files>> {
    let Some(side) = &load.gateway else {
        return Ok(None);
    };
    // Whatever the first file costs once is no growth; and what many leave behind would hide it.
    send(
        &side.gateway,
        &side.sessions[0],
        &load.contacts[0],
        "first",
        MIB,
    )
    .await?;
    let large = large(stage, side, &load.contacts[0]).await?;
    large.carried.tell("a large file sent");
    let (mut received, mut sent) = (Vec::new(), Vec::new());
    for round in 0..ROUNDS {
        let carried = come_in(stage, side, &load.contacts, &format!("file-in-{round}")).await?;
        carried.tell("files received");
        received.push(carried);
        let carried = go_out(stage, side, &load.contacts, &format!("file-out-{round}")).await?;
        carried.tell("files sent");
        sent.push(carried);
    }
    Ok(Some(Files {
        received,
        sent,
        large,
    }))
}

/// Phones send files to all sessions in turn, each phone one after the other.
async fn come_in(
    stage: &Stage,
    side: &GatewaySide,
    contacts: &[Account],
    label: &str,
) -> Result<Carried> {
    // Each in a lane of its own: the order of files is nobody's promise.
    stage.receiver.expect(label, FILES, FILES);
    let watch = Watch::start(stage, side.gateway.meter()).await?;
    let sending = contacts
        .iter()
        .enumerate()
        .map(|(first, contact)| async move {
            for index in (first..FILES).step_by(contacts.len()) {
                let to = &side.accounts[index % side.accounts.len()];
                stage
                    .simulator
                    .document(contact, to, SIZE, &format!("{label} {index} 0 "))
                    .await?;
            }
            anyhow::Ok(())
        });
    try_join_all(sending).await?;
    let tally = stage.receiver.complete(stage.options.patience()).await?;
    ensure!(
        tally.files.len() == FILES,
        "{} of {FILES} messages had a file",
        tally.files.len()
    );
    let all_are_stored = async {
        let mut line = Line::connect(side.gateway.address).await?;
        for id in &tally.files {
            until(
                &mut line,
                &format!("/v1/media/{id}"),
                &["stored"],
                &["failed", "removed"],
            )
            .await?;
        }
        anyhow::Ok(())
    };
    let in_time = tokio::time::timeout(stage.options.patience(), all_are_stored).await;
    in_time.context("waiting until all files are stored")??;
    Ok(Carried::of(
        watch.stop(FILES, Instant::now(), &side.accounts).await?,
        FILES * SIZE,
    ))
}

/// Files are uploaded and sent, each session one after the other.
async fn go_out(
    stage: &Stage,
    side: &GatewaySide,
    contacts: &[Account],
    label: &str,
) -> Result<Carried> {
    let watch = Watch::start(stage, side.gateway.meter()).await?;
    let sending = side
        .sessions
        .iter()
        .enumerate()
        .map(|(first, session)| async move {
            for index in (first..FILES).step_by(side.sessions.len()) {
                let name = format!("{label}-{index}");
                send(
                    &side.gateway,
                    session,
                    &contacts[index % contacts.len()],
                    &name,
                    SIZE,
                )
                .await?;
            }
            anyhow::Ok(())
        });
    let sent = tokio::time::timeout(stage.options.patience(), try_join_all(sending)).await;
    sent.context("waiting until all files are sent")??;
    Ok(Carried::of(
        watch.stop(FILES, Instant::now(), &side.accounts).await?,
        FILES * SIZE,
    ))
}

async fn large(stage: &Stage, side: &GatewaySide, to: &Account) -> Result<Large> {
    let (meter, mib) = (side.gateway.meter(), stage.options.large_mib);
    let watch = Watch::start(stage, meter).await?;
    meter.forget_peak()?;
    let resident_kib = meter.memory()?.resident;
    let sending = send(&side.gateway, &side.sessions[0], to, "large", mib * MIB);
    let sent = tokio::time::timeout(stage.options.patience(), sending).await;
    sent.with_context(|| format!("waiting until a document of {mib} MiB is sent"))??;
    let sent_at = Instant::now();
    let peak_kib = meter.peak()?;
    let carried = Carried::of(watch.stop(1, sent_at, &side.accounts).await?, mib * MIB);
    Ok(Large {
        mib,
        carried,
        resident_kib,
        peak_kib,
    })
}

/// Uploads a document, sends it, and waits until WhatsApp has taken it.
async fn send(
    gateway: &Gateway,
    session: &str,
    to: &Account,
    name: &str,
    size: usize,
) -> Result<()> {
    let mut line = Line::connect(gateway.address).await?;
    let kind = format!("multipart/form-data; boundary={BOUNDARY}");
    let file = line
        .stream(
            &format!("/v1/sessions/{session}/media"),
            &kind,
            form(name, size),
        )
        .await?;
    ensure!(
        file["size"] == size,
        "the gateway took another file: {file}"
    );
    let message = json!({"to": to.jid, "document": {"id": file["id"], "filename": name}});
    let accepted = line
        .post(&format!("/v1/sessions/{session}/messages?wait=0"), message)
        .await?;
    let id = accepted["messages"][0]["id"]
        .as_str()
        .context("a message has an id")?;
    until(
        &mut line,
        &format!("/v1/sessions/{session}/messages/{id}"),
        &["sent", "delivered"],
        &["failed"],
    )
    .await
}

/// A form with a file of so many bytes, which begins with its name and so is like no other.
fn form(name: &str, size: usize) -> Vec<Bytes> {
    let head = format!(
        "--{BOUNDARY}\r\nContent-Disposition: form-data; name=\"file\"; filename=\"{name}\"\r\n\r\n"
    );
    let piece = Bytes::from(vec![7; MIB]);
    let mut pieces = vec![Bytes::from(head + name)];
    let mut left = size - name.len();
    while left > 0 {
        pieces.push(piece.slice(..left.min(MIB)));
        left -= left.min(MIB);
    }
    pieces.push(Bytes::from(format!("\r\n--{BOUNDARY}--\r\n")));
    pieces
}

/// Asks until the status is one of these; the others are never followed by them.
async fn until(line: &mut Line, path: &str, wanted: &[&str], hopeless: &[&str]) -> Result<()> {
    loop {
        let info: Value = line.get(path).await?;
        let status = info["status"].as_str().context("it has a status")?;
        if wanted.contains(&status) {
            return Ok(());
        }
        ensure!(
            !hopeless.contains(&status),
            "{path} will come to nothing: {info}"
        );
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_form_holds_as_many_bytes_as_it_should_and_no_two_are_the_same() {
        let [one, other] = ["a", "b"].map(|name| form(name, 2 * MIB + 5).concat());
        let envelope = form("a", 1).concat().len() - 1;
        assert_eq!(one.len(), 2 * MIB + 5 + envelope);
        for (form, start) in [(one, "\r\n\r\na\u{7}"), (other, "\r\n\r\nb\u{7}")] {
            assert!(
                form.windows(6).any(|bytes| bytes == start.as_bytes()),
                "the file does not begin with its name"
            );
        }
    }

    #[test]
    fn megabytes_are_a_million_bytes() {
        let carried = Carried {
            bytes: 50_000_000,
            seconds: 2.0,
            cpu_seconds: 0.1,
            simulator_cpu_seconds: 0.0,
        };
        assert_eq!(
            (carried.mb_per_second(), carried.cpu_ms_per_mb()),
            (25.0, 2.0)
        );
    }
}
