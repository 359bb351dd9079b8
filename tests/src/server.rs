//! The real binary: started as a process, killed like one.
#![expect(clippy::missing_panics_doc, reason = "what a test cannot go on without fails it")]

use std::{
    path::{Path, PathBuf},
    process::{Command, Stdio},
    sync::OnceLock,
    time::Duration,
};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::Child,
    sync::watch,
};

/// Where the binary is: beside the test that asks.
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| built("circolo-under-test"))
}

/// The same program in its next version, whose read model of feeds shows no questions. It is built here, so that it is of
/// this source; only what depends on the difference is built again.
pub fn next_binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| {
        let mut cargo = Command::new(env!("CARGO"));
        cargo.args(["build", "--quiet", "--package", "circolo-tests", "--bin", "circolo-next", "--features", "next"]);
        let built_it = cargo.current_dir(env!("CARGO_MANIFEST_DIR")).status();
        assert!(built_it.is_ok_and(|status| status.success()), "the next version cannot be built");
        built("circolo-next")
    })
}

/// The binary of this name, beside the test that asks.
fn built(name: &str) -> PathBuf {
    let test = std::env::current_exe().unwrap_or_else(|error| panic!("this test is nowhere: {error}"));
    let profile = test.ancestors().nth(2).unwrap_or_else(|| panic!("{} is in no target folder", test.display()));
    let binary = profile.join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(binary.exists(), "{} is missing: cargo builds it with the tests", binary.display());
    binary
}

/// Where a server keeps its data.
#[derive(Debug, Clone)]
pub struct Storage {
    /// The data folder.
    pub folder: PathBuf,
    /// `--log`, `--views` and `--keys`, if they are not in the data folder, with spaces in between: one URL for log and read models, one
    /// for each of them, or all three.
    pub database: Option<String>,
}

impl Storage {
    /// The arguments that name it.
    pub fn arguments(&self) -> Vec<String> {
        let mut arguments = vec!["--data".to_owned(), self.folder.display().to_string()];
        if let Some(database) = &self.database {
            let urls: Vec<&str> = database.split(' ').collect();
            let views = urls.get(1).unwrap_or(&urls[0]);
            arguments.extend(["--log", urls[0], "--views", views].map(str::to_owned));
            arguments.extend(urls.get(2).iter().flat_map(|keys| ["--keys", keys].map(str::to_owned)));
        }
        arguments
    }

    /// Runs a subcommand to its end; what it printed, or panics with what it complained about.
    pub fn run(&self, subcommand: &[&str]) -> String {
        self.run_with(binary(), subcommand)
    }

    /// The same with another version of the program.
    pub fn run_with(&self, binary: &Path, subcommand: &[&str]) -> String {
        let output = Command::new(binary).args(subcommand).args(self.arguments()).output();
        let output = output.unwrap_or_else(|error| panic!("the binary cannot be started: {error}"));
        let complaint = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success(), "{subcommand:?} ended with {}: {complaint}", output.status);
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// The URL of the log, if it is not in the data folder.
    pub fn log_url(&self) -> Option<&str> {
        self.database.as_deref()?.split(' ').next()
    }

