//! Outcomes of sent messages: WhatsApp's answer to each, and the receipts of each recipient.

use std::collections::HashMap;

use jiff::Timestamp;
use sqlx::sqlite::{Sqlite, SqliteConnection, SqliteRow};
use sqlx::{QueryBuilder, Row};

use super::events::{self, ROWS};
use super::messages::Place;
use super::writer::Change;
use super::{Life, NewEvent, Store, StoreError, polls};
use crate::event::{Event, EventData, Failure, MessageKey, MessageUpdate, Person};

/// The known outcome of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Verdict {
    /// WhatsApp accepted it.
    Sent { at: Timestamp },
    /// It has not left, or WhatsApp refused it; it is not tried again.
    Failed(Failure),
    /// It was cancelled before it left.
    Cancelled,
    /// It may have left, and WhatsApp has not answered; the gateway asks again.
    InDoubt,
    /// The same, but nothing is left that could ask.
    LeftInDoubt,
}

/// The status of a message that was cancelled before it left.
pub const CANCELLED: &str = "cancelled";

impl Verdict {
    const fn status(&self) -> &'static str {
        match self {
            Self::Sent { .. } => "sent",
            Self::Failed(_) => "failed",
            Self::Cancelled => CANCELLED,
            Self::InDoubt | Self::LeftInDoubt => "unknown",
        }
    }
}

/// The outcome of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Judged {
    pub place: Place,
    pub session: Life,
    pub id: String,
    pub chat: String,
    pub verdict: Verdict,
    /// The account's own address, if the message is a vote or an event response, which counts once
    /// it is sent.
    pub voter: Option<String>,
}

/// Progress of a message at a recipient; later kinds include earlier ones.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum ReceiptKind {
    Delivered,
    Read,
    Played,
}

/// A receipt from a recipient for one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Receipt {
    pub session: Life,
    pub id: String,
    /// In a one-to-one chat the recipient is the chat itself, whatever their address here.
    pub from: Person,
    /// The chat is not a one-to-one chat.
    pub is_one_of_many: bool,
    pub kind: ReceiptKind,
    pub at: Timestamp,
}

/// Outcomes and receipts to record together, in order.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Outcomes {
    pub judged: Vec<Judged>,
    pub receipts: Vec<Receipt>,
}

impl Store {
    /// Records outcomes with their events and the deliveries of those. Known ones, and those of
    /// messages that were not sent through this gateway, change nothing; a settled message stays as
    /// it is.
    pub async fn record_outcomes(&self, outcomes: Outcomes) -> Result<(), StoreError> {
        self.writer.change(outcomes).await.map(drop)
    }
}

impl Change for Outcomes {
    /// Whether an event is delivered to any endpoint.
    type Answer = bool;

    fn moves_lanes(is_told: &bool) -> bool {
        *is_told
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<bool, sqlx::Error> {
        let mut events = Vec::with_capacity(self.judged.len() + self.receipts.len());
        for judged in self.judged.chunks(ROWS) {
            judge(connection, judged, now).await?;
        }
        for Judged {
            session,
            place,
            verdict,
            voter,
            ..
        } in &self.judged
        {
            if let (Verdict::Sent { .. }, Some(voter)) = (verdict, voter) {
                polls::count_own(connection, session, *place, voter, now).await?;
            }
        }
        events.extend(self.judged.iter().filter_map(|judged| told_of(judged, now)));
        for receipts in self.receipts.chunks(ROWS) {
            events.extend(receive(connection, receipts, now).await?);
        }
        if events.is_empty() {
            return Ok(false);
        }
        events::record(connection, &events.iter().collect::<Vec<_>>(), now).await
    }
}

async fn judge(
    connection: &mut SqliteConnection,
    judged: &[Judged],
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let mut sql = QueryBuilder::<Sqlite>::new(
        "UPDATE messages SET status = v.column2, sent_at = v.column3, error_code = v.column4, error = v.column5, \
         settled_at = v.column6 FROM (",
    );
    sql.push_values(judged, |mut row, Judged { place, verdict, .. }| {
        let sent_at = if let Verdict::Sent { at } = verdict {
            Some(at.as_millisecond())
        } else {
            None
        };
        let failure = if let Verdict::Failed(failure) = verdict {
            Some(failure)
        } else {
            None
        };
        let settled_at = (*verdict != Verdict::InDoubt).then_some(now.as_millisecond());
        row.push_bind(place.0)
            .push_bind(verdict.status())
            .push_bind(sent_at);
        row.push_bind(failure.map(|failure| &failure.code))
            .push_bind(failure.map(|failure| &failure.detail));
        row.push_bind(settled_at);
    });
    sql.push(") AS v WHERE messages.place = v.column1 AND messages.settled_at IS NULL");
    sql.build().execute(connection).await?;
    Ok(())
}

/// Returns the event of an outcome; an unconfirmed one has none. For an outcome that was recorded
/// before, the event already exists.
fn told_of(judged: &Judged, now: Timestamp) -> Option<NewEvent> {
    let update = |timestamp, error| MessageUpdate {
        session: judged.session.name().to_owned(),
        id: judged.id.clone(),
        chat: judged.chat.clone(),
        timestamp,
        recipient: None,
        error,
    };
    let data = match &judged.verdict {
        Verdict::Sent { at } => EventData::MessageSent(update(*at, None)),
        Verdict::Failed(failure) => EventData::MessageFailed(update(now, Some(failure.clone()))),
        Verdict::Cancelled => EventData::MessageCancelled(update(now, None)),
        Verdict::InDoubt | Verdict::LeftInDoubt => return None,
    };
    // The account itself; no other sender is empty.
    let key = MessageKey {
        chat: judged.chat.clone(),
        sender: String::new(),
        id: judged.id.clone(),
    };
    Some(NewEvent::of_message(
        &judged.session,
        &judged.chat,
        key,
        &Event::new(data, now),
    ))
}

/// Saves the receipts that are new, and returns their events.
async fn receive(
    connection: &mut SqliteConnection,
    receipts: &[Receipt],
    now: Timestamp,
) -> Result<Vec<NewEvent>, sqlx::Error> {
    let known = known(connection, receipts).await?;
    let of_ours: Vec<Ours<'_>> = receipts
        .iter()
        .filter_map(|receipt| {
            let (place, chat) = known.get(&(receipt.session.id(), receipt.id.clone()))?;
            Some(Ours {
                place: *place,
                recipient: recipient(chat, receipt),
                chat,
                receipt,
            })
        })
        .collect();
    let mut events = Vec::with_capacity(of_ours.len());
    for kind in [
        ReceiptKind::Delivered,
        ReceiptKind::Read,
        ReceiptKind::Played,
    ] {
        let mut news: HashMap<(Place, &str), &Ours<'_>> = HashMap::new();
        for ours in of_ours.iter().filter(|ours| ours.receipt.kind == kind) {
            // One statement must not update a row twice.
            news.entry((ours.place, ours.recipient.id.as_str()))
                .or_insert(ours);
        }
        if !news.is_empty() {
            let kept = keep(connection, kind, &news).await?;
            events.extend(
                kept.iter()
                    .filter_map(|key| news.get(&(key.0, key.1.as_str())))
                    .map(|ours| ours.event(now)),
            );
        }
    }
    Ok(events)
}

/// A receipt for one of our own messages.
struct Ours<'a> {
    place: Place,
    chat: &'a str,
    recipient: Person,
    receipt: &'a Receipt,
}

