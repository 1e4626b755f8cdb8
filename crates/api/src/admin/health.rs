//! Health: the checks with what to do, and the last runs.

use super::page::{Outcome, Visit, show, template};
use serde_json::Value;
use std::sync::Arc;

template!(Health, "health.html");

/// The page.
pub async fn health(visit: Arc<Visit>) -> Outcome {
    let transaction = visit.read().await?;
    let data: Value = transaction.json(include_str!("health.sql"), &[]).await?;
    let frame = visit.frame("Health", &transaction);
    transaction.commit().await?;
    show(&Health { frame, data: (&data).into() })
}
