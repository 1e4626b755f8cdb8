//! A plan is the same whether entries that have not changed are read or not.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a panic fails the test

mod table;

use catalog::document::parse;
use catalog::entry::{Limits, ReadOptions};
use catalog::plan::{Outcome, Plan, from_document, plan};
use catalog::state::{FREE, Row, Settings, Status};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::value::RawValue;
use serde_json::{Value, json};
use std::io::Read;
use std::path::PathBuf;
use table::Table;

const ERAS: [&str; 4] = ["2024-09-18", "2025-06-11", "2026-08-05-output_modalities-all", "2026-08-22"];

/// The entries of a recorded catalogue, as they were written.
fn recorded(era: &str) -> Vec<Box<RawValue>> {
    #[derive(serde::Deserialize)]
    struct Document {
        data: Vec<Box<RawValue>>,
    }
    let eras = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/catalogues/eras");
    let file = std::fs::File::open(eras.join(era).with_extension("json.gz")).unwrap();
    let mut text = String::new();
    flate2::read::GzDecoder::new(file).read_to_string(&mut text).unwrap();
    match text.starts_with('[') {
        true => serde_json::from_str(&text).unwrap(),
        false => serde_json::from_str::<Document>(&text).unwrap().data,
    }
}

/// The same value in other bytes: with another order of keys, white space and escapes.
fn rewritten(value: &Value) -> String {
    match value {
        Value::Object(map) => {
            let members = map.iter().rev().map(|(key, value)| {
                format!("\n {}:\t{}", rewritten(&Value::from(key.as_str())), rewritten(value))
            });
            format!("{{{}}}", members.collect::<Vec<_>>().join(","))
        }
        Value::Array(list) => format!("[ {}]", list.iter().map(rewritten).collect::<Vec<_>>().join(" , ")),
        Value::String(text) if text.starts_with(|c: char| c.is_ascii_alphanumeric()) => {
            let rest = Value::from(&text[1..]).to_string();
            format!("\"\\u{:04x}{}", u32::from(text.as_bytes()[0]), &rest[1..])
        }
        other => other.to_string(),
    }
}

/// What the upstream does with an entry.
#[derive(Debug, Clone)]
enum Listing {
    AsRecorded,
    Rewritten,
    Gone,
    Twice,
    /// A member that replaces the one with this key, or is added.
    With(&'static str, &'static str),
    /// A second member with a key; the last one counts.
    Doubled(&'static str, &'static str),
}