impl Ours<'_> {
    fn event(&self, now: Timestamp) -> NewEvent {
        let Receipt {
            session,
            id,
            kind,
            at,
            ..
        } = self.receipt;
        let update = MessageUpdate {
            session: session.name().to_owned(),
            id: id.clone(),
            chat: self.chat.to_owned(),
            timestamp: *at,
            recipient: Some(self.recipient.clone()),
            error: None,
        };
        let data = match kind {
            ReceiptKind::Delivered => EventData::MessageDelivered(update),
            ReceiptKind::Read => EventData::MessageRead(update),
            ReceiptKind::Played => EventData::MessagePlayed(update),
        };
        let key = MessageKey {
            chat: self.chat.to_owned(),
            sender: self.recipient.id.clone(),
            id: self.receipt.id.clone(),
        };
        NewEvent::of_message(session, self.chat, key, &Event::new(data, now))
    }
}

/// In a one-to-one chat only one person can send a receipt; their address may differ from the one
/// the caller used.
fn recipient(chat: &str, receipt: &Receipt) -> Person {
    let Receipt {
        from,
        is_one_of_many,
        ..
    } = receipt;
    if *is_one_of_many {
        from.clone()
    } else {
        Person {
            id: chat.to_owned(),
            ..from.clone()
        }
    }
}

type ByName = HashMap<(i64, String), (Place, String)>;

/// Returns sequence number and chat of the messages that were sent through this gateway.
async fn known(
    connection: &mut SqliteConnection,
    receipts: &[Receipt],
) -> Result<ByName, sqlx::Error> {
    let mut sql = QueryBuilder::<Sqlite>::new(
        "SELECT place, session, id, chat FROM messages WHERE (session, id) IN (",
    );
    sql.push_values(receipts, |mut row, receipt| {
        row.push_bind(receipt.session.id()).push_bind(&receipt.id);
    });
    let rows = sql.push(")").build().fetch_all(connection).await?;
    let named = |row: &SqliteRow| {
        (
            (row.get("session"), row.get("id")),
            (Place(row.get("place")), row.get("chat")),
        )
    };
    Ok(rows.iter().map(named).collect())
}

/// Saves new receipts and never removes any; returns the message and the recipient of each.
async fn keep(
    connection: &mut SqliteConnection,
    kind: ReceiptKind,
    news: &HashMap<(Place, &str), &Ours<'_>>,
) -> Result<Vec<(Place, String)>, sqlx::Error> {
    // A read receipt implies delivery, and a played receipt implies reading; their times do not
    // always come.
    let (columns, conflict) = match kind {
        ReceiptKind::Delivered => ("delivered_at", "DO NOTHING"),
        ReceiptKind::Read => (
            "delivered_at, read_at",
            "(message, recipient) DO UPDATE SET read_at = excluded.read_at WHERE receipts.read_at IS NULL",
        ),
        ReceiptKind::Played => (
            "delivered_at, read_at, played_at",
            "(message, recipient) DO UPDATE SET read_at = COALESCE(receipts.read_at, excluded.read_at), \
             played_at = excluded.played_at WHERE receipts.played_at IS NULL",
        ),
    };
    let mut sql = QueryBuilder::<Sqlite>::new("INSERT INTO receipts (message, recipient, ");
    sql.push(columns).push(") ");
    sql.push_values(news.values(), |mut row, ours| {
        row.push_bind(ours.place.0).push_bind(&ours.recipient.id);
        for _ in columns.split(',') {
            row.push_bind(ours.receipt.at.as_millisecond());
        }
    });
    let conflict = if kind == ReceiptKind::Delivered {
        " ON CONFLICT "
    } else {
        " ON CONFLICT"
    }
    .to_owned()
        + conflict;
    let rows = sql
        .push(conflict)
        .push(" RETURNING message, recipient")
        .build()
        .fetch_all(connection)
        .await?;
    Ok(rows
        .iter()
        .map(|row| (Place(row.get("message")), row.get("recipient")))
        .collect())
}
