//! The history on recorded days: walking it back gives every earlier moment, and a dump includes all of it.

#![allow(clippy::unwrap_used, clippy::indexing_slicing)] // a test ends there

use postgres::Client;
use tests::review::check_review;
use tests::{Cluster, Random, copy_database_with, daily_catalogues, days, heard, snapshot, sync, wait_until};

const TIERS: [&str; 3] = ["free", "pro", "enterprise"];

/// Makes a few decisions and, now and then, an undo.
fn decide(client: &mut Client, random: &mut Random, decisions: usize) {
    for _ in 0..decisions {
        let status = ["active", "active", "active", "inactive", "disabled", "new"][random.below(6)];
        let flag = ["is_free", "is_pro", "is_enterprise"][random.below(3)];
        let value = random.below(3) > 0;
        let offset = random.below(300);
        client
            .batch_execute(&format!(
                "UPDATE model_access SET status = '{status}', {flag} = {value}, note = 'decision {offset}'
                 WHERE model_id IN (SELECT model_id FROM model_access ORDER BY md5(model_id || '{offset}') LIMIT 3)"
            ))
            .unwrap();
    }
    if random.below(4) == 0 {
        let since =
            "SELECT model_access_undo(max(at) - (max(at) - min(at)) / 3, false) FROM model_access_history";
        client.batch_execute(since).unwrap();
    }
}

/// Keeps a copy of the tracked columns, and of what each tier sees now.
fn remember(client: &mut Client) {
    client
        .batch_execute(
            "INSERT INTO moment (at, last_change) SELECT clock_timestamp(), coalesce(max(history_id), 0) FROM model_access_history;
             INSERT INTO kept SELECT (SELECT max(moment) FROM moment), model_id, to_jsonb(m) - '{upstream,fingerprint,entry_hash,changed_at,last_run_id}'::text[] FROM model_access AS m;
             INSERT INTO seen SELECT (SELECT max(moment) FROM moment), t.tier, v FROM unnest(_model_access_tiers()) AS t(tier), models_for_tier(t.tier) AS v",
        )
        .unwrap();
}

#[test]
fn walking_the_history_back_gives_every_earlier_moment() {
    let folder = daily_catalogues();
    let cluster = Cluster::start_serving(&folder);
    let mut client = cluster.connect();
    client
        .batch_execute(
            "CREATE TABLE moment (moment serial, at timestamptz, last_change bigint);
             CREATE TABLE kept (moment integer, model_id text, columns jsonb);
             CREATE TABLE seen (moment integer, tier text, model model_access_visible)",
        )
        .unwrap();
    let mut random = Random(3);
    // the days begin before two groups of models vanish and end after they returned
    for (number, day) in days(&folder).iter().take(30).enumerate() {
        client
            .batch_execute(&format!(
                "SET model_access.url = '{}'",
                cluster.upstream.url(&format!("catalogue={day}"))
            ))
            .unwrap();
        // the sync does what the preview said
        let preview = "SELECT count(*) FILTER (WHERE action = 'add'), count(*) FILTER (WHERE action = 'missing'),
                              count(*) FILTER (WHERE action = 'return'), count(*) FILTER (WHERE detail ? 'changed_at' AND action <> 'add')
                       FROM model_access_preview()";
        let preview = client.query_one(preview, &[]).unwrap();
        let run = client.query_one("SELECT added::bigint, missing::bigint, returned::bigint, changed::bigint FROM model_access_sync()", &[]);
        let run = run.unwrap();
        assert!(
            (0..4).all(|column| preview.get::<_, i64>(column) == run.get::<_, i64>(column)),
            "{day}: {preview:?} {run:?}"
        );
        remember(&mut client);
        check_review(&mut client, day);
        decide(&mut client, &mut random, if number == 0 { 40 } else { 3 });
        remember(&mut client);
        check_review(&mut client, &format!("{day}, after decisions"));
    }
    let undos: i64 =
        client.query_one("SELECT count(DISTINCT at) FROM model_access_history", &[]).unwrap().get(0);
    assert!(undos > 100, "there is a history to walk");

    // an independent walk back, in the order of the history
    let walked = "SELECT count(*) FROM moment AS t CROSS JOIN model_access AS m
        LEFT JOIN kept AS k ON k.moment = t.moment AND k.model_id = m.model_id
        CROSS JOIN LATERAL (
            SELECT coalesce(jsonb_object_agg(f.key, f.value), '{}') AS columns FROM (
                SELECT DISTINCT ON (o.key) o.key, o.value FROM model_access_history AS h, jsonb_each(h.old) AS o
                WHERE h.model_id = m.model_id AND h.history_id > t.last_change ORDER BY o.key, h.history_id) AS f) AS past
        WHERE m.first_seen_at <= t.at
          AND (to_jsonb(m) - '{upstream,fingerprint,entry_hash,changed_at,last_run_id}'::text[]) || past.columns IS DISTINCT FROM k.columns";
    assert_eq!(client.query_one(walked, &[]).unwrap().get::<_, i64>(0), 0, "rows that differ");
    let kept: i64 = client.query_one("SELECT count(*) FROM kept", &[]).unwrap().get(0);
    assert!(kept > 20_000);

    for tier in TIERS {
        let as_of = format!(
            "SELECT count(*) FROM moment AS t CROSS JOIN LATERAL (
                SELECT count(*) AS differ FROM (SELECT a::text FROM models_for_tier_as_of('{tier}', t.at) AS a) AS a
                FULL JOIN (SELECT (s.model)::text AS s FROM seen AS s WHERE s.moment = t.moment AND s.tier = '{tier}') AS s ON s.s = a.a
                WHERE s.s IS NULL OR a.a IS NULL) AS d WHERE d.differ > 0"
        );
        assert_eq!(
            client.query_one(&as_of, &[]).unwrap().get::<_, i64>(0),
            0,
            "moments that differ in {tier}"
        );
    }
}

