//! Ninety-four recorded days in a row, over HTTP and by `model-access push`, with an admin who
//! decides at random. The table must equal what a second implementation of the lifecycle computes from the files.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // a test ends there

use postgres::Client;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use tests::{Cluster, Random, daily_catalogues, days, push_program};

/// The tiers of a row.
type Flags = [bool; 3];

/// What the second implementation of the lifecycle table knows of a row.
#[derive(Debug, Clone, Default, PartialEq)]
struct Row {
    status: String,
    before: Option<String>,
    flags: Flags,
    missing_since: Option<usize>,
    price: Value,
    reviewed: Option<Value>,
    /// The days on which a sync took the place in the free tier or, because of the price, the approval.
    revoked: Option<usize>,
    guarded: Option<usize>,
}

/// The models of one day: id and pricing, straight from the file.
fn read_day(folder: &Path, day: &str) -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(folder.join(format!("{day}.json"))).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let models = document["data"].as_array().unwrap().iter();
    models.map(|model| (model["id"].as_str().unwrap().to_owned(), model["pricing"].clone())).collect()
}

/// The prices that are not zero, or are variable (`None`). On these days no price has `overrides`.
fn costs(pricing: &Value) -> BTreeMap<&str, Option<f64>> {
    let prices =
        pricing.as_object().unwrap().iter().filter_map(|(key, price)| Some((key.as_str(), price.as_str()?)));
    let prices = prices.map(|(key, price)| (key, price.parse::<f64>().unwrap()));
    prices.filter(|(_, usd)| *usd != 0.0).map(|(key, usd)| (key, (usd > 0.0).then_some(usd))).collect()
}

fn is_above(now: &Value, reviewed: &Value, factor: f64) -> bool {
    let (now, reviewed) = (costs(now), costs(reviewed));
    now.iter().any(|(key, usd)| match (usd, reviewed.get(key)) {
        (Some(usd), Some(Some(then))) => *usd > then * factor,
        (None, Some(None)) => false,
        _ => true,
    })
}

/// Whether a model leaves the free tier: it was free when reviewed, or of variable price, and costs money now.
fn stopped_being_free(now: &Value, reviewed: &Value) -> bool {
    let (now, reviewed) = (costs(now), costs(reviewed));
    match reviewed.values().any(Option::is_some) {
        true => false,
        false if reviewed.is_empty() => !now.is_empty(),
        false => now.values().any(Option::is_some),
    }
}

/// Applies one day to the second implementation. Returns how many rows were added, went missing and returned.
fn advance(rows: &mut BTreeMap<String, Row>, listed: &BTreeMap<String, Value>, day: usize) -> [usize; 3] {
    let [mut added, mut missing, mut returned] = [0; 3];
    for (id, row) in rows.iter_mut() {
        match (listed.get(id), row.missing_since) {
            (None, None) => {
                missing += 1;
                row.missing_since = Some(day);
                if row.status == "new" || row.status == "active" {
                    row.before = Some(std::mem::replace(&mut row.status, "inactive".into()));
                }
            }
            (Some(price), _) => {
                returned += usize::from(row.missing_since.is_some());
                list(row, price, day);
            }
            (None, Some(_)) => {}
        }
    }
    for (id, price) in listed {
        rows.entry(id.clone()).or_insert_with(|| {
            added += 1;
            Row { status: "new".into(), price: price.clone(), ..Row::default() }
        });
    }
    [added, missing, returned]
}

fn list(row: &mut Row, price: &Value, day: usize) {
    let is_late = |since: Option<usize>| since.is_some_and(|since| day - since > 7);
    let late = is_late(row.missing_since);
    let above =
        |row: &Row, factor| row.reviewed.as_ref().is_some_and(|reviewed| is_above(price, reviewed, factor));
    if row.missing_since.take().is_some()
        && let Some(before) = row.before.take()
    {
        if late {
            row.flags = [false; 3];
        } else if above(row, 2.0) && before == "active" {
            row.guarded = Some(day);
        }
        row.status = if late || above(row, 2.0) { "new".into() } else { before };
    }
    row.price = price.clone();
    if !late && !above(row, 1.0) {
        if row.revoked.is_some() && !is_late(row.revoked) {
            row.flags[0] = true;
            row.revoked = None;
        }
        if row.guarded.is_some() && !is_late(row.guarded) && row.status == "new" {
            row.status = "active".into();
            row.guarded = None;
        }
    }
    if row.flags[0] && row.reviewed.as_ref().is_some_and(|reviewed| stopped_being_free(price, reviewed)) {
        row.flags[0] = false;
        row.revoked = Some(day);
    }
}

/// Makes a few decisions, also on missing rows, in SQL and in the second implementation.
fn decide(client: &mut Client, rows: &mut BTreeMap<String, Row>, random: &mut Random, decisions: usize) {
    let ids: Vec<String> = rows.keys().cloned().collect();
    for _ in 0..decisions {
        let id = &ids[random.below(ids.len())];
        let status = ["active", "active", "active", "inactive", "disabled", "new"][random.below(6)];
        let flags: Flags = [random.below(2) == 0, random.below(2) == 0, random.below(2) == 0];
        let update = "UPDATE model_access SET status = $2, is_free = $3, is_pro = $4, is_enterprise = $5 WHERE model_id = $1";
        assert_eq!(client.execute(update, &[id, &status, &flags[0], &flags[1], &flags[2]]).unwrap(), 1);
        let row = rows.get_mut(id).unwrap();
        let is_same = row.status == status && row.flags == flags;
        if is_same && row.before.is_none() {
            continue; // nothing was changed, so nothing was decided
        }
        if row.status != status || is_same {
            row.before = None;
        }
        (row.status, row.flags) = (status.into(), flags);
        row.reviewed = Some(row.price.clone());
        (row.revoked, row.guarded) = (None, None);
    }
}

