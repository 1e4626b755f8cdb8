//! Sequences of catalogues and admin edits, drawn at random: what must hold whatever happens.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a test ends there

use catalog::document::{Catalogue, parse};
use catalog::entry::Reading;
use catalog::lifecycle::Change;
use catalog::plan::{Outcome, Plan, plan};
use catalog::price;
use catalog::state::{Row, Settings, State, Status};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use std::collections::BTreeMap;

const PRICES: [&str; 5] = ["0", "0.000001", "0.000002", "0.000005", "-1"];

/// What the upstream does with one model on one day.
#[derive(Debug, Clone, Copy, PartialEq)]
enum Listing {
    Gone,
    Unusable,
    At(usize),
}

#[derive(Debug, Clone)]
enum Step {
    Sync { hours: i64, listings: Vec<Listing>, max_removals: Option<u32>, incomplete: bool },
    Decide { model: usize, status: Option<Status>, flags: Option<[bool; 3]> },
}

/// The table, as the SQL side would hold it.
#[derive(Debug, Clone, PartialEq)]
struct Table {
    rows: BTreeMap<String, (Row, Value)>,
}

impl Table {
    fn state(&self, now: Timestamp, settings: &Settings) -> State {
        let rows = self.rows.values().map(|(row, _)| row.clone()).collect();
        State { now, settings: settings.clone(), rows }
    }

    fn apply(&mut self, plan: &Plan) {
        for model in &plan.insert {
            let row = Row {
                model_id: model.model_id.clone(),
                status: Status::New,
                is_free: false,
                is_pro: false,
                is_enterprise: false,
                fingerprint: Some(model.columns.fingerprint.clone()),
                missing_since: None,
                status_before_missing: None,
                reviewed_pricing: None,
            };
            let pricing = model.columns.pricing.clone().unwrap();
            assert!(self.rows.insert(model.model_id.clone(), (row, pricing)).is_none(), "inserted twice");
        }
        for change in &plan.update {
            let (row, pricing) = self.rows.get_mut(&change.model_id).expect("an update of an unknown row");
            write(row, pricing, change);
        }
    }

    /// As the decision trigger does it.
    fn decide(&mut self, model_id: &str, status: Option<Status>, flags: Option<[bool; 3]>) {
        let Some((row, pricing)) = self.rows.get_mut(model_id) else { return };
        row.status = status.unwrap_or(row.status);
        [row.is_free, row.is_pro, row.is_enterprise] =
            flags.unwrap_or([row.is_free, row.is_pro, row.is_enterprise]);
        row.reviewed_pricing = Some(pricing.clone());
        row.status_before_missing = None;
    }
}

fn write(row: &mut Row, pricing: &mut Value, change: &Change) {
    if let Some(columns) = &change.columns {
        row.fingerprint = Some(columns.fingerprint.clone());
        *pricing = columns.pricing.clone().unwrap();
    }
    row.status = change.status.unwrap_or(row.status);
    row.is_free = change.is_free.unwrap_or(row.is_free);
    row.is_pro = change.is_pro.unwrap_or(row.is_pro);
    row.is_enterprise = change.is_enterprise.unwrap_or(row.is_enterprise);
    row.missing_since = change.missing_since.unwrap_or(row.missing_since);
    row.status_before_missing = change.status_before_missing.unwrap_or(row.status_before_missing);
}

fn model_id(model: usize) -> String {
    format!("author/model-{model:02}")
}

fn catalogue(listings: &[Listing], incomplete: bool) -> Option<Catalogue> {
    let data: Vec<Value> = listings
        .iter()
        .enumerate()
        .filter_map(|(model, listing)| match listing {
            Listing::Gone => None,
            Listing::Unusable => Some(json!({"id": model_id(model), "name": 7})),
            Listing::At(price) => {
                let pricing = json!({"prompt": PRICES[*price], "completion": "0"});
                Some(json!({"id": model_id(model), "name": "x", "pricing": pricing}))
            }
        })
        .collect();
    let total_count = data.len() + usize::from(incomplete);
    parse(
        json!({"data": data, "total_count": total_count}).to_string().as_bytes(),
        &Reading::default(),
        &|| (),
    )
    .ok()
}

/// Everything that one run may do to one row, as the lifecycle table has it.
fn check_row(
    before: &Row,
    after: &Row,
    pricing: &Value,
    listing: Listing,
    now: Timestamp,
    settings: &Settings,
    held: bool,
) {
    let was_missing = before.missing_since.is_some();
    let listed = matches!(listing, Listing::At(_));
    let vanished = !was_missing && after.missing_since.is_some();
    let returned = was_missing && listed;
    let late = returned && now.duration_since(before.missing_since.unwrap()) > settings.return_window;
    let above = |factor: &Option<bigdecimal::BigDecimal>| match (factor, &before.reviewed_pricing) {
        (Some(factor), Some(reviewed)) => listed && price::is_above(pricing, reviewed, factor),
        _ => false,
    };
    assert!(
        !vanished || (listing == Listing::Gone && !held),
        "only an absent row vanishes, and never when held"
    );
    assert_eq!(
        after.missing_since.is_none(),
        if was_missing { listed } else { !vanished },
        "presence follows the list"
    );

    let expected = match (before.status, before.status_before_missing) {
        (Status::Disabled, _) => Status::Disabled,
        (Status::New | Status::Active, _) if vanished => Status::Inactive,
        (Status::Inactive, Some(_)) if late || (returned && above(&settings.price_alert)) => Status::New,
        (Status::Inactive, Some(was)) if returned => was,
        (status, _) => status,
    };
    let guarded = expected == Status::Active && above(&settings.price_guard);
    assert_eq!(after.status, if guarded { Status::New } else { expected });
    assert_eq!(after.reviewed_pricing, before.reviewed_pricing, "a review is an admin's");

    let flags_reset = late && before.status == Status::Inactive && before.status_before_missing.is_some();
    let was_free = before.reviewed_pricing.as_ref().is_some_and(price::is_free);
    let revoked = settings.free_guard && listed && was_free && !price::is_free(pricing);
    assert_eq!(after.is_free, before.is_free && !revoked && !flags_reset);
    assert_eq!(after.is_pro, before.is_pro && !flags_reset);
    assert_eq!(after.is_enterprise, before.is_enterprise && !flags_reset);
    let waiting = after.status_before_missing.is_some();
    assert!(!waiting || (after.status == Status::Inactive && after.missing_since.is_some()));
}

