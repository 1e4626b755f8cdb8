//! The difference between what is known and what is listed, and what is to be written of it.

use crate::document::{self, Catalogue, Unusable};
use crate::entry::{Limits, Model, Reading};
use crate::guard;
use crate::lifecycle::{self, Change};
use crate::problem::Problem;
use crate::state::{Row, State, Status};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{HashMap, HashSet};

/// Unusable entries that a run row names; more are counted.
const MAX_UNUSABLE_NAMED: usize = 100;

/// How a run ended. `skipped` is decided before there is a plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// Everything the list says was written.
    Applied,
    /// There was nothing to write.
    Unchanged,
    /// Rows were added and refreshed; removals were withheld, or the list is known to be incomplete.
    Held,
    /// There was no usable list; nothing is written.
    Failed,
}

/// What a run writes: the argument of `model_access_apply`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// How the run ends when this is applied.
    pub outcome: Outcome,
    /// The moment that new rows carry.
    pub at: Timestamp,
    /// Usable entries in the list.
    pub listed: usize,
    /// Rows that are new.
    pub added: usize,
    /// Rows whose upstream values moved.
    pub changed: usize,
    /// Rows that become missing.
    pub missing: usize,
    /// Rows that were missing and are listed again.
    pub returned: usize,
    /// Rows that leave the free tier because they stopped being free.
    pub free_revoked: usize,
    /// Rows that would become missing, but are left alone.
    pub withheld: usize,
    /// Which ones, for a preview.
    pub withheld_models: Vec<String>,
    /// Entries that could not be used, the first hundred.
    pub unusable: Vec<Unusable>,
    /// Why the run failed or removals were withheld.
    pub problem: Option<Problem>,
    /// New rows.
    pub insert: Vec<Model>,
    /// Changes to known rows, in id order.
    pub update: Vec<Change>,
}

impl Plan {
    /// The plan of a run that has no usable list.
    #[must_use]
    pub fn failed(at: Timestamp, problem: Problem) -> Self {
        Self {
            outcome: Outcome::Failed,
            at,
            listed: 0,
            added: 0,
            changed: 0,
            missing: 0,
            returned: 0,
            free_revoked: 0,
            withheld: 0,
            withheld_models: Vec::new(),
            unusable: Vec::new(),
            problem: Some(problem),
            insert: Vec::new(),
            update: Vec::new(),
        }
    }
}

/// Plans one run from a document as it came and what `_model_access_state()` gave. `poll` is called between
/// entries.
///
/// # Errors
/// A state that is not of the form of [`State`]; a document that is no catalogue gives a failed plan.
pub fn from_json(
    document: &[u8],
    state: &str,
    max_removals: Option<u32>,
    limits: Limits,
    poll: &dyn Fn(),
) -> serde_json::Result<Plan> {
    let state: State = serde_json::from_str(state)?;
    let reading = Reading { ignored_keys: state.settings.ignored_keys.clone(), limits };
    Ok(match document::parse(document, &reading, poll) {
        Ok(catalogue) => plan(&state, catalogue, max_removals),
        Err(problem) => Plan::failed(state.now, problem),
    })
}

/// Plans one run. `max_removals` lets up to that many removals through, whatever the guard says, once.
#[must_use]
pub fn plan(state: &State, catalogue: Catalogue, max_removals: Option<u32>) -> Plan {
    let removals = removals(state, &catalogue);
    let unusable = named(&catalogue);
    let doubts = guard::Doubts::of(&catalogue);
    let known: HashMap<&str, &Row> = state.rows.iter().map(|row| (row.model_id.as_str(), row)).collect();
    let listed = catalogue.models.len();
    let mut insert = Vec::new();
    let mut update = Vec::new();
    let mut returned = 0;
    // as they are once the list is written but for the removals, so that a second run finds the same
    let mut total = guard::Total { listed: removals.len(), active: guard::active(&removals) };
    for model in catalogue.models {
        total.listed += 1;
        let Some(row) = known.get(model.model_id.as_str()) else {
            insert.push(model);
            continue;
        };
        let change = lifecycle::listed(row, model, &state.settings, state.now);
        let status = change.as_ref().and_then(|change| change.status).unwrap_or(row.status);
        total.active += usize::from(status == Status::Active);
        returned += usize::from(row.missing_since.is_some());
        update.extend(change);
    }

    let verdict = guard::judge(&removals, &total, &doubts, &state.settings, max_removals);
    let (gone, withheld) = removals.split_at(if verdict.withhold { 0 } else { removals.len() });
    let withheld_models: Vec<String> = withheld.iter().map(|row| row.model_id.clone()).collect();
    update.extend(gone.iter().filter_map(|row| lifecycle::unlisted(row, state.now)));
    update.sort_by(|a, b| a.model_id.cmp(&b.model_id));

    let outcome = match (verdict.withhold, insert.is_empty() && update.is_empty()) {
        (true, _) => Outcome::Held,
        (false, true) => Outcome::Unchanged,
        (false, false) => Outcome::Applied,
    };
    Plan {
        outcome,
        at: state.now,
        listed,
        added: insert.len(),
        changed: update.iter().filter(|change| change.columns.is_some()).count(),
        missing: gone.len(),
        returned,
        free_revoked: update.iter().filter(|change| change.free_revoked_at.is_some()).count(),
        withheld: withheld_models.len(),
        withheld_models,
        unusable,
        problem: verdict.problem,
        insert,
        update,
    }
}

/// The rows that were listed and are not any more. An entry that cannot be used counts as seen.
fn removals<'a>(state: &'a State, catalogue: &Catalogue) -> Vec<&'a Row> {
    let usable = catalogue.models.iter().map(|model| model.model_id.as_str());
    let unusable = catalogue.unusable.iter().filter_map(|entry| entry.id.as_deref());
    let seen: HashSet<&str> = usable.chain(unusable).collect();
    state
        .rows
        .iter()
        .filter(|row| row.missing_since.is_none() && !seen.contains(row.model_id.as_str()))
        .collect()
}

fn named(catalogue: &Catalogue) -> Vec<Unusable> {
    let mut named: Vec<Unusable> = catalogue.unusable.iter().take(MAX_UNUSABLE_NAMED).cloned().collect();
    let more = catalogue.unusable.len() - named.len();
    if more > 0 {
        named.push(Unusable { id: None, reason: format!("and {more} more") });
    }
    named
}
