//! Outcomes of sent messages: WhatsApp's answer to each, and the receipts of each recipient.

use std::collections::HashMap;
use std::sync::Arc;

use jiff::Timestamp;

use super::messages::{MessageSeq, QueuedMessage};
use crate::model::event::{Event, EventData, MessageKey, MessageUpdate, Person};
use crate::model::send_failure::SendFailure;
use crate::store::db::{self, Connection, QueryBuilder, Row};
use crate::store::events::log::{self, MAX_ROWS};
use crate::store::inbound::polls;
use crate::store::writer::StoreChange;
use crate::store::{Life, NewEvent, OutboxStore, StoreError};

/// The known outcome of a message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SendOutcome {
    /// WhatsApp accepted it.
    Sent { at: Timestamp },
    /// It has not left, or WhatsApp refused it; it is not tried again.
    Failed(SendFailure),
    /// It was cancelled before it left.
    Cancelled,
    /// It may have left, and WhatsApp has not answered; the gateway asks again.
    Unconfirmed,
    /// The same, but nothing is left that could ask.
    LeftUnconfirmed,
}

/// The status of a message that was cancelled before it left.
pub const CANCELLED: &str = "cancelled";

impl SendOutcome {
    /// Whether the message left, or may have.
    pub const fn may_have_left(&self) -> bool {
        match self {
            Self::Sent { .. } | Self::Unconfirmed | Self::LeftUnconfirmed => true,
            Self::Failed(failure) => failure.may_have_left(),
            Self::Cancelled => false,
        }
    }

    const fn status_text(&self) -> &'static str {
        match self {
            Self::Sent { .. } => "sent",
            Self::Failed(_) => "failed",
            Self::Cancelled => CANCELLED,
            Self::Unconfirmed | Self::LeftUnconfirmed => "unknown",
        }
    }
}

/// The outcome of one message.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MessageOutcome {
    pub message: Arc<QueuedMessage>,
    pub outcome: SendOutcome,
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
pub struct OutcomeBatch {
    pub outcomes: Vec<MessageOutcome>,
    pub receipts: Vec<Receipt>,
}

impl OutboxStore<'_> {
    /// Records outcomes with their events. Known ones, and those of
    /// messages that were not sent through this gateway, change nothing; a settled message stays as
    /// it is.
    pub async fn record_outcomes(self, outcomes: OutcomeBatch) -> Result<(), StoreError> {
        self.store.writer.apply_change(outcomes).await.map(drop)
    }
}

impl StoreChange for OutcomeBatch {
    /// Whether an event is new.
    type Answer = bool;

    fn concerns_deliveries(_: &bool) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<bool, db::Error> {
        let mut events = Vec::with_capacity(self.outcomes.len() + self.receipts.len());
        for outcomes in self.outcomes.chunks(MAX_ROWS) {
            update_statuses(connection, outcomes, now).await?;
        }
        for MessageOutcome {
            message,
            outcome,
            voter,
        } in &self.outcomes
        {
            if let (SendOutcome::Sent { .. }, Some(voter)) = (outcome, voter) {
                polls::record_own_vote(connection, &message.session, message.seq, voter, now)
                    .await?;
            }
        }
        events.extend(
            self.outcomes
                .iter()
                .filter_map(|outcome| outcome_event(outcome, now)),
        );
        for receipts in self.receipts.chunks(MAX_ROWS) {
            events.extend(save_receipts(connection, receipts, now).await?);
        }
        if events.is_empty() {
            return Ok(false);
        }
        log::record_events(connection, &events.iter().collect::<Vec<_>>(), now).await
    }
}

async fn update_statuses(
    connection: &mut Connection,
    outcomes: &[MessageOutcome],
    now: Timestamp,
) -> Result<(), db::Error> {
    let mut sql = QueryBuilder::new(
        "UPDATE messages SET status = v.column2, sent_at = v.column3, error_code = v.column4, error = v.column5, \
         settled_at = v.column6 FROM (",
    );
    sql.push_values(
        outcomes,
        |mut row,
         MessageOutcome {
             message, outcome, ..
         }| {
            let sent_at = if let SendOutcome::Sent { at } = outcome {
                Some(at.as_millisecond())
            } else {
                None
            };
            let failure = if let SendOutcome::Failed(failure) = outcome {
                Some(failure)
            } else {
                None
            };
            let settled_at = (*outcome != SendOutcome::Unconfirmed).then_some(now.as_millisecond());
            row.push_bind(message.seq.0)
                .push_bind(outcome.status_text())
                .push_bind(sent_at);
            row.push_bind(failure.map(SendFailure::code))
                .push_bind(failure.map(SendFailure::detail));
            row.push_bind(settled_at);
        },
    );
    sql.push(") AS v WHERE messages.place = v.column1 AND messages.settled_at IS NULL");
    sql.build().execute(connection).await?;
    Ok(())
}

