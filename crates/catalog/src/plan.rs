//! Compares the stored rows with a list and plans what a run writes.

use crate::document::{self, Catalogue, Unusable};
use crate::entry::{Limits, Model, ReadOptions};
use crate::guard;
use crate::lifecycle::{self, Change};
use crate::problem::Problem;
use crate::state::{Row, State, Status};
use jiff::Timestamp;
use serde::Serialize;
use std::collections::{HashMap, HashSet};

/// The maximum number of unusable entries that a run row names. The others are only counted.
const MAX_UNUSABLE_NAMED: usize = 100;

/// How a run ended. A run with outcome `skipped` has no plan.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum Outcome {
    /// All changes were written.
    Applied,
    /// There was nothing to write.
    Unchanged,
    /// Rows were added and refreshed; removals were withheld, or the list is incomplete or largely unusable.
    Held,
    /// There was no usable list, and nothing is written.
    Failed,
}

/// The memory is not sufficient.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OutOfMemory;

/// What a run writes: the argument of `model_access_apply`.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Plan {
    /// The outcome of the run when this plan is written.
    pub outcome: Outcome,
    /// The time of the run, which new rows get.
    pub at: Timestamp,
    /// The version of the rows from which the plan was made, see [`State`].
    pub rows_version: String,
    /// Whether the list is complete, so that a model that it does not have is absent.
    pub complete: bool,
    /// The number of usable entries in the list.
    pub listed: usize,
    /// The number of new rows.
    pub added: usize,
    /// The number of rows whose upstream values change.
    pub changed: usize,
    /// The number of rows that become missing.
    pub missing: usize,
    /// The number of rows that were missing and are listed again.
    pub returned: usize,
    /// The number of rows that leave the free tier because they are no longer free of charge.
    pub free_revoked: usize,
    /// The number of rows that would become missing, or lose something because of their price, but stay as they are.
    pub withheld: usize,
    /// The ids of these rows, for a preview.
    pub withheld_models: Vec<String>,
    /// The first hundred entries that cannot be used.
    pub unusable: Vec<Unusable>,
    /// Why the run failed or withheld removals.
    pub problem: Option<Problem>,
    /// The new rows.
    pub insert: Vec<Model>,
    /// The changes to known rows, in the order of their ids.
    pub update: Vec<Change>,
}

impl Plan {
    /// This plan as the argument of `model_access_apply`.
    ///
    /// # Errors
    /// Never fails, because all keys of a plan are strings.
    pub fn to_json(&self) -> serde_json::Result<String> {
        serde_json::to_string(self)
    }

    /// This plan in lines: first the plan without its rows, then each new row after `+` and each change after `~`. The
    /// receiver parses one row at a time, because the values of all rows would fill the memory. `poll` is called after each
    /// row; the rows before it are dropped by then.
    ///
    /// # Errors
    /// Fails if the memory is not sufficient.
    pub fn into_lines(mut self, poll: &dyn Fn()) -> Result<String, OutOfMemory> {
        let (insert, update) = (std::mem::take(&mut self.insert), std::mem::take(&mut self.update));
        let mut lines = serde_json::to_string(&self).unwrap_or_default();
        let mut add = |kind: char, row: serde_json::Result<String>| {
            let row = row.unwrap_or_default();
            lines.try_reserve(row.len() + 2).map_err(|_| OutOfMemory)?;
            lines.extend(['\n', kind]);
            lines.push_str(&row);
            poll();
            Ok(())
        };
        insert.into_iter().try_for_each(|model| add('+', serde_json::to_string(&model)))?;
        update.into_iter().try_for_each(|change| add('~', serde_json::to_string(&change)))?;
        Ok(lines)
    }

