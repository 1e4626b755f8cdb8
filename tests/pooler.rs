//! PgBouncer between a client and the server, in session and in transaction mode.

#![allow(clippy::unwrap_used, clippy::panic)] // a test ends there

use postgres::{Client, Config, NoTls, SimpleQueryMessage};
use std::os::unix::fs::MetadataExt;
use std::os::unix::process::CommandExt;
use std::path::PathBuf;
use std::process::{Child, Command};
use std::time::{Duration, Instant};
use tests::{Cluster, heard, sync};

/// PgBouncer with one connection to the server, which its clients share.
struct Pooler {
    process: Child,
    dir: PathBuf,
}

impl Pooler {
    fn start(cluster: &Cluster, mode: &str) -> Self {
        let dir = cluster.socket().join(mode);
        let owner = std::fs::metadata(cluster.socket()).unwrap();
        std::fs::create_dir(&dir).unwrap();
        std::os::unix::fs::chown(&dir, Some(owner.uid()), Some(owner.gid())).unwrap();
        let (socket, own) = (cluster.socket().display(), dir.display());
        let configuration = format!(
            "[databases]\n* = host={socket}\n[pgbouncer]\nlisten_addr =\nunix_socket_dir = {own}\nauth_type = trust\n\
             auth_file = {own}/users\npool_mode = {mode}\ndefault_pool_size = 1\nlogfile = {own}/log\n"
        );
        std::fs::write(dir.join("configuration"), configuration).unwrap();
        std::fs::write(dir.join("users"), "\"postgres\" \"\"\n\"app\" \"\"\n\"web\" \"\"\n").unwrap();
        let process = Command::new("/usr/sbin/pgbouncer")
            .arg("-q")
            .arg(dir.join("configuration"))
            // it refuses root, as PostgreSQL does
            .uid(owner.uid())
            .gid(owner.gid())
            .spawn()
            .unwrap();
        let pooler = Self { process, dir };
        let start = Instant::now();
        while pooler.try_connect("postgres").is_err() {
            assert!(start.elapsed() < Duration::from_secs(30), "PgBouncer does not answer");
            std::thread::sleep(Duration::from_millis(20));
        }
        pooler
    }

    fn try_connect(&self, user: &str) -> Result<Client, postgres::Error> {
        Config::new().host_path(&self.dir).port(6432).user(user).dbname("postgres").connect(NoTls)
    }

    fn connect(&self, user: &str) -> Client {
        self.try_connect(user).unwrap()
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.process.kill());
        drop(self.process.wait());
    }
}

/// The only value of the last row. A prepared statement would belong to a connection that others use next.
fn value(client: &mut Client, sql: &str) -> Option<String> {
    let messages = client.simple_query(sql).unwrap_or_else(|error| panic!("{sql}: {error}"));
    messages.iter().rev().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row.get(0).map(str::to_owned)),
        _ => None,
    })?
}

fn work(cluster: &Cluster, mode: &str) {
    let pooler = Pooler::start(cluster, mode);
    let mut one = pooler.connect("app");
    let check = "SELECT model_allowed_for_user('alice', 'openai/gpt-5')";
    assert_eq!(value(&mut one, check).as_deref(), Some("t"));
    if mode == "session" {
        drop(one); // the only connection is free again
        one = pooler.connect("app");
    }
    // a name that a transaction claims ends with it, also for the next client on the same connection
    one.batch_execute(
        "BEGIN; SET LOCAL model_access.on_behalf_of = 'carol'; SELECT model_access_confirm('openai/gpt-5'); COMMIT",
    )
    .unwrap();
    if mode == "session" {
        drop(one);
        one = pooler.connect("app");
    }
    let mut two = if mode == "session" { one } else { pooler.connect("app") };
    two.batch_execute("UPDATE model_access SET note = 'seen' WHERE model_id = 'openai/gpt-5'").unwrap();
    let claimed = "SELECT string_agg(coalesce(on_behalf_of, 'nobody'), ' ' ORDER BY history_id) FROM (
        SELECT * FROM model_access_history WHERE model_id = 'openai/gpt-5' ORDER BY history_id DESC LIMIT 2) AS h";
    assert_eq!(value(&mut two, claimed).as_deref(), Some("carol nobody"));
    drop(two);
    // so does the identity of a request
    let mut web = pooler.connect("web");
    let me = "BEGIN; SET LOCAL request.jwt.claims = '{\"sub\": \"alice\"}'; SELECT count(*) > 0 FROM models_for_me(); COMMIT";
    assert_eq!(value(&mut web, me).as_deref(), Some("t"));
    let nobody = web.simple_query("SELECT count(*) FROM models_for_me()");
    assert!(
        nobody.is_err() || value(&mut web, "SELECT count(*) FROM models_for_me()").as_deref() == Some("0")
    );
    drop(web);
    // the job commits, and a sync runs, over one connection
    let mut owner = pooler.connect("postgres");
    owner.batch_execute("CALL model_access_sync_job()").unwrap();
    assert_eq!(value(&mut owner, "SELECT outcome FROM model_access_sync()").as_deref(), Some("unchanged"));
    let refused = "INSERT INTO messages VALUES ('alice', 'none/such')";
    assert_eq!(owner.batch_execute(refused).unwrap_err().code().unwrap().code(), "42501");
    drop(owner);
    // notifications need a connection of one's own
    let mut listener = pooler.connect("app");
    listener.batch_execute("LISTEN model_access").unwrap();
    let change = format!("UPDATE model_access SET note = '{mode}' WHERE model_id = 'openai/gpt-5'");
    cluster.connect().batch_execute(&change).unwrap();
    assert_eq!(heard(&mut listener).is_empty(), mode == "transaction");
}

#[test]
#[ignore = "needs PgBouncer; make test-clients runs it"]
fn behind_pgbouncer() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    client
        .batch_execute(
            "CREATE ROLE app LOGIN; CREATE ROLE web LOGIN; SELECT model_access_grant('app', 'admin'), model_access_grant('web', 'user');
             CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text); INSERT INTO profiles VALUES ('alice', 'pro');
             SELECT model_access_bind_profiles('profiles');
             CREATE TABLE messages (user_id text, model_id text);
             CREATE TRIGGER enforce BEFORE INSERT ON messages FOR EACH ROW EXECUTE FUNCTION model_access_enforce('user_id', 'model_id');
             UPDATE model_access SET status = 'active', is_pro = true WHERE provider = 'openai'",
        )
        .unwrap();
    work(&cluster, "session");
    work(&cluster, "transaction");
}
