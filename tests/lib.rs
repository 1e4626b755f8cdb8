//! A throw-away PostgreSQL with the extension, and a mock upstream, for the tests in this folder.

#![allow(clippy::expect_used, clippy::panic)] // a test ends there

pub mod filled;
pub mod page;
pub mod review;

use mock_upstream::MockUpstream;
use postgres::error::DbError;
use postgres::{Client, Config, NoTls, Row};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::mpsc::{Receiver, channel};
use std::time::{Duration, Instant};

/// The longest time that a test waits for anything; pg_cron needs up to a minute to begin.
const BOUND: Duration = Duration::from_secs(150);

/// A cluster for one test; it is removed when the test ends.
pub struct Cluster {
    dir: PathBuf,
    /// The `pg_config` of its server, if that is another than the one under test.
    server: Option<String>,
    /// The upstream that the cluster fetches from.
    pub upstream: MockUpstream,
}

impl Cluster {
    /// Starts PostgreSQL and an upstream, and creates the extension in database `postgres`.
    ///
    /// # Panics
    /// If anything of that fails.
    #[must_use]
    pub fn start() -> Self {
        Self::start_with(&[])
    }

    /// The same with settings of `postgresql.conf`, as `name=value`.
    ///
    /// # Panics
    /// If anything of that fails.
    #[must_use]
    pub fn start_with(settings: &[&str]) -> Self {
        Self::create(&eras(), settings)
    }

