//! The load: people who write, and programs that send, until they are told to stop.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tokio::sync::watch;
use tokio::task::JoinSet;
use wapi_simulator::Phone;

use super::super::caller::{Caller, Door, HandedOver};
use super::super::dice::Dice;
use super::{PEOPLE, Plan, Stage, in_group};
use crate::harness::Ledger;

/// People who write, and programs that send, until they are told to stop.
pub(super) struct Load {
    /// How many each of the people may have written by now.
    allowed: watch::Sender<usize>,
    stopped: watch::Sender<bool>,
    incoming: Arc<Mutex<Ledger>>,
    /// What people wrote: chat and number, by message id.
    written: Mutex<HashMap<String, (String, usize)>>,
    accepted: Arc<Mutex<Ledger>>,
}

impl Load {
    pub(super) fn start(stage: &Stage, plan: Plan) -> (Arc<Self>, JoinSet<()>) {
        let load = Arc::new(Self {
            allowed: watch::Sender::new(0),
            stopped: watch::Sender::new(false),
            incoming: Arc::clone(&stage.incoming),
            written: Mutex::default(),
            accepted: Arc::default(),
        });
        let mut tasks = JoinSet::new();
        for (number, person) in stage.people.iter().enumerate() {
            let each = plan.messages.div_ceil(PEOPLE);
            let dice = Dice::new(plan.seed.wrapping_add(number as u64));
            let (to, chat) = (stage.alice.number().to_owned(), person.jid());
            tasks.spawn(Arc::clone(&load).writes(person.clone(), to, chat.clone(), each, dice));
            // Both routes lead to the same queue; each chat is written to through one of them.
            let door = if number % 2 == 0 {
                Door::V1
            } else {
                Door::Original
            };
            tasks.spawn(Arc::clone(&load).sends(
                stage.caller.clone(),
                door,
                chat.clone(),
                vec![chat],
            ));
        }
        let (person, group, dice) = (
            stage.people[0].clone(),
            stage.group.clone(),
            Dice::new(!plan.seed),
        );
        let each = plan.messages.div_ceil(PEOPLE);
        tasks.spawn(Arc::clone(&load).writes(person, group.clone(), group.clone(), each, dice));
        let members = stage
            .people
            .iter()
            .map(|person| in_group(&group, person))
            .collect();
        tasks.spawn(Arc::clone(&load).sends(stage.caller.clone(), Door::V1, group, members));
        (load, tasks)
    }

    pub(super) fn allow(&self, each: usize) {
        self.allowed.send_replace(each);
    }

    pub(super) fn stop(&self) {
        self.stopped.send_replace(true);
    }

    pub(super) fn promised_least(&self) -> usize {
        self.incoming
            .lock()
            .unwrap()
            .promised()
            .min(self.accepted.lock().unwrap().promised())
    }

    /// What came in. A message that the gateway could not read, because the power went before the key that
    /// came with an earlier one was on the disk, is asked for again, and comes after later ones.
    pub(super) fn incoming(&self, people: &[Phone]) -> Ledger {
        let mut incoming = self.incoming.lock().unwrap().clone();
        let written = self.written.lock().unwrap();
        for id in people.iter().flat_map(Phone::resent_messages) {
            if let Some((chat, number)) = written.get(&id) {
                incoming.ask_again(chat, *number);
            }
        }
        incoming
    }

    pub(super) fn accepted(&self) -> Ledger {
        self.accepted.lock().unwrap().clone()
    }

    /// A person writes to the session or to the group, in bursts; `chat` is what the gateway calls it.
    async fn writes(
        self: Arc<Self>,
        person: Phone,
        to: String,
        chat: String,
        count: usize,
        mut dice: Dice,
    ) {
        let mut allowed = self.allowed.subscribe();
        for number in 0..count {
            allowed.wait_for(|allowed| *allowed > number).await.unwrap();
            self.incoming.lock().unwrap().promise(&chat, number);
            let id = person.sends_text(&to, &number.to_string()).await.unwrap();
            self.written
                .lock()
                .unwrap()
                .insert(id, (chat.clone(), number));
            if dice.below(4) == 0 {
                tokio::time::sleep(dice.within(Duration::from_millis(200))).await;
            }
        }
    }

    /// A program sends to a chat, one after the other; each must come to all of these.
    async fn sends(
        self: Arc<Self>,
        caller: Caller,
        door: Door,
        chat: String,
        readers: Vec<String>,
    ) {
        let mut number = 0;
        while !*self.stopped.borrow() {
            match caller.hand_over(door, &chat, number).await {
                HandedOver::Accepted => {
                    let mut accepted = self.accepted.lock().unwrap();
                    readers
                        .iter()
                        .for_each(|reader| accepted.promise(reader, number));
                    number += 1;
                }
                HandedOver::Unknown => number += 1,
                HandedOver::NotTaken => tokio::time::sleep(Duration::from_millis(20)).await,
            }
        }
    }
}
