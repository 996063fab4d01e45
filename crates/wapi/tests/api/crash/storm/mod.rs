//! Load in both directions while the program is killed and its plug is pulled at random moments, again and again; then the count.
#![expect(
    clippy::disallowed_methods,
    reason = "load and kills have a pace of their own"
)]

mod load;

use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use tokio::task::JoinSet;
use wapi_simulator::{Phone, Simulator, SimulatorOptions};

use super::caller::Caller;
use super::dice::Dice;
use super::power::Disk;
use super::receiver;
use super::report::Report;
use crate::harness::{Ledger, Running, Wapi, eventually, free_address, options, within};
use load::Load;

const SESSION: &str = "shop";
/// People who write to the session and are written to by it, all the time.
const PEOPLE: usize = 4;
/// How long a run lives after its login, at most.
const LIFE: Duration = Duration::from_millis(3_000);
/// How long a run lives that is killed whether it has logged in or not.
const INFANCY: Duration = Duration::from_millis(1_000);
/// How long the last run may take to bring everything home: an event that was turned away twice waits for over a minute.
const CALM: Duration = Duration::from_secs(240);
/// Few file descriptors: a session and its webhooks need some twenty.
const DESCRIPTORS: u64 = 64;
/// How a disk is bad; see the library for the words.
const FAULTS: [&str; 6] = [
    "eio-sync 2 0 /sessions/",
    "eio-sync 40 0 wapi.db",
    "eio-write 100 0 /",
    "enospc 50 0 /",
    "short 20 0 /",
    "slow-sync 10 300 /\nslow-write 100 50 /",
];

/// A recovery that is worth a look at its log.
const SLOW: Duration = Duration::from_secs(5);

/// How much of it.
#[derive(Debug, Clone, Copy)]
pub struct Plan {
    pub seed: u64,
    pub kills: usize,
    pub cuts: usize,
    /// Whether runs also stand still, have a clock that is set, few file descriptors, and a disk that fails.
    pub is_rough: bool,
    /// At least so many in each direction.
    pub messages: usize,
    /// When the run is given up, and what came by then is counted.
    pub at_most: Duration,
}

impl Plan {
    /// What every test run has time for, or what the environment asks: `WAPI_TESTS_SOAK_KILLS`, `WAPI_TESTS_SOAK_CUTS`, `WAPI_TESTS_SOAK_ROUGH`,
    /// `WAPI_TESTS_SOAK_MESSAGES`, `WAPI_TESTS_SOAK_MINUTES`, and `WAPI_TESTS_SEED` to repeat an earlier one.
    pub fn from_environment() -> Self {
        let number = |name: &str| -> Option<u64> {
            let text = std::env::var(name).ok()?;
            Some(
                text.parse()
                    .unwrap_or_else(|_| panic!("{name} is {text:?}; it must be a number")),
            )
        };
        let size = |name: &str, usual: usize| {
            number(name).map_or(usual, |number| number.try_into().unwrap())
        };
        Self {
            seed: number("WAPI_TESTS_SEED").unwrap_or_else(rand::random),
            kills: size("WAPI_TESTS_SOAK_KILLS", 4),
            cuts: if Disk::is_there() {
                size("WAPI_TESTS_SOAK_CUTS", 4)
            } else {
                0
            },
            is_rough: std::env::var_os("WAPI_TESTS_SOAK_ROUGH")
                .is_some_and(|rough| !rough.is_empty()),
            messages: size("WAPI_TESTS_SOAK_MESSAGES", 240),
            at_most: Duration::from_secs(60 * number("WAPI_TESTS_SOAK_MINUTES").unwrap_or(5)),
        }
    }
}

/// Runs the plan. Whatever happens to the messages is in the report; only what makes counting impossible panics.
pub async fn run(plan: Plan) -> Report {
    let mut stage = Stage::set(&plan).await;
    let (load, tasks) = Load::start(&stage, plan);
    let mut dice = Dice::new(plan.seed);
    let started = Instant::now();
    let (mut kills, mut cuts) = (0, 0);
    let lives = plan.kills + plan.cuts;
    while kills + cuts < lives && started.elapsed() < plan.at_most {
        load.allow(plan.messages * (kills + cuts + 1) / lives / PEOPLE + 1);
        let left = (plan.kills - kills, plan.cuts - cuts);
        let is_cut = dice.below((left.0 + left.1) as u64) < left.1 as u64;
        stage.live_and_die(&mut dice, is_cut, plan.is_rough).await;
        if is_cut { cuts += 1 } else { kills += 1 }
    }
    load.allow(usize::MAX);
    let last = stage.last_run(&load, plan, started, tasks).await;
    let report = Report {
        seed: plan.seed,
        kills,
        cuts,
        took: started.elapsed(),
        ..Report::default()
    };
    stage.finish(last, &load, report).await
}