    /// Starts PostgreSQL on the server of another `pg_config`, without the extension.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn start_on(server: &str) -> Self {
        let upstream = MockUpstream::start("127.0.0.1:0", eras()).expect("an upstream");
        Self::start_server(upstream, Some(server.to_owned()), &[], &[])
    }

    /// Starts a cluster of the server under test, to which `pg_upgrade` brings what this one has. This one is stopped.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn upgraded(&self) -> Self {
        let upstream = MockUpstream::start("127.0.0.1:0", eras()).expect("an upstream");
        let upgraded = Self { dir: self.socket().join("upgraded"), server: None, upstream };
        let url = format!("model_access.url={}", upgraded.upstream.url(""));
        let mut command = upgraded.script("upgrade", &[]);
        command.arg(&self.dir).arg(url).env("OLD_PG_CONFIG", self.server.as_deref().expect("another server"));
        assert!(command.status().expect("bash").success(), "scripts/cluster upgrade failed");
        upgraded
    }

    fn create(catalogues: &Path, settings: &[&str]) -> Self {
        let upstream = MockUpstream::start("127.0.0.1:0", catalogues).expect("an upstream");
        Self::start_beside(upstream, settings, &[])
    }

    /// Starts PostgreSQL beside this upstream, with variables in its environment, and creates the extension.
    ///
    /// # Panics
    /// If anything of that fails.
    #[must_use]
    pub fn start_beside(upstream: MockUpstream, settings: &[&str], environment: &[(&str, &str)]) -> Self {
        let cluster = Self::start_server(upstream, None, settings, environment);
        cluster.connect().batch_execute("CREATE EXTENSION model_access").expect("the extension");
        cluster
    }

    fn start_server(
        upstream: MockUpstream,
        server: Option<String>,
        settings: &[&str],
        environment: &[(&str, &str)],
    ) -> Self {
        static NUMBER: AtomicU32 = AtomicU32::new(0);
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let dir = PathBuf::from(format!("/tmp/model_access.{}.{number}", std::process::id()));
        let cluster = Self { dir, server, upstream };
        let url = format!("model_access.url={}", cluster.upstream.url(""));
        // short, so that a fetch that nothing interrupts still ends while a test waits
        let settings = [&["model_access.timeout=20s", &url], settings].concat();
        let started =
            cluster.script("start", &settings).envs(environment.iter().copied()).status().expect("bash");
        assert!(started.success(), "scripts/cluster start failed");
        cluster
    }

    /// Starts PostgreSQL and an upstream that serves the catalogues of this folder, and creates the extension.
    ///
    /// # Panics
    /// If anything of that fails.
    #[must_use]
    pub fn start_serving(catalogues: &Path) -> Self {
        Self::create(catalogues, &[])
    }

    /// Starts PostgreSQL with the plain SQL script, installed by `keeper`, which is not a superuser.
    ///
    /// # Panics
    /// If anything of that fails.
    #[must_use]
    pub fn start_without_library() -> Self {
        let upstream = MockUpstream::start("127.0.0.1:0", eras()).expect("an upstream");
        let cluster = Self::start_server(upstream, None, &[], &[]);
        cluster.install_without_library();
        cluster
    }

    /// Runs the plain SQL script as `keeper`, who is not a superuser.
    ///
    /// # Panics
    /// If that fails.
    pub fn install_without_library(&self) {
        let mut client = self.connect();
        client
            .batch_execute("CREATE ROLE keeper LOGIN; GRANT CREATE ON SCHEMA public TO keeper")
            .expect("a role");
        client.batch_execute("SET SESSION AUTHORIZATION keeper").expect("the role");
        client.batch_execute(&format!("BEGIN; {}; COMMIT", sql(&["install"]))).expect("the script");
    }

    /// Starts a standby of this cluster.
    ///
    /// # Panics
    /// If that fails.
    #[must_use]
    pub fn standby(&self) -> Self {
        let upstream = MockUpstream::start("127.0.0.1:0", eras()).expect("an upstream");
        let standby = Self { dir: self.dir.with_extension("standby"), server: None, upstream };
        let status = standby.script("standby", &[]).arg(&self.dir).status().expect("bash");
        assert!(status.success(), "scripts/cluster standby failed");
        standby
    }

    /// The folder of the server's socket: `PGHOST`.
    #[must_use]
    pub fn socket(&self) -> &Path {
        &self.dir
    }

    /// A session as superuser.
    ///
    /// # Panics
    /// If the server does not let it in.
    #[must_use]
    pub fn connect(&self) -> Client {
        self.config().connect(NoTls).expect("a session")
    }

    /// A session whose syncs fetch a scenario of the upstream.
    ///
    /// # Panics
    /// If the server does not let it in.
    #[must_use]
    pub fn fetching(&self, scenario: &str) -> Client {
        let mut client = self.connect();
        client
            .batch_execute(&format!("SET model_access.url = '{}'", self.upstream.url(scenario)))
            .expect("a URL");
        client
    }

    /// The same in another database.
    ///
    /// # Panics
    /// If the server does not let it in.
    #[must_use]
    pub fn connect_to(&self, database: &str) -> Client {
        self.config().dbname(database).connect(NoTls).expect("a session")
    }

    /// The same, with the notices and warnings of the server.
    ///
    /// # Panics
    /// If the server does not let it in.
    #[must_use]
    pub fn hearing(&self, scenario: &str) -> (Client, Receiver<DbError>) {
        let (sender, notices) = channel();
        let mut client = self
            .config()
            .notice_callback(move |notice| drop(sender.send(notice)))
            .connect(NoTls)
            .expect("a session");
        client
            .batch_execute(&format!("SET model_access.url = '{}'", self.upstream.url(scenario)))
            .expect("a URL");
        (client, notices)
    }

    /// The same while the server may be down.
    ///
    /// # Errors
    /// Fails if the server does not let it in.
    pub fn try_connect(&self) -> Result<Client, postgres::Error> {
        self.config().connect(NoTls)
    }

    fn config(&self) -> Config {
        let mut config = Config::new();
        config.host_path(&self.dir).user("postgres").dbname("postgres");
        config
    }

    /// Runs `pg_ctl`, such as `restart -m immediate`.
    ///
    /// # Panics
    /// If it fails.
    pub fn ctl(&self, arguments: &[&str]) {
        self.run("ctl", arguments);
    }

    /// The same where it may fail, such as the start of a server whose backends have not all ended. Returns whether it
    /// worked.
    ///
    /// # Panics
    /// If there is no bash.
    #[must_use]
    pub fn try_ctl(&self, arguments: &[&str]) -> bool {
        self.script("ctl", arguments).output().expect("bash").status.success()
    }

    fn run(&self, action: &str, arguments: &[&str]) {
        let status = self.script(action, arguments).status().expect("bash");
        assert!(status.success(), "scripts/cluster {action} failed");
    }

    fn script(&self, action: &str, arguments: &[&str]) -> Command {
        let mut command = Command::new(repository().join("scripts/cluster"));
        command.arg(action).arg(&self.dir).args(arguments);
        if let Some(server) = &self.server {
            command.env("PG_CONFIG", server);
        }
        command
    }
}

impl Drop for Cluster {
    fn drop(&mut self) {
        self.run("stop", &["immediate"]);
    }
}

/// One run row, as text where the type does not matter.
#[derive(Debug, PartialEq, Eq)]
pub struct Run {
    /// `outcome`.
    pub outcome: String,
    /// `error_code`.
    pub error_code: Option<String>,
    /// `error`.
    pub error: Option<String>,
    /// `http_status`.
    pub http_status: Option<i32>,
    /// `added`.
    pub added: i32,
    /// `withheld`.
    pub withheld: i32,
    /// How many entries `unusable` names.
    pub unusable: i32,
}

/// Runs `model_access_sync()`.
///
/// # Errors
/// What PostgreSQL raises.
pub fn sync(client: &mut Client) -> Result<Run, postgres::Error> {
    let row = client.query_one(
        "SELECT *, jsonb_array_length(unusable) AS unusable_entries FROM model_access_sync()",
        &[],
    )?;
    Ok(Run {
        outcome: row.get("outcome"),
        error_code: row.get("error_code"),
        error: row.get("error"),
        http_status: row.get("http_status"),
        added: row.get("added"),
        withheld: row.get("withheld"),
        unusable: row.get("unusable_entries"),
    })
}

