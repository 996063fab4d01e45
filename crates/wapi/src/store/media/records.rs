//! Records of media files: the known data of each, and its state. The files themselves are stored
//! elsewhere.

use jiff::Timestamp;
use strum::{EnumString, IntoStaticStr};

use crate::model::event::MessageKey;
use crate::store::db::{self, Connection, Row};
use crate::store::sealing::{SealedPlace, Sealer, UnreadableRows};
use crate::store::webhooks::due::MAX_RETRY_DELAY;
use crate::store::writer::StoreChange;
use crate::store::{Life, MediaStore, Store, StoreError, to_timestamp};

/// The state of a file.
#[derive(Debug, Clone, Copy, PartialEq, Eq, EnumString, IntoStaticStr)]
#[strum(const_into_str, serialize_all = "snake_case")]
pub enum MediaState {
    /// At WhatsApp; not requested.
    Remote,
    /// At WhatsApp; it is downloaded as soon as possible.
    Waiting,
    /// Stored here.
    Stored,
    /// It cannot be downloaded.
    Failed,
    /// It was stored here, or could have been, and no longer is.
    Removed,
}

/// The known properties of a file's content.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct MediaFacts {
    pub mime_type: Option<String>,
    pub filename: Option<String>,
    /// Bytes.
    pub size: Option<u64>,
    /// In hexadecimal.
    pub sha256: Option<String>,
    /// Pixels.
    pub width: Option<u32>,
    pub height: Option<u32>,
    /// Seconds.
    pub duration: Option<u32>,
    /// For documents.
    pub pages: Option<u32>,
}

/// A new file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NewMedia {
    pub id: String,
    pub session: Life,
    /// The message it came with, and that message's chat by its stable id; `None` for uploads.
    pub message: Option<(MessageKey, String)>,
    /// `image` and so on; `None` for uploads.
    pub kind: Option<String>,
    pub facts: MediaFacts,
    /// Its location at WhatsApp, with the key of the file.
    pub source: Option<String>,
    pub state: MediaState,
}

/// The saved record of a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MediaRecord {
    pub id: String,
    pub session: Life,
    pub message: Option<MessageKey>,
    /// The chat's stable id.
    pub chat: Option<String>,
    pub kind: Option<String>,
    pub facts: MediaFacts,
    pub source: Option<String>,
    pub state: MediaState,
    /// Number of failed downloads so far.
    pub attempts: u32,
    /// The reason for the last failure.
    pub error: Option<String>,
    pub created_at: Timestamp,
    pub stored_at: Option<Timestamp>,
}

