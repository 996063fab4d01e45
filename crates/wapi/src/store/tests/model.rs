//! Random histories of the store against a simple model: order within each lane, no loss, no
//! duplicates, across restarts.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::future::{pending, ready};
use std::sync::Mutex;

use futures_util::FutureExt;
use futures_util::future::BoxFuture;
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;

use super::super::*;
use crate::model::event::MessageKey;
use crate::system::clock::TimeSource;

/// The endpoints: the first subscribes to all types, the second to one.
const ENDPOINTS: [(&str, &[&str]); 2] = [("all", &[]), ("sent", &["message.sent"])];
const KINDS: [&str; 2] = ["message.received", "message.sent"];

/// One step of a history.
#[derive(Debug, Clone)]
enum ModelStep {
    Append(Vec<ModelMessage>),
    /// Settles the due delivery at the index `which` (modulo their number), and saves the outcome
    /// `times` times.
    Settle {
        which: usize,
        ending: ModelOutcome,
        times: usize,
    },
    AdvanceClock {
        seconds: i64,
    },
    Restart,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
struct ModelMessage {
    session: u8,
    chat: u8,
    number: u8,
    kind: usize,
}

#[derive(Debug, Clone, Copy)]
enum ModelOutcome {
    Delivered,
    Retry { seconds: i64 },
    Parked { seconds: i64 },
    Dead,
}

fn any_step() -> impl Strategy<Value = ModelStep> {
    let message =
        (0..2_u8, 0..3_u8, 0..30_u8, 0..KINDS.len()).prop_map(|(session, chat, number, kind)| {
            ModelMessage {
                session,
                chat,
                number,
                kind,
            }
        });
    let ending = prop_oneof![
        4 => Just(ModelOutcome::Delivered),
        3 => (0..60_i64).prop_map(|seconds| ModelOutcome::Retry { seconds }),
        2 => (0..60_i64).prop_map(|seconds| ModelOutcome::Parked { seconds }),
        1 => Just(ModelOutcome::Dead),
    ];
    prop_oneof![
        4 => prop::collection::vec(message, 1..5).prop_map(ModelStep::Append),
        6 => (any::<usize>(), ending, 1..3_usize).prop_map(|(which, ending, times)| ModelStep::Settle { which, ending, times }),
        2 => (1..40_i64).prop_map(|seconds| ModelStep::AdvanceClock { seconds }),
        1 => Just(ModelStep::Restart),
    ]
}

/// A clock that advances only on demand.
#[derive(Clone)]
struct ManualClock(Arc<Mutex<Timestamp>>);

impl ManualClock {
    fn advance(&self, seconds: i64) {
        *self.0.lock().expect("nobody panics with it") += SignedDuration::from_secs(seconds);
    }
}

impl TimeSource for ManualClock {
    fn now(&self) -> Timestamp {
        *self.0.lock().expect("nobody panics with it")
    }

    fn uptime(&self) -> Duration {
        Duration::ZERO
    }

    fn sleep(&self, duration: Duration) -> BoxFuture<'static, ()> {
        // The pauses of the writer take no time, and nobody gives up waiting.
        match duration <= Duration::from_secs(1) {
            true => ready(()).boxed(),
            false => pending().boxed(),
        }
    }
}

