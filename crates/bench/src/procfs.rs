//! What the kernel says of a process, read from the text of its files under `/proc`. Pure.

use std::time::Duration;

/// Ticks of `/proc/PID/stat` are hundredths of a second on every Linux.
const TICK: Duration = Duration::from_millis(10);

/// User and system time of all threads of a process, those that have ended included, from `/proc/PID/stat`.
pub fn cpu(stat: &str) -> Option<Duration> {
    // The name, in parentheses, may contain anything.
    let (_, fields) = stat.rsplit_once(')')?;
    let mut ticks = fields.split_whitespace().skip(11);
    let (user, system): (u32, u32) = (ticks.next()?.parse().ok()?, ticks.next()?.parse().ok()?);
    Some(TICK * (user + system))
}

/// A size in KiB from `/proc/PID/status`, such as `VmRSS` or `RssAnon`.
pub fn kib(status: &str, name: &str) -> Option<u64> {
    let line = status
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().strip_suffix("kB")?.trim().parse().ok()
}

/// The first process of `/proc/PID/task/PID/children`.
pub fn first_child(children: &str) -> Option<u32> {
    children.split_whitespace().next()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cpu_is_user_and_system_time_whatever_the_program_is_called() {
        let stat =
            "4242 (a ) b) S 1 4242 4242 0 -1 4194560 900 0 3 0 125 75 0 0 20 0 9 0 12345 1000 200";
        assert_eq!(cpu(stat), Some(Duration::from_secs(2)));
        assert_eq!(cpu("4242 (cut off"), None);
    }

    #[test]
    fn sizes_are_found_by_their_whole_name() {
        let status = "Name:\twapi\nVmRSSX:\t  1 kB\nVmRSS:\t   20480 kB\nRssAnon:\t  10240 kB\n";
        assert_eq!(
            (kib(status, "VmRSS"), kib(status, "RssAnon")),
            (Some(20_480), Some(10_240))
        );
        assert_eq!(kib(status, "VmSwap"), None);
    }

    #[test]
    fn a_process_without_children_has_none() {
        assert_eq!((first_child("17 18 "), first_child("")), (Some(17), None));
    }
}
