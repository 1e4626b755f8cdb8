//! Parses the upstream prices: decimal strings in USD per token or per other unit. No other code parses them; SQL
//! compares the stored results.

use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, Zero};
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use serde_json::value::RawValue;
use serde_json::{Map, Number, Value};
use std::collections::BTreeMap;
use std::str::FromStr;
use std::sync::OnceLock;

/// The longest price that is accepted, in characters. The longest recorded one has 25.
const MAX_CHARS: usize = 64;
/// The largest power of ten that is accepted, positive or negative.
const MAX_EXPONENT: u32 = 64;
/// Keys of an `overrides` entry that are conditions; all other keys are prices.
const OVERRIDE_CONDITIONS: [&str; 3] = ["min_prompt_tokens", "utc_start", "utc_end"];
/// The most components that a price may have. The recorded maximum is 12.
const MAX_COMPONENTS: usize = 32;
/// Components that are charged per use; all others are charged per token.
const PER_USE: [&str; 3] = ["request", "image", "web_search"];

/// Parses one price exactly. `None`: the price is variable (`-1`) or not valid.
///
/// ```
/// # use catalog::price::parse;
/// # use serde_json::json;
/// assert_eq!(parse(&json!("0.00000100000000000000015")).unwrap().to_plain_string(), "0.00000100000000000000015");
/// assert_eq!(parse(&json!("-1")), None);
/// assert_eq!(parse(&json!("NaN")), None);
/// ```
#[must_use]
pub fn parse(value: &Value) -> Option<BigDecimal> {
    parse_or_variable(value).flatten()
}

/// Parses one price. `None`: it is not a number. `Some(None)`: it is variable, which upstream writes as a negative number.
fn parse_or_variable(value: &Value) -> Option<Option<BigDecimal>> {
    let text = match value {
        Value::String(text) => text.as_str(),
        Value::Number(number) => number.as_str(),
        _ => return None,
    };
    let is_decimal = |c: char| c.is_ascii_digit() || matches!(c, '.' | '-' | '+' | 'e' | 'E');
    if text.len() > MAX_CHARS || text.starts_with('+') || !text.chars().all(is_decimal) {
        return None;
    }
    if let Some((_, exponent)) = text.split_once(['e', 'E'])
        && !exponent.trim_start_matches(['+', '-']).parse::<u32>().is_ok_and(|e| e <= MAX_EXPONENT)
    {
        return None;
    }
    let price = BigDecimal::from_str(text).ok()?;
    Some((price.sign() != Sign::Minus).then_some(price))
}

/// The price of a million units as a plain decimal without trailing zeros.
#[must_use]
pub fn per_million(price: &BigDecimal) -> String {
    million(price).to_plain_string()
}

fn million(price: &BigDecimal) -> BigDecimal {
    (price * BigDecimal::from(1_000_000)).normalized()
}

/// The highest price of each component at any hour and any prompt size: USD per million tokens, and USD per use for
/// `request`, `image` and `web_search`. `None`: the price is variable. A component that is absent is free.
///
/// The prices of a row stay JSON until they are compared, because a run compares few of them.
#[derive(Debug, Clone)]
pub struct Prices {
    stored: Option<Box<RawValue>>,
    components: OnceLock<Components>,
}

type Components = BTreeMap<String, Option<BigDecimal>>;

impl Prices {
    fn components(&self) -> &Components {
        self.components.get_or_init(|| {
            let stored = self.stored.as_deref().and_then(|stored| read_stored(stored.get()));
            // somebody else may have written another form into the row: then the price counts as variable
            stored.unwrap_or_else(|| [("prompt".to_owned(), None)].into())
        })
    }

    /// Parses a `pricing` object. `None`: it does not have the known form, which is an object that has prices for prompt
    /// and completion and in which every other value is a price as well. It has at most 32 components.
    #[must_use]
    pub fn read(pricing: &Value) -> Option<Self> {
        let mut prices = Components::new();
        for (key, value) in pricing.as_object()? {
            match (key.as_str(), value) {
                // a fraction of the price, not a price
                ("discount", _) => {}
                (_, Value::Null) => {}
                ("overrides", Value::Array(entries)) => {
                    for entry in entries {
                        raise_all(&mut prices, entry.as_object()?)?;
                    }
                }
                (_, value) => raise(&mut prices, key, value)?,
            }
        }
        let has = |key: &str| pricing.get(key).is_some_and(|value| !value.is_null());
        (has("prompt") && has("completion")).then(|| Self { stored: None, components: prices.into() })
    }

