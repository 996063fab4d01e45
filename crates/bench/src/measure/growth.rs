//! A gateway that has received a great many events: how soon it is ready, how long lists and searches take, and what another message
//! costs beside a gateway that has received none.

use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use serde::Serialize;
use serde_json::Value;

use super::receiving::{self, Pace};
use super::round::{Round, Rounds};
use crate::filling;
use crate::gateway::Gateway;
use crate::line::Line;
use crate::numbers::Percentiles;
use crate::stage::{GatewaySide, Load, Stage, Who};

/// Received before the gateway is filled, as the patterns of what it is filled with.
const PATTERNS: usize = 400;
/// The one that is filled, and the one beside it.
const SIDES: [Who; 2] = [Who::Gateway, Who::Against];
/// How often each list and search is asked for.
const ASKED: usize = 10;
/// How often readiness is asked for.
const ASK_AGAIN: Duration = Duration::from_millis(10);

/// What was found.
#[derive(Debug, Serialize)]
pub struct Grown {
    pub events: u64,
    /// From the start of the program until it says that it is ready.
    pub ready_after_seconds: f64,
    pub answers: Vec<Answers>,
    /// Further messages; the other gateway is the same program without those events.
    pub received: Rounds,
}

/// How long one list or search took, in milliseconds.
#[derive(Debug, Serialize)]
pub struct Answers {
    pub what: &'static str,
    pub first_ms: f64,
    pub later: Percentiles,
}

pub async fn measure(stage: &Stage) -> Result<Grown> {
    let (full, empty, size) = ("full", "empty", stage.options.sessions);
    let mut load = Load::without_sides(stage, size).await?;
    // The numbers of the events to come are beyond those that it is filled with, so that they are older than everything else.
    let root = stage.folder().join(full);
    stage.start(Who::Gateway, full).await?.stop().await?;
    filling::leave_room(&root, stage.options.events)?;
    load.gateway = Some(GatewaySide::set_in(stage, Who::Gateway, full, size).await?);
    load.against = Some(GatewaySide::set_in(stage, Who::Gateway, empty, size).await?);
    for who in SIDES {
        burst(stage, &mut load, who, "pattern", PATTERNS).await?;
    }
    let side = load
        .gateway
        .take()
        .context("the gateway to fill is there")?;
    side.gateway.stop().await?;
    eprintln!("filling it with {} events", stage.options.events);
    filling::fill(&root, stage.options.events)?;
    let gateway = stage.start(Who::Gateway, full).await?;
    let ready_after_seconds = is_ready(&gateway).await?;
    gateway
        .all_are_online(&side.sessions, stage.options.patience())
        .await?;
    let answers = answers(&gateway, &side.sessions[0], stage.options.events).await?;
    load.gateway = Some(GatewaySide { gateway, ..side });
    let mut received = Rounds::default();
    for round in 0..stage.options.rounds {
        let label = format!("grown-{round}");
        let mut sides = SIDES;
        sides.rotate_left(round % 2);
        for who in sides {
            let taken = burst(stage, &mut load, who, &label, stage.options.messages).await?;
            received.add("received", who, taken);
        }
    }
    load.stop().await?;
    Ok(Grown {
        events: stage.options.events,
        ready_after_seconds,
        answers,
        received,
    })
}

/// One burst to a side, as fast as possible.
async fn burst(
    stage: &Stage,
    load: &mut Load,
    who: Who,
    label: &str,
    count: usize,
) -> Result<Round> {
    let pace = Pace {
        label,
        count,
        per_second: None,
    };
    Ok(receiving::turn(stage, load, who, pace).await?.round)
}

/// How long it took from the start of the program until it said so.
async fn is_ready(gateway: &Gateway) -> Result<f64> {
    let mut line = Line::connect(gateway.address).await?;
    loop {
        let path = "/health/ready";
        let (status, _) = line.call(hyper::Method::GET, path, String::new()).await?;
        if status.is_success() {
            return Ok(gateway.age().as_secs_f64());
        }
        tokio::time::sleep(ASK_AGAIN).await;
    }
}