/// Returns the event of an outcome; an unconfirmed one has none. For an outcome that was recorded
/// before, the event already exists.
fn outcome_event(outcome: &MessageOutcome, now: Timestamp) -> Option<NewEvent> {
    let (message, chat) = (&outcome.message, outcome.message.to.to_string());
    let update = |timestamp, error| MessageUpdate {
        session: message.session.name().to_owned(),
        id: message.id.clone(),
        chat: chat.clone(),
        timestamp,
        recipient: None,
        error,
    };
    let data = match &outcome.outcome {
        SendOutcome::Sent { at } => EventData::MessageSent(update(*at, None)),
        SendOutcome::Failed(failure) => {
            EventData::MessageFailed(update(now, Some(failure.clone())))
        }
        SendOutcome::Cancelled => EventData::MessageCancelled(update(now, None)),
        SendOutcome::Unconfirmed | SendOutcome::LeftUnconfirmed => return None,
    };
    // The account itself; no other sender is empty.
    let key = MessageKey {
        chat: chat.clone(),
        sender: String::new(),
        id: message.id.clone(),
    };
    Some(NewEvent::for_message(
        &message.session,
        &chat,
        key,
        &Event::new(data, now),
    ))
}

/// Saves the receipts that are new, and returns their events.
async fn save_receipts(
    connection: &mut Connection,
    receipts: &[Receipt],
    now: Timestamp,
) -> Result<Vec<NewEvent>, db::Error> {
    let known = find_messages(connection, receipts).await?;
    let of_ours: Vec<OwnReceipt<'_>> = receipts
        .iter()
        .filter_map(|receipt| {
            let (seq, chat) = known.get(&(receipt.session.id(), receipt.id.clone()))?;
            Some(OwnReceipt {
                seq: *seq,
                recipient: receipt_recipient(chat, receipt),
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
        let mut new_receipts: HashMap<(MessageSeq, &str), &OwnReceipt<'_>> = HashMap::new();
        for ours in of_ours.iter().filter(|ours| ours.receipt.kind == kind) {
            // One statement must not update a row twice.
            new_receipts
                .entry((ours.seq, ours.recipient.id.as_str()))
                .or_insert(ours);
        }
        if !new_receipts.is_empty() {
            let kept = insert_receipts(connection, kind, &new_receipts).await?;
            events.extend(
                kept.iter()
                    .filter_map(|key| new_receipts.get(&(key.0, key.1.as_str())))
                    .map(|ours| ours.to_event(now)),
            );
        }
    }
    Ok(events)
}

/// A receipt for one of our own messages.
struct OwnReceipt<'a> {
    seq: MessageSeq,
    chat: &'a str,
    recipient: Person,
    receipt: &'a Receipt,
}

impl OwnReceipt<'_> {
    fn to_event(&self, now: Timestamp) -> NewEvent {
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
        NewEvent::for_message(session, self.chat, key, &Event::new(data, now))
    }
}

/// In a one-to-one chat only one person can send a receipt; their address may differ from the one
/// the caller used.
fn receipt_recipient(chat: &str, receipt: &Receipt) -> Person {
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

type MessagesById = HashMap<(i64, String), (MessageSeq, String)>;

/// Returns sequence number and chat of the messages that were sent through this gateway.
async fn find_messages(
    connection: &mut Connection,
    receipts: &[Receipt],
) -> Result<MessagesById, db::Error> {
    let mut sql =
        QueryBuilder::new("SELECT place, session, id, chat FROM messages WHERE (session, id) IN (");
    sql.push_values(receipts, |mut row, receipt| {
        row.push_bind(receipt.session.id()).push_bind(&receipt.id);
    });
    let rows = sql.push(")").build().fetch_all(connection).await?;
    let named = |row: &Row| {
        (
            (row.get("session"), row.get("id")),
            (MessageSeq(row.get("place")), row.get("chat")),
        )
    };
    Ok(rows.iter().map(named).collect())
}

/// Saves new receipts and never removes any; returns the message and the recipient of each.
async fn insert_receipts(
    connection: &mut Connection,
    kind: ReceiptKind,
    new_receipts: &HashMap<(MessageSeq, &str), &OwnReceipt<'_>>,
) -> Result<Vec<(MessageSeq, String)>, db::Error> {
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
    let mut sql = QueryBuilder::new("INSERT INTO receipts (message, recipient, ");
    sql.push(columns).push(") ");
    sql.push_values(new_receipts.values(), |mut row, ours| {
        row.push_bind(ours.seq.0).push_bind(&ours.recipient.id);
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
        .map(|row| (MessageSeq(row.get("message")), row.get("recipient")))
        .collect())
}
