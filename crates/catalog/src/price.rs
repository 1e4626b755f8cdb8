//! Prices as the upstream gives them: decimal strings, in USD per token or per other unit.

use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, Zero};
use serde_json::{Map, Value};
use std::str::FromStr;

/// Longest price that is read, in characters. The longest on record has 25.
const MAX_CHARS: usize = 64;
/// Largest power of ten that is read, either way.
const MAX_EXPONENT: u32 = 64;
/// Keys of an `overrides` entry that say when it applies; all its other keys are prices.
const OVERRIDE_CONDITIONS: [&str; 3] = ["min_prompt_tokens", "utc_start", "utc_end"];

/// One price, exact; `None` = variable (`-1`) or unknown.
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
    BigDecimal::from_str(text).ok().filter(|price| price.sign() != Sign::Minus)
}

/// What a million units cost, as a plain decimal without trailing zeros.
#[must_use]
pub fn per_million(price: &BigDecimal) -> String {
    (price * BigDecimal::from(1_000_000)).normalized().to_plain_string()
}

/// Whether `pricing` is known to cost nothing: prompt and completion 0, and no other price, overrides
/// included, that is above 0 or unknown.
#[must_use]
pub fn is_free(pricing: &Value) -> bool {
    let Value::Object(prices) = pricing else { return false };
    let zero = |value: &Value| parse(value).is_some_and(|price| price.is_zero());
    ["prompt", "completion"].iter().all(|key| prices.get(*key).is_some_and(zero))
        && prices.iter().all(|(key, value)| match key.as_str() {
            // a share of the price, not a price
            "discount" => true,
            "overrides" => overrides_are_free(value, zero),
            _ => value.is_null() || zero(value),
        })
}

fn overrides_are_free(overrides: &Value, zero: impl Fn(&Value) -> bool) -> bool {
    let free = |entry: &Map<String, Value>| {
        entry.iter().all(|(key, value)| OVERRIDE_CONDITIONS.contains(&key.as_str()) || zero(value))
    };
    match overrides {
        Value::Null => true,
        Value::Array(entries) => entries.iter().all(|entry| entry.as_object().is_some_and(free)),
        _ => false,
    }
}

/// Whether the prompt or the completion price of `now` is above `factor` times that of `reviewed`.
///
/// A price that was known at the review and is not known now could be anything, and counts as above;
/// one that was unknown at the review has nothing to be compared with, and does not.
#[must_use]
pub fn is_above(now: &Value, reviewed: &Value, factor: &BigDecimal) -> bool {
    ["prompt", "completion"].iter().any(|key| {
        let price = |pricing: &Value| pricing.get(key).and_then(parse);
        match (price(reviewed), price(now)) {
            (None, _) => false,
            (Some(_), None) => true,
            (Some(then), Some(now)) => now > then * factor,
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn million(text: &str) -> Option<String> {
        parse(&json!(text)).as_ref().map(per_million)
    }

    #[test]
    fn every_digit_survives() {
        assert_eq!(million("0.00000100000000000000015").as_deref(), Some("1.00000000000000015"));
        assert_eq!(million("0.0000006000000000000001").as_deref(), Some("0.6000000000000001"));
        assert_eq!(million("0.000005").as_deref(), Some("5"));
        assert_eq!(million("150").as_deref(), Some("150000000"));
        assert_eq!(million("1e-7").as_deref(), Some("0.1"));
        assert_eq!(million("-0").as_deref(), Some("0"));
        let forty = "0.0000001234567890123456789012345678901234";
        assert_eq!(million(forty).as_deref(), Some("0.1234567890123456789012345678901234"));
    }

    #[test]
    fn what_is_no_price_is_unknown() {
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
    fn a_number_is_read_like_its_text() {
        let value: Value = serde_json::from_str("0.000000100000000000000015").unwrap();
        assert_eq!(parse(&value).as_ref().map(per_million).as_deref(), Some("0.100000000000000015"));
    }

    #[test]
    fn free_means_every_price_is_known_to_be_zero() {
        let free = |extra: Value| {
            let mut pricing = json!({"prompt": "0", "completion": "0.0"});
            pricing.as_object_mut().unwrap().extend(extra.as_object().unwrap().clone());
            is_free(&pricing)
        };
        assert!(free(json!({})));
        assert!(free(json!({"request": "0", "image": null, "discount": 0.5, "overrides": []})));
        assert!(free(json!({"overrides": [{"utc_start": 100, "utc_end": 900, "prompt": "0"}]})));
        assert!(!free(json!({"overrides": [{"min_prompt_tokens": 1, "prompt": "0.1"}]})));
        assert!(!free(json!({"overrides": ["?"]})));
        assert!(!free(json!({"web_search": "0.01"})));
        assert!(!free(json!({"image": "-1"})));
        assert!(!free(json!({"prompt": "-1"})));
        assert!(!free(json!({"completion": "?"})));
        assert!(!is_free(&json!({"prompt": "0"})));
        assert!(!is_free(&Value::Null));
    }

    #[test]
    fn above_compares_prompt_and_completion() {
        let pricing = |prompt: &str, completion: &str| json!({"prompt": prompt, "completion": completion});
        let twice = BigDecimal::from(2);
        let reviewed = pricing("0.000001", "0");
        assert!(!is_above(&pricing("0.000002", "0"), &reviewed, &twice));
        assert!(is_above(&pricing("0.0000020000000000000000000001", "0"), &reviewed, &twice));
        assert!(is_above(&pricing("0", "0.0000001"), &reviewed, &twice));
        assert!(is_above(&pricing("-1", "0"), &reviewed, &twice));
        assert!(!is_above(&pricing("9", "9"), &pricing("-1", "-1"), &twice));
    }
}
