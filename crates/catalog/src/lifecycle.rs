//! What one run changes in one row. No other code of a sync changes a column that belongs to the admin.

use crate::entry::{Columns, Model};
use crate::price::Prices;
use crate::state::{FREE, Row, State, Status};
use bigdecimal::BigDecimal;
use jiff::Timestamp;
use serde::Serialize;

/// The columns of one row that a run writes. A column that is `None` here stays as it is.
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
    /// All tiers of the row after this change.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tiers: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub missing_since: Option<Option<Timestamp>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub status_before_missing: Option<Option<Status>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub returned_at: Option<Option<Timestamp>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub free_revoked_at: Option<Option<Timestamp>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub tiers_before: Option<Vec<String>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absent_since: Option<Option<Timestamp>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub absence_confirmed: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_unreadable_since: Option<Option<Timestamp>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_withheld_since: Option<Option<Timestamp>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub price_guarded_at: Option<Option<Timestamp>>,
}

impl Change {
    /// An empty change.
    #[must_use]
    pub fn of(row: &Row) -> Self {
        Self { model_id: row.model_id.clone(), ..Self::default() }
    }

    /// Whether it changes nothing.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        *self == Self { model_id: self.model_id.clone(), ..Self::default() }
    }

    /// The change, or `None` if it is empty.
    #[must_use]
    pub fn if_any(self) -> Option<Self> {
        (!self.is_empty()).then_some(self)
    }
}

/// What a model loses because of its price, unless the guard withholds it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
#[allow(missing_docs)] // the names of the fields say everything
pub struct Taking {
    pub free_tier: bool,
    pub approval: bool,
}

/// What a list changes in a row whose model it has.
#[derive(Debug)]
pub struct Listed {
    /// The change that does not depend on the guard.
    pub change: Change,
    /// What the model loses because of its price.
    pub taking: Option<Taking>,
    /// Whether the price can no longer be read and the stored price is kept.
    pub keeps_price: bool,
}

/// What a list changes in a row whose model it has. `model` is `None` if the entry has not changed since it was stored.
#[must_use]
pub fn listed(row: &Row, model: Option<Model>, state: &State) -> Listed {
    let mut change = Change::of(row);
    let stored = row.highest_prices.as_ref();
    let of_model = model.as_ref().and_then(|model| model.columns.price.as_ref()?.highest());
    let read = if model.is_some() { of_model.as_ref() } else { stored };
    let keeps_price = keep_price(&mut change, row, read, state);
    let prices = if keeps_price { stored } else { read };
    // if the removal was withheld at first, the absence began earlier
    let absent_since = row.missing_since.map(|since| row.absent_since.unwrap_or(since));
    let late = absent_since.is_some_and(|since| state.was_out_of_window(since));
    if row.missing_since.is_some() {
        return_to_list(&mut change, row, prices, late, state);
    }
    if !late {
        give_back(&mut change, row, prices, state);
    }
    let taking = Some(taking(&change, row, prices, state)).filter(|taking| *taking != Taking::default());
    forget_absence(&mut change, row);
    if row.price_withheld_since.is_some() && taking.is_none() {
        change.price_withheld_since = Some(None);
    }
    let given_up = row.price_unreadable_since.is_some() && !keeps_price && prices.is_none();
    let differs = |model: &Model| row.fingerprint.as_ref() != Some(&model.columns.fingerprint);
    if let Some(mut model) = model.filter(|model| given_up || differs(model)) {
        if keeps_price {
            model.columns.price = None;
        }
        change.columns = Some(model.columns);
        change.changed_at = Some(state.now);
    }
    Listed { change, taking, keeps_price }
}

/// A stored price that can no longer be read is kept for `return_window`, because the upstream may correct it. It is
/// not kept if the price was unknown when the model was approved: then it is only unknown again.
fn keep_price(change: &mut Change, row: &Row, read: Option<&Prices>, state: &State) -> bool {
    let was_unknown = row.is_reviewed && row.reviewed_highest_prices.is_none();
    let is_lost = read.is_none() && row.highest_prices.is_some() && !was_unknown;
    let since = row.price_unreadable_since;
    let keeps = is_lost && !since.is_some_and(|since| state.is_out_of_window(since));
    match since {
        None if keeps => change.price_unreadable_since = Some(Some(state.now)),
        Some(_) if !keeps => change.price_unreadable_since = Some(None),
        _ => {}
    }
    keeps
}

/// The change to a row whose model is not listed, or `None` if there is nothing to write.
#[must_use]
pub fn unlisted(row: &Row, now: Timestamp) -> Option<Change> {
    if row.missing_since.is_some() {
        return None;
    }
    let mut change = Change::of(row);
    change.missing_since = Some(Some(now));
    forget_price_hold(&mut change, row);
    if matches!(row.status, Status::New | Status::Active) {
        change.status = Some(Status::Inactive);
        change.status_before_missing = Some(Some(row.status));
    }
    Some(change)
}

