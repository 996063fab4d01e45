//! Polls and events: the secrets that encrypt votes and responses, and the votes.

use jiff::{SignedDuration, Timestamp};
use sqlx::Row;
use sqlx::sqlite::SqliteConnection;

use crate::model::message::{CalendarEvent, Message};
use crate::store::outbox::messages::MessageSeq;
use crate::store::writer::StoreChange;
use crate::store::{Life, Store, StoreError};

/// The time for which votes on a poll can be decrypted.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 180);
/// Marks an event, in place of a poll's number of selections.
const EVENT: u32 = 0;

/// A saved poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPoll {
    /// Address of its chat; `None` for polls from before this was saved.
    pub chat: Option<String>,
    /// An address of its author.
    pub creator: String,
    /// The secret that encrypts votes.
    pub secret: Vec<u8>,
    pub question: String,
    pub options: Vec<String>,
    /// Number of options that one person may choose.
    pub max_selections: u32,
}

impl StoredPoll {
    /// Creates the record of an event: a poll whose options are the possible responses.
    pub fn from_event(chat: String, creator: String, secret: Vec<u8>, name: String) -> Self {
        let options = CalendarEvent::RESPONSES.map(str::to_owned).into();
        Self {
            chat: Some(chat),
            creator,
            secret,
            question: name,
            options,
            max_selections: EVENT,
        }
    }

    pub const fn is_event(&self) -> bool {
        self.max_selections == EVENT
    }
}

/// The vote of one person.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PollBallot {
    /// The voter's stable id.
    pub voter: String,
    pub options: Vec<String>,
}

impl Store {
    /// Saves a poll, unless one with this id exists; returns the saved secret.
    pub async fn save_poll(
        &self,
        session: &Life,
        id: &str,
        poll: StoredPoll,
    ) -> Result<Vec<u8>, StoreError> {
        self.writer
            .apply_change(SavePoll {
                session: session.clone(),
                id: id.to_owned(),
                poll,
            })
            .await
    }

    /// Returns the poll with this id, if it is saved.
    pub async fn find_poll(
        &self,
        session: &Life,
        id: &str,
    ) -> Result<Option<StoredPoll>, StoreError> {
        let sql = "SELECT chat, creator, secret, question, options, max_selections FROM polls \
                   WHERE session = $1 AND id = $2";
        let row = sqlx::query(sql)
            .bind(session)
            .bind(id)
            .fetch_optional(&self.readers)
            .await?;
        Ok(row.map(|row| StoredPoll {
            chat: row.get("chat"),
            creator: row.get("creator"),
            secret: row.get("secret"),
            question: row.get("question"),
            options: options_from_json(row.get("options")),
            max_selections: row.get("max_selections"),
        }))
    }

    /// Records a vote, unless the person voted later; returns all votes on the poll, ordered by
    /// voter.
    pub async fn record_vote(
        &self,
        session: &Life,
        poll: &str,
        ballot: PollBallot,
        voted_at: i64,
    ) -> Result<Vec<PollBallot>, StoreError> {
        self.writer
            .apply_change(RecordVote {
                session: session.clone(),
                poll: poll.to_owned(),
                ballot,
                voted_at,
            })
            .await
    }
}

struct SavePoll {
    session: Life,
    id: String,
    poll: StoredPoll,
}

impl StoreChange for SavePoll {
    type Answer = Vec<u8>;

    fn invalidates_ready_queue(_: &Self::Answer) -> bool {
        false
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        now: Timestamp,
    ) -> Result<Vec<u8>, sqlx::Error> {
        let old = now.as_millisecond()
            - i64::try_from(KEPT.as_millis()).expect("half a year has few milliseconds");
        sqlx::query("DELETE FROM polls WHERE created_at < $1")
            .bind(old)
            .execute(&mut *connection)
            .await?;
        let StoredPoll {
            chat,
            creator,
            secret,
            question,
            options,
            max_selections,
        } = &self.poll;
        let sql = "INSERT INTO polls (session, id, creator, secret, question, options, created_at, max_selections, chat) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";
        let query = sqlx::query(sql)
            .bind(&self.session)
            .bind(&self.id)
            .bind(creator)
            .bind(secret)
            .bind(question);
        let query = query
            .bind(options_to_json(options))
            .bind(now.as_millisecond())
            .bind(max_selections)
            .bind(chat);
        query.execute(&mut *connection).await?;
        let sql = "SELECT secret FROM polls WHERE session = $1 AND id = $2";
        sqlx::query_scalar(sql)
            .bind(&self.session)
            .bind(&self.id)
            .fetch_one(connection)
            .await
    }
}

struct RecordVote {
    session: Life,
    poll: String,
    ballot: PollBallot,
    voted_at: i64,
}

impl StoreChange for RecordVote {
    type Answer = Vec<PollBallot>;

    fn invalidates_ready_queue(_: &Self::Answer) -> bool {
        false
    }

