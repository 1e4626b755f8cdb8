//! What one run means for one row: the only place where a sync moves an admin's column.

use crate::entry::{Columns, Model};
use crate::price;
use crate::state::{Row, Settings, Status};
use jiff::Timestamp;
use serde::Serialize;
use serde_json::Value;

/// The columns of one row that a run writes; what is absent stays as it is.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
#[allow(missing_docs)] // the SQL COMMENTs say what each column means
pub struct Change {
    pub model_id: String,
    #[serde(flatten)]
    pub columns: Option<Columns>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub changed_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status: Option<Status>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_free: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_pro: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub is_enterprise: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Option<Timestamp>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_before_missing: Option<Option<Status>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returned_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_revoked_at: Option<Timestamp>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tiers_before: Option<Vec<&'static str>>,
}

/// The change to a row whose model is listed, or `None` where nothing is to be written.
#[must_use]
pub fn listed(row: &Row, model: Model, settings: &Settings, now: Timestamp) -> Option<Change> {
    let mut change = Change { model_id: row.model_id.clone(), ..Change::default() };
    let pricing = model.columns.pricing.as_ref().unwrap_or(&Value::Null);
    if let Some(since) = row.missing_since {
        return_to_list(&mut change, row, pricing, since, settings, now);
    }
    guard_free(&mut change, row, pricing, settings, now);
    guard_price(&mut change, row, pricing, settings);
    if row.fingerprint.as_deref() != Some(&model.columns.fingerprint) {
        change.columns = Some(model.columns);
        change.changed_at = Some(now);
    }
    let unchanged = change == Change { model_id: row.model_id.clone(), ..Change::default() };
    (!unchanged).then_some(change)
}

/// The change to a row whose model is not listed, or `None` where nothing is to be written.
#[must_use]
pub fn unlisted(row: &Row, now: Timestamp) -> Option<Change> {
    if row.missing_since.is_some() {
        return None;
    }
    let mut change = Change { model_id: row.model_id.clone(), ..Change::default() };
    change.missing_since = Some(Some(now));
    if matches!(row.status, Status::New | Status::Active) {
        change.status = Some(Status::Inactive);
        change.status_before_missing = Some(Some(row.status));
    }
    Some(change)
}

fn return_to_list(
    change: &mut Change,
    row: &Row,
    pricing: &Value,
    since: Timestamp,
    settings: &Settings,
    now: Timestamp,
) {
    change.missing_since = Some(None);
    let Some(before) = row.status_before_missing else { return };
    change.status_before_missing = Some(None);
    if row.status != Status::Inactive {
        return; // not inactive by vanishing: whatever it is, someone decided it
    }
    let in_time = now.duration_since(since) <= settings.return_window;
    if in_time && !is_above_reviewed(row, pricing, settings.price_alert.as_ref()) {
        change.status = Some(before);
        return;
    }
    change.status = Some(Status::New);
    change.returned_at = Some(now);
    if !in_time {
        let flags = [(row.is_free, "free"), (row.is_pro, "pro"), (row.is_enterprise, "enterprise")];
        let tiers: Vec<_> = flags.into_iter().filter_map(|(set, tier)| set.then_some(tier)).collect();
        if !tiers.is_empty() {
            change.tiers_before = Some(tiers);
        }
        change.is_free = row.is_free.then_some(false);
        change.is_pro = row.is_pro.then_some(false);
        change.is_enterprise = row.is_enterprise.then_some(false);
    }
}

/// A model leaves the free tier when it was free at the review and is not now. One that cost money when
/// it was put there stays.
fn guard_free(change: &mut Change, row: &Row, pricing: &Value, settings: &Settings, now: Timestamp) {
    let in_free_tier = change.is_free.unwrap_or(row.is_free);
    let was_free = row.reviewed_pricing.as_ref().is_some_and(price::is_free);
    if settings.free_guard && in_free_tier && was_free && !price::is_free(pricing) {
        change.is_free = Some(false);
        change.free_revoked_at = Some(now);
    }
}

fn guard_price(change: &mut Change, row: &Row, pricing: &Value, settings: &Settings) {
    let status = change.status.unwrap_or(row.status);
    if status == Status::Active && is_above_reviewed(row, pricing, settings.price_guard.as_ref()) {
        change.status = Some(Status::New);
    }
}

fn is_above_reviewed(row: &Row, pricing: &Value, factor: Option<&bigdecimal::BigDecimal>) -> bool {
    match (factor, &row.reviewed_pricing) {
        (Some(factor), Some(reviewed)) => price::is_above(pricing, reviewed, factor),
        _ => false,
    }
}
