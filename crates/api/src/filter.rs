//! The query of a list: which of a user's models the client asks for. A filter never adds a model.

use crate::code::Code;
use crate::list::Form;
use crate::model::Model;
use crate::problem::Problem;

/// A parameter of the query. To add one, add it to [`PARAMETERS`].
struct Parameter {
    name: &'static str,
    /// Which values are valid, for the error message and for docs/api.md.
    expected: &'static str,
    /// The condition that a value stands for; `None` if the value is invalid.
    condition: fn(&str) -> Option<Condition>,
}

/// What a parameter requires of a model.
type Condition = Box<dyn Fn(&Model<'_>) -> bool + Send + Sync>;

/// Every parameter. A model matches a query if it matches all of its parameters.
const PARAMETERS: &[Parameter] = &[
    Parameter {
        name: "provider",
        expected: LIST,
        condition: |value| {
            let providers = list(value)?;
            condition(move |model| providers.iter().any(|name| model.provider.as_deref() == Some(name)))
        },
    },
    Parameter {
        name: "q",
        expected: "a text that is not empty",
        condition: |value| {
            let text = Some(value.to_lowercase()).filter(|text| !text.is_empty())?;
            let contains = move |value: &str| value.to_lowercase().contains(&text);
            condition(move |model| contains(&model.model_id) || model.name.as_deref().is_some_and(&contains))
        },
    },
    Parameter {
        name: "input_modalities",
        expected: LIST,
        condition: |value| contains_all(value, |model| model.input_modalities.as_deref()),
    },
    Parameter {
        name: OUTPUT,
        expected: LIST,
        condition: |value| contains_all(value, |model| model.output_modalities.as_deref()),
    },
    Parameter {
        name: "supported_parameters",
        expected: LIST,
        condition: |value| contains_all(value, |model| model.supported_parameters.as_deref()),
    },
    Parameter {
        name: "context",
        expected: WHOLE,
        condition: |value| at_least(value, |model| model.context_length),
    },
    Parameter {
        name: "max_price",
        expected: DECIMAL,
        condition: |value| at_most(value, |model| model.prompt_usd_per_million),
    },
    Parameter {
        name: "max_output_price",
        expected: DECIMAL,
        condition: |value| at_most(value, |model| model.completion_usd_per_million),
    },
];

/// The parameter that selects everything if its value is `all`, as OpenRouter's does.
const OUTPUT: &str = "output_modalities";
const LIST: &str = "one or more words, separated by commas";
const WHOLE: &str = "a whole number that is not negative";
const DECIMAL: &str = "a decimal number that is not negative";

/// The name of every parameter.
pub fn names() -> impl Iterator<Item = &'static str> {
    PARAMETERS.iter().map(|parameter| parameter.name)
}

/// The conditions of a query.
#[derive(Default)]
pub struct Filter {
    conditions: Vec<Condition>,
    /// The part of the matching models that a client asks for.
    pub page: Option<Page>,
}

/// A part of a list for clients of OpenRouter, which read a long list page by page.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Page {
    /// The number of models before it.
    pub offset: usize,
    /// The most models in it.
    pub limit: usize,
    /// The other parameters of the query.
    query: String,
}

impl Page {
    /// The most models of a page, and how many it has if the client does not say.
    const MAX: usize = 1000;
    const DEFAULT: usize = 500;

    /// The page that a query asks for. A value that is not a number in its range has no effect.
    fn parse(query: &str) -> Option<Self> {
        let (mut offset, mut limit) = (None, None);
        let mut rest = form_urlencoded::Serializer::new(String::new());
        for (name, value) in form_urlencoded::parse(query.as_bytes()) {
            match &*name {
                "offset" => offset = value.parse().ok(),
                "limit" => limit = value.parse().ok().filter(|limit| *limit > 0),
                _ => drop(rest.append_pair(&name, &value)),
            }
        }
        (offset.is_some() || limit.is_some()).then(|| Self {
            offset: offset.unwrap_or(0),
            limit: limit.unwrap_or(Self::DEFAULT).min(Self::MAX),
            query: rest.finish(),
        })
    }

