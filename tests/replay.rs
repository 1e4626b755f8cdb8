//! Ninety-four recorded days in a row, through real HTTP and through `model-access push`, with an admin who
//! decides at random: what is written equals what an independent reading of the files and of the lifecycle says.

#![allow(clippy::unwrap_used, clippy::indexing_slicing, clippy::panic)] // a test ends there

use postgres::Client;
use serde_json::Value;
use std::collections::BTreeMap;
use std::path::Path;
use std::process::Command;
use tests::{Cluster, Random, daily_catalogues, days, push_program};

/// The tiers of a row.
type Flags = [bool; 3];

/// What the replay knows of a row, kept by a second reading of the lifecycle table.
#[derive(Debug, Clone, PartialEq)]
struct Row {
    status: String,
    before: Option<String>,
    flags: Flags,
    missing_since: Option<usize>,
    price: Value,
    reviewed: Option<Value>,
}

/// The models of one day: id and pricing, straight from the file.
fn read_day(folder: &Path, day: &str) -> BTreeMap<String, Value> {
    let text = std::fs::read_to_string(folder.join(format!("{day}.json"))).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    let models = document["data"].as_array().unwrap().iter();
    models.map(|model| (model["id"].as_str().unwrap().to_owned(), model["pricing"].clone())).collect()
}

fn usd(pricing: &Value, key: &str) -> f64 {
    pricing[key].as_str().unwrap().parse().unwrap()
}

fn is_free(pricing: &Value) -> bool {
    pricing
        .as_object()
        .unwrap()
        .values()
        .all(|price| price.as_str().is_none_or(|p| p.parse::<f64>().unwrap() == 0.0))
}

fn above_twice(now: &Value, reviewed: &Value) -> bool {
    ["prompt", "completion"].iter().any(|key| {
        let then = usd(reviewed, key);
        then >= 0.0 && (usd(now, key) < 0.0 || usd(now, key) > then * 2.0)
    })
}

/// One day on the second reading; gives how many rows were added, went missing and returned.
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
            (Some(price), since) => {
                if let Some(since) = since {
                    returned += 1;
                    row.missing_since = None;
                    if let Some(before) = row.before.take() {
                        let late = day - since > 7;
                        let dearer =
                            row.reviewed.as_ref().is_some_and(|reviewed| above_twice(price, reviewed));
                        row.status = if late || dearer { "new".into() } else { before };
                        if late {
                            row.flags = [false; 3];
                        }
                    }
                }
                row.price = price.clone();
                if row.flags[0] && row.reviewed.as_ref().is_some_and(is_free) && !is_free(price) {
                    row.flags[0] = false;
                }
            }
            (None, Some(_)) => {}
        }
    }
    for (id, price) in listed {
        rows.entry(id.clone()).or_insert_with(|| {
            added += 1;
            let (before, reviewed) = (None, None);
            Row {
                status: "new".into(),
                before,
                flags: [false; 3],
                missing_since: None,
                price: price.clone(),
                reviewed,
            }
        });
    }
    [added, missing, returned]
}

/// A few decisions, on missing rows too, in SQL and on the second reading.
fn decide(client: &mut Client, rows: &mut BTreeMap<String, Row>, random: &mut Random, decisions: usize) {
    let ids: Vec<String> = rows.keys().cloned().collect();
    for _ in 0..decisions {
        let id = &ids[random.below(ids.len())];
        let status = ["active", "active", "active", "inactive", "disabled", "new"][random.below(6)];
        let flags: Flags = [random.below(2) == 0, random.below(2) == 0, random.below(2) == 0];
        let update = "UPDATE model_access SET status = $2, is_free = $3, is_pro = $4, is_enterprise = $5 WHERE model_id = $1";
        assert_eq!(client.execute(update, &[id, &status, &flags[0], &flags[1], &flags[2]]).unwrap(), 1);
        let row = rows.get_mut(id).unwrap();
        row.status = status.into();
        row.flags = flags;
        row.before = None;
        row.reviewed = Some(row.price.clone());
    }
}

/// The rows of the table in the form of the second reading.
fn table(client: &mut Client, day: usize) -> BTreeMap<String, Row> {
    let query = "SELECT model_id, status, status_before_missing, is_free, is_pro, is_enterprise, pricing::text, reviewed_pricing::text,
                        round(extract(epoch FROM clock_timestamp() - missing_since) / 86400)::integer
                 FROM model_access";
    let json = |text: Option<&str>| text.map(|text| serde_json::from_str(text).unwrap());
    let rows = client.query(query, &[]).unwrap();
    let read = rows.iter().map(|row| {
        let ago: Option<i32> = row.get(8);
        let missing_since = ago.map(|ago| day - usize::try_from(ago).unwrap());
        let flags = [row.get(3), row.get(4), row.get(5)];
        let (price, reviewed) = (json(row.get(6)).unwrap(), json(row.get(7)));
        (row.get(0), Row { status: row.get(1), before: row.get(2), flags, missing_since, price, reviewed })
    });
    read.collect()
}

/// Replays every day; `run` syncs one day and gives the outcome and the counts of its run row.
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
        client
            .batch_execute("UPDATE model_access SET missing_since = missing_since - interval '1 day'")
            .unwrap();
        let expected = advance(&mut rows, &read_day(folder, day), number);
        let (outcome, counts) = run(client, day);
        assert!(outcome == "applied" || outcome == "unchanged", "{day}: {outcome}");
        assert_eq!(counts, expected, "{day}: added, missing, returned");
        let (outcome, counts) = run(client, day);
        assert_eq!((outcome.as_str(), counts), ("unchanged", [0; 3]), "{day}, again");
        assert_eq!(table(client, number), rows, "{day}");
        // much on the first day, then a little every day
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

/// Every column of every row, but for the moments and the numbers of the runs.
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
