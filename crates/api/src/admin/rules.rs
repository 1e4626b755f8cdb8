//! Rules: each can be tried before it is saved. A trial saves the rule, accepts what it proposes, and rolls back.

use super::fault::Fault;
use super::page::{Outcome, Visit, see, show, template};
use axum::http::StatusCode;
use serde_json::{Value, json};
use std::sync::Arc;

template!(Rules, "rules.html", rule: super::data::Data<'a>, proposals: super::data::Data<'a>);

/// The page.
pub async fn rules(visit: Arc<Visit>) -> Outcome {
    let (mut rule, mut proposals) = (Value::Null, Value::Null);
    if let Some(form) = &visit.form {
        let transaction = visit.write().await?;
        let [position, pattern, provider, max, modality, per_use, note, seen] =
            ["position", "pattern", "provider", "max", "modality", "per_use", "note", "seen"]
                .map(|name| form.get(name));
        let what = form.json("proposes");
        let written: i64 = if form.has("step", "remove") {
            let remove = "WITH gone AS (DELETE FROM {s}.model_access_rule WHERE position = $1::integer AND changed_at::text = $2 RETURNING 1)
                SELECT count(*)::text FROM gone";
            transaction.json(remove, &[position, seen]).await?
        } else {
            let parameters =
                [position, pattern, provider, max, modality, Some(what.as_str()), per_use, note, seen];
            transaction.json(include_str!("rule.sql"), &parameters).await?
        };
        if written == 0 {
            let message = "The rule was changed or removed since you saw it.";
            return Err(Fault::new(StatusCode::CONFLICT, message, "Open Rules again, and look at it."));
        }
        if !form.has("step", "try") {
            transaction.commit().await?;
            return Ok(see("/rules"));
        }
        proposals = transaction.json(include_str!("proposals.sql"), &[position]).await?;
        transaction.rollback().await?;
        let has = |value| form.has("proposes", value);
        rule = json!({ "position": position, "pattern": pattern, "provider": provider, "max": max, "modality": modality,
            "per_use": per_use, "note": note, "seen": seen, "free": has("free"), "pro": has("pro"),
            "enterprise": has("enterprise"), "status": has("disabled").then_some("disabled") });
    }
    let transaction = visit.read().await?;
    let data: Value = transaction.json(include_str!("rules.sql"), &[]).await?;
    let frame = visit.frame("Rules", &transaction);
    transaction.commit().await?;
    let data_of_page = super::data::Data::from(&data);
    let mut chosen = data_of_page
        .at("rules")
        .list()
        .filter(|known| known.at("position").to_string() == visit.query.text("position"));
    let rule = if rule.is_null() { chosen.next().unwrap_or((&rule).into()) } else { (&rule).into() };
    show(&Rules { frame, data: data_of_page, rule, proposals: (&proposals).into() })
}