    /// The URL of the next page, if there is one.
    #[must_use]
    pub fn next(&self, path: &str, total: usize) -> Option<String> {
        let offset = self.offset.saturating_add(self.limit);
        let mut query = form_urlencoded::Serializer::new(self.query.clone());
        query.append_pair("offset", &offset.to_string()).append_pair("limit", &self.limit.to_string());
        (offset < total).then(|| format!("{path}?{}", query.finish()))
    }
}

impl Filter {
    /// Reads the query of a URL. Clients of OpenAI and OpenRouter send parameters of their own, such as `limit` and
    /// `client_version`, which have no effect.
    ///
    /// # Errors
    /// 400 if a parameter is unknown (only for a plain list) or repeated, or if a value is invalid.
    pub fn parse(form: Form, query: Option<&str>) -> Result<Self, Problem> {
        let mut conditions = Vec::new();
        let mut seen = Vec::new();
        for (name, value) in form_urlencoded::parse(query.unwrap_or_default().as_bytes()) {
            let parameter = match PARAMETERS.iter().find(|parameter| parameter.name == name) {
                Some(parameter) => parameter,
                None if form == Form::OpenAi => continue,
                None => return Err(unknown(&name)),
            };
            if seen.contains(&parameter.name) {
                return Err(repeated(parameter));
            }
            seen.push(parameter.name);
            if (parameter.name, &*value) == (OUTPUT, "all") {
                continue;
            }
            conditions.push((parameter.condition)(&value).ok_or_else(|| invalid(parameter))?);
        }
        let page = query.filter(|_| form == Form::OpenAi).and_then(Page::parse);
        Ok(Self { conditions, page })
    }

    /// Whether every model matches, and all are asked for.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.conditions.is_empty() && self.page.is_none()
    }

    /// Whether every model matches.
    #[must_use]
    pub fn matches_all(&self) -> bool {
        self.conditions.is_empty()
    }

    /// Whether a model matches. A value that the model does not have is outside of every limit.
    #[must_use]
    pub fn matches(&self, model: &Model<'_>) -> bool {
        self.conditions.iter().all(|condition| condition(model))
    }
}