#[test]
fn a_dump_carries_decisions_history_and_settings_and_records_nothing_twice() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    for statement in [
        "CREATE ROLE ops",
        "SELECT model_access_grant('ops', 'admin')",
        "UPDATE model_access SET status = 'active', is_pro = true, note = 'ok' WHERE provider = 'openai'",
        "UPDATE model_access SET status = 'disabled' WHERE provider = 'qwen'",
        "INSERT INTO model_access_rule (position, pattern, is_free) VALUES (10, '%:free', true)",
        "SELECT model_access_accept('z-ai/glm-5.2:free'), model_access_set('return_window', '3 days')",
        "INSERT INTO model_access_override (user_id, model_id, allowed) VALUES ('ann', 'openai/gpt-5', true)",
        "UPDATE model_access SET note = 'oops'",
        "SELECT model_access_undo((SELECT max(at) FROM model_access_history), dry_run => false)",
        "UPDATE model_access SET status = 'disabled' WHERE model_id IN (SELECT alias_of FROM model_access)",
        // now some models come after their aliases in a dump
        "UPDATE model_access SET note = 'banned' WHERE model_id IN (SELECT alias_of FROM model_access)",
        "CREATE DATABASE restored",
        "CREATE DATABASE inserted",
    ] {
        client.batch_execute(statement).unwrap();
    }
    copy_database_with(&cluster, "postgres", "restored", &[]);
    copy_database_with(&cluster, "postgres", "inserted", &["--inserts"]);
    let mut restored = cluster.connect_to("restored");
    let mut inserted = cluster.connect_to("inserted");
    let tables = [
        "model_access",
        "model_access_history",
        "model_access_rule",
        "model_access_override",
        "model_access_setting",
        "model_access_sync_log",
    ];
    for table in tables {
        let rows =
            format!("SELECT coalesce(string_agg(t::text, E'\\n' ORDER BY t::text), '') FROM {table} AS t");
        let [before, after, one_by_one] = [&mut client, &mut restored, &mut inserted]
            .map(|client| client.query_one(&rows, &[]).unwrap().get::<_, String>(0));
        assert!(!before.is_empty() && before == after && before == one_by_one, "{table}");
    }
    let may = "SELECT has_column_privilege('ops', 'model_access', 'status', 'UPDATE')";
    assert!(restored.query_one(may, &[]).unwrap().get::<_, bool>(0));
    let before = snapshot(&mut restored);
    assert_eq!(sync(&mut restored).unwrap().outcome, "unchanged");
    assert_eq!(snapshot(&mut restored), before);
    // the sequences continue where they were
    restored.batch_execute("UPDATE model_access SET note = 'later' WHERE model_id = 'openai/gpt-5'").unwrap();
}

#[test]
fn a_transaction_notifies_once_if_it_changed_something() {
    let cluster = Cluster::start();
    let mut listener = cluster.connect();
    listener.batch_execute("LISTEN model_access").unwrap();
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    assert_eq!(heard(&mut listener), ["{\"changed\": \"model_access\"}"]);
    sync(&mut client).unwrap();
    client.batch_execute("UPDATE model_access SET note = note").unwrap();
    client.batch_execute("BEGIN; UPDATE model_access SET status = 'active'; ROLLBACK").unwrap();
    assert!(
        heard(&mut listener).is_empty(),
        "an unchanged sync, an update of nothing and a rollback are no news"
    );
    client
        .batch_execute(
            "BEGIN; UPDATE model_access SET note = 'a'; UPDATE model_access SET note = 'b'; COMMIT",
        )
        .unwrap();
    assert_eq!(heard(&mut listener).len(), 1);
    // the measurements of the upstream are in no column of their own, so they are not recorded; but entries show them
    let load = "SELECT outcome, changed FROM model_access_load((
        SELECT jsonb_agg(upstream || jsonb_build_object('endpoints', $1::text))::text FROM model_access))";
    let history = "SELECT count(*) FROM model_access_history";
    let recorded: i64 = client.query_one(history, &[]).unwrap().get(0);
    for uptime in ["99.1", "99.2"] {
        let run = client.query_one(load, &[&uptime]).unwrap();
        assert_eq!((run.get(0), run.get(1)), ("applied", 421));
    }
    assert_eq!(heard(&mut listener).len(), 2);
    assert_eq!(client.query_one(history, &[]).unwrap().get::<_, i64>(0), recorded);
    // a change of bookkeeping alone does not notify; a change that makes a model wait does
    let write = "UPDATE model_access SET last_run_id = last_run_id + 1";
    client.batch_execute(&format!("{write}, changed_at = now()")).unwrap();
    assert!(heard(&mut listener).is_empty());
    client.batch_execute(&format!("{write}, absent_since = now() WHERE model_id = 'openai/gpt-5'")).unwrap();
    assert_eq!(heard(&mut listener).len(), 1);
}

