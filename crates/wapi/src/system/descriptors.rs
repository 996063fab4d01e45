//! Limit of open files and connections of the process.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Open files and connections of an online session: its database with log and index, and its line
/// to WhatsApp.
const PER_SESSION: u64 = 4;
/// Half of the limit is for callers, webhooks, and the gateway's own files, but no more than this.
const MAX_OTHERS: u64 = 4_096;

/// Raises the limit as far as the operator allows, and logs the result.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let (before, max) = (limit.current, limit.maximum);
    if before == max {
        tracing::info!(max = current_limit(), "open files and connections");
        return;
    }
    match setrlimit(
        Resource::Nofile,
        rustix::process::Rlimit {
            current: max,
            maximum: max,
        },
    ) {
        Ok(()) => tracing::info!(
            before,
            max = current_limit(),
            "raised the limit of open files and connections"
        ),
        Err(error) => {
            tracing::warn!(before, %error, "failed to raise the limit of open files and connections")
        }
    }
}

/// Warns if the limit is too low for this many sessions.
pub fn warn_if_low(sessions: usize) {
    let (limit, needed) = (current_limit(), limit_for(sessions as u64));
    if limit < needed {
        tracing::warn!(
            sessions,
            limit,
            needed,
            "the limit of open files and connections is too low for the sessions: some will not come online; \
             raise the hard limit (`LimitNOFILE=` of systemd, `--ulimit nofile=` of Docker, `ulimit -Hn` of a shell)"
        );
    }
}

/// Returns the limit that this many sessions need.
const fn limit_for(sessions: u64) -> u64 {
    let own = sessions * PER_SESSION;
    let others = if own < MAX_OTHERS { own } else { MAX_OTHERS };
    own + others
}

/// Returns the current limit.
pub fn current_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn half_of_a_small_limit_is_for_others_and_less_of_a_large_one() {
        assert_eq!(limit_for(0), 0);
        assert_eq!(limit_for(128), 1_024);
        assert_eq!(limit_for(500), 4_000);
        assert_eq!(limit_for(10_000), 44_096);
    }
}
