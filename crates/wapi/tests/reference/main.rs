//! Generated files: `config.default.toml` and the generated parts of the reference.
//!
//! `WAPI_TESTS_UPDATE_REFERENCE=1 cargo test -p wapi --test reference` writes them; without the
//! variable, the tests fail where a file is not as it would be written.

mod event_table;
mod events;
mod markdown;
mod message_kinds;
mod problems;
mod routes;
mod schema;
mod settings;

use std::path::Path;

/// Compares a file of the project with the text made from its present one, or writes it.
fn check_generated_file(path: &str, generate: impl FnOnce(&str) -> String) {
    let file = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(path);
    let present = std::fs::read_to_string(&file).unwrap_or_else(|error| panic!("{path}: {error}"));
    let generated = generate(&present);
    if std::env::var_os("WAPI_TESTS_UPDATE_REFERENCE").is_some() {
        if generated != present {
            std::fs::write(&file, generated).unwrap_or_else(|error| panic!("{path}: {error}"));
        }
        return;
    }
    let mut lines = generated.lines().zip(present.lines()).enumerate();
    let different = lines.find(|(_, (generated, present))| generated != present);
    let place = different.map_or_else(
        || "one is longer than the other".to_owned(),
        |(index, (generated, present))| {
            format!(
                "line {}\n  is        {present}\n  should be {generated}",
                index + 1
            )
        },
    );
    assert!(
        generated == present,
        "{path} is stale: {place}\nRun WAPI_TESTS_UPDATE_REFERENCE=1 cargo test -p wapi --test reference, and commit the result."
    );
}
