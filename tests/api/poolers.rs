//! The service behind PgBouncer, in session mode and in transaction mode.

use crate::changes::{GRANT, REVOKE, blocked, sees, statements};
use crate::service::{SECRET, Service, database, scratch, wait_for};
use std::path::PathBuf;
use std::process::{Child, Command, Stdio};
use tests::{Cluster, wait_until};

/// A PgBouncer in front of a cluster. It ends with the test.
struct Pooler {
    child: Child,
    folder: PathBuf,
}

impl Pooler {
    fn start(cluster: &Cluster, mode: &str) -> Self {
        let folder = scratch();
        let socket = cluster.socket().display();
        let file = folder.join("pgbouncer.ini");
        // two connections to the server for all clients
        let content = format!(
            "[databases]\npostgres = host={socket} user=api\n[pgbouncer]\npool_mode = {mode}\ndefault_pool_size = {}\n\
             listen_addr =\nunix_socket_dir = {socket}\nlisten_port = 6432\nauth_type = any\n",
            if mode == "session" { 20 } else { 2 }
        );
        std::fs::write(&file, content).unwrap();
        // PgBouncer refuses to run as root, and may open the socket of the server only as its user
        let is_root = Command::new("id").arg("-u").output().unwrap().stdout == b"0\n";
        let mut command = Command::new(if is_root { "setpriv" } else { "/usr/sbin/pgbouncer" });
        if is_root {
            command.args(["--reuid=postgres", "--regid=postgres", "--clear-groups", "/usr/sbin/pgbouncer"]);
        }
        let log = std::fs::File::create(folder.join("log")).unwrap();
        let child =
            command.arg(&file).stdout(Stdio::null()).stderr(log).spawn().expect("make setup installs it");
        let path = cluster.socket().join(".s.PGSQL.6432");
        let pooler = Self { child, folder };
        wait_for("PgBouncer", || path.exists());
        pooler
    }

    fn serve(&self, cluster: &Cluster, arguments: &[&str]) -> Service {
        let mut command = Service::command(arguments);
        command.env("PGHOST", cluster.socket()).env("PGPORT", "6432");
        command.env("MODEL_ACCESS_API_HS256_SECRET", SECRET);
        Service::spawn(command)
    }
}

impl Drop for Pooler {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
        drop(std::fs::remove_dir_all(&self.folder));
    }
}

#[test]
fn in_transaction_mode_nothing_is_cached() {
    let cluster = database(&[]);
    let pooler = Pooler::start(&cluster, "transaction");
    let service = pooler.serve(&cluster, &["--timeout", "3"]);
    let (mut client, mut locker) = (cluster.connect(), cluster.connect());
    wait_for("the attempt to listen", || service.log().contains("no notification arrives"));
    assert_eq!(service.metric("listening"), 0);
    assert_eq!((statements(&service, "bob"), statements(&service, "bob")), (1, 1));
    for _ in 0..20 {
        client.batch_execute(REVOKE).unwrap();
        assert!(!sees(&service, "bob"), "the first answer after COMMIT");
        client.batch_execute(GRANT).unwrap();
        assert!(sees(&service, "bob"));
    }
    // more requests than connections of the pooler
    std::thread::scope(|scope| {
        for user in ["ada", "bob", "cleo"].repeat(4) {
            let service = &service;
            scope.spawn(move || (0..20).for_each(|_| assert_eq!(sees(service, user), user != "ada")));
        }
    });

    // a statement for which nobody waits any more ends
    locker.batch_execute("BEGIN; LOCK TABLE profiles IN ACCESS EXCLUSIVE MODE").unwrap();
    service.get_as("bob", "/api/models").assert_code(503, "database_unavailable", "no answer in time");
    let waits = "EXISTS (SELECT FROM pg_stat_activity WHERE usename = 'api' AND wait_event_type = 'Lock')";
    wait_until(&mut client, &format!("NOT {waits}"));
    locker.batch_execute("COMMIT").unwrap();
    assert!(sees(&service, "bob"));

    // the next client of the pooler finds a session as new
    let mut guest = postgres::Config::new();
    guest.host_path(cluster.socket()).port(6432).user("api").dbname("postgres");
    let mut guest = guest.connect(postgres::NoTls).unwrap();
    let left = "SELECT string_agg(name, ',') FROM pg_settings
                WHERE source = 'session' AND name IN ('search_path', 'statement_timeout')";
    for statement in ["SELECT string_agg(name, ',') FROM pg_prepared_statements", left] {
        let row = guest.simple_query(statement).unwrap().into_iter().find_map(|message| match message {
            postgres::SimpleQueryMessage::Row(row) => Some(row),
            _ => None,
        });
        assert_eq!(row.unwrap().get(0), None, "{statement}");
    }
    assert_eq!(service.log().matches("no notification arrives").count(), 1, "{}", service.log());
}

#[test]
fn in_session_mode_the_service_hears() {
    let cluster = database(&[]);
    let pooler = Pooler::start(&cluster, "session");
    let service = pooler.serve(&cluster, &[]);
    let mut client = cluster.connect();
    service.wait_until_listening();
    assert!(sees(&service, "bob"));
    assert_eq!(statements(&service, "bob"), 0);
    service.hear(&mut client, REVOKE);
    assert!(!sees(&service, "bob"));
    let mut locker = cluster.connect();
    locker.batch_execute("BEGIN; LOCK TABLE profiles IN ACCESS EXCLUSIVE MODE").unwrap();
    std::thread::scope(|scope| {
        let slow = scope.spawn(|| service.ids("cleo"));
        blocked(&mut client);
        locker.batch_execute("COMMIT").unwrap();
        assert!(!slow.join().unwrap().is_empty());
    });
}
