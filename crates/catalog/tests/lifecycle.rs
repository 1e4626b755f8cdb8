//! Random sequences of catalogues and admin edits, and what must be true after each of them.

#![allow(clippy::unwrap_used, clippy::expect_used, clippy::panic, clippy::indexing_slicing)] // a panic fails the test

mod table;

use catalog::document::{Catalogue, parse};
use catalog::entry::ReadOptions;
use catalog::plan::{Outcome, Plan, plan};
use catalog::state::{FREE, Row, Settings, Status};
use jiff::{SignedDuration, Timestamp};
use proptest::prelude::*;
use serde_json::{Value, json};
use table::Table;

/// Prices in the forms that the upstream may use. The last two cannot be read.
fn pricing(price: usize) -> Value {
    match price {
        0 => json!({"prompt": "0", "completion": "0"}),
        1 => json!({"prompt": "0.000001", "completion": "0"}),
        2 => json!({"prompt": "0.000002", "completion": "0"}),
        3 => json!({"prompt": "0.000005", "completion": "0"}),
        4 => json!({"prompt": "-1", "completion": "0"}),
        5 => json!({"prompt": "0", "completion": "0", "web_search": "0.01"}),
        6 => json!({"prompt": {"usd": "0"}, "completion": "0"}),
        _ => json!({"input": "0"}),
    }
}

const PRICES: usize = 8;

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
                Some(json!({"id": model_id(model), "name": "x", "pricing": pricing(*price)}))
            }
        })
        .collect();
    let total_count = data.len() + usize::from(incomplete);
    parse(
        json!({"data": data, "total_count": total_count}).to_string().as_bytes(),
        &ReadOptions::default(),
        &|| (),
    )
    .ok()
}

/// Checks that a run changed a row only as the lifecycle allows.
fn check_row(before: &Row, after: &Row, listing: Listing, planned: &Plan, late: bool) {
    let listed = matches!(listing, Listing::At(_));
    let left = before.missing_since.is_none() && after.missing_since.is_some();
    assert!(!left || listing == Listing::Gone, "only a model that is not in the list becomes missing");
    assert!(
        !left || planned.complete || planned.problem.is_some(),
        "an incomplete list makes no model missing without a problem"
    );
    assert!(
        before.missing_since.is_none() || after.missing_since.is_none() == listed,
        "a missing model returns exactly when it is listed"
    );
    assert_eq!(after.is_reviewed, before.is_reviewed, "only an admin reviews");
    let returned = before.missing_since.is_some() && listed;
    let may_be: &[Status] = match before.status {
        Status::Disabled => &[Status::Disabled],
        Status::New | Status::Active if left => &[Status::Inactive],
        Status::New if before.price_guarded_at.is_some() => &[Status::New, Status::Active],
        Status::New => &[Status::New],
        Status::Active => &[Status::Active, Status::New],
        Status::Inactive if returned && before.status_before_missing.is_some() && late => &[Status::New],
        Status::Inactive if returned && before.status_before_missing.is_some() => {
            &[Status::New, Status::Active]
        }
        Status::Inactive => &[Status::Inactive],
    };
    assert!(may_be.contains(&after.status), "{:?} became {:?}", before.status, after.status);
    let reset = late && listed && before.status == Status::Inactive && before.status_before_missing.is_some();
    for tier in ["pro", "enterprise"] {
        assert_eq!(after.is_in(tier), before.is_in(tier) && !reset);
    }
    assert!(!(reset && after.is_in(FREE)));
    let waiting = after.status_before_missing.is_some();
    assert!(!waiting || (after.status == Status::Inactive && after.missing_since.is_some()));
    let was_unknown = before.is_reviewed && before.reviewed_highest_prices.is_none();
    let has_read = after.highest_prices.is_some() || before.highest_prices.is_none() || was_unknown;
    assert!(
        has_read || before.price_unreadable_since.is_some(),
        "one list without a readable price does not remove the price"
    );
}

