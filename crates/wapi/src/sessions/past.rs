//! History-sync progress as the API shows it. Pure.

use crate::event::HistoryProgress;
use crate::store::Past;

/// Complete, in percent.
const ALL: u8 = 100;

/// Converts saved progress to its API form.
pub fn shown(past: &Past) -> HistoryProgress {
    let status = match past {
        Past { lost: 1.., .. } => "incomplete",
        Past { waiting: 1.., .. } => "receiving",
        Past { progress: ALL, .. } => "complete",
        Past {
            started_at: Some(_),
            ..
        } => "receiving",
        Past { .. } => "waiting",
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
    use super::*;
    use jiff::Timestamp;

    #[test]
    fn it_is_complete_when_the_phone_says_so_and_nothing_is_open() {
        let started_at = Some(Timestamp::UNIX_EPOCH);
        for (past, status) in [
            (Past::default(), "waiting"),
            (
                Past {
                    started_at,
                    waiting: 1,
                    ..Past::default()
                },
                "receiving",
            ),
            (
                Past {
                    started_at,
                    progress: 50,
                    ..Past::default()
                },
                "receiving",
            ),
            (
                Past {
                    started_at,
                    progress: 100,
                    waiting: 1,
                    ..Past::default()
                },
                "receiving",
            ),
            (
                Past {
                    started_at,
                    progress: 100,
                    ..Past::default()
                },
                "complete",
            ),
            (
                Past {
                    started_at,
                    progress: 100,
                    lost: 1,
                    ..Past::default()
                },
                "incomplete",
            ),
        ] {
            assert_eq!(shown(&past).status, status, "{past:?}");
        }
    }
}
