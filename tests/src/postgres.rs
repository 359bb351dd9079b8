//! Postgres for tests: the one in `TEST_POSTGRES_URL`, else a throw-away cluster made from the installed binaries.
#![expect(clippy::unwrap_used, reason = "what a test cannot go on without fails it")]

use sqlx::{Connection, Executor, PgConnection};
use std::{
    env,
    io::{BufRead, BufReader},
    os::unix::process::CommandExt,
    path::{Path, PathBuf},
    process::{Child, Command, Stdio},
    sync::{
        OnceLock,
        atomic::{AtomicU32, Ordering},
    },
};

/// Runs the server of the binaries `$1` below the folder `$2` with the settings that follow, prints its folder when it answers,
/// and tidies up when its own input ends: that happens when the test process is gone, however it went. Signals meant for the
/// test process are ignored, so that the tidying is done.
const KEEPER: &str = r#"
trap '' INT TERM HUP
binaries=$1
dir=$(mktemp -d "$2/circolo-postgres.XXXXXX") || exit 1
shift 2
"$binaries/initdb" -D "$dir/data" -U postgres -A trust -E UTF8 --locale=C --no-sync >"$dir/log" 2>&1 || { cat "$dir/log" >&2; exit 1; }
"$binaries/postgres" -D "$dir/data" -k "$dir" -c listen_addresses= -c max_connections=300 "$@" >>"$dir/log" 2>&1 </dev/null &
server=$!
until "$binaries/pg_isready" -q -h "$dir"; do
    kill -0 $server 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
    sleep 0.05
done
echo "$dir"
read -r _
"$binaries/pg_ctl" -D "$dir/data" stop -m immediate >/dev/null 2>&1
wait $server
rm -rf "$dir"
"#;

/// What tests want of a server: that it is fast and small.
const FOR_TESTS: &[&str] = &["-c", "fsync=off", "-c", "shared_buffers=64MB", "-c", "autovacuum_naptime=10s"];

/// A server that lives as long as this process.
pub struct Cluster {
    /// Its database.
    pub url: String,
    // Its binaries, its folder and its settings; not known of one that somebody else runs.
    made: Option<(PathBuf, PathBuf, Vec<String>)>,
    // Keeps the pipe to the keeper open; the system closes it when this process ends.
    _keeper: Option<Child>,
}

impl Cluster {
    /// Stops the server as a crash would: it leaves everything as it is and tells nobody.
    ///
    /// # Panics
    /// If that fails.
    pub async fn stop(&self) {
        self.control(&["stop", "-m", "immediate"]).await;
    }

    /// Starts it again and waits until it answers.
    ///
    /// # Panics
    /// If that fails.
    pub async fn start(&self) {
        let Some((_, dir, settings)) = &self.made else { panic!("somebody else runs this server") };
        let settings = format!("-k {} -c listen_addresses= -c max_connections=300 {}", dir.display(), settings.join(" "));
        self.control(&["start", "-w", "-l", &dir.join("log").display().to_string(), "-o", &settings]).await;
    }

    async fn control(&self, what: &[&str]) {
        let Some((binaries, dir, _)) = &self.made else { panic!("somebody else runs this server") };
        let mut command = as_ordinary_user();
        command.arg(binaries.join("pg_ctl")).arg("-D").arg(dir.join("data")).args(what);
        command.current_dir("/").stdin(Stdio::null()).stdout(Stdio::null());
        let ended = tokio::process::Command::from(command).status().await.unwrap();
        assert!(ended.success(), "{what:?} ended with {ended}");
    }
}

/// The URL of a Postgres database for tests, the same for the whole process; `None`, with a printed line, if none is installed.
///
/// # Panics
/// With `CI` or `CIRCOLO_REQUIRE_POSTGRES` set, if none is installed; and if the installed one does not start.
pub fn test_postgres() -> Option<String> {
    static CLUSTER: OnceLock<Option<Cluster>> = OnceLock::new();
    let cluster = CLUSTER.get_or_init(|| {
        if let Ok(url) = env::var("TEST_POSTGRES_URL") {
            return Some(Cluster { url, made: None, _keeper: None });
        }
        let Some(binaries) = installed() else {
            let required = ["CI", "CIRCOLO_REQUIRE_POSTGRES"].into_iter().any(|name| env::var_os(name).is_some());
            assert!(!required, "Postgres is required: install it or set TEST_POSTGRES_URL");
            eprintln!("skipped: no Postgres");
            return None;
        };
        Some(start(&binaries, &env::temp_dir(), FOR_TESTS))
    });
    cluster.as_ref().map(|cluster| cluster.url.clone())
}

