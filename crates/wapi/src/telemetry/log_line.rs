//! Log lines as text or JSON: an event always takes one line, and shows no session's number.

use std::fmt::{self, Debug};

use serde_json::{Map, Value};
use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::fmt::FmtContext;
use tracing_subscriber::fmt::format::{FormatEvent, FormatFields, Writer};
use tracing_subscriber::fmt::time::{FormatTime, time};
use tracing_subscriber::registry::LookupSpan;

use crate::config::LogFormat;
use crate::model::masking::{self, escape_unprintable};

/// The field that holds a session's name, in every event.
pub const SESSION_FIELD: &str = "session";
/// Target of events that come through the `log` crate, whose actual target is in a field.
const LOG_TARGET: &str = "log";
const LOG_TARGET_FIELD: &str = "log.target";

/// Formats the lines.
pub struct LineFormatter(pub LogFormat);

impl<S, N> FormatEvent<S, N> for LineFormatter
where
    S: Subscriber + for<'a> LookupSpan<'a>,
    N: for<'a> FormatFields<'a> + 'static,
{
    fn format_event(
        &self,
        _: &FmtContext<'_, S, N>,
        mut writer: Writer<'_>,
        event: &Event<'_>,
    ) -> fmt::Result {
        let mut fields = EventFields::default();
        event.record(&mut fields);
        let metadata = event.metadata();
        let others = fields
            .fields
            .iter()
            .find_map(|(name, value)| (*name == LOG_TARGET_FIELD).then_some(value.as_str()));
        let target = others
            .flatten()
            .filter(|_| metadata.target() == LOG_TARGET)
            .unwrap_or(metadata.target())
            .to_owned();
        fields.fields.retain(|(name, _)| !name.starts_with("log."));
        let mut at = String::new();
        time().format_time(&mut Writer::new(&mut at))?;
        match self.0 {
            LogFormat::Text => write_text(&mut writer, &at, metadata.level(), &target, fields),
            LogFormat::Json => write_json(&mut writer, at, metadata.level(), target, fields),
        }
    }
}

fn write_text(
    writer: &mut Writer<'_>,
    at: &str,
    level: &Level,
    target: &str,
    fields: EventFields,
) -> fmt::Result {
    let (dim, colour, end) = match (writer.has_ansi_escapes(), *level) {
        (false, _) => ("", "", ""),
        (true, Level::ERROR) => ("\x1b[2m", "\x1b[31m", "\x1b[0m"),
        (true, Level::WARN) => ("\x1b[2m", "\x1b[33m", "\x1b[0m"),
        (true, Level::INFO) => ("\x1b[2m", "\x1b[32m", "\x1b[0m"),
        (true, _) => ("\x1b[2m", "\x1b[34m", "\x1b[0m"),
    };
    write!(
        writer,
        "{dim}{at}{end} {colour}{level:>5}{end} {dim}{}:{end} {}",
        escape_unprintable(target),
        fields.message
    )?;
    for (name, value) in fields.fields {
        match value {
            Value::String(word) if is_word(&word) => write!(writer, " {name}={word}")?,
            // Quoted, as JSON.
            value => write!(writer, " {name}={value}")?,
        }
    }
    writeln!(writer)
}

/// Returns whether a value needs no quotes.
fn is_word(value: &str) -> bool {
    !value.is_empty()
        && !value.contains(|sign: char| sign.is_whitespace() || matches!(sign, '"' | '=' | '\\'))
}

fn write_json(
    writer: &mut Writer<'_>,
    at: String,
    level: &Level,
    target: String,
    fields: EventFields,
) -> fmt::Result {
    let mut line = Map::from_iter([
        ("timestamp".to_owned(), Value::String(at)),
        ("level".to_owned(), Value::String(level.to_string())),
        (
            "target".to_owned(),
            Value::String(escape_unprintable(&target).into_owned()),
        ),
        ("message".to_owned(), Value::String(fields.message)),
    ]);
    for (name, value) in fields.fields {
        line.entry(name).or_insert(value);
    }
    writeln!(writer, "{}", Value::Object(line))
}

