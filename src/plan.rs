//! Plans a run from a document and the state of the table; both the state and the plan are JSON.

use crate::gucs;
use catalog::plan::from_json;
use pgrx::check_for_interrupts;
use pgrx::prelude::*;

/// Plans a run. `state` is the result of `_model_access_state()`.
#[pg_extern(sql = false)]
fn _model_access_plan(
    document: &[u8],
    state: &str,
    max_removals: Option<i32>,
) -> Result<String, serde_json::Error> {
    let max_removals = max_removals.map(i32::unsigned_abs);
    let poll = || {
        check_for_interrupts!();
    };
    from_json(document, state, max_removals, gucs::limits(), &poll)?.to_json()
}
