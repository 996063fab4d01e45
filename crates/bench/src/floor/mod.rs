//! The floor: what the bare engine costs for the same work. It runs as a process of its own, this very program started again, and
//! is spoken to in lines of JSON.

pub mod engine;

use std::path::Path;
use std::process::Stdio;
use std::time::Duration;

use anyhow::{Context, Result, bail, ensure};
use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{ChildStdin, ChildStdout, Command};

use crate::process::{Meter, Process};
use crate::simulator::{Account, Simulator};

/// What it is told.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Order {
    /// Say when so many further messages have been received.
    Expect { count: usize },
    /// Send, and say when the server has taken the last.
    Send(Sends),
}

/// Texts to be sent: each session to all its chats in turn.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Sends {
    /// For each session its chats' addresses, as many as the others have.
    pub to: Vec<Vec<String>>,
    /// How many messages, over all sessions.
    pub count: usize,
    /// How many of each session are under way at the same time.
    pub in_flight: usize,
    /// The first word of each.
    pub label: String,
}

impl Sends {
    /// The share of one of several workers: chats, by their place in its session's list, and texts.
    pub fn texts(
        &self,
        worker: usize,
        workers: usize,
    ) -> impl Iterator<Item = (usize, String)> + Send + 'static {
        let (label, chats) = (self.label.clone(), self.to[worker % self.to.len()].len());
        let mine = (worker..self.count).step_by(workers);
        // As long as the texts of the simulator's bursts.
        mine.enumerate().map(move |(turn, index)| {
            (
                (worker + turn) % chats,
                format!("{:.<100}", format!("{label} {index} ")),
            )
        })
    }
}

/// What it says.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Word {
    /// A session waits to be linked.
    Qr { session: usize, text: String },
    /// A session is online for the first time.
    Online,
    /// It counts from now on.
    Counts,
    /// What was expected has been received.
    Received,
    /// Everything was sent and taken.
    Sent,
    /// It cannot go on.
    Failed { reason: String },
}

/// A running floor.
pub struct Floor {
    process: Process,
    orders: ChildStdin,
    words: Lines<BufReader<ChildStdout>>,
}

impl Floor {
    /// Starts it and links a session to each account; returns when all are online.
    pub async fn start(
        program: &Path,
        folder: &Path,
        accounts: &[Account],
        simulator: &Simulator,
    ) -> Result<Self> {
        std::fs::create_dir_all(folder).context("making the floor's folder")?;
        let mut command = Command::new(program);
        command.args([
            "floor",
            "--url",
            &simulator.url,
            "--count",
            &accounts.len().to_string(),
            "--folder",
        ]);
        command
            .arg(folder)
            .stdin(Stdio::piped())
            .stdout(Stdio::piped());
        let mut process = Process::start("floor", &mut command, folder)?;
        let orders = process.child().stdin.take().context("its input is piped")?;
        let words = BufReader::new(
            process
                .child()
                .stdout
                .take()
                .context("its output is piped")?,
        )
        .lines();
        let mut floor = Self {
            process,
            orders,
            words,
        };
        let mut online = 0;
        while online < accounts.len() {
            match floor.next().await? {
                Word::Qr { session, text } => simulator.scan(&accounts[session], &text).await?,
                Word::Online => online += 1,
                other => bail!("the floor said {other:?} instead of linking its sessions"),
            }
        }
        Ok(floor)
    }

    pub fn meter(&self) -> Meter {
        self.process.meter()
    }

    /// From now on, counts received messages. Returns once it does: a message that came before it has heard of that would never
    /// count.
    pub async fn expect(&mut self, count: usize) -> Result<()> {
        self.order(&Order::Expect { count }).await?;
        let word = self.next().await?;
        ensure!(
            matches!(word, Word::Counts),
            "the floor said {word:?} instead of counting"
        );
        Ok(())
    }

    /// Waits until what was expected has been received.
    pub async fn received(&mut self, patience: Duration) -> Result<()> {
        let word = tokio::time::timeout(patience, self.next()).await;
        let word = word.with_context(|| {
            format!("the floor did not receive everything within {patience:?}")
        })??;
        ensure!(
            matches!(word, Word::Received),
            "the floor said {word:?} instead of receiving"
        );
        Ok(())
    }

    /// Sends, and waits until the server has taken the last.
    pub async fn send(&mut self, sends: Sends, patience: Duration) -> Result<()> {
        self.order(&Order::Send(sends)).await?;
        let word = tokio::time::timeout(patience, self.next()).await;
        let word = word
            .with_context(|| format!("the floor did not send everything within {patience:?}"))??;
        ensure!(
            matches!(word, Word::Sent),
            "the floor said {word:?} instead of sending"
        );
        Ok(())
    }

    async fn order(&mut self, order: &Order) -> Result<()> {
        let line = serde_json::to_string(order)? + "\n";
        self.orders
            .write_all(line.as_bytes())
            .await
            .with_context(|| self.process.gone())
    }

    async fn next(&mut self) -> Result<Word> {
        let line = self
            .words
            .next_line()
            .await?
            .with_context(|| self.process.gone())?;
        match serde_json::from_str(&line).with_context(|| format!("the floor said {line:?}"))? {
            Word::Failed { reason } => bail!("the floor failed: {reason}"),
            word => Ok(word),
        }
    }

    pub async fn stop(self) -> Result<()> {
        let Self {
            process, orders, ..
        } = self;
        // It ends when nobody can tell it anything any more.
        drop(orders);
        process.stop().await
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_workers_share_all_texts_and_use_all_chats() {
        let chats = vec!["a".to_owned(), "b".to_owned(), "c".to_owned()];
        let sends = Sends {
            to: vec![chats; 4],
            count: 100,
            in_flight: 2,
            label: "s1".to_owned(),
        };
        let all: Vec<_> = (0..8).flat_map(|worker| sends.texts(worker, 8)).collect();
        let different: std::collections::BTreeSet<_> = all.iter().map(|(_, text)| text).collect();
        assert_eq!((all.len(), different.len()), (100, 100));
        for chat in 0..3 {
            let share = all.iter().filter(|(used, _)| *used == chat).count();
            assert!((30..=36).contains(&share), "chat {chat} got {share}");
        }
        assert!(all.iter().all(|(_, text)| text.len() == 100));
    }
}