/// Checks that syncs did not take too many models from users within a day.
fn check_guard(before: &Table, after: &Table, planned: &Plan, settings: &Settings) {
    let users_have = |row: &Row| row.status == Status::Active && row.missing_since.is_none();
    let day = SignedDuration::from_hours(24);
    let young = |at: Option<Timestamp>| at.is_some_and(|at| planned.at.duration_since(at) < day);
    let (mut taken, mut now, mut lost) = (0, 0, 0);
    for (id, row) in &after.rows {
        let old = before.rows.get(id);
        let gone = (row.status_before_missing == Some(Status::Active) && young(row.missing_since))
            || young(row.price_guarded_at);
        let out_of_free = users_have(row) && young(row.free_revoked_at);
        let is_fact = old.is_some_and(|old| {
            let held = old.absent_since.or(old.price_withheld_since);
            held.is_some_and(|at| planned.at.duration_since(at) >= day * 2)
        });
        let had = old.is_some_and(users_have);
        taken +=
            usize::from(had && (gone || (out_of_free && old.is_some_and(|old| old.is_in(FREE)))) && !is_fact);
        lost += usize::from(gone || out_of_free);
        now += usize::from(users_have(row) || gone);
    }
    let share = settings.max_removal_percent / 100.0 * now as f64;
    assert!(
        taken == 0 || lost <= 2 || lost as f64 <= share,
        "this run took {taken}; within a day {lost} of {now} were lost"
    );
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
    let state = table.state(now, settings);
    let planned = plan(state.clone(), catalogue.clone(), max);
    let before = table.clone();
    table.apply(&planned);
    let held = planned.outcome == Outcome::Held;
    for (model, listing) in listings.iter().enumerate() {
        match (before.rows.get(&model_id(model)), table.rows.get(&model_id(model))) {
            (None, None) => assert!(!matches!(listing, Listing::At(_)), "a listed model has no row"),
            (None, Some(row)) => {
                assert!(matches!(listing, Listing::At(_)));
                assert_eq!((row.status, !row.tiers.is_empty()), (Status::New, false));
            }
            (Some(_), None) => panic!("a row disappeared"),
            (Some(before), Some(after)) => {
                let since = before.missing_since.map(|since| before.absent_since.unwrap_or(since));
                let late = since.is_some_and(|since| state.was_out_of_window(since));
                check_row(before, after, *listing, &planned, late);
            }
        }
    }
    if max.is_none() {
        check_guard(&before, table, &planned, settings);
    }
    assert_eq!(planned.added, table.rows.len() - before.rows.len());
    assert!(planned.withheld == 0 || held);

    let again = plan(table.state(now, settings), catalogue, max);
    assert_eq!(
        (&again.insert[..], &again.update[..]),
        (&[][..], &[][..]),
        "a second run on the same list writes something: {:?}",
        planned.problem
    );
    assert_eq!(again.outcome, if held { Outcome::Held } else { Outcome::Unchanged });
}

fn any_listing() -> impl Strategy<Value = Listing> {
    prop_oneof![
        2 => Just(Listing::Gone),
        1 => Just(Listing::Unusable),
        9 => (0..PRICES).prop_map(Listing::At),
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

/// The guard's share is of the rows that are listed once the list is written, new ones included.
#[test]
fn a_list_of_other_models_is_judged_alike_twice() {
    let settings: Settings = serde_json::from_value(json!({
        "max_removal_percent": 38, "return_window": 604_800, "free_guard": false, "price_guard": null,
        "price_alert": null, "ignored_keys": []}))
    .unwrap();
    let listings = |listed: std::ops::Range<usize>| -> Vec<Listing> {
        (0..30).map(|model| if listed.contains(&model) { Listing::At(0) } else { Listing::Gone }).collect()
    };
    let mut table = Table::default();
    let now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
    sync(&mut table, now, &settings, &listings(0..14), None, false);
    sync(&mut table, now + SignedDuration::from_hours(1), &settings, &listings(11..30), None, false);
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
        let mut table = Table::default();
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
    fn lists_that_end_where_they_began_change_no_decision(
        (settings, first, decisions, between) in (1_usize..12).prop_flat_map(|models| (
            any_settings(),
            prop::collection::vec((0..PRICES).prop_map(Listing::At), models),
            prop::collection::vec((any_status(), any::<[bool; 3]>()), models),
            prop::collection::vec((1..20_i64, prop::collection::vec(any_listing(), models), any::<bool>()), 1..9),
        ))
    ) {
        let settings = Settings { return_window: SignedDuration::from_hours(24 * 7), ..settings };
        let mut now: Timestamp = "2026-01-01T00:00:00Z".parse().unwrap();
        let mut table = Table::default();
        sync(&mut table, now, &settings, &first, None, false);
        for (model, (status, flags)) in decisions.into_iter().enumerate() {
            table.decide(&model_id(model), Some(status), Some(flags));
        }
        let decided = table.clone();
        // a list that cannot be parsed changes nothing
        for (hours, listings, incomplete) in between {
            now += SignedDuration::from_hours(hours);
            sync(&mut table, now, &settings, &listings, None, incomplete);
        }
        now += SignedDuration::from_hours(1);
        sync(&mut table, now, &settings, &first, None, false);
        let ids: Vec<_> = decided.rows.keys().collect();
        table.rows.retain(|id, _| ids.contains(&id));
        assert_eq!(table.decisions(), decided.decisions());
    }

    #[test]
    fn no_bytes_make_the_parser_panic(bytes in prop::collection::vec(any::<u8>(), 0..200)) {
        let _ = parse(&bytes, &ReadOptions::default(), &|| ());
    }

    #[test]
    fn no_value_in_an_entry_makes_the_parser_panic(key in "[a-z_]{1,12}", text in any::<String>(), number in any::<f64>()) {
        for value in [json!(text), json!(number), json!([text, number]), json!({ text.clone(): number })] {
            let entry = json!({"id": "a/b", "name": "x", "pricing": {"prompt": value}, key.clone(): value});
            let _ = parse(json!({"data": [entry, value]}).to_string().as_bytes(), &ReadOptions::default(), &|| ());
        }
    }
}
