//! The move of `history.db`, where earlier versions had the history, into the store: in small
//! transactions, so that a start that is interrupted goes on where it was.

use std::path::Path;

use anyhow::{Context, Result, bail, ensure};

use super::{tokenizer, words};
use crate::model::message::Message;
use crate::store::db::{self, Connection, LiteFile};
use crate::store::migrations;
use crate::system::durable_files;

/// The migrations of that file, oldest first.
const STEPS: [&str; 4] = [
    include_str!("../../../../../migrations/history/0001_start.sql"),
    include_str!("../../../../../migrations/history/0002_lives.sql"),
    include_str!("../../../../../migrations/history/0003_names.sql"),
    include_str!("../../../../../migrations/history/0004_usernames.sql"),
];
/// Messages in a transaction.
const AT_ONCE: u32 = 1_000;
/// Messages between two lines of the log.
const REPORT_EVERY: u64 = 100_000;
/// How far the move is once everything is moved, and the file is to be removed.
const ALL: i64 = i64::MAX;

/// Moves what `history.db`, beside this database, has into its tables, and removes the file. Does
/// nothing if there is none.
pub(in crate::store) async fn move_history(
    connection: &mut Connection,
    database: &Path,
) -> Result<()> {
    let file = database.with_file_name("history.db");
    let has_file = tokio::fs::try_exists(&file).await;
    let moving = match has_file.with_context(|| format!("looking for {}", file.display()))? {
        true => move_file(connection, &file).await,
        false => end_move(connection).await,
    };
    moving.with_context(|| format!("moving {} into the database", file.display()))
}

async fn move_file(connection: &mut Connection, file: &Path) -> Result<()> {
    if how_far(connection).await? != Some(ALL) && prepare_file(file).await? {
        let name = file.to_str().context("its name is not UTF-8")?;
        db::query("ATTACH DATABASE $1 AS former")
            .bind(name)
            .execute(&mut *connection)
            .await?;
        let moved = move_tables(connection).await;
        let detached = connection.execute("DETACH DATABASE former").await;
        // The first failure is the cause.
        moved?;
        detached?;
    }
    // Everything is on the disk.
    for suffix in ["-wal", "-shm", ""] {
        let part = file.with_file_name(format!("history.db{suffix}"));
        durable_files::remove_file(&part).await?;
    }
    end_move(connection).await
}

/// Returns up to which place of the file everything is moved; `None` if no move has begun.
async fn how_far(connection: &mut Connection) -> Result<Option<i64>> {
    let query = db::query_scalar("SELECT upto FROM history_moving");
    Ok(query.fetch_optional(connection).await?)
}

/// Brings the file to the last version that had one, and its log into it. Returns false if nothing was
/// ever written to it.
async fn prepare_file(file: &Path) -> Result<bool> {
    let options = LiteFile::new(file);
    let mut connection = options.connect().await?;
    let sql = "SELECT (SELECT user_version FROM pragma_user_version) AS version, (SELECT count(*) FROM sqlite_schema) AS tables, \
               EXISTS (SELECT 1 FROM sqlite_schema WHERE name = 'former_chats') AS is_halfway";
    let row = db::query(sql).fetch_one(&mut connection).await?;
    let (version, tables): (i64, i64) = (row.get("version"), row.get("tables"));
    if (version, tables) == (0, 0) {
        connection.close().await?;
        return Ok(false);
    }
    ensure!(version > 0, "another program wrote it; move the file away");
    ensure!(
        version > 1 && !row.get::<bool, _>("is_halfway"),
        "a version wrote it that did not tell the accounts of a session apart. Start the version before this one once; \
         or move the file away, and the history begins with the oldest events of the log"
    );
    migrations::run_steps(&mut connection, &STEPS).await?;
    connection.close().await?;
    Ok(true)
}