    /// The plan of a run without a usable list.
    #[must_use]
    pub fn failed(state: State, problem: Problem) -> Self {
        Self {
            outcome: Outcome::Failed,
            at: state.now,
            rows_version: state.rows_version,
            complete: false,
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

/// Plans one run from a document and the result of `_model_access_state()`. `poll` is called between entries.
///
/// # Errors
/// Fails if the state is not in the form of [`State`]. For a document that is not a catalogue, the plan says `failed`.
pub fn from_json(
    document: &[u8],
    state: &str,
    max_removals: Option<u32>,
    limits: Limits,
    poll: &dyn Fn(),
) -> serde_json::Result<Plan> {
    Ok(from_document(document, serde_json::from_str(state)?, max_removals, limits, poll))
}

/// Plans one run from a document. Entries that have not changed since they were stored are not read.
pub fn from_document(
    document: &[u8],
    state: State,
    max_removals: Option<u32>,
    limits: Limits,
    poll: &dyn Fn(),
) -> Plan {
    let stored =
        state.rows.iter().filter_map(|row| Some((row.model_id.clone(), row.stored_entry()?.clone())));
    let options =
        ReadOptions { ignored_keys: state.settings.ignored_keys.clone(), limits, stored: stored.collect() };
    match document::parse(document, &options, poll) {
        Ok(catalogue) => plan(state, catalogue, max_removals),
        Err(problem) => Plan::failed(state, problem),
    }
}

/// Plans one run. With `max_removals`, the guard withholds nothing if the run removes or withdraws at most that many
/// models, and everything if it would remove or withdraw more.
#[must_use]
pub fn plan(mut state: State, mut catalogue: Catalogue, max_removals: Option<u32>) -> Plan {
    let doubts = guard::Doubts::of(&catalogue);
    state.has_complete_list = doubts.is_complete();
    let state = &state;
    let listed = catalogue.listed();
    let mut case = guard::Case { removals: removals(state, &catalogue), ..guard::Case::default() };
    let mut models: HashMap<String, Model> = std::mem::take(&mut catalogue.models)
        .into_iter()
        .map(|model| (model.model_id.clone(), model))
        .collect();
    let unusable: HashSet<&str> = catalogue.unusable.iter().filter_map(|entry| entry.id.as_deref()).collect();
    let (mut update, mut unreadable, mut returned) = (Vec::new(), Vec::new(), 0);
    for row in &state.rows {
        let model = models.remove(&row.model_id);
        if model.is_none() && !catalogue.as_stored.contains(&row.model_id) {
            case.standing.push(guard::Standing::after(row, &Change::default()));
            if unusable.contains(row.model_id.as_str()) {
                update.extend(lifecycle::seen(row).map(|change| (row, change)));
            }
            continue;
        }
        let lifecycle::Listed { mut change, taking, keeps_price } = lifecycle::listed(row, model, state);
        returned += usize::from(row.missing_since.is_some());
        if keeps_price {
            let reason = "the price can no longer be read; the last known price is kept".into();
            unreadable.push(Unusable { id: Some(row.model_id.clone()), reason });
        }
        match taking {
            Some(taking) if row.status == Status::Active && row.missing_since.is_none() => {
                case.takings.push((row, taking));
            }
            // the guard only protects models that users have now
            Some(taking) => lifecycle::take(&mut change, row, taking, false, state.now),
            None => {}
        }
        case.standing.push(guard::Standing::after(row, &change));
        // even if nothing else changes, the price may take something from users
        if taking.is_some() || !change.is_empty() {
            update.push((row, change));
        }
    }
    case.added = models.len();
    let doubts = doubts.with_unreadable_prices(unreadable.len());
    let verdict = guard::judge(&case, &doubts, state, max_removals);
    let update = changes(&case, &verdict, update, state);
    let mut insert: Vec<Model> = models.into_values().collect();
    insert.sort_by(|a, b| a.model_id.cmp(&b.model_id));

    let withheld = verdict.removals.iter().chain(&verdict.takings);
    let withheld_models: Vec<String> = withheld.map(|row| row.model_id.clone()).collect();
    let outcome = match (verdict.held, insert.is_empty() && update.is_empty()) {
        (true, _) => Outcome::Held,
        (false, true) => Outcome::Unchanged,
        (false, false) => Outcome::Applied,
    };
    catalogue.unusable.extend(unreadable);
    Plan {
        outcome,
        at: state.now,
        rows_version: state.rows_version.clone(),
        complete: state.has_complete_list,
        listed,
        added: insert.len(),
        changed: update.iter().filter(|change| change.columns.is_some()).count(),
        missing: update.iter().filter(|change| change.missing_since.flatten().is_some()).count(),
        returned,
        free_revoked: update.iter().filter(|change| change.free_revoked_at.flatten().is_some()).count(),
        withheld: withheld_models.len(),
        withheld_models,
        unusable: named(&catalogue),
        problem: verdict.problem,
        insert,
        update,
    }
}

/// The changes to known rows, in the order of their ids.
fn changes(
    case: &guard::Case,
    verdict: &guard::Verdict,
    listed: Vec<(&Row, Change)>,
    state: &State,
) -> Vec<Change> {
    let takings: HashMap<&str, lifecycle::Taking> =
        case.takings.iter().map(|(row, taking)| (row.model_id.as_str(), *taking)).collect();
    let ids = |rows: &[&Row]| rows.iter().map(|row| row.model_id.clone()).collect::<HashSet<_>>();
    let (kept, spared) = (ids(&verdict.removals), ids(&verdict.takings));
    let mut changes: Vec<Change> = listed
        .into_iter()
        .filter_map(|(row, mut change)| {
            if let Some(taking) = takings.get(row.model_id.as_str()) {
                lifecycle::take(&mut change, row, *taking, spared.contains(&row.model_id), state.now);
            }
            change.if_any()
        })
        .collect();
    changes.extend(case.removals.iter().filter_map(|row| match kept.contains(&row.model_id) {
        // an incomplete list does not prove that the model is absent
        true => lifecycle::withheld(row, state.now).filter(|_| state.has_complete_list),
        false => lifecycle::unlisted(row, state.now),
    }));
    changes.sort_by(|a, b| a.model_id.cmp(&b.model_id));
    changes
}

/// The rows whose models were listed and no longer are. An entry that cannot be used counts as listed.
fn removals<'a>(state: &'a State, catalogue: &Catalogue) -> Vec<&'a Row> {
    let read = catalogue.models.iter().map(|model| model.model_id.as_str());
    let unusable = catalogue.unusable.iter().filter_map(|entry| entry.id.as_deref());
    let others: HashSet<&str> = read.chain(unusable).collect();
    let is_seen = |id: &str| catalogue.as_stored.contains(id) || others.contains(id);
    state.rows.iter().filter(|row| row.missing_since.is_none() && !is_seen(&row.model_id)).collect()
}

fn named(catalogue: &Catalogue) -> Vec<Unusable> {
    let mut named: Vec<Unusable> = catalogue.unusable.iter().take(MAX_UNUSABLE_NAMED).cloned().collect();
    let more = catalogue.unusable.len() - named.len();
    if more > 0 {
        named.push(Unusable { id: None, reason: format!("and {more} more") });
    }
    named
}
