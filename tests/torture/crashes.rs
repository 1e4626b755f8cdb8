//! `kill -9` of a backend, and of the postmaster, at random moments of fetch and apply, beside admins who edit.
//!
//! Invariant. After every restart the tables are as the last commit left them: the chain of the history holds, the run
//! rows are complete, no decision that was acknowledged is lost, no lock is left, and the next sync works. The server
//! starts again within a bound.

use crate::{Plan, invariants};
use postgres::Client;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};
use tests::{Cluster, Random, sync};

const ADMINS: usize = 3;
const VICTIMS: usize = 4;
/// A fetch that does not notice that the postmaster is gone keeps the server from starting until its timeout.
const TIMEOUT: &str = "model_access.timeout=5s";
const STARTS_WITHIN: Duration = Duration::from_secs(60);

/// What syncs fetch here: lists of several years, incomplete ones, failures, and slow bodies.
const SCENARIOS: [&str; 10] = [
    "",
    "catalogue=2026-08-22",
    "catalogue=2025-12-25",
    "catalogue=2025-09-14",
    "catalogue=2024-09-18",
    "take=300",
    "without=openai/gpt-5&without=openai/gpt-5-mini",
    "status=500",
    "stall=body",
    "cut=100000",
];

const IN_APPLY: &str =
    "SELECT l.pid FROM pg_locks AS l WHERE l.relation = 'model_access'::regclass AND l.granted
    AND l.mode = 'ShareRowExclusiveLock' LIMIT 1";
const IN_RUN: &str =
    "SELECT l.pid FROM pg_locks AS l WHERE l.relation = '_model_access_run_lock'::regclass AND l.granted
    AND l.mode = 'ShareUpdateExclusiveLock' LIMIT 1";
const ANY_ADMIN: &str =
    "SELECT pid FROM pg_stat_activity WHERE application_name = 'admin' AND state = 'active' LIMIT 1";

/// After this many rounds a new cluster takes over, so that the history does not grow for an hour.
const ROUNDS: usize = 20;

pub fn run(mut plan: Plan) {
    let mut rounds = 0;
    let mut decisions = 0;
    while plan.goes_on() || rounds == 0 {
        let (ended, acknowledged) = rounds_of_one_cluster(&mut plan);
        rounds += ended;
        decisions += acknowledged;
    }
    println!(
        "crashes: {rounds} rounds, each victim in every fourth; {decisions} decisions acknowledged, none lost"
    );
}

/// Returns the number of rounds and of decisions.
fn rounds_of_one_cluster(plan: &mut Plan) -> (usize, u64) {
    let cluster = Cluster::start_with(&[TIMEOUT]);
    sync(&mut cluster.connect()).unwrap();
    let acknowledged: Arc<Vec<AtomicU64>> = Arc::new((0..ADMINS).map(|_| AtomicU64::new(0)).collect());
    let mut rounds = 0;
    while rounds < ROUNDS && plan.goes_on() || rounds < VICTIMS {
        let victim = rounds % VICTIMS;
        crash(plan, &cluster, victim, &acknowledged);
        let mut client = started(&cluster);
        let when = format!("round {rounds}, victim {victim}");
        for (number, last) in acknowledged.iter().enumerate() {
            let note = format!("admin {number} decision {}", last.load(Ordering::Relaxed));
            let recorded = "SELECT EXISTS (SELECT FROM model_access_history WHERE new ->> 'note' = $1)";
            let is_there: bool = client.query_one(recorded, &[&note]).unwrap().get(0);
            assert!(is_there || note.ends_with(" 0"), "{when}: {note} was acknowledged and is lost");
        }
        invariants::check(&mut client, &when);
        rounds += 1;
    }
    (rounds, acknowledged.iter().map(|last| last.load(Ordering::Relaxed)).sum())
}

/// Lets admins and a sync work, and kills one of them, or the server, in the middle.
fn crash(plan: &mut Plan, cluster: &Cluster, victim: usize, acknowledged: &Arc<Vec<AtomicU64>>) {
    let stop = Arc::new(AtomicBool::new(false));
    let mut workers: Vec<JoinHandle<()>> = (0..ADMINS)
        .map(|number| {
            let (client, random) = (cluster.connect(), plan.fork());
            let (stop, acknowledged) = (Arc::clone(&stop), Arc::clone(acknowledged));
            thread::spawn(move || edit(client, random, number, &acknowledged[number], &stop))
        })
        .collect();
    let urls: Vec<String> = SCENARIOS.iter().map(|scenario| cluster.upstream.url(scenario)).collect();
    let (client, random, flag) = (cluster.connect(), plan.fork(), Arc::clone(&stop));
    workers.push(thread::spawn(move || fetch(client, random, &urls, &flag)));
    let mut observer = cluster.connect();
    kill(cluster, &mut observer, victim, &mut plan.random);
    wait_until_lost(&mut observer);
    stop.store(true, Ordering::Relaxed);
    for worker in workers {
        worker.join().unwrap();
    }
}

