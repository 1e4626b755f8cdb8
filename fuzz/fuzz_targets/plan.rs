//! The plans of several runs over recorded entries that the input changes, with decisions between the runs. The test
//! table of crates/catalog applies them, and checks what a plan may write. A plan fits into `jsonb`, is the same
//! whether unchanged entries are read or not, and a second run of the same list writes nothing.

#![no_main]

// the table that the tests of the crate use
#[path = "../../crates/catalog/tests/table/mod.rs"]
mod table;

use catalog::entry::Limits;
use catalog::plan::{Outcome, Plan, from_document};
use catalog::state::{Settings, Status};
use flate2::read::GzDecoder;
use jiff::{SignedDuration, Timestamp};
use libfuzzer_sys::arbitrary::{Result, Unstructured};
use libfuzzer_sys::fuzz_target;
use serde_json::{Value, json};
use std::io::Read;
use std::sync::LazyLock;
use table::Table;

/// How many recorded models a list has at most.
const MODELS: usize = 5;
const MAX_RUNS: usize = 5;
/// Characters that a description keeps. Reading them takes most of the time, and shows nothing more.
const DESCRIPTION: usize = 20;

/// Recorded entries of models, from the days before and after eight months.
static RECORDED: LazyLock<Vec<[Value; 2]>> = LazyLock::new(|| {
    let before = recorded(include_bytes!("../../tests/catalogues/eras/2025-12-25.json.gz"));
    let after = recorded(include_bytes!("../../tests/catalogues/eras/2026-08-22.json.gz"));
    let both = before.into_iter().filter_map(|entry| {
        let same = after.iter().find(|other| other["id"] == entry["id"])?;
        Some([entry, same.clone()])
    });
    // two of them are free of charge
    let mut chosen: Vec<[Value; 2]> = both.skip(5).step_by(25).take(MODELS).collect();
    for entry in chosen.iter_mut().flatten() {
        let description = entry["description"].as_str().unwrap_or_default();
        entry["description"] = description.chars().take(DESCRIPTION).collect::<String>().into();
    }
    chosen
});

fn recorded(document: &[u8]) -> Vec<Value> {
    let mut text = String::new();
    GzDecoder::new(document).read_to_string(&mut text).unwrap();
    let document: Value = serde_json::from_str(&text).unwrap();
    document["data"].as_array().unwrap().clone()
}

fuzz_target!(|input: &[u8]| {
    // an input that is used up ends the sequence
    let _ = runs(&mut Unstructured::new(input));
});

fn runs(input: &mut Unstructured) -> Result<()> {
    let mut table = Table::default();
    let mut now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    let settings = settings(input)?;
    for _ in 0..MAX_RUNS {
        now += SignedDuration::from_hours(input.int_in_range(1..=100)?);
        let document = document(input)?;
        let max_removals = if input.ratio(1, 8)? { Some(input.int_in_range(0..=8)?) } else { None };
        let plan = planned(&table, now, &settings, &document, max_removals);
        fuzz::assert_jsonb(&plan.to_json().unwrap());
        let failed = plan.outcome == Outcome::Failed;
        assert!(!failed || plan.insert.is_empty() && plan.update.is_empty());
        table.apply(&plan);
        let state = table.state(now, &settings);
        let again = from_document(&document, state, max_removals, Limits::default(), &|| ());
        assert!(again.insert.is_empty() && again.update.is_empty(), "a second run writes {again:?}");
        if input.ratio(1, 2)? {
            decide(input, &mut table)?;
        }
    }
    Ok(())
}

fn settings(input: &mut Unstructured) -> Result<Settings> {
    Ok(Settings {
        max_removal_percent: *input.choose(&[20.0, 50.0, 0.0, 100.0])?,
        return_window: SignedDuration::from_hours(*input.choose(&[24 * 7, 0, 24])?),
        free_guard: input.ratio(3, 4)?,
        price_guard: if input.arbitrary()? { Some(2.into()) } else { None },
        price_alert: if input.arbitrary()? { Some(2.into()) } else { None },
        ignored_keys: vec!["benchmarks".into()],
    })
}

/// The plan if every entry is read. It must be the same if entries that have not changed are not read.
fn planned(
    table: &Table,
    now: Timestamp,
    settings: &Settings,
    document: &[u8],
    max_removals: Option<u32>,
) -> Plan {
    let state = table.state(now, settings);
    let mut nothing_stored = state.clone();
    nothing_stored.rows.iter_mut().for_each(|row| row.entry_hash = None);
    let full = from_document(document, nothing_stored, max_removals, Limits::default(), &|| ());
    let quick = from_document(document, state, max_removals, Limits::default(), &|| ());
    assert_eq!(quick, full);
    full
}

fn decide(input: &mut Unstructured, table: &mut Table) -> Result<()> {
    let Some(id) = table.rows.keys().nth(input.int_in_range(0..=MODELS)?).cloned() else { return Ok(()) };
    let status = *input.choose(&[
        None,
        Some(Status::Active),
        Some(Status::Disabled),
        Some(Status::Inactive),
        Some(Status::New),
    ])?;
    let flags = if input.ratio(3, 4)? { Some(input.arbitrary()?) } else { None };
    table.decide(&id, status, flags);
    Ok(())
}

fn document(input: &mut Unstructured) -> Result<Vec<u8>> {
    let mut entries = Vec::new();
    for recorded in RECORDED.iter() {
        match input.int_in_range(0..=9)? {
            0..=4 => entries.push(recorded[0].to_string()),
            5 => entries.push(recorded[1].to_string()),
            6 => {}
            7 => entries.extend([recorded[0].to_string(), recorded[1].to_string()]),
            _ => entries.push(altered(input, recorded[0].clone())?),
        }
    }
    let mut document = format!("{{\"data\":[{}]", entries.join(","));
    if input.ratio(1, 8)? {
        document.push_str(&format!(",\"total_count\":{}", input.arbitrary::<u8>()?));
    }
    document.push('}');
    let mut document = document.into_bytes();
    if input.ratio(1, 16)? {
        let at = input.int_in_range(0..=document.len() - 1)?;
        document[at] = input.arbitrary()?;
    }
    Ok(document)
}

/// An entry with other values.
fn altered(input: &mut Unstructured, mut entry: Value) -> Result<String> {
    for _ in 0..input.int_in_range(1..=3)? {
        if input.arbitrary()? {
            let key = *input.choose(&["prompt", "completion", "request", "web_search", "overrides", "x"])?;
            let price = *input.choose(&["0", "0.000001", "0.1", "-1", "free", "1e64", "00", ""])?;
            if let Some(pricing) = entry["pricing"].as_object_mut() {
                let price = if input.ratio(1, 4)? { any(input)? } else { json!(price) };
                pricing.insert(key.into(), price);
            }
        } else {
            let keys = ["id", "name", "pricing", "description", "expiration_date", "context_length", "x"];
            let key = if input.ratio(1, 4)? { input.arbitrary()? } else { *input.choose(&keys)? };
            entry[key] = any(input)?;
        }
    }
    Ok(entry.to_string())
}

/// A text of the input, as JSON if it is JSON.
fn any(input: &mut Unstructured) -> Result<Value> {
    let text: &str = input.arbitrary()?;
    Ok(serde_json::from_str(text).unwrap_or_else(|_| text.into()))
}
