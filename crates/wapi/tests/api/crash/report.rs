//! How a storm went, as a table, and what in it must not be. Pure.

use std::fmt::{Display, Formatter};
use std::time::Duration;

use crate::harness::Tally;

#[derive(Debug, Default)]
pub struct Report {
    pub seed: u64,
    pub kills: usize,
    pub cuts: usize,
    pub took: Duration,
    /// From a kill until the next run was online, at worst.
    pub worst_recovery: Duration,
    /// From the people's phones to the webhook.
    pub incoming: Tally,
    /// From the API to the people's phones.
    pub outgoing: Tally,
    /// Stanzas that WhatsApp still keeps for the session.
    pub unconfirmed: usize,
    /// Messages that a phone could not read at first and asked for again, and why.
    pub asked_again: Vec<String>,
    /// Keys that were used for two messages.
    pub reused_keys: Vec<String>,
    /// Whether the account still has the device that it was linked to first, and no other.
    pub is_linked: bool,
    /// Lines of the program's log.
    pub panics: Vec<String>,
    pub has_ended_well: bool,
}

impl Report {
    /// What breaks a promise; nothing, if all is well.
    pub fn broken(&self) -> Vec<String> {
        let mut broken = Vec::new();
        let mut note = |what: &str, found: &[String]| {
            if !found.is_empty() {
                let shown: Vec<&str> = found.iter().map(String::as_str).take(20).collect();
                broken.push(format!("{} {what}: {}", found.len(), shown.join(", ")));
            }
        };
        note("incoming lost", &self.incoming.lost);
        note("incoming out of order", &self.incoming.overtaken);
        note("outgoing lost", &self.outgoing.lost);
        note("outgoing twice", &self.outgoing.repeated);
        note("outgoing out of order", &self.outgoing.overtaken);
        note("keys used twice", &self.reused_keys);
        note("panics", &self.panics);
        if !self.is_linked {
            broken.push("the device is not the one that was linked".to_owned());
        }
        if self.unconfirmed > 0 {
            broken.push(format!(
                "{} stanzas were not confirmed to WhatsApp",
                self.unconfirmed
            ));
        }
        if !self.has_ended_well {
            broken.push("the last run did not end well".to_owned());
        }
        broken
    }
}

impl Display for Report {
    fn fmt(&self, formatter: &mut Formatter<'_>) -> std::fmt::Result {
        let mut row = |name: &str, value: String| writeln!(formatter, "{name:<34} {value:>22}");
        row("seed", self.seed.to_string())?;
        row("kills (SIGKILL)", self.kills.to_string())?;
        row("power cuts", self.cuts.to_string())?;
        row(
            "messages in (phone to webhook)",
            self.incoming.promised.to_string(),
        )?;
        row("  lost", self.incoming.lost.len().to_string())?;
        row(
            "  out of order in their chat",
            self.incoming.overtaken.len().to_string(),
        )?;
        row(
            "  unreadable at first, asked again",
            self.incoming.asked_again.to_string(),
        )?;
        row(
            "  delivered again after a crash",
            self.incoming.repeated.len().to_string(),
        )?;
        row(
            "messages out (2xx to phone)",
            self.outgoing.promised.to_string(),
        )?;
        row("  lost", self.outgoing.lost.len().to_string())?;
        row(
            "  out of order in their chat",
            self.outgoing.overtaken.len().to_string(),
        )?;
        row(
            "  twice on the phone",
            self.outgoing.repeated.len().to_string(),
        )?;
        row(
            "  unreadable at first, asked again",
            self.asked_again.len().to_string(),
        )?;
        row("keys used twice", self.reused_keys.len().to_string())?;
        row("panics", self.panics.len().to_string())?;
        row(
            "worst recovery, kill to online",
            format!("{:.2} s", self.worst_recovery.as_secs_f64()),
        )?;
        row("took", format!("{:.0} s", self.took.as_secs_f64()))?;
        self.asked_again
            .iter()
            .try_for_each(|why| writeln!(formatter, "asked again: {why}"))
    }
}
