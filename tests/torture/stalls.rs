//! Every kind of stalled upstream against every kind of interrupt.
//!
//! Invariant. However an upstream stalls, an interrupt ends the fetch within a bound; nothing is written; and the server
//! stops in mode fast. The fetch by itself would take ten minutes.

use crate::{Plan, invariants};
use mock_upstream::MockUpstream;
use std::io::{Read, Write};
use std::net::{TcpListener, TcpStream};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};
use tests::{Cluster, eras, sync, wait_until};

/// A check for what hangs, not a measurement: an interrupt is served within a tenth of a second.
const BOUND: Duration = Duration::from_secs(5);
const IN_FETCH: &str =
    "EXISTS (SELECT FROM pg_locks WHERE relation = '_model_access_run_lock'::regclass AND granted
    AND mode = 'ShareUpdateExclusiveLock')";
const BACKEND: &str = "FROM pg_stat_activity WHERE application_name = 'stalled'";

/// A resolver that never answers for one host. A test cannot change the name server of the machine.
const RESOLVER: &str = r#"
#define _GNU_SOURCE
#include <dlfcn.h>
#include <netdb.h>
#include <string.h>
#include <unistd.h>
int getaddrinfo(const char *host, const char *service, const struct addrinfo *hints, struct addrinfo **found) {
    int (*next)(const char *, const char *, const struct addrinfo *, struct addrinfo **) = dlsym(RTLD_NEXT, "getaddrinfo");
    while (host && strcmp(host, "stalled.invalid") == 0) pause();
    return next(host, service, hints, found);
}
"#;

/// How an interrupt reaches the fetch.
#[derive(Debug, Clone, Copy)]
enum Interrupt {
    Cancel,
    Terminate,
    StatementTimeout,
    ClientGone,
    Shutdown,
}

pub fn run(plan: Plan) {
    let folder = std::env::temp_dir().join(format!("model_access.stalls.{}", std::process::id()));
    std::fs::create_dir_all(&folder).unwrap();
    let resolver = resolver(&folder);
    let upstream = MockUpstream::start("127.0.0.1:0", eras()).unwrap();
    let settings = ["model_access.timeout=600s", "client_connection_check_interval=200ms"];
    let cluster = Cluster::start_beside(upstream, &settings, &[("LD_PRELOAD", &resolver)]);
    sync(&mut cluster.connect()).unwrap();
    let silent = serve(|_| ());
    let stalls = [
        ("no response", cluster.upstream.url("stall=headers")),
        ("half a body", cluster.upstream.url("stall=body")),
        ("a dripping body", cluster.upstream.url("drip=1")),
        ("silent TLS", format!("https://{silent}/")),
        ("dripping TLS", format!("https://{}/", serve(drip_handshake))),
        ("silent HTTP", format!("http://{silent}/")),
        ("endless headers", format!("http://{}/", serve(endless_headers))),
        ("endless gzip without content", format!("http://{}/", serve(endless_gzip))),
        ("a resolver that does not answer", "https://stalled.invalid/".into()),
    ];
    let interrupts = [
        Interrupt::Cancel,
        Interrupt::Terminate,
        Interrupt::StatementTimeout,
        Interrupt::ClientGone,
        Interrupt::Shutdown,
    ];
    let mut ended = 0;
    let mut longest = Duration::ZERO;
    let begin = Instant::now();
    while begin.elapsed() < plan.end.saturating_duration_since(begin) || ended == 0 {
        for (stall, url) in &stalls {
            for interrupt in interrupts {
                longest = longest.max(interrupted(&cluster, stall, url, interrupt));
                ended += 1;
            }
        }
    }
    println!("stalls: {ended} fetches ended by an interrupt, the slowest after {} ms", longest.as_millis());
    invariants::check(&mut cluster.connect(), "after the stalls");
    std::fs::remove_dir_all(folder).unwrap();
}

