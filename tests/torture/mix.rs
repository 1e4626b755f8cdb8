//! Twenty sessions at once: syncs, loads, admins, users, readers, and a DBA who rebuilds tables, dumps and binds.
//!
//! Invariant. No session gets an error that is not in its list of SQLSTATEs, and none waits longer than the bound. A
//! reader's lists and checks agree in one snapshot. In the end the chain of the history holds, no lock is left, and the
//! next sync works.

use crate::{Plan, invariants};
use postgres::{Client, Error, IsolationLevel};
use std::collections::BTreeMap;
use std::process::{Command, Stdio};
use std::thread;
use std::time::{Duration, Instant};
use tests::{Cluster, Random, server_program, sync};

/// A session that waits longer than this hangs.
const BOUND: &str = "SET statement_timeout = '60s'";

/// A session, what it does again and again, and the SQLSTATEs with which that may fail.
struct Session {
    name: &'static str,
    work: fn(&Cluster, &mut Client, &mut Random) -> Result<(), Error>,
    allowed: &'static [&'static str],
}

/// Two UPDATEs of several rows may deadlock with each other, as in every table. The sync, confirm, accept and undo lock
/// the table before they read, so they never do.
const DEADLOCK: &str = "40P01";
/// The moment is before the first change that the history has. Its number may be above 1, because the first change was
/// rolled back; then earlier changes could have been deleted.
const BEFORE_THE_HISTORY: &str = "22023";
/// A model that another session has decided or confirmed meanwhile.
const NO_LONGER_THERE: &str = "P0002";
/// A row that another session has changed since the snapshot of a REPEATABLE READ transaction.
const SERIALIZATION: &str = "40001";
/// A lock that the function did not get within its limit.
const LOCK_NOT_AVAILABLE: &str = "55P03";

const SESSIONS: [Session; 19] = [
    Session { name: "sync", work: fetch, allowed: &[] },
    Session { name: "another sync", work: fetch, allowed: &[] },
    // the job raises an error for the outcome of the run: held, no lock, or too many skipped runs
    Session { name: "job", work: job, allowed: &["55000", LOCK_NOT_AVAILABLE, "55006"] },
    Session { name: "load", work: load, allowed: &[] },
    Session { name: "preview", work: preview, allowed: &[] },
    Session { name: "admin in bulk", work: decide_in_bulk, allowed: &[DEADLOCK] },
    Session { name: "admin one by one", work: decide_one, allowed: &[DEADLOCK] },
    Session { name: "another admin one by one", work: decide_one, allowed: &[DEADLOCK] },
    Session { name: "admin in a snapshot", work: decide_in_snapshot, allowed: &[DEADLOCK, SERIALIZATION] },
    Session { name: "confirm", work: confirm, allowed: &[NO_LONGER_THERE, LOCK_NOT_AVAILABLE] },
    Session { name: "accept", work: accept, allowed: &[NO_LONGER_THERE, LOCK_NOT_AVAILABLE] },
    Session { name: "undo", work: undo, allowed: &[LOCK_NOT_AVAILABLE] },
    Session { name: "override", work: override_user, allowed: &[] },
    Session { name: "reader of tiers", work: read_tiers, allowed: &[] },
    Session { name: "reader of users", work: read_users, allowed: &[] },
    Session { name: "reader of the past", work: read_past, allowed: &[BEFORE_THE_HISTORY] },
    Session { name: "profiles", work: change_profiles, allowed: &[] },
    Session { name: "binder", work: bind, allowed: &[LOCK_NOT_AVAILABLE] },
    Session { name: "dump", work: dump, allowed: &[] },
];

/// A DBA in every second round, beside the others.
const MAINTENANCE: Session = Session { name: "maintenance", work: maintain, allowed: &[] };
/// The DBA in the other rounds. REINDEX deadlocks with a transaction that has read the table and then waits to write it,
/// with CONCURRENTLY because it waits for every snapshot, and otherwise for the index. PostgreSQL ends either of them.
const REINDEX: Session = Session { name: "reindex", work: reindex, allowed: &[DEADLOCK] };

