//! The interactive sandbox: links a session, prints webhook posts, and suggests commands.

use anyhow::{Context, Result};
use wapi_simulator::Phone;

use super::setup::{SESSION, SandboxGateway, SandboxStage};
use crate::http::webhook_receiver::WebhookPost;
use crate::system::lifecycle::StopSignals;

/// Preferred port of the gateway.
const PREFERRED_PORT: u16 = 8080;

pub async fn run() -> Result<()> {
    let mut stage = SandboxStage::set_up().await?;
    println!(
        "A simulated WhatsApp runs at {}, its admin interface at {}",
        stage.simulator.ws_url(),
        stage.simulator.admin_url()
    );
    let gateway = stage.start_gateway(PREFERRED_PORT).await?;
    println!(
        "wapi listens at http://{0}; its dashboard is http://{0}/dashboard",
        gateway.address
    );
    println!(
        "Its webhooks are received at {} and shown below",
        stage.webhook
    );
    pair_session(&stage, &gateway).await?;
    show_group(&stage, &gateway).await?;
    let contact = stage.contact.clone();
    stage
        .lifecycle
        .spawn(async move { answer_messages(&contact).await });
    println!(
        "The session `{SESSION}` is the account {}; Ann, {}, answers every message",
        stage.owner.number(),
        stage.contact.number()
    );
    println!(
        "\nTry, in another terminal:\n{}\n",
        suggest_commands(&stage, &gateway)
    );
    println!(
        "Or paste this line, and then those of docs/guide/quick-start.md:\n  {}\nCtrl-C ends it.\n",
        tour_variables(&stage, &gateway)
    );
    let mut signals = StopSignals::listen().context("listening for Ctrl-C")?;
    loop {
        tokio::select! {
            () = signals.next() => break,
            Some(WebhookPost { path, event }) = stage.posts.recv() => println!("POST {path}\n{event:#}\n"),
        }
    }
    gateway.stop().await?;
    stage.tear_down().await
}

/// Scans the gateway's QR code with the owner's phone.
async fn pair_session(stage: &SandboxStage, gateway: &SandboxGateway) -> Result<()> {
    gateway.caller.register_session(SESSION).await?;
    let qr = gateway.caller.fetch_qr_text(SESSION).await?;
    println!(
        "The session `{SESSION}` is registered and shows a QR code; its owner's phone scans it"
    );
    stage
        .owner
        .scans_qr(&qr)
        .await
        .context("scanning the QR code")?;
    gateway.caller.wait_online(SESSION, &stage.clock).await?;
    println!("The session `{SESSION}` is online");
    Ok(())
}

/// Creates a group with Ann, writes to it, and shows the message on Ann's phone.
async fn show_group(stage: &SandboxStage, gateway: &SandboxGateway) -> Result<()> {
    let (caller, ann) = (&gateway.caller, &stage.contact);
    let group = caller
        .create_group(SESSION, "Sandbox", ann.number())
        .await?;
    caller
        .send_text(SESSION, &group, "Welcome to the sandbox")
        .await?;
    let message = ann
        .next_message(std::time::Duration::from_secs(60))
        .await
        .context("waiting for the message in the group")?;
    println!(
        "The session has created the group {group} with Ann, whose phone shows there: {}",
        message.text.unwrap_or_default()
    );
    Ok(())
}

/// Answers every message, from any session.
async fn answer_messages(contact: &Phone) {
    loop {
        // Waits without end, in pieces.
        let Ok(message) = contact
            .next_message(std::time::Duration::from_secs(3600))
            .await
        else {
            continue;
        };
        // Messages that the contact has sent from a session of its own need no answer.
        let Some((sender, _)) = message.from.split_once('@').filter(|_| !message.from_me) else {
            continue;
        };
        let text = message
            .text
            .or(message.caption)
            .unwrap_or_else(|| format!("a message of the kind {}", message.kind));
        if let Err(error) = contact
            .sends_text(sender, &format!("You said: {text}"))
            .await
        {
            println!("Ann cannot answer: {error:#}");
        }
    }
}

/// Returns the variables that the quick start's tour uses.
fn tour_variables(stage: &SandboxStage, gateway: &SandboxGateway) -> String {
    format!(
        "export WAPI=http://{} PHONES={} ANN={} HOOK={}",
        gateway.address,
        stage.simulator.admin_url(),
        stage.contact.number(),
        stage.webhook
    )
}

fn suggest_commands(stage: &SandboxStage, gateway: &SandboxGateway) -> String {
    let (base, ann) = (format!("http://{}", gateway.address), stage.contact.jid());
    let picture = format!("{base}/get-qr-code/second/");
    [
        format!("curl -s {base}/get-session-info/{SESSION}/"),
        format!("curl -s {base}/send-message/ -d '{{\"session_name\":\"{SESSION}\",\"chat_id\":\"{ann}\",\"text\":\"Hello\"}}'"),
        format!("curl -s {base}/register-session/ -d '{{\"session_id\":\"second\"}}'"),
        format!("curl -s {picture} -o qr.png"),
        format!(
            "curl -s {base}/send-image/ -d '{{\"session_name\":\"{SESSION}\",\"chat_id\":\"{ann}\",\
             \"image_url\":\"{picture}\",\"caption\":\"A QR code\"}}'"
        ),
    ]
    .map(|line| format!("  {line}"))
    .join("\n")
}
