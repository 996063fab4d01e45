//! A change together with the event that reports it: both are saved, or neither.

use jiff::Timestamp;

use super::log;
use crate::store::NewEvent;
use crate::store::db::{self, Connection};
use crate::store::writer::StoreChange;

/// A change, and the event for those who follow such changes.
pub(in crate::store) struct ReportedChange<C> {
    pub change: C,
    pub event: Option<NewEvent>,
}

/// The answer of a change that is reported only if it has changed anything.
pub(in crate::store) trait ChangeAnswer: Send + 'static {
    fn has_changed(&self) -> bool;
}

impl ChangeAnswer for () {
    fn has_changed(&self) -> bool {
        true
    }
}

impl ChangeAnswer for bool {
    fn has_changed(&self) -> bool {
        *self
    }
}

impl<C> StoreChange for ReportedChange<C>
where
    C: StoreChange,
    C::Answer: ChangeAnswer + Sync,
{
    type Answer = C::Answer;

    fn needs_rows(&self) -> bool {
        self.change.needs_rows()
    }

    async fn write(
        &self,
        connection: &mut Connection,
        now: Timestamp,
    ) -> Result<Self::Answer, db::Error> {
        let answer = self.change.write(connection, now).await?;
        if let Some(event) = self.event.as_ref().filter(|_| answer.has_changed()) {
            log::record_events(connection, &[event], now).await?;
        }
        Ok(answer)
    }
}