/// Content of an event, ready to be shown.
#[derive(Default)]
struct EventFields {
    message: String,
    fields: Vec<(&'static str, Value)>,
}

impl EventFields {
    fn write_text(&mut self, field: &Field, text: &str) {
        match field.name() {
            "message" => self.message = escape_unprintable(text).into_owned(),
            name => self
                .fields
                .push((name, Value::String(mask_field(name, text)))),
        }
    }
}

/// Returns the text of a field as shown in logs and reports.
pub fn mask_field(field: &str, text: &str) -> String {
    if field == SESSION_FIELD {
        masking::mask_session(text)
    } else {
        escape_unprintable(text).into_owned()
    }
}

impl Visit for EventFields {
    fn record_str(&mut self, field: &Field, value: &str) {
        self.write_text(field, value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.write_text(field, &format!("{value:?}"));
    }

    fn record_i64(&mut self, field: &Field, value: i64) {
        self.fields.push((field.name(), value.into()));
    }

    fn record_u64(&mut self, field: &Field, value: u64) {
        self.fields.push((field.name(), value.into()));
    }

    fn record_f64(&mut self, field: &Field, value: f64) {
        self.fields.push((field.name(), value.into()));
    }

    fn record_bool(&mut self, field: &Field, value: bool) {
        self.fields.push((field.name(), value.into()));
    }
}

#[cfg(test)]
mod tests {
    use std::io::Write;
    use std::sync::{Arc, Mutex};

    use tracing_subscriber::layer::SubscriberExt;

    use crate::telemetry::log_line::*;

    #[derive(Clone, Default)]
    struct Written(Arc<Mutex<Vec<u8>>>);

    impl Write for Written {
        fn write(&mut self, bytes: &[u8]) -> std::io::Result<usize> {
            self.0.lock().unwrap().write(bytes)
        }

        fn flush(&mut self) -> std::io::Result<()> {
            Ok(())
        }
    }

    /// Returns the lines of a log whose events carry hostile values.
    fn hostile(format: LogFormat) -> Vec<String> {
        let written = Written::default();
        let writer = written.clone();
        let lines = tracing_subscriber::fmt::layer()
            .event_format(LineFormatter(format))
            .with_ansi(false);
        let subscriber =
            tracing_subscriber::registry().with(lines.with_writer(move || writer.clone()));
        tracing::subscriber::with_default(subscriber, || {
            for name in [
                "375447034810",
                "shop\n2026-01-01 ERROR forged",
                "a\x1b]0;owned\x07b",
                "\u{202e}pohs",
                "\u{9b}2J",
            ] {
                tracing::info!(session = name, "as a text");
                tracing::info!(session = %name, "as it shows itself");
                tracing::info!(session = ?name, count = 7, "as it is debugged");
                tracing::error!(error = name, reason = %name, "{name}");
            }
        });
        let bytes = written.0.lock().unwrap().clone();
        String::from_utf8(bytes)
            .unwrap()
            .lines()
            .map(str::to_owned)
            .collect()
    }

    #[test]
    fn whatever_is_said_a_line_stays_a_line_without_signs_that_do_something() {
        for format in [LogFormat::Text, LogFormat::Json] {
            let lines = hostile(format);
            assert_eq!(lines.len(), 20, "{format:?}: {lines:#?}");
            for line in &lines {
                assert_eq!(escape_unprintable(line), line.as_str());
            }
            let about_the_number = lines[..3].join("");
            assert!(
                !about_the_number.contains("375447034810") && about_the_number.contains("sha256:"),
                "{about_the_number}"
            );
        }
    }

    #[test]
    fn a_line_of_json_is_an_object_with_fields_of_their_own() {
        for line in hostile(LogFormat::Json) {
            let line: Value = serde_json::from_str(&line).unwrap();
            for member in ["timestamp", "level", "target", "message"] {
                assert!(line[member].is_string(), "{line}");
            }
            assert!(
                line["session"].is_string() || line["error"].is_string(),
                "{line}"
            );
            assert!(line.get("count").is_none_or(|count| *count == 7), "{line}");
        }
    }
}
