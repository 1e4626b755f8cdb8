//! Whether a list may take rows away: absence in one response is an observation, not a fact.

use crate::document::Catalogue;
use crate::problem::{Problem, code};
use crate::state::{Row, Settings, Status};

/// Removals that always pass, whatever the share: of listed rows, and of active ones.
const ALWAYS_LISTED: usize = 10;
const ALWAYS_ACTIVE: usize = 3;

/// What is to become of the removals of one run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Verdict {
    /// Whether they are withheld, all of them.
    pub withhold: bool,
    /// Why, or what is wrong with the list all the same.
    pub problem: Option<Problem>,
}

/// The rows that removals are a share of: listed ones, and active ones among them.
#[derive(Debug, Clone, Copy)]
#[allow(missing_docs)] // that is all
pub struct Total {
    pub listed: usize,
    pub active: usize,
}

/// What a list says of itself that speaks against taking rows away.
#[derive(Debug, Clone)]
pub struct Doubts {
    /// A message and a hint, if it says that it is not the whole list.
    incomplete: Option<(String, String)>,
    /// Entries without a readable id: any missing row could be one of them.
    unidentified: usize,
}

impl Doubts {
    /// Reads them off a catalogue.
    #[must_use]
    pub fn of(catalogue: &Catalogue) -> Self {
        let unidentified = catalogue.unusable.iter().filter(|entry| entry.id.is_none()).count();
        Self { incomplete: incomplete(catalogue), unidentified }
    }
}

/// How many of these rows are active.
#[must_use]
pub fn active(rows: &[&Row]) -> usize {
    rows.iter().filter(|row| row.status == Status::Active).count()
}

/// Judges the removals: rows that were listed and are not in the catalogue.
///
/// A list that is known to be incomplete takes nothing away. `max_removals` is the caller's word for this one
/// run: it decides in place of every other reason.
#[must_use]
pub fn judge(
    removals: &[&Row],
    total: &Total,
    doubts: &Doubts,
    settings: &Settings,
    max_removals: Option<u32>,
) -> Verdict {
    let incomplete = doubts.incomplete.clone();
    match max_removals {
        Some(max) if removals.len() > max as usize => withhold(
            format!("{} models left the list, max_removals is {max}", removals.len()),
            "Look at what is missing; a larger max_removals lets it through, once.",
        ),
        Some(_) => Verdict {
            withhold: false,
            problem: incomplete.map(|(message, hint)| Problem::new(code::WITHHELD, message).hint(hint)),
        },
        None => match incomplete.or_else(|| doubtful(removals, total, doubts.unidentified, settings)) {
            Some((message, hint)) => withhold(message, hint),
            None => Verdict { withhold: false, problem: None },
        },
    }
}

fn withhold(message: String, hint: impl Into<String>) -> Verdict {
    let message = format!("{message}; removals are withheld");
    Verdict { withhold: true, problem: Some(Problem::new(code::WITHHELD, message).hint(hint)) }
}

/// A message and a hint, if the list says itself that it is not the whole list.
fn incomplete(catalogue: &Catalogue) -> Option<(String, String)> {
    if let Some(next) = &catalogue.next {
        return Some((
            format!("the upstream says that more is at {next}"),
            "Raise limit in the URL (model_access.url) until one response holds the whole list.".into(),
        ));
    }
    let total = catalogue.total_count.filter(|total| *total != catalogue.arrived as u64)?;
    Some((
        format!("the upstream counts {total} models, {} arrived", catalogue.arrived),
        "Try again later; max_removals lets that many removals through, once.".into(),
    ))
}

/// A message and a hint, if there are more removals than a day should bring, or they may be none.
fn doubtful(
    removals: &[&Row],
    total: &Total,
    unidentified: usize,
    settings: &Settings,
) -> Option<(String, String)> {
    if unidentified > 0 && !removals.is_empty() {
        return Some((
            format!(
                "{} models left the list, and {unidentified} entries have no readable id",
                removals.len()
            ),
            "Look at unusable in the run row; max_removals lets that many removals through, once.".into(),
        ));
    }
    let percent = settings.max_removal_percent;
    let exceeds = |removed: usize, of: usize, always: usize| {
        removed > always && removed as f64 * 100.0 > percent * of as f64
    };
    let (removed, removed_active) = (removals.len(), active(removals));
    let too_many =
        exceeds(removed, total.listed, ALWAYS_LISTED) || exceeds(removed_active, total.active, ALWAYS_ACTIVE);
    too_many.then(|| {
        (
            format!(
                "{removed} of {} listed models left the list, {removed_active} of {} active ones; \
                 max_removal_percent is {percent}",
                total.listed, total.active
            ),
            format!("If that is right, max_removals => {removed} lets them through, once."),
        )
    })
}
