//! What the database knows before a run, as the SQL function `_model_access_state()` gives it.

use crate::price::Prices;
use bigdecimal::BigDecimal;
use jiff::civil::Date;
use jiff::tz::TimeZone;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};

/// The rows and the settings that a plan rests on, read in one snapshot.
#[derive(Debug, Clone, Deserialize)]
pub struct State {
    /// The moment of the run; what the plan writes carries it.
    pub now: Timestamp,
    /// The settings in force.
    pub settings: Settings,
    /// Every tier, lowest first.
    pub tiers: Vec<String>,
    /// The days (UTC) on which complete lists arrived, by the run log.
    pub complete_days: Vec<Date>,
    /// What tells these rows from rows that have changed since.
    pub rows_version: String,
    /// Every row of `model_access`.
    pub rows: Vec<Row>,
    /// Whether the list of this run is complete; known once it has been read.
    #[serde(skip)]
    pub has_complete_list: bool,
}

impl State {
    /// On how many days a complete list arrived from that moment on, before this run.
    fn days_since(&self, since: Timestamp) -> usize {
        let first = day(since);
        self.complete_days.iter().filter(|day| **day >= first).count()
    }

    /// The same with this run.
    #[must_use]
    pub fn days_until_now(&self, since: Timestamp) -> usize {
        let today = self.has_complete_list && !self.complete_days.contains(&day(self.now));
        self.days_since(since) + usize::from(today)
    }

    /// Whether what the lists before this one have said from that moment on has lasted longer than `return_window`.
    /// While nobody syncs, no time passes.
    #[must_use]
    pub fn was_out_of_window(&self, since: Timestamp) -> bool {
        self.lasts(self.days_since(since), since)
    }

    /// The same with this list.
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
    /// Share of the active models that syncs may take from users within 24 hours, and of the listed ones that are not
    /// active that one run may mark as missing, in percent.
    pub max_removal_percent: f64,
    /// How long a vanished model's decision waits for its return; in seconds on the way in.
    #[serde(deserialize_with = "seconds")]
    pub return_window: SignedDuration,
    /// Whether a model that stops being free leaves the free tier.
    pub free_guard: bool,
    /// Factor over the reviewed price above which an active model goes back to review; `None` = off.
    #[serde(deserialize_with = "factor")]
    pub price_guard: Option<BigDecimal>,
    /// Factor over the reviewed price above which a returning model is not restored; `None` = off.
    #[serde(deserialize_with = "factor")]
    pub price_alert: Option<BigDecimal>,
    /// Top-level keys of an entry that are neither kept nor compared.
    pub ignored_keys: Vec<String>,
}

/// What a plan needs to know of one row. The fields have the order of `_model_access_state()`.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Row {
    /// Primary key.
    pub model_id: String,
    /// The admin's decision, or what the lifecycle made of it.
    pub status: Status,
    /// The tiers whose flags are set.
    pub tiers: Vec<String>,
    /// Fingerprint of the entry that the upstream columns hold.
    pub fingerprint: Option<String>,
    /// Hash of the bytes of that entry.
    pub entry_hash: Option<String>,
    /// Since when the model is not listed; `None` while it is.
    pub missing_since: Option<Timestamp>,
    /// What the status was when the model vanished; `None` = not inactive by vanishing.
    pub status_before_missing: Option<Status>,
    /// What the model costs; `None` = its price cannot be read.
    pub highest_prices: Option<Prices>,
    /// When an admin last decided.
    pub reviewed_at: Option<Timestamp>,
    /// What the model cost at that decision.
    pub reviewed_highest_prices: Option<Prices>,
    /// Since when lists lack it although its removal was withheld.
    pub absent_since: Option<Timestamp>,
    /// Whether an admin has said so be it.
    pub absence_confirmed: bool,
    /// Since when its price cannot be read any more; the stored one is older.
    pub price_unreadable_since: Option<Timestamp>,
    /// Since when the guard keeps a price from taking something.
    pub price_withheld_since: Option<Timestamp>,
    /// Since when a sync has taken it out of the free tier, with no decision since.
    pub free_revoked_at: Option<Timestamp>,
    /// When a sync sent it to review for its price, with no decision since.
    pub price_guarded_at: Option<Timestamp>,
}

/// The tier that a price can take a model out of.
pub const FREE: &str = "free";

impl Row {
    /// The hash of the entry that all upstream columns hold; `None` if the entry must be read.
    #[must_use]
    pub fn stored_entry(&self) -> Option<&String> {
        // a row that keeps an older price holds only a part of its entry
        let is_whole = self.fingerprint.is_some() && self.price_unreadable_since.is_none();
        self.entry_hash.as_ref().filter(|_| is_whole)
    }

    /// Whether it has the flag of a tier.
    #[must_use]
    pub fn is_in(&self, tier: &str) -> bool {
        self.tiers.iter().any(|other| other == tier)
    }

    /// Whether a component of a price is above `factor` times what it was at the last decision.
    #[must_use]
    pub fn is_above_reviewed(&self, now: Option<&Prices>, factor: &BigDecimal) -> bool {
        self.reviewed_at.is_some()
            && crate::price::is_above(now, self.reviewed_highest_prices.as_ref(), factor)
    }
}

/// `model_access.status`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Status {
    /// Waits for a decision.
    New,
    /// Approved.
    Active,
    /// Not offered, by an admin or because it left the list.
    Inactive,
    /// Banned.
    Disabled,
}

fn seconds<'de, D: Deserializer<'de>>(deserializer: D) -> Result<SignedDuration, D::Error> {
    i64::deserialize(deserializer).map(SignedDuration::from_secs)
}

fn factor<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Option<BigDecimal>, D::Error> {
    let Some(number) = Option::<serde_json::Number>::deserialize(deserializer)? else { return Ok(None) };
    number.as_str().parse().map(Some).map_err(serde::de::Error::custom)
}