const SCENARIOS: [&str; 7] = [
    "",
    "catalogue=2026-08-22",
    "catalogue=2025-12-25",
    "catalogue=2025-09-14",
    "take=300",
    "without=openai/gpt-5&without=openai/gpt-5-mini",
    "status=500",
];

/// How long a round takes at most. Each has a cluster of its own, so that the history does not grow for an hour.
const ROUND: Duration = Duration::from_secs(120);

pub fn run(mut plan: Plan) {
    let half = plan.end.saturating_duration_since(Instant::now()) / 2;
    let mut reindexes = false;
    let mut rounds = 0;
    while plan.goes_on() || rounds < 2 {
        round(&mut plan, Instant::now() + ROUND.min(half), reindexes);
        reindexes = !reindexes;
        rounds += 1;
    }
}

fn round(plan: &mut Plan, end: Instant, reindexes: bool) {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    client
        .batch_execute(
            "CREATE TABLE profiles (id text PRIMARY KEY, subscription_tier text NOT NULL DEFAULT 'free');
             INSERT INTO profiles SELECT 'user ' || n FROM generate_series(1, 50) AS n;
             SELECT model_access_bind_profiles('profiles');
             INSERT INTO model_access_rule (position, pattern, is_free) VALUES (10, '%:free', true);
             INSERT INTO model_access_rule (position, provider, is_pro) VALUES (20, 'openai', true)",
        )
        .unwrap();
    let dba: Session = if reindexes { REINDEX } else { MAINTENANCE };
    let sessions: Vec<&Session> = SESSIONS.iter().chain([&dba]).collect();
    let randoms: Vec<Random> = sessions.iter().map(|_| plan.fork()).collect();
    let results: Vec<_> = thread::scope(|scope| {
        let threads: Vec<_> = sessions
            .iter()
            .zip(randoms)
            .map(|(session, random)| {
                let cluster = &cluster;
                scope.spawn(move || session.run(cluster, random, end, reindexes))
            })
            .collect();
        threads.into_iter().map(|thread| thread.join().unwrap()).collect()
    });
    for (session, (done, refused)) in sessions.iter().zip(results) {
        println!("mix: {} {done} times, refused {refused:?}", session.name);
        assert!(done > 0, "{} did nothing: {refused:?}", session.name);
    }
    invariants::check(&mut client, "after the mix");
}

impl Session {
    /// Works until the time is over. Returns how often it succeeded, and how often it failed with what.
    fn run(
        &self,
        cluster: &Cluster,
        mut random: Random,
        end: Instant,
        reindexes: bool,
    ) -> (u32, BTreeMap<String, u32>) {
        let mut client = cluster.connect();
        client.batch_execute(BOUND).unwrap();
        let (mut done, mut refused) = (0, BTreeMap::new());
        while Instant::now() < end || done == 0 && refused.values().sum::<u32>() < 1000 {
            match (self.work)(cluster, &mut client, &mut random) {
                Ok(()) => done += 1,
                Err(error) => {
                    let code = error.code().map_or("no SQLSTATE", |code| code.code()).to_owned();
                    let allowed = self.allowed.contains(&code.as_str()) || reindexes && code == DEADLOCK;
                    assert!(allowed, "{}: {error:?}", self.name);
                    *refused.entry(code).or_default() += 1;
                    // a transaction block may be open
                    client.batch_execute("ROLLBACK").unwrap();
                }
            }
        }
        (done, refused)
    }
}

fn fetch(cluster: &Cluster, client: &mut Client, random: &mut Random) -> Result<(), Error> {
    let url = cluster.upstream.url(SCENARIOS[random.below(SCENARIOS.len())]);
    let removals = ["NULL", "100000"][random.below(2)];
    client.batch_execute(&format!("SET model_access.url = '{url}'"))?;
    let run = client.query_one(&format!("SELECT * FROM model_access_sync({removals})"), &[])?;
    let code: Option<String> = run.get("error_code");
    let error: Option<String> = run.get("error");
    let may_be = [LOCK_NOT_AVAILABLE, DEADLOCK, "55006", "58000", "01000"];
    assert!(code.as_deref().is_none_or(|code| may_be.contains(&code)), "{code:?}: {error:?}");
    Ok(())
}

