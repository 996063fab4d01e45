//! Fills the database of a gateway that is not running with events that it could have received: copies of some that it has received,
//! each with an id, a time and words of its own, and the rows of the history that belong to them.

use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use anyhow::{Context, Result, ensure};
use rusqlite::{Connection, OptionalExtension, params};
use sha2::{Digest, Sha256};

/// Every message has it.
pub const COMMON_WORD: &str = "hello";
/// About as many messages have the same rare word.
const MESSAGES_OF_A_WORD: u64 = 2_000;
/// Words of a message.
const WORDS: u64 = 8;
/// Rows of a transaction: those of a part of the full-text index.
const BATCH: u64 = 131_072;
/// How old the oldest event is.
const SPAN: Duration = Duration::from_secs(23 * 60 * 60);

/// A message that the gateway has received.
struct Pattern {
    name: String,
    session: i64,
    chat: String,
    message_chat: String,
    sender: String,
    message_id: String,
    text: String,
    body: String,
    /// The chat and the sender in the history.
    placed: (i64, String),
}

/// Lets the next event have the number after so many.
pub fn leave_room(root: &Path, events: u64) -> Result<()> {
    let database = open(root)?;
    let known = "SELECT seq FROM sqlite_sequence WHERE name = 'events'";
    let newest: Option<i64> = database.query_row(known, [], |row| row.get(0)).optional()?;
    ensure!(newest.unwrap_or_default() == 0, "it has events already");
    database.execute("DELETE FROM sqlite_sequence WHERE name = 'events'", [])?;
    let given = "INSERT INTO sqlite_sequence (name, seq) VALUES ('events', ?1)";
    database.execute(given, [i64::try_from(events)?])?;
    Ok(())
}

/// Gives it that many events, all older than those that it has.
pub fn fill(root: &Path, events: u64) -> Result<()> {
    let mut database = open(root)?;
    // A power cut would only cost this measurement.
    database.execute_batch("PRAGMA synchronous = OFF; PRAGMA cache_size = -262144")?;
    let patterns = patterns(&database)?;
    ensure!(!patterns.is_empty(), "there is nothing to copy");
    let now = SystemTime::now().duration_since(UNIX_EPOCH)?;
    let (first, words) = ((now - SPAN).as_millis() as i64, different_words(events));
    let span = SPAN.as_millis() as u64;
    for batch in (0..=events).step_by(BATCH as usize) {
        let transaction = database.transaction()?;
        {
            let mut event = transaction.prepare(
                "INSERT INTO events (seq, id, name, session, chat, message_chat, sender, message_id, type, body, created_at) \
                 VALUES (?1, ?2, ?3, ?4, ?5, ?6, ?7, ?8, 'message.received', ?9, ?10)",
            )?;
            let mut message = transaction.prepare(
                "INSERT INTO history_messages (place, chat, id, sender, at) VALUES (?1, ?2, ?3, ?4, ?5)",
            )?;
            let part = part(&transaction, i64::try_from(batch)?)?;
            let mut said = transaction.prepare(&format!(
                "INSERT INTO history_words_{part} (rowid, scope, said) VALUES (?1, ?2, ?3)"
            ))?;
            for seq in batch.max(1)..=events.min(batch + BATCH - 1) {
                let of = &patterns[(mixed(seq) % patterns.len() as u64) as usize];
                let at = first + (u128::from(span) * u128::from(seq) / u128::from(events)) as i64;
                let id = format!("FILL{seq:016X}");
                let text = text(seq, words);
                let body = of
                    .body
                    .replace(&of.message_id, &id)
                    .replace(&of.text, &text);
                let place = i64::try_from(seq)?;
                event.execute(params![
                    place,
                    format!("evt_{seq:026}"),
                    of.name,
                    of.session,
                    of.chat,
                    of.message_chat,
                    of.sender,
                    id,
                    body,
                    at
                ])?;
                let (chat, sender) = &of.placed;
                message.execute(params![place, chat, id, sender, at])?;
                let scope = format!("{} c{chat}", scope_of_session(&of.name));
                said.execute(params![place, scope, text])?;
            }
        }
        transaction.commit()?;
        eprintln!("filled {} of {events}", events.min(batch + BATCH - 1));
    }
    // At each check of the sessions, the gateway notes when they last received something, so that a start reads only the events after
    // that; this one was stopped before its first check.
    database.execute_batch(
        "INSERT INTO received (session, last_at, seq) \
         SELECT session, max(created_at), max(seq) FROM events WHERE type = 'message.received' AND session > 0 GROUP BY session \
         ON CONFLICT (session) DO UPDATE SET last_at = excluded.last_at, seq = excluded.seq",
    )?;
    database.execute_batch("PRAGMA wal_checkpoint(TRUNCATE)")?;
    database.close().map_err(|(_, error)| error)?;
    // So that what comes after does not wait for all of it.
    std::fs::File::open(file(root))?.sync_all()?;
    Ok(())
}

