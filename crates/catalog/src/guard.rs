//! What a list may take from users: absence in one response is an observation, not a fact, and no night empties a tier.

use crate::document::Catalogue;
use crate::lifecycle::{Change, Taking};
use crate::problem::{Problem, code};
use crate::state::{FREE, Row, State, Status};
use jiff::{SignedDuration, Timestamp};

/// Removals of models that are not active pass up to this many, whatever the share.
const ALWAYS_LISTED: usize = 10;
/// Withdrawals pass up to this many, whatever the share.
const ALWAYS_WITHDRAWN: usize = 2;
/// For how long withdrawals count.
const WITHDRAWN_WITHIN: SignedDuration = SignedDuration::from_hours(24);
/// What complete lists have said on this many days, and over this long, is a fact.
const FACT_DAYS: usize = 3;
const FACT_AGE: SignedDuration = SignedDuration::from_hours(48);

/// What a list says of itself that speaks against what it takes.
#[derive(Debug, Clone)]
pub struct Doubts {
    /// A message and a hint, if it says that it is not the whole list.
    incomplete: Option<(String, String)>,
    /// Entries without a readable id: any missing row could be one of them.
    unidentified: usize,
    /// Entries that cannot be used, or whose price cannot be read any more.
    unusable: usize,
    /// Entries that arrived.
    arrived: usize,
}

impl Doubts {
    /// Reads them off a catalogue.
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

    /// Counts entries whose price cannot be read any more.
    #[must_use]
    pub fn with_unreadable_prices(mut self, entries: usize) -> Self {
        self.unusable += entries;
        self
    }

    /// Whether what this list lacks is not there.
    #[must_use]
    pub fn is_complete(&self) -> bool {
        self.incomplete.is_none() && self.unidentified == 0
    }

    /// A message and a hint, if more entries are unusable than models may go.
    fn unreadable(&self, percent: f64) -> Option<(String, String)> {
        (self.unusable as f64 * 100.0 > percent * self.arrived as f64).then(|| {
            (
                format!(
                    "{} of {} entries cannot be used; max_removal_percent is {percent}",
                    self.unusable, self.arrived
                ),
                "Look at unusable in the run row: the upstream may have changed the form of its list.".into(),
            )
        })
    }
}

/// What one run would take away.
#[derive(Debug, Clone, Default)]
pub struct Case<'a> {
    /// Rows that were listed and are not in the catalogue.
    pub removals: Vec<&'a Row>,
    /// Active rows that lose something by their price.
    pub takings: Vec<(&'a Row, Taking)>,
    /// Every row once the list is written but for these, so that a second run finds the same.
    pub standing: Vec<Standing>,
}

/// Where a model stands with users.
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
    /// Of a row once a change is written.
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

    /// Whether a sync has taken the model from users within a day, and it has not come back.
    fn is_gone(&self, now: Timestamp) -> bool {
        self.has_left(now) || within_a_day(self.price_guarded_at, now)
    }

    fn has_left(&self, now: Timestamp) -> bool {
        self.status_before_missing == Some(Status::Active) && within_a_day(self.missing_since, now)
    }

    /// The same of its place in the free tier.
    fn is_out_of_free(&self, now: Timestamp) -> bool {
        self.is_active() && within_a_day(self.free_revoked_at, now)
    }
}

fn within_a_day(at: Option<Timestamp>, now: Timestamp) -> bool {
    at.is_some_and(|at| now.duration_since(at) < WITHDRAWN_WITHIN)
}

/// What is to become of it.
#[derive(Debug, Default)]
pub struct Verdict<'a> {
    /// Removals that are withheld.
    pub removals: Vec<&'a Row>,
    /// Takings that are withheld.
    pub takings: Vec<&'a Row>,
    /// Whether the run is held, also with nothing to withhold.
    pub held: bool,
    /// Why, or what is wrong with the list all the same.
    pub problem: Option<Problem>,
}