    /// Whether every price is known to be 0.
    #[must_use]
    pub fn all_zero(&self) -> bool {
        self.components().values().all(|price| price.as_ref().is_some_and(Zero::is_zero))
    }

    /// Whether a price is known to be above 0.
    #[must_use]
    pub fn any_above_zero(&self) -> bool {
        self.components().values().flatten().any(|price| !price.is_zero())
    }

    /// The highest price per token, in USD per million tokens; `None` if one of them is variable.
    #[must_use]
    pub fn per_million_tokens(&self) -> Option<String> {
        let mut tokens = self.components().iter().filter(|(key, _)| !PER_USE.contains(&key.as_str()));
        let highest =
            tokens.try_fold(BigDecimal::zero(), |highest, (_, price)| Some(highest.max(price.clone()?)));
        highest.map(|price| price.to_plain_string())
    }

    /// Whether anything is charged per use; a variable price counts.
    #[must_use]
    pub fn any_per_use(&self) -> bool {
        let components = self.components();
        let is_charged = |key: &&str| {
            components.get(*key).is_some_and(|price| price.as_ref().is_none_or(|p| !p.is_zero()))
        };
        PER_USE.iter().any(is_charged)
    }
}

impl PartialEq for Prices {
    fn eq(&self, other: &Self) -> bool {
        self.components() == other.components()
    }
}

fn raise_all(prices: &mut Components, entry: &Map<String, Value>) -> Option<()> {
    let mut entry =
        entry.iter().filter(|(key, value)| !OVERRIDE_CONDITIONS.contains(&key.as_str()) && !value.is_null());
    entry.try_for_each(|(key, value)| raise(prices, key, value))
}

fn raise(prices: &mut Components, key: &str, value: &Value) -> Option<()> {
    // normalized, because otherwise 0e14 is written as fifteen zeros, which are not a JSON number
    let price = parse_or_variable(value)?
        .map(|price| if PER_USE.contains(&key) { price.normalized() } else { million(&price) });
    let is_full = prices.len() == MAX_COMPONENTS;
    match prices.get_mut(key) {
        None if is_full => return None,
        None => drop(prices.insert(key.to_owned(), price)),
        // a price that is variable under one condition is variable
        Some(highest) => {
            *highest = highest.take().zip(price).map(|(highest, price)| highest.max(price));
        }
    }
    Some(())
}

fn read_stored(json: &str) -> Option<Components> {
    let stored: BTreeMap<String, Option<&RawValue>> = serde_json::from_str(json).ok()?;
    let price = |number: &RawValue| BigDecimal::from_str(number.get());
    let prices = stored.into_iter().map(|(key, number)| Some((key, number.map(price).transpose().ok()?)));
    prices.collect()
}

/// Whether a component costs more than `factor` times its price at the review. `None`: all prices are unknown.
///
/// A price that was known at the review and is unknown now counts as above. So does a price that was unknown then and
/// is above 0 now. If a component was absent or free at the review, any price is above.
#[must_use]
pub fn is_above(now: Option<&Prices>, reviewed: Option<&Prices>, factor: &BigDecimal) -> bool {
    match (now, reviewed) {
        (None, None) => false,
        (None, Some(_)) => true,
        (Some(now), None) => now.any_above_zero(),
        (Some(now), Some(reviewed)) => {
            let (now, reviewed) = (now.components(), reviewed.components());
            let is_unknown_now = |key| now.get(key) == Some(&None);
            let is_lost = reviewed.iter().any(|(key, price)| price.is_some() && is_unknown_now(key));
            is_lost
                || now.iter().any(|(key, price)| match (price, reviewed.get(key)) {
                    (None, then) => then.is_none(),
                    (Some(price), None | Some(None)) => !price.is_zero(),
                    (Some(price), Some(Some(then))) => *price > then * factor,
                })
        }
    }
}

impl Serialize for Prices {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let number = |price: &BigDecimal| Number::from_str(&price.to_plain_string()).ok();
        serializer
            .collect_map(self.components().iter().map(|(key, price)| (key, price.as_ref().and_then(number))))
    }
}

