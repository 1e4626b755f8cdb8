//! From a document and the state of the table to a plan: JSON in, JSON out.

use catalog::plan::from_json;
use pgrx::prelude::*;

/// The plan for `document` on `state` (what `_model_access_state()` gives).
#[pg_extern(immutable, parallel_safe)]
fn _model_access_plan(
    document: &[u8],
    state: &str,
    max_removals: Option<i32>,
) -> Result<pgrx::JsonB, serde_json::Error> {
    let max_removals = max_removals.map(i32::unsigned_abs);
    serde_json::to_value(from_json(document, state, max_removals)?).map(pgrx::JsonB)
}