    /// Brings the keys of what is sealed here to where a copy of the log is to be used.
    pub fn bring_keys_to(&self, other: &Self) {
        let url = |storage: &Self| format!("sqlite:{}", storage.folder.join("keys.sqlite").display());
        let mut command = Command::new(binary());
        command.args(["keys", "copy", "--from", &url(self), "--to", &url(other), "--data"]).arg(&self.folder);
        let output = command.output().unwrap_or_else(|error| panic!("the binary cannot be started: {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        let installation = "installation-key.pem";
        let copied = std::fs::copy(self.folder.join(installation), other.folder.join(installation));
        copied.unwrap_or_else(|error| panic!("{installation} cannot be copied: {error}"));
    }

    /// A token of this installation.
    pub fn token(&self, subject: &str, scope: &str) -> String {
        let mut command = Command::new(binary());
        command.args(["token", "--sub", subject, "--data"]).arg(&self.folder);
        if !scope.is_empty() {
            command.args(["--scope", scope]);
        }
        let output = command.output().unwrap_or_else(|error| panic!("the binary cannot be started: {error}"));
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        String::from_utf8_lossy(&output.stdout).trim().to_owned()
    }
}

fn holds(said: &[String], words: &str) -> bool {
    said.iter().any(|line| line.contains(words))
}

/// A running server; killed when dropped.
pub struct Server {
    child: Child,
    url: String,
    /// What it has told the operator, line by line.
    said: watch::Receiver<Vec<String>>,
}

impl Server {
    /// Starts a server and waits until it says where it serves.
    pub async fn start(storage: &Storage) -> Self {
        Self::start_with(binary(), storage).await
    }

    /// The same with another version of the program.
    pub async fn start_with(binary: &Path, storage: &Storage) -> Self {
        Self::start_on(binary, &storage.arguments()).await
    }

    /// The same with data that these arguments name.
    pub async fn start_on(binary: &Path, arguments: &[String]) -> Self {
        // For those who will speak to it. A second time does no harm.
        let _ = rustls::crypto::ring::default_provider().install_default();
        let mut command = tokio::process::Command::new(binary);
        command.arg("serve").args(arguments).args(["--listen", "127.0.0.1:0", "--rate-limit", "0"]);
        command.env("RUST_LOG", "warn").stdout(Stdio::null()).stderr(Stdio::piped()).kill_on_drop(true);
        let mut child = command.spawn().unwrap_or_else(|error| panic!("the binary cannot be started: {error}"));
        let Some(stderr) = child.stderr.take() else { panic!("no standard error") };
        let mut lines = BufReader::new(stderr).lines();
        let (tell, said) = watch::channel(vec![]);
        while let Ok(Some(line)) = lines.next_line().await {
            let url = line.split_once(" serves ").map(|(_, url)| url.trim().to_owned());
            tell.send_modify(|said: &mut Vec<String>| said.push(line));
            if let Some(url) = url {
                // What it says later is read, too, so that it never waits for a reader.
                tokio::spawn(async move {
                    while let Ok(Some(line)) = lines.next_line().await {
                        tell.send_modify(|said| said.push(line));
                    }
                });
                return Self { child, url, said };
            }
        }
        panic!("the server ended before it served:\n{}", said.borrow().join("\n"));
    }

    /// Whether a line that it has told the operator holds these words.
    pub fn said_so_far(&self, words: &str) -> bool {
        holds(&self.said.borrow(), words)
    }

    /// Waits until it tells the operator a line with these words; the line.
    pub async fn says(&self, words: &str) -> String {
        let mut said = self.said.clone();
        let told = tokio::time::timeout(Duration::from_mins(1), said.wait_for(|said| holds(said, words))).await;
        assert!(told.is_ok_and(|told| told.is_ok()), "it never said {words}, but {:#?}", self.said.borrow());
        self.said.borrow().iter().find(|line| line.contains(words)).cloned().unwrap_or_default()
    }

    /// Where it serves: `http://127.0.0.1:12345`.
    pub fn url(&self) -> &str {
        &self.url
    }

    /// Its process.
    pub fn id(&self) -> u32 {
        self.child.id().unwrap_or_else(|| panic!("the server has ended"))
    }

    /// The most memory that it ever held, in MiB.
    pub fn peak_memory(&self) -> std::io::Result<f64> {
        let Some(id) = self.child.id() else { return Err(std::io::Error::other("the server has ended")) };
        let status = std::fs::read_to_string(format!("/proc/{id}/status"))?;
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:")?.trim().strip_suffix(" kB")?.parse::<f64>().ok());
        peak.map(|kib| kib / 1024.0).ok_or_else(|| std::io::Error::other("the system does not tell"))
    }

    /// Sends a signal: `STOP`, `CONT`, `TERM`.
    pub fn signal(&self, name: &str) {
        let Some(id) = self.child.id() else { panic!("the server has ended") };
        let sent = Command::new("kill").args(["-s", name, &id.to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{name} cannot be sent");
    }

    /// Tells it to stop and waits until it has.
    pub async fn stop(mut self) {
        self.signal("TERM");
        match self.child.wait().await {
            Ok(status) => assert!(status.success(), "the server ended with {status}"),
            Err(error) => panic!("the server cannot be waited for: {error}"),
        }
    }

    /// `kill -9`.
    pub async fn kill(mut self) {
        if let Err(error) = self.child.kill().await {
            panic!("the server cannot be killed: {error}");
        }
    }
}
