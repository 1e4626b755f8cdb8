//! Decides which removals and withdrawals a list may cause, so that a wrong list does not take many models from users.

use crate::document::Catalogue;
use crate::lifecycle::{Change, Taking};
use crate::problem::{Problem, code};
use crate::state::{FREE, Row, State, Status};
use jiff::{SignedDuration, Timestamp};

/// Up to this many removals of models that are not active are allowed, whatever their share is.
const ALWAYS_LISTED: usize = 10;
/// Up to this many models may be taken from users, whatever their share is.
const ALWAYS_TAKEN: usize = 2;
/// What syncs take from users within this time is counted together.
const TAKEN_WITHIN: SignedDuration = SignedDuration::from_hours(24);
/// What complete lists agree on for at least this many days, and for at least `FACT_AGE`, is a fact: it is not withheld.
const FACT_DAYS: usize = 3;
/// See `FACT_DAYS`.
const FACT_AGE: SignedDuration = SignedDuration::from_hours(48);

/// Reasons in the list itself to doubt what it would take away.
#[derive(Debug, Clone)]
pub struct Doubts {
    /// A message and a hint, if the list says that it is not complete.
    incomplete: Option<(String, String)>,
    /// The number of entries without a readable id. Any missing model could be one of them.
    unidentified: usize,
    /// The number of entries that cannot be used, or whose price can no longer be read.
    unusable: usize,
    /// The number of entries that arrived.
    arrived: usize,
}

impl Doubts {
    /// The doubts about a catalogue.
    #[must_use]
    pub fn of(catalogue: &Catalogue) -> Self {
        let unidentified = catalogue.unusable.iter().filter(|entry| entry.id.is_none()).count();
        Self {
            incomplete: incomplete(catalogue),
            unidentified,
            unusable: catalogue.unusable.len(),
            arrived: catalogue.arrived,
        }
    }

    /// Adds the number of entries whose price can no longer be read.
    #[must_use]
    pub fn with_unreadable_prices(mut self, entries: usize) -> Self {
        self.unusable += entries;
        self
    }

    /// Whether a model that is not in this list is absent.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.incomplete.is_none() && self.unidentified == 0
    }

    /// A message and a hint, if the share of unusable entries is above `max_removal_percent`.
    fn unreadable(&self, percent: f64) -> Option<(String, String)> {
        (self.unusable as f64 * 100.0 > percent * self.arrived as f64).then(|| {
            (
                format!(
                    "{} of {} entries of the list cannot be used (max_removal_percent is {percent})",
                    self.unusable, self.arrived
                ),
                "Read column unusable of the run row. The upstream may have changed the form of its list."
                    .into(),
            )
        })
    }
}

/// What one run would take away if nothing were withheld.
#[derive(Debug, Clone, Default)]
pub struct Case<'a> {
    /// The rows that were listed and are not in the catalogue.
    pub removals: Vec<&'a Row>,
    /// The active rows that would lose something because of their price.
    pub takings: Vec<(&'a Row, Taking)>,
    /// Every row as it will be after this run without the removals and takings above. A second run on the same list
    /// then finds the same.
    pub standing: Vec<Standing>,
    /// The number of new rows: the shares are of all rows that are listed once this list is written.
    pub added: usize,
}

/// The columns of a row that say what users have of its model.
#[derive(Debug, Clone)]
pub struct Standing {
    status: Status,
    tiers: Vec<String>,
    missing_since: Option<Timestamp>,
    status_before_missing: Option<Status>,
    free_revoked_at: Option<Timestamp>,
    price_guarded_at: Option<Timestamp>,
}

impl Standing {
    /// The standing of a row after a change.
    #[must_use]
    pub fn after(row: &Row, change: &Change) -> Self {
        Self {
            status: change.status.unwrap_or(row.status),
            tiers: change.tiers.as_ref().unwrap_or(&row.tiers).clone(),
            missing_since: change.missing_since.unwrap_or(row.missing_since),
            status_before_missing: change.status_before_missing.unwrap_or(row.status_before_missing),
            free_revoked_at: change.free_revoked_at.unwrap_or(row.free_revoked_at),
            price_guarded_at: change.price_guarded_at.unwrap_or(row.price_guarded_at),
        }
    }

    fn is_listed(&self) -> bool {
        self.missing_since.is_none()
    }

    fn is_active(&self) -> bool {
        self.status == Status::Active && self.is_listed()
    }

    /// Whether a sync took the model from users within the last day, and it has not come back.
    fn is_gone(&self, now: Timestamp) -> bool {
        self.has_left(now) || within_a_day(self.price_guarded_at, now)
    }

    /// Whether the model left the list within the last day while it was active.
    fn has_left(&self, now: Timestamp) -> bool {
        self.status_before_missing == Some(Status::Active) && within_a_day(self.missing_since, now)
    }