fn condition(test: impl Fn(&Model<'_>) -> bool + Send + Sync + 'static) -> Option<Condition> {
    Some(Box::new(test))
}

fn contains_all(value: &str, column: for<'a> fn(&'a Model<'_>) -> Option<&'a [String]>) -> Option<Condition> {
    let words = list(value)?;
    condition(move |model| {
        column(model).is_some_and(|present| words.iter().all(|word| present.contains(word)))
    })
}

fn at_least(value: &str, column: fn(&Model<'_>) -> Option<i64>) -> Option<Condition> {
    let min = value.parse().ok().filter(|min: &i64| *min >= 0)?;
    condition(move |model| column(model).is_some_and(|number| number >= min))
}

fn at_most(value: &str, column: fn(&Model<'_>) -> Option<f64>) -> Option<Condition> {
    let max = decimal(value)?;
    condition(move |model| column(model).is_some_and(|price| price <= max))
}

/// The words of a comma-separated list; `None` if one of them is empty.
fn list(value: &str) -> Option<Vec<String>> {
    value.split(',').map(|word| Some(word.trim().to_owned()).filter(|word| !word.is_empty())).collect()
}

/// A number made of digits and a point; `None` for other forms that Rust accepts, such as `inf` and `1e3`.
fn decimal(value: &str) -> Option<f64> {
    let is_decimal = value.starts_with(|c: char| c.is_ascii_digit())
        && value.chars().all(|c| c.is_ascii_digit() || c == '.');
    value.parse().ok().filter(|_| is_decimal)
}

fn unknown(name: &str) -> Problem {
    let names: Vec<&str> = names().collect();
    let detail = format!("Parameter {name:?} is unknown. The parameters are {}.", names.join(", "));
    Problem::new(Code::ParameterUnknown, detail).about(name)
}

fn repeated(parameter: &Parameter) -> Problem {
    let detail = format!("Parameter {} is given more than once.", parameter.name);
    Problem::new(Code::ParameterRepeated, detail).about(parameter.name)
}

fn invalid(parameter: &Parameter) -> Problem {
    let detail =
        format!("Parameter {} has an invalid value; expected {}.", parameter.name, parameter.expected);
    Problem::new(Code::ParameterInvalid, detail).about(parameter.name)
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
    fn a_model_matches_all_parameters() {
        for (query, matches) in [
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
            ("output_modalities=all", true),
            ("output_modalities=all&input_modalities=audio", false),
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
            for form in [Form::Plain, Form::OpenAi] {
                assert_eq!(Filter::parse(form, Some(query)).unwrap().matches(&model()), matches, "{query}");
            }
        }
    }

    #[test]
    fn a_page_is_a_part_of_a_list_for_clients_of_openrouter() {
        let page = |query| Filter::parse(Form::OpenAi, Some(query)).unwrap().page;
        for none in ["", "q=a", "limit=0", "limit=x", "offset=-1", "limit="] {
            assert_eq!(page(none), None, "{none}");
        }
        for (query, offset, limit, next) in [
            ("limit=10", 0, 10, Some("/m?offset=10&limit=10")),
            ("limit=99", 0, 99, None),
            ("limit=5000", 0, 1000, None),
            ("offset=5", 5, 500, None),
            ("offset=90&limit=9", 90, 9, None),
            ("q=a%26&limit=10&offset=80&category=x", 80, 10, Some("/m?q=a%26&category=x&offset=90&limit=10")),
            ("offset=18446744073709551615&limit=1", usize::MAX, 1, None),
        ] {
            let page = page(query).unwrap();
            assert_eq!(
                (page.offset, page.limit, page.next("/m", 99).as_deref()),
                (offset, limit, next),
                "{query}"
            );
        }
        assert!(Filter::parse(Form::Plain, Some("limit=10")).is_err());
    }

    #[test]
    fn an_invalid_query_is_refused() {
        use Code::{ParameterInvalid as INVALID, ParameterRepeated as REPEATED, ParameterUnknown as UNKNOWN};
        for (query, code) in [
            ("providers=openai", UNKNOWN),
            ("sort=price", UNKNOWN),
            ("q=", INVALID),
            ("provider=", INVALID),
            ("provider=a,,b", INVALID),
            ("context=", INVALID),
            ("context=-1", INVALID),
            ("context=1.5", INVALID),
            ("context=99999999999999999999", INVALID),
            ("max_price=-1", INVALID),
            ("max_price=inf", INVALID),
            ("max_price=NaN", INVALID),
            ("max_price=1e3", INVALID),
            ("max_price=1.2.3", INVALID),
            ("max_price=", INVALID),
            ("q=a&q=b", REPEATED),
            ("access_token=x", UNKNOWN),
            ("Provider=openai", UNKNOWN),
        ] {
            let problem = Filter::parse(Form::Plain, Some(query)).err().unwrap();
            assert_eq!(problem.code(), code, "{query}");
            // clients of OpenAI may send any other parameter
            let lenient = Filter::parse(Form::OpenAi, Some(query));
            assert_eq!(
                lenient.err().map(|problem| problem.code()),
                (code != UNKNOWN).then_some(code),
                "{query}"
            );
        }
    }

    #[test]
    fn a_test_compares_every_parameter_with_sql() {
        let tests = include_str!("../../../tests/api/lists.rs");
        for Parameter { name, .. } in PARAMETERS {
            assert!(
                tests.contains(&format!("(\"{name}=")),
                "tests/api/lists.rs needs a case for parameter {name}"
            );
        }
    }

    #[test]
    fn the_document_lists_every_parameter_and_no_other() {
        let text = include_str!("../../../docs/api.md");
        let table = text.lines().skip_while(|line| *line != "| parameter | value | selects |").skip(2);
        let documented: Vec<&str> = table.take_while(|line| line.starts_with('|')).collect();
        for Parameter { name, expected, .. } in PARAMETERS {
            let row = format!("| `{name}` | {expected} | ");
            let is_documented = documented.iter().any(|line| line.starts_with(&row));
            assert!(is_documented, "the table of parameters in docs/api.md needs the row {row}… |");
        }
        assert_eq!(documented.len(), PARAMETERS.len(), "docs/api.md has a parameter that does not exist");
    }
}
