//! Reads a document into typed Rust: the least that a program does that wants to know the models of a list. The reference
//! for a run that finds nothing changed, in `bench/database.py`.
//!
//! `cargo bench -p catalog --bench read -- FILE` prints the median of several reads, in milliseconds.

#![allow(clippy::unwrap_used)] // a benchmark may end there

use serde::Deserialize;
use serde_json::value::RawValue;
use std::borrow::Cow;
use std::hint::black_box;
use std::time::Instant;

const READS: usize = 11;

#[derive(Deserialize)]
#[allow(dead_code)] // reading is what is measured
struct Document<'a> {
    #[serde(borrow)]
    data: Vec<Entry<'a>>,
}

/// The fields of the columns that a sync writes. Prices stay as they are written.
#[derive(Deserialize)]
#[allow(dead_code)]
struct Entry<'a> {
    #[serde(borrow)]
    id: Text<'a>,
    canonical_slug: Option<Text<'a>>,
    name: Text<'a>,
    description: Option<Text<'a>>,
    pricing: Option<&'a RawValue>,
    context_length: Option<u64>,
    architecture: Option<Architecture<'a>>,
    top_provider: Option<TopProvider>,
    supported_parameters: Option<Vec<Text<'a>>>,
    expiration_date: Option<Text<'a>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct Architecture<'a> {
    #[serde(borrow)]
    input_modalities: Option<Vec<Text<'a>>>,
    output_modalities: Option<Vec<Text<'a>>>,
}

#[derive(Deserialize)]
#[allow(dead_code)]
struct TopProvider {
    max_completion_tokens: Option<u64>,
}

/// A slice of the document, unless it has an escape.
#[derive(Deserialize)]
#[allow(dead_code)]
struct Text<'a>(#[serde(borrow)] Cow<'a, str>);

fn main() {
    let file = std::env::args().skip(1).find(|argument| argument != "--bench").unwrap();
    let text = std::fs::read_to_string(file).unwrap();
    let mut took: Vec<f64> = (0..READS)
        .map(|_| {
            let start = Instant::now();
            let document: Document = serde_json::from_str(black_box(&text)).unwrap();
            black_box(&document);
            start.elapsed().as_secs_f64() * 1e3
        })
        .collect();
    took.sort_by(f64::total_cmp);
    println!("{:.4}", took.get(READS / 2).unwrap());
}
