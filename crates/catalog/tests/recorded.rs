//! Every recorded catalogue from 2024 to 2026 can be parsed, and so can every recorded peculiar row.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test ends there

use catalog::document::{Catalogue, parse};
use catalog::entry::{Columns, Model, ReadOptions, read};
use serde_json::Value;
use std::io::Read;
use std::path::PathBuf;

fn catalogues() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("../../tests/catalogues")
}

fn era(name: &str) -> Catalogue {
    let path = catalogues().join("eras").join(name).with_extension("json.gz");
    let mut document = Vec::new();
    let file = std::fs::File::open(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    flate2::read::GzDecoder::new(file).read_to_end(&mut document).unwrap();
    parse(&document, &ReadOptions::default(), &|| ()).unwrap()
}

fn peculiar(why: &str) -> Columns {
    peculiar_rows().into_iter().find(|(w, _)| w.contains(why)).unwrap().1.columns
}

fn peculiar_rows() -> Vec<(String, Model)> {
    let text = std::fs::read_to_string(catalogues().join("peculiar_rows.json")).unwrap();
    let rows: Vec<Value> = serde_json::from_str(&text).unwrap();
    rows.into_iter()
        .map(|row| {
            let raw = serde_json::value::to_raw_value(&row["row"]).unwrap();
            (row["why"].as_str().unwrap().to_owned(), read(&raw, &ReadOptions::default()).unwrap())
        })
        .collect()
}

#[test]
fn every_entry_of_every_era_can_be_parsed() {
    for (name, models) in [
        ("2024-09-18", 170),
        ("2024-11-11", 195),
        ("2025-04-09", 292),
        ("2025-05-05", 318),
        ("2025-06-11", 324),
        ("2025-09-14", 331),
        ("2025-12-25", 353),
        ("2026-08-05-output_modalities-all", 457),
        ("2026-08-22", 421),
    ] {
        let catalogue = era(name);
        assert_eq!((catalogue.models.len(), catalogue.arrived), (models, models), "{name}");
        assert_eq!(catalogue.unusable, [], "{name}");
        assert_eq!(catalogue.next, None, "{name}");
        for model in &catalogue.models {
            let columns = &model.columns;
            assert!(
                columns.provider.is_some() && columns.price.as_ref().unwrap().highest_prices.is_some(),
                "{name} {}",
                model.model_id
            );
            assert!(columns.context_length.is_some(), "{name} {}", model.model_id);
            assert!(
                !columns.fingerprint.is_empty()
                    && !columns.upstream.as_ref().unwrap().text().contains("\"benchmarks\"")
            );
        }
    }
}

#[test]
fn modalities_are_found_in_both_known_forms() {
    let model =
        |era: &Catalogue, id: &str| era.models.iter().find(|m| m.model_id == id).unwrap().columns.clone();
    let gemini = model(&era("2024-11-11"), "google/gemini-flash-1.5");
    assert_eq!(gemini.input_modalities.unwrap(), ["text", "image"]);
    assert_eq!(gemini.output_modalities.unwrap(), ["text"]);
    assert_eq!((gemini.canonical_slug, gemini.supported_parameters), (None, None));
}

#[test]
fn peculiar_rows_keep_their_values() {
    assert_eq!(peculiar_rows().len(), 21);
    let router = peculiar("router with variable price");
    assert_eq!((router.price.unwrap().prompt_usd_per_million, router.max_completion_tokens), (None, None));
    let alias = peculiar("tilde alias");
    assert_eq!(alias.provider.as_deref(), Some("anthropic"));
    let upstream: Value = serde_json::from_str(alias.upstream.unwrap().text()).unwrap();
    assert_eq!(upstream["alias_target"]["slug"], "anthropic/claude-opus-5");
    let noise = peculiar("a double cannot");
    let price = noise.price.unwrap();
    let prices = [price.prompt_usd_per_million.unwrap(), price.completion_usd_per_million.unwrap()];
    assert!(prices.contains(&"1.00000000000000015".to_owned()), "{prices:?}");
    assert!(peculiar("trailing blank").name.ends_with(' '));
    assert_eq!(peculiar("empty description").description.as_deref(), Some(""));
    assert_eq!(peculiar("longest description").description.unwrap().chars().count(), 4075);
    assert!(peculiar("emoji").name.chars().any(|c| c.len_utf8() == 4));
    assert_eq!(peculiar("context_length 0").context_length, Some(0));
    assert!(peculiar("expiration_date in the past").expires_on.is_some());
}
