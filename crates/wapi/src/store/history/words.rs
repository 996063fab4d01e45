//! The full-text index: the words of messages, in parts by place.
//!
//! FTS5 gathers all messages that have a word that begins so before it returns the first of them: in
//! one index, a page of a common word would cost as much as all messages of all time. So each
//! [`PART`] places have an index of their own, and a search looks into the newest first until its page
//! is full. A part whose messages are all gone is dropped, and their words with it.

use sha2::{Digest, Sha256};

use super::batch::rows_to_json;
use crate::model::ids::to_hex;
use crate::store::db::{self, Connection};

/// Places in a part. A search for a rare word looks into all parts, and one for a common word gathers
/// all that its part has: ADR 135 has what that takes.
const PART: i64 = 131_072;

/// A part: the index of the messages from the place `first` to the place `last`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct WordPart {
    number: i64,
    first: i64,
    last: i64,
}

db::from_row!(WordPart {
    number,
    first,
    last
});

/// The searchable words of a message: its row id, its scope, and the words.
pub(super) type MessageWords = (i64, String, String);

impl WordPart {
    /// Returns the name of its table.
    pub(super) fn table(self) -> String {
        format!("history_words_{}", self.number)
    }
}

/// Returns the parts that may have messages before a place, the newest first.
pub(super) async fn parts_before(
    connection: &mut Connection,
    place: i64,
) -> Result<Vec<WordPart>, db::Error> {
    let sql =
        "SELECT number, first, last FROM history_word_parts WHERE first < $1 ORDER BY first DESC";
    db::query_as(sql).bind(place).fetch_all(connection).await
}

/// Inserts the words of messages that have none yet.
pub(super) async fn insert(
    connection: &mut Connection,
    mut words: Vec<MessageWords>,
) -> Result<(), db::Error> {
    words.sort_unstable_by_key(|(place, ..)| *place);
    while let Some((place, ..)) = words.first() {
        let part = find_or_create(connection, *place).await?;
        let others = words.split_off(words.partition_point(|(place, ..)| *place <= part.last));
        let sql = format!(
            "INSERT INTO {} (rowid, scope, said) SELECT value ->> 0, value ->> 1, value ->> 2 FROM json_each($1)",
            part.table()
        );
        let query = db::query(sql).bind(rows_to_json(words));
        query.execute(&mut *connection).await?;
        words = others;
    }
    Ok(())
}

/// Replaces the words of messages.
pub(super) async fn replace(
    connection: &mut Connection,
    words: Vec<MessageWords>,
) -> Result<(), db::Error> {
    let row_ids: Vec<i64> = words.iter().map(|(row_id, ..)| *row_id).collect();
    remove(connection, &row_ids).await?;
    insert(connection, words).await
}

/// Removes the words of these messages, and the parts in which no message is left: messages that are to go
/// have to be gone before.
pub(super) async fn remove(connection: &mut Connection, row_ids: &[i64]) -> Result<(), db::Error> {
    let mut row_ids = row_ids.to_vec();
    row_ids.sort_unstable();
    let mut rest = row_ids.as_slice();
    while let Some(place) = rest.first() {
        let Some(part) = find(connection, *place).await? else {
            rest = &rest[1..];
            continue;
        };
        let (removed, others) = rest.split_at(rest.partition_point(|place| *place <= part.last));
        rest = others;
        let sql =
            "SELECT EXISTS (SELECT 1 FROM history_messages WHERE place >= $1 AND place <= $2)";
        let query = db::query_scalar(sql).bind(part.first).bind(part.last);
        if query.fetch_one(&mut *connection).await? {
            let sql = format!(
                "DELETE FROM {} WHERE rowid IN (SELECT value FROM json_each($1))",
                part.table()
            );
            let query = db::query(sql).bind(rows_to_json(removed));
            query.execute(&mut *connection).await?;
        } else {
            drop_part(connection, part).await?;
        }
    }
    Ok(())
}

