//! Commands for the writer, and the trait of a change.

use async_trait::async_trait;
use jiff::Timestamp;
use tokio::sync::oneshot;

use crate::store::db::{self, Connection};
use crate::store::{NewEvent, SentPayload, SettledDelivery, StoreError};

/// A change that writes itself, in a transaction shared with others. For changes that are not
/// frequent.
pub(in crate::store) trait StoreChange: Send + Sync + 'static {
    /// The result for the caller after the commit.
    type Answer: Send + 'static;

    /// Returns whether its statements concern deliveries, so that those in memory need rows before.
    fn needs_rows(&self) -> bool {
        false
    }

    /// Returns whether the change may record events, which the writer then reads from the log. A debug
    /// build refuses a change that records some all the same.
    fn may_record_events(&self) -> bool {
        true
    }

    /// Returns whether the change may affect deliveries that have rows, or endpoints.
    fn concerns_deliveries(_: &Self::Answer) -> bool {
        true
    }

    /// Writes the change. Called again, in a transaction of its own, if another change made the
    /// first one fail.
    fn write(
        &self,
        connection: &mut Connection,
        now: Timestamp,
    ) -> impl Future<Output = Result<Self::Answer, db::Error>> + Send;
}

/// A change that records no events, and concerns neither deliveries nor endpoints.
pub(in crate::store) trait PlainChange: Send + Sync + 'static {
    /// The result for the caller after the commit.
    type Answer: Send + 'static;

    /// Writes the change; see [`StoreChange::write`].
    fn write(
        &self,
        connection: &mut Connection,
        now: Timestamp,
    ) -> impl Future<Output = Result<Self::Answer, db::Error>> + Send;
}

/// A [`PlainChange`] as a change of any kind.
pub(super) struct Plain<C>(pub C);

impl<C: PlainChange> StoreChange for Plain<C> {
    type Answer = C::Answer;

    fn may_record_events(&self) -> bool {
        false
    }

    fn concerns_deliveries(_: &C::Answer) -> bool {
        false
    }

    fn write(
        &self,
        connection: &mut Connection,
        now: Timestamp,
    ) -> impl Future<Output = Result<C::Answer, db::Error>> + Send {
        self.0.write(connection, now)
    }
}

/// A command for the writer. The frequent kinds are written together, in statements of many rows.
pub(super) enum WriteCommand {
    Append(Vec<NewEvent>, oneshot::Sender<Result<(), StoreError>>),
    Settle(SettledDelivery, oneshot::Sender<Result<(), StoreError>>),
    /// Has no waiting caller.
    Payload(SentPayload),
    Change(Box<dyn ErasedChange>),
    /// A change that may wait for a commit of others.
    Deferred(Box<dyn ErasedChange>),
}

impl WriteCommand {
    pub const fn as_payload(&self) -> Option<&SentPayload> {
        if let Self::Payload(payload) = self {
            Some(payload)
        } else {
            None
        }
    }

    /// Returns whether a caller waits for it to be saved at once.
    pub const fn is_awaited(&self) -> bool {
        !matches!(self, Self::Payload(_) | Self::Deferred(_))
    }

    pub const fn may_wait(&self) -> bool {
        matches!(self, Self::Deferred(_))
    }

    pub fn needs_rows(&self) -> bool {
        matches!(self, Self::Change(change) | Self::Deferred(change) if change.needs_rows())
    }

    /// Sends the result to the caller, which may have stopped waiting.
    pub fn answer(self, outcome: Result<(), StoreError>) {
        match self {
            Self::Append(_, done) | Self::Settle(_, done) => drop(done.send(outcome)),
            Self::Payload(_) => {
                if let Err(error) = outcome {
                    tracing::warn!(%error, "failed to keep a sent message; a phone that cannot decrypt it will not get \
                     it again");
                }
            }
            Self::Change(change) | Self::Deferred(change) => change.answer(outcome),
        }
    }
}

/// A [`StoreChange`] of any type, with its waiting caller.
#[async_trait]
pub(super) trait ErasedChange: Send {
    async fn write(&mut self, connection: &mut Connection, now: Timestamp)
    -> Result<(), db::Error>;
    /// See [`StoreChange::needs_rows`].
    fn needs_rows(&self) -> bool;
    /// See [`StoreChange::may_record_events`].
    fn may_record_events(&self) -> bool;
    /// Valid after the write; see [`StoreChange::concerns_deliveries`].
    fn concerns_deliveries(&self) -> bool;
    fn answer(self: Box<Self>, outcome: Result<(), StoreError>);
}

pub(super) struct PendingChange<C: StoreChange> {
    pub change: C,
    /// Known before the commit, sent after it.
    pub answer: Option<C::Answer>,
    pub done: oneshot::Sender<Result<C::Answer, StoreError>>,
}

impl<C: StoreChange> PendingChange<C> {
    pub fn new(change: C, done: oneshot::Sender<Result<C::Answer, StoreError>>) -> Box<Self> {
        Box::new(Self {
            change,
            answer: None,
            done,
        })
    }
}

#[async_trait]
impl<C: StoreChange> ErasedChange for PendingChange<C> {
    async fn write(
        &mut self,
        connection: &mut Connection,
        now: Timestamp,
    ) -> Result<(), db::Error> {
        self.answer = Some(self.change.write(connection, now).await?);
        Ok(())
    }

    fn needs_rows(&self) -> bool {
        self.change.needs_rows()
    }

    fn may_record_events(&self) -> bool {
        self.change.may_record_events()
    }

    fn concerns_deliveries(&self) -> bool {
        self.answer.as_ref().is_none_or(C::concerns_deliveries)
    }

    fn answer(self: Box<Self>, outcome: Result<(), StoreError>) {
        let Self { answer, done, .. } = *self;
        let answer = outcome.map(|()| answer.expect("it was written, or there would be an error"));
        drop(done.send(answer));
    }
}

/// A change that writes without changing any data.
pub(in crate::store) struct EmptyWrite;

impl PlainChange for EmptyWrite {
    type Answer = ();

    async fn write(&self, connection: &mut Connection, _: Timestamp) -> Result<(), db::Error> {
        // SQLite writes the page of this number even if the number stays the same.
        let version: i64 = db::query_scalar("PRAGMA user_version")
            .fetch_one(&mut *connection)
            .await?;
        connection
            .execute(format!("PRAGMA user_version = {version}"))
            .await?;
        Ok(())
    }
}
