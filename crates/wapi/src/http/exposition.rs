//! The Prometheus text format, version 0.0.4. Pure.

use std::fmt::{Display, Write};

use crate::meters::Histogram;

/// The type of a metric family.
#[derive(Debug, Clone, Copy)]
pub enum Kind {
    Counter,
    Gauge,
}

/// A page under construction.
#[derive(Debug, Default)]
pub struct Exposition {
    text: String,
    /// The family that samples are added to.
    name: &'static str,
}

impl Exposition {
    /// Begins a family; its samples follow.
    pub fn family(&mut self, name: &'static str, kind: Kind, help: &str) {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        self.head(name, kind, help);
    }

    pub fn sample(&mut self, labels: &[(&str, &str)], value: impl Display) {
        self.line("", labels, value);
    }

    pub fn histogram<const N: usize>(
        &mut self,
        name: &'static str,
        help: &str,
        histogram: &Histogram<N>,
    ) {
        self.head(name, "histogram", help);
        let (buckets, all, sum) = histogram.read();
        for (bound, count) in buckets {
            self.line("_bucket", &[("le", &bound.to_string())], count);
        }
        self.line("_bucket", &[("le", "+Inf")], all);
        self.line("_sum", &[], sum);
        self.line("_count", &[], all);
    }

    pub fn finish(self) -> String {
        self.text
    }

    fn head(&mut self, name: &'static str, kind: &str, help: &str) {
        self.name = name;
        self.write(format_args!("# HELP {name} {help}\n# TYPE {name} {kind}\n"));
    }

    fn line(&mut self, suffix: &str, labels: &[(&str, &str)], value: impl Display) {
        let labels: Vec<_> = labels
            .iter()
            .map(|(name, value)| format!("{name}=\"{}\"", escaped(value)))
            .collect();
        let labels = if labels.is_empty() {
            String::new()
        } else {
            format!("{{{}}}", labels.join(","))
        };
        let name = self.name;
        self.write(format_args!("{name}{suffix}{labels} {value}\n"));
    }

    fn write(&mut self, text: std::fmt::Arguments<'_>) {
        self.text
            .write_fmt(text)
            .expect("writing to a String cannot fail");
    }
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_is_what_prometheus_reads() {
        let mut page = Exposition::default();
        page.family("things", Kind::Gauge, "Things.");
        page.sample(&[("name", "a \"b\"\\\n")], 2);
        page.sample(&[], 0.5);
        let expected = "# HELP things Things.\n# TYPE things gauge\nthings{name=\"a \\\"b\\\"\\\\\\n\"} 2\nthings 0.5\n";
        assert_eq!(page.finish(), expected);
    }
}
