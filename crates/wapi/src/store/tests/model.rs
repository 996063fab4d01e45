//! Random histories of the store against a simple model: order within each lane, no loss, no
//! duplicates, across restarts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::ready;
use std::sync::Mutex;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::super::*;
use crate::clock::Time;
use crate::event::MessageKey;

/// The endpoints: the first subscribes to all types, the second to one.
const ENDPOINTS: [(&str, &[&str]); 2] = [("all", &[]), ("sent", &["message.sent"])];
const KINDS: [&str; 2] = ["message.received", "message.sent"];

/// One step of a history.
#[derive(Debug, Clone)]
enum Step {
    Append(Vec<Message>),
    /// Settles the due delivery at the index `which` (modulo their number), and saves the outcome
    /// `times` times.
    Settle {
        which: usize,
        ending: Ending,
        times: usize,
    },
    Pass {
        seconds: i64,
    },
    Restart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct Message {
    session: u8,
    chat: u8,
    number: u8,
    kind: usize,
}

#[derive(Debug, Clone, Copy)]
enum Ending {
    Delivered,
    Again { seconds: i64 },
    Aside { seconds: i64 },
    Dead,
}

fn step() -> impl Strategy<Value = Step> {
    let message =
        (0..2_u8, 0..3_u8, 0..30_u8, 0..KINDS.len()).prop_map(|(session, chat, number, kind)| {
            Message {
                session,
                chat,
                number,
                kind,
            }
        });
    let ending = prop_oneof![
        4 => Just(Ending::Delivered),
        3 => (0..60_i64).prop_map(|seconds| Ending::Again { seconds }),
        2 => (0..60_i64).prop_map(|seconds| Ending::Aside { seconds }),
        1 => Just(Ending::Dead),
    ];
    prop_oneof![
        4 => prop::collection::vec(message, 1..5).prop_map(Step::Append),
        6 => (any::<usize>(), ending, 1..3_usize).prop_map(|(which, ending, times)| Step::Settle { which, ending, times }),
        2 => (1..40_i64).prop_map(|seconds| Step::Pass { seconds }),
        1 => Just(Step::Restart),
    ]
}

/// A clock that advances only on demand.
#[derive(Clone)]
struct Still(Arc<Mutex<Timestamp>>);

impl Still {
    fn pass(&self, seconds: i64) {
        *self.0.lock().expect("nobody panics with it") += SignedDuration::from_secs(seconds);
    }
}

impl Time for Still {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("nobody panics with it")
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, _: Duration) -> BoxFuture<'static, ()> {
        // The pauses of the writer take no time.
        ready(()).boxed()
    }
}