fn job(_: &Cluster, client: &mut Client, _: &mut Random) -> Result<(), Error> {
    client.batch_execute("CALL model_access_sync_job()")
}

fn load(_: &Cluster, client: &mut Client, random: &mut Random) -> Result<(), Error> {
    // a list without every tenth model, at another price
    let load = "SELECT (model_access_load((
        SELECT jsonb_agg(jsonb_set(upstream, '{pricing,prompt}', to_jsonb($1::text)))::text FROM model_access
        WHERE abs(hashtext(model_id)) % 10 <> $2), 100000)).outcome";
    let price = ["0", "0.000001", "0.00001"][random.below(3)];
    client.query(load, &[&price, &(random.below(10) as i32)]).map(drop)
}

fn preview(_: &Cluster, client: &mut Client, _: &mut Random) -> Result<(), Error> {
    client.query("SELECT * FROM model_access_preview()", &[]).map(drop)
}

fn any_set(random: &mut Random) -> String {
    let status = ["active", "active", "inactive", "disabled", "new"][random.below(5)];
    let flag = ["is_free", "is_pro", "is_enterprise"][random.below(3)];
    format!("SET status = '{status}', {flag} = NOT {flag}, note = '{}'", random.below(1000))
}

fn decide_in_bulk(_: &Cluster, client: &mut Client, random: &mut Random) -> Result<(), Error> {
    let provider =
        ["provider = 'openai'", "provider = 'qwen'", "true", "pricing ->> 'prompt' = '0'"][random.below(4)];
    client.batch_execute(&format!("UPDATE model_access {} WHERE {provider}", any_set(random)))
}

fn decide_one(_: &Cluster, client: &mut Client, random: &mut Random) -> Result<(), Error> {
    let (set, offset) = (any_set(random), random.below(400));
    client.batch_execute(&format!(
        "UPDATE model_access {set} WHERE model_id = (SELECT model_id FROM model_access ORDER BY model_id OFFSET {offset} LIMIT 1)"
    ))
}

fn decide_in_snapshot(_: &Cluster, client: &mut Client, random: &mut Random) -> Result<(), Error> {
    let update = format!("UPDATE model_access {} WHERE provider = 'anthropic'", any_set(random));
    let mut block = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start()?;
    block.query("SELECT count(*) FROM model_access", &[])?;
    block.batch_execute(&update)?;
    block.commit()
}

fn confirm(_: &Cluster, client: &mut Client, random: &mut Random) -> Result<(), Error> {
    let offset = random.below(50) as i64;
    let confirm = "SELECT model_access_confirm(VARIADIC ARRAY(
        SELECT model_id FROM model_access_review ORDER BY model_id OFFSET $1 LIMIT 5))";
    client.query(confirm, &[&offset]).map(drop)
}

fn accept(_: &Cluster, client: &mut Client, _: &mut Random) -> Result<(), Error> {
    let accept = "SELECT model_access_accept(VARIADIC ARRAY(
        SELECT model_id FROM model_access_review WHERE proposed IS NOT NULL ORDER BY model_id LIMIT 5))";
    client.query(accept, &[]).map(drop)
}

fn undo(_: &Cluster, client: &mut Client, random: &mut Random) -> Result<(), Error> {
    let dry_run = random.below(2) == 0;
    let undo = "SELECT model_access_undo((SELECT max(at) FROM model_access_history), dry_run => $1)";
    client.query(undo, &[&dry_run]).map(drop)
}

fn override_user(_: &Cluster, client: &mut Client, random: &mut Random) -> Result<(), Error> {
    let user = random.below(50);
    client.batch_execute(&format!(
        "DELETE FROM model_access_override WHERE user_id = 'user {user}';
         INSERT INTO model_access_override (user_id, provider, allowed) VALUES ('user {user}', 'openai', {});
         UPDATE model_access_override SET note = 'x' WHERE user_id = 'user {user}'",
        random.below(2) == 0
    ))
}

