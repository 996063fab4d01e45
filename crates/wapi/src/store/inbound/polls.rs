//! Polls and events: the secrets that encrypt votes and responses, and the votes.

use jiff::{SignedDuration, Timestamp};

use crate::model::event::OptionTally;
use crate::model::message::{CalendarEvent, Message};
use crate::store::db::{self, Connection, Row};
use crate::store::outbox::messages::MessageSeq;
use crate::store::sealing::{SealedPlace, Sealer, UnreadableRows};
use crate::store::writer::StoreChange;
use crate::store::{InboundStore, Life, NewVote, StoreError};

/// The time for which votes on a poll can be decrypted.
const KEPT: SignedDuration = SignedDuration::from_hours(24 * 180);
const TABLE: &str = "polls";
/// Marks an event, in place of a poll's number of selections.
const EVENT: u32 = 0;

/// A saved poll.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredPoll {
    /// Address of its chat; `None` for polls from before this was saved.
    pub chat: Option<String>,
    /// An address of its author.
    pub creator: String,
    /// The secret that encrypts votes; empty if it cannot be read any more.
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

impl InboundStore<'_> {
    /// Saves a poll, unless one with this id exists; returns the saved secret. A secret that cannot be
    /// opened is replaced: a poll with it could neither be sent nor counted.
    pub async fn save_poll(
        self,
        session: &Life,
        id: &str,
        mut poll: StoredPoll,
    ) -> Result<Vec<u8>, StoreError> {
        seal_poll(&self.store.sealer, session, id, &mut poll)?;
        let saving = SavePoll {
            session: session.clone(),
            id: id.to_owned(),
            poll,
            sealer: self.store.sealer.clone(),
        };
        let stored = self.store.writer.apply_change(saving).await?;
        open_secret(&self.store.sealer, session, id, stored)
    }

    /// Returns the poll with this id, if it is saved. One whose secret cannot be opened has none: its
    /// votes cannot be read, and all else goes on.
    pub async fn find_poll(
        self,
        session: &Life,
        id: &str,
    ) -> Result<Option<StoredPoll>, StoreError> {
        let sql = "SELECT chat, creator, secret, question, options, max_selections FROM polls \
                   WHERE session = $1 AND id = $2";
        let row = db::query(sql)
            .bind(session)
            .bind(id)
            .fetch_optional(&self.store.readers)
            .await?;
        let mut unreadable = UnreadableRows::new(TABLE);
        let found = row.map(|row| {
            let secret = row.try_get("secret").map_err(StoreError::from);
            let secret =
                secret.and_then(|stored| open_secret(&self.store.sealer, session, id, stored));
            let owner = format_args!("life {}", session.id());
            StoredPoll {
                chat: row.get("chat"),
                creator: row.get("creator"),
                secret: unreadable.keep(owner, secret).unwrap_or_default(),
                question: row.get("question"),
                options: options_from_json(row.get("options")),
                max_selections: row.get("max_selections"),
            }
        });
        unreadable.report();
        Ok(found)
    }

    /// Counts the votes on a poll, or the responses to an event; `None` if it is not known, or not
    /// known any more.
    pub async fn tally_poll(
        self,
        session: &Life,
        id: &str,
    ) -> Result<Option<Vec<OptionTally>>, StoreError> {
        let Some(poll) = self.find_poll(session, id).await? else {
            return Ok(None);
        };
        let rows = db::query(VOTES)
            .bind(session)
            .bind(id)
            .fetch_all(&self.store.readers)
            .await?;
        let ballots: Vec<_> = rows.iter().map(read_ballot).collect();
        Ok(Some(tally_votes(&poll.options, &ballots)))
    }
}

const VOTES: &str =
    "SELECT voter, options FROM poll_votes WHERE session = $1 AND poll = $2 ORDER BY voter";

fn read_ballot(row: &Row) -> PollBallot {
    PollBallot {
        voter: row.get("voter"),
        options: options_from_json(row.get("options")),
    }
}

fn open_secret(
    sealer: &Sealer,
    session: &Life,
    id: &str,
    stored: Vec<u8>,
) -> Result<Vec<u8>, StoreError> {
    let key = [id];
    let place = SealedPlace::of_life(TABLE, session.id(), &key);
    sealer.open(&place, stored)
}

/// Makes the secret of a poll what is stored.
pub(in crate::store) fn seal_poll(
    sealer: &Sealer,
    session: &Life,
    id: &str,
    poll: &mut StoredPoll,
) -> Result<(), StoreError> {
    let key = [id];
    let place = SealedPlace::of_life(TABLE, session.id(), &key);
    poll.secret = sealer.seal(&place, &poll.secret)?;
    Ok(())
}

struct SavePoll {
    session: Life,
    id: String,
    poll: StoredPoll,
    sealer: Sealer,
}

impl StoreChange for SavePoll {
    type Answer = Vec<u8>;

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    async fn write(
        &self,
        connection: &mut Connection,
        now: Timestamp,
    ) -> Result<Vec<u8>, db::Error> {
        let Self {
            session,
            id,
            poll,
            sealer,
        } = self;
        let stored = insert_poll(connection, session, id, poll, now).await?;
        if open_secret(sealer, session, id, stored.clone()).is_ok() {
            return Ok(stored);
        }
        db::query("UPDATE polls SET secret = $1 WHERE session = $2 AND id = $3")
            .bind(&poll.secret)
            .bind(session)
            .bind(id)
            .execute(connection)
            .await?;
        Ok(poll.secret.clone())
    }
}