/// A word of about `MESSAGES_OF_A_WORD` messages.
pub fn rare_word(events: u64) -> String {
    word(different_words(events) / 2)
}

fn different_words(events: u64) -> u64 {
    (events * WORDS / MESSAGES_OF_A_WORD).max(2)
}

fn word(number: u64) -> String {
    format!("word{number}")
}

fn text(seq: u64, words: u64) -> String {
    let others = (0..WORDS).map(|place| word(mixed(seq * WORDS + place) % words));
    let others: Vec<_> = others.collect();
    format!("{COMMON_WORD} {}", others.join(" "))
}

/// A number that looks random, always the same.
fn mixed(number: u64) -> u64 {
    let number = (number ^ (number >> 31)).wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    number ^ (number >> 27)
}

/// Returns the number of the part of the full-text index that begins with this place.
fn part(database: &Connection, first: i64) -> Result<i64> {
    let known = "SELECT number FROM history_word_parts WHERE first = ?1";
    let known: Option<i64> = database
        .query_row(known, [first], |row| row.get(0))
        .optional()?;
    if let Some(number) = known {
        return Ok(number);
    }
    let added = "INSERT INTO history_word_parts (first, last) VALUES (?1, ?2) RETURNING number";
    let last = first + BATCH as i64 - 1;
    let number = database.query_row(added, [first, last], |row| row.get(0))?;
    let like = "SELECT name, sql FROM sqlite_schema WHERE sql LIKE 'CREATE VIRTUAL TABLE%history_words_%' LIMIT 1";
    let (name, sql): (String, String) =
        database.query_row(like, [], |row| Ok((row.get(0)?, row.get(1)?)))?;
    database.execute_batch(&sql.replace(&name, &format!("history_words_{number}")))?;
    Ok(number)
}

/// As the gateway restricts a search to a session.
fn scope_of_session(name: &str) -> String {
    let digest = Sha256::digest(name);
    let digits: String = digest[..8]
        .iter()
        .map(|byte| format!("{byte:02x}"))
        .collect();
    format!("s{digits}")
}

fn patterns(database: &Connection) -> Result<Vec<Pattern>> {
    let mut statement = database.prepare(
        "SELECT e.name, e.session, e.chat, e.message_chat, e.sender, e.message_id, e.body, m.chat, m.sender \
         FROM events e JOIN history_messages m ON m.place = e.seq WHERE e.type = 'message.received'",
    )?;
    let mut rows = statement.query([])?;
    let mut patterns = Vec::new();
    while let Some(row) = rows.next()? {
        let body: String = row.get(6)?;
        let parsed: serde_json::Value = serde_json::from_str(&body)?;
        let text = parsed["data"]["text"]["body"].as_str();
        let text = text.context("a received message has a text")?.to_owned();
        patterns.push(Pattern {
            name: row.get(0)?,
            session: row.get(1)?,
            chat: row.get(2)?,
            message_chat: row.get(3)?,
            sender: row.get(4)?,
            message_id: row.get(5)?,
            text,
            body,
            placed: (row.get(7)?, row.get(8)?),
        });
    }
    Ok(patterns)
}

fn file(root: &Path) -> std::path::PathBuf {
    root.join("wapi.db")
}

fn open(root: &Path) -> Result<Connection> {
    let path = file(root);
    Connection::open(&path).with_context(|| format!("opening {}", path.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rare_word_is_in_about_as_many_messages_as_it_should_be() {
        let (events, words) = (200_000, different_words(200_000));
        let rare = rare_word(events);
        let with = (1..=events).filter(|&seq| text(seq, words).split(' ').any(|word| word == rare));
        let with = with.count() as u64;
        assert!(
            (MESSAGES_OF_A_WORD * 9 / 10..=MESSAGES_OF_A_WORD * 11 / 10).contains(&with),
            "{with}"
        );
    }
}
