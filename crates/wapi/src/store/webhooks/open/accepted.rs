//! Deliveries that were accepted at their first attempt: a few bytes each in the rows of `accepted`,
//! where most deliveries end.
//!
//! A row holds the deliveries of one endpoint that were accepted within a moment and whose ids are in
//! one bucket. Each is three varints: its id and its event's position, as differences to the one
//! before, and how long before the row's time it was accepted, in milliseconds.

use std::collections::BTreeMap;

use jiff::Timestamp;

use crate::store::db::{self, Connection};
use crate::store::to_timestamp;
use crate::store::writer::StoreChange;

/// A bucket has 2 to the power of this many ids.
const BUCKET_BITS: u32 = 10;
/// Rows that are removed in one transaction.
const REMOVE_BATCH: i64 = 500;

/// A delivery without a row that its endpoint has accepted.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(in crate::store) struct AcceptedDelivery {
    pub endpoint: String,
    pub delivery: i64,
    /// The position of its event.
    pub seq: i64,
    pub at: Timestamp,
}

/// Saves deliveries that were accepted.
pub(in crate::store) async fn save_accepted(
    connection: &mut Connection,
    accepted: &[AcceptedDelivery],
) -> Result<(), db::Error> {
    let mut rows: BTreeMap<(&str, i64), Vec<&AcceptedDelivery>> = BTreeMap::new();
    for it in accepted {
        rows.entry((&it.endpoint, bucket(it.delivery)))
            .or_default()
            .push(it);
    }
    for ((endpoint, bucket), mut row) in rows {
        row.sort_by_key(|it| it.delivery);
        let at = row.iter().map(|it| it.at.as_millisecond()).max();
        let at = at.unwrap_or_default();
        let sql = "INSERT INTO accepted (endpoint, bucket, first_id, at, entries) VALUES ($1, $2, $3, $4, $5)";
        db::query(sql)
            .bind(endpoint)
            .bind(bucket)
            .bind(row[0].delivery)
            .bind(at)
            .bind(encode(&row, at))
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Returns the accepted deliveries to an endpoint with ids from `from` to before `to`, in no order.
pub(in crate::store) async fn load_accepted(
    connection: &mut Connection,
    endpoint: &str,
    (from, to): (i64, i64),
) -> Result<Vec<AcceptedDelivery>, db::Error> {
    let sql = "SELECT first_id, at, entries FROM accepted WHERE endpoint = $1 AND bucket >= $2 AND bucket <= $3";
    let query = db::query(sql)
        .bind(endpoint)
        .bind(bucket(from))
        .bind(bucket(to.saturating_sub(1)));
    let rows = query.fetch_all(connection).await?;
    let decoded = rows.iter().flat_map(|row| {
        let (first, at) = (row.get("first_id"), row.get("at"));
        decode(endpoint, first, at, row.get("entries"))
    });
    let in_range = decoded.filter(|it| (from..to).contains(&it.delivery));
    Ok(in_range.collect())
}

fn bucket(delivery: i64) -> i64 {
    delivery >> BUCKET_BITS
}

fn encode(row: &[&AcceptedDelivery], at: i64) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(row.len() * 4);
    let (mut id, mut seq) = (row[0].delivery, 0);
    for it in row {
        // The positions do not fall while the ids rise: deliveries get their ids in the log's order.
        for number in [it.delivery - id, it.seq - seq, at - it.at.as_millisecond()] {
            push_varint(&mut bytes, u64::try_from(number).unwrap_or_default());
        }
        (id, seq) = (it.delivery, it.seq);
    }
    bytes
}

fn decode(endpoint: &str, first: i64, at: i64, mut bytes: &[u8]) -> Vec<AcceptedDelivery> {
    let (mut found, mut id, mut seq) = (Vec::new(), first, 0);
    while let (Some(further), Some(ahead), Some(before)) = (
        take_varint(&mut bytes),
        take_varint(&mut bytes),
        take_varint(&mut bytes),
    ) {
        id += further;
        seq += ahead;
        found.push(AcceptedDelivery {
            endpoint: endpoint.to_owned(),
            delivery: id,
            seq,
            at: to_timestamp(at - before),
        });
    }
    found
}

/// Seven bits a byte, the lowest first; the highest bit says that more follow.
fn push_varint(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push(number as u8 | 0x80);
        number >>= 7;
    }
    bytes.push(number as u8);
}

fn take_varint(bytes: &mut &[u8]) -> Option<i64> {
    let mut number = 0;
    for shift in (0..63).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        number |= i64::from(byte & 0x7f) << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

/// Removes some of what was accepted before a time; returns whether there is more.
pub(in crate::store) struct RemoveAccepted(pub Timestamp);

impl StoreChange for RemoveAccepted {
    type Answer = bool;

    fn concerns_deliveries(_: &bool) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<bool, db::Error> {
        let sql = "DELETE FROM accepted WHERE (endpoint, bucket, first_id) IN \
                   (SELECT endpoint, bucket, first_id FROM accepted WHERE at < $1 LIMIT $2)";
        let query = db::query(sql)
            .bind(self.0.as_millisecond())
            .bind(REMOVE_BATCH);
        let removed = query.execute(connection).await?.rows_affected();
        Ok(i64::try_from(removed).is_ok_and(|removed| removed == REMOVE_BATCH))
    }
}

#[cfg(test)]
mod tests {
    use crate::store::webhooks::open::accepted::*;

    #[test]
    fn what_is_packed_comes_out_again() {
        let made = |delivery, seq, at| AcceptedDelivery {
            endpoint: "hook".to_owned(),
            delivery,
            seq,
            at: to_timestamp(at),
        };
        let row = [
            made(1_030, 7, 1_000),
            made(1_031, 7, 1_250),
            made(1_500, 4_000_000_000, 1_001),
        ];
        let bytes = encode(&row.iter().collect::<Vec<_>>(), 1_250);
        assert_eq!(decode("hook", 1_030, 1_250, &bytes), row);
        assert!(bytes.len() <= 3 * 8, "{} bytes", bytes.len());
    }

    #[test]
    fn bytes_that_break_off_give_what_is_whole() {
        let mut bytes = Vec::new();
        for number in [0, 300, 2, 1] {
            push_varint(&mut bytes, number);
        }
        assert_eq!(decode("hook", 5, 10, &bytes).len(), 1);
        assert_eq!(decode("hook", 5, 10, &[0xff; 40]), []);
    }
}