/// Judges what a run would take away. `max_removals` is the caller's word for this one run: it decides in place of every
/// other reason.
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
                    format!("{count} models would go, max_removals is {max}"),
                    "Look at what would go; a larger max_removals lets it through, once.".into(),
                ),
            );
        }
    } else if doubts.is_complete() && reasons.is_empty() {
        withhold_too_many(case, state, &mut verdict, &mut reasons);
    } else {
        verdict.held |= doubts.incomplete.is_some();
        verdict.removals.clone_from(&case.removals);
        if doubts.unidentified > 0 && !case.removals.is_empty() {
            reasons.push(unidentified(case.removals.len(), doubts.unidentified));
        }
        let prices = Case { removals: Vec::new(), ..case.clone() };
        withhold_too_many(&prices, state, &mut verdict, &mut reasons);
    }
    verdict.held |= !verdict.removals.is_empty() || !verdict.takings.is_empty();
    verdict.problem = problem(reasons, verdict.held);
    verdict
}

fn problem(reasons: Vec<(String, String)>, held: bool) -> Option<Problem> {
    let (mut messages, mut hints): (Vec<_>, Vec<_>) = reasons.into_iter().unzip();
    hints.dedup();
    if messages.is_empty() {
        return None;
    }
    if held {
        messages.push("what the list would take away is withheld".into());
    }
    Some(Problem::new(code::WITHHELD, messages.join("; ")).hint(hints.join(" ")))
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

fn unidentified(removals: usize, entries: usize) -> (String, String) {
    (
        format!("{removals} models left the list, and {entries} entries have no readable id"),
        "Look at unusable in the run row; max_removals lets that many removals through, once.".into(),
    )
}

/// What complete lists have said long enough is a fact.
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
    // what is a fact passes, but counts for what is none
    let is_open = |row: &&Row| !row.absence_confirmed && !is_fact(row.absent_since, state);
    let (leaving, others): (Vec<&Row>, Vec<&Row>) =
        case.removals.iter().copied().partition(|row| row.status == Status::Active);
    let others: Vec<&Row> = others.into_iter().filter(is_open).collect();
    let open: Vec<&Row> = leaving.iter().copied().filter(is_open).collect();
    let takings = case.takings.iter().map(|(row, _)| *row);
    let takings: Vec<&Row> = takings.filter(|row| !is_fact(row.price_withheld_since, state)).collect();

    let listed = case.standing.iter().filter(|standing| standing.is_listed()).count();
    if exceeds(others.len(), listed, ALWAYS_LISTED) {
        let message = format!(
            "{} of {listed} listed models left the list that are not active; max_removal_percent is {percent}",
            others.len()
        );
        reasons.push((message, let_through(case)));
        verdict.removals.extend(&others);
    }

    let gone = case.standing.iter().filter(|standing| standing.is_gone(state.now)).count();
    let out_of_free = case.standing.iter().filter(|standing| standing.is_out_of_free(state.now)).count();
    let active = gone + case.standing.iter().filter(|standing| standing.is_active()).count();
    // each model once
    let twice = leaving
        .iter()
        .chain(&case.takings.iter().map(|(row, _)| *row).collect::<Vec<_>>())
        .filter(|row| within_a_day(row.free_revoked_at, state.now))
        .count();
    let withdrawn = gone + out_of_free + leaving.len() + case.takings.len() - twice;
    if exceeds(withdrawn, active, ALWAYS_WITHDRAWN) && open.len() + takings.len() > 0 {
        let message = format!(
            "{withdrawn} of {active} active models would be taken from users within 24 hours, {} now by leaving the \
             list and {} by their price; max_removal_percent is {percent}",
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
            let message = format!("the models that left the list were the last with the flag of tier {tier}");
            reasons.push((message, let_through(case)));
        }
    }
}

/// Two or more models that leave a tier with none; one alone may go, and a price is never waited for.
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

fn let_through(case: &Case) -> String {
    let count = case.removals.len() + case.takings.len();
    format!(
        "If that is right, max_removals => {count} lets it through, once; three days of complete lists do, too."
    )
}