    /// Whether a sync took an active model out of the free tier within the last day.
    fn is_out_of_free(&self, now: Timestamp) -> bool {
        self.is_active() && within_a_day(self.free_revoked_at, now)
    }
}

fn within_a_day(at: Option<Timestamp>, now: Timestamp) -> bool {
    at.is_some_and(|at| now.duration_since(at) < TAKEN_WITHIN)
}

/// What the guard decided.
#[derive(Debug, Default)]
pub struct Verdict<'a> {
    /// The removals that are withheld.
    pub removals: Vec<&'a Row>,
    /// The rows that keep what their price would take.
    pub takings: Vec<&'a Row>,
    /// Whether the outcome is `held`, which it can be even if nothing is withheld.
    pub held: bool,
    /// Why something is withheld, or what is wrong with the list.
    pub problem: Option<Problem>,
}

/// Judges what a run would take away. If the caller gives `max_removals`, it alone decides in this run whether anything
/// is withheld.
#[must_use]
pub fn judge<'a>(case: &Case<'a>, doubts: &Doubts, state: &State, max_removals: Option<u32>) -> Verdict<'a> {
    let percent = state.settings.max_removal_percent;
    let unreadable = doubts.unreadable(percent);
    let mut verdict = Verdict { held: unreadable.is_some(), ..Verdict::default() };
    let mut reasons: Vec<(String, String)> =
        doubts.incomplete.clone().into_iter().chain(unreadable).collect();
    if let Some(max) = max_removals {
        let count = case.removals.len() + case.takings.len();
        if count > max as usize {
            verdict.removals.clone_from(&case.removals);
            verdict.takings = case.takings.iter().map(|(row, _)| *row).collect();
            reasons.insert(
                0,
                (
                    format!("the list would take away {}, but max_removals is {max}", models(count)),
                    format!(
                        "Check which models the list would take away. If it is right, run the sync once with \
                         max_removals => {count}."
                    ),
                ),
            );
        }
    } else if doubts.is_complete() && reasons.is_empty() {
        withhold_too_many(case, state, &mut verdict, &mut reasons);
    } else {
        verdict.held |= doubts.incomplete.is_some();
        verdict.removals.clone_from(&case.removals);
        if doubts.unidentified > 0 && !case.removals.is_empty() {
            reasons.push(unidentified(case, doubts.unidentified));
        }
        let prices = Case { removals: Vec::new(), ..case.clone() };
        withhold_too_many(&prices, state, &mut verdict, &mut reasons);
    }
    verdict.held |= !verdict.removals.is_empty() || !verdict.takings.is_empty();
    verdict.problem = problem(reasons, &verdict);
    verdict
}

fn problem(reasons: Vec<(String, String)>, verdict: &Verdict) -> Option<Problem> {
    let (mut messages, mut hints): (Vec<_>, Vec<_>) = reasons.into_iter().unzip();
    hints.dedup();
    if messages.is_empty() {
        return None;
    }
    messages.extend(withheld(verdict));
    Some(Problem::new(code::WITHHELD, messages.join("; ")).hint(hints.join(" ")))
}

/// A sentence that says what is withheld, unless the run is not held.
fn withheld(verdict: &Verdict) -> Option<String> {
    let (removals, takings) = (models(verdict.removals.len()), models(verdict.takings.len()));
    match (verdict.removals.is_empty(), verdict.takings.is_empty()) {
        (true, true) => verdict.held.then(|| "nothing had to be withheld".into()),
        (false, true) => Some(format!("the removal of {removals} is withheld")),
        (true, false) => Some(format!("the loss of the free tier or the approval for {takings} is withheld")),
        (false, false) => Some(format!(
            "the removal of {removals} and the loss of the free tier or the approval for {takings} are withheld"
        )),
    }
}

fn models(count: usize) -> String {
    if count == 1 { "1 model".into() } else { format!("{count} models") }
}

/// A message and a hint, if the list says that it is not complete.
fn incomplete(catalogue: &Catalogue) -> Option<(String, String)> {
    if let Some(next) = &catalogue.next {
        return Some((
            format!("the list is incomplete: the upstream says that it continues at {next}"),
            "Raise the parameter limit in the URL until one response has the complete list.".into(),
        ));
    }
    let total = catalogue.total_count.filter(|total| *total != catalogue.arrived as u64)?;
    Some((
        format!(
            "the list is incomplete: the upstream counts {total} models, but {} arrived",
            catalogue.arrived
        ),
        "Run the sync again later. If the list is right, run the sync once with max_removals.".into(),
    ))
}