impl MediaStore<'_> {
    /// Adds files; existing ones stay as they are.
    pub async fn add_media(self, mut media: Vec<NewMedia>) -> Result<(), StoreError> {
        for new in &mut media {
            seal_media(&self.store.sealer, new)?;
        }
        self.store.writer.apply_change(AddMedia { media }).await
    }

    pub async fn find_media(self, id: &str) -> Result<Option<MediaRecord>, StoreError> {
        let row = db::query("SELECT * FROM media WHERE id = $1")
            .bind(id)
            .fetch_optional(&self.store.readers)
            .await?;
        let found = self.read_rows(row.as_slice())?;
        Ok(found.into_iter().next())
    }

    /// Returns files of a session, the newest first, from after `before` on: the time and id of the
    /// last one of an earlier page.
    pub async fn list_media(
        self,
        session: &Life,
        state: Option<MediaState>,
        before: Option<(Timestamp, &str)>,
        limit: u32,
    ) -> Result<Vec<MediaRecord>, StoreError> {
        let (at, id) = before.map_or((i64::MAX, ""), |(at, id)| (at.as_millisecond(), id));
        let sql = "SELECT * FROM media WHERE session = $1 AND (created_at, id) < ($2, $3) AND ($4 IS NULL OR state = $4) \
                   ORDER BY created_at DESC, id DESC LIMIT $5";
        let query = db::query(sql).bind(session).bind(at).bind(id);
        let query = query.bind(state.map(|state| state.into_str())).bind(limit);
        let rows = query.fetch_all(&self.store.readers).await?;
        self.read_rows(&rows)
    }

    /// Returns the current lives that have waiting downloads, due or not.
    pub async fn lives_with_downloads(self) -> Result<Vec<Life>, StoreError> {
        let sql = "SELECT DISTINCT session FROM media WHERE state = 'waiting'";
        let lives: Vec<i64> = db::query_scalar(sql).fetch_all(&self.store.readers).await?;
        let current = lives
            .into_iter()
            .filter_map(|life| self.store.lives.find_life(life));
        Ok(current
            .filter(|life| self.store.lives.is_current(life))
            .collect())
    }

    /// Returns the downloads of a session that are due now, the longest due first.
    pub async fn due_downloads(
        self,
        session: &Life,
        now: Timestamp,
        limit: u32,
    ) -> Result<Vec<MediaRecord>, StoreError> {
        // A wait longer than the longest possible one was set while the system clock was wrong.
        let sql = "SELECT * FROM media WHERE state = 'waiting' AND session = $1 AND (due_at <= $2 OR due_at > $4) \
                   ORDER BY due_at LIMIT $3";
        let query = db::query(sql)
            .bind(session)
            .bind(now.as_millisecond())
            .bind(limit);
        let query = query.bind(
            now.saturating_add(MAX_RETRY_DELAY)
                .unwrap_or(Timestamp::MAX)
                .as_millisecond(),
        );
        let rows = query.fetch_all(&self.store.readers).await?;
        self.read_rows(&rows)
    }

    fn read_rows(self, rows: &[Row]) -> Result<Vec<MediaRecord>, StoreError> {
        let mut unreadable = UnreadableRows::new("media");
        let records = rows
            .iter()
            .map(|row| media_from_row(row, self.store, &mut unreadable))
            .collect();
        unreadable.report();
        records
    }

    /// Records that a file is stored. Returns whether it was still waiting; otherwise nothing is
    /// recorded.
    pub async fn mark_media_stored(self, id: &str, facts: MediaFacts) -> Result<bool, StoreError> {
        self.store
            .writer
            .apply_change(TransitionMedia {
                id: id.to_owned(),
                to: MediaTransition::Stored(facts),
            })
            .await
    }

    /// Schedules a failed download to be tried again at `due_at`.
    pub async fn postpone_download(
        self,
        id: &str,
        due_at: Timestamp,
        error: String,
    ) -> Result<(), StoreError> {
        self.store
            .writer
            .apply_change(TransitionMedia {
                id: id.to_owned(),
                to: MediaTransition::Postponed(due_at, error),
            })
            .await
            .map(drop)
    }

    /// Records a new location at WhatsApp, to be tried at once.
    pub async fn set_media_source(self, id: &str, source: String) -> Result<(), StoreError> {
        self.store
            .writer
            .apply_change(TransitionMedia {
                id: id.to_owned(),
                to: MediaTransition::Moved(source, self.store.sealer.clone()),
            })
            .await
            .map(drop)
    }

    /// Records that a download failed for good.
    pub async fn mark_media_failed(self, id: &str, error: String) -> Result<(), StoreError> {
        self.store
            .writer
            .apply_change(TransitionMedia {
                id: id.to_owned(),
                to: MediaTransition::Failed(error),
            })
            .await
            .map(drop)
    }

    /// Requests a file that is not stored: it is downloaded, even if that failed before.
    pub async fn request_media(self, id: &str) -> Result<(), StoreError> {
        self.store
            .writer
            .apply_change(TransitionMedia {
                id: id.to_owned(),
                to: MediaTransition::Requested,
            })
            .await
            .map(drop)
    }

    /// Records that a file is removed and must not be downloaded again; its content is a leftover
    /// until it is deleted.
    pub async fn mark_media_removed(self, id: &str) -> Result<(), StoreError> {
        self.store
            .writer
            .apply_change(TransitionMedia {
                id: id.to_owned(),
                to: MediaTransition::Removed,
            })
            .await
            .map(drop)
    }

    /// Returns whether a file with this hash is still needed.
    pub async fn is_media_needed(self, sha256: &str) -> Result<bool, StoreError> {
        let sql = "SELECT EXISTS (SELECT 1 FROM media WHERE state = 'stored' AND sha256 = $1)";
        Ok(db::query_scalar(sql)
            .bind(sha256)
            .fetch_one(&self.store.readers)
            .await?)
    }
}

