//! History-sync progress as the API shows it. Pure.

use crate::model::event::{HistoryProgress, HistoryStatus};
use crate::store::SyncProgress;

/// Complete, in percent.
const FULL_PROGRESS: u8 = 100;

/// Converts saved progress to its API form.
pub fn history_progress(past: &SyncProgress) -> HistoryProgress {
    let status = match past {
        SyncProgress { lost: 1.., .. } => HistoryStatus::Incomplete,
        SyncProgress { waiting: 1.., .. } => HistoryStatus::Receiving,
        SyncProgress {
            progress: FULL_PROGRESS,
            ..
        } => HistoryStatus::Complete,
        SyncProgress {
            started_at: Some(_),
            ..
        } => HistoryStatus::Receiving,
        SyncProgress {
            is_missing: true, ..
        } => HistoryStatus::None,
        SyncProgress { .. } => HistoryStatus::Waiting,
    };
    HistoryProgress {
        status,
        progress: past.progress,
        started_at: past.started_at,
        updated_at: past.updated_at,
    }
}

#[cfg(test)]
mod tests {
    use crate::sessions::history_sync::progress::*;
    use jiff::Timestamp;

    #[test]
    fn it_is_complete_when_the_phone_says_so_and_nothing_is_open() {
        let started_at = Some(Timestamp::UNIX_EPOCH);
        for (past, status) in [
            (SyncProgress::default(), HistoryStatus::Waiting),
            (
                SyncProgress {
                    is_missing: true,
                    ..SyncProgress::default()
                },
                HistoryStatus::None,
            ),
            // It has begun after all.
            (
                SyncProgress {
                    started_at,
                    is_missing: true,
                    ..SyncProgress::default()
                },
                HistoryStatus::Receiving,
            ),
            (
                SyncProgress {
                    started_at,
                    waiting: 1,
                    ..SyncProgress::default()
                },
                HistoryStatus::Receiving,
            ),
            (
                SyncProgress {
                    started_at,
                    progress: 50,
                    ..SyncProgress::default()
                },
                HistoryStatus::Receiving,
            ),
            (
                SyncProgress {
                    started_at,
                    progress: 100,
                    waiting: 1,
                    ..SyncProgress::default()
                },
                HistoryStatus::Receiving,
            ),
            (
                SyncProgress {
                    started_at,
                    progress: 100,
                    ..SyncProgress::default()
                },
                HistoryStatus::Complete,
            ),
            (
                SyncProgress {
                    started_at,
                    progress: 100,
                    lost: 1,
                    ..SyncProgress::default()
                },
                HistoryStatus::Incomplete,
            ),
        ] {
            assert_eq!(history_progress(&past).status, status, "{past:?}");
        }
    }
}