fn read_tiers(_: &Cluster, client: &mut Client, random: &mut Random) -> Result<(), Error> {
    let tier = ["free", "pro", "enterprise"][random.below(3)];
    // one statement has one snapshot
    let wrong = "SELECT count(*) FROM models_for_tier($1) JOIN model_access AS m USING (model_id) WHERE m.status <> 'active'";
    assert_eq!(
        client.query_one(wrong, &[&tier])?.get::<_, i64>(0),
        0,
        "a model that is not active is listed"
    );
    let mut block = client.build_transaction().isolation_level(IsolationLevel::RepeatableRead).start()?;
    let listed = block.query("SELECT model_id FROM models_for_tier($1) ORDER BY model_id", &[&tier])?;
    let allowed = "SELECT model_id FROM model_access WHERE model_allowed($1, model_id) ORDER BY model_id";
    let allowed = block.query(allowed, &[&tier])?;
    let ids = |rows: Vec<postgres::Row>| rows.iter().map(|row| row.get(0)).collect::<Vec<String>>();
    assert_eq!(ids(listed), ids(allowed), "model_allowed in {tier}");
    block.commit()
}

fn read_users(_: &Cluster, client: &mut Client, random: &mut Random) -> Result<(), Error> {
    let user = format!("user {}", random.below(60));
    client.query("SELECT * FROM models_for_user($1)", &[&user])?;
    client.query("SELECT * FROM model_access_user($1)", &[&user])?;
    client.query("SELECT model_allowed_for_user($1, 'openai/gpt-5')", &[&user])?;
    client.query("SELECT * FROM model_access_explain_for_user($1, 'openai/gpt-5')", &[&user]).map(drop)
}

fn read_past(_: &Cluster, client: &mut Client, random: &mut Random) -> Result<(), Error> {
    let query = [
        "SELECT * FROM model_access_review",
        "SELECT * FROM model_access_health()",
        "SELECT * FROM model_access_changes ORDER BY at DESC LIMIT 20",
        "SELECT * FROM models_for_tier_as_of('pro', clock_timestamp() - interval '5 seconds')",
        "SELECT * FROM model_access_price_history LIMIT 100",
        "SELECT * FROM model_access_settings",
    ][random.below(6)];
    client.query(query, &[]).map(drop)
}

fn change_profiles(_: &Cluster, client: &mut Client, random: &mut Random) -> Result<(), Error> {
    let tier = ["free", "pro", "enterprise", "unknown"][random.below(4)];
    let user = random.below(50);
    client
        .batch_execute(&format!("UPDATE profiles SET subscription_tier = '{tier}' WHERE id = 'user {user}'"))
}

fn bind(_: &Cluster, client: &mut Client, random: &mut Random) -> Result<(), Error> {
    thread::sleep(Duration::from_millis(random.below(200) as u64));
    client.batch_execute(
        ["SELECT model_access_bind_profiles('profiles')", "SELECT model_access_unbind_profiles()"]
            [random.below(2)],
    )
}

fn maintain(_: &Cluster, client: &mut Client, random: &mut Random) -> Result<(), Error> {
    client.batch_execute(
        [
            "VACUUM FULL model_access",
            "CLUSTER model_access USING model_access_pkey",
            "VACUUM (ANALYZE) model_access",
            "VACUUM FULL model_access_history",
            "VACUUM FULL model_access_sync_log",
            "ALTER EXTENSION model_access UPDATE",
            "SELECT model_access_set('return_window', '5 days')",
            "SELECT model_access_set('return_window', NULL)",
            "SELECT model_access_repair_privileges()",
        ][random.below(9)],
    )
}

fn reindex(_: &Cluster, client: &mut Client, random: &mut Random) -> Result<(), Error> {
    let table = ["model_access", "model_access_history", "model_access_sync_log"][random.below(3)];
    let how = ["CONCURRENTLY", "CONCURRENTLY", ""][random.below(3)];
    client.batch_execute(&format!("REINDEX TABLE {how} {table}"))
}

fn dump(cluster: &Cluster, _: &mut Client, _: &mut Random) -> Result<(), Error> {
    let dump = Command::new(server_program("pg_dump"))
        .args(["-U", "postgres", "-h"])
        .arg(cluster.socket())
        .arg("postgres")
        .stdout(Stdio::null())
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert!(dump.status.success(), "pg_dump: {}", String::from_utf8_lossy(&dump.stderr));
    Ok(())
}