async fn move_tables(connection: &mut Connection) -> Result<()> {
    begin_move(connection).await?;
    let total: i64 = db::query_scalar("SELECT count(*) FROM former.messages")
        .fetch_one(&mut *connection)
        .await?;
    let (mut moved, mut reported) = (0, 0);
    if total > 0 {
        tracing::info!(messages = total, "moving the history into wapi.db");
    }
    loop {
        let step = move_messages(connection).await?;
        if step == 0 {
            break;
        }
        moved += step;
        if moved - reported >= REPORT_EVERY {
            reported = moved;
            tracing::info!(moved, of = total, "moving the history into wapi.db");
        }
    }
    let sql = "SELECT (SELECT count(*) FROM former.messages WHERE chat IN (SELECT place FROM history_chats)) \
               = (SELECT count(*) FROM history_messages)";
    let is_complete: bool = db::query_scalar(sql).fetch_one(&mut *connection).await?;
    ensure!(
        is_complete,
        "it has other messages than were moved; restore both from a backup"
    );
    let query = db::query("UPDATE history_moving SET upto = $1").bind(ALL);
    query.execute(connection).await?;
    Ok(())
}

/// Moves all but the messages, unless that was done, and says where their positions go. What belongs
/// to no life is not moved: nobody can see it.
async fn begin_move(connection: &mut Connection) -> Result<()> {
    if how_far(connection).await?.is_some() {
        return Ok(());
    }
    let sql = "SELECT EXISTS (SELECT 1 FROM history_chats) OR EXISTS (SELECT 1 FROM history_contacts) AS is_full, \
               (SELECT seq FROM former.progress) > COALESCE((SELECT seq FROM sqlite_sequence WHERE name = 'events'), 0) \
               AS is_ahead, EXISTS (SELECT 1 FROM former.unread) AS is_unread, \
               (SELECT count(*) FROM former.messages m JOIN former.chats c ON c.place = m.chat \
                WHERE c.session <> -1 AND c.session NOT IN (SELECT life FROM lives)) AS orphans";
    let row = db::query(sql).fetch_one(&mut *connection).await?;
    ensure!(
        !row.get::<bool, _>("is_full"),
        "the database has a history already, and this is another one; move the file away"
    );
    ensure!(
        !row.get::<bool, _>("is_ahead"),
        "it knows later events than the database, which is older or another one: restore the database that belongs to \
         it; or move the file away"
    );
    ensure!(
        !row.get::<bool, _>("is_unread"),
        "the version before this one was to read some events again; start it once more"
    );
    let orphans: i64 = row.get("orphans");
    if orphans > 0 {
        tracing::info!(
            messages = orphans,
            "messages of former sessions that nobody can see any more are left out of the history"
        );
    }
    let mut transaction = connection.begin().await?;
    for sql in [
        // Positions of events are positive, and the order stays.
        "INSERT INTO history_moving (one, shift, upto) \
         SELECT 1, max(0, COALESCE(max(place), 0)) + 1, -9223372036854775808 FROM former.messages",
        "INSERT INTO history_chats (place, session, id, name, active_at, unread, marked_unread, archived, pinned, muted_until) \
         SELECT place, session, id, name, active_at, unread, marked_unread, archived, pinned, muted_until \
         FROM former.chats WHERE session IN (SELECT life FROM lives)",
        "INSERT INTO history_contacts (session, id, phone, lid, saved_name, verified_name, push_name, username) \
         SELECT session, id, phone, lid, saved_name, verified_name, push_name, username \
         FROM former.contacts WHERE session IN (SELECT life FROM lives)",
        "INSERT INTO history_forgotten (session, seq) SELECT session, seq FROM former.forgotten",
        "UPDATE history_progress SET seq = (SELECT seq FROM former.progress)",
    ] {
        transaction.execute(sql).await?;
    }
    Ok(transaction.commit().await?)
}