/// The rows of the table in the form of the second implementation.
fn table(client: &mut Client, day: usize) -> BTreeMap<String, Row> {
    let query = "SELECT model_id, status, status_before_missing, is_free, is_pro, is_enterprise, pricing::text, reviewed_pricing::text,
                        round(extract(epoch FROM clock_timestamp() - missing_since) / 86400)::integer,
                        round(extract(epoch FROM clock_timestamp() - free_revoked_at) / 86400)::integer,
                        round(extract(epoch FROM clock_timestamp() - price_guarded_at) / 86400)::integer
                 FROM model_access";
    let json = |text: Option<&str>| text.map(|text| serde_json::from_str(text).unwrap());
    let rows = client.query(query, &[]).unwrap();
    let read = rows.iter().map(|row| {
        let day_of =
            |column: usize| row.get::<_, Option<i32>>(column).map(|ago| day - usize::try_from(ago).unwrap());
        let [missing_since, revoked, guarded] = [8, 9, 10].map(day_of);
        let flags = [row.get(3), row.get(4), row.get(5)];
        let (price, reviewed) = (json(row.get(6)).unwrap(), json(row.get(7)));
        (
            row.get(0),
            Row {
                status: row.get(1),
                before: row.get(2),
                flags,
                missing_since,
                price,
                reviewed,
                revoked,
                guarded,
            },
        )
    });
    read.collect()
}

const A_DAY_PASSES: &str = "
    UPDATE model_access SET missing_since = missing_since - interval '1 day', reviewed_at = reviewed_at - interval '1 day',
        free_revoked_at = free_revoked_at - interval '1 day', price_guarded_at = price_guarded_at - interval '1 day',
        last_run_id = last_run_id + 1;
    UPDATE model_access_sync_log SET started_at = started_at - interval '1 day';
    SELECT nextval('model_access_sync_log_run_id_seq')";

/// Replays every day. `run` syncs one day and returns the outcome and the counts of its run row.
fn replay(
    client: &mut Client,
    folder: &Path,
    seed: u64,
    mut run: impl FnMut(&mut Client, &str) -> (String, [usize; 3]),
) {
    let mut random = Random(seed);
    let mut rows = BTreeMap::new();
    for (number, day) in days(folder).iter().enumerate() {
        // a day passes
        client.batch_execute(A_DAY_PASSES).unwrap();
        let expected = advance(&mut rows, &read_day(folder, day), number);
        let (outcome, counts) = run(client, day);
        assert!(outcome == "applied" || outcome == "unchanged", "{day}: {outcome}");
        assert_eq!(counts, expected, "{day}: added, missing, returned");
        let (outcome, counts) = run(client, day);
        assert_eq!((outcome.as_str(), counts), ("unchanged", [0; 3]), "{day}, again");
        let stored = table(client, number);
        assert_eq!(stored.len(), rows.len(), "{day}");
        for (id, row) in &rows {
            assert_eq!(stored.get(id), Some(row), "{day}: {id}");
        }
        // many decisions on the first day, then a few every day
        decide(client, &mut rows, &mut random, if number == 0 { 200 } else { 6 });
    }
    assert!(
        rows.values().any(|row| row.missing_since.is_some() && row.before.is_none()),
        "a decision on a missing row"
    );
}

fn last_run(client: &mut Client) -> (String, [usize; 3]) {
    let row =
        client.query_one("SELECT * FROM model_access_sync_log ORDER BY run_id DESC LIMIT 1", &[]).unwrap();
    let count = |column: &str| usize::try_from(row.get::<_, i32>(column)).unwrap();
    (row.get("outcome"), [count("added"), count("missing"), count("returned")])
}

/// Every column of every row, except times and run ids.
fn whole_rows(client: &mut Client) -> Vec<String> {
    let query = "SELECT jsonb_object_agg(c.key, c.value ORDER BY c.key)::text
                 FROM model_access AS m CROSS JOIN LATERAL jsonb_each(to_jsonb(m)) AS c
                 WHERE c.key <> 'last_run_id' AND c.key NOT LIKE '%\\_at' AND c.key <> 'missing_since'
                 GROUP BY m.model_id ORDER BY m.model_id";
    client.query(query, &[]).unwrap().iter().map(|row| row.get(0)).collect()
}

fn over_http(seed: u64) -> Vec<String> {
    let folder = daily_catalogues();
    let cluster = Cluster::start_serving(&folder);
    let mut client = cluster.connect();
    replay(&mut client, &folder, seed, |client, day| {
        let url = cluster.upstream.url(&format!("catalogue={day}"));
        client.batch_execute(&format!("SET model_access.url = '{url}'; SELECT model_access_sync()")).unwrap();
        last_run(client)
    });
    whole_rows(&mut client)
}

fn through_push(seed: u64) -> Vec<String> {
    let folder = daily_catalogues();
    let cluster = Cluster::start_without_library();
    let mut client = cluster.connect();
    replay(&mut client, &folder, seed, |client, day| {
        let mut push = Command::new(push_program());
        let push = push.args(["push", "--file"]).arg(folder.join(format!("{day}.json")));
        let output = push
            .env("PGHOST", cluster.socket())
            .env("PGUSER", "keeper")
            .env("PGDATABASE", "postgres")
            .output();
        let output = output.unwrap();
        assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
        last_run(client)
    });
    whole_rows(&mut client)
}

#[test]
fn every_day_on_record_is_applied_as_the_files_say() {
    over_http(7);
}

#[test]
fn a_push_from_outside_ends_in_the_same_table() {
    assert_eq!(through_push(11), over_http(11));
}
