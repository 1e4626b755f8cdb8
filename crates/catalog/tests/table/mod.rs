//! The table model_access, as the database has it.

#![allow(dead_code)] // each test uses only a part of this file

use catalog::lifecycle::Change;
use catalog::plan::Plan;
use catalog::state::{FREE, Row, Settings, State, Status};
use jiff::Timestamp;
use jiff::civil::Date;
use serde_json::json;
use std::collections::BTreeMap;

/// Every tier, lowest first.
const TIERS: [&str; 3] = ["free", "pro", "enterprise"];

/// The rows, and the days of the run log.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Table {
    /// The rows by id.
    pub rows: BTreeMap<String, Row>,
    complete_days: Vec<Date>,
}

fn new_row(model_id: &str) -> Row {
    serde_json::from_value(json!({
        "model_id": model_id, "status": "new", "tiers": [],
        "fingerprint": null, "entry_hash": null, "missing_since": null, "status_before_missing": null,
        "highest_prices": null, "is_reviewed": null, "reviewed_highest_prices": null, "absent_since": null,
        "absence_confirmed": false, "price_unreadable_since": null, "price_withheld_since": null, "free_revoked_at": null, "price_guarded_at": null}))
    .unwrap()
}

impl Table {
    pub fn state(&self, now: Timestamp, settings: &Settings) -> State {
        State {
            now,
            settings: settings.clone(),
            tiers: TIERS.map(String::from).to_vec(),
            complete_days: self.complete_days.clone(),
            rows_version: String::new(),
            rows: self.rows.values().cloned().collect(),
            has_complete_list: false,
        }
    }

    pub fn apply(&mut self, plan: &Plan) {
        for model in &plan.insert {
            let mut row = new_row(&model.model_id);
            row.fingerprint = Some(model.columns.fingerprint.clone());
            row.entry_hash = Some(model.columns.entry_hash.clone());
            row.highest_prices = model.columns.price.as_ref().unwrap().highest();
            assert!(self.rows.insert(model.model_id.clone(), row).is_none(), "inserted twice");
        }
        for change in &plan.update {
            write(self.rows.get_mut(&change.model_id).expect("an update of an unknown row"), change);
        }
        let today = jiff::tz::TimeZone::UTC.to_datetime(plan.at).date();
        if plan.complete && self.complete_days.last() != Some(&today) {
            self.complete_days.push(today);
        }
    }

    /// Writes a decision as the trigger does.
    pub fn decide(&mut self, model_id: &str, status: Option<Status>, flags: Option<[bool; 3]>) {
        let Some(row) = self.rows.get_mut(model_id) else { return };
        if status.is_some_and(|status| status != row.status) {
            row.status_before_missing = None;
        }
        row.status = status.unwrap_or(row.status);
        if let Some(flags) = flags {
            let flagged = TIERS.into_iter().zip(flags).filter(|(_, is_in)| *is_in);
            row.tiers = flagged.map(|(tier, _)| tier.to_owned()).collect();
        }
        row.is_reviewed = true;
        row.reviewed_highest_prices = row.highest_prices.clone();
        (row.free_revoked_at, row.price_guarded_at) = (None, None);
    }

    pub fn decisions(&self) -> Vec<(&str, Status, &[String])> {
        self.rows.iter().map(|(id, row)| (id.as_str(), row.status, row.tiers.as_slice())).collect()
    }
}

fn write(row: &mut Row, change: &Change) {
    if let Some(columns) = &change.columns {
        row.fingerprint = Some(columns.fingerprint.clone());
        row.entry_hash = Some(columns.entry_hash.clone());
        if let Some(price) = &columns.price {
            row.highest_prices = price.highest();
        }
    }
    row.status = change.status.unwrap_or(row.status);
    let tiers = change.tiers.as_ref().unwrap_or(&row.tiers).clone();
    let is_given_back = |tier: &String| tier == FREE && row.free_revoked_at.is_some();
    assert!(
        tiers.iter().all(|tier| row.is_in(tier) || is_given_back(tier)),
        "a plan adds a tier that no guard took"
    );
    row.tiers = tiers;
    row.missing_since = change.missing_since.unwrap_or(row.missing_since);
    row.status_before_missing = change.status_before_missing.unwrap_or(row.status_before_missing);
    row.free_revoked_at = change.free_revoked_at.unwrap_or(row.free_revoked_at);
    row.price_guarded_at = change.price_guarded_at.unwrap_or(row.price_guarded_at);
    row.absent_since = change.absent_since.unwrap_or(row.absent_since);
    row.price_unreadable_since = change.price_unreadable_since.unwrap_or(row.price_unreadable_since);
    row.price_withheld_since = change.price_withheld_since.unwrap_or(row.price_withheld_since);
}
