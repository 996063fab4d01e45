//! What each measurement has to say, as lines of the table. Pure.

use super::row::Row;
use crate::measure::idle::Side;
use crate::measure::{Alone, Carried, Files, Grown, Idle, Latency, OfSize, Round, Rounds, Sized};
use crate::numbers::median;

/// Messages in or out as fast as possible, with a goal for the CPU in units of the floor.
pub fn rounds(word: &str, rounds: &Rounds, goal: Option<f64>) -> Vec<Row> {
    if rounds.gateway.is_empty() && rounds.floor.is_empty() {
        return Vec::new();
    }
    let of = |what: &str, number| Row::of_rounds(&format!("{word}: {what}"), rounds, number);
    let cost = of("CPU ms per 1,000", Round::cpu_ms_per_1000);
    vec![
        match goal {
            Some(goal) => cost.with_goal_for_ratio(goal),
            None => cost,
        },
        of("messages a second", Round::per_second),
    ]
}

pub fn sizes(of: &OfSize) -> Vec<Row> {
    // Nothing is shared with anybody when there is one session.
    let goal = if of.sessions == 1 { 1.5 } else { 0.9 };
    let word = match of.sessions {
        1 => "received, 1 session alone".to_owned(),
        many => format!("received, {many} sessions"),
    };
    rounds(&word, &of.rounds, Some(goal))
}

pub fn alone(alone: &Alone) -> Vec<Row> {
    let what = |number: &str| format!("one session, one at a time: {number}");
    let (took, sync) = ([&alone.took[..], &alone.took_against[..]], alone.sync());
    let half = Row::of_percentiles(&what("half of the sends, ms"), took, |took| took.p50);
    vec![
        Row::of_rounds(&what("messages a second"), &alone.rounds, Round::per_second),
        // A send is two waits for the disk.
        sync.map_or(half.clone(), |sync| half.with_goal(1.5 + 2.0 * sync)),
        Row::of_percentiles(&what("p99, ms"), took, |took| took.p99),
        Row::new("one fdatasync in the same minute: ms", sync),
    ]
}

pub fn groups(of: &Sized) -> Vec<Row> {
    let what = |number: &str| format!("sent to a group of {}: {number}", of.members);
    let a_second = Row::of_rounds(&what("messages a second"), &of.rounds, Round::per_second);
    let copies = |side: Option<f64>| side.map(|messages| messages * (of.members - 1) as f64);
    let copies = Row {
        what: what("members reached a second"),
        gateway: copies(a_second.gateway),
        floor: copies(a_second.floor),
        ..Row::default()
    };
    vec![
        Row::of_rounds(
            &what("CPU ms per 1,000"),
            &of.rounds,
            Round::cpu_ms_per_1000,
        ),
        a_second,
        copies,
    ]
}

pub fn grown(grown: &Grown) -> Vec<Row> {
    let after = |what: &str| format!("after {} events: {what}", grown.events);
    let ready = Some(grown.ready_after_seconds);
    let mut rows = vec![Row::new(after("ready, s"), ready).with_goal(3.0)];
    for answers in &grown.answers {
        let half = Row::new(
            after(&format!("{}, ms", answers.what)),
            Some(answers.later.p50),
        );
        rows.push(half.with_goal(50.0));
    }
    let received = "received (the other has none of them): CPU ms per 1,000";
    let cost = Round::cpu_ms_per_1000;
    rows.push(Row::of_rounds(&after(received), &grown.received, cost));
    rows
}

pub fn media(files: &Files) -> Vec<Row> {
    let mut rows = Vec::new();
    for (word, rounds) in [("in", &files.received), ("out", &files.sent)] {
        let of = |number: fn(&Carried) -> f64| median(rounds.iter().map(number));
        rows.push(Row::new(
            format!("files {word}: MB a second"),
            of(Carried::mb_per_second),
        ));
        rows.push(Row::new(
            format!("files {word}: CPU ms per MB"),
            of(Carried::cpu_ms_per_mb),
        ));
    }
    let large = &files.large;
    let what = |number: &str| format!("a document of {} MiB out: {number}", large.mib);
    rows.push(Row::new(
        what("MB a second"),
        Some(large.carried.mb_per_second()),
    ));
    rows.push(Row::new(
        what("resident at most, MiB"),
        Some(large.peak_kib as f64 / 1024.0),
    ));
    rows.push(
        Row::new(
            what("grown by at most, MiB"),
            Some(large.grown_kib() as f64 / 1024.0),
        )
        .with_goal(64.0),
    );
    rows
}