fn any_listing() -> impl Strategy<Value = Listing> {
    let member = || {
        prop::sample::select(vec![
            ("name", "\"Another\""),
            ("name", "7"),
            ("id", "null"),
            ("description", "\"\\u0000\""),
            ("pricing", r#"{"prompt":"0","completion":"0"}"#),
            ("pricing", r#"{"completion":"0","prompt":"0"}"#),
            ("pricing", r#"{"prompt":"1","completion":"0"}"#),
            ("pricing", r#"{"input":"0"}"#),
            ("pricing", r#"{"output":"0"}"#),
            ("benchmarks", "[1]"),
            ("benchmarks", "[2]"),
            (
                "new_key",
                "[0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0,0]",
            ),
            ("new_key", "[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[[0]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]]"),
            ("new_key", "1.0"),
            ("new_key", "1.00"),
        ])
    };
    prop_oneof![
        8 => Just(Listing::AsRecorded),
        2 => Just(Listing::Rewritten),
        1 => Just(Listing::Gone),
        1 => Just(Listing::Twice),
        4 => member().prop_map(|(key, value)| Listing::With(key, value)),
        1 => member().prop_map(|(key, value)| Listing::Doubled(key, value)),
    ]
}

fn entries(recorded: &RawValue, listing: &Listing) -> Vec<String> {
    let text = recorded.get();
    match listing {
        Listing::AsRecorded => vec![text.into()],
        Listing::Rewritten => vec![rewritten(&serde_json::from_str(text).unwrap())],
        Listing::Gone => vec![],
        Listing::Twice => vec![text.into(), text.into()],
        Listing::With(key, value) => {
            let mut entry: Value = serde_json::from_str(text).unwrap();
            entry[*key] = serde_json::from_str(value).unwrap();
            vec![entry.to_string()]
        }
        Listing::Doubled(key, value) => vec![format!("{{\"{key}\":{value},{}", &text[1..])],
    }
}

#[derive(Debug, Clone)]
struct Run {
    hours: i64,
    listings: Vec<Listing>,
    ignored_keys: Vec<String>,
    limits: Limits,
    has_price_guard: bool,
    decided: Option<(usize, Status, bool)>,
}

fn any_run(models: usize) -> impl Strategy<Value = Run> {
    let ignored =
        [&["benchmarks"][..], &["benchmarks"], &[], &["benchmarks", "description", "new_key"], &["name"]];
    let max_bytes = prop_oneof![3 => Just(64 * 1024), 1 => 500..3000_usize];
    let max_values = prop_oneof![3 => Just(5000), 1 => 20..120_usize];
    (
        1..120_i64,
        prop::collection::vec(any_listing(), models),
        prop::sample::select(ignored.to_vec()),
        (max_bytes, max_values).prop_map(|(max_bytes, max_values)| Limits { max_bytes, max_values }),
        any::<bool>(),
        prop::option::of((
            0..models,
            prop::sample::select(vec![Status::Active, Status::Disabled]),
            any::<bool>(),
        )),
    )
        .prop_map(|(hours, listings, ignored_keys, limits, has_price_guard, decided)| Run {
            hours,
            listings,
            ignored_keys: ignored_keys.iter().map(|key| (*key).to_owned()).collect(),
            limits,
            has_price_guard,
            decided,
        })
}

fn settings(ignored_keys: Vec<String>, has_price_guard: bool) -> Settings {
    Settings {
        max_removal_percent: 50.0,
        return_window: SignedDuration::from_hours(24 * 7),
        free_guard: true,
        price_guard: has_price_guard.then(|| 2.into()),
        price_alert: Some(2.into()),
        ignored_keys,
    }
}

/// The plan from all entries and all prices. It must be the same if entries that have not changed are not read, and if the
/// state has only the prices that guards compare.
fn planned(table: &Table, now: Timestamp, document: &str, run: &Run) -> Plan {
    let mut state = table.state(now, &settings(run.ignored_keys.clone(), run.has_price_guard));
    let mut nothing_stored = state.clone();
    nothing_stored.rows.iter_mut().for_each(|row| row.entry_hash = None);
    let full = from_document(document.as_bytes(), nothing_stored, None, run.limits, &|| ());
    state.rows.iter_mut().for_each(|row| leave_out_prices(row, run.has_price_guard));
    assert_eq!(from_document(document.as_bytes(), state, None, run.limits, &|| ()), full);
    full
}

/// Leaves out the prices that `_model_access_state_rows()` leaves out.
fn leave_out_prices(row: &mut Row, has_price_guard: bool) {
    let is_compared = has_price_guard
        || row.is_in(FREE)
        || row.missing_since.is_some()
        || row.free_revoked_at.is_some()
        || row.price_guarded_at.is_some();
    for price in [&mut row.highest_prices, &mut row.reviewed_highest_prices] {
        if price.is_some() && !is_compared {
            *price = serde_json::from_str("true").unwrap();
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(300) })]

    #[test]
    fn a_plan_is_the_same_whether_all_is_read_or_only_what_differs(
        era in prop::sample::select(ERAS.to_vec()),
        first in 0..100_usize,
        runs in (1_usize..30).prop_flat_map(|models| prop::collection::vec(any_run(models), 1..9)),
    ) {
        let recorded = recorded(era);
        let mut now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut table = Table::default();
        for run in runs {
            let models = recorded[first..].iter().zip(&run.listings);
            let list: Vec<String> = models.flat_map(|(entry, listing)| entries(entry, listing)).collect();
            now += SignedDuration::from_hours(run.hours);
            table.apply(&planned(&table, now, &format!("[{}]", list.join(",")), &run));
            if let Some((model, status, is_free)) = run.decided {
                let id = table.rows.keys().nth(model).cloned().unwrap_or_default();
                table.decide(&id, Some(status), Some([is_free, !is_free, false]));
            }
        }
    }
}

#[test]
fn entries_are_read_only_when_their_bytes_differ() {
    for era in ERAS {
        let recorded = recorded(era);
        let document = json!({ "data": recorded }).to_string();
        let values: Vec<Value> =
            recorded.iter().map(|raw| serde_json::from_str(raw.get()).unwrap()).collect();
        let mut table = Table::default();
        let now = "2026-01-01T00:00:00Z".parse().unwrap();
        let settings = settings(vec!["benchmarks".into()], true);
        let state = |table: &Table| table.state(now, &settings);
        table.apply(&from_document(document.as_bytes(), state(&table), None, Limits::default(), &|| ()));

        // an upgrade script sets fingerprints to NULL, so that the next run fills new columns
        let mut upgraded = state(&table);
        upgraded.rows[0].fingerprint = None;
        let plan_of_upgraded = from_document(document.as_bytes(), upgraded, None, Limits::default(), &|| ());
        assert_eq!(plan_of_upgraded.changed, 1, "{era}");

        let hashes = state(&table).rows.into_iter().map(|row| (row.model_id, row.entry_hash.unwrap()));
        let options = ReadOptions { stored: hashes.collect(), ..ReadOptions::default() };
        for (document, read) in [
            (document, 0),
            // the order of the top-level keys does not change the hash, the order of nested keys does
            (rewritten(&json!({ "data": values })), recorded.len()),
        ] {
            let catalogue = parse(document.as_bytes(), &options, &|| ()).unwrap();
            assert_eq!((catalogue.models.len(), catalogue.listed()), (read, recorded.len()), "{era}");
            let plan = plan(state(&table), catalogue, None);
            assert_eq!(
                (plan.outcome, plan.update, plan.insert),
                (Outcome::Unchanged, vec![], vec![]),
                "{era}"
            );
        }
    }
}

#[test]
fn a_document_with_invalid_json_is_refused_even_if_no_entry_has_changed() {
    let document = |benchmarks: &str, end: &str| {
        format!(r#"{{"data":[{{"id":"a/b","name":"x","benchmarks":{benchmarks}}}{end}"#)
    };
    let settings = settings(vec!["benchmarks".into()], true);
    let now = "2026-01-01T00:00:00Z".parse().unwrap();
    let mut table = Table::default();
    let planned = |table: &Table, document: String| {
        from_document(document.as_bytes(), table.state(now, &settings), None, Limits::default(), &|| ())
    };
    table.apply(&planned(&table, document("[1]", "]}")));
    assert_eq!(planned(&table, document("[2]", "]}")).outcome, Outcome::Unchanged);
    for (benchmarks, end) in
        [("[1,]", "]}"), ("[1}", "]}"), ("01", "]}"), ("[1]", "]"), ("[1]", "],}"), ("[1]", ",]}")]
    {
        let plan = planned(&table, document(benchmarks, end));
        assert_eq!(plan.problem.unwrap().message, "the document is not valid JSON", "{benchmarks} {end}");
    }
}