/// Passes the place of a file's source on.
fn with_place<T>(life: i64, id: &str, work: impl FnOnce(&SealedPlace<'_>) -> T) -> T {
    work(&SealedPlace::of_life("media", life, &[id]))
}

/// Makes the source of a file what is stored: it has the key of the file.
pub(in crate::store) fn seal_media(sealer: &Sealer, new: &mut NewMedia) -> Result<(), StoreError> {
    if let Some(source) = new.source.take() {
        let seal = |place: &SealedPlace<'_>| sealer.seal_text(place, source);
        new.source = Some(with_place(new.session.id(), &new.id, seal)?);
    }
    Ok(())
}

/// Reads a record. A source that cannot be opened is left out: only downloads need it.
fn media_from_row(
    row: &Row,
    store: &Store,
    unreadable: &mut UnreadableRows,
) -> Result<MediaRecord, StoreError> {
    let state: &str = row.get("state");
    let unknown = |_| StoreError::new(format!("a file is in the unknown state {state}"));
    let state = state.parse().map_err(unknown)?;
    let number = |name: &str| {
        row.get::<Option<i64>, _>(name)
            .and_then(|number| u32::try_from(number).ok())
    };
    let message = |chat, sender, id| MessageKey { chat, sender, id };
    let facts = MediaFacts {
        mime_type: row.get("mime_type"),
        filename: row.get("filename"),
        size: row
            .get::<Option<i64>, _>("size")
            .and_then(|size| u64::try_from(size).ok()),
        sha256: row.get("sha256"),
        width: number("width"),
        height: number("height"),
        duration: number("duration"),
        pages: number("pages"),
    };
    let key: (Option<String>, Option<String>, Option<String>) = (
        row.get("message_chat"),
        row.get("sender"),
        row.get("message_id"),
    );
    let (id, life): (String, i64) = (row.get("id"), row.get("session"));
    let open = |stored| with_place(life, &id, |place| store.sealer.open_text(place, stored));
    let source = row.try_get::<Option<String>, _>("source");
    let source = source.map_err(StoreError::from);
    let source = source.and_then(|stored| stored.map(open).transpose());
    let source = unreadable.keep(&id, source).flatten();
    Ok(MediaRecord {
        id,
        session: store
            .lives
            .find_life(life)
            .unwrap_or_else(|| Life::for_gateway("")),
        message: key
            .0
            .zip(key.1)
            .zip(key.2)
            .map(|((chat, sender), id)| message(chat, sender, id)),
        chat: row.get("chat"),
        kind: row.get("type"),
        facts,
        source,
        state,
        attempts: number("attempts").unwrap_or_default(),
        error: row.get("error"),
        created_at: to_timestamp(row.get("created_at")),
        stored_at: row.get::<Option<i64>, _>("stored_at").map(to_timestamp),
    })
}

/// Converts to SQLite's signed integers.
fn to_signed(size: Option<u64>) -> Option<i64> {
    size.map(|size| i64::try_from(size).unwrap_or(i64::MAX))
}

struct AddMedia {
    media: Vec<NewMedia>,
}

impl StoreChange for AddMedia {
    type Answer = ();

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<(), db::Error> {
        for new in &self.media {
            insert_media(connection, new, now).await?;
        }
        Ok(())
    }
}

/// Inserts the record of a file; an existing one stays as it is.
pub(in crate::store) async fn insert_media(
    connection: &mut Connection,
    new: &NewMedia,
    now: Timestamp,
) -> Result<(), db::Error> {
    let NewMedia {
        id,
        session,
        message,
        kind,
        facts,
        source,
        state,
    } = new;
    let stored_at = (*state == MediaState::Stored).then(|| now.as_millisecond());
    let sql = "INSERT INTO media (id, session, message_id, message_chat, sender, chat, type, mime_type, filename, \
                       size, width, height, duration, pages, sha256, source, state, due_at, created_at, stored_at) \
                       VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, $12, $13, $14, $15, $16, $17, $18, $18, $19) \
                       ON CONFLICT DO NOTHING";
    let key = message.as_ref().map(|(key, _)| key);
    let query = db::query(sql).bind(id).bind(session);
    let query = query
        .bind(key.map(|key| &key.id))
        .bind(key.map(|key| &key.chat));
    let query = query
        .bind(key.map(|key| &key.sender))
        .bind(message.as_ref().map(|(_, chat)| chat))
        .bind(kind);
    let query = query
        .bind(&facts.mime_type)
        .bind(&facts.filename)
        .bind(to_signed(facts.size));
    let query = query
        .bind(facts.width)
        .bind(facts.height)
        .bind(facts.duration)
        .bind(facts.pages)
        .bind(&facts.sha256);
    let query = query
        .bind(source)
        .bind(state.into_str())
        .bind(now.as_millisecond())
        .bind(stored_at);
    query.execute(&mut *connection).await?;
    if *state == MediaState::Stored {
        let sql = "DELETE FROM media_leftovers WHERE sha256 = $1";
        db::query(sql)
            .bind(&facts.sha256)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

struct TransitionMedia {
    id: String,
    to: MediaTransition,
}

/// The new state of a file.
enum MediaTransition {
    Stored(MediaFacts),
    Postponed(Timestamp, String),
    Moved(String, Sealer),
    Failed(String),
    Requested,
    Removed,
}

impl StoreChange for TransitionMedia {
    /// Whether it changed a row.
    type Answer = bool;

    fn concerns_deliveries(_: &Self::Answer) -> bool {
        false
    }

    /// A file that was removed in the meantime stays removed.
    async fn write(&self, connection: &mut Connection, now: Timestamp) -> Result<bool, db::Error> {
        let now = now.as_millisecond();
        if matches!(self.to, MediaTransition::Removed) {
            let sql = "INSERT INTO media_leftovers (sha256) SELECT sha256 FROM media \
                       WHERE id = $1 AND state = 'stored' AND sha256 IS NOT NULL ON CONFLICT DO NOTHING";
            db::query(sql)
                .bind(&self.id)
                .execute(&mut *connection)
                .await?;
        }
        let query = match &self.to {
            MediaTransition::Stored(facts) => db::query(
                "UPDATE media SET state = 'stored', stored_at = $2, error = NULL, size = $3, sha256 = $4, \
                 width = COALESCE($5, width), height = COALESCE($6, height), duration = COALESCE($7, duration), \
                 mime_type = COALESCE($8, mime_type), pages = COALESCE($9, pages) WHERE id = $1 AND state = 'waiting'",
            )
            .bind(&self.id)
            .bind(now)
            .bind(to_signed(facts.size))
            .bind(&facts.sha256)
            .bind(facts.width)
            .bind(facts.height)
            .bind(facts.duration)
            .bind(&facts.mime_type)
            .bind(facts.pages),
            MediaTransition::Postponed(due_at, error) => db::query(
                "UPDATE media SET attempts = attempts + 1, due_at = $2, error = $3 WHERE id = $1 AND state = 'waiting'",
            )
            .bind(&self.id)
            .bind(due_at.as_millisecond())
            .bind(error),
            MediaTransition::Moved(source, sealer) => {
                let life = db::query_scalar("SELECT session FROM media WHERE id = $1").bind(&self.id);
                let Some(life) = life.fetch_optional(&mut *connection).await? else {
                    return Ok(false);
                };
                let seal = |place: &SealedPlace<'_>| sealer.seal_text(place, source.clone());
                db::query("UPDATE media SET source = $2, due_at = $3 WHERE id = $1")
                    .bind(&self.id)
                    .bind(with_place(life, &self.id, seal)?)
                    .bind(now)
            }
            MediaTransition::Failed(error) => {
                db::query("UPDATE media SET state = 'failed', error = $2 WHERE id = $1 AND state = 'waiting'")
                    .bind(&self.id)
                    .bind(error)
            }
            MediaTransition::Requested => db::query(
                "UPDATE media SET state = 'waiting', attempts = 0, due_at = $2 \
                 WHERE id = $1 AND state IN ('remote', 'waiting', 'failed') AND source IS NOT NULL",
            )
            .bind(&self.id)
            .bind(now),
            MediaTransition::Removed => {
                db::query("UPDATE media SET state = 'removed', source = NULL WHERE id = $1").bind(&self.id)
            }
        };
        Ok(query.execute(connection).await?.rows_affected() > 0)
    }
}
