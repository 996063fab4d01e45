//! Tests of the projection over a store of its own.

use std::time::Duration;

use crate::clock::Clock;
use crate::event::{
    ChatChange, ChatUpdated, Event, EventData, MessageKey, Person, ReceivedMessage,
};
use crate::lifecycle::{Finish, Lifecycle};
use crate::message::Message;
use crate::store::kept::Side;
use crate::store::{Cut, NewEvent, Store};

use super::*;

const ANN: &str = "375440000001@s.whatsapp.net";
const PATIENCE: Duration = Duration::from_secs(60);

struct Stage {
    store: Store,
    history: History,
    lifecycle: Lifecycle,
}

impl Stage {
    async fn open(root: &Path, policy: Policy) -> Self {
        let clock = Clock::system();
        let store = Store::open(&root.join("wapi.db"), clock.clone())
            .await
            .unwrap();
        let lifecycle = Lifecycle::new();
        let history = History::open(root, policy, store.clone(), clock, &lifecycle)
            .await
            .unwrap();
        Self {
            store,
            history,
            lifecycle,
        }
    }

    async fn close(self) {
        let finish = self.lifecycle.finish(&Clock::system(), PATIENCE).await;
        self.history.close().await;
        assert_eq!(
            finish.and(self.store.close().await),
            Finish {
                dropped: 0,
                panicked: 0
            }
        );
    }

    /// Returns the number of recorded messages once all events are read, and how many of them are
    /// unread.
    async fn kept(&self) -> (usize, u32) {
        let newest = self.store.newest_event().await.unwrap();
        self.history.inner.hurry.notify_one();
        let mut progress = self.history.inner.progress.subscribe();
        let read = progress.wait_for(|done| *done >= newest);
        Clock::system()
            .timeout(PATIENCE, read)
            .await
            .expect("it is read")
            .unwrap();
        let kept = self.history.look().await.unwrap();
        let (mut messages, mut side) = (0, Side::Newest);
        loop {
            let (page, _) = kept
                .messages(&Life::test(1, "shop"), ANN, side, 500)
                .await
                .unwrap();
            let Some(oldest) = page.last() else { break };
            (messages, side) = (messages + page.len(), Side::Before(oldest.cursor));
        }
        (
            messages,
            kept.chat(&Life::test(1, "shop"), ANN)
                .await
                .unwrap()
                .map_or(0, |chat| chat.unread),
        )
    }
}

fn message(number: u32) -> NewEvent {
    let id = format!("3EB0{number}");
    let from = Person {
        id: ANN.to_owned(),
        phone: Some("375440000001".to_owned()),
        ..Person::default()
    };
    let data = EventData::MessageReceived(Box::new(ReceivedMessage {
        session: "shop".to_owned(),
        id: id.clone(),
        chat: ANN.to_owned(),
        from,
        from_me: false,
        timestamp: Clock::system().now(),
        offline: false,
        message: Message::text(format!("number {number}")),
    }));
    let key = MessageKey {
        chat: ANN.to_owned(),
        sender: ANN.to_owned(),
        id,
    };
    NewEvent::of_message(
        &Life::test(1, "shop"),
        ANN,
        key,
        &Event::new(data, Clock::system().now()),
    )
}

async fn came(store: &Store, numbers: std::ops::Range<u32>) {
    let all: Vec<u32> = numbers.collect();
    for some in all.chunks(500) {
        store
            .append(some.iter().map(|number| message(*number)).collect())
            .await
            .unwrap();
    }
}

#[tokio::test]
async fn what_happens_is_kept_once_across_restarts_and_while_history_is_off() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::open(folder.path(), Policy::Forever).await;
    came(&stage.store, 0..700).await;
    assert_eq!(stage.kept().await, (700, 700));
    stage.close().await;
    let stage = Stage::open(folder.path(), Policy::Off).await;
    came(&stage.store, 700..710).await;
    assert!(stage.history.look().await.is_err());
    stage.close().await;
    let stage = Stage::open(folder.path(), Policy::For(Duration::from_secs(3600))).await;
    assert_eq!(stage.kept().await, (710, 710));
    let change = ChatChange {
        unread: Some(false),
        ..ChatChange::default()
    };
    let chat = Person {
        id: ANN.to_owned(),
        ..Person::default()
    };
    let read = EventData::ChatUpdated(Box::new(ChatUpdated {
        session: "shop".to_owned(),
        chat,
        change,
    }));
    let event = Event::new(read, Clock::system().now());
    stage
        .store
        .append(vec![NewEvent::of_session(&Life::test(1, "shop"), &event)])
        .await
        .unwrap();
    assert_eq!(stage.kept().await, (710, 0));
    let later = Clock::system().now() + Duration::from_secs(7200);
    stage.history.remove_old(later).await.unwrap();
    assert_eq!(stage.kept().await, (0, 0));
    stage.close().await;
}

#[tokio::test]
async fn events_stay_until_they_are_kept() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::open(folder.path(), Policy::Forever).await;
    came(&stage.store, 0..10).await;
    stage.kept().await;
    // As if the rest had yet to be read.
    stage.store.hold_after(4);
    let later = Clock::system().now() + Duration::from_secs(3600);
    let cut = Cut {
        events: later,
        dead: later,
        known: later,
        now: later,
    };
    assert_eq!(
        stage.store.remove_old(0, 100, cut).await.unwrap().removed,
        4
    );
    stage.store.hold_after(10);
    assert_eq!(
        stage.store.remove_old(0, 100, cut).await.unwrap().removed,
        6
    );
    stage.close().await;
}

#[tokio::test]
async fn without_history_there_is_no_file() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::open(folder.path(), Policy::Off).await;
    came(&stage.store, 0..3).await;
    stage
        .history
        .import(&Life::test(1, "shop"), &Imports::default())
        .await
        .unwrap();
    stage.history.forget("shop").await.unwrap();
    stage.close().await;
    assert!(!folder.path().join("history.db").exists());
}

/// Number of events to catch up on; tried with 100,000.
const BEHIND: u32 = 5_000;

#[tokio::test]
async fn whoever_is_far_behind_catches_up_and_holds_up_nobody() {
    let folder = tempfile::tempdir().unwrap();
    let stage = Stage::open(folder.path(), Policy::Off).await;
    came(&stage.store, 0..BEHIND).await;
    stage.close().await;
    let clock = Clock::system();
    let started = clock.uptime();
    let stage = Stage::open(folder.path(), Policy::Forever).await;
    let mut slowest = Duration::ZERO;
    for number in BEHIND..BEHIND + 20 {
        let asked = clock.uptime();
        stage.store.append(vec![message(number)]).await.unwrap();
        slowest = slowest.max(clock.uptime().saturating_sub(asked));
    }
    assert_eq!(stage.kept().await, (BEHIND as usize + 20, BEHIND + 20));
    let took = clock.uptime().saturating_sub(started);
    eprintln!(
        "{BEHIND} events were read in {took:?}; the slowest commit beside it took {slowest:?}"
    );
    stage.close().await;
}
