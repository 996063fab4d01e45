//! Migration of data stored by session name to lives, run once: the event log itself shows when
//! sessions were paired, logged out and removed.
//!
//! Data from before the first of these events, or of an account that no event names, cannot be
//! assigned to an account. It goes to a life that has ended.

use std::collections::BTreeMap;

use crate::store::db::{self, Connection, Row};

/// All session names in the tables of the schema before lives.
const SESSION_NAMES: &str = "SELECT session AS name FROM events UNION SELECT session FROM messages UNION SELECT session FROM media \
    UNION SELECT session FROM payloads UNION SELECT session FROM pending UNION SELECT session FROM polls \
    UNION SELECT session FROM reads UNION SELECT session FROM received UNION SELECT session FROM identities \
    UNION SELECT session FROM timers UNION SELECT session FROM newsletters UNION SELECT name FROM sessions";

/// The events that reveal lives. The last `session.status` event of a removed session says that it
/// was removed.
const LIFE_EVENTS: &str = "SELECT session AS name, seq, created_at, type, json_extract(body, '$.data.account.phone') AS account, \
    json_extract(body, '$.data.status') = 'stopped' AND json_extract(body, '$.data.reason') = 'it was removed' AS is_removal \
    FROM events WHERE type IN ('session.paired', 'session.logged_out', 'session.status') AND body <> '' AND json_valid(body) \
    ORDER BY seq";

/// Returns whether any data of a name is older than a position and a time, apart from events about
/// the session as a whole.
const HAS_EARLIER_DATA: &str = "SELECT EXISTS (SELECT 1 FROM events WHERE session = $1 AND seq < $2 AND type NOT LIKE 'session.%') \
    OR EXISTS (SELECT 1 FROM messages WHERE session = $1 AND accepted_at < $3) \
    OR EXISTS (SELECT 1 FROM media WHERE session = $1 AND created_at < $3) \
    OR EXISTS (SELECT 1 FROM polls WHERE session = $1 AND created_at < $3) \
    OR EXISTS (SELECT 1 FROM reads WHERE session = $1 AND seq < $2)";

/// The position from which the log is complete, and whether anything is missing before it.
/// Retention removes events that no delivery holds back oldest first, so if such an event is still
/// complete, so is everything after it.
const COMPLETE_LOG: &str = "SELECT seq, created_at, (SELECT count(*) FROM events WHERE seq < w.seq AND body <> '') < w.seq - 1 AS is_cut FROM \
    (SELECT seq, created_at FROM events e WHERE body <> '' AND NOT EXISTS \
       (SELECT 1 FROM deliveries d WHERE d.event = e.seq AND d.state IN ('waiting', 'dead')) \
     UNION ALL SELECT max(seq) + 1, max(created_at) + 1 FROM events HAVING count(*) > 0 ORDER BY 1 LIMIT 1) w";

/// A life found in the log.
struct FoundLife {
    account: Option<String>,
    from: i64,
    to: Option<i64>,
    tenure: usize,
    /// The account cannot be determined.
    is_unknown: bool,
}

/// The lives of one name, as far as its events have been read.
struct SessionTimeline {
    lives: Vec<FoundLife>,
    current: usize,
    is_removed: bool,
    /// Event positions and times at which a life begins to be the current one.
    cuts: Vec<(i64, i64, usize)>,
}

impl SessionTimeline {
    fn new() -> Self {
        let first = FoundLife {
            account: None,
            from: 0,
            to: None,
            tenure: 0,
            is_unknown: false,
        };
        Self {
            lives: vec![first],
            current: 0,
            is_removed: false,
            cuts: vec![(0, 0, 0)],
        }
    }

    fn continue_with(&mut self, life: usize, seq: i64, at: i64) {
        self.lives[self.current].to.get_or_insert(at);
        self.lives[life].to = None;
        self.current = life;
        self.cuts.push((seq, at, life));
    }

    fn begin_life(&mut self, account: Option<&str>, tenure: Option<usize>, seq: i64, at: i64) {
        let tenure = tenure.unwrap_or(self.lives.len());
        let account = account.map(str::to_owned);
        self.lives.push(FoundLife {
            account,
            from: at,
            to: None,
            tenure,
            is_unknown: false,
        });
        self.continue_with(self.lives.len() - 1, seq, at);
    }