/// Moves the next messages with their reactions and words; returns their number.
async fn move_messages(connection: &mut Connection) -> Result<u64> {
    let mut transaction = connection.begin().await?;
    let (shift, upto): (i64, i64) = db::query_as("SELECT shift, upto FROM history_moving")
        .fetch_one(&mut *transaction)
        .await?;
    let sql = "SELECT m.place, m.chat, m.content, l.session FROM former.messages m \
               CROSS JOIN history_chats c ON c.place = m.chat CROSS JOIN lives l ON l.life = c.session \
               WHERE m.place > $1 ORDER BY m.place LIMIT $2";
    let query = db::query(sql).bind(upto).bind(AT_ONCE);
    let rows = query.fetch_all(&mut *transaction).await?;
    let Some(last) = rows.last().map(|row| row.get::<i64, _>("place")) else {
        transaction.commit().await?;
        return Ok(0);
    };
    let said = rows.iter().filter_map(|row| {
        let message: Message = serde_json::from_str(row.get("content")).ok()?;
        let (row_id, chat): (i64, i64) = (row.get("place"), row.get("chat"));
        let scope = words::scope(row.get("session"), chat);
        let said = tokenizer::of_message(&message);
        (!said.is_empty()).then(|| (row_id - shift, scope, said))
    });
    words::insert(&mut transaction, said.collect()).await?;
    for sql in [
        "INSERT INTO history_messages (place, chat, id, sender, at, content, status, edited_at, deleted_at) \
         SELECT place - $1, chat, id, sender, at, content, status, edited_at, deleted_at FROM former.messages \
         WHERE place > $2 AND place <= $3 AND chat IN (SELECT place FROM history_chats)",
        "INSERT INTO history_reactions (message, person, emoji) SELECT message - $1, person, emoji \
         FROM former.reactions WHERE message > $2 AND message <= $3 \
         AND message - $1 IN (SELECT place FROM history_messages)",
        "UPDATE history_moving SET upto = $3 WHERE shift = $1 AND upto = $2",
    ] {
        let query = db::query(sql).bind(shift).bind(upto).bind(last);
        query.execute(&mut *transaction).await?;
    }
    transaction.commit().await?;
    Ok(rows.len() as u64)
}

