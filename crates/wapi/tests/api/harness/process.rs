//! The `wapi` program itself, for what happens before it serves.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::process::{Child, Command};
use wapi_simulator::Simulator;

use super::privacy::is_private;
use super::{PATIENCE, TestClient, TestReceiver, eventually, options};

/// One run of the program, with exactly these variables and in a folder of its own.
pub struct Wapi {
    program: PathBuf,
    variables: BTreeMap<String, String>,
    /// `None` once it was left to somebody else.
    folder: Option<TempDir>,
    /// How many files it may have open at most.
    descriptors: Option<u64>,
}

/// Every test of the program ends with a look at what others of the machine could read.
impl Drop for Wapi {
    fn drop(&mut self) {
        let data = self.data();
        if data.is_dir() && !std::thread::panicking() {
            is_private(&data);
        }
    }
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
        let program = env!("CARGO_BIN_EXE_wapi").into();
        Self {
            program,
            variables: BTreeMap::new(),
            folder: Some(folder),
            descriptors: None,
        }
        .set("WAPI_GETTING_MESSAGES_WEBHOOK", "http://127.0.0.1:9/hooks/")
        .set("WAPI_INTERNAL_HOST", "127.0.0.1:0")
        .set("WAPI_FILE_SYSTEM_ROOT_POINT_FULL_PATH", root)
    }

    pub fn set(mut self, name: &str, value: impl ToString) -> Self {
        self.variables.insert(name.to_owned(), value.to_string());
        self
    }

    /// The operator allows it no more open files than these.
    pub fn with_descriptors(mut self, most: u64) -> Self {
        self.descriptors = Some(most);
        self
    }

    /// Its data folder, unless a test set another one.
    pub fn data(&self) -> PathBuf {
        self.folder
            .as_ref()
            .map(|folder| folder.path().join("data"))
            .unwrap_or_default()
    }

    /// Runs a copy, which stays the same when the program is built anew meanwhile.
    pub fn with_a_copy_of_the_program(mut self) -> Self {
        let copy = self.folder().join("wapi");
        std::fs::copy(&self.program, &copy).expect("the program can be copied");
        self.program = copy;
        self
    }

    pub fn unset(mut self, name: &str) -> Self {
        self.variables.remove(name);
        self
    }

    /// The folder it runs in.
    pub fn folder(&self) -> &Path {
        self.folder.as_ref().expect("it was left to nobody").path()
    }

    /// Leaves the folder it ran in, for somebody to look at.
    pub fn keep(mut self) -> PathBuf {
        self.folder.take().expect("it was left to nobody").keep()
    }

    /// Runs it to its end, which must come soon.
    pub async fn run(&self, arguments: &[&str]) -> Ended {
        self.spawn(arguments).ends().await
    }

    /// Runs it, expects it to refuse to start, and returns what it says.
    pub async fn refusal(&self) -> String {
        let ended = self.run(&[]).await;
        assert!(!ended.success, "it started: {ended:?}");
        ended.stderr
    }

    /// Starts it with these arguments and waits for nothing.
    pub fn starts(&self, arguments: &[&str]) -> Running {
        self.spawn(arguments)
    }

    /// The same with so few file descriptors.
    pub fn launch_poor(&self, descriptors: u64) -> Running {
        self.start(&["serve"], Some(descriptors))
    }

    /// Starts it and waits for nothing.
    pub fn launch(&self) -> Running {
        self.spawn(&["serve"])
    }

    /// Starts it and waits until it answers; `address` is the one it was told to listen on.
    pub async fn serves(&self, address: SocketAddr) -> (Running, TestClient) {
        let running = self.launch();
        let connected = async || TcpStream::connect(address).await.ok();
        eventually(connected, async || "it does not listen".to_owned()).await;
        (running, TestClient::new(address))
    }

    fn spawn(&self, arguments: &[&str]) -> Running {
        self.start(arguments, self.descriptors)
    }

    fn start(&self, arguments: &[&str], descriptors: Option<u64>) -> Running {
        // Files, since a pipe that nobody reads fills up and stops the program.
        let output = |name: &str| Output::open(self.folder().join(name));
        let ((stdout, stdout_file), (stderr, stderr_file)) = (output("stdout"), output("stderr"));
        let mut command = match descriptors {
            None => Command::new(&self.program),
            Some(most) => {
                let mut shell = Command::new("/bin/sh");
                shell
                    .args(["-c", &format!("ulimit -n {most} && exec \"$0\" \"$@\"")])
                    .arg(&self.program);
                shell
            }
        };
        let child = command
            .args(arguments)
            .env_clear()
            .envs(&self.variables)
            .current_dir(self.folder())
            .stdin(Stdio::null())
            .stdout(stdout)
            .stderr(stderr)
            .kill_on_drop(true)
            .spawn();
        Running {
            child: child.expect("the program starts"),
            stdout: stdout_file,
            stderr: stderr_file,
            read: 0,
        }
    }
}

/// What one run writes, behind what earlier runs wrote.
struct Output {
    path: PathBuf,
    /// Where this run begins.
    from: u64,
}