    /// Links the session to this account from this event on.
    fn link_account(&mut self, account: &str, seq: i64, at: i64) {
        let is_theirs = |found: &FoundLife| found.account.as_deref() == Some(account);
        let (tenure, before) = (self.lives[self.current].tenure, &self.lives[self.current]);
        if is_theirs(before) {
            return;
        }
        let is_taken = before.account.is_some() || before.is_unknown;
        match self.lives.iter().position(is_theirs) {
            Some(former) => {
                self.lives[former].tenure = tenure;
                self.continue_with(former, seq, at);
            }
            None if is_taken => self.begin_life(Some(account), Some(tenure), seq, at),
            None => self.lives[self.current].account = Some(account.to_owned()),
        }
    }

    fn mark_removed(&mut self, at: i64) {
        self.lives[self.current].to = Some(at);
        self.is_removed = true;
    }

    /// Begins a new life for a session created again under the same name.
    fn restart_session(&mut self, seq: i64, at: i64) {
        self.is_removed = false;
        self.begin_life(None, None, seq, at);
    }

    /// Returns whether the account of the data so far is still undetermined.
    fn is_undetermined(&self) -> bool {
        self.current == 0 && self.lives[0].account.is_none() && !self.lives[0].is_unknown
    }

    /// Returns the life to which data without a time belongs.
    fn untimed_life(&mut self) -> usize {
        if self.lives.len() > 1 && !self.lives[0].is_unknown {
            let to = self.cuts.get(1).map(|(_, at, _)| *at);
            self.lives.push(FoundLife {
                account: None,
                from: 0,
                to,
                tenure: self.lives.len(),
                is_unknown: true,
            });
            return self.lives.len() - 1;
        }
        0
    }
}

/// Writes down the lives of all names, and the positions at which one follows another.
pub(in crate::store) async fn split_lives(connection: &mut Connection) -> Result<(), db::Error> {
    let names: Vec<String> = db::query_scalar(SESSION_NAMES)
        .fetch_all(&mut *connection)
        .await?;
    // Data of the whole gateway has no session name.
    let names = names.into_iter().filter(|name| !name.is_empty());
    let mut stories: BTreeMap<String, SessionTimeline> =
        names.map(|name| (name, SessionTimeline::new())).collect();
    let whole = db::query(COMPLETE_LOG)
        .fetch_optional(&mut *connection)
        .await?;
    // The missing part of the log may include an event that linked a session to another account.
    let whole = whole
        .filter(|row| row.get("is_cut"))
        .map(|row| (row.get("seq"), row.get("created_at")));
    for event in db::query(LIFE_EVENTS).fetch_all(&mut *connection).await? {
        let Some(story) = stories.get_mut(event.get::<&str, _>("name")) else {
            continue;
        };
        read_event(connection, story, &event, whole).await?;
    }
    for (name, mut story) in stories {
        if let Some((seq, at)) = whole.filter(|_| story.is_undetermined() && !story.is_removed) {
            // The account becomes known when the session is online again.
            story.lives[0].is_unknown = true;
            story.begin_life(None, None, seq, at);
        }
        write_lives(connection, &name, &mut story).await?;
    }
    Ok(())
}

async fn read_event(
    connection: &mut Connection,
    story: &mut SessionTimeline,
    event: &Row,
    whole: Option<(i64, i64)>,
) -> Result<(), db::Error> {
    let (seq, at): (i64, i64) = (event.get("seq"), event.get("created_at"));
    if story.is_removed {
        story.restart_session(seq, at);
    }
    if let Some(account) = event.get::<Option<String>, _>("account") {
        let is_pairing = event.get::<&str, _>("type") == "session.paired";
        let mut from = (seq, at);
        match whole.filter(|_| story.is_undetermined()) {
            Some(whole) => {
                story.lives[0].is_unknown = true;
                if !is_pairing {
                    // The session was linked earlier, by an event that is gone: only data from
                    // after the gap surely belongs to this account.
                    from = whole.min(from);
                }
            }
            None if is_pairing && story.is_undetermined() => {
                let query = db::query_scalar::<bool>(HAS_EARLIER_DATA)
                    .bind(event.get::<&str, _>("name"))
                    .bind(seq)
                    .bind(at);
                story.lives[0].is_unknown = query.fetch_one(connection).await?;
                story.lives[0].from = at;
            }
            None => {}
        }
        story.link_account(&account, from.0, from.1);
    }
    if event.get::<Option<bool>, _>("is_removal") == Some(true) {
        story.mark_removed(at);
    }
    Ok(())
}

