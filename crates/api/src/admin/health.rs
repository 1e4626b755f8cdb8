//! Health: the checks with what to do, and the last runs.

use super::data::Data;
use super::page::{Frame, Outcome, Visit, show};
use askama::Template;
use serde_json::Value;
use std::sync::Arc;

#[derive(Template)]
#[template(path = "health.html")]
struct Health<'a> {
    frame: Frame,
    data: Data<'a>,
}

/// The page.
pub async fn health(visit: Arc<Visit>) -> Outcome {
    let transaction = visit.read().await?;
    let data: Value = transaction.json(include_str!("health.sql"), &[]).await?;
    let frame = visit.frame("Health", &transaction);
    transaction.commit().await?;
    show(&Health { frame, data: Data(Some(&data)) })
}
