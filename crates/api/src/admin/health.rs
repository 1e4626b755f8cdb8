//! Health: the checks with what to do, and the last runs.

use super::page::{Frame, Outcome, Visit, show};
use askama::Template;
use serde::Deserialize;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "health.html")]
struct Page {
    frame: Frame,
    checks: Vec<Check>,
    runs: Vec<Run>,
    plot: [Bars; 2],
}

#[derive(Deserialize)]
struct Check {
    check: String,
    ok: bool,
    detail: String,
}

#[derive(Deserialize)]
struct Run {
    run_id: i64,
    started: String,
    outcome: String,
    duration_ms: i64,
    counts: Vec<Option<i64>>,
    changes: i64,
    error: String,
}

impl Check {
    /// What to do about a check that fails.
    fn hint(&self) -> Option<&'static str> {
        Some(match self.check.as_str() {
            "last_success" | "last_run" => "Look at the runs below, and at Next sync.",
            "withheld" => "Next sync shows what is withheld, and lets it through with max_removals.",
            "tiers" => "Approve models of that tier in Review, filter: all models.",
            "profiles" | "tier_column" => "See the page about users in the documentation.",
            "privileges" => "SELECT model_access_repair_privileges() mends what was lost.",
            "review" | "free_revoked" | "expiring" => "Decide in Review.",
            "size" => "The setting log_retention says how long the log is kept.",
            _ => return None,
        })
    }
}

impl Run {
    fn is_good(&self) -> bool {
        matches!(self.outcome.as_str(), "applied" | "unchanged")
    }
}

/// The page.
pub async fn health(visit: Arc<Visit>) -> Outcome {
    let transaction = visit.read().await?;
    let checks = transaction.rows("SELECT * FROM {s}.model_access_health()", &[]).await?;
    let runs: Vec<Run> = transaction
        .rows(
            "SELECT run_id, to_char(started_at, 'YYYY-MM-DD HH24:MI:SS') AS started, outcome, coalesce(duration_ms, 0)::bigint AS duration_ms,
                ARRAY[listed, added, changed, missing, returned, free_revoked, withheld]::bigint[] AS counts,
                coalesce(added + changed + missing + returned, 0) AS changes, coalesce(error, '') AS error
            FROM {s}.model_access_sync_log ORDER BY run_id DESC LIMIT 60",
            &[],
        )
        .await?;
    let frame = visit.frame("Health", &transaction);
    transaction.commit().await?;
    let plot = [bars("ms", 70, &runs, |run| run.duration_ms), bars("changes", 140, &runs, |run| run.changes)];
    show(&Page { frame, checks, runs, plot })
}

/// A row of bars: what they show, the largest value, and the runs with the place and height of their bars.
struct Bars {
    name: &'static str,
    base: i64,
    most: i64,
    bars: Vec<(i64, i64, bool)>,
}

fn bars(name: &'static str, base: i64, runs: &[Run], value: impl Fn(&Run) -> i64) -> Bars {
    let most = runs.iter().map(&value).max().unwrap_or_default().max(1);
    let places = (0..).map(|n| 630 - n * 9);
    let bars = places.zip(runs).map(|(x, run)| (x, (value(run) * 52 / most).max(1), run.is_good())).collect();
    Bars { name, base, most, bars }
}