fn unidentified(case: &Case, entries: usize) -> (String, String) {
    let count = case.removals.len() + case.takings.len();
    (
        format!(
            "{} left the list, but may be among the entries without a readable id ({entries})",
            models(case.removals.len())
        ),
        format!(
            "Read column unusable of the run row. If the list is right, run the sync once with max_removals => \
             {count}."
        ),
    )
}

/// Whether complete lists have said the same for long enough since `since`.
fn is_fact(since: Option<Timestamp>, state: &State) -> bool {
    since.is_some_and(|since| {
        state.days_until_now(since) >= FACT_DAYS && state.now.duration_since(since) >= FACT_AGE
    })
}

fn withhold_too_many<'a>(
    case: &Case<'a>,
    state: &State,
    verdict: &mut Verdict<'a>,
    reasons: &mut Vec<(String, String)>,
) {
    let percent = state.settings.max_removal_percent;
    let exceeds =
        |taken: usize, of: usize, always: usize| taken > always && taken as f64 * 100.0 > percent * of as f64;
    // a fact is never withheld, but it counts when the others are judged
    let is_open = |row: &&Row| !row.absence_confirmed && !is_fact(row.absent_since, state);
    let (leaving, others): (Vec<&Row>, Vec<&Row>) =
        case.removals.iter().copied().partition(|row| row.status == Status::Active);
    let others: Vec<&Row> = others.into_iter().filter(is_open).collect();
    let open: Vec<&Row> = leaving.iter().copied().filter(is_open).collect();
    let takings = case.takings.iter().map(|(row, _)| *row);
    let takings: Vec<&Row> = takings.filter(|row| !is_fact(row.price_withheld_since, state)).collect();

    let listed = case.added + case.standing.iter().filter(|standing| standing.is_listed()).count();
    if exceeds(others.len(), listed, ALWAYS_LISTED) {
        let message = format!(
            "{} that are not active left the list of {} (max_removal_percent is {percent})",
            models(others.len()),
            models(listed)
        );
        reasons.push((message, let_through(case)));
        verdict.removals.extend(&others);
    }

    let gone = case.standing.iter().filter(|standing| standing.is_gone(state.now)).count();
    let out_of_free = case.standing.iter().filter(|standing| standing.is_out_of_free(state.now)).count();
    let active = gone + case.standing.iter().filter(|standing| standing.is_active()).count();
    // these would be counted twice
    let twice = leaving
        .iter()
        .chain(&case.takings.iter().map(|(row, _)| *row).collect::<Vec<_>>())
        .filter(|row| within_a_day(row.free_revoked_at, state.now))
        .count();
    let taken = gone + out_of_free + leaving.len() + case.takings.len() - twice;
    if exceeds(taken, active, ALWAYS_TAKEN) && open.len() + takings.len() > 0 {
        let message = format!(
            "{taken} of {active} active models would be taken from users within 24 hours, {} now because they left \
             the list and {} because of their price (max_removal_percent is {percent})",
            leaving.len(),
            case.takings.len()
        );
        reasons.push((message, let_through(case)));
        verdict.removals.extend(open);
        verdict.takings = takings;
        return;
    }
    for tier in &state.tiers {
        if withhold_last_of_a_tier(case, tier, &open, state, verdict) {
            let message = format!("the last active models with the flag of tier {tier} left the list");
            reasons.push((message, let_through(case)));
        }
    }
}

/// Withholds the removal of the last active models of a tier, if they are two or more. A loss because of a price is not
/// withheld here: the model costs money while it waits.
fn withhold_last_of_a_tier<'a>(
    case: &Case<'a>,
    tier: &str,
    open: &[&'a Row],
    state: &State,
    verdict: &mut Verdict<'a>,
) -> bool {
    let flagged = |standing: &&Standing| standing.tiers.iter().any(|other| other == tier);
    let standing = || case.standing.iter().filter(flagged);
    let active = standing().filter(|standing| standing.is_active()).count();
    let gone = standing().filter(|standing| standing.has_left(state.now)).count();
    let removed = case.removals.iter().filter(|row| row.status == Status::Active && row.is_in(tier)).count();
    let taken = case
        .takings
        .iter()
        .filter(|(row, taking)| row.is_in(tier) && (taking.approval || tier == FREE))
        .count();
    let going: Vec<&Row> = open.iter().copied().filter(|row| row.is_in(tier)).collect();
    if going.is_empty() || removed + gone < 2 || active > removed + taken {
        return false;
    }
    for row in going {
        if !verdict.removals.iter().any(|other| other.model_id == row.model_id) {
            verdict.removals.push(row);
        }
    }
    true
}

/// A hint that says how the admin can apply what is withheld.
fn let_through(case: &Case) -> String {
    let count = case.removals.len() + case.takings.len();
    format!(
        "If the list is right, run the sync once with max_removals => {count}, the number of all models that it takes \
         away, or wait until complete lists have said the same for three days."
    )
}