/// Returns the part of a place, if there is one.
async fn find(connection: &mut Connection, place: i64) -> Result<Option<WordPart>, db::Error> {
    let sql = "SELECT number, first, last FROM history_word_parts WHERE first <= $1 ORDER BY first DESC LIMIT 1";
    let part: Option<WordPart> = db::query_as(sql)
        .bind(place)
        .fetch_optional(connection)
        .await?;
    Ok(part.filter(|part| part.last >= place))
}

/// Returns the part of a place. A new one takes those of the [`PART`] places around it that no other part
/// has, so that a place never changes its part.
async fn find_or_create(connection: &mut Connection, place: i64) -> Result<WordPart, db::Error> {
    if let Some(part) = find(connection, place).await? {
        return Ok(part);
    }
    let first = place.div_euclid(PART) * PART;
    let sql = "INSERT INTO history_word_parts (first, last) SELECT \
               max($2, COALESCE((SELECT max(last) + 1 FROM history_word_parts WHERE last < $1), $2)), \
               min($3, COALESCE((SELECT min(first) - 1 FROM history_word_parts WHERE first > $1), $3)) \
               RETURNING number, first, last";
    let query = db::query_as(sql)
        .bind(place)
        .bind(first)
        .bind(first + (PART - 1));
    let part: WordPart = query.fetch_one(&mut *connection).await?;
    // As in the migration that made the first. In SQLite, `ROLLBACK TO` fails if a virtual table was made
    // and written to since the savepoint; the rollback of a whole transaction does not.
    let sql = format!(
        "CREATE VIRTUAL TABLE {} USING fts5 (scope, said, content = '', contentless_delete = 1, \
         tokenize = \"unicode61 remove_diacritics 2 categories 'L* M* N*'\")",
        part.table()
    );
    connection.execute(sql).await?;
    Ok(part)
}

async fn drop_part(connection: &mut Connection, part: WordPart) -> Result<(), db::Error> {
    connection
        .execute(format!("DROP TABLE {}", part.table()))
        .await?;
    let query = db::query("DELETE FROM history_word_parts WHERE number = $1").bind(part.number);
    query.execute(connection).await.map(drop)
}

/// Returns the terms that restrict a search to a session and a chat.
pub(super) fn scope(session: &str, chat: i64) -> String {
    format!("{} c{chat}", scope_of_session(session))
}

/// Session names may contain anything; this is a single term. It is the same for all lives of a
/// name, as it was before lives were distinguished.
pub(super) fn scope_of_session(name: &str) -> String {
    format!("s{}", to_hex(&Sha256::digest(name)[..8]))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::db::LiteFile;
    use crate::store::migrations;

    #[tokio::test]
    async fn a_part_takes_what_the_first_one_has_not() {
        let mut connection = LiteFile::in_memory().connect().await.unwrap();
        migrations::run_migrations(&mut connection).await.unwrap();
        // As if there had been an index of these places before there were parts.
        let former = "UPDATE history_word_parts SET first = -700, last = 900";
        connection.execute(former).await.unwrap();
        for (place, first, last) in [
            (901, 901, PART - 1),
            (-701, -PART, -701),
            (-PART - 1, -2 * PART, -PART - 1),
            (5 * PART, 5 * PART, 6 * PART - 1),
            (2 * PART - 1, PART, 2 * PART - 1),
            (-700, -700, 900),
            (900, -700, 900),
            (902, 901, PART - 1),
        ] {
            let part = find_or_create(&mut connection, place).await.unwrap();
            assert_eq!((part.first, part.last), (first, last), "{place}");
        }
        let firsts = parts_before(&mut connection, PART).await.unwrap();
        let firsts: Vec<i64> = firsts.iter().map(|part| part.first).collect();
        assert_eq!(firsts, [901, -700, -PART, -2 * PART]);
    }
}
