//! The `wapi` program itself, for what happens before it serves.

use std::collections::BTreeMap;
use std::path::Path;
use std::process::Stdio;

use tempfile::TempDir;
use tokio::process::Command;

use super::PATIENCE;

/// One run of the program, with exactly these variables and in a folder of its own.
pub struct Wapi {
    variables: BTreeMap<String, String>,
    folder: TempDir,
}

/// What it left behind.
#[derive(Debug)]
pub struct Ended {
    pub success: bool,
    pub stdout: String,
    pub stderr: String,
}

impl Wapi {
    /// The least that starts: a webhook, a free port on loopback, a data folder.
    pub fn new() -> Self {
        let folder = tempfile::tempdir().expect("a temporary folder");
        let root = folder.path().join("data").display().to_string();
        Self { variables: BTreeMap::new(), folder }
            .set("WAPI_GETTING_MESSAGES_WEBHOOK", "http://127.0.0.1:9/hooks/")
            .set("WAPI_INTERNAL_HOST", "127.0.0.1:0")
            .set("WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH", root)
    }

    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.variables.insert(name.to_owned(), value.to_string());
        self
    }

    pub fn unset(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    /// The folder it runs in.
    pub fn folder(&self) -> &Path {
        self.folder.path()
    }

    /// Runs it to its end, which must come soon.
    pub async fn run(&self, arguments: &[&str]) -> Ended {
        let child = Command::new(env!("CARGO_BIN_EXE_wapi"))
            .args(arguments)
            .env_clear()
            .envs(&self.variables)
            .current_dir(self.folder.path())
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .expect("the program starts");
        let output = tokio::time::timeout(PATIENCE, child.wait_with_output()).await;
        let output = output.expect("it ends by itself").expect("its output can be read");
        let text = |bytes: Vec<u8>| String::from_utf8(bytes).expect("its output is UTF-8");
        Ended { success: output.status.success(), stdout: text(output.stdout), stderr: text(output.stderr) }
    }

    /// Runs it, expects it to refuse to start, and returns what it says.
    pub async fn refusal(&self) -> String {
        let ended = self.run(&[]).await;
        assert!(!ended.success, "it started: {ended:?}");
        ended.stderr
    }
}
