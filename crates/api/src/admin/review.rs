//! Review: what waits and why. A decision is first tried in a transaction that is rolled back, to show its effect; when it is
//! sent a second time, it is committed. It is only about what the admin saw: a model that has changed since is left out and
//! named.

use super::data::Data;
use super::database::Transaction;
use super::fault::Fault;
use super::fields::Fields;
use super::page::{Outcome, Visit, show, template};
use axum::http::StatusCode;
use serde_json::Value;
use std::sync::Arc;

/// The parameters of the filter, in the order of the statement.
const FILTERS: [&str; 10] =
    ["show", "reason", "provider", "min", "max", "modality", "free", "age", "q", "proposed"];

template!(Review, "review.html", query: &'a Fields, filter: String);

template!(Decision, "decision.html", form: &'a Fields, filter: String, is_done: bool);

/// The page.
pub async fn review(visit: Arc<Visit>) -> Outcome {
    let filter = visit.query.query(&FILTERS);
    let Some(form) = &visit.form else {
        let transaction = visit.read().await?;
        let data = found(&transaction, &visit.query, "1000").await?;
        let frame = visit.frame("Review", &transaction);
        transaction.commit().await?;
        return show(&Review { frame, data: Data::from(&data), query: &visit.query, filter });
    };
    let is_done = form.has("step", "do");
    let transaction = visit.write().await?;
    let mut seen = form.json("row");
    if form.has("which", "all") {
        let all = found(&transaction, &visit.query, "100000").await?;
        let rows = Data::from(&all).at("rows").list();
        seen = Value::from_iter(rows.map(|row| row.at("seen").to_string())).to_string();
    }
    let data = decide(&transaction, form, &seen).await?;
    let frame = visit.frame("Review", &transaction);
    if is_done {
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    show(&Decision { frame, data: Data::from(&data), form, filter, is_done })
}

async fn found(transaction: &Transaction, query: &Fields, most: &str) -> Result<Value, Fault> {
    let mut parameters: Vec<_> = FILTERS.iter().map(|name| query.get(name)).collect();
    parameters.push(Some(most));
    transaction.json(include_str!("review.sql"), &parameters).await
}

/// Decides about the models that are still as they were seen, and says what changed for each tier.
async fn decide(transaction: &Transaction, form: &Fields, seen: &str) -> Result<Value, Fault> {
    let what = form.text("do");
    let (status, tiers, note) = (form.get("status"), form.json("tier"), form.get("note"));
    let refuse = |message: &str, hint: &str| Err(Fault::new(StatusCode::UNPROCESSABLE_ENTITY, message, hint));
    if seen == "[]" {
        return refuse("No model is chosen.", "Tick at least one model, or choose all that match.");
    }
    if what == "set" && status.is_none() && tiers == "[]" && note.is_none() {
        return refuse("Nothing is to be set.", "Choose a status, tiers or a note.");
    }
    let mut chosen: Value = transaction.json(include_str!("chosen.sql"), &[Some(seen), Some(what)]).await?;
    let ids = Data::from(&chosen).at("ids").to_string();
    let before: Value = transaction.json(include_str!("tiers.sql"), &[]).await?;
    let confirm =
        "SELECT {s}.model_access_confirm(VARIADIC ARRAY(SELECT jsonb_array_elements_text($1::jsonb)))::text";
    let _: Value = match what {
        _ if ids == "[]" => Value::Null,
        "set" => {
            let same: Value =
                transaction.json(include_str!("set.sql"), &[Some(&ids), status, Some(&tiers), note]).await?;
            transaction.json(confirm, &[Some(&same.to_string())]).await?
        }
        "keep" => transaction.json(confirm, &[Some(&ids)]).await?,
        "accept" => {
            let accept = "SELECT count(*)::text FROM {s}.model_access_accept(VARIADIC ARRAY(
                SELECT jsonb_array_elements_text($1::jsonb)))";
            transaction.json(accept, &[Some(&ids)]).await?
        }
        _ => return refuse("The form does not say what to do.", "Choose one of the three decisions."),
    };
    let after: Value = transaction.json(include_str!("tiers.sql"), &[]).await?;
    let effect: Value = transaction
        .json(include_str!("effect.sql"), &[Some(&before.to_string()), Some(&after.to_string())])
        .await?;
    if let Some(members) = chosen.as_object_mut() {
        members.insert("seen".into(), serde_json::from_str(seen).unwrap_or_default());
        members.insert("effect".into(), effect);
    }
    Ok(chosen)
}