/// Inserts a poll, whose secret is sealed, unless one with this id exists; returns the saved secret.
pub(in crate::store) async fn insert_poll(
    connection: &mut Connection,
    session: &Life,
    id: &str,
    poll: &StoredPoll,
    now: Timestamp,
) -> Result<Vec<u8>, db::Error> {
    let old = now.as_millisecond()
        - i64::try_from(KEPT.as_millis()).expect("half a year has few milliseconds");
    db::query("DELETE FROM polls WHERE created_at < $1")
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
    } = poll;
    let sql = "INSERT INTO polls (session, id, creator, secret, question, options, created_at, max_selections, chat) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9) ON CONFLICT DO NOTHING";
    let query = db::query(sql)
        .bind(session)
        .bind(id)
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
    db::query_scalar(sql)
        .bind(session)
        .bind(id)
        .fetch_one(connection)
        .await
}

/// Records a vote, unless the person voted later; returns all votes on the poll, ordered by voter.
pub(in crate::store) async fn record_vote(
    connection: &mut Connection,
    session: &Life,
    vote: &NewVote,
) -> Result<Vec<PollBallot>, db::Error> {
    let sql = "INSERT INTO poll_votes (session, poll, voter, options, voted_at) VALUES ($1, $2, $3, $4, $5) \
               ON CONFLICT (session, poll, voter) DO UPDATE SET options = excluded.options, voted_at = excluded.voted_at \
               WHERE excluded.voted_at >= poll_votes.voted_at";
    let query = db::query(sql)
        .bind(session)
        .bind(&vote.poll)
        .bind(&vote.ballot.voter);
    query
        .bind(options_to_json(&vote.ballot.options))
        .bind(vote.voted_at)
        .execute(&mut *connection)
        .await?;
    let rows = db::query(VOTES)
        .bind(session)
        .bind(&vote.poll)
        .fetch_all(connection)
        .await?;
    Ok(rows.iter().map(read_ballot).collect())
}

/// Counts the votes for each option.
pub(in crate::store) fn tally_votes(
    options: &[String],
    ballots: &[PollBallot],
) -> Vec<OptionTally> {
    let one = |option: &String| {
        let chose = ballots
            .iter()
            .filter(|ballot| ballot.options.contains(option));
        let voters: Vec<_> = chose.map(|ballot| ballot.voter.clone()).collect();
        OptionTally {
            option: option.clone(),
            votes: voters.len(),
            voters,
        }
    };
    options.iter().map(one).collect()
}

/// Counts the account's own vote, contained in a sent message.
pub(in crate::store) async fn record_own_vote(
    connection: &mut Connection,
    session: &Life,
    message: MessageSeq,
    voter: &str,
    now: Timestamp,
) -> Result<(), db::Error> {
    let sql = "SELECT content FROM messages WHERE place = $1 AND status = 'sent'";
    let found = db::query_scalar(sql)
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
    if db::query(sql)
        .bind(session)
        .bind(poll)
        .fetch_optional(&mut *connection)
        .await?
        .is_none()
    {
        return Ok(());
    }
    let vote = NewVote {
        poll: poll.to_owned(),
        options: Vec::new(),
        ballot: PollBallot {
            voter: voter.to_owned(),
            options,
        },
        voted_at: now.as_millisecond(),
        event: None,
    };
    record_vote(connection, session, &vote).await.map(drop)
}

fn options_to_json(options: &[String]) -> String {
    serde_json::to_string(options).expect("texts are always JSON")
}

fn options_from_json(json: &str) -> Vec<String> {
    serde_json::from_str(json).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use crate::model::event::{Event, EventData, MessageChange, MessageOrigin, VoteChange};
    use crate::store::inbound::polls::*;
    use crate::store::{EventFact, NewEvent, Store};
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
                .inbound()
                .save_poll(&Life::for_test(1, "shop"), "3EB0", poll(1))
                .await
                .unwrap(),
            [1; 32]
        );
        assert_eq!(
            store
                .inbound()
                .save_poll(&Life::for_test(1, "shop"), "3EB0", poll(2))
                .await
                .unwrap(),
            [1; 32]
        );
        assert_eq!(
            store
                .inbound()
                .find_poll(&Life::for_test(1, "shop"), "3EB0")
                .await
                .unwrap(),
            Some(poll(1))
        );
        assert_eq!(
            store
                .inbound()
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
            let vote = NewVote {
                poll: "3EB0".to_owned(),
                options: vec!["Tea".to_owned(), "Coffee".to_owned()],
                ballot: cast,
                voted_at: at,
                event: None,
            };
            let tally = append_vote(&store, vote).await;
            assert_eq!(
                tally,
                serde_json::to_value(tally_votes(&poll(1).options, &counted)).unwrap()
            );
        }
    }

    /// Saves a vote with its event, and returns the tally in the event.
    async fn append_vote(store: &Store, vote: NewVote) -> serde_json::Value {
        let shop = Life::for_test(1, "shop");
        let change = MessageChange {
            origin: MessageOrigin::for_test(),
            message_id: vote.poll.clone(),
            change: VoteChange::default(),
        };
        let event = Event::new(EventData::PollVote(Box::new(change)), Timestamp::UNIX_EPOCH);
        let new =
            NewEvent::for_session(&shop, &event).with_facts(vec![EventFact::Vote(vote)], &event);
        store.events().append_events(vec![new]).await.unwrap();
        let sql = "SELECT body FROM events ORDER BY seq DESC LIMIT 1";
        let body: String = db::query_scalar(sql)
            .fetch_one(&store.readers)
            .await
            .unwrap();
        serde_json::from_str::<serde_json::Value>(&body).unwrap()["data"]["tally"].clone()
    }
}
