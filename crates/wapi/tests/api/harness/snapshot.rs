//! JSON for snapshots.

use serde_json::Value;

/// The same JSON with names for texts that are others in each run: moments, ids of events and of media, and those that the test
/// names itself, like `(&id, "[id]")`.
pub fn steady(value: &Value, names: &[(&str, &str)]) -> Value {
    match value {
        Value::String(text) => Value::String(steady_text(text, names)),
        Value::Array(list) => list.iter().map(|value| steady(value, names)).collect(),
        Value::Object(members) => members
            .iter()
            .map(|(name, value)| match name.as_str() {
                name if is_moment(name) && value.is_string() => {
                    (name.to_owned(), Value::from("[moment]"))
                }
                _ => (name.clone(), steady(value, names)),
            })
            .collect(),
        other => other.clone(),
    }
}

/// The name of a member that is a moment of the run. The end of something may be a promise.
fn is_moment(name: &str) -> bool {
    let is_end = name == "expires_at";
    matches!(name, "timestamp" | "at" | "since") || name.ends_with("_at") && !is_end
}

fn steady_text(text: &str, names: &[(&str, &str)]) -> String {
    if let Some((_, name)) = names.iter().find(|(named, _)| *named == text) {
        return (*name).to_owned();
    }
    let mut steady = text.to_owned();
    for (prefix, name) in [("evt_", "[event]"), ("med_", "[media]")] {
        if let Some(at) = steady.find(prefix) {
            let end = steady[at + prefix.len()..]
                .find(|sign: char| !sign.is_ascii_alphanumeric())
                .map_or(steady.len(), |length| at + prefix.len() + length);
            steady.replace_range(at..end, name);
        }
    }
    steady
}