/// What a run goes through besides its end.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Misery {
    None,
    /// It stands still for a while.
    Frozen,
    WrongClock,
    /// It has few file descriptors.
    Poor,
    BadDisk,
}

impl Misery {
    fn of(dice: &mut Dice) -> Self {
        [
            Self::None,
            Self::None,
            Self::Frozen,
            Self::WrongClock,
            Self::Poor,
            Self::BadDisk,
        ][dice.below(6) as usize]
    }
}

/// Everything around the program, over all its runs.
struct Stage {
    simulator: Simulator,
    alice: Phone,
    people: Vec<Phone>,
    /// The address of a group of them all.
    group: String,
    wapi: Wapi,
    /// What its files are on; `None` where nothing can pull a plug.
    disk: Option<Disk>,
    caller: Caller,
    incoming: Arc<Mutex<Ledger>>,
    /// When the program was killed last.
    killed: Instant,
    /// From a kill until the next run was online.
    worst_recovery: Duration,
    /// What the runs' logs say of panics.
    panics: Vec<String>,
}

impl Stage {
    /// A session that is paired, and people who know each other.
    async fn set(plan: &Plan) -> Self {
        let options = SimulatorOptions {
            kept: 200_000,
            ..options()
        };
        let simulator = Simulator::start(options).await.unwrap();
        let alice = simulator.add_phone("Alice").unwrap();
        let people: Vec<Phone> = (0..PEOPLE)
            .map(|number| simulator.add_phone(&format!("Person {number}")).unwrap())
            .collect();
        let incoming = Arc::default();
        let address = free_address();
        let wapi = Wapi::new()
            .set("WAPI_INTERNAL_HOST", address)
            .set("WAPI_WHATSAPP_URL", simulator.ws_url())
            .set(
                "WAPI_GETTING_MESSAGES_WEBHOOK",
                receiver::start(Arc::clone(&incoming)),
            )
            .set(
                "WAPI_LOG",
                std::env::var("WAPI_TESTS_LOG").unwrap_or_else(|_| "info".to_owned()),
            )
            // A rebuild in the middle of a long run must not change what is running.
            .with_a_copy_of_the_program();
        let (wapi, disk) = match plan.cuts > 0 {
            true => {
                let (wapi, disk) = Disk::under(wapi);
                (wapi.set("WAPI_TESTS_SEED", plan.seed), Some(disk))
            }
            false => (wapi, None),
        };
        let (running, client) = wapi.serves(address).await;
        client.pair(SESSION, &alice).await;
        let members: Vec<&Phone> = people.iter().skip(1).chain([&alice]).collect();
        let group = people[0].creates_group("everybody", &members).unwrap();
        running.kill().await;
        let (caller, killed) = (Caller::new(&client, SESSION), Instant::now());
        let (worst_recovery, panics) = (Duration::ZERO, Vec::new());
        Self {
            simulator,
            alice,
            people,
            group,
            wapi,
            disk,
            caller,
            incoming,
            killed,
            worst_recovery,
            panics,
        }
    }

    /// One run from its start to its end, at some moment of its life.
    async fn live_and_die(&mut self, dice: &mut Dice, is_cut: bool, is_rough: bool) {
        let misery = if is_rough {
            Misery::of(dice)
        } else {
            Misery::None
        };
        let running = match misery {
            Misery::Poor => self.wapi.launch_poor(DESCRIPTORS),
            _ => self.wapi.launch(),
        };
        if dice.below(4) == 0 {
            tokio::time::sleep(dice.within(INFANCY)).await;
        } else {
            self.until_online(&running).await;
            self.suffers(misery, &running, dice).await;
            tokio::time::sleep(dice.within(LIFE)).await;
        }
        self.panics.extend(
            running
                .log()
                .lines()
                .filter(|line| line.contains("panicked"))
                .map(str::to_owned),
        );
        running.kill().await;
        self.incoming.lock().unwrap().restart();
        if let Some(disk) = &self.disk {
            disk.fails("");
            disk.moves_clock(0);
            if is_cut {
                disk.loses_power();
            }
        }
        self.killed = Instant::now();
    }