/// Records that there is nothing to move any more.
async fn end_move(connection: &mut Connection) -> Result<()> {
    match how_far(connection).await? {
        None => return Ok(()),
        Some(ALL) => {}
        Some(_) => bail!("a part of it is moved, and the file is gone; put it back"),
    }
    connection.execute("DELETE FROM history_moving").await?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::event::PersonNames;
    use crate::store::history::PageAnchor;
    use crate::store::{Life, NewEvent, Store};
    use crate::system::clock::Clock;

    const ANN: &str = "375440000001@s.whatsapp.net";
    const MESSAGES: i64 = 2_500;

    async fn former(folder: &Path) -> Connection {
        let file = folder.join("history.db");
        let options = LiteFile::new(file).create();
        options.connect().await.unwrap()
    }

    /// A history of two lives: 1 has messages, and 7 is gone.
    async fn write_former(folder: &Path) {
        let mut connection = former(folder).await;
        migrations::run_steps(&mut connection, &STEPS)
            .await
            .unwrap();
        let sql = "DROP TABLE former_chats; DROP TABLE former_contacts; DROP TABLE former_forgotten; \
             UPDATE progress SET seq = 2; \
             INSERT INTO chats (place, session, id, unread) VALUES (3, 1, '375440000001@s.whatsapp.net', 2), \
             (4, 7, 'gone', 0), (5, -1, '5', 0); \
             INSERT INTO contacts (session, id, phone, push_name) VALUES \
             (1, '375440000001@s.whatsapp.net', '375440000001', 'Ann'), (7, 'gone', NULL, NULL); \
             INSERT INTO reactions VALUES (2, '', '!'), (-1, 'x', '?'); \
             INSERT INTO messages (place, chat, id, sender, at, content) VALUES (-1, 3, 'old', '', 0, ''), \
             (99999, 4, 'a', '', 1, '{}'), (100000, 5, 'b', '', 1, '{}')";
        connection.execute(sql).await.unwrap();
        let sql = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < $1) \
             INSERT INTO messages (place, chat, id, sender, at, content) \
             SELECT i, 3, 'm' || i, $2, i, '{\"type\":\"text\",\"text\":{\"body\":\"number ' || i || '\"}}' FROM n";
        let query = db::query(sql).bind(MESSAGES).bind(ANN);
        query.execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
    }

    async fn open(folder: &Path) -> Result<Store> {
        Store::open(&folder.join("wapi.db"), Clock::system()).await
    }

    /// A folder with a store in which the life 1 has three events.
    async fn folder() -> tempfile::TempDir {
        let folder = tempfile::tempdir().unwrap();
        let store = open(folder.path()).await.unwrap();
        let life = store.lives().ensure_life("shop");
        assert_eq!(life.id(), 1);
        let event = |number: u8| NewEvent {
            id: format!("evt_{number}"),
            session: life.clone(),
            chat: String::new(),
            message: None,
            kind: "session.status",
            body: "{}".to_owned(),
            facts: Vec::new(),
        };
        let events = (1..=3).map(event).collect();
        store.events().append_events(events).await.unwrap();
        store.close().await;
        folder
    }

    async fn check_moved(store: &Store) {
        let (history, life) = (store.history(), Life::for_test(1, "shop"));
        assert_eq!(history.processed_seq().await.unwrap(), 2);
        let (page, has_more) = history
            .list_messages(&life, ANN, PageAnchor::Newest, 3_000)
            .await
            .unwrap();
        let ids: Vec<_> = page.iter().map(|message| message.id.clone()).collect();
        let expected = (1..=MESSAGES).rev().map(|number| format!("m{number}"));
        assert!(ids.into_iter().eq(expected.chain(["old".to_owned()])));
        assert!(!has_more);
        assert_eq!(page.last().unwrap().message, None);
        assert_eq!(page[page.len() - 3].reactions[0].emoji, "!");
        let search = async |text| {
            let found = history
                .search_messages(&life, Some(ANN), text, None, 9)
                .await;
            let (found, _) = found.unwrap().unwrap();
            Vec::from_iter(found.into_iter().map(|message| message.id))
        };
        assert_eq!(search("number 2499").await, ["m2499"]);
        assert_eq!(search("number").await[0], "m2500");
        let chat = history.find_chat(&life, ANN).await.unwrap().unwrap();
        assert_eq!(chat.unread, 2);
        let names = history.find_names(&life, ANN).await.unwrap();
        assert_eq!(names.unwrap().push.as_deref(), Some("Ann"));
        let names: Option<PersonNames> = history
            .find_names(&Life::for_test(7, "shop"), "gone")
            .await
            .unwrap();
        assert_eq!(names, None);
    }

    #[tokio::test]
    async fn a_history_of_an_earlier_version_is_moved_whole() {
        let folder = folder().await;
        write_former(folder.path()).await;
        for _ in 0..2 {
            let store = open(folder.path()).await.unwrap();
            check_moved(&store).await;
            store.close().await;
            assert!(!folder.path().join("history.db").exists());
        }
        // As after an end between the last commit and the removal of the file.
        write_former(folder.path()).await;
        let options = LiteFile::new(folder.path().join("wapi.db"));
        let mut connection = options.connect().await.unwrap();
        let sql = "INSERT INTO history_moving VALUES (1, 1, $1)";
        let query = db::query(sql).bind(ALL);
        query.execute(&mut connection).await.unwrap();
        connection.close().await.unwrap();
        for _ in 0..2 {
            let store = open(folder.path()).await.unwrap();
            check_moved(&store).await;
            store.close().await;
            assert!(!folder.path().join("history.db").exists());
        }
    }

    #[tokio::test]
    async fn a_file_that_nothing_was_written_to_is_removed() {
        let folder = folder().await;
        std::fs::write(folder.path().join("history.db"), "").unwrap();
        open(folder.path()).await.unwrap().close().await;
        assert!(!folder.path().join("history.db").exists());
    }

    #[tokio::test]
    async fn a_move_that_was_interrupted_goes_on() {
        let folder = folder().await;
        write_former(folder.path()).await;
        let options = LiteFile::new(folder.path().join("wapi.db"));
        for interrupted_after in [0, 1, 1] {
            let mut connection = options.connect().await.unwrap();
            let name = folder.path().join("history.db").display().to_string();
            db::query("ATTACH DATABASE $1 AS former")
                .bind(name)
                .execute(&mut connection)
                .await
                .unwrap();
            begin_move(&mut connection).await.unwrap();
            for _ in 0..interrupted_after {
                move_messages(&mut connection).await.unwrap();
            }
            connection.close().await.unwrap();
        }
        let (file, away) = (folder.path().join("history.db"), folder.path().join("away"));
        std::fs::rename(&file, &away).unwrap();
        let error = format!("{:#}", open(folder.path()).await.err().unwrap());
        assert!(error.contains("put it back"), "{error}");
        std::fs::rename(&away, &file).unwrap();
        let store = open(folder.path()).await.unwrap();
        check_moved(&store).await;
        store.close().await;
    }

    #[tokio::test]
    async fn files_that_cannot_be_moved_are_refused_and_stay() {
        // One of another history.
        let taken = folder().await;
        write_former(taken.path()).await;
        open(taken.path()).await.unwrap().close().await;
        write_former(taken.path()).await;
        // One of a newer version, one of before lives, and one of another program.
        let newer = folder().await;
        write_former(newer.path()).await;
        let mut connection = former(newer.path()).await;
        connection.execute("PRAGMA user_version = 5").await.unwrap();
        connection.close().await.unwrap();
        let older = folder().await;
        let mut connection = former(older.path()).await;
        migrations::run_steps(&mut connection, &STEPS[..1])
            .await
            .unwrap();
        connection.close().await.unwrap();
        let halfway = folder().await;
        write_former(halfway.path()).await;
        let mut connection = former(halfway.path()).await;
        let sql = "CREATE TABLE former_chats (session TEXT)";
        connection.execute(sql).await.unwrap();
        connection.close().await.unwrap();
        let unread = folder().await;
        write_former(unread.path()).await;
        let mut connection = former(unread.path()).await;
        connection
            .execute("INSERT INTO unread VALUES (1)")
            .await
            .unwrap();
        connection.close().await.unwrap();
        let ahead = folder().await;
        write_former(ahead.path()).await;
        let mut connection = former(ahead.path()).await;
        connection
            .execute("UPDATE progress SET seq = 4")
            .await
            .unwrap();
        connection.close().await.unwrap();
        let other = folder().await;
        let mut connection = former(other.path()).await;
        connection.execute("CREATE TABLE a (b)").await.unwrap();
        connection.close().await.unwrap();
        let foreign = folder().await;
        std::fs::write(foreign.path().join("history.db"), "no database").unwrap();
        for (folder, why) in [
            (taken, "a history already"),
            (newer, "a newer wapi"),
            (older, "Start the version before this one"),
            (halfway, "Start the version before this one"),
            (unread, "start it once more"),
            (ahead, "it knows later events"),
            (other, "another program wrote it"),
            (foreign, "not a database"),
        ] {
            let before = std::fs::read(folder.path().join("history.db")).unwrap();
            let error = format!("{:#}", open(folder.path()).await.err().unwrap());
            assert!(
                error.contains(why) && error.contains("history.db"),
                "{error}"
            );
            let after = std::fs::read(folder.path().join("history.db")).unwrap();
            assert!(before == after, "{why}");
        }
    }
}
