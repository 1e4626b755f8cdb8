//! What the database knows before a run, as the SQL function `_model_access_state()` gives it.

use bigdecimal::BigDecimal;
use jiff::{SignedDuration, Timestamp};
use serde::{Deserialize, Deserializer, Serialize};
use serde_json::Value;

/// The rows and the settings that a plan rests on, read in one snapshot.
#[derive(Debug, Clone, Deserialize)]
pub struct State {
    /// The moment of the run; what the plan writes carries it.
    pub now: Timestamp,
    /// The settings in force.
    pub settings: Settings,
    /// Every row of `model_access`.
    pub rows: Vec<Row>,
}

/// The settings that decide access or write rows (view `model_access_settings`).
#[derive(Debug, Clone, Deserialize)]
pub struct Settings {
    /// Share of the listed, and of the active, rows that one run may take away, in percent.
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

/// What a plan needs to know of one row.
#[derive(Debug, Clone, PartialEq, Deserialize)]
pub struct Row {
    /// Primary key.
    pub model_id: String,
    /// The admin's decision, or what the lifecycle made of it.
    pub status: Status,
    /// In the free tier.
    pub is_free: bool,
    /// In the pro tier.
    pub is_pro: bool,
    /// In the enterprise tier.
    pub is_enterprise: bool,
    /// Fingerprint of the entry that the upstream columns hold.
    pub fingerprint: Option<String>,
    /// Since when the model is not listed; `None` while it is.
    pub missing_since: Option<Timestamp>,
    /// What the status was when the model vanished; `None` = not inactive by vanishing.
    pub status_before_missing: Option<Status>,
    /// The pricing at the last decision.
    pub reviewed_pricing: Option<Value>,
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