/// Decides until the session is lost. The number of the last decision that was acknowledged is kept.
fn edit(mut client: Client, mut random: Random, number: usize, acknowledged: &AtomicU64, stop: &AtomicBool) {
    if client.batch_execute("SET application_name = 'admin'").is_err() {
        return;
    }
    let mut decision = acknowledged.load(Ordering::Relaxed);
    while !stop.load(Ordering::Relaxed) {
        decision += 1;
        let status = ["active", "active", "inactive", "disabled", "new"][random.below(5)];
        let flag = ["is_free", "is_pro", "is_enterprise"][random.below(3)];
        let (limit, offset) = ([1, 1, 5, 400][random.below(4)], random.below(300));
        let decide = format!(
            "UPDATE model_access SET status = '{status}', {flag} = NOT {flag}, note = 'admin {number} decision {decision}'
             WHERE model_id IN (SELECT model_id FROM model_access ORDER BY model_id OFFSET {offset} LIMIT {limit})"
        );
        let undo = "SELECT model_access_undo((SELECT max(at) FROM model_access_history), dry_run => false)";
        // two UPDATEs of many rows may deadlock with each other, as in any table
        let written = client.execute(&decide, &[]);
        match written {
            Ok(rows) if rows > 0 => acknowledged.store(decision, Ordering::Relaxed),
            Ok(_) => {}
            Err(error) if is_deadlock(&error) => {}
            Err(error) => return assert!(is_lost(&error), "admin: {error:?}"),
        }
        if random.below(8) == 0
            && let Err(error) = client.batch_execute(undo)
            && !is_deadlock(&error)
        {
            return assert!(is_lost(&error), "undo: {error:?}");
        }
    }
}

fn is_deadlock(error: &postgres::Error) -> bool {
    error.code() == Some(&postgres::error::SqlState::T_R_DEADLOCK_DETECTED)
}

/// Syncs one scenario after the other until the session is lost.
fn fetch(mut client: Client, mut random: Random, urls: &[String], stop: &AtomicBool) {
    while !stop.load(Ordering::Relaxed) {
        let url = &urls[random.below(urls.len())];
        let run = format!("SET model_access.url = '{url}'; SELECT model_access_sync(100000)");
        if let Err(error) = client.batch_execute(&run) {
            return assert!(is_lost(&error), "sync: {error:?}");
        }
    }
}

/// Whether the server closed the session, or crashed.
pub fn is_lost(error: &postgres::Error) -> bool {
    let code = error.code().map_or("", postgres::error::SqlState::code);
    error.is_closed() || error.as_db_error().is_none() || ["57P01", "57P02", "57P03"].contains(&code)
}

fn server_pid(cluster: &Cluster) -> i32 {
    let pid = std::fs::read_to_string(cluster.socket().join("data/postmaster.pid")).unwrap();
    pid.lines().next().unwrap().parse().unwrap()
}

/// Kills a victim: 0 = the backend that applies a plan, 1 = the backend of a run, wherever it is, 2 = an admin,
/// 3 = the postmaster.
fn kill(cluster: &Cluster, observer: &mut Client, victim: usize, random: &mut Random) {
    // a random moment is what this scene is about
    thread::sleep(Duration::from_millis(random.below(600) as u64));
    if victim == 3 {
        return signal(server_pid(cluster));
    }
    let query = [IN_APPLY, IN_RUN, ANY_ADMIN][victim];
    let begin = Instant::now();
    while begin.elapsed() < STARTS_WITHIN {
        if let Some(row) = observer.query_opt(query, &[]).unwrap() {
            return signal(row.get(0));
        }
    }
    panic!("there was no victim: {query}");
}

fn signal(pid: i32) {
    let status = std::process::Command::new("kill").args(["-9", &pid.to_string()]).status().unwrap();
    assert!(status.success(), "kill -9 {pid}");
}

/// Waits until the server has noticed the crash.
fn wait_until_lost(observer: &mut Client) {
    let begin = Instant::now();
    while observer.batch_execute("SELECT 1").is_ok() {
        assert!(begin.elapsed() < STARTS_WITHIN, "the server does not notice a crash");
        thread::sleep(Duration::from_millis(5));
    }
}

/// A session of the server after the crash. A killed postmaster is started again.
fn started(cluster: &Cluster) -> Client {
    let begin = Instant::now();
    loop {
        match cluster.try_connect() {
            Ok(client) => return client,
            _ => assert!(begin.elapsed() < STARTS_WITHIN, "the server does not start again"),
        }
        if !is_running(cluster) {
            let _ = cluster.try_ctl(&["start"]);
        }
        thread::sleep(Duration::from_millis(50));
    }
}

fn is_running(cluster: &Cluster) -> bool {
    std::path::Path::new(&format!("/proc/{}", server_pid(cluster))).exists()
}