/// The change to a row whose removal is withheld, or `None` if there is nothing to write.
#[must_use]
pub fn withheld(row: &Row, now: Timestamp) -> Option<Change> {
    let mut change = Change::of(row);
    if row.absent_since.is_none() {
        change.absent_since = Some(Some(now));
    }
    forget_price_hold(&mut change, row);
    change.if_any()
}

/// The change to a row whose entry in the list cannot be used, or `None` if there is nothing to write.
#[must_use]
pub fn seen(row: &Row) -> Option<Change> {
    let mut change = Change::of(row);
    if row.missing_since.is_none() {
        forget_absence(&mut change, row);
    }
    change.if_any()
}

fn forget_absence(change: &mut Change, row: &Row) {
    if row.absent_since.is_some() {
        change.absent_since = Some(None);
    }
    if row.absence_confirmed {
        change.absence_confirmed = Some(false);
    }
}

/// A list without the model says nothing about its price.
fn forget_price_hold(change: &mut Change, row: &Row) {
    if row.price_withheld_since.is_some() {
        change.price_withheld_since = Some(None);
    }
}

/// Adds what the price takes to the change, or the moment since when that is withheld.
pub fn take(change: &mut Change, row: &Row, taking: Taking, withhold: bool, now: Timestamp) {
    let since = row.price_withheld_since;
    if withhold {
        if since.is_none() {
            change.price_withheld_since = Some(Some(now));
        }
        return;
    }
    if since.is_some() {
        change.price_withheld_since = Some(None);
    }
    if taking.free_tier {
        let tiers = change.tiers.as_ref().unwrap_or(&row.tiers);
        change.tiers = Some(tiers.iter().filter(|tier| *tier != FREE).cloned().collect());
        change.free_revoked_at = Some(Some(now));
    }
    if taking.approval {
        change.status = Some(Status::New);
        change.price_guarded_at = Some(Some(now));
    }
}

fn return_to_list(change: &mut Change, row: &Row, prices: Option<&Prices>, late: bool, state: &State) {
    change.missing_since = Some(None);
    let Some(before) = row.status_before_missing else { return };
    change.status_before_missing = Some(None);
    if row.status != Status::Inactive {
        return; // an admin decided its status while it was missing
    }
    let price_increased =
        state.settings.price_alert.as_ref().is_some_and(|factor| row.is_above_reviewed(prices, factor));
    if !late && !price_increased {
        change.status = Some(before);
        return;
    }
    change.status = Some(Status::New);
    change.returned_at = Some(Some(state.now));
    if !late {
        if before == Status::Active {
            change.price_guarded_at = Some(Some(state.now));
        }
        return;
    }
    if !row.tiers.is_empty() {
        change.tiers_before = Some(row.tiers.clone());
        change.tiers = Some(Vec::new());
    }
}

/// Gives back what a guard took within `return_window`, if the price is no longer above the approved one.
fn give_back(change: &mut Change, row: &Row, prices: Option<&Prices>, state: &State) {
    let in_time = |at: Option<Timestamp>| at.is_some_and(|at| !state.was_out_of_window(at));
    let (free_in_time, approval_in_time) = (in_time(row.free_revoked_at), in_time(row.price_guarded_at));
    // most rows have lost nothing, and their prices need no comparison
    if !(free_in_time || approval_in_time) || row.is_above_reviewed(prices, &BigDecimal::from(1)) {
        return;
    }
    if free_in_time && !row.is_in(FREE) {
        let tiers = change.tiers.as_ref().unwrap_or(&row.tiers);
        change.tiers = Some([&[FREE.to_owned()], tiers.as_slice()].concat());
        change.free_revoked_at = Some(None);
    }
    if approval_in_time && change.status.unwrap_or(row.status) == Status::New {
        change.status = Some(Status::Active);
        change.price_guarded_at = Some(None);
        change.returned_at = Some(None);
    }
}

fn taking(change: &Change, row: &Row, prices: Option<&Prices>, state: &State) -> Taking {
    let status = change.status.unwrap_or(row.status);
    let guard = state.settings.price_guard.as_ref();
    Taking {
        free_tier: state.settings.free_guard
            && change.tiers.as_ref().unwrap_or(&row.tiers).iter().any(|tier| tier == FREE)
            && row.is_reviewed
            && stopped_being_free(row.reviewed_highest_prices.as_ref(), prices),
        approval: status == Status::Active
            && guard.is_some_and(|factor| row.is_above_reviewed(prices, factor)),
    }
}

/// A model leaves the free tier if it was free of charge at the review and is not now, or if its price was unknown at
/// the review and is now known to be above zero. A model that cost money at the review stays in the free tier.
fn stopped_being_free(reviewed: Option<&Prices>, now: Option<&Prices>) -> bool {
    match reviewed {
        Some(reviewed) if reviewed.any_above_zero() => false,
        Some(reviewed) if reviewed.all_zero() => !now.is_some_and(Prices::all_zero),
        _ => now.is_some_and(Prices::any_above_zero),
    }
}
