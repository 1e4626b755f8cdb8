//! A thousand days of history: recorded days in turn, forward and back, with decisions, mistakes and undo.
//!
//! Invariant. After every tenth day, and after every undo, the review is what a second implementation says. A mistake
//! that is undone leaves the decisions as they were, and undoing the same moment again changes nothing. After many days
//! the chain of the history holds, and `models_for_tier_as_of` gives what each tier saw at every remembered moment.

use crate::{Plan, invariants};
use postgres::Client;
use tests::review::check_review;
use tests::{Cluster, Random, daily_catalogues, days};

const DAYS: usize = 1000;
/// How many days there are between two reviews, two remembered moments and two mistakes.
const REVIEW: usize = 10;
const REMEMBER: usize = 20;
const MISTAKE: usize = 7;

/// A day passes for everything that counts days. For the triggers it is a run, so it is no decision.
const A_DAY_PASSES: &str = "
    UPDATE model_access SET missing_since = missing_since - interval '1 day', absent_since = absent_since - interval '1 day',
        free_revoked_at = free_revoked_at - interval '1 day', price_guarded_at = price_guarded_at - interval '1 day',
        reviewed_at = reviewed_at - interval '1 day', last_run_id = last_run_id + 1
    WHERE num_nonnulls(missing_since, absent_since, free_revoked_at, price_guarded_at) > 0;
    UPDATE model_access_sync_log SET started_at = started_at - interval '1 day';
    SELECT nextval('model_access_sync_log_run_id_seq')";
const DECISIONS: &str =
    "SELECT string_agg(format('%s %s %s %s %s %s', model_id, status, is_free, is_pro, is_enterprise, note),
    E'\\n' ORDER BY model_id) FROM model_access";
const REMEMBERED: &str = "
    INSERT INTO moment (at) VALUES (clock_timestamp());
    INSERT INTO seen SELECT (SELECT max(moment) FROM moment), t.tier, v
    FROM unnest(_model_access_tiers()) AS t(tier), models_for_tier(t.tier) AS v";
const MOMENTS_THAT_DIFFER: &str = "
    SELECT count(*) FROM moment AS t CROSS JOIN unnest(_model_access_tiers()) AS r(tier) CROSS JOIN LATERAL (
        SELECT count(*) AS differ FROM (SELECT a::text FROM models_for_tier_as_of(r.tier, t.at) AS a) AS a
        FULL JOIN (SELECT (s.model)::text AS s FROM seen AS s WHERE s.moment = t.moment AND s.tier = r.tier) AS s ON s.s = a.a
        WHERE s.s IS NULL OR a.a IS NULL) AS d WHERE d.differ > 0";

pub fn run(mut plan: Plan) {
    let folder = daily_catalogues();
    let cluster = Cluster::start_serving(&folder);
    let mut client = cluster.connect();
    client
        .batch_execute(
            "CREATE TABLE moment (moment serial, at timestamptz);
             CREATE TABLE seen (moment integer, tier text, model model_access_visible)",
        )
        .unwrap();
    let recorded = days(&folder);
    let mut day = 0;
    let mut undone = 0;
    while day < DAYS && plan.goes_on() || day < 2 * REMEMBER {
        client.batch_execute(A_DAY_PASSES).unwrap();
        // forward and back, so that no day is far from the day before
        let turn = day % (2 * recorded.len() - 2);
        let catalogue = &recorded[if turn < recorded.len() { turn } else { 2 * recorded.len() - 2 - turn }];
        let url = cluster.upstream.url(&format!("catalogue={catalogue}"));
        client.batch_execute(&format!("SET model_access.url = '{url}'")).unwrap();
        let run = tests::sync(&mut client).unwrap();
        let when = format!("day {day}, {catalogue}");
        assert!(["applied", "unchanged", "held"].contains(&run.outcome.as_str()), "{when}: {run:?}");
        let looked_at = day % REVIEW == 0;
        if looked_at {
            check_review(&mut client, &when);
        }
        decide(&mut client, &mut plan.random, if day == 0 { 80 } else { 3 });
        if looked_at {
            check_review(&mut client, &format!("{when}, after decisions"));
        }
        if day % MISTAKE == 0 {
            mistake(&mut client, &mut plan.random, &when);
            undone += 1;
        }
        if day % REMEMBER == 0 {
            client.batch_execute(REMEMBERED).unwrap();
        }
        day += 1;
    }
    invariants::check_history(&mut client, &format!("after {day} days"));
    let differ: i64 = client.query_one(MOMENTS_THAT_DIFFER, &[]).unwrap().get(0);
    assert_eq!(differ, 0, "moments at which models_for_tier_as_of differs from what a tier saw");
    let changes: i64 = client.query_one("SELECT count(*) FROM model_access_history", &[]).unwrap().get(0);
    println!(
        "days: {day} days, {changes} changes, {undone} mistakes undone, {} moments compared",
        day.div_ceil(REMEMBER)
    );
}

fn decide(client: &mut Client, random: &mut Random, decisions: usize) {
    for _ in 0..decisions {
        let status = ["active", "active", "active", "inactive", "disabled", "new"][random.below(6)];
        let flag = ["is_free", "is_pro", "is_enterprise"][random.below(3)];
        let value = random.below(3) > 0;
        let offset = random.below(300);
        let decide = format!(
            "UPDATE model_access SET status = '{status}', {flag} = {value}, note = 'decision {offset}'
             WHERE model_id IN (SELECT model_id FROM model_access ORDER BY md5(model_id || '{offset}') LIMIT 3)"
        );
        client.batch_execute(&decide).unwrap();
    }
}

/// Takes something from many models, and undoes it.
fn mistake(client: &mut Client, random: &mut Random, when: &str) {
    let decisions = |client: &mut Client| -> String { client.query_one(DECISIONS, &[]).unwrap().get(0) };
    let before = decisions(client);
    let set =
        ["status = 'disabled'", "is_pro = NOT is_pro", "note = 'oops'", "status = 'active', is_free = true"];
    let update = format!("UPDATE model_access SET {}", set[random.below(set.len())]);
    assert!(client.execute(&update, &[]).unwrap() > 0);
    assert_ne!(decisions(client), before, "{when}: {update}");
    let since = client.query_one("SELECT max(at)::text FROM model_access_history", &[]).unwrap();
    let undo = "SELECT model_id FROM model_access_undo($1::text::timestamptz, dry_run => false) WHERE new IS NOT NULL";
    let since: String = since.get(0);
    assert!(!client.query(undo, &[&since]).unwrap().is_empty(), "{when}: {update}");
    assert_eq!(decisions(client), before, "{when}: undo of {update}");
    client.query(undo, &[&since]).unwrap();
    assert_eq!(decisions(client), before, "{when}: undo of {update}, again");
    check_review(client, &format!("{when}, after an undo"));
}