impl<'de> Deserialize<'de> for Prices {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        Ok(Self { stored: Some(Box::deserialize(deserializer)?), components: OnceLock::new() })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn million(text: &str) -> Option<String> {
        parse(&json!(text)).as_ref().map(per_million)
    }

    fn prices(pricing: Value) -> Prices {
        Prices::read(&pricing).unwrap_or_else(|| panic!("{pricing} cannot be parsed"))
    }

    #[test]
    fn every_digit_is_kept() {
        assert_eq!(million("0.00000100000000000000015").as_deref(), Some("1.00000000000000015"));
        assert_eq!(million("0.0000006000000000000001").as_deref(), Some("0.6000000000000001"));
        assert_eq!(million("0.000005").as_deref(), Some("5"));
        assert_eq!(million("150").as_deref(), Some("150000000"));
        assert_eq!(million("1e-7").as_deref(), Some("0.1"));
        assert_eq!(million("-0").as_deref(), Some("0"));
        let forty = "0.0000001234567890123456789012345678901234";
        assert_eq!(million(forty).as_deref(), Some("0.1234567890123456789012345678901234"));
        let stored =
            prices(json!({"prompt": forty, "completion": "0.5", "web_search": "0.005", "audio": "-1"}));
        let text = serde_json::to_string(&stored).unwrap();
        assert_eq!(
            text,
            r#"{"audio":null,"completion":500000,"prompt":0.1234567890123456789012345678901234,"web_search":0.005}"#
        );
        assert_eq!(serde_json::from_str::<Prices>(&text).unwrap(), stored);
    }

