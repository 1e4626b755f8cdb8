//! Whether a list may take rows away: absence in one response is an observation, not a fact.

use crate::document::Catalogue;
use crate::problem::{Problem, code};
use crate::state::{Row, Settings, Status};

/// Removals that always pass, whatever the share: of listed rows, and of active ones.
const ALWAYS_LISTED: usize = 10;
const ALWAYS_ACTIVE: usize = 3;

/// Why these removals are withheld, or `None` where they may be applied.
///
/// `removals` are rows that were listed and are not in the catalogue. `max_removals` is the caller's
/// word for this one run: it stands in for every other reason.
#[must_use]
pub fn withhold(
    removals: &[&Row],
    rows: &[Row],
    catalogue: &Catalogue,
    settings: &Settings,
    max_removals: Option<u32>,
) -> Option<Problem> {
    if let Some(max) = max_removals {
        return (removals.len() > max as usize).then(|| {
            problem(format!("{} models left the list, max_removals is {max}", removals.len()))
                .hint("Look at what is missing; a larger max_removals lets it through, once.")
        });
    }
    incomplete(catalogue)
        .or_else(|| unidentified(removals, catalogue))
        .or_else(|| too_many(removals, rows, settings))
}

fn problem(message: String) -> Problem {
    Problem::new(code::WITHHELD, format!("{message}; removals are withheld"))
}

fn incomplete(catalogue: &Catalogue) -> Option<Problem> {
    if let Some(next) = &catalogue.next {
        return Some(
            problem(format!("the upstream says that more is at {next}"))
                .hint("Raise limit in the URL (model_access.url) until one response holds the whole list."),
        );
    }
    let total = catalogue.total_count.filter(|total| *total != catalogue.arrived as u64)?;
    Some(
        problem(format!("the upstream counts {total} models, {} arrived", catalogue.arrived))
            .hint("Try again later; max_removals lets that many removals through, once."),
    )
}

/// Any missing row could be an entry whose id cannot be read.
fn unidentified(removals: &[&Row], catalogue: &Catalogue) -> Option<Problem> {
    let unknown = catalogue.unusable.iter().filter(|entry| entry.id.is_none()).count();
    (unknown > 0 && !removals.is_empty()).then(|| {
        problem(format!("{} models left the list, and {unknown} entries have no readable id", removals.len()))
            .hint("Look at unusable in the run row; max_removals lets that many removals through, once.")
    })
}

fn too_many(removals: &[&Row], rows: &[Row], settings: &Settings) -> Option<Problem> {
    let listed: Vec<&Row> = rows.iter().filter(|row| row.missing_since.is_none()).collect();
    let is_active = |row: &&&Row| row.status == Status::Active;
    let active = listed.iter().filter(is_active).count();
    let removed_active = removals.iter().filter(is_active).count();
    let exceeds = |removed: usize, of: usize, always: usize| {
        removed > always && removed as f64 * 100.0 > settings.max_removal_percent * of as f64
    };
    let too_many = exceeds(removals.len(), listed.len(), ALWAYS_LISTED)
        || exceeds(removed_active, active, ALWAYS_ACTIVE);
    too_many.then(|| {
        problem(format!(
            "{} of {} listed models left the list, {removed_active} of {active} active ones; \
             max_removal_percent is {}",
            removals.len(),
            listed.len(),
            settings.max_removal_percent
        ))
        .hint(format!("If that is right, max_removals => {} lets them through, once.", removals.len()))
    })
}