fn sync(
    table: &mut Table,
    now: Timestamp,
    settings: &Settings,
    listings: &[Listing],
    max: Option<u32>,
    incomplete: bool,
) {
    let Some(catalogue) = catalogue(listings, incomplete) else { return };
    let planned = plan(&table.state(now, settings), catalogue.clone(), max);
    let before = table.clone();
    table.apply(&planned);
    let held = planned.outcome == Outcome::Held;
    for (model, listing) in listings.iter().enumerate() {
        match (before.rows.get(&model_id(model)), table.rows.get(&model_id(model))) {
            (None, None) => assert!(!matches!(listing, Listing::At(_)), "a listed model has a row"),
            (None, Some((row, _))) => {
                assert!(matches!(listing, Listing::At(_)));
                assert_eq!(
                    (row.status, row.is_free || row.is_pro || row.is_enterprise),
                    (Status::New, false)
                );
            }
            (Some(_), None) => panic!("a row disappeared"),
            (Some((before, _)), Some((after, pricing))) => {
                check_row(before, after, pricing, *listing, now, settings, held);
            }
        }
    }
    let count = |wanted: fn(&Row) -> bool| table.rows.values().filter(|(row, _)| wanted(row)).count();
    assert_eq!(planned.added, table.rows.len() - before.rows.len());
    assert!(planned.withheld == 0 || held);
    assert!(count(|row| row.missing_since.is_some()) + planned.returned >= planned.missing);

    let again = plan(&table.state(now, settings), catalogue, max);
    assert_eq!((again.insert.len(), again.update.len()), (0, 0), "a second run writes nothing");
    assert_eq!(again.outcome, if held { Outcome::Held } else { Outcome::Unchanged });
}

fn any_listing() -> impl Strategy<Value = Listing> {
    prop_oneof![
        2 => Just(Listing::Gone),
        1 => Just(Listing::Unusable),
        9 => (0..PRICES.len()).prop_map(Listing::At),
    ]
}

fn any_status() -> impl Strategy<Value = Status> {
    prop_oneof![Just(Status::New), Just(Status::Active), Just(Status::Inactive), Just(Status::Disabled)]
}

fn any_step(models: usize) -> impl Strategy<Value = Step> {
    let sync =
        (1..240_i64, prop::collection::vec(any_listing(), models), prop::option::weighted(0.2, 0..40_u32));
    prop_oneof![
        2 => (sync, prop::bool::weighted(0.1)).prop_map(|((hours, listings, max_removals), incomplete)| {
            Step::Sync { hours, listings, max_removals, incomplete }
        }),
        5 => (0..models, prop::option::of(any_status()), prop::option::of(any::<[bool; 3]>()))
            .prop_map(|(model, status, flags)| Step::Decide { model, status, flags }),
    ]
}

fn any_settings() -> impl Strategy<Value = Settings> {
    let factor = || prop::option::of((1..4_i64).prop_map(bigdecimal::BigDecimal::from));
    (any::<bool>(), factor(), factor(), 0..100_u8, 0..200_i64).prop_map(
        |(free_guard, price_guard, price_alert, percent, hours)| Settings {
            max_removal_percent: f64::from(percent),
            return_window: SignedDuration::from_hours(hours),
            free_guard,
            price_guard,
            price_alert,
            ignored_keys: Vec::new(),
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig { failure_persistence: None, ..ProptestConfig::with_cases(1000) })]

    #[test]
    fn decisions_move_only_as_the_lifecycle_says(
        (settings, steps) in (1_usize..40).prop_flat_map(|models| {
            (any_settings(), prop::collection::vec(any_step(models), 1..60))
        })
    ) {
        let mut now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut table = Table { rows: BTreeMap::new() };
        for step in steps {
            match step {
                Step::Decide { model, status, flags } => table.decide(&model_id(model), status, flags),
                Step::Sync { hours, listings, max_removals, incomplete } => {
                    now += SignedDuration::from_hours(hours);
                    sync(&mut table, now, &settings, &listings, max_removals, incomplete);
                }
            }
        }
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, &Reading::default(), &|| ());
    }

    #[test]
    fn no_value_in_an_entry_makes_the_parser_panic(key in "[a-z_]{1,12}", text in any::<String>(), number in any::<f64>()) {
        for value in [json!(text), json!(number), json!([text, number]), json!({ text.clone(): number })] {
            let entry = json!({"id": "a/b", "name": "x", "pricing": {"prompt": value}, key.clone(): value});
            let _ = parse(json!({"data": [entry, value]}).to_string().as_bytes(), &Reading::default(), &|| ());
        }
    }
}
