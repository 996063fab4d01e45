//! The automatic sandbox: the whole round trip, each step with its duration.

use std::fmt::Display;
use std::future::Future;
use std::time::Duration;

use anyhow::{Context, Result, ensure};

use super::setup::{SESSION, SandboxStage};
use crate::system::clock::Clock;

/// Time limit of a step. Generous, as the machine may be busy.
const STEP_TIMEOUT: Duration = Duration::from_secs(60);

pub async fn run() -> Result<()> {
    let clock = Clock::system();
    let steps = StepRunner {
        clock: clock.clone(),
    };
    let mut stage = steps
        .run_step("start a simulated WhatsApp", SandboxStage::set_up())
        .await?;
    let gateway = steps
        .run_step("start the gateway", stage.start_gateway(0))
        .await?;

    let registering = gateway.caller.register_session(SESSION);
    let status = steps.run_step("register a session", registering).await?;
    ensure!(status == "scan_qr", "the session is {status}, not scan_qr");
    let qr = steps
        .run_step("read its QR code", gateway.caller.fetch_qr_text(SESSION))
        .await?;
    let scanning = async {
        stage
            .owner
            .scans_qr(&qr)
            .await
            .context("the phone did not link the device")
    };
    steps
        .run_step("scan it with the owner's phone", scanning)
        .await?;
    steps
        .run_step(
            "wait until the session is online",
            gateway.caller.wait_online(SESSION, &clock),
        )
        .await?;

    steps
        .run_step(
            "send a message and see it arrive",
            check_outbound(&stage, &gateway.caller, "Hello, Ann"),
        )
        .await?;
    steps
        .run_step(
            "receive a message by webhook",
            check_inbound(&mut stage, "Hello, shop"),
        )
        .await?;

    steps
        .run_step(
            "create a group and write to it",
            check_group(&stage, &gateway.caller),
        )
        .await?;

    steps.run_step("stop the gateway", gateway.stop()).await?;
    let gateway = steps
        .run_step("start it again", stage.start_gateway(0))
        .await?;
    steps
        .run_step(
            "log in from the saved session",
            gateway.caller.wait_online(SESSION, &clock),
        )
        .await?;
    steps
        .run_step(
            "send again",
            check_outbound(&stage, &gateway.caller, "Still there?"),
        )
        .await?;
    steps
        .run_step("receive again", check_inbound(&mut stage, "Still here"))
        .await?;

    steps.run_step("stop the gateway", gateway.stop()).await?;
    steps
        .run_step("stop the simulated WhatsApp", stage.tear_down())
        .await?;
    println!("All is well, after {:.1} s", clock.uptime().as_secs_f64());
    Ok(())
}

/// Sends a message from the gateway to the contact's phone, and compares the decrypted text.
async fn check_outbound(
    stage: &SandboxStage,
    caller: &super::client::SandboxClient,
    text: &str,
) -> Result<()> {
    let id = caller
        .send_text(SESSION, &stage.contact.jid(), text)
        .await?;
    let message = stage.contact.next_message(STEP_TIMEOUT).await?;
    ensure!(
        message.id == id && message.text.as_deref() == Some(text),
        "another message arrived: {message:?}"
    );
    Ok(())
}

/// Creates a group with the contact, and sends a message to it.
async fn check_group(stage: &SandboxStage, caller: &super::client::SandboxClient) -> Result<()> {
    let group = caller
        .create_group(SESSION, "Sandbox", stage.contact.number())
        .await?;
    let id = caller.send_text(SESSION, &group, "Hello, all").await?;
    let message = stage.contact.next_message(STEP_TIMEOUT).await?;
    ensure!(
        message.id == id && message.chat == group,
        "another message arrived: {message:?}"
    );
    Ok(())
}

/// Sends a message from the contact's phone to the webhook.
async fn check_inbound(stage: &mut SandboxStage, text: &str) -> Result<()> {
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
struct StepRunner {
    clock: Clock,
}

impl StepRunner {
    async fn run_step<T, E: Into<anyhow::Error>>(
        &self,
        what: impl Display,
        step: impl Future<Output = Result<T, E>>,
    ) -> Result<T> {
        let started = self.clock.uptime();
        let done = match self.clock.timeout(STEP_TIMEOUT, step).await {
            Ok(result) => result.map_err(Into::into),
            Err(timed_out) => Err(timed_out.into()),
        };
        let took = self.clock.uptime().saturating_sub(started).as_millis();
        let mark = if done.is_ok() { "ok    " } else { "FAILED" };
        println!("{mark} {took:>6} ms  {what}");
        done.with_context(|| format!("could not {what}"))
    }
}
