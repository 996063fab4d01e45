//! The tour of the quick start works as it stands: its lines are pasted one by one into a shell, next to the sandbox.

use std::path::{Path, PathBuf};

use tokio::process::Command;

use crate::harness::{Running, TestClient, Wapi, eventually};

/// What a shell takes as one command: lines that begin with `$ `, with those they go on in.
fn commands(readme: &str, from: &str, to: &str) -> Vec<String> {
    let tour = readme
        .split_once(from)
        .and_then(|(_, rest)| rest.split_once(to))
        .expect("the tour")
        .0;
    let mut commands: Vec<String> = Vec::new();
    for block in tour.split("```console\n").skip(1) {
        let mut goes_on = false;
        for line in block.split("```").next().expect("a block ends").lines() {
            match line.strip_prefix("$ ") {
                Some(command) => commands.push(command.to_owned()),
                None if goes_on => commands.last_mut().expect("it began").push_str(line),
                // What it answers.
                None => {}
            }
            let last = commands.last_mut().expect("a block begins with a command");
            goes_on = last.ends_with('\\');
            if goes_on {
                last.pop();
            }
        }
    }
    commands
}

/// Refusals fail, and what never ends is ended after a moment: somebody has pressed Ctrl-C.
const AS_A_PERSON: &str = r#"
    set -euo pipefail
    curl() {
        case " $* " in
            *" -N "*) command curl --fail-with-body -sS --max-time 2 "$@" || test $? = 28 ;;
            *) command curl --fail-with-body -sS --max-time 60 "$@" ;;
        esac
    }
"#;

async fn sandbox() -> (Running, String, PathBuf) {
    let program = Wapi::new();
    let running = program.starts(&["sandbox"]);
    let line = async || {
        let said = running.stdout();
        said.lines().find_map(|line| {
            line.trim()
                .strip_prefix("export ")
                .map(|line| format!("export {line}"))
        })
    };
    let line = eventually(line, async || {
        "the sandbox does not say where it is".to_owned()
    })
    .await;
    (running, line, program.keep())
}

async fn take(name: &str, from: &str, to: &str) {
    let readme = Path::new(env!("CARGO_MANIFEST_DIR"))
        .join("../..")
        .join(name);
    let commands = commands(&std::fs::read_to_string(readme).unwrap(), from, to);
    assert!(commands.len() > 12, "{commands:?}");
    let (running, where_it_is, folder) = sandbox().await;
    let address = where_it_is
        .split(['=', ' '])
        .nth(2)
        .and_then(|url| url.strip_prefix("http://"))
        .expect("its address");
    let client = TestClient::new(address.parse().unwrap());
    let mut said = String::new();
    let mut pasted = AS_A_PERSON.to_owned() + &where_it_is + "\n";
    for command in commands
        .iter()
        .filter(|command| !command.starts_with("export "))
    {
        // Variables are kept from line to line, as in one shell; what was called before is not called again.
        let script = format!("{pasted}{command}\n");
        let shell = Command::new("bash")
            .args(["-c", &script])
            .current_dir(&folder)
            .kill_on_drop(true)
            .output();
        let ended = shell.await.expect("bash is there");
        let answer = String::from_utf8_lossy(&ended.stdout).into_owned();
        let complaint = String::from_utf8_lossy(&ended.stderr);
        assert!(ended.status.success(), "{command}\n{answer}\n{complaint}");
        if command.starts_with(|first: char| first.is_ascii_uppercase()) {
            pasted += &format!("{command}\n");
        }
        if command.contains("scan-qr") {
            // Nobody types faster than a device comes online.
            let online =
                async || (client.info("shop").await.json()["status"] == "online").then_some(());
            eventually(online, async || {
                client.info("shop").await.json().to_string()
            })
            .await;
        }
        said += &answer;
    }
    for word in [
        "scan_qr",
        "\"status\":\"sent\"",
        "You said: ",
        "whsec_",
        "\"message.received\"",
        "data: {",
    ] {
        assert!(said.contains(word), "{word} is in no answer:\n{said}");
    }
    running.kill().await;
    std::fs::remove_dir_all(folder).unwrap();
}

#[tokio::test]
async fn the_tour_of_the_quick_start_works_pasted_line_by_line() {
    take(
        "docs/guide/quick-start.md",
        "## A tour with curl",
        "## Next steps",
    )
    .await;
}
