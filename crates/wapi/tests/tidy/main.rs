//! What must never be in this code. Each test is an invariant of ARCHITECTURE.md.

mod papers;
mod rooms;

use std::path::{Path, PathBuf};
use std::process::Command;

/// A source file: its path from `crates/`, and its text.
struct Source {
    path: String,
    text: String,
}

impl Source {
    /// The lines of code: without comments, and without the tests at the end.
    fn code(&self) -> impl Iterator<Item = (usize, &str)> {
        let tests = self
            .text
            .find("#[cfg(test)]\nmod tests {")
            .unwrap_or(self.text.len());
        let lines = self.text[..tests].lines().enumerate();
        lines
            .map(|(index, line)| (index + 1, line.split("//").next().unwrap_or("")))
            .filter(|(_, line)| !line.is_empty())
    }

    /// Whether nothing but tests is in it: `tests.rs`, or in a folder `tests/` of the code.
    fn is_of_tests(&self) -> bool {
        let is_inside = self.path.contains("/src/") && self.path.contains("/tests/");
        is_inside || self.path.ends_with("/tests.rs")
    }

    fn is_under(&self, places: &[&str]) -> bool {
        places.iter().any(|place| self.path.starts_with(place))
    }
}

fn crates() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .parent()
        .expect("crates/")
        .to_owned()
}

/// All Rust files of a folder under `crates/`, files of nothing but tests left out.
fn sources(folder: &str) -> Vec<Source> {
    let mut found = files(folder);
    found.retain(|source| !source.is_of_tests());
    found
}

/// All Rust files of a folder under `crates/`.
fn files(folder: &str) -> Vec<Source> {
    let found: Vec<_> = rust_files(&crates().join(folder))
        .into_iter()
        .map(|path| Source {
            text: std::fs::read_to_string(&path).unwrap(),
            path: path.strip_prefix(crates()).unwrap().display().to_string(),
        })
        .collect();
    assert!(!found.is_empty(), "nothing was found in {folder}");
    found
}

/// The paths of all Rust files below a folder; none where there is no such folder.
fn rust_files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    let mut folders = vec![folder.to_owned()];
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).into_iter().flatten() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                found.push(path);
            }
        }
    }
    found
}

/// Fails if code outside `allowed_targets` contains one of these words, and also if nothing inside does: then the test looks for the
/// wrong thing.
fn only_in(allowed: &[&str], words: &[&str]) {
    let mut inside = 0;
    let mut outside = Vec::new();
    for source in sources("wapi/src") {
        for (number, line) in source.code() {
            if words.iter().any(|word| line.contains(word)) {
                match source.is_under(allowed) {
                    true => inside += 1,
                    false => outside.push(format!("{}:{number}: {}", source.path, line.trim())),
                }
            }
        }
    }
    assert!(
        outside.is_empty(),
        "{words:?} belong into {allowed:?}:\n{}",
        outside.join("\n")
    );
    assert!(inside > 0, "{words:?} are nowhere in {allowed:?}");
}

#[test]
fn sql_is_only_in_the_store() {
    only_in(&["wapi/src/store/"], &["SELECT ", "INSERT ", "PRAGMA "]);
}

#[test]
fn the_library_of_the_database_is_only_in_one_room_of_the_store() {
    only_in(&["wapi/src/store/db/"], &["sqlx", "rusqlite"]);
}

#[test]
fn the_engine_is_only_in_the_whatsapp_room() {
    only_in(
        &["wapi/src/whatsapp/"],
        &["whatsapp_rust", "wacore", "waproto"],
    );
}

#[test]
fn the_web_framework_is_only_in_the_http_room() {
    only_in(
        &["wapi/src/http/", "wapi/src/app/mod.rs"],
        &["axum", "StatusCode"],
    );
}

#[test]
fn the_store_knows_neither_http_nor_whatsapp() {
    for source in sources("wapi/src/store") {
        for (number, line) in source.code() {
            for word in ["crate::http", "crate::whatsapp", "reqwest"] {
                assert!(!line.contains(word), "{}:{number}: {line}", source.path);
            }
        }
    }
}

#[test]
fn time_is_only_read_in_the_clock() {
    let words = [
        "Instant::now",
        "SystemTime",
        "Timestamp::now",
        "tokio::time",
        "thread::sleep",
    ];
    only_in(&["wapi/src/system/clock.rs"], &words);
}