/// A lane: endpoint, session, chat, and the parked event, if it is the lane of one.
type Lane = (&'static str, u8, u8, Option<Message>);

/// The expected state of the store.
#[derive(Default)]
struct Model {
    known: BTreeSet<Message>,
    /// The waiting messages of each lane, oldest first, and the due time of the first.
    lanes: BTreeMap<Lane, (VecDeque<Message>, Timestamp)>,
    attempts: BTreeMap<(&'static str, Message), u32>,
}

impl Model {
    fn append(&mut self, messages: &[Message], now: Timestamp) {
        for &message in messages {
            if !self.known.insert(message) {
                continue;
            }
            let wants = |types: &[&str]| types.is_empty() || types.contains(&KINDS[message.kind]);
            for (endpoint, _) in ENDPOINTS.iter().filter(|(_, types)| wants(types)) {
                let lane = (*endpoint, message.session, message.chat, None);
                self.lanes
                    .entry(lane)
                    .or_insert((VecDeque::new(), now))
                    .0
                    .push_back(message);
            }
        }
    }

    /// Returns the lanes whose head is due, in the order of their keys.
    fn due(&self, now: Timestamp) -> Vec<Lane> {
        self.lanes
            .iter()
            .filter(|(_, (_, due_at))| *due_at <= now)
            .map(|(lane, _)| *lane)
            .collect()
    }

    fn next_due(&self, now: Timestamp) -> Option<Timestamp> {
        self.lanes
            .values()
            .map(|(_, due_at)| *due_at)
            .filter(|due_at| *due_at > now)
            .min()
    }

    fn first(&self, lane: &Lane) -> Message {
        *self.lanes[lane]
            .0
            .front()
            .expect("a lane without anything is gone")
    }

    /// Returns the fields of `Due` for the head of a lane.
    fn shown(&self, lane: &Lane) -> (&'static str, Message, u32, bool) {
        let message = self.first(lane);
        (
            lane.0,
            message,
            self.attempts.get(&(lane.0, message)).copied().unwrap_or(0),
            lane.3.is_some(),
        )
    }

    fn settle(&mut self, lane: Lane, ending: Ending, now: Timestamp) {
        let message = self.first(&lane);
        *self.attempts.entry((lane.0, message)).or_default() += 1;
        let later = |seconds| now + SignedDuration::from_secs(seconds);
        match ending {
            Ending::Again { seconds } => {
                self.lanes.get_mut(&lane).expect("it is due").1 = later(seconds)
            }
            Ending::Aside { seconds } if lane.3.is_none() => {
                self.leave(lane, now);
                self.lanes.insert(
                    (lane.0, lane.1, lane.2, Some(message)),
                    ([message].into(), later(seconds)),
                );
            }
            // The schedule never parks a delivery twice; the store ignores it.
            Ending::Aside { .. } => {}
            Ending::Delivered | Ending::Dead => self.leave(lane, now),
        }
    }

    fn leave(&mut self, lane: Lane, now: Timestamp) {
        let (waiting, due_at) = self.lanes.get_mut(&lane).expect("it is due");
        waiting.pop_front();
        *due_at = now;
        if waiting.is_empty() {
            self.lanes.remove(&lane);
        }
    }
}

/// The store and its model, side by side.
struct Pair {
    folder: tempfile::TempDir,
    store: Store,
    model: Model,
    time: Still,
    /// Final outcomes, by endpoint: these must not become due again.
    done: BTreeSet<(&'static str, Message)>,
    /// Deliveries that a worker knows to be due.
    handed: BTreeSet<i64>,
}

fn event(message: &Message) -> NewEvent {
    let Message {
        session,
        chat,
        number,
        kind,
    } = message;
    let key = MessageKey {
        chat: format!("chat {chat}"),
        sender: "ann".to_owned(),
        id: number.to_string(),
    };
    NewEvent {
        id: format!("evt_{}", rand::random::<u64>()),
        session: Life::test(i64::from(*session) + 1, &format!("session {session}")),
        chat: key.chat.clone(),
        message: Some(key),
        kind: KINDS[*kind],
        body: "{}".to_owned(),
    }
}

fn of(due: &Due) -> (&'static str, Message, u32, bool) {
    let number = |text: &str| {
        text.rsplit(' ')
            .next()
            .and_then(|last| last.parse().ok())
            .expect("a number at its end")
    };
    let endpoint = ENDPOINTS
        .iter()
        .find(|(name, _)| *name == due.endpoint)
        .expect("one of ours")
        .0;
    let kind = KINDS
        .iter()
        .position(|kind| *kind == due.kind)
        .expect("one of ours");
    let id = &due.message.as_ref().expect("it is about a message").id;
    let message = Message {
        session: number(due.session.name()),
        chat: number(&due.chat),
        number: number(id),
        kind,
    };
    (endpoint, message, due.attempts, due.is_aside)
}

impl Pair {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let time = Still(Arc::new(Mutex::new(
            Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1),
        )));
        let store = Self::open(&folder, &time).await;
        for (endpoint, types) in ENDPOINTS {
            store
                .put_endpoint(endpoint, "http://127.0.0.1/", types)
                .await
                .expect("it is saved");
        }
        Self {
            folder,
            store,
            model: Model::default(),
            time,
            done: BTreeSet::new(),
            handed: BTreeSet::new(),
        }
    }

    async fn open(folder: &tempfile::TempDir, time: &Still) -> Store {
        Store::open(&folder.path().join("wapi.db"), Clock::new(time.clone()))
            .await
            .expect("it opens")
    }

    async fn take(&mut self, step: &Step) -> Result<(), TestCaseError> {
        match step {
            Step::Append(messages) => {
                self.store
                    .append(messages.iter().map(event).collect())
                    .await
                    .expect("it is saved");
                self.model.append(messages, self.time.now());
            }
            Step::Settle {
                which,
                ending,
                times,
            } => self.settle(*which, *ending, *times).await?,
            Step::Pass { seconds } => self.time.pass(*seconds),
            Step::Restart => {
                self.store.close().await;
                self.store = Self::open(&self.folder, &self.time).await;
            }
        }
        self.hand_out(matches!(step, Step::Pass { .. } | Step::Restart))
            .await?;
        self.agree().await
    }

    /// Checks that deliveries handed out from memory are those in the database, and that no others
    /// are due. A worker that `asks` reads the database.
    async fn hand_out(&mut self, asks: bool) -> Result<(), TestCaseError> {
        let (fresh, due) = (self.store.fresh(), self.due().await);
        for fresh in &fresh.due {
            prop_assert!(due.contains(fresh), "{fresh:?} is none of {due:?}");
        }
        if asks || fresh.is_incomplete {
            self.handed = due.iter().map(|due| due.delivery).collect();
        }
        self.handed.extend(fresh.due.iter().map(|due| due.delivery));
        let missed = due.iter().find(|due| !self.handed.contains(&due.delivery));
        prop_assert_eq!(missed, None, "nobody was told of it");
        Ok(())
    }

    async fn due(&self) -> Vec<Due> {
        self.store
            .due(self.time.now(), 1_000)
            .await
            .expect("it can be read")
    }

    /// Checks that store and model agree on the due deliveries.
    async fn agree(&self) -> Result<(), TestCaseError> {
        let now = self.time.now();
        let mut stored: Vec<_> = self.due().await.iter().map(of).collect();
        let mut modelled: Vec<_> = self
            .model
            .due(now)
            .iter()
            .map(|lane| self.model.shown(lane))
            .collect();
        stored.sort_unstable();
        modelled.sort_unstable();
        prop_assert_eq!(&stored, &modelled);
        prop_assert_eq!(
            self.store.next_due(now).await.expect("it can be read"),
            self.model.next_due(now)
        );
        let again = stored
            .iter()
            .find(|(endpoint, message, ..)| self.done.contains(&(*endpoint, *message)));
        prop_assert_eq!(again, None, "it comes again");
        Ok(())
    }

    async fn settle(
        &mut self,
        which: usize,
        ending: Ending,
        times: usize,
    ) -> Result<(), TestCaseError> {
        let now = self.time.now();
        let lanes = self.model.due(now);
        let Some(&lane) = (!lanes.is_empty()).then(|| &lanes[which % lanes.len()]) else {
            return Ok(());
        };
        // The worker reports a failure once; it may repeat a success, if it is unknown whether the
        // first report was saved.
        let times = if matches!(ending, Ending::Again { .. }) {
            1
        } else {
            times
        };
        let ending = if lane.3.is_some() && matches!(ending, Ending::Aside { .. }) {
            Ending::Delivered
        } else {
            ending
        };
        let shown = self.model.shown(&lane);
        let delivery = self
            .due()
            .await
            .iter()
            .find(|due| of(due) == shown)
            .map(|due| due.delivery);
        let Some(delivery) = delivery else {
            return Err(TestCaseError::fail(format!("{shown:?} is not due")));
        };
        for _ in 0..times {
            self.store
                .settle(Settled {
                    delivery,
                    outcome: outcome(ending, now),
                })
                .await
                .expect("it is saved");
        }
        if matches!(ending, Ending::Aside { .. }) && times > 1 {
            // Each report counts as an attempt.
            *self.model.attempts.entry((lane.0, shown.1)).or_default() +=
                u32::try_from(times - 1).expect("few");
        }
        if matches!(ending, Ending::Delivered | Ending::Dead) {
            self.done.insert((lane.0, shown.1));
        }
        self.model.settle(lane, ending, now);
        Ok(())
    }

    /// Delivers all remaining events after a restart.
    async fn drain(&mut self) -> Result<(), TestCaseError> {
        self.take(&Step::Restart).await?;
        self.take(&Step::Pass { seconds: 3_600 }).await?;
        while !self.model.due(self.time.now()).is_empty() {
            self.take(&Step::Settle {
                which: 0,
                ending: Ending::Delivered,
                times: 1,
            })
            .await?;
        }
        prop_assert!(self.model.lanes.is_empty());
        self.store.close().await;
        Ok(())
    }
}

fn outcome(ending: Ending, now: Timestamp) -> Outcome {
    let (error, due_at) = (Failed::from("it answered 500"), |seconds| {
        now + SignedDuration::from_secs(seconds)
    });
    match ending {
        Ending::Delivered => Outcome::Delivered,
        Ending::Again { seconds } => Outcome::Again {
            error,
            due_at: due_at(seconds),
        },
        Ending::Aside { seconds } => Outcome::Aside {
            error,
            due_at: due_at(seconds),
        },
        Ending::Dead => Outcome::Dead { error },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_its_model_does(steps in prop::collection::vec(step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut pair = Pair::new().await;
            for step in &steps {
                pair.take(step).await?;
            }
            pair.drain().await
        })?;
    }
}