#[test]
fn accept_does_not_overwrite_a_ban_that_commits_meanwhile() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    client.batch_execute("INSERT INTO model_access_rule (position, is_pro) VALUES (10, true)").unwrap();
    let mut admin = cluster.connect();
    admin
        .batch_execute("BEGIN; UPDATE model_access SET status = 'disabled' WHERE model_id = 'openai/gpt-5'")
        .unwrap();
    let accepting = std::thread::spawn(move || {
        client.batch_execute("SELECT model_access_accept('openai/gpt-5')").unwrap_err()
    });
    let waiting = "EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'model_access'::regclass)";
    wait_until(&mut cluster.connect(), waiting);
    admin.batch_execute("COMMIT").unwrap();
    assert_eq!(accepting.join().unwrap().code().unwrap().code(), "P0002");
    let status =
        admin.query_one("SELECT status FROM model_access WHERE model_id = 'openai/gpt-5'", &[]).unwrap();
    assert_eq!(status.get::<_, &str>(0), "disabled");
}

#[test]
fn a_ban_in_repeatable_read_does_not_miss_an_alias_that_moved() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    let mut admin = cluster.connect();
    admin.batch_execute("BEGIN ISOLATION LEVEL REPEATABLE READ; SELECT FROM model_access").unwrap();
    let moved = "SELECT outcome FROM model_access_load((
        SELECT jsonb_agg(CASE WHEN alias_of IS NULL THEN upstream
            ELSE jsonb_set(upstream, '{alias_target,slug}', '\"openai/gpt-5\"') END)::text FROM model_access))";
    assert_eq!(client.query_one(moved, &[]).unwrap().get::<_, &str>(0), "applied");
    let ban = "UPDATE model_access SET status = 'disabled' WHERE model_id = 'openai/gpt-5'";
    assert_eq!(admin.batch_execute(ban).unwrap_err().code().unwrap().code(), "40001");
    admin.batch_execute("ROLLBACK; BEGIN ISOLATION LEVEL REPEATABLE READ").unwrap();
    admin.batch_execute(ban).unwrap();
    admin.batch_execute("COMMIT").unwrap();
    let seen = "SELECT bool_or(NOT target_disabled) FROM model_access WHERE alias_of IS NOT NULL";
    assert!(!admin.query_one(seen, &[]).unwrap().get::<_, bool>(0));
}

#[test]
fn undo_does_not_overwrite_a_decision_that_commits_meanwhile() {
    let cluster = Cluster::start();
    let mut client = cluster.connect();
    sync(&mut client).unwrap();
    client.batch_execute("UPDATE model_access SET status = 'disabled', note = 'oops'").unwrap();
    let mut admin = cluster.connect();
    admin
        .batch_execute("BEGIN; UPDATE model_access SET note = 'legal' WHERE model_id = 'openai/gpt-5'")
        .unwrap();
    let undoing = std::thread::spawn(move || {
        let undo = "SELECT model_access_undo((SELECT min(at) FROM model_access_history WHERE run_id IS NULL),
                                             dry_run => false, actor => 'postgres', history_ids => ARRAY(
                        SELECT history_id FROM model_access_history WHERE new ->> 'note' = 'oops'))";
        client.batch_execute(undo).unwrap();
    });
    let waiting = "EXISTS (SELECT FROM pg_locks WHERE NOT granted AND relation = 'model_access'::regclass)";
    wait_until(&mut cluster.connect(), waiting);
    admin.batch_execute("COMMIT").unwrap();
    undoing.join().unwrap();
    let note = "SELECT note, status FROM model_access WHERE model_id = 'openai/gpt-5'";
    let row = admin.query_one(note, &[]).unwrap();
    assert_eq!((row.get::<_, &str>(0), row.get::<_, &str>(1)), ("legal", "new"));
    let others = "SELECT count(note) FROM model_access WHERE model_id <> 'openai/gpt-5'";
    assert_eq!(admin.query_one(others, &[]).unwrap().get::<_, i64>(0), 0);
}