/// The kernel would hold small pieces back, until what left before them is acknowledged or 40 ms have passed.
#[test]
fn every_socket_that_is_dialled_or_accepted_sends_small_pieces_at_once() {
    let folders = ["wapi/src", "simulator/src", "bench/src"];
    let sockets = [
        "TcpStream::connect(",
        ".accept().await",
        "redis::Client::open(",
    ];
    let with_sockets: Vec<_> = folders
        .into_iter()
        .flat_map(sources)
        .filter(|source| {
            source
                .code()
                .any(|(_, line)| sockets.iter().any(|socket| line.contains(socket)))
        })
        .collect();
    assert!(with_sockets.len() > 3, "the test looks for the wrong thing");
    let slow: Vec<_> = with_sockets
        .iter()
        .filter(|source| !source.text.contains("set_nodelay(true)"))
        .collect();
    assert!(
        slow.is_empty(),
        "{:?}",
        slow.iter().map(|source| &source.path).collect::<Vec<_>>()
    );
}

#[test]
fn tasks_are_only_spawned_by_the_lifecycle() {
    only_in(
        &["wapi/src/system/lifecycle.rs"],
        &["tokio::spawn", "task::spawn(", "thread::spawn"],
    );
    only_in(
        &[
            "wapi/src/system/lifecycle.rs",
            "wapi/src/whatsapp/connection/runtime.rs",
        ],
        &["spawn_blocking("],
    );
}

#[test]
fn each_database_says_when_it_is_synced() {
    let (mut opened, opens) = (
        0,
        [
            "SqliteConnectOptions::new()",
            "SqliteStoreConfig {",
            "SqliteStore::new",
        ],
    );
    for source in sources("wapi/src") {
        let code: String = source
            .code()
            .map(|(_, line)| line.to_owned() + "\n")
            .collect();
        for at in opens.iter().flat_map(|open| code.match_indices(open)) {
            let statement = &code[at.0..];
            let statement = &statement[..statement.find(';').unwrap_or(statement.len())];
            // What is in memory only has nothing to sync.
            let is_said =
                statement.contains("synchronous") || statement.contains(".in_memory(true)");
            assert!(
                is_said,
                "{} leaves it to a default:\n{statement}",
                source.path
            );
            opened += 1;
        }
    }
    assert!(opened >= 2, "few databases were found");
}

#[test]
fn names_that_must_last_are_given_in_one_place() {
    // The folder's own mark is written before anything else runs, and syncs for itself; a converted picture is not kept yet.
    let beside = [
        "wapi/src/system/durable_files.rs",
        "wapi/src/webhooks/dedup/folder_id.rs",
        "wapi/src/media/convert/heif.rs",
    ];
    only_in(&beside, &["fs::rename(", "hard_link(", "sync_all("]);
}

#[test]
fn files_that_say_they_are_pure_are() {
    let pure: Vec<_> = sources("wapi/src")
        .into_iter()
        .filter(|source| header(&source.text).contains("Pure"))
        .collect();
    assert!(pure.len() >= 5, "few files say that they are pure");
    for source in pure {
        for (number, line) in source.code() {
            for word in [
                "async ",
                ".await",
                "std::fs",
                "std::net::Tcp",
                "tokio::",
                "tracing::",
                "reqwest",
                "Mutex",
            ] {
                // A name that begins with a word is another word.
                let mut ends = line.match_indices(word).map(|(at, _)| at + word.len());
                let is_used = ends.any(|end| {
                    let is_name = |sign: char| sign.is_alphanumeric() || sign == '_';
                    !(word.ends_with(is_name) && line[end..].starts_with(is_name))
                });
                assert!(!is_used, "{}:{number}: {line}", source.path);
            }
        }
    }
}

#[test]
fn every_moment_that_callers_read_is_written_in_one_form() {
    let mut found = 0;
    let read_by_callers = ["wapi/src/model/", "wapi/src/http/"];
    for source in sources("wapi/src")
        .into_iter()
        .filter(|source| source.is_under(&read_by_callers))
    {
        let (mut is_written, mut above) = (false, "");
        for (number, line) in source.code() {
            match line.trim_start() {
                derive if derive.starts_with("#[derive(") => {
                    is_written = derive.contains("Serialize")
                }
                _ if line.starts_with('}') => is_written = false,
                field if is_written && field.contains("Timestamp") && field.ends_with(',') => {
                    found += 1;
                    assert!(
                        above.contains("crate::model::timestamp::"),
                        "{}:{number}: {field}",
                        source.path
                    );
                }
                _ => {}
            }
            above = line;
        }
    }
    assert!(found > 30, "the test looks for the wrong thing");
}

/// The `//!` lines at the top, and those `///` lines that follow at once.
fn header(text: &str) -> String {
    text.lines()
        .take_while(|line| line.starts_with("//!"))
        .collect()
}

