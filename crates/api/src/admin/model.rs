//! Model: what it is and charges, who reaches it, and all that was done to it.

use super::data::Data;
use super::fault::Fault;
use super::page::{Outcome, Visit, show, template};
use axum::http::StatusCode;
use serde_json::Value;
use std::sync::Arc;

template!(Model, "model.html");

/// The page.
pub async fn model(visit: Arc<Visit>) -> Outcome {
    let transaction = visit.read().await?;
    let data: Value = transaction.json(include_str!("model.sql"), &[visit.query.get("id")]).await?;
    let frame = visit.frame("Model", &transaction);
    transaction.commit().await?;
    let data = Data::from(&data);
    if !data.at("model").is_set() {
        let hint = "Look for it in Review, among all models.";
        return Err(Fault::new(StatusCode::NOT_FOUND, "There is no model with this id.", hint));
    }
    show(&Model { frame, data })
}
