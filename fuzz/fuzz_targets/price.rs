//! A price, and an object `pricing`. A known price is a plain decimal that is not negative and has every digit of the
//! upstream. Prices that were stored and read again are the same, and no price counts as higher than itself.

#![no_main]

use bigdecimal::num_bigint::Sign;
use bigdecimal::{BigDecimal, Zero};
use catalog::price::{Prices, is_above, parse, per_million};
use libfuzzer_sys::fuzz_target;
use serde_json::Value;
use std::str::FromStr;

fuzz_target!(|text: &str| {
    check(&Value::from(text));
    let Ok(value) = serde_json::from_str::<Value>(text) else { return };
    check(&value);
    // an entry with any other value is refused before its price is read
    if !fuzz::is_jsonb(&value) {
        return;
    }
    let Some(prices) = Prices::read(&value) else { return };
    let stored = serde_json::to_string(&prices).unwrap();
    fuzz::assert_jsonb(&stored);
    assert_eq!(serde_json::from_str::<Prices>(&stored).unwrap(), prices, "{stored}");
    for factor in [1, 2] {
        assert!(!is_above(Some(&prices), Some(&prices), &BigDecimal::from(factor)), "{stored}");
    }
    assert!(!(prices.all_zero() && (prices.any_above_zero() || prices.any_per_use())), "{stored}");
    if let Some(highest) = prices.per_million_tokens() {
        assert!(is_plain(&highest), "{highest}");
    }
});

fn check(value: &Value) {
    let Some(price) = parse(value) else { return };
    assert_ne!(price.sign(), Sign::Minus, "{value}");
    let shown = per_million(&price);
    assert!(is_plain(&shown), "{value}: {shown}");
    let text = value.as_str().map_or_else(|| value.to_string(), ToOwned::to_owned);
    let exact = BigDecimal::from_str(&text).unwrap() * BigDecimal::from(1_000_000);
    assert!((BigDecimal::from_str(&shown).unwrap() - exact).is_zero(), "{value}: {shown}");
}

fn is_plain(text: &str) -> bool {
    text.len() < 300
        && text.starts_with(|c: char| c.is_ascii_digit())
        && text.chars().all(|c| c.is_ascii_digit() || c == '.')
}