/// At half of the maximum rate.
pub fn latency(latency: &Latency) -> Vec<Row> {
    let rate = "at half of the maximum rate: messages a second";
    let mut rows = vec![Row::new(rate, Some(latency.per_second))];
    rows.extend(on_the_way("on the way", latency));
    rows.push(Row::of_rounds(
        "received at that rate: CPU ms per 1,000",
        &latency.cost,
        Round::cpu_ms_per_1000,
    ));
    rows
}

/// One message at a time.
pub fn paced(paced: &Latency) -> Vec<Row> {
    let what = |number: &str| format!("paced at {:.0}/s: {number}", paced.per_second);
    let each =
        |number: &str, of, goal| Row::of_rounds(&what(number), &paced.cost, of).with_goal(goal);
    let mut rows = vec![
        each("CPU ms a message", Round::cpu_ms, 0.9),
        each("kB written a message", Round::kb_written, 20.0),
        each("context switches a message", Round::switches_each, 20.0),
    ];
    rows.extend(on_the_way(&what("on the way"), paced));
    rows
}

/// How long messages were on their way.
fn on_the_way(word: &str, latency: &Latency) -> Vec<Row> {
    let sides = [&latency.rounds[..], &latency.against[..]];
    let at = |what: &str, of| Row::of_percentiles(&format!("{word}: {what}, ms"), sides, of);
    let late = median(latency.simulator_late_ms.iter().map(|late| late.p99));
    vec![
        at("half of the messages", |p| p.p50),
        at("p99", |p| p.p99).with_goal(15.0),
        at("p99.9", |p| p.p999),
        Row::new("of it the simulator's own lateness: p99, ms", late),
    ]
}

pub fn idle(idle: &Idle) -> Vec<Row> {
    let both = |what: String, number: &dyn Fn(&Side) -> Option<f64>| {
        let against = idle.against.as_ref().and_then(number);
        Row::of_both(what, number(&idle.gateway), against)
    };
    let empty = both("resident, no session: MiB".to_owned(), &|side| {
        Some(mib(side.empty.resident))
    });
    let mut rows = vec![empty.with_goal(30.0)];
    let standings = &idle.gateway.standings;
    for (place, standing) in standings.iter().enumerate() {
        let what = format!("resident, {} idle sessions: MiB", standing.sessions);
        rows.push(both(what, &|side| {
            Some(mib(side.standings.get(place)?.memory.resident))
        }));
    }
    for (place, pair) in standings.windows(2).enumerate() {
        let what = |number: &str| {
            format!(
                "each session from {} to {}: {number}",
                pair[0].sessions, pair[1].sessions
            )
        };
        let memory = both(what("MiB"), &|side| {
            side.growth(place, |standing| mib(standing.memory.resident))
        });
        // A few sessions carry what all of them share.
        rows.push(memory.with_goal(if pair[1].sessions > 20 { 0.33 } else { 0.5 }));
        let descriptors = both(what("descriptors"), &|side| {
            side.growth(place, |standing| standing.descriptors as f64)
        });
        rows.push(descriptors);
    }
    for (place, standing) in standings.iter().enumerate() {
        let at = |row: Row, goal| match standing.sessions {
            // The goals are for 500 and more; fewer are sooner there, and cost less.
            500.. => row.with_goal(goal),
            _ => row,
        };
        let online = both(
            format!("{} sessions online after: s", standing.sessions),
            &|side| Some(side.standings.get(place)?.online_after_seconds),
        );
        rows.push(match standing.sessions {
            500 => online.with_goal(5.0),
            _ => online,
        });
        if standing.cpu_percent.is_some() {
            let what = format!("{} idle sessions: % of a core", standing.sessions);
            let cpu = both(what, &|side| side.standings.get(place)?.cpu_percent);
            rows.push(at(cpu, 20.0));
        }
        if let Some(talk) = &standing.talk {
            let what = |way| {
                format!(
                    "{} idle sessions, one message each {way}: s",
                    standing.sessions
                )
            };
            rows.push(Row::new(what("in"), Some(talk.in_seconds)));
            rows.push(Row::new(what("out"), Some(talk.out_seconds)));
        }
    }
    rows
}

fn mib(kib: u64) -> f64 {
    kib as f64 / 1024.0
}
