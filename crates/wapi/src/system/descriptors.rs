//! Limit of open files and connections of the process.

use rustix::process::{Resource, getrlimit, setrlimit};

/// Raises the limit as far as the operator allows, and logs the result.
pub fn raise_limit() {
    let limit = getrlimit(Resource::Nofile);
    let (before, most) = (limit.current, limit.maximum);
    if before == most {
        tracing::info!(most = current_limit(), "open files and connections");
        return;
    }
    match setrlimit(
        Resource::Nofile,
        rustix::process::Rlimit {
            current: most,
            maximum: most,
        },
    ) {
        Ok(()) => tracing::info!(
            before,
            most = current_limit(),
            "raised the limit of open files and connections"
        ),
        Err(error) => {
            tracing::warn!(before, %error, "the limit of open files and connections cannot be raised")
        }
    }
}

/// Returns the current limit.
pub fn current_limit() -> u64 {
    getrlimit(Resource::Nofile).current.unwrap_or(u64::MAX)
}
