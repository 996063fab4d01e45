//! The automatic sandbox: the whole round trip, each step with its duration.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::stage::{SESSION, Stage};
use crate::clock::Clock;

/// Time limit of a step. Generous, as the machine may be busy.
const PATIENCE: Duration = Duration::from_secs(60);

pub async fn run() -> Result<()> {
    let clock = Clock::system();
    let steps = Steps {
        clock: clock.clone(),
    };
    let mut stage = steps
        .take("start a simulated WhatsApp", Stage::set())
        .await?;
    let gateway = steps.take("start the gateway", stage.gateway(0)).await?;

    let registering = gateway.caller.register(SESSION);
    let status = steps.take("register a session", registering).await?;
    ensure!(status == "scan_qr", "the session is {status}, not scan_qr");
    let qr = steps
        .take("read its QR code", gateway.caller.qr(SESSION))
        .await?;
    let scanning = async {
        stage
            .owner
            .scans(&qr)
            .await
            .context("the phone did not link the device")
    };
    steps
        .take("scan it with the owner's phone", scanning)
        .await?;
    steps
        .take(
            "wait until the session is online",
            gateway.caller.online(SESSION, &clock),
        )
        .await?;

    steps
        .take(
            "send a message and see it arrive",
            round_trip_out(&stage, &gateway.caller, "Hello, Ann"),
        )
        .await?;
    steps
        .take(
            "receive a message by webhook",
            round_trip_in(&mut stage, "Hello, shop"),
        )
        .await?;

    steps.take("stop the gateway", gateway.stop()).await?;
    let gateway = steps.take("start it again", stage.gateway(0)).await?;
    steps
        .take(
            "log in from the saved session",
            gateway.caller.online(SESSION, &clock),
        )
        .await?;
    steps
        .take(
            "send again",
            round_trip_out(&stage, &gateway.caller, "Still there?"),
        )
        .await?;
    steps
        .take("receive again", round_trip_in(&mut stage, "Still here"))
        .await?;

    steps.take("stop the gateway", gateway.stop()).await?;
    steps
        .take("stop the simulated WhatsApp", stage.clear())
        .await?;
    println!("All is well, after {:.1} s", clock.uptime().as_secs_f64());
    Ok(())
}

/// Sends a message from the gateway to the contact's phone, and compares the decrypted text.
async fn round_trip_out(stage: &Stage, caller: &super::caller::Caller, text: &str) -> Result<()> {
    let id = caller.send(SESSION, &stage.contact.jid(), text).await?;
    let message = stage.contact.next_message(PATIENCE).await?;
    ensure!(
        message.id == id && message.text.as_deref() == Some(text),
        "another message arrived: {message:?}"
    );
    Ok(())
}

/// Sends a message from the contact's phone to the webhook.
async fn round_trip_in(stage: &mut Stage, text: &str) -> Result<()> {
    let id = stage.contact.sends_text(stage.owner.number(), text).await?;
    let posted = stage.posts.recv().await.context("the webhook is gone")?;
    let data = &posted.event["data"];
    ensure!(
        data["id"] == id.as_str() && data["text"]["body"] == text,
        "another event was posted: {}",
        posted.event
    );
    Ok(())
}

/// Prints each step and its duration.
struct Steps {
    clock: Clock,
}

impl Steps {
    async fn take<T, E: Into<anyhow::Error>>(
        &self,
        what: impl Display,
        step: impl Future<Output = Result<T, E>>,
    ) -> Result<T> {
        let started = self.clock.uptime();
        let done = match self.clock.timeout(PATIENCE, step).await {
            Ok(result) => result.map_err(Into::into),
            Err(timed_out) => Err(timed_out.into()),
        };
        let took = self.clock.uptime().saturating_sub(started).as_millis();
        let mark = if done.is_ok() { "ok    " } else { "FAILED" };
        println!("{mark} {took:>6} ms  {what}");
        done.with_context(|| format!("could not {what}"))
    }
}