    async fn suffers(&self, misery: Misery, running: &Running, dice: &mut Dice) {
        match (misery, &self.disk) {
            (Misery::Frozen, _) => {
                running.freezes(true).await;
                tokio::time::sleep(dice.within(LIFE)).await;
                running.freezes(false).await;
            }
            (Misery::WrongClock, Some(disk)) => disk.moves_clock(dice.below(7200) as i64 - 3600),
            (Misery::BadDisk, Some(disk)) => {
                disk.fails(FAULTS[dice.below(FAULTS.len() as u64) as usize])
            }
            _ => {}
        }
    }

    async fn until_online(&mut self, running: &Running) {
        let online = async || self.caller.is_online().await.then_some(());
        eventually(online, async || {
            format!("it does not log in again:\n{}", running.log())
        })
        .await;
        let recovery = self.killed.elapsed();
        self.worst_recovery = self.worst_recovery.max(recovery);
        if recovery > SLOW {
            println!("{recovery:?} until it was online:\n{}", running.log());
        }
    }

    /// The run that is not killed: the load comes to its end, and everything home.
    async fn last_run(
        &mut self,
        load: &Load,
        plan: Plan,
        started: Instant,
        mut tasks: JoinSet<()>,
    ) -> Running {
        let running = self.wapi.launch();
        self.until_online(&running).await;
        // What has not come by then is in the report.
        let left = plan.at_most.saturating_sub(started.elapsed());
        within(left, async || {
            (load.promised_least() >= plan.messages).then_some(())
        })
        .await;
        load.stop();
        while tasks.join_next().await.is_some() {}
        within(CALM, async || self.is_all_home(load).then_some(())).await;
        running
    }

    fn is_all_home(&self, load: &Load) -> bool {
        let is_confirmed = self.alice.linked_devices()[0].queued == 0;
        is_confirmed
            && self.incoming.lock().unwrap().is_complete()
            && self.outgoing(load).is_complete()
    }

    /// What stands on the phones of what was accepted.
    fn outgoing(&self, load: &Load) -> Ledger {
        let mut outgoing = load.accepted();
        for person in &self.people {
            // What they write to each other in the group is not the session's.
            for message in person
                .received_messages()
                .into_iter()
                .filter(|message| message.from == self.alice.jid())
            {
                let chat = if message.chat == self.group {
                    in_group(&self.group, person)
                } else {
                    person.jid()
                };
                outgoing.arrive(
                    &chat,
                    message.text.as_deref().unwrap_or_default().parse().unwrap(),
                );
            }
        }
        outgoing
    }

    async fn finish(mut self, last: Running, load: &Load, report: Report) -> Report {
        self.panics.extend(
            last.log()
                .lines()
                .filter(|line| line.contains("panicked"))
                .map(str::to_owned),
        );
        let has_ended_well = last.terminate().await.success;
        let reused_keys = self
            .people
            .iter()
            .chain([&self.alice])
            .flat_map(Phone::reused_keys)
            .collect();
        let is_linked = self
            .alice
            .linked_devices()
            .iter()
            .map(|device| device.device)
            .collect::<Vec<_>>()
            == [1];
        let asked_again = self
            .people
            .iter()
            .chain([&self.alice])
            .flat_map(Phone::failures)
            .collect();
        let unconfirmed = self.alice.linked_devices()[0].queued;
        let report = Report {
            incoming: load.incoming(&self.people).tally(),
            outgoing: self.outgoing(load).tally(),
            worst_recovery: self.worst_recovery,
            unconfirmed,
            asked_again,
            reused_keys,
            is_linked,
            panics: self.panics,
            has_ended_well,
            ..report
        };
        self.simulator.finish().await.unwrap();
        if !report.broken().is_empty() {
            println!(
                "what the program left behind is in {}",
                self.wapi.keep().display()
            );
        }
        report
    }
}

/// A group as one of its members sees it: what is sent to it must reach each of them.
fn in_group(group: &str, member: &Phone) -> String {
    format!("{group} of {}", member.jid())
}
