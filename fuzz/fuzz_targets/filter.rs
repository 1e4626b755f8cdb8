//! The query of a list. A query is accepted if each of its parameters is accepted alone and none is repeated, and a
//! model matches it if it matches each of them alone. So no parameter adds a model.

#![no_main]

use api::filter::Filter;
use api::list::Form;
use api::model::Model;
use libfuzzer_sys::fuzz_target;
use std::collections::HashSet;

/// A model with every value, and one with none.
const MODELS: [&str; 2] = [
    r#"{"model_id":"openai/gpt-5","name":"OpenAI: GPT-5 İß","description":"x","provider":"openai",
        "context_length":400000,"max_completion_tokens":128000,"input_modalities":["text","image"],
        "output_modalities":["text"],"supported_parameters":["tools","seed"],"pricing":{"prompt":"0.00000125"},
        "prompt_usd_per_million":1.25,"completion_usd_per_million":10,"expires_on":"2027-01-01"}"#,
    r#"{"model_id":"a/b","name":null,"description":null,"provider":null,"context_length":null,
        "max_completion_tokens":null,"input_modalities":null,"output_modalities":null,"supported_parameters":null,
        "pricing":null,"prompt_usd_per_million":null,"completion_usd_per_million":null,"expires_on":null}"#,
];

fuzz_target!(|query: &str| {
    let parsed = Filter::parse(Form::Plain, Some(query));
    let pairs: Vec<_> = form_urlencoded::parse(query.as_bytes()).into_owned().collect();
    let distinct: HashSet<&str> = pairs.iter().map(|(name, _)| name.as_str()).collect();
    let alone = pairs.iter().map(|(name, value)| {
        let query = form_urlencoded::Serializer::new(String::new()).append_pair(name, value).finish();
        Filter::parse(Form::Plain, Some(&query))
    });
    let alone: Vec<Filter> = alone.flatten().collect();
    let accepted = alone.len() == pairs.len() && distinct.len() == pairs.len();
    assert_eq!(parsed.is_ok(), accepted, "{query}");
    let Ok(filter) = parsed else { return };
    let selects =
        |(name, value): &(String, String)| (name.as_str(), value.as_str()) != ("output_modalities", "all");
    assert_eq!(filter.is_empty(), !pairs.iter().any(selects));
    for model in MODELS {
        let model = Model::read(model).unwrap();
        assert_eq!(filter.matches(&model), alone.iter().all(|filter| filter.matches(&model)), "{query}");
    }
});