async fn write_lives(
    connection: &mut Connection,
    name: &str,
    story: &mut SessionTimeline,
) -> Result<(), db::Error> {
    let untimed = story.untimed_life();
    let first: i64 = db::query_scalar("SELECT max(life) + 1 FROM lives")
        .fetch_one(&mut *connection)
        .await?;
    let id = |index: usize| first + i64::try_from(index).unwrap_or(i64::MAX);
    for (
        index,
        FoundLife {
            account,
            from,
            to,
            tenure,
            is_unknown: is_untold,
        },
    ) in story.lives.iter().enumerate()
    {
        let from = if *is_untold { &0 } else { from };
        let sql = "INSERT INTO lives (life, session, account, from_at, to_at, tenure, is_old) \
                   VALUES ($1, $2, $3, $4, $5, $6, $7)";
        let query = db::query(sql)
            .bind(id(index))
            .bind(name)
            .bind(account)
            .bind(from)
            .bind(to);
        query
            .bind(id(*tenure))
            .bind(!is_untold)
            .execute(&mut *connection)
            .await?;
    }
    for (seq, at, life) in &story.cuts {
        let sql = "INSERT INTO cuts (name, seq, at, life) VALUES ($1, $2, $3, $4)";
        db::query(sql)
            .bind(name)
            .bind(seq)
            .bind(at)
            .bind(id(*life))
            .execute(&mut *connection)
            .await?;
    }
    let sql = db::query("INSERT INTO untimed (name, life) VALUES ($1, $2)")
        .bind(name)
        .bind(id(untimed));
    sql.execute(connection).await.map(drop)
}

#[cfg(test)]
mod tests {

    use crate::store::db::{FromColumn, LiteFile};
    use crate::store::lives::splitting::*;
    use crate::store::migrations::{LIVES, STEPS, run_migrations, run_steps};

