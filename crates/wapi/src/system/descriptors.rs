//! Limit of open files and connections of the process.

use rustix::process::{Resource, getrlimit, setrlimit};

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

/// Returns the current limit.
pub fn current_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
