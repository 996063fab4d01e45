//! Bounds of a measured time, read from the buckets of its histogram. Pure.

/// Returns the least bound of the histogram `name` that this share of its samples keeps; `None`
/// without samples. `text` is in the form of Prometheus.
pub fn find_bound(text: &str, name: &str, share: f64) -> Option<f64> {
    let prefix = format!("{name}_bucket{{le=\"");
    let bucket = |line: &str| {
        let (bound, count) = line.strip_prefix(&prefix)?.split_once("\"} ")?;
        let bound = match bound {
            "+Inf" => f64::INFINITY,
            bound => bound.parse().ok()?,
        };
        Some((bound, count.trim().parse::<f64>().ok()?))
    };
    let buckets: Vec<_> = text.lines().filter_map(bucket).collect();
    let (_, all) = buckets.last().filter(|(_, all)| *all > 0.0)?;
    let enough = buckets.iter().find(|(_, count)| *count >= all * share);
    enough.map(|(bound, _)| *bound)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bound_is_that_of_the_first_bucket_with_enough_samples() {
        let text =
            "lag_bucket{le=\"0.1\"} 5\nlag_bucket{le=\"1.0\"} 9\nlag_bucket{le=\"+Inf\"} 10\n";
        assert_eq!(find_bound(text, "lag", 0.5), Some(0.1));
        assert_eq!(find_bound(text, "lag", 0.51), Some(1.0));
        assert_eq!(find_bound(text, "lag", 0.95), Some(f64::INFINITY));
        assert_eq!(find_bound(text, "other", 0.5), None);
        assert_eq!(find_bound("lag_bucket{le=\"+Inf\"} 0\n", "lag", 0.5), None);
    }
}
