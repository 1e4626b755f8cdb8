//! From a document and the state of the table to a plan: JSON in, JSON out.

use catalog::plan::{Plan, plan};
use catalog::state::State;
use pgrx::prelude::*;

/// The plan for `document` on `state` (what `_model_access_state()` gives).
#[pg_extern(immutable, parallel_safe)]
fn _model_access_plan(
    document: &[u8],
    state: &str,
    max_removals: Option<i32>,
) -> Result<pgrx::JsonB, serde_json::Error> {
    let state: State = serde_json::from_str(state)?;
    let max_removals = max_removals.map(|max| u32::try_from(max).unwrap_or(0));
    let plan = match catalog::document::parse(document) {
        Ok(catalogue) => plan(&state, catalogue, max_removals),
        Err(problem) => Plan::failed(state.now, problem),
    };
    serde_json::to_value(plan).map(pgrx::JsonB)
}