/// Every model row as text: equal only if nothing was written.
///
/// # Panics
/// If the query fails.
#[must_use]
pub fn snapshot(client: &mut Client) -> Vec<String> {
    let query = "SELECT xmin::text || m::text FROM model_access AS m ORDER BY model_id";
    client.query(query, &[]).expect("the rows").iter().map(|row: &Row| row.get(0)).collect()
}

/// The payloads that a listening session has received since the last call.
///
/// # Panics
/// If the session is lost.
#[must_use]
pub fn heard(listener: &mut Client) -> Vec<String> {
    // every notification sent so far arrives with the answer to this statement
    listener.batch_execute("SELECT 1").expect("the session");
    let mut payloads = Vec::new();
    let mut notifications = listener.notifications();
    let mut waiting = notifications.iter();
    while let Ok(Some(notification)) = postgres::fallible_iterator::FallibleIterator::next(&mut waiting) {
        payloads.push(notification.payload().to_owned());
    }
    payloads
}

/// Dumps a database and restores it into another one, which must be empty, without an error.
///
/// # Panics
/// If either fails.
pub fn copy_database(cluster: &Cluster, from: &str, to: &str) {
    copy_database_with(cluster, from, to, &[]);
}

/// The same with options of `pg_dump`, such as `--no-acl`.
///
/// # Panics
/// If either fails.
pub fn copy_database_with(cluster: &Cluster, from: &str, to: &str, options: &[&str]) {
    let pipe =
        "socket=$0 dump=$1 from=$2 to=$3; shift 3; \"$dump\" -U postgres -h \"$socket\" \"$@\" \"$from\" |
        psql -X -q -v ON_ERROR_STOP=1 -U postgres -h \"$socket\" \"$to\"";
    let status = Command::new("bash")
        .args(["-o", "pipefail", "-c", pipe])
        .arg(cluster.socket())
        .arg(server_program("pg_dump"))
        .args([from, to])
        .args(options)
        .stdout(std::process::Stdio::null())
        .status()
        .expect("bash");
    assert!(status.success(), "the dump of {from} does not restore");
}

/// Waits until a query gives true, and panics with the query if it does not.
///
/// # Panics
/// When the time limit has passed.
pub fn wait_until(client: &mut Client, condition: &str) {
    let start = Instant::now();
    while !client.query_one(&format!("SELECT {condition}"), &[]).expect(condition).get::<_, bool>(0) {
        assert!(start.elapsed() < BOUND, "still not: {condition}");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// A small random generator: it gives the same decisions in every run.
#[derive(Debug)]
pub struct Random(pub u64);

impl Random {
    /// A number below `n`.
    ///
    /// # Panics
    /// Never, for an `n` above 0.
    pub fn below(&mut self, n: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        usize::try_from(self.0 % n as u64).expect("below n")
    }
}

/// The days of a folder of catalogues, in order.
///
/// # Panics
/// If it cannot be read.
#[must_use]
pub fn days(folder: &Path) -> Vec<String> {
    let mut days: Vec<String> = std::fs::read_dir(folder)
        .expect("a file")
        .map(|entry| {
            entry.expect("a file").path().file_stem().expect("a file").to_str().expect("a file").to_owned()
        })
        .collect();
    days.sort();
    days
}

/// A program of the server under test, such as `pg_dump`.
///
/// # Panics
/// If there is no such server.
#[must_use]
pub fn server_program(name: &str) -> PathBuf {
    let pg_config =
        std::env::var("PG_CONFIG").unwrap_or_else(|_| "/usr/lib/postgresql/15/bin/pg_config".into());
    let output = Command::new(pg_config).arg("--bindir").output().expect("pg_config");
    Path::new(String::from_utf8_lossy(&output.stdout).trim()).join(name)
}

/// The program `model-access`, as `make build` builds it.
#[must_use]
pub fn push_program() -> PathBuf {
    repository().join("target/debug/model-access")
}

/// What `scripts/sql` writes, for the schema `public`.
///
/// # Panics
/// If it fails.
#[must_use]
pub fn sql(arguments: &[&str]) -> String {
    let output = Command::new(repository().join("scripts/sql")).args(arguments).output().expect("bash");
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    String::from_utf8_lossy(&output.stdout).replace("@extschema@", "\"public\"")
}

/// The folder of the recorded eras.
#[must_use]
pub fn eras() -> PathBuf {
    repository().join("tests/catalogues/eras")
}

/// The folder with the recorded days, unpacked.
///
/// # Panics
/// If they cannot be unpacked.
#[must_use]
pub fn daily_catalogues() -> PathBuf {
    static UNPACKED: OnceLock<PathBuf> = OnceLock::new();
    let unpack = || {
        let folder = repository().join("target").join(format!("daily.{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let archive = repository().join("tests/catalogues/daily.tar.xz");
        let status =
            Command::new("tar").arg("-xJf").arg(archive).arg("-C").arg(&folder).status().expect("tar");
        assert!(status.success(), "tar failed");
        folder
    };
    UNPACKED.get_or_init(unpack).clone()
}

/// The folder of the project.
///
/// # Panics
/// Never.
#[must_use]
pub fn repository() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR")).parent().expect("the repository")
}
