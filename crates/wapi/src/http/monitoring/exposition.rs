//! The Prometheus text format, version 0.0.4. Pure.

use std::fmt::{Display, Write};

use crate::telemetry::counters::Histogram;

/// The type of a metric family.
#[derive(Debug, Clone, Copy)]
pub enum MetricKind {
    Counter,
    Gauge,
}

/// A page under construction.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
    /// The family that samples are added to.
    family: &'static str,
}

impl Exposition {
    /// Begins a family; its samples follow.
    pub fn begin_family(&mut self, name: &'static str, kind: MetricKind, help: &str) {
        let kind = match kind {
            MetricKind::Counter => "counter",
            MetricKind::Gauge => "gauge",
        };
        self.write_head(name, kind, help);
    }

    pub fn add_sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.write_sample("", labels, value);
    }

    pub fn add_histogram<const N: usize>(
        &mut self,
        name: &'static str,
        help: &str,
        histogram: &Histogram<N>,
    ) {
        self.write_head(name, "histogram", help);
        let (buckets, all, sum) = histogram.read();
        for (bound, count) in buckets {
            self.write_sample("_bucket", &[("le", &bound.to_string())], count);
        }
        self.write_sample("_bucket", &[("le", "+Inf")], all);
        self.write_sample("_sum", &[], sum);
        self.write_sample("_count", &[], all);
    }

    pub fn finish(self) -> String {
        self.text
    }

    fn write_head(&mut self, name: &'static str, kind: &str, help: &str) {
        self.family = name;
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn write_sample(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escape_label(value)))
            .collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        let name = self.family;
        self.write(format_args!("{name}{suffix}{labels} {value}\n"));
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.text
            .write_fmt(text)
            .expect("writing to a String cannot fail");
    }
}

fn escape_label(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use crate::http::monitoring::exposition::*;

    #[test]
    fn a_page_is_what_prometheus_reads() {
        let mut page = Exposition::default();
        page.begin_family("things", MetricKind::Gauge, "Things.");
        page.add_sample(&[("name", "a \"b\"\\\n")], 2);
        page.add_sample(&[], 0.5);
        let expected = "# HELP things Things.\n# TYPE things gauge\nthings{name=\"a \\\"b\\\"\\\\\\n\"} 2\nthings 0.5\n";
        assert_eq!(page.finish(), expected);
    }
}