#[test]
fn the_simulator_knows_nothing_of_the_gateway() {
    for source in sources("simulator/src") {
        for (number, line) in source.code() {
            assert!(!line.contains("wapi::"), "{}:{number}: {line}", source.path);
        }
    }
    let manifest = std::fs::read_to_string(crates().join("simulator/Cargo.toml")).unwrap();
    assert!(
        !manifest.lines().any(|line| line.starts_with("wapi ")),
        "the simulator depends on the gateway"
    );
}

#[test]
fn no_log_line_above_debug_carries_a_number_a_text_or_a_secret() {
    let loud = ["tracing::info!", "tracing::warn!", "tracing::error!"];
    let private = [
        "phone",
        "chat",
        "text",
        "body",
        "caption",
        "secret",
        "api_key",
        "qr =",
        "lid",
        "address =",
    ];
    for source in sources("wapi/src") {
        // A macro call may span lines.
        let code: String = source
            .code()
            .map(|(_, line)| line.to_owned() + "\n")
            .collect();
        for call in loud.iter().flat_map(|start| code.match_indices(start)) {
            let call = &code[call.0..];
            let call = &call[..call.find(");").unwrap_or(call.len())];
            // What stands in quotes is what we say, not what we know; the listener's own address is no secret.
            let said = call.split('"').step_by(2).collect::<String>();
            let leaks = private.iter().find(|word| said.contains(*word));
            assert!(
                leaks.is_none() || call.contains("%address, https"),
                "{}: {call}",
                source.path
            );
        }
    }
}

#[test]
fn no_file_of_any_crate_is_too_long_to_be_one_thing() {
    for Source { path, text } in files("") {
        let lines = text.lines().count();
        assert!(lines <= 500, "{path} has {lines} lines");
    }
}

#[test]
fn house_rules_that_a_machine_can_check() {
    for source in files("wapi/src").into_iter().chain(files("wapi/tests")) {
        let Source { path, text } = &source;
        assert!(
            text.starts_with("//! ") || path.ends_with("/tests.rs"),
            "{path} does not say what lives there"
        );
        let words = [
            concat!("#[ig", "nore"),
            concat!("allow(", "clippy"),
            concat!("to", "do!("),
            concat!("unimple", "mented!("),
        ];
        for word in words {
            assert!(!text.contains(word), "{path} contains {word}");
        }
        if path.starts_with("wapi/src") && !source.is_of_tests() {
            for (number, line) in source.code() {
                assert!(!line.contains(".unwrap()"), "{path}:{number}: {line}");
            }
        }
    }
    for name in ["utils", "helpers", "manager", "common"] {
        let found = sources("wapi/src")
            .into_iter()
            .find(|source| source.path.contains(name));
        assert!(found.is_none(), "what is called {name} has no room yet");
    }
}

#[test]
fn every_dependency_has_its_reason_beside_it() {
    let manifest = std::fs::read_to_string(crates().join("wapi/Cargo.toml")).unwrap();
    let mut above = "";
    let mut section = "";
    for line in manifest.lines() {
        if line.starts_with('[') {
            section = line;
        }
        let is_dependency = section.ends_with("dependencies]") && line.contains(" = ");
        // Crates of one kind may share a reason.
        assert!(
            !is_dependency || above.starts_with('#') || above.contains(" = "),
            "no reason for: {line}"
        );
        above = line;
    }
}

/// What `cargo tree` prints for the gateway alone: each crate with its features.
fn tree(arguments: &[&str]) -> String {
    let output = Command::new(env!("CARGO"))
        .args([
            "tree",
            "--package",
            "wapi",
            "--edges",
            "normal",
            "--format",
            "{p} {f}",
            "--locked",
            "--offline",
        ])
        .args(arguments)
        .current_dir(env!("CARGO_MANIFEST_DIR"))
        .output()
        .unwrap();
    assert!(
        output.status.success(),
        "{}",
        String::from_utf8_lossy(&output.stderr)
    );
    String::from_utf8(output.stdout).unwrap()
}

#[test]
fn a_release_checks_whatsapps_certificates() {
    const FEATURE: &str = "danger-skip-cert-chain-verify";
    assert!(
        !tree(&[]).contains(FEATURE),
        "a release build would not check WhatsApp's certificates"
    );
    assert!(
        tree(&["--features", "sandbox"]).contains(FEATURE),
        "the feature has another name now"
    );
    assert!(
        !tree(&[]).contains("wapi-simulator"),
        "the simulator is in a release build"
    );
}

#[test]
fn tls_is_rustls_with_ring_everywhere() {
    let tree = tree(&["--features", "sandbox"]);
    assert!(tree.contains("ring v"), "ring is not there");
    for name in [
        "openssl-sys v",
        "native-tls v",
        "aws-lc-sys v",
        "aws-lc-rs v",
    ] {
        assert!(!tree.contains(name), "{name} is there");
    }
}