/// Asks for everything that grows with the log.
async fn answers(gateway: &Gateway, session: &str, events: u64) -> Result<Vec<Answers>> {
    let mut line = Line::connect(gateway.address).await?;
    let of_session = format!("/v1/sessions/{session}");
    let chats = line.get(&format!("{of_session}/chats")).await?;
    let chat = chats["chats"][0]["id"].as_str();
    let chat = chat.context("the session has a chat")?;
    let of_chat = format!("{of_session}/chats/{chat}/messages?limit=100");
    let newest = line.get(&of_chat).await?;
    let before = cursor_far_back(&mut line, &of_chat, &newest).await?;
    let (rare, common) = (filling::rare_word(events), filling::COMMON_WORD);
    let search = format!("{of_session}/messages?limit=50");
    // Each with how many entries the answer has.
    let asked = [
        (
            "the feed from its beginning",
            "/v1/events?after=0&limit=100".to_owned(),
            100..=100,
        ),
        (
            "the feed from its middle",
            format!("/v1/events?after={}&limit=100", events / 2),
            100..=100,
        ),
        (
            "the feed of a session",
            format!(
                "/v1/events?after={}&limit=100&session={session}",
                events / 2
            ),
            100..=100,
        ),
        (
            "the feed of a type that there is",
            "/v1/events?after=0&limit=100&types=message.received".to_owned(),
            100..=100,
        ),
        (
            "the feed of a type that there is not",
            "/v1/events?after=0&limit=100&types=call.ended".to_owned(),
            0..=0,
        ),
        ("chats", format!("{of_session}/chats"), 1..=100),
        ("the newest messages of a chat", of_chat.clone(), 100..=100),
        (
            "messages far back in a chat",
            format!("{of_chat}&before={before}"),
            100..=100,
        ),
        (
            "a search for a rare word",
            format!("{search}&q={rare}"),
            1..=50,
        ),
        (
            "a search for a word that all have",
            format!("{search}&q={common}"),
            50..=50,
        ),
        (
            "a search for two words",
            format!("{search}&q={common}%20{rare}"),
            1..=50,
        ),
        (
            "a search in a chat",
            format!("{search}&q={common}&chat={chat}"),
            50..=50,
        ),
        (
            "a search for a word that nobody wrote",
            format!("{search}&q=unheard"),
            0..=0,
        ),
    ];
    let mut answers = Vec::new();
    for (what, path, entries) in asked {
        let mut took = Vec::new();
        for _ in 0..=ASKED {
            let started = Instant::now();
            let answer = line.get(&path).await?;
            took.push(started.elapsed());
            let found = ["events", "messages", "chats"].map(|list| answer[list].as_array());
            let found = found.into_iter().flatten().map(Vec::len).sum::<usize>();
            // What finds nothing is quick.
            ensure!(entries.contains(&found), "{what}: {found} entries");
        }
        let first_ms = took.remove(0).as_secs_f64() * 1000.0;
        let later = Percentiles::of(took).context("it was asked for")?;
        eprintln!("{what}: first {first_ms:.1} ms, then {later:?}");
        answers.push(Answers {
            what,
            first_ms,
            later,
        });
    }
    Ok(answers)
}

/// A cursor some pages away from the newest messages.
async fn cursor_far_back(line: &mut Line, of_chat: &str, newest: &Value) -> Result<String> {
    let mut cursor = text_of(&newest["before"])?;
    for _ in 0..20 {
        let page = line.get(&format!("{of_chat}&before={cursor}")).await?;
        cursor = text_of(&page["before"])?;
    }
    Ok(cursor)
}

fn text_of(cursor: &Value) -> Result<String> {
    let text = cursor.as_str().context("the chat has older messages")?;
    Ok(text.to_owned())
}
