//! Facts that a received message brings besides its event: its file, a poll, a vote, its chat's
//! timer. They are saved in the transaction of the event.

use jiff::Timestamp;

use super::log::NewEvent;
use crate::model::event::{Event, EventData, MessageKey, OptionTally};
use crate::store::db::{self, Connection};
use crate::store::inbound::polls::{self, PollBallot, StoredPoll};
use crate::store::inbound::undelivered;
use crate::store::media::records::{NewMedia, insert_media, seal_media};
use crate::store::outbox::chat_timers::{self, DisappearingTimer};
use crate::store::sealing::Sealer;
use crate::store::writer::StoreChange;
use crate::store::{EventStore, Life, StoreError};

/// A fact to save with an event.
#[derive(Debug, Clone)]
pub enum EventFact {
    /// The record of the message's file.
    Media(NewMedia),
    /// A poll, or a calendar event, under the id of its message.
    Poll { id: String, poll: StoredPoll },
    /// A vote in a poll, or a response to a calendar event.
    Vote(NewVote),
    /// The disappearing timer of a chat, under each of its addresses.
    ChatTimer {
        chats: Vec<String>,
        timer: DisappearingTimer,
    },
    /// A received message that makes no event, so that it is not taken for lost when WhatsApp
    /// delivers it again.
    Eventless(MessageKey),
}

/// A vote, with its event, whose tally is counted once the vote is saved.
#[derive(Debug, Clone)]
pub struct NewVote {
    pub poll: String,
    /// All options of the poll, in their order.
    pub options: Vec<String>,
    pub ballot: PollBallot,
    /// WhatsApp's time, in milliseconds.
    pub voted_at: i64,
    /// The event that reports the vote; `None` until [`NewEvent::with_facts`] adds it.
    pub event: Option<Box<Event>>,
}

impl EventStore<'_> {
    /// Saves facts of messages that no event reports.
    pub async fn save_facts(
        self,
        session: &Life,
        mut facts: Vec<EventFact>,
    ) -> Result<(), StoreError> {
        let mut timers = self.store.overlay_timers();
        timers.keep_changes(session, &mut facts);
        seal_facts(&self.store.sealer, session, &mut facts)?;
        let changes = timers.into_changes();
        if facts.is_empty() {
            return Ok(());
        }
        self.store
            .writer
            .apply_change(SaveFacts {
                session: session.clone(),
                facts,
            })
            .await?;
        self.store.remember_timers(changes);
        Ok(())
    }
}

/// Seals what is secret in facts, before they are handed to the writer.
pub(in crate::store) fn seal_facts(
    sealer: &Sealer,
    session: &Life,
    facts: &mut [EventFact],
) -> Result<(), StoreError> {
    for fact in facts {
        match fact {
            EventFact::Media(media) => seal_media(sealer, media)?,
            EventFact::Poll { id, poll } => polls::seal_poll(sealer, session, id, poll)?,
            EventFact::ChatTimer { .. } | EventFact::Eventless(_) | EventFact::Vote(_) => {}
        }
    }
    Ok(())
}

struct SaveFacts {
    session: Life,
    facts: Vec<EventFact>,
}

impl StoreChange for SaveFacts {
    type Answer = ();

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<(), db::Error> {
        for fact in &self.facts {
            save_fact(connection, &self.session, fact, now).await?;
        }
        Ok(())
    }
}

/// Saves the facts of events. Returns the events that report votes, by their index, with the tally
/// of all votes so far.
pub(in crate::store) async fn save_event_facts(
    connection: &mut Connection,
    events: &[&NewEvent],
    now: Timestamp,
) -> Result<Vec<(usize, NewEvent)>, db::Error> {
    let mut counted = Vec::new();
    for (index, event) in events.iter().enumerate() {
        for fact in &event.facts {
            if let Some(body) = save_fact(connection, &event.session, fact, now).await? {
                let event = NewEvent {
                    body,
                    ..(*event).clone()
                };
                counted.push((index, event));
            }
        }
    }
    Ok(counted)
}

/// Saves one fact. Returns the envelope of the event that reports it, if the fact completes it.
async fn save_fact(
    connection: &mut Connection,
    session: &Life,
    fact: &EventFact,
    now: Timestamp,
) -> Result<Option<String>, db::Error> {
    match fact {
        EventFact::Media(media) => insert_media(connection, media, now).await?,
        EventFact::Poll { id, poll } => {
            polls::insert_poll(connection, session, id, poll, now).await?;
        }
        EventFact::ChatTimer { chats, timer } => {
            chat_timers::write_timer(connection, session, chats, *timer).await?
        }
        EventFact::Eventless(key) => {
            undelivered::insert_eventless(connection, session, key, now).await?;
        }
        EventFact::Vote(vote) => {
            let ballots = polls::record_vote(connection, session, vote).await?;
            return Ok(vote.event.as_deref().map(|event| {
                let mut event = event.clone();
                set_tally(&mut event.data, polls::tally_votes(&vote.options, &ballots));
                event.to_json()
            }));
        }
    }
    Ok(None)
}

fn set_tally(data: &mut EventData, tally: Vec<OptionTally>) {
    match data {
        EventData::PollVote(vote) => vote.change.tally = Some(tally),
        EventData::EventResponse(response) => response.change.tally = Some(tally),
        _ => {}
    }
}
