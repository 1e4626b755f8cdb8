//! Which models wait for a decision and why, by a second implementation.

use postgres::Client;
use std::collections::BTreeMap;

fn review(client: &mut Client) -> Vec<(String, String)> {
    let rows = client
        .query("SELECT model_id, reason FROM model_access_review ORDER BY model_id COLLATE \"C\"", &[])
        .expect("the review");
    rows.iter().map(|row| (row.get(0), row.get(1))).collect()
}

/// Which models should wait and why, computed from the rows by a second implementation.
fn waiting(client: &mut Client) -> Vec<(String, String)> {
    let query = "SELECT model_id, status, _model_access_rank(model_access) IS NOT NULL, free_revoked_at IS NOT NULL, returned_at IS NOT NULL,
                        reviewed_highest_prices::text, highest_prices::text, (expires_on - current_date)::integer,
                        reviewed_at IS NOT NULL, alias_of IS DISTINCT FROM reviewed_alias_of, price_guarded_at IS NOT NULL, missing_since IS NOT NULL
                 FROM model_access
                 WHERE missing_since IS NULL OR status_before_missing = 'active' AND (reviewed_at < missing_since OR reviewed_at IS NULL)
                 ORDER BY model_id COLLATE \"C\"";
    let prices = |text: Option<&str>| -> Option<BTreeMap<String, Option<f64>>> {
        text.map(|text| serde_json::from_str(text).expect("the review"))
    };
    let mut waiting = Vec::new();
    for row in client.query(query, &[]).expect("the review") {
        let (status, in_a_tier): (&str, bool) = (row.get(1), row.get(2));
        let is = |column: usize| row.get::<_, bool>(column);
        let (then, now) = (prices(row.get(5)), prices(row.get(6)));
        // a component that is not named costs nothing
        let was = |key| then.as_ref().and_then(|then| then.get(key).copied().unwrap_or(Some(0.0)));
        let price_increased = match &now {
            None => then.is_some(),
            Some(now) => now.iter().any(|(key, now)| match (was(key), *now) {
                (Some(then), Some(now)) => now > then * 2.0,
                (Some(_), None) => true,
                (None, now) => now.is_some_and(|now| now > 0.0),
            }),
        };
        let reason = match status {
            _ if is(11) => "left",
            "new" | "active" if is(3) => "free_revoked",
            "active" if is(8) && is(9) => "alias_moved",
            "new" if is(4) => "returned",
            "new" | "active" if is(10) || is(8) && price_increased => "price_up",
            "new" => "new",
            "active" if row.get::<_, Option<i32>>(7).is_some_and(|left| left <= 30) => "expiring",
            "active" if !in_a_tier => "active_without_tier",
            _ => continue,
        };
        waiting.push((row.get(0), reason.to_owned()));
    }
    waiting
}

/// Compares the view with `waiting`, and names only what differs.
///
/// # Panics
/// If they differ.
pub fn check_review(client: &mut Client, when: &str) {
    let (given, expected) = (review(client), waiting(client));
    let only = |a: &[(String, String)], b: &[(String, String)]| -> Vec<_> {
        a.iter().filter(|row| !b.contains(row)).take(5).cloned().collect()
    };
    let differences = (only(&given, &expected), only(&expected, &given));
    assert!(given == expected, "{when}: only in model_access_review, only by waiting(): {differences:?}");
}
