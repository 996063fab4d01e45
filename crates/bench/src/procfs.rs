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

/// Bytes that a process has made the kernel write to a disk, from `/proc/PID/io`: pages it has dirtied, whenever they are written.
pub fn written(io: &str) -> Option<u64> {
    number(io, "write_bytes")
}

/// How often a thread has given its core away, of its own will or not, from `/proc/PID/task/TID/status`.
pub fn switches(status: &str) -> Option<u64> {
    Some(number(status, "voluntary_ctxt_switches")? + number(status, "nonvoluntary_ctxt_switches")?)
}

/// The number behind `name:` on a line of its own.
fn number(text: &str, name: &str) -> Option<u64> {
    let line = text
        .lines()
        .find_map(|line| line.strip_prefix(name)?.strip_prefix(':'))?;
    line.trim().parse().ok()
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
    fn what_is_written_is_neither_what_is_read_nor_what_was_taken_back() {
        let io = "rchar: 9\nwchar: 77\nsyscr: 1\nsyscw: 2\nread_bytes: 4096\nwrite_bytes: 81920\ncancelled_write_bytes: 512\n";
        assert_eq!(written(io), Some(81_920));
        assert_eq!(written("rchar: 9\nwrite_bytes: many\n"), None);
    }

    #[test]
    fn switches_of_both_kinds_count() {
        let status = "Name:\twapi\nvoluntary_ctxt_switches:\t150\nnonvoluntary_ctxt_switches:\t7\n";
        assert_eq!(switches(status), Some(157));
        assert_eq!(switches("voluntary_ctxt_switches:\t150\n"), None);
    }

    #[test]
    fn a_process_without_children_has_none() {
        assert_eq!((first_child("17 18 "), first_child("")), (Some(17), None));
    }
}
