//! A document from the network. No document makes the parser panic. Each id of a catalogue occurs once, every entry is
//! counted, and what is stored fits into `jsonb`. If the same document is read again, beside the rows that it made, it
//! lists the same models.

#![no_main]

use catalog::document::parse;
use catalog::entry::{MAX_ID_BYTES, MAX_NAME_BYTES, ReadOptions};
use libfuzzer_sys::fuzz_target;
use std::collections::HashSet;

fuzz_target!(|document: &[u8]| {
    let mut options = ReadOptions::default();
    let catalogue = match parse(document, &options, &|| ()) {
        Ok(catalogue) => catalogue,
        Err(problem) => {
            fuzz::assert_jsonb(&serde_json::to_string(&problem).unwrap());
            assert!(!problem.message.is_empty() && problem.message.len() < 1000, "{problem:?}");
            return;
        }
    };
    assert!(!catalogue.models.is_empty() && catalogue.as_stored.is_empty());
    assert_eq!(catalogue.listed() + catalogue.unusable.len(), catalogue.arrived);
    let ids: HashSet<&str> = catalogue.models.iter().map(|model| model.model_id.as_str()).collect();
    assert_eq!(ids.len(), catalogue.models.len());
    for model in &catalogue.models {
        assert!((1..=MAX_ID_BYTES).contains(&model.model_id.len()), "{}", model.model_id);
        assert!(model.columns.name.len() <= MAX_NAME_BYTES);
        assert!(model.columns.price.is_some());
        fuzz::assert_jsonb(&serde_json::to_string(model).unwrap());
    }
    fuzz::assert_jsonb(&serde_json::to_string(&catalogue.unusable).unwrap());

    let stored =
        catalogue.models.iter().map(|model| (model.model_id.clone(), model.columns.entry_hash.clone()));
    options.stored = stored.collect();
    let again = parse(document, &options, &|| ()).unwrap();
    let read = again.models.iter().map(|model| model.model_id.as_str());
    let listed: HashSet<&str> = read.chain(again.as_stored.iter().map(String::as_str)).collect();
    assert_eq!(listed, ids);
    assert_eq!(again.unusable, catalogue.unusable);
});