/// A throw-away server of its own below `parent`, with these settings beside the defaults; `None` if none is installed.
///
/// # Panics
/// If the installed one does not start.
pub fn cluster_with(parent: &Path, settings: &[&str]) -> Option<Cluster> {
    installed().map(|binaries| start(&binaries, parent, settings))
}

/// The URL of an empty schema of its own in [`test_postgres`].
///
/// # Panics
/// If the schema cannot be made.
pub async fn fresh_schema() -> Option<String> {
    static SCHEMAS: AtomicU32 = AtomicU32::new(0);
    let url = test_postgres()?;
    let schema = format!("circolo_test_{}_{}", std::process::id(), SCHEMAS.fetch_add(1, Ordering::Relaxed));
    let mut connection = PgConnection::connect(&url).await.unwrap();
    // A database that many runs share may hold what an earlier process of the same number left.
    let sql = format!("DROP SCHEMA IF EXISTS {schema} CASCADE; CREATE SCHEMA {schema}");
    connection.execute(sqlx::AssertSqlSafe(sql)).await.unwrap();
    connection.close().await.unwrap();
    let separator = if url.contains('?') { '&' } else { '?' };
    Some(format!("{url}{separator}options=-c%20search_path%3D{schema}"))
}

/// Where several nodes keep what they share: a schema for log and read models and one for the keys, as
/// [`Storage::database`](crate::server::Storage::database) has them.
///
/// # Panics
/// If they cannot be made.
pub async fn shared_by_nodes() -> Option<String> {
    let (data, keys) = (fresh_schema().await?, fresh_schema().await?);
    Some(format!("{data} {data} {keys}"))
}

/// The folder of the newest installed server.
fn installed() -> Option<PathBuf> {
    let in_path = env::var_os("PATH").and_then(|path| env::split_paths(&path).find(|dir| is_server(dir)));
    in_path.or_else(|| {
        let versions = std::fs::read_dir("/usr/lib/postgresql").ok()?.flatten();
        let folders = versions.map(|version| version.path().join("bin")).filter(|dir| is_server(dir));
        folders.max_by_key(|dir| dir.parent().and_then(Path::file_name).and_then(|name| name.to_str()?.parse::<u32>().ok()))
    })
}

fn is_server(dir: &Path) -> bool {
    ["initdb", "postgres", "pg_isready"].into_iter().all(|program| dir.join(program).is_file())
}

fn start(binaries: &Path, parent: &Path, settings: &[&str]) -> Cluster {
    let mut keeper = as_ordinary_user();
    keeper.args(["sh", "-c", KEEPER, "keeper"]).arg(binaries).arg(parent).args(settings).stdin(Stdio::piped()).stdout(Stdio::piped());
    // A group of its own: what is sent to the test's group from the keyboard does not reach the server.
    let mut keeper = keeper.current_dir("/").process_group(0).spawn().unwrap();
    let mut dir = String::new();
    BufReader::new(keeper.stdout.take().unwrap()).read_line(&mut dir).unwrap();
    assert!(!dir.is_empty(), "the throw-away Postgres did not start");
    let (dir, host) = (dir.trim(), dir.trim().replace('/', "%2F"));
    let made = Some((binaries.to_owned(), dir.into(), settings.iter().map(|setting| (*setting).to_owned()).collect()));
    Cluster { url: format!("postgres://postgres@{host}/postgres"), made, _keeper: Some(keeper) }
}

/// A command that runs another as an ordinary user: the server refuses to run as root.
///
/// # Panics
/// Never.
#[must_use]
pub fn as_ordinary_user() -> Command {
    let root = Command::new("id").arg("-u").output().is_ok_and(|output| output.stdout == b"0\n");
    if root {
        let mut command = Command::new("setpriv");
        command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups"]);
        return command;
    }
    Command::new("env")
}
