//! The query of a list: which of a user's models are asked for. It chooses from what the user may use, never beyond.

use crate::model::Model;
use crate::problem::Problem;
use std::borrow::Cow;

/// What the parameters ask for; every one given must hold.
#[derive(Debug, Default, Clone, PartialEq)]
pub struct Filter {
    provider: Option<Vec<String>>,
    q: Option<String>,
    input_modalities: Option<Vec<String>>,
    output_modalities: Option<Vec<String>>,
    supported_parameters: Option<Vec<String>>,
    context: Option<i64>,
    max_price: Option<f64>,
    max_output_price: Option<f64>,
}

impl Filter {
    /// Reads the query of a URL.
    ///
    /// # Errors
    /// A parameter that there is not, that is given twice, or a value that cannot be meant.
    pub fn parse(query: Option<&str>) -> Result<Self, Problem> {
        let mut filter = Self::default();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            match &*name {
                "provider" => set(&mut filter.provider, &name, words(&value)),
                "q" => set(&mut filter.q, &name, Some(value.to_lowercase()).filter(|q| !q.is_empty())),
                "input_modalities" => set(&mut filter.input_modalities, &name, words(&value)),
                "output_modalities" => set(&mut filter.output_modalities, &name, words(&value)),
                "supported_parameters" => set(&mut filter.supported_parameters, &name, words(&value)),
                "context" => {
                    set(&mut filter.context, &name, value.parse().ok().filter(|tokens| *tokens >= 0))
                }
                "max_price" => set(&mut filter.max_price, &name, price(&value)),
                "max_output_price" => set(&mut filter.max_output_price, &name, price(&value)),
                _ => Err(Problem::bad_request(format!(
                    "There is no parameter {name:?}; there are provider, q, input_modalities, output_modalities, \
                     supported_parameters, context, max_price and max_output_price."
                ))),
            }?;
        }
        Ok(filter)
    }

    /// Whether it takes everything.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it takes a model. What a model does not say is never within a limit.
    #[must_use]
    pub fn takes(&self, model: &Model<'_>) -> bool {
        let has_all = |wanted: &Option<Vec<String>>, present: &Option<Vec<String>>| {
            let present = present.as_deref().unwrap_or_default();
            wanted.iter().flatten().all(|word| present.contains(word))
        };
        let is_within = |max: Option<f64>, price: Option<f64>| {
            max.is_none_or(|max| price.is_some_and(|price| price <= max))
        };
        let mentions =
            |q: &str, text: Option<&Cow<'_, str>>| text.is_some_and(|text| text.to_lowercase().contains(q));
        self.provider
            .as_ref()
            .is_none_or(|any| any.iter().any(|name| Some(name.as_str()) == model.provider.as_deref()))
            && self
                .q
                .as_ref()
                .is_none_or(|q| mentions(q, Some(&model.model_id)) || mentions(q, model.name.as_ref()))
            && has_all(&self.input_modalities, &model.input_modalities)
            && has_all(&self.output_modalities, &model.output_modalities)
            && has_all(&self.supported_parameters, &model.supported_parameters)
            && self.context.is_none_or(|tokens| model.context_length.is_some_and(|length| length >= tokens))
            && is_within(self.max_price, model.prompt_usd_per_million)
            && is_within(self.max_output_price, model.completion_usd_per_million)
    }
}

fn set<T>(field: &mut Option<T>, name: &str, value: Option<T>) -> Result<(), Problem> {
    if field.is_some() {
        return Err(Problem::bad_request(format!("Parameter {name} is given twice.")));
    }
    *field = Some(value.ok_or_else(|| {
        Problem::bad_request(format!("Parameter {name} has a value that cannot be meant."))
    })?);
    Ok(())
}

/// The words of a comma-separated list; none where one of them is empty.
fn words(value: &str) -> Option<Vec<String>> {
    value.split(',').map(|word| Some(word.trim().to_owned()).filter(|word| !word.is_empty())).collect()
}

/// US dollars per million tokens.
fn price(value: &str) -> Option<f64> {
    let is_decimal = value.starts_with(|c: char| c.is_ascii_digit())
        && value.chars().all(|c| c.is_ascii_digit() || c == '.');
    value.parse().ok().filter(|_| is_decimal)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn model() -> Model<'static> {
        serde_json::from_str(
            r#"{"model_id":"openai/gpt-5","name":"GPT-5 Größe","description":null,"provider":"openai","context_length":400000,
                "max_completion_tokens":null,"input_modalities":["text","image"],"output_modalities":["text"],
                "supported_parameters":["tools","seed"],"pricing":null,"prompt_usd_per_million":1.25,
                "completion_usd_per_million":null,"expires_on":null}"#,
        )
        .unwrap()
    }

    #[test]
    fn every_parameter_given_must_hold() {
        for (query, takes) in [
            ("", true),
            ("provider=openai", true),
            ("provider=anthropic,openai", true),
            ("provider=open", false),
            ("q=GPT", true),
            ("q=gr%C3%B6sse", false),
            ("q=GR%C3%96%C3%9FE", true),
            ("input_modalities=image", true),
            ("input_modalities=image,text", true),
            ("input_modalities=image,audio", false),
            ("output_modalities=image", false),
            ("supported_parameters=tools", true),
            ("supported_parameters=tools,top_k", false),
            ("context=400000", true),
            ("context=400001", false),
            ("max_price=1.25", true),
            ("max_price=1.24", false),
            ("max_output_price=1000", false),
            ("provider=openai&q=gpt&context=1&max_price=2", true),
            ("provider=openai&q=claude", false),
        ] {
            assert_eq!(Filter::parse(Some(query)).unwrap().takes(&model()), takes, "{query}");
        }
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for query in [
            "providers=openai",
            "sort=price",
            "q=",
            "provider=",
            "provider=a,,b",
            "context=",
            "context=-1",
            "context=1.5",
            "context=99999999999999999999",
            "max_price=-1",
            "max_price=inf",
            "max_price=NaN",
            "max_price=1e3",
            "max_price=1.2.3",
            "max_price=",
            "q=a&q=b",
            "access_token=x",
            "Provider=openai",
        ] {
            assert!(Filter::parse(Some(query)).is_err(), "{query}");
        }
    }
}
