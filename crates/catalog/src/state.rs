//! The state of the database before a run, as the SQL function `_model_access_state()` returns it.

use crate::price::Prices;
use bigdecimal::BigDecimal;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};

/// The rows and settings from which a plan is made, read in one snapshot.
#[derive(Debug, Clone, Deserialize)]
pub struct State {
    /// The time of the run, which the plan writes to rows.
    pub now: Timestamp,
    /// The present settings.
    pub settings: Settings,
    /// Every tier, lowest first.
    pub tiers: Vec<String>,
    /// The days (UTC) on which complete lists arrived, from the run log.
    pub complete_days: Vec<Date>,
    /// The result of `_model_access_rows_version()`: a text that differs after any change of the rows.
    pub rows_version: String,
    /// Every row of `model_access`.
    pub rows: Vec<Row>,
    /// Whether the list of this run is complete. [`crate::plan::plan`] sets it.
    #[serde(skip)]
    pub has_complete_list: bool,
}

impl State {
    /// The number of days since `since` on which a complete list arrived, without this run.
    fn days_since(&self, since: Timestamp) -> usize {
        let first = day(since);
        self.complete_days.iter().filter(|day| **day >= first).count()
    }

    /// The number of days since `since` on which a complete list arrived, with this run.
    #[must_use]
    pub fn days_until_now(&self, since: Timestamp) -> usize {
        let today = self.has_complete_list && !self.complete_days.contains(&day(self.now));
        self.days_since(since) + usize::from(today)
    }

    /// Whether more than `return_window` has passed since `since`, counted in days on which a complete list arrived,
    /// without this run. A day without a sync does not count.
    #[must_use]
    pub fn was_out_of_window(&self, since: Timestamp) -> bool {
        self.lasts(self.days_since(since), since)
    }

    /// The same, with this run.
    #[must_use]
    pub fn is_out_of_window(&self, since: Timestamp) -> bool {
        self.lasts(self.days_until_now(since), since)
    }

    fn lasts(&self, days: usize, since: Timestamp) -> bool {
        let listed = SignedDuration::from_hours(i64::try_from(days).unwrap_or(i64::MAX).saturating_mul(24));
        listed.min(self.now.duration_since(since)) > self.settings.return_window
    }
}

fn day(at: Timestamp) -> Date {
    TimeZone::UTC.to_datetime(at).date()
}

/// The settings that decide access or write rows (view `model_access_settings`).
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    /// The largest share, in percent: of the active models that syncs may take from users within 24 hours, and of the
    /// listed models that one run may mark as missing, not counting active ones.
    pub max_removal_percent: f64,
    /// How long the status and tiers of a missing model wait for its return. In seconds in JSON.
    #[serde(deserialize_with = "seconds")]
    pub return_window: SignedDuration,
    /// Whether a model that stops being free of charge leaves the free tier.
    pub free_guard: bool,
    /// An active model goes back to review if its price exceeds its reviewed price times this factor; `None` = off.
    #[serde(deserialize_with = "factor")]
    pub price_guard: Option<BigDecimal>,
    /// A model that returns is not restored if its price exceeds its reviewed price times this factor; `None` = off.
    #[serde(deserialize_with = "factor")]
    pub price_alert: Option<BigDecimal>,
    /// Top-level keys of an entry that are neither stored nor compared.
    pub ignored_keys: Vec<String>,
}

/// The columns of one row that a plan needs, in the order of the arrays of `_model_access_state()`, which leave out the last
/// ones if none of them is set.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Row {
    /// The primary key.
    pub model_id: String,
    /// The status, set by an admin or by a sync.
    pub status: Status,
    /// The fingerprint of the entry in the upstream columns.
    pub fingerprint: Option<String>,
    /// The hash of the bytes of that entry.
    pub entry_hash: Option<String>,
    /// The tiers whose flags are set.
    pub tiers: Vec<String>,
    /// Whether an admin has reviewed the model. Version 0.2.0 of the SQL gives the time, or null.
    #[serde(deserialize_with = "is_given")]
    pub is_reviewed: bool,
    /// The highest prices of the model; `None` = its price cannot be read. If no guard can compare them, they need not be
    /// given, only that there are prices.
    pub highest_prices: Option<Prices>,
    /// The highest prices at that review.
    pub reviewed_highest_prices: Option<Prices>,
    /// Since when the model is not listed; `None` = it is listed.
    #[serde(default)]
    pub missing_since: Option<Timestamp>,
    /// The status that a sync changed to inactive because the model was missing; `None` = no sync did.
    #[serde(default)]
    pub status_before_missing: Option<Status>,
    /// Since when the model is not in the lists while its removal is withheld.
    #[serde(default)]
    pub absent_since: Option<Timestamp>,
    /// Whether an admin has confirmed the absence.
    #[serde(default)]
    pub absence_confirmed: bool,
    /// Since when the price can no longer be read; the stored price is older.
    #[serde(default)]
    pub price_unreadable_since: Option<Timestamp>,
    /// Since when the guard withholds what the price would take.
    #[serde(default)]
    pub price_withheld_since: Option<Timestamp>,
    /// When a sync took the model out of the free tier; `None` = no sync did since the last decision.
    #[serde(default)]
    pub free_revoked_at: Option<Timestamp>,
    /// When a sync sent the model to review because of its price; `None` = no sync did since the last decision.
    #[serde(default)]
    pub price_guarded_at: Option<Timestamp>,
}

/// The tier that a model can leave because of its price.
pub const FREE: &str = "free";

impl Row {
    /// The hash of the entry that is in the upstream columns; `None` if the entry must be read.
    #[must_use]
    pub fn stored_entry(&self) -> Option<&String> {
        // a row that keeps an older price holds only a part of its entry
        let is_whole = self.fingerprint.is_some() && self.price_unreadable_since.is_none();
        self.entry_hash.as_ref().filter(|_| is_whole)
    }

    /// Whether the flag of the tier is set.
    #[must_use]
    pub fn is_in(&self, tier: &str) -> bool {
        self.tiers.iter().any(|other| other == tier)
    }

    /// Whether a component of the price is above `factor` times its value at the last review.
    #[must_use]
    pub fn is_above_reviewed(&self, now: Option<&Prices>, factor: &BigDecimal) -> bool {
        self.is_reviewed && crate::price::is_above(now, self.reviewed_highest_prices.as_ref(), factor)
    }
}

/// `model_access.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// The model waits for a decision.
    New,
    /// The model is approved.
    Active,
    /// The model is not offered, because of an admin or because it left the list.
    Inactive,
    /// The model is banned.
    Disabled,
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SignedDuration, D::Error> {
    i64::deserialize(deserializer).map(SignedDuration::from_secs)
}

fn is_given<'de, D: Deserializer<'de>>(deserializer: D) -> Result<bool, D::Error> {
    let value = Option::<serde_json::Value>::deserialize(deserializer)?;
    Ok(value.is_some_and(|value| value != serde_json::Value::Bool(false)))
}

fn factor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BigDecimal>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else { return Ok(None) };
    number.as_str().parse().map(Some).map_err(serde::de::Error::custom)
}