    async fn scalar<T>(connection: &mut Connection, sql: &'static str) -> T
    where
        T: for<'r> FromColumn<'r>,
    {
        db::query_scalar(sql).fetch_one(connection).await.unwrap()
    }

    /// Returns the account of the life to which each row belongs; `-` if it is unknown.
    async fn whose(connection: &mut Connection, sql: &'static str) -> Vec<String> {
        db::query_scalar(sql).fetch_all(connection).await.unwrap()
    }

    #[tokio::test]
    async fn two_accounts_that_had_one_name_are_told_apart_by_what_the_log_tells() {
        let mut db = LiteFile::in_memory()
            .with_references(true)
            .connect()
            .await
            .unwrap();
        let before = STEPS.iter().position(|step| *step == LIVES).unwrap();
        run_steps(&mut db, &STEPS[..before]).await.unwrap();
        let message = |id: &str, at: i64| {
            format!(
                "INSERT INTO events (id, session, chat, message_chat, sender, message_id, type, body, created_at) \
                 VALUES ('{id}', 'shop', 'ann', 'ann', 'ann', '{id}', 'message.received', '{{}}', {at})"
            )
        };
        let story = |kind: &str, at: i64, data: &str| {
            format!(
                "INSERT INTO events (id, session, chat, type, body, created_at) \
                 VALUES ('{kind}{at}', 'shop', '', '{kind}', '{{\"data\":{data}}}', {at})"
            )
        };
        let account = |phone: &str| format!("{{\"account\":{{\"phone\":\"{phone}\"}}}}");
        for sql in [
            message("m0", 10),
            story("session.paired", 20, &account("A")),
            message("m1", 30),
            story("session.logged_out", 40, &account("A")),
            story("session.paired", 50, &account("B")),
            message("m2", 60),
            story(
                "session.status",
                70,
                r#"{"status":"stopped","reason":"it was removed","account":{"phone":"B"}}"#,
            ),
            story(
                "session.status",
                80,
                r#"{"status":"starting","reason":null,"account":null}"#,
            ),
            story("session.paired", 90, &account("A")),
            message("m3", 100),
        ] {
            db.execute(sql).await.unwrap();
        }
        db.execute(
            "INSERT INTO events (id, session, chat, type, body, created_at) VALUES ('x', 'bar', 'ann', 'chat.typing', '{}', 1), \
               ('w', '', '', 'webhook.disabled', '{}', 1);
             INSERT INTO messages (session, id, chat, type, content, accepted_at) VALUES ('shop', 's0', 'ann', 'text', '{}', 5), \
               ('shop', 's1', 'ann', 'text', '{}', 35), ('shop', 's2', 'ann', 'text', '{}', 65), ('shop', 's3', 'ann', 'text', '{}', 105);
             INSERT INTO receipts (message, recipient) SELECT place, 'ann' FROM messages;
             INSERT INTO idempotency (caller, route, key, request, message, created_at) SELECT '', '/', id, '', place, 1 FROM messages;
             INSERT INTO media (id, session, message_id, message_chat, sender, state, created_at) \
               VALUES ('f1', 'shop', 'm1', 'ann', 'ann', 'stored', 55);
             INSERT INTO media (id, session, state, created_at) VALUES ('f2', 'shop', 'stored', 66);
             INSERT INTO polls (session, id, creator, secret, question, options, created_at) \
               VALUES ('shop', 'p2', 'ann', x'00', '?', '[]', 61);
             INSERT INTO poll_votes (session, poll, voter, options, voted_at) VALUES ('shop', 'p2', 'ann', '[]', 1);
             INSERT INTO payloads (session, chat, id, payload, created_at) VALUES ('shop', 'ann', 's2', x'00', 65);
             INSERT INTO pending (session, chat, sender, message_id, message, created_at) VALUES ('shop', 'ann', 'ann', 'm9', x'00', 101);
             INSERT INTO reads (session, chat, seq) VALUES ('shop', 'ann', 6);
             INSERT INTO identities (session, address, id) VALUES ('shop', '1@lid', '1@lid'), ('bar', '2@lid', '2@lid');
             INSERT INTO timers (session, chat, seconds, set_at) VALUES ('shop', 'ann', 7, 1);
             INSERT INTO newsletters (session, newsletter, place) VALUES ('shop', 'n', 3);",
        )
        .await
        .unwrap();
        run_migrations(&mut db).await.unwrap();

        let of_events = "SELECT COALESCE(l.account, '-') FROM events e JOIN lives l ON l.life = e.session \
                         WHERE e.message_id IS NOT NULL ORDER BY e.seq";
        assert_eq!(whose(&mut db, of_events).await, ["-", "A", "B", "A"]);
        let sent = "SELECT COALESCE(l.account, '-') FROM messages m JOIN lives l ON l.life = m.session ORDER BY m.id";
        assert_eq!(whose(&mut db, sent).await, ["-", "A", "B", "A"]);
        let keyed = "SELECT COALESCE(l.account, '-') FROM idempotency k JOIN lives l ON l.life = k.session ORDER BY k.key";
        assert_eq!(whose(&mut db, keyed).await, ["-", "A", "B", "A"]);
        let files =
            "SELECT l.account FROM media m JOIN lives l ON l.life = m.session ORDER BY m.id";
        assert_eq!(
            whose(&mut db, files).await,
            ["A", "B"],
            "a file is where its message is"
        );
        let others = "SELECT l.account FROM (SELECT session FROM polls UNION ALL SELECT session FROM poll_votes \
                      UNION ALL SELECT session FROM payloads UNION ALL SELECT session FROM reads \
                      UNION ALL SELECT session FROM pending UNION ALL SELECT session FROM newsletters) o \
                      JOIN lives l ON l.life = o.session";
        assert_eq!(whose(&mut db, others).await, ["B", "B", "B", "B", "A", "A"]);
        let untold = "SELECT COALESCE(l.account, '-') FROM (SELECT session FROM identities WHERE id = '1@lid' \
                      UNION ALL SELECT session FROM timers) o JOIN lives l ON l.life = o.session WHERE l.to_at IS NOT NULL";
        assert_eq!(whose(&mut db, untold).await, ["-", "-"]);
        let open = "SELECT session || '/' || COALESCE(account, '-') FROM lives WHERE to_at IS NULL AND life > 0 ORDER BY 1";
        assert_eq!(whose(&mut db, open).await, ["bar/-", "shop/A"]);
        assert_eq!(
            scalar::<i64>(&mut db, "SELECT session FROM events WHERE id = 'w'").await,
            0
        );
        let has_become = "SELECT count(*) FROM identities i JOIN lives l ON l.life = i.session WHERE l.session = 'bar' AND l.to_at IS NULL";
        assert_eq!(scalar::<i64>(&mut db, has_become).await, 1);
        let broken: Vec<String> =
            db::query_scalar("SELECT \"table\" FROM pragma_foreign_key_check")
                .fetch_all(&mut db)
                .await
                .unwrap();
        assert_eq!(broken, [""; 0]);
    }

    #[tokio::test]
    async fn a_session_whose_story_begins_with_its_pairing_has_one_life() {
        let mut db = LiteFile::in_memory()
            .with_references(true)
            .connect()
            .await
            .unwrap();
        let before = STEPS.iter().position(|step| *step == LIVES).unwrap();
        run_steps(&mut db, &STEPS[..before]).await.unwrap();
        db.execute(
            "INSERT INTO events (id, session, chat, type, body, created_at) VALUES \
               ('1', 'shop', '', 'session.status', '{\"data\":{\"status\":\"starting\",\"account\":null}}', 1), \
               ('2', 'shop', '', 'session.paired', '{\"data\":{\"account\":{\"phone\":\"A\"}}}', 2), \
               ('3', 'shop', 'ann', 'chat.typing', '{}', 3);
             INSERT INTO identities (session, address, id) VALUES ('shop', '1@lid', '1@lid');",
        )
        .await
        .unwrap();
        run_migrations(&mut db).await.unwrap();
        let of = "SELECT l.account FROM (SELECT session FROM events UNION SELECT session FROM identities) o JOIN lives l ON l.life = o.session";
        assert_eq!(whose(&mut db, of).await, ["A"]);
    }

    /// Migrates a log whose beginning is gone and in which account B was linked before the rest
    /// begins; `pairing` says whether the pairing event is still there.
    async fn cut_log(pairing: bool) -> Connection {
        let mut db = LiteFile::in_memory()
            .with_references(true)
            .connect()
            .await
            .unwrap();
        let before = STEPS.iter().position(|step| *step == LIVES).unwrap();
        run_steps(&mut db, &STEPS[..before]).await.unwrap();
        let kind = if pairing {
            "session.paired"
        } else {
            "session.status"
        };
        db.execute(format!(
            "INSERT INTO events (seq, id, session, chat, type, body, created_at) VALUES \
               (900, 'e', 'shop', 'ann', 'chat.typing', '', 80), (1000, 'o', 'other', 'ann', 'chat.typing', '{{}}', 100), \
               (1001, 't', 'shop', 'ann', 'chat.typing', '{{}}', 110), \
               (1002, 's', 'shop', '', '{kind}', '{{\"data\":{{\"account\":{{\"phone\":\"B\"}}}}}}', 120), \
               (1003, 'u', 'shop', 'ann', 'chat.typing', '{{}}', 130);
             INSERT INTO messages (session, id, chat, type, content, accepted_at) VALUES ('shop', 's0', 'ann', 'text', '{{}}', 50), \
               ('shop', 's1', 'ann', 'text', '{{}}', 115), ('shop', 's2', 'ann', 'text', '{{}}', 125);
             INSERT INTO identities (session, address, id) VALUES ('shop', '1@lid', '1@lid'), ('other', '2@lid', '2@lid');
             INSERT INTO timers (session, chat, seconds, set_at) VALUES ('shop', 'ann', 7, 1);"
        ))
        .await
        .unwrap();
        run_migrations(&mut db).await.unwrap();
        db
    }

    #[tokio::test]
    async fn what_is_of_before_a_log_that_was_cut_is_nobodys() {
        let sent = "SELECT COALESCE(l.account, '-') FROM messages m JOIN lives l ON l.life = m.session ORDER BY m.id";
        let event = "SELECT COALESCE(l.account, '-') FROM events e JOIN lives l ON l.life = e.session \
                    WHERE e.name = 'shop' AND e.body <> '' ORDER BY e.seq";
        let untimed = "SELECT COALESCE(l.account, '-') || (l.to_at IS NOT NULL) FROM \
                       (SELECT session FROM identities UNION ALL SELECT session FROM timers) o \
                       JOIN lives l ON l.life = o.session ORDER BY 1";
        for (pairing, expected) in [(false, ["-", "B", "B"]), (true, ["-", "-", "B"])] {
            let mut db = cut_log(pairing).await;
            assert_eq!(whose(&mut db, sent).await, expected, "{pairing}");
            let expected = if pairing {
                ["-", "B", "B"]
            } else {
                ["B", "B", "B"]
            };
            assert_eq!(whose(&mut db, event).await, expected, "{pairing}");
            assert_eq!(
                whose(&mut db, untimed).await,
                ["-1", "-1", "-1"],
                "{pairing}"
            );
            let open = "SELECT session || COALESCE(account, '-') FROM lives WHERE to_at IS NULL AND life > 0 ORDER BY 1";
            assert_eq!(whose(&mut db, open).await, ["other-", "shopB"], "{pairing}");
        }
    }
}