/// A lane: endpoint, session, chat, and the parked event, if it is the lane of one.
type ModelLane = (&'static str, u8, u8, Option<ModelMessage>);

/// The expected state of the store.
#[derive(Default)]
struct StoreModel {
    known: BTreeSet<ModelMessage>,
    /// The waiting messages of each lane, oldest first, and the due time of the first.
    lanes: BTreeMap<ModelLane, (VecDeque<ModelMessage>, Timestamp)>,
    attempts: BTreeMap<(&'static str, ModelMessage), u32>,
}

impl StoreModel {
    fn append(&mut self, messages: &[ModelMessage], now: Timestamp) {
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
    fn due_lanes(&self, now: Timestamp) -> Vec<ModelLane> {
        self.lanes
            .iter()
            .filter(|(_, (_, due_at))| *due_at <= now)
            .map(|(lane, _)| *lane)
            .collect()
    }

    fn next_due_time(&self, now: Timestamp) -> Option<Timestamp> {
        self.lanes
            .values()
            .map(|(_, due_at)| *due_at)
            .filter(|due_at| *due_at > now)
            .min()
    }

    fn head_message(&self, lane: &ModelLane) -> ModelMessage {
        *self.lanes[lane]
            .0
            .front()
            .expect("a lane without anything is gone")
    }

    /// Returns the fields of `DueDelivery` for the head of a lane.
    fn expected_due(&self, lane: &ModelLane) -> (&'static str, ModelMessage, u32, bool) {
        let message = self.head_message(lane);
        (
            lane.0,
            message,
            self.attempts.get(&(lane.0, message)).copied().unwrap_or(0),
            lane.3.is_some(),
        )
    }

    fn settle(&mut self, lane: ModelLane, ending: ModelOutcome, now: Timestamp) {
        let message = self.head_message(&lane);
        *self.attempts.entry((lane.0, message)).or_default() += 1;
        let later = |seconds| now + SignedDuration::from_secs(seconds);
        match ending {
            ModelOutcome::Retry { seconds } => {
                self.lanes.get_mut(&lane).expect("it is due").1 = later(seconds)
            }
            ModelOutcome::Parked { seconds } if lane.3.is_none() => {
                self.leave_lane(lane, now);
                self.lanes.insert(
                    (lane.0, lane.1, lane.2, Some(message)),
                    ([message].into(), later(seconds)),
                );
            }
            // The schedule never parks a delivery twice; the store ignores it.
            ModelOutcome::Parked { .. } => {}
            ModelOutcome::Delivered | ModelOutcome::Dead => self.leave_lane(lane, now),
        }
    }

    fn leave_lane(&mut self, lane: ModelLane, now: Timestamp) {
        let (waiting, due_at) = self.lanes.get_mut(&lane).expect("it is due");
        waiting.pop_front();
        *due_at = now;
        if waiting.is_empty() {
            self.lanes.remove(&lane);
        }
    }
}

/// The store and its model, side by side.
struct StorePair {
    folder: tempfile::TempDir,
    store: Store,
    model: StoreModel,
    time: ManualClock,
    /// Final outcomes, by endpoint: these must not become due again.
    done: BTreeSet<(&'static str, ModelMessage)>,
    /// Deliveries that a worker knows to be due.
    handed: BTreeSet<i64>,
}

fn to_event(message: &ModelMessage) -> NewEvent {
    let ModelMessage {
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
        session: Life::for_test(i64::from(*session) + 1, &format!("session {session}")),
        chat: key.chat.clone(),
        message: Some(key),
        kind: KINDS[*kind],
        body: "{}".to_owned(),
        facts: Vec::new(),
    }
}

fn due_fields(due: &DueDelivery) -> (&'static str, ModelMessage, u32, bool) {
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
    let message = ModelMessage {
        session: number(due.session.name()),
        chat: number(&due.chat),
        number: number(id),
        kind,
    };
    (endpoint, message, due.attempts, due.is_parked)
}

impl StorePair {
    async fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let time = ManualClock(Arc::new(Mutex::new(
            Timestamp::UNIX_EPOCH + SignedDuration::from_hours(1),
        )));
        let store = Self::open_store(&folder, &time).await;
        for (endpoint, types) in ENDPOINTS {
            store
                .webhooks()
                .save_endpoint(endpoint, "http://127.0.0.1/", types)
                .await
                .expect("it is saved");
        }
        Self {
            folder,
            store,
            model: StoreModel::default(),
            time,
            done: BTreeSet::new(),
            handed: BTreeSet::new(),
        }
    }

    async fn open_store(folder: &tempfile::TempDir, time: &ManualClock) -> Store {
        Store::open(&folder.path().join("wapi.db"), Clock::new(time.clone()))
            .await
            .expect("it opens")
    }

    async fn apply_step(&mut self, step: &ModelStep) -> Result<(), TestCaseError> {
        match step {
            ModelStep::Append(messages) => {
                self.store
                    .events()
                    .append_events(messages.iter().map(to_event).collect())
                    .await
                    .expect("it is saved");
                self.model.append(messages, self.time.now());
            }
            ModelStep::Settle {
                which,
                ending,
                times,
            } => self.settle_due(*which, *ending, *times).await?,
            ModelStep::AdvanceClock { seconds } => self.time.advance(*seconds),
            ModelStep::Restart => {
                self.store.close().await;
                self.store = Self::open_store(&self.folder, &self.time).await;
            }
        }
        self.check_handed_out(matches!(
            step,
            ModelStep::AdvanceClock { .. } | ModelStep::Restart
        ))
        .await?;
        self.check_agreement().await
    }

    /// Checks that deliveries handed out from memory are those in the database, and that no others
    /// are due. A worker that `asks` reads the database.
    async fn check_handed_out(&mut self, asks: bool) -> Result<(), TestCaseError> {
        let (fresh, due) = (
            self.store.deliveries().take_ready(),
            self.due_deliveries().await,
        );
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

    async fn due_deliveries(&self) -> Vec<DueDelivery> {
        self.store
            .deliveries()
            .due_deliveries(self.time.now(), 1_000)
            .await
            .expect("it can be read")
    }

    /// Checks that store and model agree on the due deliveries.
    async fn check_agreement(&self) -> Result<(), TestCaseError> {
        let now = self.time.now();
        let mut stored: Vec<_> = self.due_deliveries().await.iter().map(due_fields).collect();
        let mut modelled: Vec<_> = self
            .model
            .due_lanes(now)
            .iter()
            .map(|lane| self.model.expected_due(lane))
            .collect();
        stored.sort_unstable();
        modelled.sort_unstable();
        prop_assert_eq!(&stored, &modelled);
        prop_assert_eq!(
            self.store
                .deliveries()
                .next_due_time(now)
                .await
                .expect("it can be read"),
            self.model.next_due_time(now)
        );
        let again = stored
            .iter()
            .find(|(endpoint, message, ..)| self.done.contains(&(*endpoint, *message)));
        prop_assert_eq!(again, None, "it comes again");
        Ok(())
    }

    async fn settle_due(
        &mut self,
        which: usize,
        ending: ModelOutcome,
        times: usize,
    ) -> Result<(), TestCaseError> {
        let now = self.time.now();
        let lanes = self.model.due_lanes(now);
        let Some(&lane) = (!lanes.is_empty()).then(|| &lanes[which % lanes.len()]) else {
            return Ok(());
        };
        // The worker reports a failure once; it may repeat a success, if it is unknown whether the
        // first report was saved.
        let times = if matches!(ending, ModelOutcome::Retry { .. }) {
            1
        } else {
            times
        };
        let ending = if lane.3.is_some() && matches!(ending, ModelOutcome::Parked { .. }) {
            ModelOutcome::Delivered
        } else {
            ending
        };
        let shown = self.model.expected_due(&lane);
        let delivery = self
            .due_deliveries()
            .await
            .iter()
            .find(|due| due_fields(due) == shown)
            .map(|due| due.delivery);
        let Some(delivery) = delivery else {
            return Err(TestCaseError::fail(format!("{shown:?} is not due")));
        };
        for _ in 0..times {
            self.store
                .deliveries()
                .settle_delivery(SettledDelivery {
                    delivery,
                    outcome: to_outcome(ending, now),
                })
                .await
                .expect("it is saved");
        }
        if matches!(ending, ModelOutcome::Parked { .. }) && times > 1 {
            // Each report counts as an attempt.
            *self.model.attempts.entry((lane.0, shown.1)).or_default() +=
                u32::try_from(times - 1).expect("few");
        }
        if matches!(ending, ModelOutcome::Delivered | ModelOutcome::Dead) {
            self.done.insert((lane.0, shown.1));
        }
        self.model.settle(lane, ending, now);
        Ok(())
    }

    /// Delivers all remaining events after a restart.
    async fn drain_all(&mut self) -> Result<(), TestCaseError> {
        self.apply_step(&ModelStep::Restart).await?;
        self.apply_step(&ModelStep::AdvanceClock { seconds: 3_600 })
            .await?;
        while !self.model.due_lanes(self.time.now()).is_empty() {
            self.apply_step(&ModelStep::Settle {
                which: 0,
                ending: ModelOutcome::Delivered,
                times: 1,
            })
            .await?;
        }
        prop_assert!(self.model.lanes.is_empty());
        self.store.close().await;
        Ok(())
    }
}

fn to_outcome(ending: ModelOutcome, now: Timestamp) -> DeliveryOutcome {
    let (error, due_at) = (AttemptFailure::from("it answered 500"), |seconds| {
        now + SignedDuration::from_secs(seconds)
    });
    match ending {
        ModelOutcome::Delivered => DeliveryOutcome::Delivered,
        ModelOutcome::Retry { seconds } => DeliveryOutcome::Retry {
            error,
            due_at: due_at(seconds),
        },
        ModelOutcome::Parked { seconds } => DeliveryOutcome::Parked {
            error,
            due_at: due_at(seconds),
        },
        ModelOutcome::Dead => DeliveryOutcome::Dead { error },
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn the_store_does_what_its_model_does(steps in prop::collection::vec(any_step(), 1..60)) {
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
        runtime.block_on(async {
            let mut pair = StorePair::new().await;
            for step in &steps {
                pair.apply_step(step).await?;
            }
            pair.drain_all().await
        })?;
    }
}