impl Output {
    fn open(path: PathBuf) -> (File, Self) {
        let file = File::options()
            .create(true)
            .append(true)
            .open(&path)
            .expect("a file for its output");
        let from = file.metadata().expect("a file that is there").len();
        (file, Self { path, from })
    }

    fn text(&self) -> String {
        let mut file = File::open(&self.path).expect("its output is there");
        file.seek(SeekFrom::Start(self.from))
            .expect("a file can be read from any place");
        let mut written = Vec::new();
        file.read_to_end(&mut written)
            .expect("its output can be read");
        String::from_utf8_lossy(&written).into_owned()
    }
}

/// The program while it runs; it is killed with the test.
pub struct Running {
    child: Child,
    stdout: Output,
    stderr: Output,
    /// Bytes of the log that [`Running::logs`] is done with.
    read: usize,
}

impl Running {
    /// Asks it to end, as an operator does.
    pub async fn terminate(self) -> Ended {
        self.ask().await;
        self.ends().await
    }

    /// Asks it to end, and goes on.
    pub async fn ask(&self) {
        self.signal("-TERM").await;
    }

    /// Asks it to take up what has changed.
    pub async fn hang_up(&self) {
        self.signal("-HUP").await;
    }

    async fn signal(&self, name: &str) {
        let id = self.child.id().expect("it still runs").to_string();
        let asked = Command::new("kill")
            .args([name, &id])
            .status()
            .await
            .expect("kill is there");
        assert!(asked.success());
    }

    /// Holds it where it is, or lets it go on.
    pub async fn freezes(&self, is_frozen: bool) {
        let id = self.child.id().expect("it still runs").to_string();
        let signal = if is_frozen { "-STOP" } else { "-CONT" };
        let told = Command::new("kill")
            .args([signal, &id])
            .status()
            .await
            .expect("kill is there");
        assert!(told.success());
    }

    /// Ends it in the middle of whatever it does.
    pub async fn kill(mut self) {
        self.child.kill().await.expect("it can be killed");
    }

    /// From now on [`Self::peak`] counts; bytes it has in memory at the moment.
    pub fn begin_peak(&self) -> u64 {
        let id = self.child.id().expect("it still runs");
        std::fs::write(format!("/proc/{id}/clear_refs"), "5").expect("the kernel forgets the peak");
        self.memory("VmRSS:")
    }

    /// The most bytes it had in memory since.
    pub fn peak(&self) -> u64 {
        self.memory("VmHWM:")
    }

    fn memory(&self, name: &str) -> u64 {
        let id = self.child.id().expect("it still runs");
        let status = std::fs::read_to_string(format!("/proc/{id}/status")).expect("it still runs");
        let line = status
            .lines()
            .find_map(|line| line.strip_prefix(name))
            .expect("the kernel counts");
        line.trim()
            .trim_end_matches(" kB")
            .parse::<u64>()
            .expect("a number")
            * 1024
    }

    /// What it has printed so far.
    pub fn stdout(&self) -> String {
        self.stdout.text()
    }

    /// What it has logged so far.
    pub fn log(&self) -> String {
        self.stderr.text()
    }

    /// Waits for a line of its log with this in it, after the one found before.
    pub async fn logs(&mut self, wanted: &str) -> String {
        let look = async || {
            let log = self.log();
            let found = log[self.read..].find(wanted)? + self.read;
            let start = log[..found].rfind('\n').map_or(0, |end| end + 1);
            let end = log[found..].find('\n')? + found;
            Some((log[start..end].to_owned(), end))
        };
        let otherwise = async || {
            format!(
                "no line with {wanted:?} came after:\n{}",
                &self.log()[self.read..]
            )
        };
        let (line, end) = eventually(look, otherwise).await;
        self.read = end;
        line
    }

    async fn ends(self) -> Ended {
        self.ends_within(PATIENCE).await
    }

    /// Waits for its end, which must come within this time.
    pub async fn ends_within(mut self, limit: Duration) -> Ended {
        let status = tokio::time::timeout(limit, self.child.wait()).await;
        let status = status
            .unwrap_or_else(|_| panic!("it did not end within {limit:?}: {}", self.stderr.text()));
        let status = status.expect("its end can be waited for");
        Ended {
            success: status.success(),
            stdout: self.stdout.text(),
            stderr: self.stderr.text(),
        }
    }
}

/// The program, a simulated WhatsApp, and a webhook that a test reads, over any number of runs.
pub struct Surroundings {
    pub simulator: Simulator,
    pub webhook: TestReceiver,
    pub wapi: Wapi,
    pub address: SocketAddr,
}

impl Surroundings {
    pub async fn new() -> Self {
        let simulator = Simulator::start(options())
            .await
            .expect("the simulator starts");
        let (webhook, address) = (TestReceiver::start().await, free_address());
        let wapi = Wapi::new()
            .set("WAPI_INTERNAL_HOST", address)
            .set("WAPI_WHATSAPP_URL", simulator.ws_url())
            .set("WAPI_GETTING_MESSAGES_WEBHOOK", webhook.base());
        Self {
            simulator,
            webhook,
            wapi,
            address,
        }
    }
}

/// An address that was free a moment ago.
pub fn free_address() -> SocketAddr {
    let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
    listener.local_addr().expect("a bound listener")
}
