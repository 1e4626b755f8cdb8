//! A thousand failed fetches in one session, against `/proc`.
//!
//! Invariant. Every run has its row, and the backend keeps nothing of a fetch: after a warm-up its number of threads and
//! of descriptors does not grow, and its memory grows by less than what one body takes.

use crate::{Plan, invariants};
use std::fs;
use std::time::{Duration, Instant};
use tests::{Cluster, sync};

/// In an hour. A shorter torture makes fewer, but not less than one of each kind.
const FETCHES: f64 = 1000.0;
/// The memory that the allocator may keep beyond the warm-up, in kB: less than 1 kB for each failed fetch of an hour.
const MAX_GROWTH_KB: i64 = 8 * 1024;
const BOUND: Duration = Duration::from_secs(60);

/// Responses of the upstream that fail a run.
const SCENARIOS: [&str; 10] = [
    "status=500&body=oops",
    "status=404",
    "status=301&location=https://evil.example/",
    "body=%3Chtml%3E",
    "body={%22data%22:[{%22id%22:%22a",
    "take=0",
    "cut=1000",
    "encoding=br",
    "bytes=300000",
    "stall=body",
];
/// URLs that reach no upstream.
const URLS: [&str; 3] = ["http://127.0.0.1:1/", "https://127.0.0.1:1/", "https://catalogue.invalid/"];

/// What the backend holds.
#[derive(Debug, Clone, Copy)]
struct Held {
    threads: i64,
    descriptors: i64,
    kb: i64,
}

impl Held {
    fn by(pid: i32) -> Self {
        let status = fs::read_to_string(format!("/proc/{pid}/status")).unwrap();
        let number = |name: &str| -> i64 {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        let descriptors = fs::read_dir(format!("/proc/{pid}/fd")).unwrap().count();
        // memory of its own: shared buffers count once they were touched, and are no leak
        Self {
            threads: number("Threads:"),
            descriptors: descriptors.try_into().unwrap(),
            kb: number("RssAnon:"),
        }
    }

    /// What it holds when the threads that resolve names have ended.
    fn settled(pid: i32, most: Self) -> Self {
        let begin = Instant::now();
        loop {
            let held = Self::by(pid);
            let is_settled = held.threads <= most.threads && held.descriptors <= most.descriptors;
            if is_settled || begin.elapsed() > BOUND {
                return held;
            }
            std::thread::sleep(Duration::from_millis(50));
        }
    }
}

pub fn run(mut plan: Plan) {
    let cluster = Cluster::start_with(&["model_access.timeout=300ms"]);
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    let before = tests::snapshot(&mut client);
    let pid: i32 = client.query_one("SELECT pg_backend_pid()", &[]).unwrap().get(0);
    let mut urls: Vec<String> = SCENARIOS.iter().map(|scenario| cluster.upstream.url(scenario)).collect();
    urls.extend(URLS.map(String::from));
    let one = |client: &mut postgres::Client, url: &str| {
        client.batch_execute(&format!("SET model_access.url = '{url}'")).unwrap();
        let run = sync(client).unwrap();
        assert_eq!(run.outcome, "failed", "{url}: {run:?}");
        assert!(run.error_code.is_some(), "{url}");
    };
    // the first fetch loads the CA certificates, and each kind of failure its code
    for url in urls.iter().chain(&urls) {
        one(&mut client, url);
    }
    let alone = Held { threads: 1, descriptors: i64::MAX, kb: 0 };
    let warm = Held::settled(pid, alone);
    let fetches = (FETCHES * plan.minutes / 60.0) as usize;
    let mut done = 0;
    while done < fetches.max(urls.len()) {
        let url = &urls[plan.random.below(urls.len())];
        one(&mut client, url);
        done += 1;
    }
    let held = Held::settled(pid, warm);
    assert!(held.threads <= warm.threads, "threads: {warm:?}, then {held:?}");
    assert!(held.descriptors <= warm.descriptors, "descriptors: {warm:?}, then {held:?}");
    assert!(held.kb - warm.kb < MAX_GROWTH_KB, "memory: {warm:?}, then {held:?}");
    assert_eq!(tests::snapshot(&mut client), before);
    let runs: i64 = client.query_one("SELECT count(*) FROM model_access_sync_log", &[]).unwrap().get(0);
    assert_eq!(usize::try_from(runs).unwrap(), 1 + 2 * urls.len() + done, "one row for each run");
    println!("failures: {done} failed fetches, {warm:?}, then {held:?}");
    client.batch_execute("RESET model_access.url; SET model_access.timeout = '20s'").unwrap();
    invariants::check(&mut client, "after the failures");
}