    async fn write(
        &self,
        connection: &mut SqliteConnection,
        _: Timestamp,
    ) -> Result<Vec<PollBallot>, sqlx::Error> {
        let sql = "INSERT INTO poll_votes (session, poll, voter, options, voted_at) VALUES ($1, $2, $3, $4, $5) \
                   ON CONFLICT (session, poll, voter) DO UPDATE SET options = excluded.options, voted_at = excluded.voted_at \
                   WHERE excluded.voted_at >= poll_votes.voted_at";
        let query = sqlx::query(sql)
            .bind(&self.session)
            .bind(&self.poll)
            .bind(&self.ballot.voter);
        query
            .bind(options_to_json(&self.ballot.options))
            .bind(self.voted_at)
            .execute(&mut *connection)
            .await?;
        let sql =
            "SELECT voter, options FROM poll_votes WHERE session = $1 AND poll = $2 ORDER BY voter";
        let rows = sqlx::query(sql)
            .bind(&self.session)
            .bind(&self.poll)
            .fetch_all(connection)
            .await?;
        let ballot = |row: &sqlx::sqlite::SqliteRow| PollBallot {
            voter: row.get("voter"),
            options: options_from_json(row.get("options")),
        };
        Ok(rows.iter().map(ballot).collect())
    }
}

/// Counts the account's own vote, contained in a sent message.
pub(in crate::store) async fn record_own_vote(
    connection: &mut SqliteConnection,
    session: &Life,
    message: MessageSeq,
    voter: &str,
    now: Timestamp,
) -> Result<(), sqlx::Error> {
    let sql = "SELECT content FROM messages WHERE place = $1 AND status = 'sent'";
    let found = sqlx::query_scalar(sql)
        .bind(message.0)
        .fetch_optional(&mut *connection)
        .await?;
    let Some(content): Option<String> = found else {
        return Ok(());
    };
    let message: Option<Message> = serde_json::from_str(&content).ok();
    let Some((poll, options)) = message
        .as_ref()
        .and_then(|message| message.content.chosen_options())
    else {
        return Ok(());
    };
    let sql = "SELECT 1 FROM polls WHERE session = $1 AND id = $2";
    if sqlx::query(sql)
        .bind(session)
        .bind(poll)
        .fetch_optional(&mut *connection)
        .await?
        .is_none()
    {
        return Ok(());
    }
    let (poll, ballot) = (
        poll.to_owned(),
        PollBallot {
            voter: voter.to_owned(),
            options,
        },
    );
    RecordVote {
        session: session.clone(),
        poll,
        ballot,
        voted_at: now.as_millisecond(),
    }
    .write(connection, now)
    .await
    .map(drop)
}

fn options_to_json(options: &[String]) -> String {
    serde_json::to_string(options).expect("texts are always JSON")
}

fn options_from_json(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::store::inbound::polls::*;
    use crate::system::clock::Clock;

    fn poll(secret: u8) -> StoredPoll {
        let options = vec!["Tea".to_owned(), "Coffee".to_owned()];
        StoredPoll {
            chat: Some("bob".to_owned()),
            creator: "ann".to_owned(),
            secret: vec![secret; 32],
            question: "What?".to_owned(),
            options,
            max_selections: 1,
        }
    }

    fn ballot(voter: &str, option: &str) -> PollBallot {
        let options = Some(option.to_owned()).filter(|option| !option.is_empty());
        PollBallot {
            voter: voter.to_owned(),
            options: options.into_iter().collect(),
        }
    }

    #[tokio::test]
    async fn a_polls_first_secret_stays_and_the_last_vote_counts() {
        let folder = tempfile::tempdir().unwrap();
        let store = Store::open(&folder.path().join("wapi.db"), Clock::system())
            .await
            .unwrap();
        assert_eq!(
            store
                .save_poll(&Life::for_test(1, "shop"), "3EB0", poll(1))
                .await
                .unwrap(),
            [1; 32]
        );
        assert_eq!(
            store
                .save_poll(&Life::for_test(1, "shop"), "3EB0", poll(2))
                .await
                .unwrap(),
            [1; 32]
        );
        assert_eq!(
            store
                .find_poll(&Life::for_test(1, "shop"), "3EB0")
                .await
                .unwrap(),
            Some(poll(1))
        );
        assert_eq!(
            store
                .find_poll(&Life::for_test(3, "other"), "3EB0")
                .await
                .unwrap(),
            None
        );
        for (cast, at, counted) in [
            (ballot("bob", "Tea"), 5, vec![ballot("bob", "Tea")]),
            (
                ballot("ann", "Tea"),
                1,
                vec![ballot("ann", "Tea"), ballot("bob", "Tea")],
            ),
            (
                ballot("bob", "Coffee"),
                4,
                vec![ballot("ann", "Tea"), ballot("bob", "Tea")],
            ),
            (
                ballot("bob", ""),
                6,
                vec![ballot("ann", "Tea"), ballot("bob", "")],
            ),
        ] {
            assert_eq!(
                store
                    .record_vote(&Life::for_test(1, "shop"), "3EB0", cast, at)
                    .await
                    .unwrap(),
                counted
            );
        }
    }
}