    #[test]
    fn a_zero_with_an_exponent_is_stored_as_0() {
        let stored =
            prices(json!({"prompt": "0e9", "completion": "0E-9", "web_search": "0e14", "image": "0e-64"}));
        let text = serde_json::to_string(&stored).unwrap();
        assert_eq!(text, r#"{"completion":0,"image":0,"prompt":0,"web_search":0}"#);
        assert_eq!(serde_json::from_str::<Prices>(&text).unwrap(), stored);
        assert!(stored.all_zero());
    }

    #[test]
    fn an_invalid_price_is_unknown() {
        for text in [
            "-1",
            "-0.5",
            "",
            " ",
            "NaN",
            "Infinity",
            "free",
            "0x10",
            "1_0",
            "1e-999999999",
            "1e-9999999999",
            "1e99999999999999999999",
            "1e",
            "1e+65",
            "+1",
        ] {
            assert_eq!(million(text), None, "{text}");
        }
        assert_eq!(million(&"9".repeat(65)), None);
        for value in [json!(null), json!(true), json!(["1"]), json!({"usd": "1"})] {
            assert_eq!(parse(&value), None);
        }
    }

    #[test]
    fn a_number_is_parsed_like_its_text() {
        let value: Value = serde_json::from_str("0.000000100000000000000015").unwrap();
        assert_eq!(parse(&value).as_ref().map(per_million).as_deref(), Some("0.100000000000000015"));
    }

    #[test]
    fn a_pricing_of_another_form_cannot_be_parsed() {
        for pricing in [
            json!(null),
            json!("0.1"),
            json!({}),
            json!({"prompt": "0"}),
            json!({"prompt": "0", "completion": null}),
            json!({"prompt": "0", "completion": "?"}),
            json!({"prompt": {"usd": "0"}, "completion": "0"}),
            json!({"input": "0", "output": "0"}),
            json!({"prompt": "0", "completion": "0", "image": {"usd": "1"}}),
            json!({"prompt": "0", "completion": "0", "overrides": {}}),
            json!({"prompt": "0", "completion": "0", "overrides": ["?"]}),
            json!({"prompt": "0", "completion": "0", "overrides": [{"prompt": "free"}]}),
        ] {
            assert_eq!(Prices::read(&pricing), None, "{pricing}");
        }
        // -1 is a price
        assert!(Prices::read(&json!({"prompt": "-1", "completion": "-1"})).is_some());
    }

    #[test]
    fn stored_prices_are_those_that_were_read() {
        let read = prices(json!({"prompt": "0.0000012345678901234567", "completion": "-1", "image": "0.04"}));
        let stored = serde_json::to_string(&read).unwrap();
        assert_eq!(stored, r#"{"completion":null,"image":0.04,"prompt":1.2345678901234567}"#);
        assert_eq!(serde_json::from_str::<Prices>(&stored).unwrap(), read);
        for other in ["[]", "1", r#"{"prompt":"1"}"#, r#"{"prompt":{}}"#] {
            let other: Prices = serde_json::from_str(other).unwrap();
            assert!(!other.all_zero() && !other.any_above_zero());
            assert!(is_above(Some(&other), Some(&read), &BigDecimal::from(2)));
        }
    }

    #[test]
    fn free_means_every_price_is_known_to_be_zero() {
        let free = |extra: Value| {
            let mut pricing = json!({"prompt": "0", "completion": "0.0"});
            pricing.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            prices(pricing).all_zero()
        };
        assert!(free(json!({})));
        assert!(free(json!({"request": "0", "image": null, "discount": 0.5, "overrides": []})));
        assert!(free(json!({"overrides": [{"utc_start": 100, "utc_end": 900, "prompt": "0"}]})));
        assert!(!free(json!({"overrides": [{"min_prompt_tokens": 1, "prompt": "0.1"}]})));
        assert!(!free(json!({"web_search": "0.01"})));
        assert!(!free(json!({"image": "-1"})));
        assert!(!free(json!({"prompt": "-1"})));
    }

    #[test]
    fn the_highest_price_of_any_hour_and_size_is_used() {
        let peak = prices(json!({"prompt": "0.000001", "completion": "0", "image": "0.04", "overrides": [
            {"utc_start": 100, "utc_end": 900, "prompt": "0.000002"},
            {"min_prompt_tokens": 200_000, "prompt": "0.0000015", "audio": "0.000003"}]}));
        let off_peak = prices(
            json!({"prompt": "0.000002", "completion": "0", "image": "0.04", "overrides": [
            {"utc_start": 900, "utc_end": 100, "prompt": "0.000001"}, {"min_prompt_tokens": 1, "audio": "0.000003"}]}),
        );
        assert_eq!(peak, off_peak);
        assert_eq!(peak.per_million_tokens().as_deref(), Some("3"));
        assert!(peak.any_per_use() && peak.any_above_zero() && !peak.all_zero());
        let variable = prices(json!({"prompt": "0", "completion": "0", "overrides": [{"prompt": "-1"}]}));
        assert_eq!((variable.per_million_tokens(), variable.any_per_use()), (None, false));
        assert!(!variable.any_above_zero() && !variable.all_zero());
    }

    #[test]
    fn above_compares_every_component() {
        let pricing = |prompt: &str, extra: Value| {
            let mut pricing = json!({"prompt": prompt, "completion": "0"});
            pricing.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            prices(pricing)
        };
        let none = || json!({});
        let above = |now: &Prices, then: &Prices| is_above(Some(now), Some(then), &BigDecimal::from(2));
        let reviewed = pricing("0.000001", none());
        assert!(!above(&pricing("0.000002", none()), &reviewed));
        assert!(above(&pricing("0.0000020000000000000000000001", none()), &reviewed));
        assert!(above(&pricing("0", json!({"completion": "0.0000001"})), &reviewed));
        // it was absent or unknown
        assert!(above(&pricing("0", json!({"web_search": "0.01"})), &reviewed));
        assert!(!above(&pricing("0", json!({"web_search": "0"})), &reviewed));
        assert!(above(&pricing("0", json!({"image": "-1"})), &reviewed));
        assert!(above(&pricing("-1", none()), &reviewed));
        assert!(above(&pricing("9", none()), &pricing("-1", none())));
        assert!(!above(&pricing("0", none()), &pricing("-1", none())));
        assert!(!above(&pricing("-1", none()), &pricing("-1", none())));
        // a component that is now absent is free
        assert!(!above(&reviewed, &pricing("0.000001", json!({"image": "1"}))));
        let one = BigDecimal::from(1);
        assert!(is_above(None, Some(&reviewed), &one) && is_above(Some(&reviewed), None, &one));
        assert!(!is_above(None, None, &one) && !is_above(Some(&pricing("0", none())), None, &one));
    }
}