/// Starts a sync, interrupts it when it fetches, and returns how long it took to end.
fn interrupted(cluster: &Cluster, stall: &str, url: &str, interrupt: Interrupt) -> Duration {
    let when = format!("{stall}, {interrupt:?}");
    let mut admin = cluster.connect();
    let before = tests::snapshot(&mut admin);
    let mut session = session(cluster, url, matches!(interrupt, Interrupt::StatementTimeout));
    // with a timeout, the fetch may have ended before this looks
    if !matches!(interrupt, Interrupt::StatementTimeout) {
        wait_until(&mut admin, IN_FETCH);
    }
    let began = Instant::now();
    match interrupt {
        Interrupt::Cancel => {
            admin.batch_execute(&format!("SELECT pg_cancel_backend(pid) {BACKEND}")).unwrap()
        }
        Interrupt::Terminate => {
            admin.batch_execute(&format!("SELECT pg_terminate_backend(pid) {BACKEND}")).unwrap()
        }
        Interrupt::StatementTimeout => {}
        Interrupt::ClientGone => session.kill().unwrap(),
        Interrupt::Shutdown => {
            let seconds = BOUND.as_secs().to_string();
            assert!(
                cluster.try_ctl(&["stop", "-m", "fast", "-t", &seconds]),
                "{when}: the server does not stop"
            );
            let took = began.elapsed();
            session.wait().unwrap();
            cluster.ctl(&["start"]);
            assert_eq!(tests::snapshot(&mut cluster.connect()), before, "{when}");
            return took;
        }
    }
    let gone = format!("SELECT NOT EXISTS (SELECT {BACKEND})");
    let status = loop {
        // psql first, because before it connects there is no backend either
        let status = session.try_wait().unwrap();
        if status.is_some() && admin.query_one(&gone, &[]).unwrap().get(0) {
            break status;
        }
        assert!(began.elapsed() < BOUND, "{when}: the session goes on");
        std::thread::sleep(Duration::from_millis(5));
    };
    let took = began.elapsed();
    assert!(!status.unwrap().success(), "{when}: psql reports the error");
    assert_eq!(tests::snapshot(&mut admin), before, "{when}");
    took
}

/// A psql that syncs, because a process can be killed. It ends with the first error.
fn session(cluster: &Cluster, url: &str, timeout: bool) -> Child {
    let limit = if timeout { "300ms" } else { "0" };
    Command::new("psql")
        .args(["-X", "-q", "-v", "ON_ERROR_STOP=1", "-U", "postgres", "-d", "postgres", "-h"])
        .arg(cluster.socket())
        .args(["-c", &format!("SET model_access.url = '{url}'")])
        .args(["-c", &format!("SET statement_timeout = '{limit}'")])
        .args(["-c", "SELECT model_access_sync()"])
        .env("PGAPPNAME", "stalled")
        .stdout(Stdio::null())
        .stderr(Stdio::null())
        .spawn()
        .unwrap()
}

fn resolver(folder: &std::path::Path) -> String {
    let (source, library) = (folder.join("resolver.c"), folder.join("resolver.so"));
    std::fs::write(&source, RESOLVER).unwrap();
    let built =
        Command::new("cc").args(["-shared", "-fPIC", "-o"]).args([&library, &source]).arg("-ldl").status();
    assert!(built.unwrap().success(), "cc failed");
    library.to_str().unwrap().to_owned()
}

/// A server that reads the first bytes of a request and then does this, until the client is gone.
fn serve(answer: fn(&mut TcpStream)) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let address = listener.local_addr().unwrap().to_string();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            std::thread::spawn(move || {
                let mut bytes = [0; 4096];
                if stream.read(&mut bytes).is_ok() {
                    answer(&mut stream);
                    // until the client closes the connection
                    while stream.read(&mut bytes).is_ok_and(|read| read > 0) {}
                }
            });
        }
    });
    address
}

/// The head of a TLS record for a long ServerHello, and then one byte after the other.
fn drip_handshake(stream: &mut TcpStream) {
    let head = [0x16, 3, 3, 0x3f, 0xff, 2, 0, 0x3f, 0xfb, 3, 3];
    if stream.write_all(&head).is_ok() {
        while stream.write_all(&[0]).is_ok() {
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

fn endless_headers(stream: &mut TcpStream) {
    if stream.write_all(b"HTTP/1.1 200 OK\r\n").is_ok() {
        while stream.write_all(b"x: y\r\n").is_ok() {
            std::thread::sleep(Duration::from_millis(1000));
        }
    }
}

/// A body of empty deflate blocks, as fast as the client takes them: it never has a byte of content.
fn endless_gzip(stream: &mut TcpStream) {
    let head =
        b"HTTP/1.1 200 OK\r\ncontent-encoding: gzip\r\nconnection: close\r\n\r\n\x1f\x8b\x08\0\0\0\0\0\0\x03";
    let blocks = [0, 0, 0, 0xff, 0xff].repeat(1000);
    if stream.write_all(head).is_ok() {
        while stream.write_all(&blocks).is_ok() {}
    }
}
